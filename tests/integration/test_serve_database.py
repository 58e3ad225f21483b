"""The service and a job worker while their database is away, or there and silent, and comes back; under load."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from tests.serving import Serving, key_for
from tests.stores import Cluster, Place

from rempart import audit
from rempart.errors import ExitCode
from rempart.jobs import JobState, enqueue, get_job
from rempart.lists import HashValue, create_bank, import_hashes, list_entries
from rempart.lists.compaction import KIND, CompactBank
from rempart.store.tables import HashKind

BANK = "KNOWN"
KNOWN = secrets.token_bytes(32)
LONGEST_SECONDS = 60.0
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 6.0
"""After which a client gives up: what it asked for may have been done or not."""

GOOD = {(200, ""), (201, "")}
AWAY = {(503, "unavailable")}
GIVEN_UP = (0, "")


class Asking(threading.Thread):
    """One client that asks again and again, and notes each answer with the moment at which it was asked for.

    Args:
        server: whom it asks.
        path: where.
        make: gives the body of each request, and takes in what became of it.
    """

    def __init__(self, server: Serving, path: str, make: Callable[[], tuple[object, Callable[[Any], None]]]) -> None:
        super().__init__()
        self._server = server
        self._path = path
        self._make = make
        self.answers: list[tuple[float, int, str]] = []
        self.broken: list[str] = []
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self.join(LONGEST_SECONDS)

    def run(self) -> None:
        """Ask until told to stop."""
        headers = {"authorization": f"Bearer {self._server.key}", "content-type": "application/json"}
        while not self._over.wait(PAUSE_SECONDS):
            content, done = self._make()
            asked = time.monotonic()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE_SECONDS)
                with contextlib.closing(connection):
                    connection.request("POST", self._path, json.dumps(content), headers)
                    answer = connection.getresponse()
                    body = json.loads(answer.read())
            except TimeoutError:
                self.answers.append((asked, *GIVEN_UP))
                continue
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.broken.append(f"{type(error).__name__}: {error}")
                continue
            self.answers.append((asked, answer.status, body.get("code", "")))
            if answer.status < 300:
                done(body)

    def told(self, since: float = 0.0, until: float = math.inf) -> set[tuple[int, str]]:
        """What was answered to requests that were sent within a time."""
        return {(status, code) for asked, status, code in self.answers if since <= asked < until}


class Clients:
    """Three of them: one who banks entries, one who looks up what is banked, and one who has prompts screened."""

    def __init__(self, server: Serving) -> None:
        self.added: list[str] = []
        self.all = [
            Asking(server, f"/v1/banks/{BANK}/entries", self._entry),
            Asking(server, "/v1/match/hashes", self._look_up),
            Asking(server, "/v1/screen", lambda: ({"prompt": "a lighthouse"}, lambda _: None)),
        ]
        self.missed = 0

    def _entry(self) -> tuple[object, Callable[[Any], None]]:
        digest = secrets.token_hex(16)
        return {"items": [{"md5": digest}]}, lambda _: self.added.append(digest)

    def _look_up(self) -> tuple[object, Callable[[Any], None]]:
        def done(body: Any) -> None:  # noqa: ANN401 -- a decoded answer
            self.missed += body["match"] != 1

        return {"items": [{"pdq": KNOWN.hex()}]}, done

    def wait_for(self, wanted: set[tuple[int, str]], what: str, *, times: int = 5) -> None:
        """Wait until each has been answered so, and in no other way, some times in succession from now on."""
        begun, deadline = time.monotonic(), time.monotonic() + LONGEST_SECONDS
        while True:
            last = [[answer[1:] for answer in one.answers if answer[0] >= begun][-times:] for one in self.all]
            if all(len(answers) == times and set(answers) <= wanted for answers in last):
                return
            assert time.monotonic() < deadline, f"{what}: {last}"
            time.sleep(0.05)


@pytest.fixture
def running(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Serving, Clients, subprocess.Popen[bytes], Path]]:
    """A server with two workers, a job worker, and clients, on a database server that may be stopped."""
    place = Place(tmp_path / "data", cluster.settings)
    with place.open() as store:
        create_bank(store, BANK)
        import_hashes(store, BANK, [HashValue(HashKind.PDQ, KNOWN)])
    said = tmp_path / "said"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Serving(place, workers=2, settings={"PROMPTS__PACKS": "canary"}))
        server.key = key_for(place)
        command = [Path(sys.executable).with_name("rempart"), "worker"]
        with said.open("wb") as err:
            worker = subprocess.Popen(command, env=os.environ | dict(place.environ), stderr=err)
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        clients = Clients(server)
        for one in clients.all:
            stack.enter_context(one)
        yield server, clients, worker, said


def is_ready(server: Serving) -> bool:
    """Whether look-ups work in the worker that happens to answer."""
    answer = server.ask("GET", "/readyz")
    assert answer.status == 200 or answer.json()["code"] == "unavailable"
    return answer.status == 200


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for what must come to pass."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_while_the_database_is_away_answers_are_503_and_then_right_again(
    cluster: Cluster, running: tuple[Serving, Clients, subprocess.Popen[bytes], Path]
) -> None:
    """First it is stopped, then it is there and silent; nothing that was acknowledged is lost by either."""
    server, clients, worker, said = running
    workers = server.workers()
    until(lambda: b"ready" in said.read_bytes(), "the job worker is ready")
    moments = [0.0]
    for stop, start in ((cluster.stop, cluster.start), (cluster.halt, cluster.go_on)):
        clients.wait_for(GOOD, "all is well")
        moments.append(time.monotonic())
        stop()
        clients.wait_for(AWAY, "all are told to come again, and nothing else")
        assert server.ask("GET", "/healthz").status == 200
        if stop == cluster.halt:
            until(lambda: not is_ready(server), "readiness ends")
        moments.append(time.monotonic())
        start()
        clients.wait_for(GOOD, "all is well again")
        until(lambda: all(is_ready(server) for _ in range(8)), "readiness comes back")
        with server.place.open() as store:
            with store.write() as connection:
                job = enqueue(connection, KIND, CompactBank(1))
            assert job is not None
            until(lambda store=store, job=job: get_job(store, job).state is JobState.DONE, "the job is done")  # type: ignore[misc]
    for one in clients.all:
        one.__exit__()
        assert one.broken == []
        # Only what was under way when the database fell silent had nobody to ask, and its client gave up.
        assert one.told(until=moments[3] - 1) <= GOOD | AWAY
        assert one.told() <= GOOD | AWAY | {GIVEN_UP}
        assert len([answer for answer in one.answers if answer[1:] == GIVEN_UP]) <= 1
    assert clients.missed == 0
    assert len(clients.added) > 10
    with server.place.open() as store:
        held = {value.value.hex() for entry in list_entries(store, BANK) for value in entry.hashes}
    assert set(clients.added) <= held
    content = json.dumps({"items": [{"md5": digest} for digest in clients.added]}).encode()
    kind = {"content-type": "application/json"}

    def are_matched() -> bool:
        answer = server.ask("POST", "/v1/match/hashes", key=server.key, content=content, headers=kind)
        return bool(answer.json()["match"] == len(clients.added))

    for _ in range(4):  # whichever worker answers, as soon as it has heard of the last one
        until(are_matched, "all that was banked is matched")
    assert server.workers() == workers
    assert worker.poll() is None
    assert b"waiting: " in said.read_bytes()
    with server.place.open() as store:
        assert list(audit.verify(store)) == []
    server.process.terminate()
    worker.terminate()
    assert (server.process.wait(LONGEST_SECONDS), worker.wait(LONGEST_SECONDS)) == (ExitCode.CLEAN, ExitCode.CLEAN)

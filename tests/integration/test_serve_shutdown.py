"""Being told to stop while much is under way: what was accepted is answered, within the time for it, and kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.serving import Serving, bank_one, key_for, read_answer
from tests.stores import Place

from rempart.clock import utc_now
from rempart.errors import ExitCode
from rempart.people import list_usage
from rempart.store.service_tables import jobs
from rempart.store.tables import HashKind, hashes

MIB = 1 << 20
JSON = "content-type: application/json"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A database with one banked hash."""
    place = Place(tmp_path / "data")
    bank_one(place)
    return place


def head(server: Serving, path: str, *headers: str) -> bytes:
    """The head of a request."""
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {server.key}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Client(threading.Thread):
    """Banks entries and looks up a known hash, on a new connection each time, until there is nobody to connect to.

    Attributes:
        added: the digests whose banking was acknowledged.
        matched: how many matches were.
        statuses: of all answers.
        broken: answers that came in part; there must be none.
        unanswered: requests that nobody had taken from the queue of the listening socket.
    """

    def __init__(self, server: Serving, known: str) -> None:
        super().__init__()
        self._server = server
        self._known = known
        self.added: list[str] = []
        self.matched = 0
        self.statuses: Counter[int] = Counter()
        self.broken: list[str] = []
        self.unanswered = 0

    def run(self) -> None:
        """Ask on, one after the other."""
        while True:
            digest = secrets.token_hex(16)
            asked = [
                ("/v1/banks/LIST/entries", {"items": [{"md5": digest}]}),
                ("/v1/match/hashes", {"items": [{"pdq": self._known, "source_id": digest}]}),
            ]
            for path, content in asked:
                try:
                    connection = socket.create_connection(("127.0.0.1", self._server.port), 30)
                except OSError:
                    return
                body = json.dumps(content).encode()
                with connection:
                    answer = b""
                    with contextlib.suppress(OSError):
                        length = f"content-length: {len(body)}"
                        connection.sendall(head(self._server, path, JSON, length, "connection: close") + body)
                        answer = read_answer(connection)
                self._note(digest, answer)

    def _note(self, digest: str, answer: bytes) -> None:
        if not answer:
            self.unanswered += 1
            return
        start, _, body = answer.partition(b"\r\n\r\n")
        try:
            told = json.loads(body)
        except ValueError:
            self.broken.append(answer[:200].decode("latin-1"))
            return
        status = int(start.split(b" ")[1])
        self.statuses[status] += 1
        if status == 201:
            self.added.append(digest)
        elif status == 200:
            self.matched += told["match"]


def test_under_load_every_answer_is_whole_and_what_was_acknowledged_is_kept(place: Place) -> None:
    """On each of two workers; what was counted is written, too."""
    with place.open() as store, store.read() as connection:
        known = connection.execute(select(hashes.c.value).where(hashes.c.kind == HashKind.PDQ)).scalar_one().hex()
    with Serving(place, workers=2, settings={"PROMPTS__PACKS": "canary"}) as server:
        server.key = key_for(place)
        clients = [Client(server, known) for _ in range(4)]
        for client in clients:
            client.start()
        time.sleep(1.0)
        server.process.terminate()
        assert server.process.wait(60) == ExitCode.CLEAN
        for client in clients:
            client.join(60)
    assert [client.broken for client in clients] == [[]] * 4
    assert set().union(*(client.statuses for client in clients)) == {200, 201}
    assert sum(len(client.added) for client in clients) > 8
    with place.open() as store:
        with store.read() as connection:
            held = connection.execute(select(hashes.c.value).where(hashes.c.kind == HashKind.MD5)).scalars()
            kept = {value.hex() for value in held}
            found = connection.execute(select(func.count()).where(jobs.c.kind == "finding")).scalar_one()
        usage = list_usage(store, 1, utc_now())
    matched = sum(client.matched for client in clients)
    assert {digest for client in clients for digest in client.added} <= kept
    asked = matched + sum(client.unanswered for client in clients)
    assert matched <= found <= asked
    assert matched <= sum(one.count for one in usage if one.kind == "pdq") <= asked


def test_an_upload_under_way_is_answered_and_who_never_ends_is_left_when_the_time_is_over(place: Place) -> None:
    """Nobody else may connect meanwhile, and idle connections are closed at once."""
    more = {"SERVE__SHUTDOWN_SECONDS": "2", "MEDIA__WORKERS": "1"}
    with Serving(place, workers=1, settings={"PROMPTS__PACKS": "canary"} | more) as server, ExitStack() as opened:
        server.key = key_for(place)
        upload, idle, between, endless, greedy = (opened.enter_context(server.connect()) for _ in range(5))
        content = os.urandom(MIB)
        between.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_answer(between).startswith(b"HTTP/1.1 200 ")
        endless.sendall(head(server, "/v1/hash", "content-type: image/jpeg", "content-length: 1000") + b"x")
        one = f"GET /schema/openapi.json HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n\r\n"
        greedy.sendall(one.encode() * 100)
        upload.sendall(head(server, "/v1/hash", "content-type: image/jpeg", f"content-length: {MIB}"))
        upload.sendall(content[: MIB // 2])
        time.sleep(0.3)
        begun = time.monotonic()
        server.process.terminate()
        assert idle.recv(1) == b""
        assert between.recv(1) == b""
        upload.sendall(content[MIB // 2 :])
        answer = read_answer(upload)
        assert upload.recv(1) == b""
        row = json.loads(answer.partition(b"\r\n\r\n")[2])["results"][0]
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert server.process.wait(60) == ExitCode.CLEAN
        assert 2 <= time.monotonic() - begun < 15
        with pytest.raises(ConnectionError):
            server.connect()

"""A platform's day with the service: set up by commands, asked over HTTP in two processes, jobs done by a worker."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.acceptance.service_load import Client, client_of_each_worker
from tests.serving import Serving
from tests.stores import Place, Postgres

from rempart import audit
from rempart.cli.drawing import COPIES, lighthouse
from rempart.lists import HashValue, create_bank, import_hashes
from rempart.prompts import SPECIMEN_TOKEN
from rempart.store.tables import HashKind

REMPART = Path(sys.executable).with_name("rempart")
LISTED = 20_100
"""Hashes of a list: more than what may be in no snapshot, so that the service asks for one."""

LONGEST_SECONDS = 60.0
KNOWN_PDQ = secrets.token_hex(32)


@dataclass
class Platform:
    """What a platform has: the service, a key for its uploads and one for its staff."""

    place: Place
    picture: Path
    uploads: str = ""
    staff: str = ""
    listed: str = ""
    server: Serving = field(init=False)

    def rempart(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """The rows that a command prints."""
        done = subprocess.run(
            [REMPART, *arguments], env=os.environ | dict(self.place.environ), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ask(self, method: str, path: str, key: str, **more: Any) -> httpx.Response:  # noqa: ANN401 -- as httpx takes them
        """One request with a key."""
        headers = {"authorization": f"Bearer {key}"} | more.pop("headers", {})
        return httpx.request(method, self.server.url + path, headers=headers, timeout=LONGEST_SECONDS, **more)

    def verdict(self, **hashes: str) -> dict[str, Any]:
        """The verdict on one item by its hashes."""
        answer = self.ask("POST", "/v1/match/hashes", self.uploads, json={"items": [hashes]})
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()["results"][0]
        return row


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Keys, and a bank with a hash and a picture, by commands; a list; then the service with two processes."""
    folder = tmp_path_factory.mktemp("platform")
    if request.param == "sqlite":
        yield from opened(Place(folder / "data"), folder)
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as settings:
        yield from opened(Place(folder / "data", settings), folder)


def opened(place: Place, folder: Path) -> Iterator[Platform]:
    """The platform of a database, open for business."""
    picture = folder / "known.png"
    lighthouse(1).save(picture)
    listed = [secrets.token_bytes(32) for _ in range(LISTED)]
    with place.open() as store:
        create_bank(store, "LIST", max_age_seconds=7 * 86_400)
        import_hashes(store, "LIST", (HashValue(HashKind.SHA256, value) for value in listed))
    platform = Platform(place, picture, listed=listed[-1].hex())
    platform.uploads, platform.staff = (
        platform.rempart("key", "create", name, *scopes.split(), "--format", "json")[0]["key"]
        for name, scopes in (
            ("uploads", "--scope match --scope screen"),
            ("staff", "--scope match --scope curate --scope admin"),
        )
    )
    platform.rempart("bank", "create", "CONFIRMED", "--turned")
    platform.rempart("bank", "add-hash", "CONFIRMED", KNOWN_PDQ)
    platform.rempart("bank", "add", "CONFIRMED", picture)
    with Serving(place, workers=2) as platform.server:
        yield platform


def until(holds: Callable[[], object], what: str) -> float:
    """Wait for what must come to pass; the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < LONGEST_SECONDS, what
        time.sleep(0.01)
    return time.monotonic() - begun


def test_the_ready_line_means_that_look_ups_work_with_a_key_and_not_without(platform: Platform) -> None:
    """Whoever has the line can send requests; whoever has no key, or one that was not made for it, gets nothing."""
    assert platform.server.line == f"rempart serves at {platform.server.url}\n"
    assert httpx.get(f"{platform.server.url}/readyz").status_code == 200
    item = {"items": [{"pdq": KNOWN_PDQ}]}
    for key, status in ((platform.uploads, 200), ("rk_" + "x" * 43, 401)):
        assert platform.ask("POST", "/v1/match/hashes", key, json=item).status_code == status
    assert platform.ask("POST", "/v1/banks", platform.uploads, json={"name": "MINE"}).status_code == 403


def test_prompts_are_screened(platform: Platform) -> None:
    """One and many; nothing of a prompt comes back."""
    one = platform.ask("POST", "/v1/screen", platform.uploads, json={"prompt": "a lighthouse at dusk"})
    assert one.json()["verdict"] == "allow"
    items = [{"prompt": "a lighthouse at dusk"}, {"prompt": f"a ship, {SPECIMEN_TOKEN}"}]
    many = platform.ask("POST", "/v1/screen/batch", platform.uploads, json={"items": items})
    assert [row["verdict"] for row in many.json()["results"]] == ["allow", "refuse"]
    assert "ship" not in many.text


def test_banked_hashes_are_found_and_unknown_ones_are_clear(platform: Platform) -> None:
    """With the bank that they are in, and no distance for a key that may not see it."""
    row = platform.verdict(pdq=KNOWN_PDQ)
    assert (row["verdict"], row["matches"][0]["bank"]) == ("match", "CONFIRMED")
    assert "distance" not in row["matches"][0]
    assert platform.verdict(sha256=platform.listed)["matches"][0]["bank"] == "LIST"
    assert platform.verdict(pdq=secrets.token_hex(32), sha256=secrets.token_hex(32))["verdict"] == "clear"


def test_copies_of_a_banked_picture_are_found_by_upload(platform: Platform) -> None:
    """One as the body, or many in one call: every copy that people make, another picture, and what is none."""
    half = next(copy for copy in COPIES if copy.change == "half size").make(lighthouse(1))
    headers = {"content-type": "image/jpeg"}
    one = platform.ask("POST", "/v1/match?source_id=upload-1", platform.uploads, content=half, headers=headers).json()
    assert [(row["source_id"], row["verdict"]) for row in one["results"]] == [("upload-1", "match")]
    files: dict[str, Any] = {copy.change: copy.make(lighthouse(1)) for copy in COPIES}
    files["another picture"] = next(iter(COPIES)).make(lighthouse(2))
    files["no picture"] = b"a lighthouse at dusk"
    many = platform.ask("POST", "/v1/match", platform.uploads, files=files).json()
    told = {row["name"]: row["verdict"] for row in many["results"]}
    assert told == dict.fromkeys(files, "match") | {"another picture": "clear", "no picture": "unscannable"}
    assert many["given"] == len(files) == many["match"] + many["clear"] + many["unscannable"]


def test_what_one_process_banks_or_removes_counts_in_the_other_within_a_second(platform: Platform) -> None:
    """In the process that took the change it counts before the answer."""
    there = []
    with client_of_each_worker(platform.server, platform.staff) as (writer, other):

        def found(client: Client, digest: str) -> bool:
            status, body = client.ask("POST", "/v1/match/hashes", {"items": [{"md5": digest}]})
            assert status == 200, body
            return bool(body["match"])

        def clear(client: Client, digest: str) -> bool:
            return not found(client, digest)

        for _ in range(3):
            digest = secrets.token_hex(16)
            status, body = writer.ask("POST", "/v1/banks/CONFIRMED/entries", {"items": [{"md5": digest}]})
            assert status == 201
            there.append(until(partial(found, other, digest), "an entry that was added is found"))
            assert found(writer, digest)
            entry = body["results"][0]["entry"]
            assert writer.ask("DELETE", f"/v1/banks/CONFIRMED/entries/{entry}") == (200, {"removed": 1})
            there.append(until(partial(clear, other, digest), "an entry that was removed is gone"))
            assert clear(writer, digest)
    # The best of six, for others use this machine, too.
    assert min(there) < 1, there
    assert max(there) < 10, there


def test_jobs_are_seen_and_a_worker_carries_them_out(platform: Platform, tmp_path: Path) -> None:
    """Each match has left a finding; the list has grown so far that the service asks for a snapshot, and gets it."""
    source = f"seen-{secrets.token_hex(8)}"
    assert platform.verdict(pdq=KNOWN_PDQ, source_id=source)["verdict"] == "match"
    findings = platform.ask("GET", "/v1/jobs?kind=finding&limit=1", platform.staff)
    assert findings.json()["items"][0]["state"] == "waiting"
    assert KNOWN_PDQ not in findings.text
    assert source not in findings.text

    def compactions() -> list[str]:
        found = platform.ask("GET", "/v1/jobs?kind=compact_bank", platform.staff).json()["items"]
        return [job["state"] for job in found]

    def snapshots() -> dict[str, int | None]:
        state = platform.ask("GET", "/v1/lists", platform.staff).json()
        assert state["ready"]
        return {bank["bank"]: bank["snapshot"] for bank in state["banks"]}

    until(compactions, "the service asks for a snapshot")
    assert set(compactions()) <= {"waiting", "done"}
    said = tmp_path / "said"
    environ = os.environ | dict(platform.place.environ)
    with said.open("wb") as errors, subprocess.Popen([REMPART, "worker"], env=environ, stderr=errors) as worker:
        try:
            until(lambda: set(compactions()) == {"done"}, "the worker does what waits")
            until(lambda: snapshots().get("LIST") is not None, "the snapshot is mapped")
        finally:
            worker.send_signal(signal.SIGTERM)
    assert worker.returncode == 0
    assert len(said.read_text().splitlines()) == 1  # that it is ready, and of no failure
    assert platform.verdict(sha256=platform.listed)["verdict"] == "match"


def test_in_the_evening_all_ends_in_good_order_and_the_record_is_whole(platform: Platform) -> None:
    """What the day's commands and requests changed stands in the audit by who did it; no look-up does, nor any hash."""
    digest = secrets.token_hex(16)
    added = platform.ask("POST", "/v1/banks/CONFIRMED/entries", platform.staff, json={"items": [{"md5": digest}]})
    assert added.status_code == 201
    platform.server.process.terminate()
    assert platform.server.process.wait(LONGEST_SECONDS) == 0
    assert platform.rempart("audit", "verify") == []
    with platform.place.open() as store:
        text = b"".join(audit.export(store, 1)).decode()
    rows = [json.loads(line) for line in text.splitlines()]
    acts = [(row["act"], row["actor"].partition(":")[0]) for row in rows]
    assert {("key_created", "cli"), ("bank_created", "cli"), ("hashes_imported", "cli")} <= set(acts)
    assert ("entries_added", "key") in acts
    assert not any(
        secret in text
        for secret in (KNOWN_PDQ, digest, platform.uploads, hashlib.sha256(platform.picture.read_bytes()).hexdigest())
    )

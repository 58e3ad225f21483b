"""The service on a disk that is full, and without anyone who reads what it logs."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.serving import Answer, Serving, bank_one, key_for, kill
from tests.stores import Place

from rempart.errors import ExitCode

KEPT, FILLER = "KEPT", "filler"
JSON = {"content-type": "application/json"}

# The command behind it finds its data, its temporary files and its log on a small disk of its own.
SMALL_DISK = """
set -e
before=$(mktemp -d)
cp -a "$0/." "$before"
mount -t tmpfs -o size=12m none "$0"
cp -a "$before/." "$0"
rm -rf "$before"
mkdir "$0/tmp"
export TMPDIR="$0/tmp"
exec "$@" 2>> "$0/log"
"""


def small_disk(folder: Path) -> Sequence[str]:
    """The command that makes a disk for another one; the test is skipped where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: unshare is missing or not allowed")
    return [unshare, "--mount", "sh", "-c", SMALL_DISK, str(folder)]


def filled(file: Path) -> None:
    """Write until nothing more fits."""
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4096))


def add(server: Serving, *, count: int = 200) -> tuple[Answer, list[str]]:
    """Bank some random digests."""
    digests = [secrets.token_hex(16) for _ in range(count)]
    body = b'{"items": [%s]}' % b", ".join(b'{"md5": "%s"}' % digest.encode() for digest in digests)
    return server.ask("POST", f"/v1/banks/{KEPT}/entries", key=server.key, content=body, headers=JSON), digests


def look_up(server: Serving, **hashes: str) -> Answer:
    """The answer about one item."""
    fields = ", ".join(f'"{kind}": "{value}"' for kind, value in hashes.items())
    body = f'{{"items": [{{{fields}}}]}}'.encode()
    return server.ask("POST", "/v1/match/hashes", key=server.key, content=body, headers=JSON)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A SQLite database with a bank to fill."""
    place = Place(tmp_path / "data")
    bank_one(place, KEPT)
    return place


def test_on_a_full_disk_what_is_kept_is_refused_and_all_else_goes_on(place: Place) -> None:
    """Writes and matches are 503, look-ups that only read are answered; with room again everything is as it was."""
    through = small_disk(place.folder)
    key = key_for(place)
    with Serving(place, workers=1, through=through, settings={"PROMPTS__PACKS": "canary"}) as server:
        server.key = key
        disk = Path(f"/proc/{server.process.pid}/root{place.folder}")
        workers = server.workers()
        first, known = add(server)
        assert first.status == 201
        acknowledged = len(known)
        filled(disk / FILLER)
        refused: list[Answer] = []
        deadline = time.monotonic() + 60
        while len(refused) < 4:  # the database may have some room of its own left
            assert time.monotonic() < deadline
            answer, digests = add(server)
            acknowledged += len(digests) if answer.status == 201 else 0
            refused += [answer] if answer.status != 201 else []
        assert {(one.status, one.json()["code"]) for one in refused} == {(503, "unavailable")}
        hit = look_up(server, md5=known[0])
        assert (hit.status, hit.json()["code"]) == (503, "unavailable")
        for _ in range(40):
            assert look_up(server, md5=secrets.token_hex(16)).json()["clear"] == 1
        screened = server.ask("POST", "/v1/screen", key=key, content=b'{"prompt": "a lighthouse"}', headers=JSON)
        assert screened.json()["verdict"] == "allow"
        picture = {"content-type": "image/jpeg"}
        uploaded = server.ask("POST", "/v1/match", key=key, content=bytes(1 << 20), headers=picture)
        assert uploaded.json()["unscannable"] == 1
        for path, status in (("/readyz", 200), ("/healthz", 200), ("/metrics", 200), ("/nothing", 404)):
            assert server.ask("GET", path, key=server.key).status == status
        assert server.workers() == workers
        assert (disk / "log").read_bytes() == b""
        (disk / FILLER).unlink()
        deadline = time.monotonic() + 30
        while (answer := add(server, count=1)[0]).status != 201:
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)
        assert look_up(server, md5=known[0]).json()["match"] == 1
        bank = server.ask("GET", f"/v1/banks/{KEPT}", key=server.key).json()
        assert bank["hashes"]["md5"] == acknowledged + 1
        assert server.workers() == workers
        server.process.terminate()
        assert server.process.wait(60) == ExitCode.CLEAN


def test_when_nobody_reads_its_log_the_service_goes_on(place: Place) -> None:
    """Also when it has much to say: a worker was killed, and each request is logged."""
    settings = {"PROMPTS__PACKS": "canary", "SERVE__LOG_REQUESTS": "all"}
    with Serving(place, workers=1, settings=settings) as server:
        server.key = key_for(place)
        assert server.process.stderr is not None
        server.process.stderr.close()
        for _ in range(10):
            assert server.ask("GET", "/nothing", key=server.key).status == 404
        first = server.workers()[0]
        kill(first)
        assert server.replaced(first)
        for _ in range(10):
            assert server.ask("GET", "/v1/banks", key=server.key).status == 200

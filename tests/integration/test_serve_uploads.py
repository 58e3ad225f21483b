"""Uploads of a hundred megabytes, over a real connection: read whole, refused early, and their memory given back."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving import Answer, Serving, bank_one, key_for, read_answer
from tests.stores import Place

MIB = 1 << 20
LIMIT = 100 * MIB
MEMORY = 150 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One worker with the default limit of an upload, and memory for one and a half of them."""
    place = Place(tmp_path_factory.mktemp("uploads") / "data")
    bank_one(place)
    settings = {"PROMPTS__PACKS": "canary", "MEDIA__WORKERS": "1", "SERVE__UPLOAD_MEMORY_BYTES": str(MEMORY)}
    with Serving(place, workers=1, settings=settings | {"SERVE__BODY_SECONDS": "10"}) as server:
        server.key = key_for(place)
        yield server
        assert '"failure"' not in server.logged()


def head(server: Serving, *headers: str, path: str = "/v1/hash") -> bytes:
    """The head of an upload."""
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {server.key}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def uploaded(server: Serving, content: bytes, kind: str = "image/jpeg") -> Answer:
    """The answer to a file as the body; sent without a copy of it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        headers = {"content-type": kind, "authorization": f"Bearer {server.key}"}
        connection.request("POST", "/v1/hash", body=content, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())


def held(server: Serving) -> int:
    """How many bytes of uploads the worker holds: nameless files in memory that it has open."""
    [worker] = server.workers()
    total = 0
    for name in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "rempart-upload" in os.readlink(name):  # noqa: PTH115 -- no file is there, only the name
                total += name.stat().st_size
    return total


def resident(server: Serving) -> int:
    """The worker's own memory, in bytes."""
    [worker] = server.workers()
    return int(Path(f"/proc/{worker}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def until_held(server: Serving, low: int, high: int) -> None:
    """Wait until the worker holds so much of uploads."""
    deadline = time.monotonic() + 30
    while not low <= (found := held(server)) <= high:
        assert time.monotonic() < deadline, f"{found} bytes are held"
        time.sleep(0.02)


def test_an_upload_of_just_the_limit_is_read_whole_and_its_memory_given_back(server: Serving) -> None:
    """By body and by form, one after the other; the second needs the memory of the first."""
    content = os.urandom(MIB) * 100
    assert len(content) == LIMIT
    sha256 = hashlib.sha256(content).hexdigest()
    before = resident(server)
    for _ in range(2):
        answer = uploaded(server, content)
        assert answer.status == 200, answer.content
        assert answer.json()["results"][0]["sha256"] == sha256
        until_held(server, 0, 0)
    inside = content[: LIMIT - 1000]
    form = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n' + inside + b"\r\n--b--\r\n"
    answer = uploaded(server, form, "multipart/form-data; boundary=b")
    assert answer.json()["results"][0]["sha256"] == hashlib.sha256(inside).hexdigest()
    until_held(server, 0, 0)
    assert resident(server) - before < 64 * MIB


def test_an_upload_that_says_that_it_is_larger_is_refused_before_it_is_sent(server: Serving) -> None:
    """413 to the head alone; a client that asks whether it may send is not told to go on."""
    too_much = f"content-length: {LIMIT + 1}"
    for more in ((), ("expect: 100-continue",)):
        with server.connect() as connection:
            connection.sendall(head(server, "content-type: image/jpeg", too_much, *more))
            answer = read_answer(connection)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=b"])
def test_an_upload_that_turns_out_to_be_larger_is_refused_at_the_limit(server: Serving, kind: str) -> None:
    """Whoever does not say how much comes is answered as soon as it is too much, and what came is given back."""
    start = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n' if "form" in kind else b""
    piece = bytes(MIB)
    with server.connect() as connection:
        connection.sendall(head(server, f"content-type: {kind}", "transfer-encoding: chunked"))
        if start:
            connection.sendall(b"%x\r\n" % len(start) + start + b"\r\n")
        for _ in range(100):
            connection.sendall(b"%x\r\n" % MIB + piece + b"\r\n")
        if not start:
            until_held(server, LIMIT, LIMIT)
        connection.sendall(b"1\r\nx\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 413 ")
        until_held(server, 0, 0)


def test_what_there_is_no_memory_for_is_told_to_come_again_and_finds_room_when_others_went(server: Serving) -> None:
    """503 with Retry-After; a client that breaks off leaves nothing behind."""
    with server.connect() as slow:
        slow.sendall(head(server, "content-type: image/jpeg", f"content-length: {LIMIT}"))
        slow.sendall(bytes(LIMIT - 1))
        until_held(server, LIMIT - 1, LIMIT)
        answer = uploaded(server, bytes(60 * MIB))
        assert (answer.status, answer.json()["code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert uploaded(server, bytes(40 * MIB)).status == 200
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until_held(server, 0, 0)
    assert uploaded(server, bytes(60 * MIB)).status == 200


def test_an_upload_for_which_the_system_has_no_room_is_told_to_come_again(server: Serving) -> None:
    """As when the process may write no more, or open no more files; it recovers by itself."""
    [worker] = server.workers()
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (MIB, before[1]))
    answer = uploaded(server, bytes(2 * MIB))
    resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    assert (answer.status, answer.json()["code"]) == (503, "overloaded")
    with server.connect() as connection:  # taken while there are descriptors
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, before[1]))
        connection.sendall(head(server, "content-type: image/jpeg", "content-length: 5") + b"hello")
        refused = read_answer(connection)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert uploaded(server, bytes(2 * MIB)).status == 200
    until_held(server, 0, 0)

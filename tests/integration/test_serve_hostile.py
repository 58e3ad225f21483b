"""Clients that are broken or mean harm, against a real server: none hurts it, and all others get their answers."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.serving import Serving, bank_one, key_for
from tests.stores import Place

from rempart.lists import list_banks

BODY = b'{"items": [{"pdq": "' + b"0f" * 32 + b'"}]}'
LATE = 1.0
"""So many seconds the server waits for headers and bodies here."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that all of these tests ask; none of them may make it fail, or kill its worker."""
    place = Place(tmp_path_factory.mktemp("hostile") / "data")
    bank_one(place)
    limits = {"CONNECTIONS": "64", "HEADER_BYTES": "8192", "HEADER_SECONDS": str(LATE), "BODY_SECONDS": str(LATE)}
    settings = {f"SERVE__{name}": value for name, value in limits.items()}
    more = {"PROMPTS__PACKS": "canary", "MEDIA__WORKERS": "1"}
    with Serving(place, workers=1, settings=settings | more) as server:
        server.key = key_for(place)
        workers = server.workers()
        yield server
        assert server.workers() == workers
        assert [line for line in server.logged().splitlines() if '"failure"' in line] == []


def post(path: str, key: str, *headers: str) -> bytes:
    """The head of a request, without the empty line that ends it."""
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {key}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode()


def sized(body: bytes) -> str:
    """The header that tells a body's length."""
    return f"content-length: {len(body)}"


def everything(connection: socket.socket, seconds: float = 20) -> bytes:
    """All that comes until the server ends the connection."""
    connection.settimeout(seconds)
    read = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            read += chunk
    return read


def statuses(answers: bytes) -> list[int]:
    """The statuses of the answers that came."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answers)]


def gauge(server: Serving, name: str) -> float:
    """A number of the metrics, all its labels together."""
    text = server.ask("GET", "/metrics", key=server.key).content.decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def until(server: Serving, name: str, low: float, high: float, seconds: float = 20) -> None:
    """Wait until a number of the metrics lies between two."""
    deadline = time.monotonic() + seconds
    while not low <= (found := gauge(server, name)) <= high:
        assert time.monotonic() < deadline, f"{name} is {found}"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "headers",
    [
        ["transfer-encoding: chunked", sized(BODY)],
        [sized(BODY), "content-length: 3"],
        ["content-length: -1"],
        ["content-length: +5"],
        ["content-length: 99999999999999999999999"],
        ["transfer-encoding: gzip"],
        ["transfer-encoding: chunked, gzip"],
        ["transfer-encoding: xchunked"],
        ["x: a\r\n folded: b", sized(BODY)],
        ["x: a\0b", sized(BODY)],
        ["x : a", sized(BODY)],
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_not_read(server: Serving, headers: Sequence[str]) -> None:
    """One answer, and the end: what a proxy takes for the rest of a body must not become somebody's next request."""
    with server.connect() as connection:
        request = post("/v1/match/hashes", server.key, *headers) + b"\r\n" + BODY
        connection.sendall(request + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert statuses(everything(connection)) == [400]


def test_a_wish_for_another_protocol_is_not_granted_and_costs_no_body(server: Serving) -> None:
    """Some clients wish so with their first request; it is answered like any other, and so is the next."""
    wish = ["connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "http2-settings: AAA"]
    head = post("/v1/match/hashes", server.key, "content-type: application/json", sized(BODY), *wish) + b"\r\n"
    with server.connect() as connection:
        connection.sendall(head + BODY)
        connection.sendall(post("/v1/match/hashes", server.key, "connection: close", sized(BODY)) + b"\r\n" + BODY)
        assert statuses(everything(connection)) == [200, 200]
    smuggled = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    for cut in (10, len(head) - 3):
        with server.connect() as connection:
            connection.sendall(head[:cut])
            time.sleep(0.1)
            connection.sendall(head[cut:] + smuggled)
            assert statuses(everything(connection)) == [400]


def test_what_comes_behind_a_body_is_no_header_and_has_a_limit(server: Serving) -> None:
    """Trailers can bring no key, and nobody can send them for ever."""
    chunked = b"transfer-encoding: chunked\r\n\r\n0\r\n"
    with server.connect() as connection:
        head = b"POST /v1/match/hashes HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        connection.sendall(head + chunked + f"authorization: Bearer {server.key}\r\n\r\n".encode())
        assert statuses(everything(connection)) == [401]
    with server.connect() as connection:
        connection.sendall(post("/v1/match/hashes", server.key) + chunked + b"a: b\r\n" * 2_000)
        assert statuses(everything(connection)) == [431]


def test_requests_that_end_and_begin_in_one_piece_are_not_taken_for_long_headers(server: Serving) -> None:
    """Of a long body and the next request behind it, only what is that one's header counts."""
    body = BODY + b" " * 20_000
    both = post("/v1/match/hashes", server.key, sized(body)) + b"\r\n" + body + b"GET /healthz HTTP/1.1\r\n"
    with server.connect() as connection:
        connection.sendall(both)
        time.sleep(0.2)
        connection.sendall(b"host: x\r\nconnection: close\r\n\r\n")
        assert statuses(everything(connection)) == [200, 200]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/match/hashes", "text/plain"),
        ("/v1/match/hashes", "image/jpeg"),
        ("/v1/match/hashes", "multipart/form-data; boundary=x"),
        ("/v1/match/hashes", "application/json; charset=utf-16"),
        ("/v1/screen", "application/x-www-form-urlencoded"),
        ("/v1/hash", "application/json"),
        ("/v1/hash", "text/html"),
        ("/v1/match", ""),
        ("/v1/match", "\xff\xfe"),
    ],
)
def test_a_body_of_the_wrong_type_is_refused_by_its_type(server: Serving, path: str, kind: str) -> None:
    """Whatever is in it."""
    answer = server.ask("POST", path, key=server.key, content=BODY, headers={"content-type": kind})
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "deflate", "br", "zstd", "x-gzip", "identity, gzip", "gzip, gzip", "aes128gcm"]
)
@pytest.mark.parametrize("path", ["/v1/match/hashes", "/v1/match", "/hma/c/banks", "/nothing"])
def test_a_coded_body_is_refused_before_it_is_opened(server: Serving, path: str, coding: str) -> None:
    """A gigabyte of zeros is a megabyte when compressed, and a kilobyte when compressed twice."""
    bomb = gzip.compress(gzip.compress(bytes(1 << 20)))
    kind = {"content-type": "application/json", "content-encoding": coding}
    answer = server.ask("POST", path, key=server.key, content=bomb, headers=kind)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
    assert server.ask("POST", path, content=bomb, headers=kind).status == 401


def test_a_body_coded_on_its_way_is_refused_too(server: Serving) -> None:
    """By transfer coding, which a parser of HTTP lets pass as it came."""
    packed = gzip.compress(BODY)
    head = post("/v1/match/hashes", server.key, "transfer-encoding: gzip, chunked", "connection: close")
    with server.connect() as connection:
        connection.sendall(head + b"\r\n%x\r\n" % len(packed) + packed + b"\r\n0\r\n\r\n")
        assert statuses(everything(connection)) == [415]


def test_files_that_unpack_to_very_much_are_unscannable_and_cost_little(server: Serving) -> None:
    """A compressed file is no picture; a small picture of 50,000 by 50,000 dots is not drawn."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 24), 9)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    begun = time.monotonic()
    for content, reason in ((gzip.compress(bytes(1 << 24)), "unsupported_format"), (png, "too_many_pixels")):
        answer = server.ask("POST", "/v1/match", key=server.key, content=content, headers={"content-type": "image/png"})
        [row] = answer.json()["results"]
        assert (row["verdict"], row["reasons"]) == ("unscannable", [reason])
    assert time.monotonic() - begun < 20


def test_json_that_breaks_readers_breaks_no_route(server: Serving) -> None:
    """Nested without end, numbers of any length, half of a pair of surrogates: each route with a body says 4xx."""
    nasty = [b"[" * 200_000, b'{"a":' * 50_000, b"9" * 5_000, b'"\\ud800"', b"1e9999", b"\xff", b"", b"\0", b"{}" * 9]
    described = server.ask("GET", "/schema/openapi.json", key=server.key).json()["paths"]
    routes = [(method.upper(), re.sub(r"\{[^}]*\}", "1", path)) for path in described for method in described[path]]
    bodied = [route for route in routes if route[0] in {"POST", "PUT", "PATCH"}]
    assert len(bodied) > 20
    assert any(path.startswith("/hma/") for _, path in bodied)
    kind = {"content-type": "application/json"}
    for method, path in bodied:
        for content in nasty:
            answer = server.ask(method, path, key=server.key, content=content, headers=kind)
            assert answer.status < 500 or answer.json()["code"] == "nothing_to_compare", (method, path, content[:20])


def test_many_who_send_a_byte_now_and_then_hold_up_nobody(server: Serving) -> None:
    """Slow headers, bodies and uploads, with a key and without: all are ended in time, others answered meanwhile."""
    heads = [
        b"GET /healthz HTTP/1.1\r\nx: ",
        post("/v1/match/hashes", server.key, "content-type: application/json", "content-length: 9999") + b"\r\n",
        post("/v1/hash", server.key, "content-type: image/jpeg", "transfer-encoding: chunked") + b"\r\nffff\r\n",
        post("/v1/hash", "rk_none", "content-type: image/jpeg", "content-length: 9999") + b"\r\n",
    ]
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(server.connect()) for _ in range(48)]
        for number, connection in enumerate(slow):
            connection.sendall(heads[number % 4])
        begun = time.monotonic()
        while time.monotonic() < begun + LATE + 2.5:
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.send(b"y")
            asked = time.monotonic()
            assert server.ask("GET", "/healthz").status == 200
            assert time.monotonic() - asked < LATE
            time.sleep(0.1)
        answers = [statuses(everything(connection, 5)) for connection in slow]
    assert answers == [[408], [408], [408], [401]] * 12
    until(server, "rempart_http_connections", 0, 1)


def test_who_sends_very_many_requests_at_once_is_answered_a_few_and_takes_no_memory(server: Serving) -> None:
    """Each packet can hold thousands of them, and nobody needs a key to send it."""
    [worker] = server.workers()
    held = resident(worker)
    many = b"GET /nothing HTTP/1.1\r\n\r\n" * 10_000
    with contextlib.ExitStack() as opened:
        flood = [opened.enter_context(server.connect()) for _ in range(20)]
        for connection in flood:
            connection.send(many, socket.MSG_DONTWAIT)
        answered = [statuses(everything(connection)) for connection in flood]
    assert {status for one in answered for status in one} == {401}
    assert max(map(len, answered)) < 100
    assert resident(worker) - held < 64 << 20
    assert server.ask("GET", "/healthz").status == 200


def test_who_asks_for_much_and_reads_nothing_is_cut_off(server: Serving) -> None:
    """Answers that nobody takes are not gathered in memory."""
    before = gauge(server, "rempart_http_refused_connections_total")
    [worker] = server.workers()
    held = resident(worker)
    with contextlib.ExitStack() as opened:
        for _ in range(4):
            greedy = opened.enter_context(socket.socket())
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.connect(("127.0.0.1", server.port))
            one = f"GET /schema/openapi.json HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n\r\n"
            with contextlib.suppress(BlockingIOError):
                greedy.send(one.encode() * 30, socket.MSG_DONTWAIT)
        until(server, "rempart_http_refused_connections_total", before + 4, before + 4)
        assert resident(worker) - held < 64 << 20


def test_who_stops_in_the_midst_is_forgotten_and_nothing_is_done(server: Serving) -> None:
    """Half of a request and then the end, or a reset; and a whole one whose client cannot be told."""
    body = b'{"name": "NEVER_WHOLE"}'
    head = post("/v1/banks", server.key, "content-type: application/json", sized(body)) + b"\r\n"
    for sent in (b"", head[:30], head, head + body[:-1], post("/v1/hash", server.key, "content-type: image/jpeg")):
        with server.connect() as half:
            half.sendall(sent)
            half.shutdown(socket.SHUT_WR)
            assert everything(half) == b""
        with server.connect() as reset:
            reset.sendall(sent)
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with server.connect() as gone:
        gone.sendall(head.replace(b"23", b"22") + b'{"name": "WHOLE_BANK"}')
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with server.connect() as half:
        half.sendall(post("/v1/match/hashes", server.key, sized(BODY)) + b"\r\n" + BODY)
        half.shutdown(socket.SHUT_WR)
        answer = everything(half)
    assert statuses(answer) == [200]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["given"] == 1
    until(server, "rempart_http_connections", 0, 1)
    with server.place.open() as store:
        assert "NEVER_WHOLE" not in [bank.name for bank in list_banks(store)]


def resident(pid: int) -> int:
    """The memory that a process holds, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096

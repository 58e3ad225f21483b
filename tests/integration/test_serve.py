from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.serving import Serving, bank_one, gone, key_for, kill, read_answer
from tests.stores import Place

from rempart.errors import ExitCode

Start = Callable[..., Serving]


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts `rempart serve`; all of them end with the test."""
    with contextlib.ExitStack() as running:
        yield lambda place, **settings: running.enter_context(Serving(place, **settings))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A SQLite database with one banked hash."""
    place = Place(tmp_path / "data")
    bank_one(place)
    return place


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that many tests ask, with tight limits and every request logged."""
    place = Place(tmp_path_factory.mktemp("served"))
    bank_one(place)
    limits = {"CONNECTIONS": "64", "HEADER_BYTES": "4096", "HEADER_SECONDS": "1", "BODY_SECONDS": "1"}
    settings = {f"SERVE__{name}": value for name, value in limits.items()}
    with Serving(place, workers=2, settings=settings | {"SERVE__LOG_REQUESTS": "all"}) as server:
        server.key = key_for(place)
        yield server


def test_one_line_says_where_it_serves_when_look_ups_work_in_every_worker(stores: Place, start: Start) -> None:
    """Whoever started it reads one line and can go on, on both stores; SIGTERM ends it cleanly."""
    bank_one(stores)
    server = start(stores, workers=2)
    assert re.fullmatch(r"rempart serves at http://127\.0\.0\.1:[0-9]+\n", server.line)
    assert len(server.workers()) == 2
    for _ in range(10):  # whichever worker answers
        assert server.ask("GET", "/healthz").content == b"alive\n"
        assert server.ask("GET", "/readyz").content == b"ready\n"
    server.process.terminate()
    assert server.process.wait(30) == ExitCode.CLEAN
    assert server.process.stdout is not None
    assert server.process.stdout.read() == b""


def test_it_is_alive_and_not_ready_until_a_blocking_bank_holds_something(tmp_path: Path, start: Start) -> None:
    """With nothing to compare, nothing is clear: 503, and the ready line comes when there is something."""
    place = Place(tmp_path / "data")
    server = start(place, ready=False)
    assert server.ask("GET", "/healthz").status == 200
    answer = server.ask("GET", "/readyz")
    assert (answer.status, answer.json()["code"]) == (503, "nothing_to_compare")
    assert answer.headers["content-type"] == "application/problem+json"
    bank_one(place)
    assert server.ready_line().startswith("rempart serves at ")
    assert server.ask("GET", "/readyz").status == 200


def test_a_worker_that_is_killed_is_replaced_and_the_others_answer_meanwhile(server: Serving) -> None:
    """The socket is the server's, so no connection is lost that nobody had taken."""
    first, second = server.workers()
    kill(first)
    for _ in range(20):
        assert server.ask("GET", "/healthz").status == 200
    assert server.replaced(first)
    assert second in server.workers()
    assert "a worker ended unexpectedly (signal 9); another takes its place" in server.logged()


def test_workers_end_when_the_server_is_killed(place: Place, start: Start) -> None:
    """None is left behind that would hold the port."""
    server = start(place, workers=2)
    workers = server.workers()
    kill(server.process.pid)
    assert gone(workers)


def test_what_was_accepted_is_answered_when_it_is_told_to_stop(place: Place, start: Start) -> None:
    """A request of which a part has arrived is finished; connections without one are closed."""
    server = start(place)
    with server.connect() as idle, server.connect() as asking:
        asking.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        time.sleep(0.3)
        server.process.terminate()
        assert idle.recv(1) == b""
        asking.sendall(b"\r\n")
        assert read_answer(asking).startswith(b"HTTP/1.1 200 OK")
        assert asking.recv(1) == b""  # and that was the last one
    assert server.process.wait(30) == ExitCode.CLEAN


def test_interrupted_at_the_terminal_it_says_so_by_its_exit_code(place: Place, start: Start) -> None:
    """Ctrl-C finishes work as SIGTERM does."""
    server = start(place)
    server.process.send_signal(2)
    assert server.process.wait(30) == ExitCode.INTERRUPTED


def test_a_port_that_is_taken_is_said_in_one_line(server: Serving) -> None:
    """Exit code 4: something is unavailable."""
    ended = subprocess.run(
        [Path(sys.executable).with_name("rempart"), "serve", "--port", str(server.port)],
        env=dict(server.place.environ),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == ExitCode.UNAVAILABLE
    assert ended.stderr.decode() == f"rempart: cannot listen on 127.0.0.1 port {server.port}: Address already in use\n"


def test_what_is_wrong_with_the_settings_ends_it_at_once(place: Place) -> None:
    """A worker that could never work is not started again and again."""
    ended = subprocess.run(
        [Path(sys.executable).with_name("rempart"), "serve", "--port", "0"],
        env=dict(place.environ) | {"REMPART__PROMPTS__PACKS": str(place.folder / "nothing")},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == ExitCode.USAGE
    assert ended.stdout == b""


def test_numbers_of_all_workers_are_counted_together_and_survive_one(server: Serving) -> None:
    """Whichever worker is asked tells of all, and one that takes a dead one's place counts on."""

    def answered() -> float:
        text = server.ask("GET", "/metrics", key=server.key).content.decode()
        found = re.findall(r'rempart_http_requests_total\{method="GET",route="/healthz",status="200"\} (\S+)', text)
        return sum(map(float, found))

    before = answered()
    for _ in range(40):
        assert server.ask("GET", "/healthz").status == 200
    assert answered() == before + 40
    first = server.workers()[0]
    kill(first)
    server.ask("GET", "/healthz")
    assert server.replaced(first)
    assert answered() == before + 41


def test_logs_are_json_without_keys_paths_or_addresses(server: Serving) -> None:
    """A key in a path is the worst that could be logged, and names of files the next."""
    key = server.key
    asked = [
        (f"/hma/k/{key}/hidden-name.jpg", ""),
        ("/hidden-name.jpg?url=https://hidden-host/", key),
        (f"/k/{key}/hidden-name.jpg", ""),
        ("/metrics", key),
    ]
    statuses = [server.ask("GET", path, key=key).status for path, key in asked]
    assert statuses == [404, 404, 401, 200]
    time.sleep(0.2)
    text = server.logged()
    for secret in (key, "hidden", "127.0.0.1"):
        assert secret not in text
    # What the parent says of its workers is for people.
    lines = [json.loads(line) for line in text.splitlines() if not line.startswith("a worker ended ")]
    routes = Counter(line["route"] for line in lines if line["event"] == "request")
    assert routes[""] >= 3
    assert routes["/metrics"] >= 1
    assert set(routes) <= {"", "/metrics", "/healthz", "/readyz"}
    assert all(line["request_id"] and line["ms"] >= 0 for line in lines if line["event"] == "request")


def test_a_request_that_arrives_too_slowly_is_ended(server: Serving) -> None:
    """A byte now and then keeps nothing open, neither in the headers nor before them."""
    begun = time.monotonic()
    for start, drip in ((b"GET /healthz HTTP/1.1\r\n", b"x: y\r\n"), (b"", b"\r\n")):
        with server.connect() as slow:
            slow.sendall(start)
            with contextlib.suppress(OSError):
                for _ in range(200):
                    slow.sendall(drip)
                    if _readable(slow, 0.1):
                        break
            assert b" 408 " in read_answer(slow)
    with server.connect() as slow:
        slow.sendall(b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf")
        assert b" 401 " in read_answer(slow)  # answered at once, for nobody sent it; then it is closed
        assert slow.recv(1) == b""
    assert time.monotonic() - begun < 30
    assert server.ask("GET", "/healthz").status == 200


def test_headers_beyond_the_limit_are_refused_at_once_or_in_pieces(server: Serving) -> None:
    """431, whether they ever end or not."""
    for request in (
        b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 5000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 5000,
        b"GET /" + b"y" * 5000,
    ):
        with server.connect() as connection:
            connection.sendall(request)
            assert read_answer(connection).startswith(b"HTTP/1.1 431 ")
            assert connection.recv(1) == b""
    assert server.ask("GET", "/healthz").status == 200


def test_what_is_not_http_gets_one_answer_and_nothing_more(server: Serving) -> None:
    """Also a handshake of TLS, which people send to the wrong port."""
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
    ):
        with server.connect() as connection:
            connection.sendall(nonsense)
            answer = read_answer(connection)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "invalid"
    assert server.ask("GET", "/healthz").status == 200


def test_a_half_closed_connection_gets_its_answer(server: Serving) -> None:
    """Some clients say that they have sent all, and then wait."""
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert read_answer(connection).startswith(b"HTTP/1.1 200 OK")
        assert connection.recv(1) == b""


def test_requests_sent_together_are_answered_in_order(server: Serving) -> None:
    """Pipelining, with the last one cut off by the end of the connection."""
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        connection.shutdown(socket.SHUT_WR)
        answers = b""
        while chunk := connection.recv(65_536):
            answers += chunk
        assert answers.count(b"HTTP/1.1 200 OK") == 3


def test_ten_thousand_connections_are_refused_in_an_orderly_way(place: Place, start: Start) -> None:
    """Each gets a whole answer, 503, and the ones that were there before are still served."""
    server = start(place, settings={"SERVE__CONNECTIONS": "64", "SERVE__HEADER_SECONDS": "300"})
    with contextlib.ExitStack() as opened:
        kept = opened.enter_context(server.connect())
        held = [opened.enter_context(server.connect()) for _ in range(63)]
        time.sleep(0.5)
        refused = 0
        for _ in range(100):
            crowd = [server.connect() for _ in range(100)]
            for one in crowd:
                with one:
                    answer = read_answer(one)
                    assert answer.startswith(b"HTTP/1.1 503 ")
                    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "overloaded"
                    refused += 1
        assert refused == 10_000
        kept.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_answer(kept).startswith(b"HTTP/1.1 200 OK")
        for one in held:
            one.close()
    time.sleep(0.5)
    assert server.ask("GET", "/healthz").status == 200


def test_compressed_bodies_are_not_taken(server: Serving) -> None:
    """A few bytes could stand for very many."""
    answer = server.ask("POST", "/anything", key=server.key, content=b"x", headers={"content-encoding": "gzip"})
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")


def test_many_clients_at_once_are_all_answered(server: Serving) -> None:
    """Both workers take connections from the one socket."""
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(20):
            statuses.append(server.ask("GET", "/healthz").status)  # noqa: PERF401 -- others append too

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 160


def _readable(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK)) or True
    except TimeoutError:
        return False
    finally:
        connection.settimeout(30)

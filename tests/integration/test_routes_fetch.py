"""URLs that a caller names: what is fetched for it, and that nothing else can be reached through the service."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from tests.integration.hma_caller import Files, drawing
from tests.integration.v1_caller import calling
from tests.serving import Answer, Serving, key_for
from tests.stores import Place

from rempart.lists import Content, HashValue, add_contents, create_bank
from rempart.settings import FetchSettings
from rempart.store.tables import HashKind
from rempart.web.app import create_app
from rempart.web.fetch import Fetcher

Serve = Callable[..., Any]

NAME = "pictures.example"
SECONDS = 2.0
LIMIT = 1 << 20


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    """A web server that the service may ask."""
    with Files() as files:
        yield files


@pytest.fixture(scope="module")
def inside() -> Iterator[Files]:
    """A web server beside it that the service may not ask."""
    with Files() as inside:
        inside.put("/latest/credentials", b"secret", "text/plain")
        yield inside


@pytest.fixture(scope="module")
def endless() -> Iterator[str]:
    """Host and port of a web server whose answers never end."""
    over = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not over.wait(0.05):
                    self.wfile.write(b"x")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name is given
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Drip) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{listening.server_port}"
        over.set()
        listening.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, files: Files, endless: str) -> Iterator[Serving]:
    """A service that may ask one host by its address, and by a name that leads inside too."""
    place = Place(tmp_path_factory.mktemp("fetch") / "data")
    sha256 = hashlib.sha256(drawing(1)).digest()
    with place.open() as store:
        create_bank(store, "LIST")
        add_contents(store, "LIST", [Content((HashValue(HashKind.SHA256, sha256),))])
    port = files.host.rpartition(":")[2]
    config = place.folder / "rempart.toml"
    config.write_text(
        f"[fetch]\nseconds = {SECONDS}\n"
        f'allow_hosts = ["{files.host}", "{endless}", "localhost:{port}", "169.254.169.254:80"]\n'
        f'[serve]\nupload_bytes = {LIMIT}\n[prompts]\npacks = "canary"\n[media]\nworkers = 1\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REMPART_CONFIG", str(config))
        with Serving(place, workers=1) as server:
            server.key = key_for(place)
            yield server
            assert '"failure"' not in server.logged()


def ask(server: Serving, path: str, *urls: str) -> Answer:
    """The answer about some URLs."""
    content = json.dumps({"items": [{"url": url} for url in urls]}).encode()
    headers = {"content-type": "application/json"}
    return server.ask("POST", path, key=server.key, content=content, headers=headers)


def test_what_a_url_names_is_fetched_hashed_and_matched(server: Serving, files: Files) -> None:
    """Several in one call, one of them behind a redirect at the same host."""
    known, other = files.put("/known.png", drawing(1)), files.put("/other.png", drawing(2))
    moved = files.put("/moved.png", b"", status=302, location="/known.png")
    rows = ask(server, "/v1/match/urls", known, other, moved).json()["results"]
    assert [row["verdict"] for row in rows] == ["match", "clear", "match"]
    assert {match["bank"] for row in rows for match in row["matches"]} == {"LIST"}
    hashed = ask(server, "/v1/hash/urls", known).json()["results"][0]
    assert (hashed["status"], hashed["format"]) == ("hashed", "png")
    assert server.ask("GET", f"/hma/h/hash?url={known}", key=server.key).json() == {"pdq": hashed["pdq"]}


def test_nothing_that_is_not_allowed_can_be_reached_through_it(server: Serving, files: Files, inside: Files) -> None:
    """By redirects, by names that lead inside, or by size and time; and all of it looks alike to who asked."""
    port = files.host.rpartition(":")[2]
    urls = [
        files.put("/a", b"", status=302, location="http://169.254.169.254/latest/"),
        files.put("/b", b"", status=307, location=f"http://{inside.host}/latest/credentials"),
        files.put("/c", b"", status=302, location="file:///etc/passwd"),
        files.put("/d", b"", status=302, location=f"http://{files.host}/d"),
        files.put("/e", bytes(LIMIT + 1)),
        files.put("/f", drawing(1), **{"content-encoding": "gzip"}),
        files.put("/g", drawing(1), status=500),
        f"http://{files.host}/nothing",
        f"http://localhost:{port}/known.png",
        "http://169.254.169.254/latest/",
    ]
    before = len(inside.asked)
    for path in ("/v1/match/urls", "/v1/hash/urls"):
        bodies = []
        for url in urls:
            answer = ask(server, path, url)
            body = answer.json()
            del body["request_id"]
            bodies.append((answer.status, body))
        assert all(body == bodies[0] for body in bodies), bodies
        assert (bodies[0][0], bodies[0][1]["code"]) == (400, "fetch_failed")
        refused = ask(server, path, f"http://{inside.host}/latest/credentials")
        assert (refused.status, refused.json()["code"]) == (403, "fetch_refused")
    assert len(inside.asked) == before


def test_hosts_that_never_come_to_an_end_are_given_up_and_hold_up_nobody(server: Serving, endless: str) -> None:
    """A few bytes now and then are no reason to wait longer than was set; meanwhile others are answered."""
    answers: list[tuple[int, float]] = []

    def wait() -> None:
        begun = time.monotonic()
        answers.append((ask(server, "/v1/hash/urls", f"http://{endless}/").status, time.monotonic() - begun))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        assert server.ask("GET", "/v1/lists", key=server.key).status == 200
        assert time.monotonic() - begun < SECONDS
        time.sleep(0.1)
    assert [status for status, _ in answers] == [400] * 4
    assert all(SECONDS <= seconds < SECONDS + 5 for _, seconds in answers)


def test_a_name_whose_address_changes_between_look_and_leap_leads_nowhere_else(serve: Serve, tmp_path: Path) -> None:
    """It is resolved once for each connection and connected to as it was checked; a redirect is a new look."""
    moved = b"HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"
    server = serve(lambda connection: connection.sendall(moved))
    given: list[Sequence[str]] = []
    asked: list[str] = []

    def resolve(name: str, _: int) -> Sequence[str]:
        asked.append(name)
        return given.pop(0)

    settings = FetchSettings(allow_hosts=(f"{NAME}:{server.port}",), allow_private=True, seconds=SECONDS)
    with calling(Place(tmp_path / "data"), fetch=settings) as caller:
        fetcher = Fetcher(settings, max_bytes=LIMIT, resolve=resolve)
        app = create_app(dataclasses.replace(caller.services, fetcher=fetcher))
        with TestClient(app) as client:
            client.headers["authorization"] = f"Bearer {caller.all_scopes}"
            url = f"http://{NAME}:{server.port}/a"

            def code() -> str:
                answer = client.post("/v1/hash/urls", json={"items": [{"url": url}]})
                assert answer.status_code == 400
                return str(answer.json()["code"])

            given[:] = [["127.0.0.1"], ["169.254.169.254"]]
            assert code() == "fetch_failed"
            assert (server.connections, asked) == (1, [NAME] * 2)
            given[:] = [["127.0.0.1", "169.254.169.254"]]
            assert code() == "fetch_failed"
            assert server.connections == 1
            given[:] = [["169.254.169.254"], ["127.0.0.1"]]
            assert code() == "fetch_failed"
            assert (server.connections, given) == (1, [["127.0.0.1"]])

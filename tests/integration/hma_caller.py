"""The API of HMA as its clients ask it, pictures for it, and a web server on this machine whose URLs they name."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx
import numpy as np
from PIL import Image
from tests.integration.v1_caller import Caller, calling
from tests.stores import Place

from rempart.people import list_usage
from rempart.settings import FetchSettings
from rempart.store.service_tables import audit_log, jobs

VERDICT = "x-rempart-verdict"
REASONS = "x-rempart-reasons"


class Hma:
    """Asks a service under ``/hma``, with a key of all scopes unless another one is given.

    Attributes:
        caller: makes keys, and asks what lies elsewhere.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def ask(self, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:  # noqa: ANN401 -- as httpx takes them
        """One request; ``key=""`` sends none."""
        key = self.caller.all_scopes if key is None else key
        return self.caller.ask(method, f"/hma{path}", key=key, follow_redirects=False, **more)

    def get(self, path: str, *, key: str | None = None, **query: object) -> httpx.Response:
        """GET with a query."""
        return self.ask("GET", path, key=key, params=query)

    def lookup(self, signal: str, kind: str = "pdq", *, key: str | None = None, **query: object) -> Any:  # noqa: ANN401 -- what was sent
        """What a look-up of a signal finds."""
        answer = self.get("/m/lookup", key=key, signal=signal, signal_type=kind, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def raw(self, signal: str, kind: str = "pdq", *, key: str | None = None) -> list[int]:
        """The numbers that a raw look-up finds."""
        answer = self.get("/m/raw_lookup", key=key, signal=signal, signal_type=kind)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"matches"}
        return sorted(answer.json()["matches"])

    def upload(
        self, path: str, content: bytes, field: str = "photo", *, key: str | None = None, **query: object
    ) -> httpx.Response:
        """A form with one file."""
        return self.ask("POST", path, key=key, files={field: ("hidden.bin", content)}, params=query)

    def bank(self, name: str, **settings: object) -> str:
        """Make a bank; its name."""
        answer = self.ask("POST", "/c/banks", json={"name": name} | settings)
        assert answer.status_code == 201, answer.text
        return name

    def signal(self, bank: str, **signals: str) -> int:
        """Bank signals; the number of the content."""
        answer = self.ask("POST", f"/c/bank/{bank}/signal", json=signals)
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["id"]
        return number

    def change(self, path: str, **settings: object) -> Any:  # noqa: ANN401 -- what was sent
        """Change a bank, a content or a type of signal."""
        answer = self.ask("PUT", path, json=settings)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def findings(self, key: str | None = None) -> list[dict[str, Any]]:
        """What a key's look-ups have put into the outbox, the oldest first."""
        number = self.caller.number(self.caller.all_scopes if key is None else key)
        with self.caller.services.store.read() as connection:
            rows = connection.execute(jobs.select().where(jobs.c.kind == "finding").order_by(jobs.c.id))
            found = [json.loads(row.payload) for row in rows]
        return [one for one in found if one["key"] == number]

    def counts(self, key: str) -> dict[str, int]:
        """How many look-ups of a key were counted, by what became of them."""
        services = self.caller.services
        services.counter.flush()
        counts: dict[str, int] = {}
        for usage in list_usage(services.store, self.caller.number(key), services.clock()):
            counts[usage.outcome] = counts.get(usage.outcome, 0) + usage.count
        return counts

    def acts(self) -> list[str]:
        """What the key of all scopes did, as the audit has it."""
        actor = f"key:{self.caller.number(self.caller.all_scopes)}"
        with self.caller.services.store.read() as connection:
            rows = connection.execute(audit_log.select().order_by(audit_log.c.sequence))
            return [row.act for row in rows if row.actor == actor]


@contextlib.contextmanager
def hma(place: Place, **changed: Any) -> Iterator[Hma]:  # noqa: ANN401 -- as Settings takes them
    """The service on a database; ``changed`` are settings that a test wants."""
    with calling(place, **changed) as caller:
        yield Hma(caller)


def refused(answer: httpx.Response, status: int, message: str = "", *, code: str = "") -> str:
    """The message of an answer that says no, in the one shape that all of them have.

    Args:
        answer: as it came.
        status: as it must be.
        message: a part of what it must say.
        code: which of the closed list; any if empty.
    """
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    # What clients of HMA take for JSON ends so.
    assert answer.headers["content-type"].partition(";")[0].endswith("json")
    body = answer.json()
    assert isinstance(body, dict)
    assert isinstance(body["message"], str)
    assert body["message"]
    assert body["status"] == status
    assert isinstance(body["code"], str)
    assert message in body["message"]
    assert not code or body["code"] == code, body
    text: str = body["message"]
    return text


def near(value: str, bits: int, first: int = 0) -> str:
    """A PDQ hash that differs in so many bits, from the bit ``first`` on."""
    return f"{int(value, 16) ^ ((2**bits - 1) << first):064x}"


@cache
def picture(seed: int) -> Image.Image:
    """A smooth pattern, another one for each seed, with detail enough for PDQ."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
    return coarse.resize((160, 160), Image.Resampling.BICUBIC)


@cache
def drawing(seed: int, form: str = "PNG") -> bytes:
    """This pattern as a file."""
    stream = io.BytesIO()
    picture(seed).save(stream, form)
    return stream.getvalue()


@cache
def flat(shade: int) -> bytes:
    """A file that shows a single colour, of which PDQ says nothing."""
    stream = io.BytesIO()
    Image.new("RGB", (160, 160), (shade, shade, shade)).save(stream, "PNG")
    return stream.getvalue()


class Files:
    """A web server on this machine; each path gives what it was told, and others nothing."""

    def __init__(self) -> None:
        pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, headers, content = pages.get(self.path, (404, {"content-type": "image/png"}, b"secret"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):  # whoever asked may go at any byte
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name is given
                """Say nothing."""

        self.pages, self.asked = pages, asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def allowed(self) -> FetchSettings:
        """Settings by which it may be asked."""
        return FetchSettings(allow_hosts=(self.host,))

    def put(self, path: str, content: bytes, kind: str = "image/png", *, status: int = 200, **headers: str) -> str:
        """Serve something; its URL."""
        self.pages[path] = (status, {"content-type": kind} | headers, content)
        return f"http://{self.host}{path}"

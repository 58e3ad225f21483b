"""Who the service believes to be the client when a proxy stands in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from tests.serving import read_answer

from rempart.errors import ConfigError
from rempart.settings import ServeSettings
from rempart.web.connections import Connection, Listener, Shared
from rempart.web.worker import configured


async def tell(scope: Any, _: Any, send: Any) -> None:  # noqa: ANN401 -- as ASGI has it
    """Answer with whom the app sees."""
    seen = json.dumps({"client": scope["client"][0], "scheme": scope["scheme"]}).encode()
    length = (b"content-length", str(len(seen)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": seen})


@contextlib.contextmanager
def listening(*proxies: str) -> Iterator[int]:
    """The port of an app that trusts these proxies, behind the service's own connections."""
    limits = ServeSettings(trusted_proxies=proxies)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        began, over = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            shared = Shared(limits)
            listener = Listener(taken, partial(Connection, configured(limits, tell), shared, {}, loop), shared)
            began.set()
            await over.wait()
            listener.close()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        assert began.wait(30)
        yield taken.getsockname()[1]
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()


def seen(port: int, headers: Sequence[str]) -> tuple[str, str]:
    """Whom the app sees behind a request with these headers, and how it came."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        lines = ["GET / HTTP/1.1", "host: x", "connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        told = json.loads(read_answer(connection).partition(b"\r\n\r\n")[2])
    return told["client"], told["scheme"]


FORWARDED = ["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: https"]


def test_nobody_is_believed_unless_that_is_set() -> None:
    """Neither by default, nor when it is another who is trusted."""
    for proxies in ((), ("10.0.0.7", "192.168.0.0/16")):
        with listening(*proxies) as port:
            assert seen(port, FORWARDED) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("headers", "client", "scheme"),
    [
        (FORWARDED, "203.0.113.9", "https"),
        (["x-forwarded-for: 6.6.6.6, 203.0.113.9"], "203.0.113.9", "http"),
        (["x-forwarded-for: 6.6.6.6", "x-forwarded-for: 203.0.113.9, 10.1.2.3"], "203.0.113.9", "http"),
        (["x-forwarded-for: [2001:db8::1]:443"], "2001:db8::1", "http"),
        (["x-forwarded-proto: javascript"], "127.0.0.1", "http"),
        (["x-forwarded-for: "], "127.0.0.1", "http"),
        ([], "127.0.0.1", "http"),
    ],
)
def test_a_trusted_proxy_says_who_asks(headers: Sequence[str], client: str, scheme: str) -> None:
    """It is the last one that no trusted proxy is: what a client claims of itself stands before that."""
    with listening("127.0.0.0/8", "10.0.0.0/8") as port:
        assert seen(port, headers) == (client, scheme)


def test_nonsense_from_a_trusted_proxy_does_no_harm() -> None:
    """It came from a client, and went through."""
    with listening("127.0.0.1") as port:
        for value in ("[", "a" * 5_000, "1.2.3.4:99999999999999999999", ",,,", "\xff\xfe", "::", "'; --"):
            assert seen(port, [f"x-forwarded-for: {value}", f"x-forwarded-proto: {value}"])[1] == "http"


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/99", "", "127.0.0.1:80", "unix:"])
def test_what_is_no_address_stops_the_start(proxy: str) -> None:
    """A star would believe everybody, and a name nobody."""
    with pytest.raises(ConfigError, match=r"trusted_proxies takes addresses and networks"):
        configured(ServeSettings(trusted_proxies=(proxy,)), tell)

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rempart.errors import ConfigError
from rempart.net.pinned import system_resolver
from rempart.settings import FetchSettings
from rempart.web.fetch import Fetcher
from rempart.web.problems import Code, Problem

Serve = Callable[..., Any]


def answering(text: bytes, status: str = "200 OK", *more: str) -> Callable[[socket.socket], None]:
    """What a server on this machine does that always answers the same."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"content-length: {len(text)}", *more))
    return lambda connection: connection.sendall(head.encode() + b"\r\n" + text)


def refused(fetcher: Fetcher, url: str) -> Code:
    """Why a URL was not fetched; the reason never says more than the code."""
    with pytest.raises(Problem) as caught:
        asyncio.run(fetcher.fetch(url))
    assert "127.0.0.1" not in caught.value.detail
    return caught.value.code


def test_nothing_is_fetched_unless_a_host_is_named() -> None:
    """By default every URL is refused before it is read."""
    fetcher = Fetcher(FetchSettings(), max_bytes=1000)
    for url in ("https://host.example/x", "http://127.0.0.1/", "nonsense"):
        assert refused(fetcher, url) is Code.FETCH_DISABLED


def test_only_the_named_hosts_are_asked(serve: Serve) -> None:
    """An address of this machine that is named itself may be asked by plain http."""
    server = serve(answering(b"a picture"))
    fetcher = Fetcher(FetchSettings(allow_hosts=(f"127.0.0.1:{server.port}",)), max_bytes=1000)
    assert asyncio.run(fetcher.fetch(f"http://127.0.0.1:{server.port}/a.jpg")) == b"a picture"
    assert server.connections == 1
    for url in ("http://127.0.0.1:1/", "https://host.example/", f"http://localhost:{server.port}/"):
        assert refused(fetcher, url) is Code.FETCH_REFUSED
    for url in ("nonsense", "file:///etc/passwd", f"http://a@127.0.0.1:{server.port}/"):
        assert refused(fetcher, url) is Code.INVALID
    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "more"),
    [
        ("404 Not Found", ()),
        ("500 Internal Server Error", ()),
        ("302 Found", ("location: http://169.254.169.254/latest/",)),
    ],
)
def test_what_goes_wrong_over_there_looks_always_the_same(serve: Serve, status: str, more: Sequence[str]) -> None:
    """A caller must not learn what our network holds; a redirect to a cloud's credentials is not followed."""
    server = serve(answering(b"secret", status, *more))
    fetcher = Fetcher(FetchSettings(allow_hosts=(f"127.0.0.1:{server.port}", "169.254.169.254")), max_bytes=1000)
    assert refused(fetcher, f"http://127.0.0.1:{server.port}/") is Code.FETCH_FAILED
    assert refused(fetcher, "http://169.254.169.254/") is Code.FETCH_FAILED


def test_an_answer_is_read_up_to_the_limit_and_no_further(serve: Serve) -> None:
    """Bytes are counted as they come."""
    server = serve(answering(b"x" * 1001))
    fetcher = Fetcher(FetchSettings(allow_hosts=(f"127.0.0.1:{server.port}",)), max_bytes=1000)
    assert refused(fetcher, f"http://127.0.0.1:{server.port}/") is Code.FETCH_FAILED


def test_a_name_that_leads_inside_is_refused_unless_that_is_allowed(serve: Serve) -> None:
    """A name is resolved once for each request, and whoever answers with a private address is not asked."""
    asked: list[str] = []

    def resolve(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return system_resolver("127.0.0.1", port)

    server = serve(answering(b"x"))
    settings = FetchSettings(allow_hosts=(f"pictures.example:{server.port}",))
    url = f"http://pictures.example:{server.port}/"
    assert refused(Fetcher(settings, max_bytes=1000, resolve=resolve), url) is Code.FETCH_FAILED
    assert server.connections == 0
    open_ = FetchSettings(allow_hosts=settings.allow_hosts, allow_private=True)
    assert asyncio.run(Fetcher(open_, max_bytes=1000, resolve=resolve).fetch(url)) == b"x"
    assert asked == ["pictures.example"] * 2


@pytest.mark.parametrize(
    "text", ["", "https://host.example", "host.example/x", "a b", "user@host.example", "HOST:99999"]
)
def test_what_is_no_host_stops_the_start(text: str) -> None:
    """A misspelt host must not silently be another one."""
    with pytest.raises(ConfigError):
        Fetcher(FetchSettings(allow_hosts=(text,)), max_bytes=1)


def test_a_host_without_a_port_is_asked_on_both_usual_ones() -> None:
    """And one with a port on that alone."""
    fetcher = Fetcher(FetchSettings(allow_hosts=("a.example", "b.example:443", "[::1]:8080")), max_bytes=1)
    assert fetcher._known == {("a.example", 443), ("a.example", 80), ("b.example", 443), ("::1", 8080)}

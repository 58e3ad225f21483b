"""Targets of the room net: addresses that are configured or come in a redirect, and the answers of hosts."""

from __future__ import annotations

import atexit
import ipaddress
import socket
import threading
from functools import cache
from typing import Final

import httpcore2

from fuzz.target import Target, text_of
from rempart.errors import ConfigError, RemoteError
from rempart.net import AllowedHost, Client
from rempart.net.hosts import Reach, parse, reach

_MAX_BYTES: Final = 1024
_MAX_PORT: Final = 65_535
_SECONDS: Final = 5.0


def url(data: bytes) -> None:
    """A URL is read in one way only: written out again it is the same, and the library below reads it so too."""
    text = text_of(data)
    target = parse(text)
    if target is None:
        return
    assert target.scheme in {"http", "https"}
    assert 1 <= target.port <= _MAX_PORT
    assert target.host == target.host.lower()
    assert not set(target.host) & set("@/\\?#% ")
    assert target.path.startswith("/")
    written = f"{target.scheme}://{target.netloc}{target.path}"
    assert parse(written) == target
    below = httpcore2.URL(written)
    default = {b"http": 80, b"https": 443}[below.scheme]
    assert (below.host.decode().strip("[]"), below.port or default) == (target.host, target.port)
    allowed = AllowedHost.of(text)
    assert (allowed.name, allowed.port) == (target.host, target.port)


def host(data: bytes) -> None:
    """A host is taken by its name or refused; a name that is taken is the one that a URL of it leads to."""
    text = text_of(data)
    try:
        allowed = AllowedHost(text)
    except ConfigError:
        return
    shown = f"[{text}]" if ":" in text else text
    target = parse(f"https://{shown}/")
    assert target is not None
    assert target.host == allowed.name.removesuffix(".")


def address(data: bytes) -> None:
    """An address that counts as public is none of a private or special network, nor is one inside it."""
    text = text_of(data)
    try:
        where = reach(text)
    except ValueError:
        return
    if where is Reach.PUBLIC:
        for one in _inside(ipaddress.ip_address(text)):
            special = (one.is_private, one.is_loopback, one.is_link_local, one.is_multicast, one.is_unspecified)
            assert not any(special)


def http_answer(data: bytes) -> None:
    """Whatever a host answers, there is a short response or a RemoteError."""
    listener, client, where = _server()
    server = threading.Thread(target=_serve, args=(listener, data))
    server.start()
    try:
        response = client.request("GET", where, max_bytes=_MAX_BYTES, seconds=_SECONDS, redirects=0)
    except RemoteError:
        pass
    else:
        assert len(response.content) <= _MAX_BYTES
        assert isinstance(response.status, int)
    finally:
        server.join(_SECONDS)


def _inside(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address and those that it holds."""
    held = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            held = [ip.ipv4_mapped]
        elif ip in ipaddress.ip_network("64:ff9b::/96"):
            held = [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
        held += [one for one in (ip.sixtofour, *(ip.teredo or ())) if one is not None]
    return held


@cache
def _server() -> tuple[socket.socket, Client, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    atexit.register(listener.close)
    listener.settimeout(_SECONDS)
    port = listener.getsockname()[1]
    return listener, Client([AllowedHost("127.0.0.1", port, private=True)]), f"http://127.0.0.1:{port}/"


def _serve(listener: socket.socket, data: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(_SECONDS)
        try:
            connection.recv(_MAX_BYTES * 4)
            connection.sendall(data)
        except OSError:
            pass  # the client has seen enough


def _urls() -> list[bytes]:
    plain = b"https://example.org:8443/v1/x?y=z http://[::1]:8000/ https://user@example.org/ HTTPS://A.b./"
    odd = (
        b"https://a#b?c http://0x7f.1/ http://a\\@b/ https://a:0/ //a/b http://[fe80::1%25eth0]/ https://a:44\xd9\xa3/"
    )
    return [*plain.split(), *odd.split()]


def _addresses() -> list[bytes]:
    four = b"8.8.8.8 127.0.0.1 169.254.169.254 100.64.0.1 224.0.0.1 0.0.0.0"
    six = b"2606:4700::1111 ::1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: fe80::1%eth0 2001::1"
    return [*four.split(), *six.split()]


def _http() -> list[bytes]:
    return [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n\x1f\x8b",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    ]


_PARTS = tuple(b"http:// https:// @ [::1] %25 :443 /../ ? # \\ xn-- 0x7f .".split())
_HEADERS = (*b"HTTP/1.1 Content-Length: Transfer-Encoding: chunked Location: gzip".split(), b"\r\n", b"\r\n\r\n", b" ")

TARGETS: Final = {
    "url": Target(url, _urls, _PARTS, longest=512),
    "host": Target(host, lambda: [*_addresses(), b"example.org", b"a_b-c", b"a."], _PARTS, longest=300),
    "address": Target(address, _addresses, (b"::", b"ffff:", b"64:ff9b::", b"2002:", b"%"), longest=64),
    "http_answer": Target(http_answer, _http, _HEADERS, longest=2048),
}

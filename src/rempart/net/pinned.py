"""Connections that go to the address that was checked, within one deadline for all they do."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import httpcore2

from rempart.errors import RemoteError
from rempart.net.hosts import AllowedHost, Reach, is_address, reach

Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host name and port; raises OSError when there are none."""


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses that the operating system gives, in its order, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Deadline:
    """The moment by which a whole request must be over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, above 0.

        Raises:
            TimeoutError: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects for one request: resolves, checks every address, and goes to those and no others.

    The check sits where the connection is made, so nothing that happens above (a redirect, another reading of the
    URL, a name that now resolves elsewhere) can lead around it.
    """

    def __init__(self, host: AllowedHost, *, plain: bool, resolve: Resolver, deadline: Deadline) -> None:
        self._host = host
        self._plain = plain
        self._resolve = resolve
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 -- the deadline rules
        local_address: str | None = None,  # noqa: ARG002 -- never set
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 -- never set
    ) -> httpcore2.NetworkStream:
        """Connect to the first checked address that answers.

        Raises:
            RemoteError: the host is another than the checked one, an address is refused, or none answers.
            TimeoutError: the deadline passed.
        """
        if (host, port) != (self._host.name, self._host.port):
            raise RemoteError("a connection was asked for that nothing had checked")
        addresses = self._checked()
        for number, address in enumerate(addresses):
            share = self._deadline.remaining() / (len(addresses) - number)
            try:
                connected = socket.create_connection((address, port), share)
            except OSError:
                continue
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _Stream(connected, self._deadline)
        self._deadline.remaining()
        raise RemoteError(f"{host} does not answer on port {port}; see whether it runs")

    def _checked(self) -> Sequence[str]:
        """The host's addresses; one that is refused refuses all, because an honest answer never mixes them."""
        name = self._host.name
        addresses = (name,) if is_address(name) else self._resolved()
        for where in map(reach, addresses):
            if where is Reach.NEVER:
                raise RemoteError(f"{name} has a link-local, reserved or multicast address, where nothing is asked")
            if where is Reach.PRIVATE and not self._host.private:
                raise RemoteError(f"{name} has a private address; if it shall, allow it to be private")
            if where is Reach.PUBLIC and self._plain:
                raise RemoteError(f"{name} has a public address, and plain http goes only to private ones; use https")
        return addresses

    def _resolved(self) -> Sequence[str]:
        """Ask the resolver in a thread that can be left behind, because it knows no time limit of its own."""
        name, answers = self._host.name, queue.SimpleQueue[Sequence[str]]()

        def ask() -> None:
            try:
                answers.put(tuple(self._resolve(name, self._host.port)))
            except (OSError, UnicodeError):
                answers.put(())

        threading.Thread(target=ask, name="rempart-resolver", daemon=True).start()
        try:
            addresses = answers.get(timeout=self._deadline.remaining())
        except queue.Empty:
            raise TimeoutError from None
        if not addresses:
            raise RemoteError(f"the name {name} cannot be resolved")
        return addresses


class _Stream(httpcore2.NetworkStream):
    """A socket on which every step gets only the time that is left.

    A limit for each step alone would let a server keep a request open for ever, one byte at a time.
    """

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        self._socket.settimeout(self._deadline.remaining())
        return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(self._deadline.remaining())
                rest = rest[self._socket.send(rest) :]
        except ConnectionError as error:  # the server may have answered before it had read all
            raise httpcore2.WriteError from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        try:
            self._socket.settimeout(self._deadline.remaining())
            return _Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname), self._deadline)
        except OSError:
            self.close()
            raise

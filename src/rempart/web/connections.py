"""Connections: who gets one, how large and how slow a request may be, and how they end when the service stops.

HTTP itself is uvicorn's. What is added here is what an open port needs: a limit of connections, of the bytes before a
request's body, and of the time for each of its parts, so that nobody can hold the service by sending slowly or never.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rempart.settings import ServeSettings
from rempart.web import metrics
from rempart.web.problems import MEDIA_TYPE, Code

_LINGER_SECONDS: Final = 1.0
_MOST_LINGERING: Final = 512
_PAUSE_SECONDS: Final = 0.1
_CLOSING_SECONDS: Final = 5.0
_MOST_PIPELINED: Final = 32
_UPGRADE: Final = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


class Shared(ServerState):
    """What all connections of a process know."""

    def __init__(self, limits: ServeSettings) -> None:
        super().__init__()
        self.limits = limits
        self.taken = 0
        """Connections that are open or about to be."""
        self.draining = False
        """Whether the service stops: what arrives on open connections is still answered, and ends them."""


class Gathered(asyncio.Transport):
    """A transport that sends together what is written in one turn of the loop.

    The head of an answer and its body are written one after the other, and as two packets they cost nearly twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, at the latest when the loop goes on."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(bytes(data))

    def close(self) -> None:
        """Send what was written, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._parts.clear()
        self._transport.abort()

    def flush(self) -> None:
        """Send what was written so far."""
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def get_write_buffer_size(self) -> int:
        """Bytes that the system has not taken yet."""
        return sum(map(len, self._parts)) + self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """What is known of the socket."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._transport.resume_reading()


class Part(Enum):
    """What of a request a connection waits for."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    NOTHING = auto()


class Connection(HttpToolsProtocol):
    """One connection, held to the limits."""

    server_state: Shared

    def __init__(
        self,
        config: Config,
        server_state: Shared,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = server_state.limits
        self._part = Part.HEAD
        self._entered = 0
        self._since = self.loop.time()
        self._head_bytes = 0
        self._stuck_since: float | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP, always
        """It begins."""
        self._gathered = Gathered(transport, self.loop)
        super().connection_made(self._gathered)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self.server_state.taken -= 1
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._refused:
            return
        if self._part is Part.NOTHING:
            self._enter(Part.HEAD)
        if self._part is Part.HEAD and not self._head_bytes:
            data = without_upgrade(data)
        entered = self._entered
        super().data_received(data)
        if self._part is Part.HEAD:
            # Of bytes that end one request and begin the next, it is not known how many are the next one's.
            self._head_bytes += len(data) if entered == self._entered else 1
            if self._head_bytes > self._limits.header_bytes:
                self._refuse(Code.HEADERS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins. One that was waited for has been under way since its first byte."""
        if self._part is not Part.HEAD:
            self._enter(Part.HEAD)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers is there; or a trailer, which is no header, whatever it is called."""
        if self._part is Part.HEAD:
            super().on_header(name, value)
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.header_bytes and not self._refused:
            self._refuse(Code.HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        if self._refused:
            return
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._stop_reading()
            return
        if self.parser.should_upgrade():  # the parser would take its body for the next request
            self._refuse(Code.INVALID)
            return
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.header_bytes:
            self._refuse(Code.HEADERS_TOO_LARGE)
            return
        super().on_headers_complete()  # which refuses what is no URL
        self._enter(Part.BODY)
        if self.server_state.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of its body is there."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """It is there whole."""
        if self._refused:
            return
        self._enter(Part.NOTHING if self.cycle.response_complete else Part.ANSWER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        if self._part is Part.ANSWER and not self.pipeline:
            self._enter(Part.NOTHING)
        super().on_response_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # whether the connection stays open for the answer
        """The client sends no more; it may still wait for its answer."""
        self._gathered.flush()  # the real transport closes when nothing is waited for, and knows only what it was given
        waits = self._part is Part.ANSWER and not self.cycle.response_complete
        if waits:
            self.cycle.keep_alive = False
        return waits

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words
        """Answer what is not HTTP."""
        self._refuse(Code.INVALID)

    def check(self, now: float) -> None:
        """End it if it takes too long; called about once a second."""
        passed = now - self._since
        if self.transport.is_closing():
            if passed > _CLOSING_SECONDS:
                self.transport.abort()
        elif (self._part is Part.HEAD and passed > self._limits.header_seconds) or (
            self._part is Part.BODY and passed > self._limits.body_seconds
        ):
            self._refuse(Code.TOO_SLOW)
        elif not self.transport.get_write_buffer_size():
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since > self._limits.body_seconds:
            metrics.REFUSED.labels("slow_reader").inc()
            self.transport.abort()

    def close_idle(self) -> None:
        """Close it unless a request is under way."""
        if self._part is Part.NOTHING or (self._part is Part.HEAD and not self._head_bytes):
            self.transport.close()

    def _enter(self, part: Part) -> None:
        self._part = part
        self._entered += 1
        self._since = self.loop.time()
        self._head_bytes = 0

    def _stop_reading(self) -> None:
        """Answer what waits, and then end it: a few kilobytes can hold thousands of requests, and each takes memory."""
        self._refused = True
        self._enter(Part.ANSWER)
        self.cycle.keep_alive = False
        metrics.REFUSED.labels("pipeline").inc()

    def _refuse(self, code: Code) -> None:
        self._refused = True
        metrics.REFUSED.labels(code).inc()
        pending = self.cycle is not None and not self.cycle.response_complete
        # A request that is answered already, or behind which another waits for its answer, gets no second one.
        if (self._part is Part.HEAD and not pending) or (
            self._part is Part.BODY and pending and not self.pipeline and not self.cycle.response_started
        ):
            self.transport.write(refusal(code))
        if pending:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._since = self.loop.time()
        self.transport.close()


def without_upgrade(data: bytes) -> bytes:
    """The bytes that begin a request, without the wish to speak another protocol, which a server need not grant.

    Some clients wish so with every first request (Java's, for HTTP/2), and their bodies must not be lost by it.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + end + rest if end and b"\nupgrade:" in head.lower() else data


def refusal(code: Code) -> bytes:
    """A whole answer for a client that is turned away before its request was read."""
    body = msgspec.json.encode(
        {"type": f"urn:rempart:problem:{code}", "title": code.meaning, "status": code.status, "code": str(code)}
    )
    lines = [
        f"HTTP/1.1 {code.status} {HTTPStatus(code.status).phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if code is Code.OVERLOADED:
        lines.append("retry-after: 1")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Listener:
    """Takes connections from a socket that all workers share, one each time round the loop.

    So a worker that is busy takes fewer, and a few quick ones do not all end up with the worker that woke first.
    """

    def __init__(self, listening: socket.socket, make: Callable[[], Connection], shared: Shared) -> None:
        listening.setblocking(False)  # noqa: FBT003 -- its name says what it means
        self._socket = listening
        self._make = make
        self._shared = shared
        self._most = shared.limits.connections
        self._loop = asyncio.get_running_loop()
        self._lingering: set[socket.socket] = set()
        self._starting: set[asyncio.Task[object]] = set()
        self._open = True
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Take no more; others may go on taking from the same socket."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)

    def _accept(self) -> None:
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return  # another worker was faster, or the client has gone
        except OSError:  # no descriptors are left: wait until some are given back
            self._loop.remove_reader(self._socket)
            self._loop.call_later(_PAUSE_SECONDS, self._resume)
            return
        accepted.setblocking(False)  # noqa: FBT003
        if self._shared.taken >= self._most:
            self._turn_away(accepted)
            return
        self._shared.taken += 1
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._make, accepted))
        self._starting.add(task)
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[object]) -> None:
        self._starting.discard(task)
        if task.cancelled() or task.exception() is not None:  # the client has gone before it began
            self._shared.taken -= 1

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._socket, self._accept)

    def _turn_away(self, accepted: socket.socket) -> None:
        metrics.REFUSED.labels(Code.OVERLOADED).inc()
        try:
            accepted.send(refusal(Code.OVERLOADED))
            accepted.shutdown(socket.SHUT_WR)
        except OSError:
            accepted.close()
            return
        # Closed at once, a request that is still on its way would make the system throw the answer away.
        if len(self._lingering) < _MOST_LINGERING:
            self._lingering.add(accepted)
            self._loop.call_later(_LINGER_SECONDS, self._forget, accepted)
        else:
            accepted.close()

    def _forget(self, accepted: socket.socket) -> None:
        self._lingering.discard(accepted)
        accepted.close()

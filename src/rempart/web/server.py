"""`rempart serve`: one socket, several workers that answer on it, and a watch over them.

This process answers nothing and opens no untrusted byte, so that it stays when a worker dies, and puts another in its
place. The socket is its own: while a worker is missing, connections wait in it for the others.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from rempart.errors import ConfigError, ExitCode, UnavailableError
from rempart.settings import Settings
from rempart.store import open_store
from rempart.web.channel import EMPTY, METRICS_VARIABLE, READY, SLOT_VARIABLE, Order

_BACKLOG: Final = 4096
_LIVED_SECONDS: Final = 5.0
_LONGEST_PAUSE: Final = 5.0
_GRACE_SECONDS: Final = 5.0
_TELL_BYTES: Final = 4096
_MEMORY: Final = "/dev/shm"  # noqa: S108 -- the folder that is made there is this user's alone
# A thread for each core in each worker would only be in the others' way; few arenas keep freed memory together.
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_CONFIGURATION: Final = frozenset((ExitCode.USAGE, ExitCode.UNAVAILABLE))

Tell = Callable[[str], None]


def serve(settings: Settings, *, announce: Tell, tell: Tell) -> ExitCode:
    """Serve until SIGTERM or SIGINT, and then until what was accepted is answered.

    Args:
        settings: everything that is set.
        announce: told in one line, once, when look-ups work in every worker.
        tell: told in one line what else whoever runs the service should know.

    Returns:
        Clean after SIGTERM, interrupted after SIGINT; or what a worker ended with, if none ever worked.

    Raises:
        ConfigError: it cannot listen there.
        UnavailableError: another program listens there, or the database cannot be used.
    """
    with open_store(settings.data_path, settings.store):
        pass  # makes or upgrades it, so that no worker has to
    with listen(settings.serve.host, settings.serve.port) as listening, _Folder() as folder:
        return _Server(settings, listening, folder, announce, tell).run()


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections on an address.

    Raises:
        ConfigError: the host is no address of this machine.
        UnavailableError: the port is taken, or needs rights that this user has not.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise ConfigError(f"serve.host: {host!r} is not an address of this machine") from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise UnavailableError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listening


class _Folder:
    """Where the workers count together; it goes with the server.

    It lies in memory where the system has a place for that: workers write to mapped files, and would be killed for
    writing when these are on a disk that is full.
    """

    def __enter__(self) -> Path:
        try:
            self._path = Path(tempfile.mkdtemp(prefix="rempart-metrics-", dir=_MEMORY))
        except OSError:
            self._path = Path(tempfile.mkdtemp(prefix="rempart-metrics-"))
        return self._path

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


@dataclass
class _Slot:
    """The place of a worker, whichever process fills it."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    channel: socket.socket | None = None
    state: bytes = b""
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    told: bytearray = field(default_factory=bytearray)


class _Server:
    def __init__(self, settings: Settings, listening: socket.socket, folder: Path, announce: Tell, tell: Tell) -> None:
        self._settings = settings
        self._listening = listening
        self._folder = folder
        self._announce = _willing(announce)
        self._tell = _willing(tell)
        count = settings.serve.workers or len(os.sched_getaffinity(0))
        self._slots = [_Slot(number) for number in range(count)]
        self._selector = selectors.DefaultSelector()
        self._stop: int | None = None
        self._announced = False
        self._said_empty = False
        self._exit: ExitCode | None = None

    def run(self) -> ExitCode:
        """Keep the workers running until a signal."""
        with _Signals(self._on_signal) as wakeup:
            self._selector.register(wakeup, selectors.EVENT_READ, None)
            try:
                while self._stop is None and self._exit is None:
                    self._turn(wakeup)
            finally:
                self._end()
        if self._exit is not None:
            return self._exit
        return ExitCode.INTERRUPTED if self._stop == signal.SIGINT else ExitCode.CLEAN

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._stop = number

    def _turn(self, wakeup: socket.socket) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.process is None and now >= slot.due:
                self._start(slot)
        due = [slot.due - now for slot in self._slots if slot.process is None]
        for key, _ in self._selector.select(max(0.0, min(due)) if due else None):
            if key.fileobj is wakeup:
                wakeup.recv(_TELL_BYTES)
            else:
                self._hear(key.data)
        if not self._announced and all(slot.state == READY for slot in self._slots):
            self._announced = True
            self._announce(f"rempart serves at {self.url}")
        if not self._said_empty and all(slot.state == EMPTY for slot in self._slots):
            self._said_empty = True
            self._tell(f"listening at {self.url}; look-ups answer 503 until a blocking bank holds an entry")

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._listening.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _start(self, slot: _Slot) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (self._listening.fileno(), theirs.fileno())
            # The working folder is not searched for modules: it may be anyone's.
            slot.process = subprocess.Popen(  # noqa: S603 -- this interpreter, and two numbers
                [sys.executable, "-P", "-m", "rempart.web.worker", *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                env=os.environ | _ENVIRONMENT | {METRICS_VARIABLE: str(self._folder), SLOT_VARIABLE: str(slot.number)},
            )
        slot.channel, slot.state, slot.started = ours, b"", time.monotonic()
        slot.told.clear()
        self._selector.register(ours, selectors.EVENT_READ, slot)
        with contextlib.suppress(OSError):  # if it died at once, that is heard next
            ours.sendall(msgspec.json.encode(Order(self._settings, len(self._slots))) + b"\n")

    def _hear(self, slot: _Slot) -> None:
        """What a worker says: its state; or nothing more, when it is dead."""
        if slot.channel is None:
            return
        try:
            said = slot.channel.recv(_TELL_BYTES)
        except OSError:
            said = b""
        if not said:
            self._bury(slot)
            return
        slot.told += said
        lines = slot.told.splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                slot.state = bytes(line)
        slot.told = bytearray() if slot.told.endswith(b"\n") else bytearray(lines[-1])

    def _bury(self, slot: _Slot) -> None:
        if slot.process is None or slot.channel is None:
            return
        self._selector.unregister(slot.channel)
        slot.channel.close()
        code = _wait(slot.process, _GRACE_SECONDS)
        lived = time.monotonic() - slot.started
        slot.process, slot.channel = None, None
        if self._stop is not None:
            return
        # What is wrong with the configuration stays wrong; everything else is tried again, ever more slowly.
        if not self._announced and not slot.state and code in _CONFIGURATION:
            self._exit = ExitCode(code)
            return
        slot.state = b""
        slot.pause = 0.0 if lived > _LIVED_SECONDS else min(_LONGEST_PAUSE, max(0.1, 2 * slot.pause))
        slot.due = time.monotonic() + slot.pause
        self._tell(f"a worker ended unexpectedly ({_cause(code)}); another takes its place")

    def _end(self) -> None:
        """Have the workers finish, and wait for them."""
        running = [slot for slot in self._slots if slot.process is not None]
        for slot in running:
            if slot.process is not None:
                slot.process.terminate()
        deadline = time.monotonic() + self._settings.serve.shutdown_seconds + _GRACE_SECONDS
        for slot in running:
            if slot.process is not None:
                _wait(slot.process, max(0.0, deadline - time.monotonic()))
            if slot.channel is not None:
                slot.channel.close()
        self._selector.close()


class _Signals:
    """SIGTERM and SIGINT as bytes on a socket, so that waiting ends when one comes."""

    def __init__(self, handle: Callable[[int, FrameType | None], None]) -> None:
        self._handle = handle

    def __enter__(self) -> socket.socket:
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)  # noqa: FBT003 -- its name says what it means
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        self._wakeup = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self._read

    def __exit__(self, *exc: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read.close()
        self._write.close()


def _willing(tell: Tell) -> Tell:
    """Tell, if anyone hears it: a full disk or a reader that went away must not end the service."""

    def try_to(line: str) -> None:
        with contextlib.suppress(OSError):
            tell(line)

    return try_to


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """How a process ended; it is killed when it has not by then."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

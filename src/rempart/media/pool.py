"""Decoding children and how they are asked: limits kept, crashes survived, answers in the order of the questions."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Self, TypeVar

import msgspec

from rempart.errors import DecoderError, Reason
from rempart.media import child, wire
from rempart.media.outcome import Unscannable
from rempart.media.source import Source, opened
from rempart.settings import MediaSettings

S = TypeVar("S")
T = TypeVar("T")

_START_SECONDS = 60.0
_AHEAD = 8
# One thread in each child: the pool already has a child for each core. glibc keeps freed picture buffers instead of
# returning them to the kernel and faulting them in again, which costs more than decoding a small picture.
_CHILD_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")


class _Child:
    """One decoding process; started when first asked, and again after it died."""

    def __init__(self, module: str, settings: MediaSettings) -> None:
        self._module = module
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def ask(self, request: bytes, descriptor: int, limit: int) -> bytes | Reason:
        """Send a request and wait for the answer; a Reason when the child did not survive the file."""
        try:
            channel = self._send(request, descriptor)
            return wire.receive(channel, limit, self._settings.wall_seconds)
        except TimeoutError:
            self.stop(kill=True)
            return Reason.TIMEOUT
        except (EOFError, OSError, wire.FrameTooLongError):
            self.stop(kill=True)
            return Reason.CRASH
        except BaseException:  # interrupted: what is still to come must not meet the next question
            self.stop(kill=True)
            raise

    def stop(self, *, kill: bool = False) -> None:
        """End the process: it leaves by itself when its channel closes."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            if kill:
                self._process.kill()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._channel = self._process = None

    def _send(self, request: bytes, descriptor: int) -> socket.socket:
        """Hand the request to a living child: one that died while idle is replaced, the file is not to blame."""
        if self._channel is not None:
            with contextlib.suppress(OSError):
                wire.send(self._channel, request, descriptor)
                return self._channel
            self.stop(kill=True)
        channel = self._start()
        wire.send(channel, request, descriptor)
        return channel

    def _start(self) -> socket.socket:
        try:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            # Decoders write file-controlled text to stderr: it goes into a small nameless file and is thrown away.
            with theirs, tempfile.TemporaryFile() as stderr:
                self._process = self._launch(theirs, stderr)
                theirs.close()
                if _ready(self._channel):
                    return self._channel
                self.stop(kill=True)
                stderr.seek(0)
                last = stderr.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        except OSError as error:
            self.stop(kill=True)
            last = [error.strerror or type(error).__name__]
        raise DecoderError(f"a decoding child did not start ({last[0]}); `rempart doctor` says more")

    def _launch(self, channel: socket.socket, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 -- our own interpreter and our own module
            [
                *(sys.executable, "-P", "-m", "rempart.media.child"),
                *(self._module, str(channel.fileno()), msgspec.json.encode(self._settings).decode()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(channel.fileno(),),
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _CHILD_ENVIRONMENT,
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches us; the children end when we close their channels
        )


def _ready(channel: socket.socket) -> bool:
    with contextlib.suppress(EOFError, OSError, wire.FrameTooLongError):
        return wire.receive(channel, len(child.READY), _START_SECONDS) == child.READY
    return False


class Pool:
    """A set of decoding children, each doing one file at a time.

    Any number of threads may use it. A child that crashes, hangs or answers too much is ended and replaced; the file it
    had is unscannable, and nothing else is touched.
    """

    def __init__(self, module: str, settings: MediaSettings) -> None:
        """Make a pool; its children start when first needed.

        Args:
            module: dotted name of the module that registers the work (trusted: it is imported by the children).
            settings: the limits.
        """
        self.settings = settings
        self.size = settings.workers or len(os.sched_getaffinity(0))
        self._module = module
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        for _ in range(self.size):
            self._idle.put(_Child(module, settings))
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children; waits for those that are at work. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            for _ in range(self.size):
                self._idle.get().stop()

    def run(
        self, work: str, source: Source, options: msgspec.Struct, answer: type[T], *, limit: int
    ) -> T | Unscannable:
        """Do the named work on one source and return its answer.

        Args:
            work: a name that the pool's module has registered.
            source: a path, or the bytes themselves.
            options: what the work wants to know.
            answer: the Struct that the work answers with; anything else counts as a crash.
            limit: the most bytes an answer may have.

        Raises:
            DecoderError: the pool is closed, or no child can be started.
        """
        with opened(source) as file:
            if isinstance(file, Unscannable):
                return file
            return self.run_open(work, file, options, answer, limit=limit)

    def run_open(
        self, work: str, descriptor: int, options: msgspec.Struct, answer: type[T], *, limit: int
    ) -> T | Unscannable:
        """Like :meth:`run`, for a file that is open already."""
        if self._closed:
            raise DecoderError("the decoding pool is closed")
        request = msgspec.msgpack.encode(wire.Request(work, msgspec.Raw(msgspec.msgpack.encode(options))))
        worker = self._idle.get()
        try:
            reply = worker.ask(request, descriptor, limit)
        finally:
            self._idle.put(worker)
        if isinstance(reply, Reason):
            return Unscannable(reason=reply)
        try:
            return msgspec.msgpack.decode(reply, type=answer | Unscannable)
        except msgspec.DecodeError:
            return Unscannable(reason=Reason.CRASH)


_shared: dict[tuple[str, MediaSettings], Pool] = {}
_shared_lock = threading.Lock()


def shared_pool(module: str, settings: MediaSettings) -> Pool:
    """The process's pool for this work and these limits; it is closed when the process ends."""
    with _shared_lock:
        key = (module, settings)
        if key not in _shared:
            _shared[key] = Pool(module, settings)
        return _shared[key]


@atexit.register
def _close_shared() -> None:
    for pool in _shared.values():
        pool.close()


def _forget_shared() -> None:
    """A forked process must not talk over its parent's channels, nor wait for its threads: it makes its own pools."""
    global _shared_lock  # noqa: PLW0603 -- another thread may have held the old one when the process was forked
    _shared_lock = threading.Lock()
    _shared.clear()


os.register_at_fork(after_in_child=_forget_shared)


def in_order(function: Callable[[S], T], sources: Iterable[S], workers: int) -> Iterator[tuple[S, T]]:
    """Apply ``function`` to each source in ``workers`` threads; give the results in the order of the sources.

    Lazy on both sides: at most a few sources a worker are taken in advance, so that a list of millions is never held.
    """
    executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="rempart-decode")
    waiting: deque[tuple[S, Future[T]]] = deque()
    try:
        for source in sources:
            waiting.append((source, executor.submit(function, source)))
            if len(waiting) >= _AHEAD * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)

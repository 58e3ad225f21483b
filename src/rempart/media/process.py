"""A decoding child as its parent sees it: started when needed, asked, ended when it does not behave."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple, TypeAlias

import msgspec

from rempart.errors import DecoderError, Reason
from rempart.media import child, wire
from rempart.media.outcome import Unscannable
from rempart.settings import MediaSettings

Opener: TypeAlias = Callable[[], contextlib.AbstractContextManager[int | Unscannable]]
"""Opens one file each time it is called, for the time of a ``with``."""

_START_SECONDS = 60.0
# How much of the time expected for all files of a batch but the last is waited for in one piece, and the most of it.
_DOZE_SHARE = 0.75
_DOZE_SECONDS = 0.1
# What is left of a batch that nobody waits for may take so long, else a child that is to be started anew costs less.
_STOP_SECONDS = 0.5
# How often to look whether somebody still waits.
_LOOK_SECONDS = 0.5
# One thread in each child: the pool already has a child for each core. glibc keeps freed picture buffers instead of
# returning them to the kernel and faulting them in again, which costs more than decoding a small picture.
_CHILD_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")


class Question(NamedTuple):
    """What to do with each file of a batch.

    Attributes:
        request: an encoded :class:`rempart.media.wire.Request`.
        limit: the most bytes that one answer may have.
        seconds: the time for one file.
        room: a descriptor for the work to write to, beside that of the file.
        stopped: whether nobody wants the answers any more.
    """

    request: bytes
    limit: int
    seconds: float
    room: int | None = None
    stopped: Callable[[], bool] = bool


class Replies(NamedTuple):
    """What came of a batch, in the order of its files; it ends with the first file that its child did not survive.

    Attributes:
        replies: an encoded answer, or why there is none.
        seconds: how long the child took for them.
    """

    replies: list[bytes | Unscannable]
    seconds: float


class Process:
    """One decoding process; started when first asked, and again after it died."""

    def __init__(self, module: str, settings: MediaSettings) -> None:
        self._module = module
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._inbox: wire.Inbox | None = None
        self._number = 0

    def ask(self, question: Question, files: Sequence[Opener], pace: float) -> Replies:
        """Put the question about each file, and wait for the answers.

        All requests are sent at once: each waits in the channel, its file beside it, while the child is at work on
        those before. The child answers one after the other, so that the answers that came before its death tell which
        file it died of.

        Args:
            question: what to do.
            files: at least one. Each is open here for no longer than it takes to send it.
            pace: the seconds that one file is expected to take; 0 when nothing is known.

        Returns:
            At least one reply; those of the files behind a death are not there, and can be asked for again.
        """
        try:
            sent = self._send_all(question, files)
            started = time.monotonic()
            replies = self._collect(question, sent, pace)
        except BaseException:  # interrupted: what is still to come must not meet the next question
            self.stop(kill=True)
            raise
        return Replies(replies, time.monotonic() - started)

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
        self._channel = self._process = self._inbox = None

    def _send_all(self, question: Question, files: Sequence[Opener]) -> list[Unscannable | int]:
        """Send the requests; of each that was dealt with, its number, or why its file cannot be opened."""
        dealt_with: list[Unscannable | int] = []
        sent = False
        for file in files:
            with file() as descriptor:
                if isinstance(descriptor, Unscannable):
                    dealt_with.append(descriptor)
                    continue
                descriptors = (descriptor,) if question.room is None else (descriptor, question.room)
                self._number = self._number % wire.LARGEST_NUMBER + 1
                if not sent:
                    self._send_first(question.request, descriptors)
                elif not self._send(question.request, descriptors):
                    break  # it died of a file before this one
                sent = True
                dealt_with.append(self._number)
        return dealt_with

    def _send_first(self, request: bytes, descriptors: Sequence[int]) -> None:
        """Hand the request to a living child: one that died while idle is replaced, the file is not to blame."""
        if not self._send(request, descriptors):
            self.stop(kill=True)
            self._start()
            self._send(request, descriptors)

    def _send(self, request: bytes, descriptors: Sequence[int]) -> bool:
        if self._channel is None:
            return False
        with contextlib.suppress(OSError):
            self._channel.settimeout(self._settings.wall_seconds)
            wire.send(self._channel, self._number, request, *descriptors)
            return True
        return False

    def _collect(self, question: Question, sent: Sequence[Unscannable | int], pace: float) -> list[bytes | Unscannable]:
        replies: list[bytes | Unscannable] = []
        asked = sum(isinstance(one, int) for one in sent)
        if asked > 1 and self._inbox is not None:
            self._inbox.doze(min(_DOZE_SHARE * pace * (asked - 1), _DOZE_SECONDS, question.seconds / 2))
        until = math.inf
        for one in sent:
            if isinstance(one, Unscannable):
                replies.append(one)
                continue
            try:
                answer, until = self._next(one, question, until)
                replies.append(answer)
            except TimeoutError:
                return [*replies, self._died(Reason.TIMEOUT)]
            except (EOFError, OSError, wire.FrameError):
                return [*replies, self._died(Reason.CRASH)]
        return replies

    def _next(self, number: int, question: Question, until: float) -> tuple[bytes, float]:
        """The answer to the request of this number, and until when further ones are worth waiting for."""
        if self._inbox is None:
            raise EOFError
        deadline = time.monotonic() + question.seconds
        while True:
            now = time.monotonic()
            if question.stopped():
                until = min(until, now + _STOP_SECONDS)
            try:
                return self._inbox.next(number, question.limit, min(deadline, until, now + _LOOK_SECONDS)), until
            except TimeoutError:
                if time.monotonic() >= min(deadline, until):
                    raise

    def _died(self, reason: Reason) -> Unscannable:
        self.stop(kill=True)
        return Unscannable(reason=reason)

    def _start(self) -> None:
        try:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            # Decoders write file-controlled text to stderr: it goes into a small nameless file and is thrown away.
            with theirs, tempfile.TemporaryFile() as stderr:
                self._process = self._launch(theirs, stderr)
                theirs.close()
                self._inbox = wire.Inbox(self._channel)
                if _ready(self._inbox):
                    return
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


def _ready(inbox: wire.Inbox) -> bool:
    with contextlib.suppress(EOFError, OSError, wire.FrameError):
        return inbox.next(0, len(child.READY), time.monotonic() + _START_SECONDS) == child.READY
    return False

"""Decoding children and how they are asked: limits kept, crashes survived, answers in the order of the questions."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Self, TypeVar

import msgspec

from rempart.errors import DecoderError, Reason
from rempart.media import wire
from rempart.media.order import given_up
from rempart.media.outcome import Unscannable
from rempart.media.process import Opener, Process, Question
from rempart.media.source import Source, opened
from rempart.settings import MediaSettings

T = TypeVar("T")

# A batch is work for about so many seconds: long enough that handing it over costs nothing beside it, short enough that
# no child waits long for another at the end, and results flow.
_BATCH_SECONDS = 0.04
_LARGEST_BATCH = 32
_OLD_SHARE = 0.7
# Each request that waits in a channel holds a descriptor in flight, and the system allows a user about a thousand.
_IN_FLIGHT = 512


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
        self._idle: queue.LifoQueue[Process] = queue.LifoQueue()
        for _ in range(self.size):
            self._idle.put(Process(module, settings))
        self._closed = False
        self._pace: dict[str, float] = {}

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
        self,
        work: str,
        source: Source,
        options: msgspec.Struct,
        answer: type[T],
        *,
        limit: int,
        seconds: float | None = None,
        room: int | None = None,
    ) -> T | Unscannable:
        """Do the named work on one source and return its answer.

        Args:
            work: a name that the pool's module has registered.
            source: a path, or the bytes themselves.
            options: what the work wants to know.
            answer: the Struct that the work answers with; anything else counts as a crash.
            limit: the most bytes an answer may have.
            seconds: how long the work may take; the settings' ``wall_seconds`` when not given.
            room: a descriptor that the work may write to, for answers too large for the channel
                (:func:`rempart.media.source.room_for`).

        Raises:
            DecoderError: the pool is closed, or no child can be started.
        """
        files = [partial(opened, source)]
        return self._ask(work, files, options, answer, limit=limit, seconds=seconds, room=room)[0]

    def run_open(
        self,
        work: str,
        descriptor: int,
        options: msgspec.Struct,
        answer: type[T],
        *,
        limit: int,
        seconds: float | None = None,
    ) -> T | Unscannable:
        """Like :meth:`run`, for a file that is open already."""
        files = [partial(_open_already, descriptor)]
        return self._ask(work, files, options, answer, limit=limit, seconds=seconds)[0]

    def run_many(
        self,
        work: str,
        sources: Sequence[Source],
        options: msgspec.Struct,
        answer: type[T],
        *,
        limit: int,
        seconds: float | None = None,
    ) -> list[T | Unscannable]:
        """Like :meth:`run`, for a batch of sources that go to one child one after the other.

        Limits hold for each file. Those behind one that the child did not survive go to the next child.
        A few dozen sources are enough; :meth:`batch_size` says how many are worth it.
        """
        files = [partial(opened, source) for source in sources]
        return self._ask(work, files, options, answer, limit=limit, seconds=seconds)

    def batch_size(self, work: str) -> int:
        """How many files to give to :meth:`run_many` at once, as long as files take what the last ones took."""
        if work not in self._pace:
            return 1
        most = max(1, min(_LARGEST_BATCH, _IN_FLIGHT // self.size))
        return max(1, min(most, round(_BATCH_SECONDS / max(self._pace[work], 1e-9))))

    def _ask(
        self,
        work: str,
        files: Sequence[Opener],
        options: msgspec.Struct,
        answer: type[T],
        *,
        limit: int,
        seconds: float | None,
        room: int | None = None,
    ) -> list[T | Unscannable]:
        seconds = self.settings.wall_seconds if seconds is None else seconds
        request = wire.Request(work, seconds, msgspec.Raw(msgspec.msgpack.encode(options)))
        stopped = given_up.get()
        question = Question(msgspec.msgpack.encode(request), limit, seconds, room, stopped)
        replies: list[bytes | Unscannable] = []
        while len(replies) < len(files):
            if self._closed:
                raise DecoderError("the decoding pool is closed")
            if stopped():
                raise DecoderError("decoding was given up, for nobody waits for it")
            worker = self._idle.get()
            try:
                more, spent = worker.ask(question, files[len(replies) :], self._pace.get(work, 0.0))
            finally:
                self._idle.put(worker)
            replies += more
            pace = spent / len(more)
            self._pace[work] = _OLD_SHARE * self._pace.get(work, pace) + (1 - _OLD_SHARE) * pace
        decoder = msgspec.msgpack.Decoder(answer | Unscannable)
        return [_decoded(reply, decoder) for reply in replies]


@contextlib.contextmanager
def _open_already(descriptor: int) -> Iterator[int]:
    yield descriptor


def _decoded(reply: bytes | Unscannable, decoder: msgspec.msgpack.Decoder[T | Unscannable]) -> T | Unscannable:
    if isinstance(reply, Unscannable):
        return reply
    try:
        return decoder.decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
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

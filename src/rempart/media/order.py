"""Many sources through a few threads, results in the order of the sources."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

given_up: ContextVar[Callable[[], bool]] = ContextVar("given_up", default=bool)
"""In the threads of :func:`in_batches`: says whether the reader has gone, so that nobody waits for results any more."""

# What is taken in advance, for each worker: so many batches. While one file takes minutes, others go on.
_BATCHES_AHEAD = 32
# Contents in memory wait in the batches ahead. So many bytes of them fill a batch, and so many are taken in advance for
# each worker, but always enough batches that none is idle.
_BATCH_BYTES = 1 << 20
_BYTES_AHEAD = 8 << 20
_LEAST_AHEAD = 2
# A source that comes slowly must not wait for a batch to fill.
_FILL_SECONDS = 0.05


def in_order(function: Callable[[S], T], sources: Iterable[S], workers: int) -> Iterator[tuple[S, T]]:
    """Apply ``function`` to each source in ``workers`` threads; give the results in the order of the sources.

    Lazy on both sides: at most a few sources a worker are taken in advance, so that a list of millions is never held.
    """
    return in_batches(lambda batch: [function(source) for source in batch], sources, workers, size=lambda: 1)


def in_batches(
    function: Callable[[Sequence[S]], Sequence[T]],
    sources: Iterable[S],
    workers: int,
    *,
    size: Callable[[], int],
    retry: Callable[[S, T], Callable[[], T] | None] | None = None,
) -> Iterator[tuple[S, T]]:
    """Like :func:`in_order`, for a function that takes a batch of sources and returns a result for each.

    Args:
        function: the work on one batch, done in a thread; :data:`given_up` tells it when to stop.
        sources: taken only a few batches ahead of what is given.
        workers: number of threads.
        size: asked before each batch how many sources it should have. Batches are smaller when threads wait for work.
        retry: looks at each result; what it returns, unless that is None, is called in a thread of its own turn and
            its result taken instead; the rest of its batch does not wait for it.
    """
    stopped = threading.Event()
    executor = ThreadPoolExecutor(workers, "rempart-decode", given_up.set, (stopped.is_set,))
    waiting: deque[tuple[list[S], Future[list[T | Future[T]]]]] = deque()
    held = 0

    def done(batch: Sequence[S]) -> list[T | Future[T]]:
        results = function(batch)
        if retry is None:
            return list(results)
        again = [retry(source, result) for source, result in zip(batch, results, strict=True)]
        return [result if call is None else executor.submit(call) for result, call in zip(results, again, strict=True)]

    def full() -> bool:
        most = _LEAST_AHEAD if held >= _BYTES_AHEAD * workers else _BATCHES_AHEAD
        return len(waiting) >= most * workers

    def hungry() -> bool:
        """Whether a thread waits for work: they take the batches in order, so one look at the last few tells."""
        return len(waiting) < workers or waiting[-workers][1].done()

    def first() -> Iterator[tuple[S, T]]:
        nonlocal held
        batch, future = waiting.popleft()
        for source, result in zip(batch, future.result(), strict=True):
            yield source, result.result() if isinstance(result, Future) else result
        held -= sum(map(_weight, batch))

    try:
        for batch in _batches(sources, size, hungry):
            waiting.append((batch, executor.submit(done, batch)))
            held += sum(map(_weight, batch))
            while waiting and (full() or waiting[0][1].done()):
                yield from first()
        while waiting:
            yield from first()
    finally:
        stopped.set()
        executor.shutdown(wait=True, cancel_futures=True)


def _weight(source: object) -> int:
    """The bytes that a source holds in memory."""
    return memoryview(source).nbytes if isinstance(source, (bytes, bytearray, memoryview)) else 0


def _batches(sources: Iterable[S], size: Callable[[], int], hungry: Callable[[], bool]) -> Iterator[list[S]]:
    """Cut into batches of the size wished for, smaller ones of large contents, and for threads that wait for work."""
    batch: list[S] = []
    held, full, since = 0, 1, 0.0
    for source in sources:
        if not batch:
            held, full, since = 0, size(), time.monotonic()
        batch.append(source)
        held += _weight(source)
        if len(batch) >= full or held >= _BATCH_BYTES or time.monotonic() - since > _FILL_SECONDS or hungry():
            yield batch
            batch = []
    if batch:
        yield batch

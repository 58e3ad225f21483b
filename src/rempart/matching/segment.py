"""A segment: hashes that are filed once and never change, in memory or mapped from a snapshot."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.errors import UsageError
from rempart.matching.permutation import WORDS, Words
from rempart.matching.snapshot import Snapshot, SnapshotWriter

MAX_ROWS: Final = (1 << 32) - 1

SMALL: Final = 50_000
"""Up to this many hashes, numpy compares them all, in at most 0.1 ms: to load the compiled search would pay off only
after thousands of queries."""

CHUNKS: Final = 16
BUCKETS: Final = 1 << 16

Ids: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = tuple[Words, Ids]
"""Shuffled hashes, uint64 of shape (n, 4), and the id of each."""

Progress: TypeAlias = Callable[[float], None]

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """The hashes filed by chunks, as :mod:`rempart.matching.kernel` describes."""

    starts: npt.NDArray[np.uint32]
    entries: Words


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Hashes, their ids, and the buckets when there are more than :data:`SMALL`.

    Attributes:
        snapshot: the file that all this is mapped from; None in memory.
    """

    words: Words
    ids: Ids
    buckets: Buckets | None
    snapshot: Snapshot | None = None

    @classmethod
    def build(cls, words: Words, ids: Ids) -> Self:
        """File hashes in memory.

        Raises:
            UsageError: there are more than :data:`MAX_ROWS`.
        """
        check_rows(len(words))
        buckets = None
        if len(words) > SMALL:
            from rempart.matching import kernel  # noqa: PLC0415 -- numba takes a quarter of a second, and small needs none

            starts = np.empty((CHUNKS, BUCKETS + 1), np.uint32)
            entries = np.empty((CHUNKS, len(words), 2), np.uint64)
            kernel.count_buckets(words, starts)
            with ThreadPoolExecutor(cores()) as threads:
                for filled in [
                    threads.submit(kernel.fill_buckets, words, chunk, starts, entries[chunk]) for chunk in range(CHUNKS)
                ]:
                    filled.result()
            buckets = Buckets(_sealed(starts), _sealed(entries))
        return cls(_sealed(words), _sealed(ids), buckets)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def nbytes(self) -> int:
        """Size of all arrays, in memory or in the file."""
        filed = (self.buckets.starts, self.buckets.entries) if self.buckets else ()
        return sum(array.nbytes for array in (self.words, self.ids, *filed))

    def blocks(self) -> Iterator[Rows]:
        """The rows, some at a time."""
        for start in range(0, len(self), _BLOCK):
            yield self.words[start : start + _BLOCK], self.ids[start : start + _BLOCK]

    @classmethod
    def mapped(cls, snapshot: Snapshot, prefix: str = "") -> Self:
        """The segment that :func:`write_segment` put into a snapshot under this prefix.

        Raises:
            SnapshotError: there is none, or its parts do not fit together.
        """
        arrays = {part: snapshot.arrays.get(prefix + part) for part in _PARTS}
        words, ids, starts, entries = arrays.values()
        if words is None or ids is None or (starts is None) != (entries is None):
            raise snapshot.damaged("it lacks a part of an index")
        rows = len(words)
        wanted = {"words": ("uint64", (rows, WORDS)), "ids": ("int64", (rows,))}
        if starts is not None:
            wanted |= {"starts": ("uint32", (CHUNKS, BUCKETS + 1)), "entries": ("uint64", (CHUNKS, rows, 2))}
        for part, (dtype, shape) in wanted.items():
            array = arrays[part]
            if array is None or array.dtype != dtype or array.shape != shape:
                raise snapshot.damaged("the parts of an index do not fit together")
        if starts is None or entries is None:
            return cls(words, ids, None, snapshot)
        if starts[:, 0].any() or (starts[:, -1] != rows).any() or (starts[:, 1:] < starts[:, :-1]).any():
            raise snapshot.damaged("its buckets overlap")
        return cls(words, ids, Buckets(starts, entries), snapshot)


_PARTS = ("words", "ids", "starts", "entries")


def write_segment(
    writer: SnapshotWriter, blocks: Iterable[Rows], prefix: str = "", *, progress: Progress | None = None
) -> None:
    """Put hashes into a snapshot, filed in buckets when there are many.

    They are streamed: what is held is the ids, and 16 bytes a hash for each of a few chunks at a time.

    Args:
        writer: of the snapshot.
        blocks: the rows, some at a time.
        prefix: of the names of the parts, when there is more than one index in a snapshot.
        progress: called with the share that is done, 0..1.

    Raises:
        UsageError: there are more than :data:`MAX_ROWS`.
    """
    ids = [np.empty(0, np.int64)]
    writer.begin(prefix + "words", "uint64", (WORDS,))
    for words, numbers in blocks:
        check_rows(sum(map(len, ids)) + len(numbers))
        writer.write(words)
        ids.append(numbers)
    writer.begin(prefix + "ids", "int64")
    rows = 0
    for numbers in ids:
        writer.write(numbers)
        rows += len(numbers)
    ids.clear()
    if rows <= SMALL:
        return
    from rempart.matching import kernel  # noqa: PLC0415 -- numba takes a quarter of a second, and small needs none

    written = writer.map(prefix + "words")
    starts = np.empty((CHUNKS, BUCKETS + 1), np.uint32)
    kernel.count_buckets(written, starts)
    writer.add(prefix + "starts", starts, table=True)
    writer.begin(prefix + "entries", "uint64", (rows, 2))

    def fill(chunk: int) -> Words:
        entries = np.empty((rows, 2), np.uint64)
        kernel.fill_buckets(written, chunk, starts, entries)
        return entries

    with ThreadPoolExecutor(cores()) as threads:
        # One chunk in each thread, and one being written: more would only take memory.
        waiting = deque(threads.submit(fill, chunk) for chunk in range(cores()))
        for chunk in range(CHUNKS):
            entries = waiting.popleft().result()
            if chunk + cores() < CHUNKS:
                waiting.append(threads.submit(fill, chunk + cores()))
            writer.write(entries[np.newaxis])
            if progress is not None:
                progress((chunk + 1) / CHUNKS)


def cores() -> int:
    """How many threads can run at once."""
    return len(os.sched_getaffinity(0))


def check_rows(count: int) -> None:
    """Refuse more hashes than row numbers can count.

    Raises:
        UsageError: there are more than :data:`MAX_ROWS`.
    """
    if count > MAX_ROWS:
        raise UsageError(f"an index holds at most {MAX_ROWS} hashes; divide these among several")


def _sealed(array: Any) -> Any:  # noqa: ANN401 -- any array, given back as it came
    """The array, not to be written to any more."""
    array.flags.writeable = False
    return array

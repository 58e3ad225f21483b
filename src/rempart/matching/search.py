"""Searching a state of an index: through buckets or by comparing all, in one thread or several, to sorted hits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.errors import SnapshotError
from rempart.matching.permutation import Words
from rempart.matching.segment import Segment
from rempart.matching.view import View

# The compiled search is given room for this many hits, and once more if there are more.
_ROOM = 1024
# All rows are read when the way through the buckets costs as much as this share of them.
_EFFORT = 1.0
# Queries that a thread takes at a time: few enough that no thread is left with the slow ones at the end.
_PORTION = 64


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What many queries found; the hits of query ``i`` are at ``offsets[i]:offsets[i + 1]``, nearest first.

    Attributes:
        offsets: int64 of shape (queries + 1,).
        ids: int64 of shape (hits,).
        distances: uint8 of shape (hits,), in bits.
        scanned: how many queries were compared with every hash of the index, because the way through the buckets would
            have been longer: with a radius above 31, or where very many hashes resemble one another.
    """

    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.uint8]
    scanned: int = 0


_Found: TypeAlias = tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.uint8], int]
"""For each hit the query's number, the row's number and the distance; and how many queries read all rows."""


def search(view: View, queries: Words, radius: int, threads: int) -> Hits:
    """The hits of each of many shuffled hashes within a radius of 0..63 bits.

    Raises:
        SnapshotError: the search came upon something in the snapshot that cannot be.
    """
    if threads <= 1 or len(queries) <= _PORTION:
        return _joined([_hits(view, queries, radius)])
    parts = [queries[start : start + _PORTION] for start in range(0, len(queries), _PORTION)]
    with ThreadPoolExecutor(threads, thread_name_prefix="rempart-search") as pool:
        return _joined(list(pool.map(lambda part: _hits(view, part, radius), parts)))


def _hits(view: View, queries: Words, radius: int) -> Hits:
    segment = view.segment
    if segment.buckets is None:
        owners, rows, distances, scanned = _scan(np.concatenate((segment.words, view.added_words)), queries, radius)
    else:
        owners, rows, distances, scanned = _search_buckets(view, queries, radius)
    if not len(rows):  # which is what becomes of most queries, and should cost them nothing more
        return Hits(np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8), scanned)
    filed = rows < len(segment)
    ids = np.empty(len(rows), np.int64)
    ids[filed] = segment.ids[rows[filed]]
    ids[~filed] = view.added_ids[rows[~filed] - len(segment)]
    if (ids < 0).any():
        raise _damaged(segment)
    if len(view.gone):
        counts = ~(filed & view.is_gone(ids))
        owners, ids, distances = owners[counts], ids[counts], distances[counts]
    return _arrange(len(queries), owners, ids, distances, scanned)


def _search_buckets(view: View, queries: Words, radius: int) -> _Found:
    from rempart.matching import kernel  # noqa: PLC0415 -- numba takes a quarter of a second, and small indexes need none

    segment = view.segment
    if segment.buckets is None:
        raise AssertionError
    scanned = np.zeros(1, np.int64)
    total = _ROOM
    room = 0
    while total > room:
        room = total
        owners, rows = np.empty(room, np.uint32), np.empty(room, np.uint32)
        distances = np.empty(room, np.uint8)
        total = kernel.search(
            queries,
            radius,
            _EFFORT * len(segment),
            segment.words,
            segment.buckets.starts,
            segment.buckets.entries,
            view.added_words,
            owners,
            rows,
            distances,
            scanned,
        )
        if total == kernel.BAD:
            raise _damaged(segment)
    return owners[:total], rows[:total], distances[:total], int(scanned[0])


def _scan(words: Words, queries: Words, radius: int) -> _Found:
    """Compare with every row; most are refused by the first half of their bits."""
    counts = np.zeros(len(queries), np.int64)
    rows, distances = [np.empty(0, np.intp)], [np.empty(0, np.uint8)]
    for number, query in enumerate(queries):
        half = np.bitwise_count(words[:, 0] ^ query[0]) + np.bitwise_count(words[:, 1] ^ query[1])
        near = np.flatnonzero(half <= radius)
        apart = np.bitwise_count(words[near] ^ query).sum(axis=1, dtype=np.uint16)
        within = apart <= radius
        counts[number] = np.count_nonzero(within)
        rows.append(near[within])
        distances.append(apart[within].astype(np.uint8))
    return np.repeat(np.arange(len(queries)), counts), np.concatenate(rows), np.concatenate(distances), len(queries)


def _arrange(
    queries: int,
    owners: npt.NDArray[np.integer],
    ids: npt.NDArray[np.int64],
    distances: npt.NDArray[np.uint8],
    scanned: int,
) -> Hits:
    """Keep the nearest hit of each query and id, and sort by (query, distance, id)."""
    offsets = np.zeros(queries + 1, np.int64)
    if not len(ids):
        return Hits(offsets, ids, distances, scanned)
    order = np.lexsort((distances, ids, owners))
    owners, ids, distances = owners[order], ids[order], distances[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (owners[1:] != owners[:-1]) | (ids[1:] != ids[:-1])
    owners, ids, distances = owners[first], ids[first], distances[first]
    order = np.lexsort((ids, distances, owners))
    np.cumsum(np.bincount(owners, minlength=queries), out=offsets[1:])
    return Hits(offsets, ids[order], distances[order], scanned)


def _joined(parts: list[Hits]) -> Hits:
    """The hits of consecutive portions of the queries as those of all."""
    if len(parts) == 1:
        return parts[0]
    before = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    return Hits(
        np.concatenate([before[:1], *(part.offsets[1:] + start for part, start in zip(parts, before, strict=False))]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.distances for part in parts]),
        sum(part.scanned for part in parts),
    )


def _damaged(segment: Segment) -> SnapshotError:
    if segment.snapshot is not None:
        return segment.snapshot.damaged("it names a row that it does not hold")
    return SnapshotError("the index in memory is damaged; end this process and look after its memory")

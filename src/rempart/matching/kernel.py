"""The compiled half of the index: filing hashes into buckets, and searching them.

Multi-index hashing after Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing" (2012):
256 bits are 16 chunks of 16; chunk ``c`` files every hash into one of 65,536 buckets. A search for radius ``r`` flips
at most ``f(c) = (r - c) // 16`` bits of chunk ``c`` of the query (none of it is looked at where that is negative). A
hash that is missed in every chunk differs by ``f(c) + 1`` bits or more in each, and these add up to ``r + 1``.

Importing this module compiles it, in about two seconds, or loads what an earlier process of this user compiled
(:mod:`rempart.matching.compiled`). What numba compiles is written in its dialect: scalars are ``uint64`` throughout,
because numba makes a float of a ``uint64`` and a signed integer.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types

from rempart.matching.compiled import Numba, ask_for, compiled, jit, ones
from rempart.matching.permutation import Words
from rempart.matching.segment import CHUNKS

Starts: TypeAlias = npt.NDArray[np.uint32]
Rows: TypeAlias = npt.NDArray[np.uint32]
Distances: TypeAlias = npt.NDArray[np.uint8]
Counts: TypeAlias = npt.NDArray[np.int64]
Plan: TypeAlias = npt.NDArray[np.int64]

SCAN, BAD = -1, -2

LOW_16 = np.uint64(0xFFFF)
LOW_32 = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)

# Memory is what a search waits for. Buckets are asked for this many probes before they are read, the first lines of
# each at once; the processor fetches the rest of a long bucket by itself. Measured: 74 us a query at a million hashes
# without, 24 us with.
AHEAD = 8
LINES = 8
ENTRIES_A_LINE = 4

# What the way through the buckets costs, in rows that could be compared one after the other in the same time: to go to
# another bucket, to look at a signature, and to compare the whole hash of one that the signature lets pass. The larger
# the radius, the more it lets pass: of hashes that have nothing in common, a binomial share. Measured from 100,000 to
# 10 million hashes.
ROWS_A_PROBE = 60.0
ROWS_A_VISIT = 3.0
ROWS_A_COMPARISON = 40.0
SIGNATURE_BITS = 96
VISIT_COST = ROWS_A_VISIT + ROWS_A_COMPARISON * np.array(
    [sum(comb(SIGNATURE_BITS, bits) for bits in range(radius + 1)) / 2**SIGNATURE_BITS for radius in range(64)]
)

MOST_FLIPS = 3
FLIPS = np.array(
    [sum(1 << bit for bit in bits) for count in range(MOST_FLIPS + 1) for bits in combinations(range(16), count)],
    np.uint64,
)
"""Every way to flip at most three bits of a chunk, those that flip fewest first."""

FLIPS_UP_TO = tuple(sum(comb(16, each) for each in range(count + 1)) for count in range(MOST_FLIPS + 1))
"""How many of these flip at most 0, 1, 2 or 3 bits."""

PROBES = CHUNKS * len(FLIPS)


@jit
def window(words: Words, chunk: int) -> Numba:
    """The 64 bits of a hash that begin at a chunk; after the last chunk comes the first."""
    word = (chunk >> 2) & 3
    shift = np.uint64(16 * (chunk & 3))
    low = words[word] >> shift
    if shift == 0:
        return low
    return low | (words[(word + 1) & 3] << (np.uint64(64) - shift))


@jit
def distance(first: Words, second: Words) -> Numba:
    """In how many bits two hashes differ."""
    return (
        ones(first[0] ^ second[0])
        + ones(first[1] ^ second[1])
        + ones(first[2] ^ second[2])
        + ones(first[3] ^ second[3])
    )


@jit
def plan_probes(query: Words, radius: int, rows: int, effort: float, starts: Starts, plan: Plan) -> int:
    """Write the (chunk, begin, end) of every bucket to read and return their number.

    Returns:
        :data:`SCAN` if that costs more than ``effort``, in rows that could be compared instead; :data:`BAD` if a bucket
        does not lie within the rows.
    """
    probes = 0
    visits = np.int64(0)
    for chunk in range(min(CHUNKS, radius + 1)):
        key = window(query, chunk) & LOW_16
        for flip in range(FLIPS_UP_TO[(radius - chunk) >> 4]):
            bucket = np.intp(key ^ FLIPS[flip])
            begin = np.int64(starts[chunk, bucket])
            end = np.int64(starts[chunk, bucket + 1])
            if begin > end or end > rows:
                return BAD
            if begin < end:
                plan[probes, 0] = chunk
                plan[probes, 1] = begin
                plan[probes, 2] = end
                probes += 1
                visits += end - begin
        if ROWS_A_PROBE * probes + VISIT_COST[radius] * visits > effort:
            return SCAN
    plan[probes : probes + AHEAD] = 0
    return probes


@jit
def found_before(query: Words, found: Words, chunk: int, radius: int) -> bool:
    """Whether an earlier chunk finds this hash too; then it has been written down there."""
    for earlier in range(chunk):
        difference = (window(query, earlier) ^ window(found, earlier)) & LOW_16
        if np.int64(ones(difference)) <= (radius - earlier) >> 4:
            return True
    return False


@jit
def read_all(
    query: Words,
    number: int,
    radius: int,
    words: Words,
    first: int,
    owners: Rows,
    rows: Rows,
    distances: Distances,
    total: int,
) -> int:
    """Compare every row, the first of which has the number ``first``; returns the new total."""
    for row in range(len(words)):
        apart = distance(query, words[row])
        if apart <= np.uint64(radius):
            if total < len(rows):
                owners[total] = number
                rows[total] = first + row
                distances[total] = apart
            total += 1
    return total


@jit
def read_buckets(
    query: Words,
    number: int,
    radius: int,
    words: Words,
    entries: Words,
    plan: Plan,
    probes: int,
    owners: Rows,
    rows: Rows,
    distances: Distances,
    total: int,
) -> int:
    """Read the planned buckets: refuse by the signature, compare what remains in full.

    Returns:
        The new total; :data:`BAD` if an entry names a row that there is not.
    """
    limit = np.uint64(radius)
    for probe in range(-AHEAD, probes):
        chunk, begin, end = plan[probe + AHEAD]
        for place in range(begin, min(end, begin + LINES * ENTRIES_A_LINE), ENTRIES_A_LINE):
            ask_for(entries[chunk], place)
        if probe < 0:
            continue
        chunk, begin, end = plan[probe]
        bucket = entries[chunk]
        head = window(query, chunk + 1)
        tail = window(query, chunk + 5) << HALF
        for place in range(begin, end):
            row_and_tail = bucket[place, 1]
            if ones(bucket[place, 0] ^ head) + ones((row_and_tail ^ tail) >> HALF) > limit:
                continue
            row = np.intp(row_and_tail & LOW_32)
            if row >= len(words):
                return BAD
            apart = distance(query, words[row])
            if apart <= limit and not found_before(query, words[row], chunk, radius):
                if total < len(rows):
                    owners[total] = number
                    rows[total] = row
                    distances[total] = apart
                total += 1
    return total


def _count(words: Words, starts: Starts) -> None:
    starts[:] = 0
    for row in range(len(words)):
        for chunk in range(CHUNKS):
            starts[chunk, np.intp(window(words[row], chunk) & LOW_16) + 1] += np.uint32(1)
    for chunk in range(CHUNKS):
        for bucket in range(starts.shape[1] - 1):
            starts[chunk, bucket + 1] += starts[chunk, bucket]


def _fill(words: Words, chunk: int, starts: Starts, entries: Words) -> None:
    free = starts[chunk].copy()
    for row in range(len(words)):
        key = np.intp(window(words[row], chunk) & LOW_16)
        place = np.intp(free[key])
        free[key] += np.uint32(1)
        entries[place, 0] = window(words[row], chunk + 1)
        entries[place, 1] = (window(words[row], chunk + 5) << HALF) | np.uint64(row)


def _search(
    queries: Words,
    radius: int,
    effort: float,
    words: Words,
    starts: Starts,
    entries: Words,
    added: Words,
    owners: Rows,
    rows: Rows,
    distances: Distances,
    scanned: Counts,
) -> int:
    plan = np.empty((PROBES + AHEAD, 3), np.int64)
    total = 0
    scanned[0] = 0
    for number in range(len(queries)):
        query = queries[number]
        probes = plan_probes(query, radius, len(words), effort, starts, plan)
        if probes == SCAN:
            scanned[0] += 1
            total = read_all(query, number, radius, words, 0, owners, rows, distances, total)
        elif probes >= 0:
            total = read_buckets(query, number, radius, words, entries, plan, probes, owners, rows, distances, total)
        if BAD in (probes, total):
            return BAD
        total = read_all(query, number, radius, added, len(words), owners, rows, distances, total)
    return total


# Arrays of an index are read-only, so that they may as well be mapped from a file.
_WORDS = types.Array(types.uint64, 2, "C", readonly=True)
_STARTS = types.Array(types.uint32, 2, "C", readonly=True)
_ENTRIES = types.Array(types.uint64, 3, "C", readonly=True)

count_buckets = compiled(_count, _WORDS, types.uint32[:, ::1])
"""Write where the buckets of each chunk begin.

Args:
    words: shuffled hashes, uint64 of shape (n, 4).
    starts: out, uint32 of shape (16, 65537): bucket ``b`` of a chunk is ``entries[chunk, starts[b]:starts[b + 1]]``.
"""

fill_buckets = compiled(_fill, _WORDS, types.int64, _STARTS, types.uint64[:, ::1])
"""File every hash in the bucket of one chunk.

Args:
    words: as given to :data:`count_buckets`, which made ``starts``.
    chunk: 0..15.
    starts: where the buckets begin.
    entries: out, uint64 of shape (n, 2): a signature, which is the 96 bits after the chunk, and in the low half of the
        second word the row. Most hashes of a bucket are refused by it, without a look at ``words``.
"""

search = compiled(
    _search,
    _WORDS,
    types.int64,
    types.float64,
    _WORDS,
    _STARTS,
    _ENTRIES,
    _WORDS,
    types.uint32[::1],
    types.uint32[::1],
    types.uint8[::1],
    types.int64[::1],
)
"""Find the rows within a radius of each query, every row once; queries ascending, rows in no particular order.

What it reads may be mapped from a damaged file: every place and row is checked before it is used.

Args:
    queries: shuffled hashes, uint64 of shape (m, 4).
    radius: 0..63.
    effort: all rows are read for a query whose way through the buckets would cost as much as comparing this many.
    words: as given to :data:`count_buckets`; ``starts`` and ``entries`` as these wrote them.
    added: hashes that are in no bucket yet, uint64 of shape (k, 4); all are read, and count as rows n..n + k - 1.
    owners: out, uint32: the number of the query of each hit.
    rows: out, uint32, of the same length: the number of the row.
    distances: out, uint8, of the same length.
    scanned: out, int64 of shape (1,): for how many queries all rows were read.

Returns:
    How many hits there are in all. If it is more than ``rows`` holds, what did not fit was counted but not written.
    :data:`BAD` if a bucket or a row does not lie within the arrays: nothing that was written may be used then.
"""

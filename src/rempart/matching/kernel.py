"""The compiled half of the index: filing hashes into buckets, and searching them.

Multi-index hashing after Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing" (2012):
256 bits are 16 chunks of 16; chunk ``c`` files every hash into one of 65,536 buckets. A search for radius ``r`` flips
at most ``f(c) = (r - c) // 16`` bits of chunk ``c`` of the query (none of it is looked at where that is negative). A
hash that is missed in every chunk differs by ``f(c) + 1`` bits or more in each, and these add up to ``r + 1``.

Importing this module compiles it, in about two seconds, or loads what an earlier process of this user compiled.
numba's cache is made of pickles, so it is only used in a folder that nobody else can write to.

What numba compiles is written in its dialect: scalars are ``uint64`` throughout, because numba makes a float of a
``uint64`` and a signed integer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rempart.matching.permutation import Words
from rempart.settings import xdg_folder

P = ParamSpec("P")
R = TypeVar("R")

Numba: TypeAlias = Any  # numba's hints describe what it decorates, not what comes of it
Starts: TypeAlias = npt.NDArray[np.uint32]
Rows: TypeAlias = npt.NDArray[np.uint32]
Distances: TypeAlias = npt.NDArray[np.uint8]
Counts: TypeAlias = npt.NDArray[np.int64]
Plan: TypeAlias = npt.NDArray[np.int64]

PRIVATE = 0o700

CHUNKS = 16
BUCKETS = 1 << 16
MAX_RADIUS = 31
"""Of a search through buckets: at most one flipped bit in each chunk. Beyond it every row is compared."""

LOW_16 = np.uint64(0xFFFF)
LOW_32 = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)

# Memory is what a search waits for. Buckets are asked for this many probes before they are read, the first lines of
# each at once; the processor fetches the rest of a long bucket by itself. Measured: 74 us a query at a million hashes
# without, 24 us with.
AHEAD = 8
LINES = 8
ENTRIES_A_LINE = 4


def _ones(_context: Numba, _word: Numba) -> Numba:
    def generate(_context: Numba, builder: Numba, _signature: Numba, arguments: Numba) -> Numba:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _ask_for(_context: Numba, entries: Numba, place: Numba) -> Numba:
    def generate(context: Numba, builder: Numba, signature: Numba, arguments: Numba) -> Numba:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        column = context.get_constant(types.intp, 0)
        element: Numba = cgutils.get_item_pointer
        pointer = element(context, builder, signature.args[0], array, [arguments[1], column])
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], shape)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # to read, keep close, data
        return context.get_dummy_value()

    return types.void(entries, place), generate


ones: Numba = intrinsic(_ones)
"""How many bits of a uint64 are set, by the processor's own instruction."""

ask_for: Numba = intrinsic(_ask_for)
"""Have ``entries[place]`` brought into the cache, without waiting for it."""


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Leave a function to be compiled into those that call it."""
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit
    return decorate(function)


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
def plan_probes(query: Words, radius: int, rows: int, starts: Starts, plan: Plan) -> int:
    """Write the (chunk, begin, end) of every bucket to read and return their number; -1 if reading all rows is less."""
    if radius > MAX_RADIUS:
        return -1
    probes = 0
    visits = np.int64(0)
    for chunk in range(min(CHUNKS, radius + 1)):
        key = np.intp(window(query, chunk) & LOW_16)
        for probe in range(17 if radius - chunk >= CHUNKS else 1):
            # The first probe flips bit 16, which is not part of the key, hence nothing.
            bucket = (key ^ (BUCKETS >> probe)) & (BUCKETS - 1)
            begin = np.int64(starts[chunk, bucket])
            end = np.int64(starts[chunk, bucket + 1])
            if begin < end:
                plan[probes, 0] = chunk
                plan[probes, 1] = begin
                plan[probes, 2] = end
                probes += 1
                visits += end - begin
    plan[probes : probes + AHEAD] = 0
    return probes if visits <= rows else -1


@jit
def found_before(query: Words, found: Words, chunk: int, radius: int) -> bool:
    """Whether an earlier chunk finds this hash too; then it has been written down there."""
    for earlier in range(chunk):
        difference = (window(query, earlier) ^ window(found, earlier)) & LOW_16
        if np.int64(ones(difference)) <= (radius - earlier) >> 4:
            return True
    return False


@jit
def read_all(query: Words, radius: int, words: Words, rows: Rows, distances: Distances, total: int) -> int:
    """Compare every row; returns the new total, as does :func:`read_buckets`."""
    for row in range(len(words)):
        apart = distance(query, words[row])
        if apart <= np.uint64(radius):
            if total < len(rows):
                rows[total] = row
                distances[total] = apart
            total += 1
    return total


@jit
def read_buckets(
    query: Words,
    radius: int,
    words: Words,
    entries: Words,
    plan: Plan,
    probes: int,
    rows: Rows,
    distances: Distances,
    total: int,
) -> int:
    """Read the planned buckets: refuse by the signature, compare what remains in full."""
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
            apart = distance(query, words[row])
            if apart <= limit and not found_before(query, words[row], chunk, radius):
                if total < len(rows):
                    rows[total] = row
                    distances[total] = apart
                total += 1
    return total


def _build(words: Words, starts: Starts, entries: Words) -> None:
    for chunk in range(CHUNKS):
        begin = starts[chunk]
        begin[:] = 0
        for row in range(len(words)):
            begin[np.intp(window(words[row], chunk) & LOW_16) + 1] += np.uint32(1)
        for bucket in range(BUCKETS):
            begin[bucket + 1] += begin[bucket]
        for row in range(len(words)):
            key = np.intp(window(words[row], chunk) & LOW_16)
            place = np.intp(begin[key])
            begin[key] += np.uint32(1)
            entries[chunk, place, 0] = window(words[row], chunk + 1)
            entries[chunk, place, 1] = (window(words[row], chunk + 5) << HALF) | np.uint64(row)
        # Filling moved the begin of each bucket to its end, which is the begin of the next.
        for bucket in range(BUCKETS, 0, -1):
            begin[bucket] = begin[bucket - 1]
        begin[0] = 0


def _search(
    queries: Words,
    radius: int,
    words: Words,
    starts: Starts,
    entries: Words,
    rows: Rows,
    distances: Distances,
    counts: Counts,
) -> int:
    plan = np.empty((CHUNKS * 17 + AHEAD, 3), np.int64)
    total = 0
    for number in range(len(queries)):
        query = queries[number]
        before = total
        probes = plan_probes(query, radius, len(words), starts, plan)
        if probes < 0:
            total = read_all(query, radius, words, rows, distances, total)
        else:
            total = read_buckets(query, radius, words, entries, plan, probes, rows, distances, total)
        counts[number] = total - before
    return total


def cache_folder() -> Path | None:
    """The folder for compiled code: this user's own, with mode 0700. None if there is no such place."""
    try:
        folder = xdg_folder("XDG_CACHE_HOME", ".cache") / "rempart" / "numba"
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        facts = folder.lstat()
    except (OSError, RuntimeError):  # not writable, or no home folder
        return None
    private = stat.S_ISDIR(facts.st_mode) and stat.S_IMODE(facts.st_mode) == PRIVATE and facts.st_uid == os.geteuid()
    return folder if private and os.access(folder, os.W_OK) else None


def compiled(function: Callable[P, R], *argument_types: Numba) -> Callable[P, R]:
    """Compile a function for these types now, by way of the cache if there is a safe one."""
    folder = cache_folder()
    if folder is not None:
        # numba asks this when a function is decorated. What else runs in this process keeps its own place.
        config: Numba = numba.config
        theirs, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            return decorated(function, argument_types, cache=True)
        except Exception:  # noqa: BLE001, S110 -- a full disk, a damaged file: whatever ails the cache, do without it
            pass
        finally:
            config.CACHE_DIR = theirs
    return decorated(function, argument_types, cache=False)


def decorated(function: Callable[P, R], argument_types: tuple[Numba, ...], *, cache: bool) -> Callable[P, R]:
    """Compile now; the function lets go of the interpreter's lock while it runs."""
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit([argument_types], nogil=True, cache=cache)
    return decorate(function)


# Arrays of an index are read-only, so that they may as well be mapped from a file.
_WORDS = types.Array(types.uint64, 2, "C", readonly=True)
_STARTS = types.Array(types.uint32, 2, "C", readonly=True)
_ENTRIES = types.Array(types.uint64, 3, "C", readonly=True)

build_buckets = compiled(_build, _WORDS, types.uint32[:, ::1], types.uint64[:, :, ::1])
"""File every hash once for each chunk.

Args:
    words: shuffled hashes, uint64 of shape (n, 4).
    starts: out, uint32 of shape (16, 65537): bucket ``b`` of a chunk is ``entries[chunk, starts[b]:starts[b + 1]]``.
    entries: out, uint64 of shape (16, n, 2): a signature, which is the 96 bits after the chunk, and in the low half of
        the second word the row. Most hashes of a bucket are refused by it, without a look at ``words``.
"""

search = compiled(
    _search,
    _WORDS,
    types.int64,
    _WORDS,
    _STARTS,
    _ENTRIES,
    types.uint32[::1],
    types.uint8[::1],
    types.int64[::1],
)
"""Find the rows within a radius of each query, every row once, in no particular order.

Args:
    queries: shuffled hashes, uint64 of shape (m, 4).
    radius: 0..255; up to 31 through the buckets, beyond it (or where buckets are crowded) by reading all rows.
    words: as given to :data:`build_buckets`, as are ``starts`` and ``entries``.
    rows: out, uint32: row numbers, those of the first query first.
    distances: out, uint8, of the same length.
    counts: out, int64 of shape (m,): how many rows each query found.

Returns:
    How many rows there are in all. If it is more than ``rows`` holds, what did not fit was counted but not written.
"""

"""The index of hashes: which of them lie within a radius of a given one, exactly and completely."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.errors import InvalidHashError, UsageError
from rempart.matching.permutation import BYTES, Bytes, Words, shuffle

DEFAULT_RADIUS = 31
MAX_RADIUS = 63
MAX_ROWS = (1 << 32) - 1

# Up to this many hashes, numpy compares them all, in at most 0.1 ms: to load the compiled search would pay off only
# after thousands of queries.
SMALL = 50_000

# The compiled search is given room for this many hits, and once more if there are more.
_ROOM = 1024


class HasHash(Protocol):
    """Anything with the 32 bytes of a hash, as :class:`rempart.hashing.pdq.Pdq`."""

    @property
    def hash(self) -> bytes:
        """The hash, in the order of the text form."""
        ...


HashLike: TypeAlias = str | bytes | Bytes | HasHash
"""One hash: 64 hexadecimal digits, 32 bytes in the order of these, a uint8 array of shape (32,), or what has one."""


class Hit(NamedTuple):
    """One found entry: its id, and in how many of the 256 bits its hash differs."""

    id: int
    distance: int


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What many queries found; the hits of query ``i`` are at ``offsets[i]:offsets[i + 1]``, nearest first.

    Attributes:
        offsets: int64 of shape (queries + 1,).
        ids: int64 of shape (hits,).
        distances: uint8 of shape (hits,), in bits.
    """

    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.uint8]


class Buckets(NamedTuple):
    """The hashes filed by chunks, as :data:`rempart.matching.kernel.build_buckets` describes."""

    starts: npt.NDArray[np.uint32]
    entries: Words


class HashIndex:
    """Finds every indexed hash within a radius of a query: the same answer as comparing with each, only sooner.

    Made by :meth:`build`; never changes. Queries from several threads at once are fine.

    Attributes:
        dropped: how many hashes given to :meth:`build` were all zero. Such a hash says nothing of its picture and would
            match every other featureless one, so it is never indexed.
    """

    __slots__ = ("_buckets", "_ids", "_words", "dropped")

    def __init__(self, words: Words, ids: npt.NDArray[np.int64], buckets: Buckets | None, *, dropped: int) -> None:
        self._words = words
        self._ids = ids
        self._buckets = buckets
        self.dropped = dropped

    @classmethod
    def build(cls, hashes: Bytes | Sequence[HashLike], ids: npt.ArrayLike | None = None) -> Self:
        """Index hashes.

        Args:
            hashes: uint8 array of shape (n, 32), or a sequence of hashes, each in any form of :data:`HashLike`.
            ids: n integers from 0 to 2**63 - 1, by which hits are reported; the row numbers by default. An id may
                stand at several hashes.

        Raises:
            InvalidHashError: a hash or an id has the wrong form; the message says which.
        """
        table = _table(hashes)
        numbers = np.arange(len(table), dtype=np.int64) if ids is None else _ids(ids, len(table))
        kept = np.flatnonzero(table.any(axis=1))
        dropped = len(table) - len(kept)
        if dropped:
            table, numbers = table[kept], numbers[kept]
        if len(table) > MAX_ROWS:
            raise UsageError(f"an index holds at most {MAX_ROWS} hashes; divide these among several")
        words = shuffle(table)
        words.flags.writeable = numbers.flags.writeable = False
        return cls(words, numbers, _file(words) if len(words) > SMALL else None, dropped=dropped)

    def __len__(self) -> int:
        """How many hashes are indexed."""
        return len(self._words)

    @property
    def nbytes(self) -> int:
        """Memory of the index, in bytes."""
        return sum(array.nbytes for array in (self._words, self._ids, *(self._buckets or ())))

    def query(self, hash: HashLike, radius: int = DEFAULT_RADIUS) -> list[Hit]:  # noqa: A002 -- it is what callers pass
        """The entries within a radius of one hash.

        Args:
            hash: in any form of :data:`HashLike`.
            radius: the greatest distance that counts, 0..63 bits.

        Returns:
            Hits by (distance, id); each id once, at the distance of its nearest hash.

        Raises:
            InvalidHashError: the hash has the wrong form.
            UsageError: the radius is out of range.
        """
        hits = self._search(np.frombuffer(_bytes(hash), np.uint8).reshape(1, BYTES), radius)
        return [Hit(*pair) for pair in zip(hits.ids.tolist(), hits.distances.tolist(), strict=True)]

    def query_many(self, hashes: Bytes | Sequence[HashLike], radius: int = DEFAULT_RADIUS) -> Hits:
        """The entries within a radius of each of many hashes, in the form :meth:`build` takes; else as :meth:`query`.

        Raises:
            InvalidHashError: a hash has the wrong form; the message says which.
            UsageError: the radius is out of range.
        """
        return self._search(_table(hashes), radius)

    def _search(self, hashes: Bytes, radius: int) -> Hits:
        radius = _radius(radius)
        queries = shuffle(hashes)
        if self._buckets is None:
            owners, rows, distances = _scan(self._words, queries, radius)
        else:
            owners, rows, distances = _search_buckets(self._words, self._buckets, queries, radius)
        return _arrange(len(queries), owners, self._ids[rows], distances)


def _file(words: Words) -> Buckets:
    from rempart.matching import kernel  # noqa: PLC0415 -- numba takes a quarter of a second, and small indexes need none

    starts = np.empty((kernel.CHUNKS, kernel.BUCKETS + 1), np.uint32)
    entries = np.empty((kernel.CHUNKS, len(words), 2), np.uint64)
    kernel.build_buckets(words, starts, entries)
    starts.flags.writeable = entries.flags.writeable = False
    return Buckets(starts, entries)


Found: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.integer], npt.NDArray[np.uint8]]
"""For each hit the query's number, the row's number and the distance; queries ascending."""


def _search_buckets(words: Words, buckets: Buckets, queries: Words, radius: int) -> Found:
    from rempart.matching import kernel  # noqa: PLC0415

    counts = np.empty(len(queries), np.int64)
    total = _ROOM
    room = 0
    while total > room:
        room = total
        rows, distances = np.empty(room, np.uint32), np.empty(room, np.uint8)
        total = kernel.search(queries, radius, words, buckets.starts, buckets.entries, rows, distances, counts)
    return np.repeat(np.arange(len(queries)), counts), rows[:total], distances[:total]


def _scan(words: Words, queries: Words, radius: int) -> Found:
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
    return np.repeat(np.arange(len(queries)), counts), np.concatenate(rows), np.concatenate(distances)


def _arrange(
    queries: int, owners: npt.NDArray[np.intp], ids: npt.NDArray[np.int64], distances: npt.NDArray[np.uint8]
) -> Hits:
    """Keep the nearest hit of each query and id, and sort by (query, distance, id)."""
    if not len(ids):
        return Hits(np.zeros(queries + 1, np.int64), ids, distances)
    order = np.lexsort((distances, ids, owners))
    owners, ids, distances = owners[order], ids[order], distances[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (owners[1:] != owners[:-1]) | (ids[1:] != ids[:-1])
    owners, ids, distances = owners[first], ids[first], distances[first]
    order = np.lexsort((ids, distances, owners))
    offsets = np.zeros(queries + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=queries), out=offsets[1:])
    return Hits(offsets, ids[order], distances[order])


def _radius(radius: int) -> int:
    try:
        number = operator.index(radius)
    except TypeError:
        number = -1
    if 0 <= number <= MAX_RADIUS:
        return number
    raise UsageError(f"the radius is not a whole number from 0 to {MAX_RADIUS}")


def _table(hashes: Bytes | Sequence[HashLike]) -> Bytes:
    """Hashes in any form as a uint8 array of shape (n, 32)."""
    if isinstance(hashes, np.ndarray):
        if hashes.dtype == np.uint8 and hashes.shape[1:] == (BYTES,):
            return hashes
        shape = "x".join(map(str, hashes.shape))
        raise InvalidHashError(f"an array of hashes is uint8 of shape (n, {BYTES}), not {hashes.dtype} of {shape}")
    if isinstance(hashes, (str, bytes)):
        raise InvalidHashError("this is one hash where a list of hashes is expected; put it into a list")
    table = bytearray()
    for row, value in enumerate(hashes):
        try:
            table += _bytes(value)
        except InvalidHashError as error:
            raise InvalidHashError(f"row {row} of the hashes: {error}") from None
    return np.frombuffer(table, np.uint8).reshape(-1, BYTES)


def _bytes(value: HashLike) -> bytes:
    """One hash in any form as 32 bytes. No message quotes it: hashes of lists are confidential."""
    value = getattr(value, "hash", value)
    if isinstance(value, str):
        if len(value) != 2 * BYTES:
            raise InvalidHashError(f"a hash has {2 * BYTES} hexadecimal digits, not {len(value)} characters")
        try:
            value = bytes.fromhex(value)
        except ValueError:
            value = b""
        if len(value) != BYTES:  # fromhex skips white space
            raise InvalidHashError("a hash consists of hexadecimal digits; this one holds other characters")
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.shape != (BYTES,):
            raise InvalidHashError(
                f"a hash as an array is uint8 of shape ({BYTES},), not {value.dtype} of {value.shape}"
            )
        return value.tobytes()
    if not isinstance(value, bytes):
        raise InvalidHashError(
            f"a hash is {2 * BYTES} hexadecimal digits, {BYTES} bytes or a uint8 array, not {type(value).__name__}"
        )
    if len(value) != BYTES:
        raise InvalidHashError(f"a hash has {BYTES} bytes, not {len(value)}")
    return value


def _ids(ids: npt.ArrayLike, rows: int) -> npt.NDArray[np.int64]:
    """Ids as an int64 array of their own."""
    try:
        given = np.asarray(ids)
    except (ValueError, OverflowError):
        raise InvalidHashError("the ids are not a plain list of whole numbers") from None
    if given.shape != (rows,):
        shape = "x".join(map(str, given.shape)) or "a single number"
        raise InvalidHashError(f"there must be one id for each of the {rows} hashes; the shape of the ids is {shape}")
    if rows and given.dtype.kind not in "iu":
        raise InvalidHashError(f"ids are whole numbers from 0 to 2**63 - 1; these are {given.dtype}")
    wrong = np.flatnonzero((given < 0) | (given > np.iinfo(np.int64).max))
    if len(wrong):
        raise InvalidHashError(f"row {wrong[0]} of the ids is not a whole number from 0 to 2**63 - 1")
    return given.astype(np.int64)

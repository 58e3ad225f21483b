"""The index of hashes: which of them lie within a radius of a given one, exactly and completely."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock, RLock
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rempart.errors import SnapshotError, UsageError
from rempart.matching.files import IndexFile
from rempart.matching.forms import HashLike, hash_bytes, hash_table, id_array
from rempart.matching.journal import Change
from rempart.matching.journal import Kind as ChangeKind
from rempart.matching.permutation import BYTES, WORDS, Bytes, Words, shuffle
from rempart.matching.search import Hits, search
from rempart.matching.segment import Ids, Progress, Rows, Segment, check_rows, cores
from rempart.matching.view import View

DEFAULT_RADIUS = 31
MAX_RADIUS = 63

WORTH_A_THREAD = 128
"""Queries in a call for which another thread is worth starting."""


class Hit(NamedTuple):
    """One found entry: its id, and in how many of the 256 bits its hash differs."""

    id: int
    distance: int


class HashIndex:
    """Finds every indexed hash within a radius of a query: the same answer as comparing with each, only sooner.

    Made by :meth:`build` in memory, or by :meth:`open` from a snapshot that all processes of a machine share. What is
    added or removed acts at once: it is kept beside the filed hashes until :meth:`compact` files it. Any number of
    threads may ask, add, remove and compact at the same time; a query sees one state from begin to end.

    Attributes:
        dropped: how many hashes given to :meth:`build` or :meth:`add` were all zero. Such a hash says nothing of its
            picture and would match every other featureless one, so it is never indexed.
    """

    __slots__ = ("_bad", "_compacting", "_file", "_since", "_view", "_writing", "dropped")

    def __init__(self, segment: Segment, *, file: IndexFile | None = None, dropped: int = 0) -> None:
        """Stand on a segment; callers use :meth:`build` and :meth:`open`."""
        self._view = View.of(segment)
        self._file = file
        self._bad: str | None = None
        self._writing = RLock()
        self._compacting = Lock()
        self._since: list[Change] | None = None
        self.dropped = dropped

    @classmethod
    def build(cls, hashes: Bytes | Sequence[HashLike], ids: npt.ArrayLike | None = None) -> Self:
        """Index hashes in memory.

        Args:
            hashes: uint8 array of shape (n, 32), or a sequence of hashes, each in any form of :data:`HashLike`.
            ids: n integers from 0 to 2**63 - 1, by which hits are reported; the row numbers by default. An id may
                stand at several hashes.

        Raises:
            InvalidHashError: a hash or an id has the wrong form; the message says which.
            UsageError: there are too many for one index.
        """
        table = hash_table(hashes)
        numbers = np.arange(len(table), dtype=np.int64) if ids is None else id_array(ids, len(table))
        words, numbers, dropped = _kept(table, numbers)
        return cls(Segment.build(words, numbers), dropped=dropped)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Map the snapshot that :meth:`save` wrote, and take up what its journal says was changed since.

        It takes milliseconds and hardly any memory of the process. What :meth:`add` and :meth:`remove` change from here
        on is on the disk, in the journal, before they return. One process at a time may write; others read, and see
        its changes after :meth:`refresh`.

        Raises:
            SnapshotError: there is no such file, or it is truncated, damaged, from another kind of machine or newer.
        """
        file = IndexFile(Path(path))
        segment, changes, dropped = file.read()
        index = cls(segment, file=file, dropped=dropped)
        index._view = index._view.after_all(changes)
        return index

    @classmethod
    def build_file(
        cls,
        path: str | os.PathLike[str],
        batches: Iterable[tuple[Bytes | Sequence[HashLike], npt.ArrayLike]],
        *,
        progress: Progress | None = None,
    ) -> Self:
        """Index more hashes than one would want in memory: they are filed straight into a snapshot, which is opened.

        Args:
            path: the file; one that is there is replaced when the new one is whole.
            batches: hashes and their ids, some at a time, in the forms that :meth:`build` takes. Beside a batch, memory
                is needed for 8 bytes a hash and 16 for each thread that files them.
            progress: called with the share that is done, 0..1.

        Raises:
            InvalidHashError: a hash or an id has the wrong form; then nothing is written.
            SnapshotError: the disk is full, the folder cannot be written, or another process writes there.
        """
        dropped = 0

        def blocks() -> Iterator[Rows]:
            nonlocal dropped
            for hashes, ids in batches:
                table = hash_table(hashes)
                words, numbers, zeros = _kept(table, id_array(ids, len(table)))
                dropped += zeros
                yield words, numbers

        _write(IndexFile(Path(path)), blocks(), lambda: dropped, progress)
        return cls.open(path)

    def save(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Write what is indexed now as a snapshot: it appears under its name whole, or not at all.

        Args:
            path: the file; one that is there is replaced, and whoever has mapped it keeps the old one.
            progress: called with the share that is done, 0..1.

        Raises:
            SnapshotError: the disk is full, the folder cannot be written, or another process writes there.
            UsageError: it is the file that this index was opened from; :meth:`compact` is for that.
        """
        file = IndexFile(Path(path))
        view = self._checked()
        if self._file is not None and file.path.absolute() == self._file.path.absolute():
            raise UsageError(f"{file.path} is the file that this index works on; compact() writes it anew")
        _write(file, view.blocks(), lambda: self.dropped, progress)

    def add(self, hashes: Bytes | Sequence[HashLike], ids: npt.ArrayLike) -> None:
        """Add hashes, in the forms that :meth:`build` takes; queries that begin after this returns find them.

        Raises:
            InvalidHashError: a hash or an id has the wrong form; then none is added.
            SnapshotError: the journal cannot be written; then none is added.
        """
        table = hash_table(hashes)
        words, numbers, dropped = _kept(table, id_array(ids, len(table)))
        check_rows(len(self._view.segment) + len(self._view.added_ids) + len(words))
        self._change(Change(ChangeKind.ADD, numbers, words))
        self.dropped += dropped

    def remove(self, ids: npt.ArrayLike) -> None:
        """Remove every hash with one of these ids; queries that begin after this returns no longer find them.

        An id that is not there is no error, and one that is added again later is found again.

        Raises:
            InvalidHashError: the ids are not whole numbers; then none is removed.
            SnapshotError: the journal cannot be written; then none is removed.
        """
        self._change(Change(ChangeKind.REMOVE, id_array(ids, np.size(ids)), np.empty((0, WORDS), np.uint64)))

    def compact(self, *, progress: Progress | None = None) -> None:
        """File what was added, drop what was removed; of an opened index, into a new snapshot under the same name.

        Answers go on meanwhile, from the old state and what is added to it. The new snapshot is read back whole before
        it takes the old one's place. A crash at any moment leaves one or the other, and a journal that fits it.

        Args:
            progress: called with the share that is done, 0..1.

        Raises:
            SnapshotError: the disk is full or fails; the index is as it was.
        """
        with self._compacting:
            with self._writing:
                self._begin_writing()
                view = self._checked()
                if self._file is not None:
                    self._file.begin_journal()
                self._since = []
            try:
                if self._file is None:
                    segment = Segment.build(*view.rows())
                else:
                    segment = self._file.replace(view.blocks(), lambda: self.dropped, progress, begun=True)
                with self._writing:
                    self._view = View.of(segment).after_all(self._since)
                    self._since = None
            finally:
                self._since = None

    def refresh(self) -> None:
        """Take up what another process has changed in the file that this index was opened from.

        Raises:
            SnapshotError: the new state cannot be read or is damaged; the index is as it was.
        """
        if self._file is None:
            return
        with self._writing:
            segment, changes, dropped = self._file.read()
            if self._bad is not None and segment.snapshot is not None:
                segment.snapshot.verify()  # a damaged file may still be the one that lies there
            self._view, self.dropped, self._bad = View.of(segment).after_all(changes), dropped, None

    def verify(self) -> None:
        """Read the whole snapshot and compare it with its digest: opening looks at the header and tables only.

        Raises:
            SnapshotError: a byte of it has changed; from then on every query is refused.
        """
        snapshot = self._view.segment.snapshot
        if snapshot is not None:
            try:
                snapshot.verify()
            except SnapshotError as error:
                self._bad = str(error)
                raise

    def close(self) -> None:
        """Let go of the journal, so that another process may write. The index can go on being asked."""
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        """How many hashes are indexed."""
        return len(self._view)

    @property
    def pending(self) -> int:
        """How many added hashes and removed ids wait for :meth:`compact`; each costs every query a nanosecond or so."""
        return self._view.pending

    @property
    def nbytes(self) -> int:
        """Size of the index in bytes, in memory or mapped."""
        return self._view.nbytes

    def blocks(self) -> Iterator[Rows]:
        """What is indexed now: shuffled hashes and ids, some at a time."""
        return self._checked().blocks()

    def query(self, hash: HashLike, radius: int = DEFAULT_RADIUS) -> list[Hit]:  # noqa: A002 -- it is what callers pass
        """The entries within a radius of one hash.

        Args:
            hash: in any form of :data:`HashLike`.
            radius: the greatest distance that counts, 0..63 bits. Above 31 a query looks at much more, and where it
                would be at most of the hashes it compares with every one: see :attr:`Hits.scanned`.

        Returns:
            Hits by (distance, id); each id once, at the distance of its nearest hash.

        Raises:
            InvalidHashError: the hash has the wrong form.
            UsageError: the radius is out of range.
            SnapshotError: the snapshot is damaged.
        """
        hits = self._search(np.frombuffer(hash_bytes(hash), np.uint8).reshape(1, BYTES), radius, 1)
        return [Hit(*pair) for pair in zip(hits.ids.tolist(), hits.distances.tolist(), strict=True)]

    def query_many(
        self, hashes: Bytes | Sequence[HashLike], radius: int = DEFAULT_RADIUS, *, threads: int | None = None
    ) -> Hits:
        """The entries within a radius of each of many hashes, in the form :meth:`build` takes; else as :meth:`query`.

        Args:
            hashes: the queries.
            radius: 0..63 bits.
            threads: how many threads search; by default one for each core when there is enough to do.

        Raises:
            InvalidHashError: a hash has the wrong form; the message says which.
            UsageError: the radius is out of range.
            SnapshotError: the snapshot is damaged.
        """
        table = hash_table(hashes)
        worth = max(1, len(table) // WORTH_A_THREAD)
        return self._search(table, radius, threads or (min(cores(), worth) if worth > 1 else 1))

    def _search(self, hashes: Bytes, radius: int, threads: int) -> Hits:
        view = self._checked()
        radius = _radius(radius)
        try:
            return search(view, shuffle(hashes), radius, threads)
        except SnapshotError as error:
            self._bad = str(error)
            raise

    def _checked(self) -> View:
        """The present state, unless it was found to be damaged."""
        if self._bad is not None:
            raise SnapshotError(self._bad)
        return self._view

    def _change(self, change: Change) -> None:
        if not len(change.ids):
            return
        with self._writing:
            self._begin_writing()
            self._checked()
            if self._file is not None:
                self._file.append(change)
            self._view = self._view.after(change)
            if self._since is not None:
                self._since.append(change)

    def _begin_writing(self) -> None:
        """Become the one process that writes to the file, in the state that the last one left it."""
        if self._file is not None and self._file.lock():
            self.refresh()


def _write(file: IndexFile, blocks: Iterable[Rows], dropped: Callable[[], int], progress: Progress | None) -> None:
    """Write a snapshot that nobody works on yet."""
    file.lock()
    try:
        file.replace(blocks, dropped, progress, begun=False)
    finally:
        file.close()


def _kept(table: Bytes, ids: Ids) -> tuple[Words, Ids, int]:
    """Shuffled hashes and their ids without the all-zero ones, and how many these were."""
    kept = np.flatnonzero(table.any(axis=1))
    dropped = len(table) - len(kept)
    if dropped:
        table, ids = table[kept], ids[kept]
    return shuffle(table), ids, dropped


def _radius(radius: int) -> int:
    try:
        number = operator.index(radius)
    except TypeError:
        number = -1
    if 0 <= number <= MAX_RADIUS:
        return number
    raise UsageError(f"the radius is not a whole number from 0 to {MAX_RADIUS}")

"""Exact digests of one kind: sorted arrays, in memory or mapped from a snapshot, and what changed since they were."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rempart.matching.snapshot import Snapshot, SnapshotWriter

_KEY_BYTES = 8
_NONE = np.empty(0, np.int64)

Ids = npt.NDArray[np.int64]


class DigestRows(NamedTuple):
    """Digests of one kind: uint8 of shape (n, 16, 20 or 32), and the entry of each, int64."""

    values: npt.NDArray[np.uint8]
    entries: npt.NDArray[np.int64]


class DigestTable:
    """Which entries hold a digest, by binary search over its first eight bytes. It never changes: see :meth:`after`."""

    def __init__(
        self, filed: _Sorted, gone: Ids = _NONE, held: int | None = None, added: _Sorted | None = None
    ) -> None:
        """Stand on sorted digests; callers use :meth:`of` and :meth:`mapped`.

        Args:
            filed: the digests.
            gone: the entries that are struck from these, ascending; none that is not among them.
            held: how many of these are left.
            added: digests that were added since.
        """
        self._filed = filed
        self._gone = gone
        self._held = len(filed.keys) if held is None else held
        self._added = added or _Sorted.of(DigestRows(filed.rows.values[:0], filed.rows.entries[:0]))

    @classmethod
    def of(cls, rows: DigestRows) -> Self:
        """Sort digests in memory."""
        return cls(_Sorted.of(rows))

    @classmethod
    def mapped(cls, snapshot: Snapshot, prefix: str, length: int) -> Self:
        """The table that :meth:`write` put into a snapshot.

        Raises:
            SnapshotError: there is none, or its parts do not fit together.
        """
        keys, values, entries = (snapshot.arrays.get(prefix + part) for part in ("keys", "values", "entries"))
        if (
            keys is None
            or values is None
            or entries is None
            or [part.dtype.name for part in (keys, values, entries)] != ["uint64", "uint8", "int64"]
            or not keys.shape == entries.shape == (len(values),)
            or values.shape[1:] != (length,)
        ):
            raise snapshot.damaged("the parts of a table of digests do not fit together")
        return cls(_Sorted(keys, DigestRows(values, entries)))

    def __len__(self) -> int:
        """How many digests there are."""
        return self._held + len(self._added.keys)

    @property
    def pending(self) -> int:
        """How many changes wait to be sorted in."""
        return len(self._gone) + len(self._added.keys)

    def find(self, digest: bytes) -> list[int]:
        """The entries that hold this digest, ascending."""
        found = self._filed.find(digest)
        if self.pending:
            found = [entry for entry in found if not _holds(self._gone, entry)] + self._added.find(digest)
        return sorted(set(found))

    def after(self, changed: Ids, rows: DigestRows) -> Self:
        """The table without what these entries held, and with these rows; this one stays as it is.

        It takes a time that grows with what is pending, hardly with what is filed.
        """
        struck, rows_struck = self._filed.rows_of(np.setdiff1d(changed, self._gone))
        kept = ~np.isin(self._added.rows.entries, changed)
        if not len(struck) and kept.all() and not len(rows.values):
            return self
        old = self._added.rows
        added = DigestRows(
            np.concatenate((old.values[kept], rows.values)), np.concatenate((old.entries[kept], rows.entries))
        )
        gone = np.union1d(self._gone, struck)
        return type(self)(self._filed, gone, self._held - rows_struck, _Sorted.of(added))

    def rows(self) -> DigestRows:
        """All digests with their entries, in no particular order."""
        filed, added = self._filed.rows, self._added.rows
        if not self.pending:
            return filed
        kept = ~np.isin(filed.entries, self._gone)
        return DigestRows(
            np.concatenate((filed.values[kept], added.values)), np.concatenate((filed.entries[kept], added.entries))
        )

    def write(self, writer: SnapshotWriter, prefix: str) -> None:
        """Put the table into a snapshot, its changes sorted in."""
        if self.pending:
            self.of(self.rows()).write(writer, prefix)
            return
        writer.add(prefix + "keys", self._filed.keys)
        writer.add(prefix + "values", self._filed.rows.values)
        writer.add(prefix + "entries", self._filed.rows.entries)


class _Sorted:
    """Digests in the order of their first eight bytes, which are the keys."""

    def __init__(self, keys: npt.NDArray[np.uint64], rows: DigestRows) -> None:
        self.keys = keys
        self.rows = rows

    @classmethod
    def of(cls, rows: DigestRows) -> Self:
        keys = np.ascontiguousarray(rows.values[:, :_KEY_BYTES]).view(">u8").ravel().astype(np.uint64)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], DigestRows(rows.values[order], rows.entries[order]))

    @cached_property
    def _last_entry(self) -> int:
        return int(self.rows.entries.max(initial=-1))

    def find(self, digest: bytes) -> list[int]:
        """The entries that hold this digest."""
        key = np.uint64(int.from_bytes(digest[:_KEY_BYTES], "big"))
        first, last = (int(self.keys.searchsorted(key, side)) for side in ("left", "right"))
        if first == last:
            return []
        same = (self.rows.values[first:last] == np.frombuffer(digest, np.uint8)).all(axis=1)
        found: list[int] = self.rows.entries[first:last][same].tolist()
        return found

    def rows_of(self, entries: Ids) -> tuple[Ids, int]:
        """Those of some entries that hold anything here, ascending, and how many digests they hold."""
        # New entries have greater numbers than all before, so most changes need no look at the rows.
        possible = entries[entries <= self._last_entry]
        if not len(possible):
            return _NONE, 0
        found = self.rows.entries[np.isin(self.rows.entries, possible)]
        return np.unique(found), len(found)


def _holds(ids: Ids, one: int) -> bool:
    place = int(ids.searchsorted(one))
    return place < len(ids) and int(ids[place]) == one

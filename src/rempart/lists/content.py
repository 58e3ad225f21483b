"""What a bank holds, ready to be compared with, and the snapshot in which it waits for the next process.

The database is the truth. A snapshot holds what it said up to one of the numbered changes of the bank, so whoever opens
it only reads what was changed since; a snapshot that is damaged, of another bank or of another past is no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from rempart.errors import SnapshotError, StoreError
from rempart.matching.bank import SteadyIndex, frame_index
from rempart.matching.digest_table import DigestRows, DigestTable
from rempart.matching.permutation import permutation_digest
from rempart.matching.segment import Ids, Progress, Segment, write_segment
from rempart.matching.snapshot import Snapshot, written
from rempart.matching.video import FrameIndex, FrameRows
from rempart.store import Store
from rempart.store.tables import HashKind

DIGEST_KINDS = (HashKind.MD5, HashKind.SHA1, HashKind.SHA256)
FOLDER = "index"


class Facts(msgspec.Struct, frozen=True, tag="bank", forbid_unknown_fields=True):
    """What says whether a snapshot is still of use.

    Attributes:
        bank: number of the bank; ``created_at`` tells it from an earlier one of the same number.
        quality_floor: below which hashes were left out.
        permutation: digest of the order in which the bits of hashes are kept.
        sequence: the last change of the bank that is in it, 0 before the first; ``token`` is what this change has drawn
            at random, by which a database that was put back to an earlier state is noticed.
        read_at: when entries were looked at, for some are disabled until a certain time.
    """

    bank: int
    created_at: datetime
    quality_floor: int
    permutation: bytes
    sequence: int
    token: int
    read_at: datetime


class Rows(NamedTuple):
    """Hashes as the database gives them: PDQ that reach the floor, digests by kind, and frames of videos."""

    hashes: NDArray[np.uint8]
    entries: Ids
    digests: Mapping[HashKind, DigestRows]
    frames: FrameRows


class Content:
    """The hashes of a bank's enabled entries, up to one of the bank's changes. It never changes: see :meth:`after`."""

    def __init__(
        self,
        facts: Facts,
        index: SteadyIndex,
        digests: Mapping[HashKind, DigestTable],
        frames: FrameIndex,
        *,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.facts = facts
        self.index = index
        self.digests = digests
        self.frames = frames
        self.snapshot = snapshot

    @classmethod
    def of(cls, facts: Facts, rows: Rows, radius: int) -> Self:
        """In memory, from all that the database has, for a bank of this radius."""
        digests = {kind: DigestTable.of(table) for kind, table in rows.digests.items()}
        index = SteadyIndex.build(rows.hashes, rows.entries)
        return cls(facts, index, digests, frame_index(rows.frames, radius, facts.quality_floor))

    def __len__(self) -> int:
        """How many hashes can be compared."""
        return len(self.index) + len(self.frames) + sum(map(len, self.digests.values()))

    @property
    def is_written(self) -> bool:
        """Whether the snapshot is of this very state."""
        return self.snapshot is not None and self.facts == self.snapshot.facts(Facts)

    @property
    def written(self) -> int | None:
        """The last change that is in the snapshot; None if there is none."""
        return None if self.snapshot is None else self.snapshot.facts(Facts).sequence

    @property
    def pending(self) -> int:
        """How much of it is in no snapshot: hashes that were added, and entries that were removed."""
        if self.snapshot is None:
            return len(self)
        return self.index.pending + self.frames.pending + sum(table.pending for table in self.digests.values())

    def after(self, facts: Facts, changed: Ids, rows: Rows) -> Content:
        """The later state, which shares with this one what did not change. To be asked for one later state only.

        Args:
            facts: of the later state.
            changed: the entries that were changed, ascending.
            rows: what these hold now.

        Raises:
            SnapshotError: the snapshot turned out to be damaged.
        """
        index = self.index.after(changed, rows.hashes, rows.entries)
        digests = {kind: table.after(changed, rows.digests[kind]) for kind, table in self.digests.items()}
        frames = self.frames.after(changed, rows.frames)
        # When so much was added that all is filed anew in memory, the snapshot is that of an earlier state.
        snapshot = self.snapshot if index.segment is self.index.segment else None
        return Content(facts, index, digests, frames, snapshot=snapshot)

    def verify(self) -> None:
        """Read the whole snapshot, if there is one, and compare it with its digest.

        Raises:
            SnapshotError: it is damaged.
        """
        if self.snapshot is not None:
            self.snapshot.verify()


def snapshot_path(store: Store, bank: int) -> Path:
    """Where the snapshot of a bank lies, or would lie."""
    return store.folder / FOLDER / f"bank-{bank}.snapshot"


def open_content(store: Store, bank: Row[Any]) -> Content | None:
    """What the snapshot of a bank holds; None if there is none.

    Raises:
        SnapshotError: it is damaged, or of another bank or rempart.
    """
    path = snapshot_path(store, bank.id)
    if not path.exists():
        return None
    snapshot = Snapshot(path)
    facts = snapshot.facts(Facts)
    if (facts.bank, facts.created_at, facts.quality_floor, facts.permutation) != (
        bank.id,
        bank.created_at,
        bank.quality_floor,
        permutation_digest(),
    ):
        raise SnapshotError(f"the snapshot {path} is of another bank or an earlier rempart; it can be deleted")
    return Content(
        facts,
        SteadyIndex(Segment.mapped(snapshot, "pdq.")),
        {kind: DigestTable.mapped(snapshot, f"{kind}.", kind.length) for kind in DIGEST_KINDS},
        frame_index(_mapped_frames(snapshot), bank.radius, bank.quality_floor),
        snapshot=snapshot,
    )


def write_content(store: Store, content: Content, *, progress: Progress | None = None) -> Path:
    """Write a bank's snapshot; whoever has mapped an earlier one keeps that.

    Raises:
        SnapshotError: it cannot be written; an earlier one is unchanged.
    """
    path = snapshot_path(store, content.facts.bank)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SnapshotError(f"the folder {path.parent} cannot be made: {error.strerror}") from None
    with written(path) as writer:
        write_segment(writer, content.index.blocks(), "pdq.", progress=progress)
        for kind, table in content.digests.items():
            table.write(writer, f"{kind}.")
        for part, rows in zip(_FRAME_PARTS, content.frames.rows(), strict=True):
            writer.add(part, np.asarray(rows))
        writer.finish(content.facts)
    return path


def drop_snapshot(store: Store, bank: int) -> None:
    """Delete the snapshot of a bank, if there is one.

    Raises:
        StoreError: it cannot be deleted.
    """
    path = snapshot_path(store, bank)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"the snapshot {path} cannot be deleted: {error.strerror}") from None


_FRAME_PARTS = {
    "vpdq.hashes": ("uint8", (HashKind.VPDQ.length,)),
    "vpdq.entries": ("int64", ()),
    "vpdq.qualities": ("int16", ()),
    "vpdq.at_ms": ("int64", ()),
}


def _mapped_frames(snapshot: Snapshot) -> FrameRows:
    parts = [snapshot.arrays[part] for part in _FRAME_PARTS if part in snapshot.arrays]
    found = [(part.dtype.name, part.shape[1:], len(part)) for part in parts]
    if found != [(*form, len(parts[0])) for form in _FRAME_PARTS.values()]:
        raise snapshot.damaged("the parts of the frames of its videos do not fit together")
    return FrameRows(*parts)

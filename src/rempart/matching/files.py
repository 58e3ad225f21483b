"""The files of an index: its snapshot, the journals beside it, and the lock of the one process that writes."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from rempart.errors import SnapshotError
from rempart.matching.journal import Change, Journal, read_journal
from rempart.matching.permutation import permutation_digest
from rempart.matching.segment import Progress, Rows, Segment, write_segment
from rempart.matching.snapshot import Snapshot, written

_READS = 5


class Facts(msgspec.Struct, frozen=True, tag="index", forbid_unknown_fields=True):
    """What an index notes in its snapshot.

    Attributes:
        generation: counts the snapshots of this name; the journals since it are of this generation or later.
        permutation: digest of the order in which the bits of hashes are kept.
        dropped: how many all-zero hashes were left out.
    """

    generation: int
    permutation: bytes
    dropped: int = 0


class IndexFile:
    """An index on the disk: ``path``, ``path.journal-N`` and ``path.lock``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._generation = 0
        self._journal: Journal | None = None
        self._lock: int | None = None

    def read(self) -> tuple[Segment, list[Change], int]:
        """The filed hashes, what was changed since, and how many all-zero hashes were left out.

        Raises:
            SnapshotError: it cannot be read or is damaged.
        """
        for _ in range(_READS):
            facts, segment = self._mapped()
            try:
                changes = [change for journal in self._journals(facts.generation) for change in read_journal(journal)]
            except FileNotFoundError:
                continue
            # A compaction may have ended between the two: then the journals that were read are those of the next one.
            if self._mapped()[0].generation == facts.generation:
                self._generation = facts.generation
                return segment, changes, facts.dropped
        raise SnapshotError(f"{self.path} changes faster than it can be read; try again")

    def lock(self) -> bool:
        """Become the process that writes here; true if it was not that before.

        Raises:
            SnapshotError: another process is.
        """
        if self._lock is not None:
            return False
        try:
            self._lock = os.open(_beside(self.path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise SnapshotError(f"another process writes to the index {self.path}; wait for it to end") from None
        except OSError as error:
            self.close()
            raise SnapshotError(f"the index {self.path} cannot be written: {error.strerror}") from None
        return True

    def append(self, change: Change) -> None:
        """Have a change on the disk; only after :meth:`lock`.

        Raises:
            SnapshotError: the journal cannot be written; then the change is not in it.
        """
        if self._journal is None:
            self._journal = Journal(self._journal_path(max(self._numbers(), default=self._generation)))
        self._journal.append(change)

    def begin_journal(self) -> None:
        """Have what changes from here on belong to the snapshot that is written next; only after :meth:`lock`.

        Raises:
            SnapshotError: the journal cannot be made; then the old one goes on.
        """
        journal = Journal(self._journal_path(self._next()))
        if self._journal is not None:
            self._journal.close()
        self._journal = journal

    def replace(
        self, blocks: Iterable[Rows], dropped: Callable[[], int], progress: Progress | None, *, begun: bool
    ) -> Segment:
        """Write a state as the snapshot, and forget the journals that lead up to it.

        Args:
            blocks: the state, some rows at a time.
            dropped: says, once they are all read, how many all-zero hashes were left out.
            progress: called with the share that is done, 0..1.
            begun: whether :meth:`begin_journal` was called when the state was taken.

        Raises:
            SnapshotError: it cannot be written; what was there before is unchanged.
        """
        generation = self._next() - begun
        with written(self.path) as writer:
            write_segment(writer, blocks, progress=progress)
            writer.finish(Facts(generation, permutation_digest(), dropped()))
        self._generation = generation
        for number in self._numbers():
            if number < generation:
                self._journal_path(number).unlink(missing_ok=True)
        return self._mapped()[1]

    def close(self) -> None:
        """Let another process write."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _mapped(self) -> tuple[Facts, Segment]:
        snapshot = Snapshot(self.path)
        facts = snapshot.facts(Facts)
        if facts.permutation != permutation_digest():
            raise SnapshotError(f"the snapshot {self.path} keeps its bits in another order; build it anew")
        return facts, Segment.mapped(snapshot)

    def _journals(self, generation: int) -> Iterator[Path]:
        """The journals that lead on from a generation, in order."""
        return (self._journal_path(number) for number in sorted(self._numbers()) if number >= generation)

    def _next(self) -> int:
        """A generation that no snapshot and no journal here has."""
        try:
            here = Snapshot(self.path).facts(Facts).generation
        except SnapshotError:  # there is none, or it is the damaged one that is replaced
            here = 0
        return max([here, *self._numbers()]) + 1

    def _numbers(self) -> list[int]:
        name = re.compile(re.escape(self.path.name) + r"\.journal-([0-9]{1,18})")
        found = (name.fullmatch(each.name) for each in self.path.parent.iterdir())
        return [int(match[1]) for match in found if match]

    def _journal_path(self, number: int) -> Path:
        return _beside(self.path, f".journal-{number}")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)

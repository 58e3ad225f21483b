"""Finding tampering: the whole log is read, link after link."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from sqlalchemy.engine import Connection

from rempart.audit.chain import BEFORE_THE_FIRST, digest_after, read_heads
from rempart.audit.checkpoint import Checkpoint
from rempart.audit.log import database_of, read_rows
from rempart.errors import Explained
from rempart.store import Store

_STEP = 1_000


class FaultKind(Explained):
    """What can be wrong with the log."""

    EDITED = "edited", "These rows are not what was recorded, or the row before them was replaced."
    UNREADABLE = "unreadable", "These rows hold what nothing here ever recorded."
    MISSING = "missing", "These rows are gone."
    INSERTED = "inserted", "These rows were put in by something else."
    HEAD = "head", "The head, which says where the log ends, was changed or is gone."
    CUT = "cut", "The log ends before the checkpoint: these rows were cut off."
    REWRITTEN = "rewritten", "The row of the checkpoint is another one: the log was written anew up to it."
    FOREIGN = "foreign", "The log was begun anew, or the checkpoint is of another database."


class Fault(msgspec.Struct, frozen=True):
    """Something wrong, from one row to another; None where there is no number to give."""

    kind: FaultKind
    first: int | None = None
    last: int | None = None


def verify(
    store: Store, checkpoint: Checkpoint | None = None, *, progress: Callable[[int], None] | None = None
) -> list[Fault]:
    """Look for any change of the log that :func:`rempart.audit.record` did not make.

    Rows that were edited, deleted, inserted or moved are found. An end that was cut off or written anew with all its
    digests is found if it reaches back before the checkpoint, which must have been kept where whoever changed the
    database could not change it. A row after one that is gone or unreadable is judged by the rows that follow it only.

    Args:
        store: the database; it is read in one state, and not changed.
        checkpoint: what :func:`rempart.audit.read_checkpoint` gave.
        progress: told again and again how many more rows were read.

    Returns:
        The faults by row, those of the end last; neighbours of one kind are one fault. None: all is as recorded.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return list(_joined(_faults(connection, checkpoint, progress or _tell_nobody)))


def _faults(connection: Connection, checkpoint: Checkpoint | None, progress: Callable[[int], None]) -> Iterator[Fault]:
    last = 0
    digest: bytes | None = BEFORE_THE_FIRST
    database: str | None = None
    unread = 0
    for row in read_rows(connection):
        unread += 1
        if unread == _STEP:
            progress(unread)
            unread = 0
        number = row.sequence
        if number is None or number < 1:
            yield Fault(FaultKind.INSERTED, number, number)
            continue
        if number == 1:
            database = database_of(row)
        if number > last + 1:
            yield Fault(FaultKind.MISSING, last + 1, number - 1)
            digest = None
        if row.entry is None:
            yield Fault(FaultKind.UNREADABLE, number, number)
        elif digest is not None and digest_after(digest, row.entry) != row.digest:
            yield Fault(FaultKind.EDITED, number, number)
        if checkpoint is not None and number == checkpoint.sequence and row.digest.hex() != checkpoint.digest:
            yield Fault(FaultKind.REWRITTEN, number, number)
        digest = None if row.entry is None else row.digest
        last = number
    progress(unread)
    yield from _faults_of_head(connection, last, digest)
    if checkpoint is not None:
        yield from _faults_of_end(checkpoint, last, database)


def _faults_of_head(connection: Connection, last: int, digest: bytes | None) -> Iterator[Fault]:
    heads = read_heads(connection)
    if not heads and not last:
        return  # nothing was ever recorded
    sequence, end = heads[0] if len(heads) == 1 else (None, b"")
    if sequence is None:
        yield Fault(FaultKind.HEAD)
    elif sequence > last:
        yield Fault(FaultKind.MISSING, last + 1, sequence)
    elif sequence < last:
        yield Fault(FaultKind.INSERTED, sequence + 1, last)
    elif digest is not None and end != digest:
        yield Fault(FaultKind.HEAD)


def _faults_of_end(checkpoint: Checkpoint, last: int, database: str | None) -> Iterator[Fault]:
    if last < checkpoint.sequence:
        yield Fault(FaultKind.CUT, last + 1, checkpoint.sequence)
    if database != checkpoint.database:
        yield Fault(FaultKind.FOREIGN)


def _joined(faults: Iterable[Fault]) -> Iterator[Fault]:
    """The faults, neighbours of one kind as one: of a log that was moved by one, millions follow each other."""
    held: Fault | None = None
    for fault in faults:
        if held is None:
            held = fault
        elif fault.kind is held.kind and held.last is not None and fault.first == held.last + 1:
            held = Fault(held.kind, held.first, fault.last)
        else:
            yield held
            held = fault
    if held is not None:
        yield held


def _tell_nobody(_: int) -> None:
    """What is told of the progress when nobody asked."""

"""Checkpoints: the end of the log at a moment, kept where whoever changes the database cannot change it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import select
from sqlalchemy.engine import Connection

from rempart.audit.acts import Act
from rempart.audit.chain import record
from rempart.audit.log import database_of, row_at
from rempart.clock import Clock, utc_now
from rempart.errors import StoreError, UsageError
from rempart.matching.snapshot import sync_folder
from rempart.store import Store
from rempart.store.service_tables import audit_head

_MOST_BYTES = 4096


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of the log at a moment.

    Attributes:
        format: tells the file from others.
        database: tells the log from those of other databases: it stands in its first row.
        sequence: number of the last row.
        digest: its digest, 64 hexadecimal digits.
        at: its time, UTC.
    """

    format: Literal["rempart audit checkpoint 1"] = "rempart audit checkpoint 1"
    database: str
    sequence: Annotated[int, Meta(ge=1)]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    at: str


def checkpoint(store: Store, path: Path, *, actor: str | None = None, clock: Clock = utc_now) -> Checkpoint:
    """Note the end of the log in a file; that this was done is the last row that it covers.

    A file that is there is replaced if it is an earlier checkpoint of this log, with which the log still agrees.

    Args:
        store: the database.
        path: the file, outside of the data folder; where it can be changed by other people than the database is best.
        actor: who does it; the user of this process by default.
        clock: the time.

    Raises:
        UsageError: the file lies in the data folder, is no checkpoint, or the log does not agree with it; it is left
            as it is.
        StoreError: the database or the file cannot be written.
    """
    _refuse_inside(store, path)
    earlier = read_checkpoint(path) if os.path.lexists(path) else None
    try:
        with _replaced(path) as descriptor:  # which fails where it cannot be written, before anything is recorded
            made = _record(store, earlier, actor, clock)
            os.write(descriptor, msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    except OSError as error:
        raise StoreError(f"the checkpoint {path} cannot be written: {error.strerror}") from None
    return made


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UsageError: there is none, or the file is something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"the checkpoint {path} cannot be read: {error.strerror}") from None
    try:
        return msgspec.json.decode(content, type=Checkpoint)
    except (ValueError, RecursionError):  # msgspec's errors are such
        raise UsageError(f"{path} is not a checkpoint of an audit log") from None


def _refuse_inside(store: Store, path: Path) -> None:
    folder = store.folder.resolve()
    # Where the file would lie, and what it points to if it is a link.
    if any(each.is_relative_to(folder) for each in (path.parent.resolve() / path.name, path.resolve())):
        raise UsageError(
            "a checkpoint in the data folder would be changed together with the log; choose a file outside, "
            "best on another machine"
        )


def _record(store: Store, earlier: Checkpoint | None, actor: str | None, clock: Clock) -> Checkpoint:
    with store.write() as connection:
        if earlier is not None and not _agrees(connection, earlier):
            raise UsageError(
                "the log does not agree with the checkpoint that this file holds, which was left as it is; "
                "`rempart audit verify --checkpoint` says more"
            )
        record(connection, actor, Act.AUDIT_CHECKPOINTED, "audit", clock=clock)
        sequence: int = connection.execute(select(audit_head.c.sequence)).scalar_one()
        first, last = row_at(connection, 1), row_at(connection, sequence)
        database = database_of(first)
        if database is None or last is None or last.entry is None:
            raise StoreError("the audit log was damaged; `rempart audit verify` says more")
        return Checkpoint(database=database, sequence=sequence, digest=last.digest.hex(), at=last.entry.at)


def _agrees(connection: Connection, earlier: Checkpoint) -> bool:
    row = row_at(connection, earlier.sequence)
    same_log = database_of(row_at(connection, 1)) == earlier.database
    return same_log and row is not None and row.digest.hex() == earlier.digest


@contextmanager
def _replaced(path: Path) -> Iterator[int]:
    """A new file that takes the place of ``path`` when the block ends without error: whole, or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        yield descriptor
        os.fsync(descriptor)
        Path(name).rename(path)
        sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)

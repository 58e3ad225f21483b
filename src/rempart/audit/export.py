"""Reading the log out, so that it can be kept, searched and verified elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rempart.audit.acts import Act
from rempart.audit.chain import record
from rempart.audit.log import Row, read_rows
from rempart.clock import Clock, utc_now
from rempart.store import Store
from rempart.store.service_tables import audit_log


class _Line(msgspec.Struct, frozen=True):
    sequence: int
    at: str
    actor: str
    act: str
    subject: str
    details: msgspec.Raw
    digest: str


def export(store: Store, first: int = 1, *, actor: str | None = None, clock: Clock = utc_now) -> Iterator[bytes]:
    """The rows from a number on as lines of JSON, streamed; that they were read out is the last of them.

    A line has the keys ``sequence at actor act subject details digest``; its own canonical JSON (RFC 8785) without
    ``digest`` is what the digest is of, together with the digest of the line before (see
    :mod:`rempart.audit.chain`). A row that nothing here ever recorded is ``{"sequence":…,"unreadable":true}``.

    Args:
        store: the database.
        first: number of the first row.
        actor: who reads it out; the user of this process by default.
        clock: the time.

    Raises:
        StoreError: the database cannot be read or written.
    """
    with store.write() as connection:
        record(connection, actor, Act.AUDIT_EXPORTED, "audit", {"first": first}, clock=clock)
    with store.read() as connection:
        for row in read_rows(connection, audit_log.c.sequence >= first):
            yield _line(row)


def _line(row: Row) -> bytes:
    entry = row.entry
    if entry is None:
        return msgspec.json.encode({"sequence": row.sequence, "unreadable": True}) + b"\n"
    line = _Line(entry.sequence, entry.at, entry.actor, entry.act, entry.subject, entry.details, row.digest.hex())
    return msgspec.json.encode(line) + b"\n"

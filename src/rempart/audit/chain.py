"""The chain: how a row is linked to the one before it, and the one way to add a row.

A row of ``audit_log`` holds ``sequence at actor act subject details digest``. Rows are numbered from 1 without gaps.
The digest of a row is::

    SHA-256(digest of the row before ‖ the row as text, without its digest)

where the digest before row 1 is 32 zero bytes, and the text is the canonical JSON of RFC 8785 in UTF-8: keys sorted, no
blanks, nothing escaped that need not be::

    {"act":"bank_created","actor":"cli:ann","at":"2026-03-01T12:00:00.250000Z","details":{"radius":31},"sequence":2,
     "subject":"bank:1"}

(on one line). ``at`` is UTC with six decimals; ``details`` is an object of strings, integers, booleans and nulls, and
stored as this very text. Whoever changes, removes, inserts or moves rows breaks the link that follows, and
:func:`rempart.audit.verify` says where. Who may write to the database can compute the chain anew from any row on; that
shows against a checkpoint kept elsewhere (:func:`rempart.audit.checkpoint`).

``audit_head`` has one row: the sequence and digest of the end. Who appends locks it until the end of the transaction,
so that rows stand in the order of commits.
"""

from __future__ import annotations

import os
import pwd
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import LargeBinary, case, cast, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rempart.audit.acts import Act
from rempart.clock import Clock
from rempart.errors import StoreError
from rempart.store.service_tables import DIGEST_BYTES, audit_head, audit_log

Detail: TypeAlias = str | int | bool | None

BEFORE_THE_FIRST = bytes(DIGEST_BYTES)
"""Stands for the digest of the row before the first."""

NO_DETAILS: Mapping[str, Detail] = MappingProxyType({})

_LARGEST_INTEGER = 2**53 - 1  # beyond it, JSON means another number to many readers
_DETAIL_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BROKEN = (
    "the audit log does not end where its head says, so nothing can be recorded and nothing was changed; "
    "`rempart audit verify` says more"
)
_LONGEST_ACTOR = 128
_LONGEST_SUBJECT = 255


# Made once: making them takes as long as running them.
_ADD = insert(audit_log)
_MOVE = update(audit_head)
_HEADS = {
    "postgresql": select(audit_head.c.sequence, audit_head.c.digest),
    # SQLite keeps anything in any column.
    "sqlite": select(
        case((func.typeof(audit_head.c.sequence) == "integer", audit_head.c.sequence)),
        cast(audit_head.c.digest, LargeBinary),
    ),
}
_LOCKED_HEADS = {dialect: query.with_for_update() for dialect, query in _HEADS.items()}  # SQLite passes over that
# Two may be the first at once: then the second waits here for the first.
_BEGIN = text("INSERT INTO audit_head (id, sequence, digest) VALUES (1, 0, :digest) ON CONFLICT (id) DO NOTHING")


class Entry(msgspec.Struct, frozen=True):
    """A row of the log, without its digest. The order of the fields is that of the canonical text."""

    act: str
    actor: str
    at: str
    details: msgspec.Raw
    sequence: int
    subject: str


canonical = msgspec.json.Encoder(order="deterministic")
"""Writes JSON as RFC 8785 wants it, of what a row may hold."""


def digest_after(previous: bytes, entry: Entry) -> bytes:
    """The digest of a row, from that of the row before (32 bytes each)."""
    return sha256(previous + canonical.encode(entry)).digest()


def moment_text(moment: datetime) -> str:
    """A time as the chain writes it: ``2026-03-01T12:00:00.250000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def local_actor() -> str:
    """Who acts when nobody else is named: ``cli:`` and the name of the user who runs this process."""
    number = os.getuid()
    try:
        return f"cli:{pwd.getpwuid(number).pw_name}"
    except KeyError:  # containers run as users that have no name
        return f"cli:{number}"


def record(
    connection: Connection,
    actor: str | None,
    act: Act,
    subject: str,
    details: Mapping[str, Detail] = NO_DETAILS,
    *,
    clock: Clock,
) -> None:
    """Add a row to the log, in the transaction of the act: both are there after the commit, or neither.

    To be called last in the transaction, as often as there are acts: from then on all others who record wait for the
    commit. Details are counts, numbers of things, and settings. They are never hashes, names of files, prompts, notes,
    or anything about a person.

    Args:
        connection: the writing transaction.
        actor: who did it: ``cli:<user>``, ``key:<number>`` or ``job:<number>``; None is :func:`local_actor`.
        act: what was done.
        subject: to what, as ``bank:7``.
        details: with which settings, how many; names of small letters, and integers of 53 bits at the most.
        clock: the time.

    Raises:
        StoreError: the log does not end where its head says, so that nothing can be added to it.
        ValueError: an argument is not as described.
    """
    actor = local_actor() if actor is None else actor
    _check_line("actor", actor, _LONGEST_ACTOR)
    _check_line("subject", subject, _LONGEST_SUBJECT)
    acts = [(act, subject, _encoded(details))]
    last, digest = _locked_head(connection)
    if not last:
        # Its random name makes the whole chain one of its own.
        acts.insert(0, (Act.AUDIT_STARTED, "audit", _encoded({"database": str(uuid.uuid4())})))
    rows: list[dict[str, Any]] = []
    for sequence, (done, where, how) in enumerate(acts, last + 1):
        at = clock()
        entry = Entry(done.value, actor, moment_text(at), msgspec.Raw(how), sequence, where)
        digest = digest_after(digest, entry)
        rows.append(
            {
                "sequence": sequence,
                "at": at,
                "actor": actor,
                "act": done.value,
                "subject": where,
                "details": how.decode(),
                "digest": digest,
            }
        )
    try:
        for row in rows:
            connection.execute(_ADD, row)  # for a single row this is quicker than the way of many
    except IntegrityError:
        raise StoreError(_BROKEN) from None
    connection.execute(_MOVE, {"sequence": last + len(rows), "digest": digest})


def read_heads(connection: Connection, *, lock: bool = False) -> list[tuple[int | None, bytes]]:
    """Where the log ends: sequence, None if that is no whole number, and digest. One row, none before the first act.

    Args:
        connection: a transaction.
        lock: have all others who do this wait for its end.
    """
    found = connection.execute((_LOCKED_HEADS if lock else _HEADS)[connection.dialect.name])
    return [(number, end or b"") for number, end in found]


def _locked_head(connection: Connection) -> tuple[int, bytes]:
    heads = read_heads(connection, lock=True)
    if not heads:
        connection.execute(_BEGIN, {"digest": BEFORE_THE_FIRST})
        heads = read_heads(connection, lock=True)
    sequence, digest = heads[0] if len(heads) == 1 else (None, b"")
    if sequence is None:
        raise StoreError(_BROKEN)
    return sequence, digest


def _check_line(what: str, text: str, longest: int) -> None:
    if not text.isprintable() or not 0 < len(text) <= longest:
        raise ValueError(f"the {what} of an act must be one line of 1 to {longest} characters")


def _encoded(details: Mapping[str, Detail]) -> bytes:
    for name, value in details.items():
        sound = (
            value is None
            or (isinstance(value, str) and value.isprintable())
            or (isinstance(value, int) and abs(value) <= _LARGEST_INTEGER)
        )
        if not sound or not _DETAIL_NAME.fullmatch(name):
            raise ValueError("a detail of an act is not of a kind that can be recorded")
    return canonical.encode(dict(details))

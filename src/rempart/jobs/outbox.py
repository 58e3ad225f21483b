"""Putting a job into the outbox, in the transaction of what it follows from: both are kept, or neither."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from rempart.clock import Clock, utc_now
from rempart.store.service_tables import JobState, jobs

MOST_ATTEMPTS = 8
"""How often a job is tried, unless it says otherwise, before a person must look."""

LARGEST_PAYLOAD = 1 << 18
"""Bytes. A job names what it is about; whatever is larger belongs into a table or the vault."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LONGEST_DEDUPE = 128
_MOST_POSSIBLE = 1000
_LONGEST_UNDO_SECONDS = 86_400.0

# For each dialect, because SQLAlchemy has no ON CONFLICT of both. What another transaction is about to commit under the
# same key is waited for on PostgreSQL; on SQLite nobody else writes.
_INSERT = {
    "sqlite": sqlite.insert(jobs).on_conflict_do_nothing().returning(jobs.c.id),
    "postgresql": postgresql.insert(jobs).on_conflict_do_nothing().returning(jobs.c.id),
}


def enqueue(
    connection: Connection,
    kind: str,
    payload: msgspec.Struct,
    *,
    dedupe: str | None = None,
    due_at: datetime | None = None,
    undo_seconds: float = 0,
    most_attempts: int = MOST_ATTEMPTS,
    clock: Clock = utc_now,
) -> int | None:
    """Put a job into the outbox. It exists for others once the caller's transaction is committed, and else never.

    Args:
        connection: the writing transaction of the act that the job follows from.
        kind: which handler does it: small letters, digits and underscores.
        payload: what the handler needs; kept as JSON. Give fields that are added later a default, for jobs of an older
            version are still there after an upgrade.
        dedupe: while a job of this kind and key waits or runs, no second one is made.
        due_at: not before this moment; at once by default.
        undo_seconds: how long at the least it can still be cancelled before anything is done.
        most_attempts: how often it is tried before it is a dead letter, 1 to 1,000.
        clock: the time.

    Returns:
        The number of the job; None if one with this key is live.

    Raises:
        ValueError: the kind, key, number of attempts, undo window, moment or size of the payload cannot be.
    """
    return insert_job(
        connection,
        kind,
        encoded(payload),
        dedupe=dedupe,
        due_at=due_at,
        undo_seconds=undo_seconds,
        most_attempts=most_attempts,
        now=clock(),
    )


def insert_job(
    connection: Connection,
    kind: str,
    payload: bytes,
    *,
    dedupe: str | None,
    now: datetime,
    due_at: datetime | None = None,
    undo_seconds: float = 0,
    most_attempts: int = MOST_ATTEMPTS,
) -> int | None:
    """As :func:`enqueue`, with the payload as it is stored."""
    values = _values(
        kind, payload, dedupe, now=now, due_at=due_at, undo_seconds=undo_seconds, most_attempts=most_attempts
    )
    number: int | None = connection.execute(_INSERT[connection.dialect.name], values).scalar_one_or_none()
    return number


def enqueue_all(connection: Connection, kind: str, payloads: Mapping[str, bytes], *, clock: Clock = utc_now) -> None:
    """As :func:`enqueue` for many jobs of one kind in one statement, each with its dedupe key.

    Args:
        connection: the writing transaction of the act that the jobs follow from.
        kind: which handler does them.
        payloads: as :func:`encoded` gives them, by dedupe key.
        clock: the time.

    Raises:
        ValueError: the kind or a key cannot be.
    """
    now = clock()
    # In one order, so that no two processes wait for each other.
    rows = [_values(kind, payload, dedupe, now=now) for dedupe, payload in sorted(payloads.items())]
    if rows:
        connection.execute(_INSERT[connection.dialect.name], rows)


def _values(
    kind: str,
    payload: bytes,
    dedupe: str | None,
    *,
    now: datetime,
    due_at: datetime | None = None,
    undo_seconds: float = 0,
    most_attempts: int = MOST_ATTEMPTS,
) -> dict[str, Any]:
    """The row of a new job."""
    check_kind(kind)
    if dedupe is not None and not 0 < len(dedupe) <= _LONGEST_DEDUPE:
        raise ValueError(f"a dedupe key has 1 to {_LONGEST_DEDUPE} characters, not {len(dedupe)}")
    if not 1 <= most_attempts <= _MOST_POSSIBLE:
        raise ValueError(f"a job is tried 1 to {_MOST_POSSIBLE} times, not {most_attempts}")
    if not 0 <= undo_seconds <= _LONGEST_UNDO_SECONDS:
        raise ValueError(f"an undo window has 0 to {_LONGEST_UNDO_SECONDS:.0f} seconds, not {undo_seconds}")
    if due_at is not None and due_at.tzinfo is None:
        raise ValueError("a naive time says not when the job is due")
    return {
        "kind": kind,
        "payload": payload,
        "state": JobState.WAITING,
        "dedupe": dedupe,
        "created_at": now,
        "due_at": max(due_at or now, now + timedelta(seconds=undo_seconds)),
        "attempts": 0,
        "most_attempts": most_attempts,
    }


def encoded(payload: msgspec.Struct) -> bytes:
    """A payload as it is stored.

    Raises:
        ValueError: it is larger than :data:`LARGEST_PAYLOAD`.
    """
    content = msgspec.json.encode(payload)
    if len(content) > LARGEST_PAYLOAD:
        raise ValueError(f"the payload of a job has at most {LARGEST_PAYLOAD} bytes, not {len(content)}")
    return content


def check_kind(kind: str) -> None:
    """See that ``kind`` can name jobs.

    Raises:
        ValueError: it cannot.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError("a kind of job has 1 to 64 small letters, digits and underscores and starts with a letter")

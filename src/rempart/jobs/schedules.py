"""Jobs that come again and again: a table of when, and a tick that puts what is due into the outbox.

However long nothing ticked, one job is made, never one for each time that was missed; and none while the last one
still waits or runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from rempart.audit import Act, Detail, record
from rempart.clock import Clock, utc_now
from rempart.jobs.leases import CLOCK_SLACK
from rempart.jobs.outbox import check_kind, encoded, insert_job
from rempart.store import Store
from rempart.store.service_tables import schedules

LONGEST_INTERVAL_SECONDS = 366 * 86_400
_LONGEST_NAME = 64


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """What is done again and again.

    Attributes:
        name: what it is called; no two of its jobs are live at once.
        kind: the kind of its jobs.
        next_at: when the next one is made, at the earliest.
        enabled: whether it makes any.
    """

    name: str
    kind: str
    every_seconds: int
    next_at: datetime
    enabled: bool


def set_schedule(
    store: Store,
    name: str,
    kind: str,
    payload: msgspec.Struct,
    *,
    every_seconds: int,
    first_at: datetime | None = None,
    enabled: bool = True,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> bool:
    """Make a schedule, or change the one of that name. Setting what is set already changes nothing.

    Args:
        store: the database.
        name: what it is called: one line of at most 64 characters.
        kind: the kind of its jobs.
        payload: the payload of its jobs.
        every_seconds: from one to the next, up to a year.
        first_at: when a new schedule makes its first job; at once by default.
        enabled: whether it makes jobs.
        actor: who does it; the user of this machine by default.
        clock: the time.

    Returns:
        Whether anything changed.

    Raises:
        ValueError: the name, kind, payload or interval cannot be.
        StoreError: the database cannot be written.
    """
    check_kind(kind)
    if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"the name of a schedule is one line of 1 to {_LONGEST_NAME} characters")
    if not 1 <= every_seconds <= LONGEST_INTERVAL_SECONDS:
        raise ValueError(f"a schedule comes every 1 to {LONGEST_INTERVAL_SECONDS} seconds, not {every_seconds}")
    wanted = {"kind": kind, "payload": encoded(payload), "every_seconds": every_seconds, "enabled": enabled}
    with store.write() as connection:
        now = clock()
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        new = insert(schedules).values(wanted | {"name": name, "next_at": first_at or now}).on_conflict_do_nothing()
        if connection.execute(new.returning(schedules.c.name)).first() is None:
            old = connection.execute(select(schedules).where(schedules.c.name == name).with_for_update()).one()
            if {column: getattr(old, column) for column in wanted} == wanted:
                return False
            # A shorter interval holds at once; otherwise the moments stay where they were.
            next_at = min(old.next_at, now + timedelta(seconds=every_seconds))
            connection.execute(update(schedules).where(schedules.c.name == name).values(wanted | {"next_at": next_at}))
        details: dict[str, Detail] = {"kind": kind, "every_seconds": every_seconds, "enabled": enabled}
        record(connection, actor, Act.SCHEDULE_CHANGED, f"schedule:{name}", details, clock=clock)
    return True


def list_schedules(store: Store) -> list[Schedule]:
    """All schedules, by name.

    Raises:
        StoreError: the database cannot be read.
    """
    columns = [schedules.c[name] for name in Schedule.__struct_fields__]
    with store.read() as connection:
        rows = connection.execute(select(*columns).order_by(schedules.c.name))
        return [Schedule(**row._asdict()) for row in rows]


def tick_schedules(store: Store, *, clock: Clock = utc_now) -> int:
    """Put a job into the outbox for each schedule that is due. Any number of processes may do so at once.

    Returns:
        How many jobs were made.

    Raises:
        StoreError: the database cannot be used.
    """
    statement = select(schedules).where(schedules.c.enabled).order_by(schedules.c.name)
    with store.read() as connection:
        if not any(_is_due(row, clock()) for row in connection.execute(statement)):
            return 0  # so that a tick without work never holds up a writer
    made = 0
    with store.write() as connection:
        now = clock()
        for row in connection.execute(statement.with_for_update(skip_locked=True)).all():
            if _is_due(row, now):
                made += _tick(connection, row, now)
    return made


def _tick(connection: Connection, row: Row[Any], now: datetime) -> bool:
    every = timedelta(seconds=row.every_seconds)
    made = None
    if row.next_at <= now:
        made = insert_job(connection, row.kind, row.payload, dedupe=f"schedule:{row.name}", now=now)
        next_at = row.next_at + every * ((now - row.next_at) // every + 1)
    else:
        next_at = now + every
    connection.execute(update(schedules).where(schedules.c.name == row.name).values(next_at=next_at))
    return made is not None


def _is_due(row: Row[Any], now: datetime) -> bool:
    """Whether its time has come, or lies so far ahead that the clock must have been set back since it was set."""
    too_far: datetime = now + timedelta(seconds=row.every_seconds) + CLOCK_SLACK
    return bool(row.next_at <= now or row.next_at > too_far)

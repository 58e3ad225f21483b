"""What became of jobs, and what a person can do about them: cancel one, or try a dead letter again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, select, update
from sqlalchemy.engine import Connection

from rempart.audit import Act, Detail, record
from rempart.clock import Clock, utc_now
from rempart.errors import UsageError
from rempart.jobs.outbox import MOST_ATTEMPTS
from rempart.store import Store
from rempart.store.service_tables import JobState, jobs

LIVE_STATES = frozenset({JobState.WAITING, JobState.RUNNING})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, without its payload and key, which may tell of content.

    Attributes:
        attempts: how often it was begun.
        leased_by: which worker has it, or had it last.
        error: the type of what went wrong in its last attempt that failed.
    """

    id: int
    kind: str
    state: JobState
    created_at: datetime
    due_at: datetime
    attempts: int
    most_attempts: int
    leased_by: str | None
    lease_until: datetime | None
    finished_at: datetime | None
    error: str | None


_COLUMNS = [jobs.c[name] for name in Job.__struct_fields__]


def list_jobs(
    store: Store,
    *,
    states: Collection[JobState] = (),
    kind: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Job]:
    """Jobs, the newest first.

    Args:
        store: the database.
        states: only those in one of these; any by default.
        kind: only those of this kind.
        before: only those with a smaller number: the number of the last one of the page before.
        limit: no more than this.

    Raises:
        StoreError: the database cannot be read.
    """
    statement: Select[Any] = select(*_COLUMNS).order_by(jobs.c.id.desc()).limit(limit)
    if states:
        statement = statement.where(jobs.c.state.in_(list(states)))
    if kind is not None:
        statement = statement.where(jobs.c.kind == kind)
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    with store.read() as connection:
        return [_job(row) for row in connection.execute(statement)]


def get_job(store: Store, number: int) -> Job | None:
    """The job with this number; None if there is none, or not any more.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return _found(connection, select(*_COLUMNS).where(jobs.c.id == number))


def cancel_job(store: Store, number: int, *, actor: str | None = None, clock: Clock = utc_now) -> Job:
    """Cancel a job that waits or runs, or put a dead letter away.

    Of a job that never ran nothing was done. One that runs is told at its next heartbeat; it can write nothing more in
    the name of the job, but what it did outside stays done.

    Args:
        store: the database.
        number: the number of the job.
        actor: who does it; the user of this machine by default.
        clock: the time.

    Returns:
        The job as it was before.

    Raises:
        UsageError: there is none with this number, or it is done or cancelled already.
        StoreError: the database cannot be written.
    """
    with store.write() as connection:
        job = _locked(connection, number)
        if job.state not in LIVE_STATES | {JobState.DEAD}:
            raise UsageError(f"job {number} is {job.state} already and cannot be cancelled")
        values = {"state": JobState.CANCELLED, "lease_until": None, "finished_at": clock()}
        connection.execute(update(jobs).where(jobs.c.id == number).values(values))
        details: dict[str, Detail] = {"kind": job.kind, "was": str(job.state), "attempts": job.attempts}
        record(connection, actor, Act.JOB_CANCELLED, f"job:{number}", details, clock=clock)
    return job


def retry_job(store: Store, number: int, *, actor: str | None = None, clock: Clock = utc_now) -> Job:
    """Try a dead letter again, at once and as often as a new job.

    Its attempts are counted on, so that a worker of an earlier one can still not finish it.

    Args:
        store: the database.
        number: the number of the job.
        actor: who does it; the user of this machine by default.
        clock: the time.

    Returns:
        The job as it was before.

    Raises:
        UsageError: there is none with this number, it is no dead letter, or a live job does the same.
        StoreError: the database cannot be written.
    """
    with store.write() as connection:
        job = _locked(connection, number)
        if job.state != JobState.DEAD:
            raise UsageError(f"job {number} is {job.state}; only dead letters can be tried again")
        if _has_live_twin(connection, number):
            raise UsageError(f"another job that does the same as job {number} waits or runs; cancel one of them")
        values = {
            "state": JobState.WAITING,
            "leased_by": None,
            "finished_at": None,
            "due_at": clock(),
            "most_attempts": job.attempts + MOST_ATTEMPTS,
        }
        connection.execute(update(jobs).where(jobs.c.id == number).values(values))
        details: dict[str, Detail] = {"kind": job.kind, "attempts": job.attempts}
        record(connection, actor, Act.JOB_RETRIED, f"job:{number}", details, clock=clock)
    return job


def _has_live_twin(connection: Connection, number: int) -> bool:
    other = jobs.alias()
    twins = (
        select(other.c.id)
        .join(jobs, (jobs.c.kind == other.c.kind) & (jobs.c.dedupe == other.c.dedupe))
        .where(jobs.c.id == number, other.c.state.in_(list(LIVE_STATES)))
    )
    return connection.execute(twins.limit(1)).first() is not None


def _locked(connection: Connection, number: int) -> Job:
    job = _found(connection, select(*_COLUMNS).where(jobs.c.id == number).with_for_update())
    if job is None:
        raise UsageError(f"there is no job {number}; `rempart job list` shows what there is")
    return job


def _found(connection: Connection, statement: Select[Any]) -> Job | None:
    row = connection.execute(statement).first()
    return None if row is None else _job(row)


def _job(row: Row[Any]) -> Job:
    return Job(**row._asdict() | {"state": JobState(row.state)})

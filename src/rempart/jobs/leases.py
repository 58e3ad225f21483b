"""Who does which job, and until when.

A job is *leased*: one worker takes it for a time, which heartbeats prolong. When the time runs out, the worker is
taken for dead and another takes the job. It may not be dead at all, only slow, or a clock may have jumped; so whoever
wants to finish shows the number of the attempt, which only grows, and is refused when there has been a later one. A
job may therefore be *begun* more than once at a time, and is finished once.

Clocks that differ by up to :data:`CLOCK_SLACK` do no harm. A lease that lasts longer than any could was given before
the clock was set back, and counts as run out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Update, bindparam, false, or_, select, update
from sqlalchemy.engine import Connection, Row

from rempart.clock import Clock
from rempart.store import Store
from rempart.store.service_tables import JobState, jobs

CLOCK_SLACK = timedelta(minutes=1)
"""How far the clocks of machines that share a database may be apart."""

LAPSED = "LeaseLapsed"
"""What stands as the error of an attempt that was never heard of again."""

FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 300.0

_LONGEST_ERROR = 255


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to do a job, for a time.

    Attributes:
        job: the number of the job.
        payload: what was enqueued, as stored.
        attempt: which attempt this is, from 1. No two leases of a job ever have the same.
        most_attempts: after which attempt a failure makes it a dead letter.
        holder: the name of the worker.
    """

    job: int
    kind: str
    payload: bytes
    attempt: int
    most_attempts: int
    holder: str


def backoff(attempt: int, share: float) -> timedelta:
    """How long to wait after a failed attempt: doubling, bounded, and spread over all of that time ("full jitter").

    What failed together, because a remote host was away, does not come back together. See M. Brooker, "Exponential
    Backoff And Jitter", 2015.

    Args:
        attempt: the attempt that failed, from 1.
        share: a random number from 0 to 1.
    """
    longest = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempt - 1, 30)
    return timedelta(seconds=share * min(LONGEST_BACKOFF_SECONDS, longest))


class Desk:
    """Where workers take jobs of certain kinds. Any number of threads and processes may use the same database."""

    def __init__(self, store: Store, seconds: Mapping[str, float], clock: Clock) -> None:
        """Prepare the statements, because building one takes longer than the database needs to answer it.

        Args:
            store: the database.
            seconds: for how long to take a job, by kind; jobs of other kinds are left alone.
            clock: the time.
        """
        self._store = store
        self._seconds = {kind: timedelta(seconds=length) for kind, length in seconds.items()}
        self._clock = clock
        self._is_busy = False
        ours = or_(false(), *(jobs.c.kind == kind for kind in seconds))
        lapsed = select(jobs).where(jobs.c.state == JobState.RUNNING, ours, jobs.c.lease_until <= bindparam("now"))
        due = select(jobs).where(jobs.c.state == JobState.WAITING, ours, jobs.c.due_at <= bindparam("now"))
        self._any = select(or_(lapsed.exists(), due.exists()))
        # SQLite knows no locks of rows and needs none: there only one transaction writes.
        self._next = [
            statement.order_by(moment, jobs.c.id).limit(1).with_for_update(skip_locked=True)
            for statement, moment in ((lapsed, jobs.c.lease_until), (due, jobs.c.due_at))
        ]

    def take(self, holder: str) -> Lease | None:
        """Take the job that has been due for the longest time; those come first whose lease ran out.

        A job whose last attempt ran out becomes a dead letter instead: it may well be what kills the workers.

        Args:
            holder: the name of the worker, at most 128 characters.

        Raises:
            StoreError: the database cannot be used.
        """
        if not self._is_busy:
            with self._store.read() as connection:
                if not connection.execute(self._any, {"now": self._clock()}).scalar_one():
                    return None  # so that idle workers never hold up a writer
        with self._store.write() as connection:
            lease = self._take(connection, holder)
        self._is_busy = lease is not None
        return lease

    def _take(self, connection: Connection, holder: str) -> Lease | None:
        now = self._clock()  # later than before the transaction, whose lock may have been waited for
        while (row := self._first(connection, now)) is not None:
            if row.attempts < row.most_attempts:
                return self._taken(connection, row, holder, now)
            connection.execute(_BURY, {"job": row.id, "now": now})
        return None

    def _first(self, connection: Connection, now: datetime) -> Row[Any] | None:
        for statement in self._next:
            row = connection.execute(statement, {"now": now}).first()
            if row is not None:
                return row
        return None

    def _taken(self, connection: Connection, row: Row[Any], holder: str, now: datetime) -> Lease:
        lease = Lease(
            job=row.id,
            kind=row.kind,
            payload=row.payload,
            attempt=row.attempts + 1,
            most_attempts=row.most_attempts,
            holder=holder,
        )
        values = {
            "job": row.id,
            "attempt": lease.attempt,
            "holder": holder,
            "until": now + self._seconds[row.kind],
            "failure": LAPSED if row.state == JobState.RUNNING else row.error,
        }
        connection.execute(_TAKE, values)
        return lease

    def mend(self) -> int:
        """End leases that last longer than any that are given: the clock has been set back since they were.

        Returns:
            How many there were.

        Raises:
            StoreError: the database cannot be used.
        """
        now = self._clock()
        with self._store.read() as connection:
            running = connection.execute(_RUNNING).all()
        wrong = [
            row.id
            for row in running
            if row.kind in self._seconds and row.lease_until > now + self._seconds[row.kind] + CLOCK_SLACK
        ]
        if not wrong:
            return 0
        ended = update(jobs).where(
            jobs.c.id.in_(wrong), jobs.c.state == JobState.RUNNING, jobs.c.lease_until > now + CLOCK_SLACK
        )
        with self._store.write() as connection:
            return connection.execute(ended.values(lease_until=now)).rowcount


def extend(connection: Connection, lease: Lease, until: datetime) -> bool:
    """Hold a job until a later moment; False if it is not held any more."""
    return _is_held(connection, _EXTEND, lease, until=until)


def finish(connection: Connection, lease: Lease, now: datetime) -> bool:
    """Note that a job is done; False if it is not held any more, and then whatever was done for it must not count."""
    return _is_held(connection, _FINISH, lease, now=now)


def give_back(connection: Connection, lease: Lease, error: BaseException, now: datetime, delay: timedelta) -> bool:
    """Note that an attempt failed; False if the job is not held any more.

    It is tried again after ``delay``, or becomes a dead letter if this was its last attempt. Of the error only the type
    is kept: its text may quote content.
    """
    failure = type(error).__name__[:_LONGEST_ERROR]
    if lease.attempt >= lease.most_attempts:
        return _is_held(connection, _FAIL_FOR_GOOD, lease, failure=failure, now=now)
    return _is_held(connection, _FAIL, lease, failure=failure, due=now + delay)


def _is_held(connection: Connection, statement: Update, lease: Lease, **values: object) -> bool:
    held = {"job": lease.job, "holder": lease.holder, "attempt": lease.attempt}
    return connection.execute(statement, held | values).rowcount == 1


_JOB = update(jobs).where(jobs.c.id == bindparam("job"))
_TAKE = _JOB.values(
    state=JobState.RUNNING,
    attempts=bindparam("attempt"),
    leased_by=bindparam("holder"),
    lease_until=bindparam("until"),
    error=bindparam("failure"),
)
_BURY = _JOB.values(state=JobState.DEAD, lease_until=None, finished_at=bindparam("now"), error=LAPSED)

_HELD = _JOB.where(
    jobs.c.state == JobState.RUNNING,
    jobs.c.leased_by == bindparam("holder"),
    jobs.c.attempts == bindparam("attempt"),
)
_EXTEND = _HELD.values(lease_until=bindparam("until"))
_FINISH = _HELD.values(state=JobState.DONE, lease_until=None, finished_at=bindparam("now"), error=None)
_FAIL = _HELD.values(
    state=JobState.WAITING, lease_until=None, leased_by=None, due_at=bindparam("due"), error=bindparam("failure")
)
_FAIL_FOR_GOOD = _HELD.values(
    state=JobState.DEAD, lease_until=None, finished_at=bindparam("now"), error=bindparam("failure")
)
_RUNNING = select(jobs.c.id, jobs.c.kind, jobs.c.lease_until).where(jobs.c.state == JobState.RUNNING)

"""What keeps the outbox in order: jobs that are done go away in time, and moments of a wrong clock are put right."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import and_, delete, or_, select, update

from rempart.clock import Clock, utc_now
from rempart.jobs.leases import CLOCK_SLACK, LONGEST_BACKOFF_SECONDS
from rempart.store import Store
from rempart.store.service_tables import JobState, jobs

KEPT = timedelta(days=7)
"""How long jobs that are done or cancelled can be looked up; dead letters stay until a person has dealt with them."""

_BATCH = 1_000


def sweep_jobs(store: Store, *, kept: timedelta = KEPT, clock: Clock = utc_now) -> int:
    """Delete jobs that have been done or cancelled for some time, a thousand at a time.

    Args:
        store: the database.
        kept: for how long they stay.
        clock: the time.

    Returns:
        How many were deleted.

    Raises:
        StoreError: the database cannot be used.
    """
    old = clock() - kept
    ended = jobs.c.state.in_([JobState.DONE, JobState.CANCELLED])
    # What is done has been due before: this finds it by the index.
    swept = select(jobs.c.id).where(ended, jobs.c.due_at < old, jobs.c.finished_at < old).limit(_BATCH)
    count = 0
    while True:
        with store.read() as connection:
            numbers = connection.execute(swept).scalars().all()
        if not numbers:
            return count
        with store.write() as connection:
            count += connection.execute(delete(jobs).where(jobs.c.id.in_(numbers), ended)).rowcount


def mend_moments(store: Store, *, clock: Clock = utc_now) -> int:
    """Find waiting jobs whose moments a wrong clock made, and which would now wait too long because it was set back.

    What was enqueued in the future is taken to be enqueued now, and due as long after that as it was; what failed and
    would come again later than any failure can, comes again now.

    Returns:
        How many were put right.

    Raises:
        StoreError: the database cannot be used.
    """
    now = clock()
    longest = timedelta(seconds=LONGEST_BACKOFF_SECONDS)
    from_ahead = jobs.c.created_at > now + CLOCK_SLACK
    failed_ahead = and_(jobs.c.attempts > 0, jobs.c.due_at > now + longest + CLOCK_SLACK)
    wrong = (
        select(jobs.c.id, jobs.c.created_at, jobs.c.due_at, jobs.c.attempts)
        .where(jobs.c.state == JobState.WAITING, or_(from_ahead, failed_ahead))
        .limit(_BATCH)
    )
    with store.read() as connection:
        if connection.execute(wrong).first() is None:
            return 0
    with store.write() as connection:
        rows = connection.execute(wrong.with_for_update(skip_locked=True)).all()
        for row in rows:
            due_at = now if row.attempts else now + max(row.due_at - row.created_at, timedelta())
            values = {"created_at": min(row.created_at, now), "due_at": due_at}
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(values))
    return len(rows)

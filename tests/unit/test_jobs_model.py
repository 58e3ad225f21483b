"""The outbox against a model of it: whatever workers, people and clocks do, and in whichever order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, text
from tests.stores import Place

from rempart.errors import UsageError
from rempart.jobs import cancel_job, enqueue, list_jobs, mend_moments, retry_job
from rempart.jobs.leases import Desk, Lease, extend, finish, give_back
from rempart.store import Store
from rempart.store.service_tables import jobs

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=60)
SLACK = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=5)
LIVE = {"waiting", "running"}


class Parcel(msgspec.Struct):
    """What the jobs are about: nothing."""


@dataclass
class Expected:
    """A job as it should be."""

    created: datetime
    due: datetime
    most: int
    key: str | None
    state: str = "waiting"
    attempts: int = 0
    until: datetime | None = None


class Outbox(RuleBasedStateMachine):
    """Two workers, one of which may be dead, slow, or both; a person; and a clock that jumps."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        with store.write() as connection:
            connection.execute(delete(jobs))
            connection.execute(text("DELETE FROM completions"))
        self.now = START
        self.desk = Desk(store, {"parcel": LEASE.total_seconds()}, self.clock)
        self.jobs: dict[int, Expected] = {}
        self.leases: list[Lease] = []

    def clock(self) -> datetime:
        """The time."""
        return self.now

    def teardown(self) -> None:
        """Whatever happened, and whatever the clock shows now: given time, every job comes to an end."""
        for _ in range(40):
            if not {job.state for job in list_jobs(self.store)} & LIVE:
                break
            self.mend()
            while (lease := self.desk.take("last")) is not None:
                with self.store.write() as connection:
                    assert finish(connection, lease, self.now)
            self.now += timedelta(minutes=10)
        assert not {job.state for job in list_jobs(self.store)} & LIVE
        with self.store.read() as connection:
            done = connection.execute(text("SELECT job FROM completions")).scalars().all()
        assert len(done) == len(set(done))

    @initialize(most=st.integers(1, 2))
    def begin(self, most: int) -> None:
        """There is something to do from the beginning."""
        self.enqueue(None, 0, 0, most)

    @rule(
        key=st.sampled_from([None, "a"]),
        delay=st.sampled_from([0, 0, 30]),
        undo=st.sampled_from([0, 0, 45]),
        most=st.integers(1, 2),
    )
    def enqueue(self, key: str | None, delay: int, undo: int, most: int) -> None:
        """A job is made, unless one of its key is live."""
        due = self.now + timedelta(seconds=delay)
        with self.store.write() as connection:
            number = enqueue(
                connection,
                "parcel",
                Parcel(),
                dedupe=key,
                due_at=due,
                undo_seconds=undo,
                most_attempts=most,
                clock=self.clock,
            )
        twin = any(job.key == key and job.state in LIVE for job in self.jobs.values()) and key is not None
        assert (number is None) == twin
        if number is not None:
            assert number not in self.jobs
            self.jobs[number] = Expected(self.now, max(due, self.now + timedelta(seconds=undo)), most, key)

    @rule(worker=st.sampled_from(["one", "one", "two"]), after=st.sampled_from([0, 61]))
    def lease(self, worker: str, after: int) -> None:
        """A worker asks for a job, perhaps at a time when the lease of another has run out."""
        self.now += timedelta(seconds=after)
        lapsed = [
            (job.until, number)
            for number, job in self.jobs.items()
            if job.state == "running" and job.until is not None and job.until <= self.now
        ]
        waiting = [(job.due, n) for n, job in self.jobs.items() if job.state == "waiting" and job.due <= self.now]
        expected = None
        for _, number in sorted(lapsed) + sorted(waiting):
            job = self.jobs[number]
            if job.attempts < job.most:
                expected = number
                break
            job.state, job.until = "dead", None
        lease = self.desk.take(worker)
        assert (lease and lease.job) == expected
        if lease is not None:
            job = self.jobs[lease.job]
            job.state, job.attempts, job.until = "running", job.attempts + 1, self.now + LEASE
            assert (lease.attempt, lease.holder) == (job.attempts, worker)
            self.leases.append(lease)

    def _is_held(self, lease: Lease) -> bool:
        job = self.jobs[lease.job]
        return job.state == "running" and job.attempts == lease.attempt

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        what=st.sampled_from(["done", "done", "failed", "alive", "crashed"]),
        delay=st.sampled_from([0, 300]),
    )
    def hear(self, data: st.DataObject, what: str, delay: int) -> None:
        """A worker says what became of a job that it may have lost long ago, or ended before, or crashes."""
        lease = data.draw(st.sampled_from(self.leases))
        if what == "crashed":
            self.leases.remove(lease)
            return
        job = self.jobs[lease.job]
        wait = timedelta(seconds=delay)
        with self.store.write() as connection:
            if what == "done":
                held = finish(connection, lease, self.now)
            elif what == "failed":
                held = give_back(connection, lease, ValueError(), self.now, wait)
            else:
                held = extend(connection, lease, self.now + LEASE)
        assert held == (job.state == "running" and job.attempts == lease.attempt)
        if held:
            job.until = self.now + LEASE if what == "alive" else None
            if what == "done":
                job.state = "done"
            elif what == "failed" and job.attempts == job.most:
                job.state = "dead"
            elif what == "failed":
                job.state, job.due = "waiting", self.now + wait

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), act=st.sampled_from([cancel_job, retry_job, retry_job]))
    def decide(self, data: st.DataObject, act: Callable[..., object]) -> None:
        """A person cancels a job or tries a dead letter again."""
        number = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[number]
        twin = any(other.key == job.key and other.state in LIVE for other in self.jobs.values()) and job.key is not None
        allowed = job.state in {"waiting", "running", "dead"} if act is cancel_job else job.state == "dead" and not twin
        try:
            act(self.store, number, actor="cli:ann", clock=self.clock)
        except UsageError:
            assert not allowed
            return
        assert allowed
        if act is cancel_job:
            job.state, job.until = "cancelled", None
        else:
            job.state, job.due, job.most = "waiting", self.now, job.attempts + 8

    @rule(
        by=st.sampled_from(
            [*(timedelta(seconds=n) for n in (30, 61, 400)), *(timedelta(days=n) for n in (-400, -1, 400))]
        )
    )
    def turn(self, by: timedelta) -> None:
        """Time passes, or someone sets the clock; workers look once a second for moments that a wrong clock made."""
        self.now += by
        self.mend()

    def mend(self) -> None:
        """Workers look once a second for moments that a wrong clock made."""
        mend_moments(self.store, clock=self.clock)
        self.desk.mend()
        for job in self.jobs.values():
            ahead = job.created > self.now + SLACK
            if job.state == "waiting" and (ahead or (job.attempts and job.due > self.now + LONGEST_WAIT + SLACK)):
                job.due = self.now if job.attempts else self.now + (job.due - job.created)
                job.created = min(job.created, self.now)
            if job.until is not None and job.until > self.now + LEASE + SLACK:
                job.until = self.now

    @invariant()
    def the_database_holds_what_the_model_does(self) -> None:
        """No job is lost, none is in another state, and no key is live twice."""
        held = {
            job.id: (job.state, job.due_at, job.attempts, job.most_attempts, job.lease_until)
            for job in list_jobs(self.store)
        }
        assert held == {n: (job.state, job.due, job.attempts, job.most, job.until) for n, job in self.jobs.items()}


@pytest.mark.usefixtures("unsynced")
def test_the_outbox_does_what_its_model_does_whatever_happens(tmp_path: Path) -> None:
    """Enqueued, leased, crashed, completed late or twice, cancelled, tried again, and with clocks that jump."""
    with Place(tmp_path).open() as store:
        with store.write() as connection:  # counts what becomes done, behind the code's back
            connection.execute(text("CREATE TABLE completions (job INTEGER)"))
            connection.execute(
                text(
                    "CREATE TRIGGER completed AFTER UPDATE ON jobs WHEN new.state = 'done' "
                    "BEGIN INSERT INTO completions VALUES (new.id); END"
                )
            )
        run_state_machine_as_test(
            lambda: Outbox(store),
            settings=settings(
                max_examples=75, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
            ),
        )

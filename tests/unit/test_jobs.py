"""The outbox, job by job, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.engine import Connection
from tests.unit.parcels import START, Hands, Parcel, fail, job, nothing, worker

from rempart.audit import Act, verify
from rempart.errors import UsageError
from rempart.jobs import (
    Handler,
    Job,
    JobState,
    Outcome,
    Registry,
    Work,
    Worker,
    cancel_job,
    enqueue,
    get_job,
    list_jobs,
    retry_job,
    set_schedule,
    sweep_jobs,
)
from rempart.jobs.leases import LONGEST_BACKOFF_SECONDS, backoff
from rempart.jobs.outbox import LARGEST_PAYLOAD
from rempart.settings import Settings
from rempart.store import Store
from rempart.store.service_tables import audit_log, jobs


def test_a_job_is_done_once_and_its_handler_gets_what_was_enqueued(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """The payload comes back as the type that the handler names."""
    seen: list[tuple[int, Parcel, int, str]] = []
    doer = worker(store, clock, lambda work: seen.append((work.id, work.payload, work.attempt, work.actor)))
    number = put(7)
    assert doer.run_once()
    assert not doer.run_once()
    assert seen == [(number, Parcel(7), 1, f"job:{number}")]
    assert job(store, number) == Job(
        id=number,
        kind="parcel",
        state=JobState.DONE,
        created_at=START,
        due_at=START,
        attempts=1,
        most_attempts=8,
        leased_by=doer.name,
        lease_until=None,
        finished_at=START,
        error=None,
    )


def test_a_job_of_a_transaction_that_fails_never_was(store: Store, clock: Hands) -> None:
    """What it would have followed from did not happen either."""

    def write(connection: Connection) -> None:
        enqueue(connection, "parcel", Parcel(), clock=clock)
        raise RuntimeError

    with pytest.raises(RuntimeError), store.write() as connection:
        write(connection)
    assert list_jobs(store) == []


def test_jobs_are_done_in_the_order_in_which_they_are_due(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """Not in that in which they were made, and none before its time."""
    done: list[int] = []
    doer = worker(store, clock, lambda work: done.append(work.payload.number))
    put(3, due_at=START + timedelta(hours=2))
    put(2, due_at=START + timedelta(hours=1))
    put(1)
    while doer.run_once():
        pass
    assert done == [1]
    clock.turn(hours=2)
    while doer.run_once():
        pass
    assert done == [1, 2, 3]


def test_jobs_of_kinds_without_a_handler_are_left_for_others(store: Store, clock: Hands) -> None:
    """A worker of an older version shares the database with newer ones."""
    with store.write() as connection:
        number = enqueue(connection, "letter", Parcel(), clock=clock)
    assert number is not None
    assert not worker(store, clock, fail).run_once()
    assert not Worker(store, {}, clock=clock).run_once()
    assert job(store, number).state == JobState.WAITING


def test_a_key_makes_no_second_job_while_one_is_live(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """Waiting and running count as live; done, the next may come. Another kind is another matter."""
    number = put(dedupe="a")

    def again(_: Work[Parcel] | None = None, kind: str = "parcel") -> int | None:
        with store.write() as connection:
            return enqueue(connection, kind, Parcel(), dedupe="a", clock=clock)

    seen: list[int | None] = []
    assert again() is None
    assert again(kind="letter") is not None
    assert worker(store, clock, lambda work: seen.append(again(work))).run_once()
    assert seen == [None]
    later = again()
    assert later is not None
    assert later > number


def test_a_failed_job_comes_again_later_and_at_last_becomes_a_dead_letter(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """After 2, 4, 8 seconds and so on at the longest; of the error only the type is kept and told."""
    lines: list[str] = []
    doer = worker(store, clock, fail, notice=lines.append)
    number = put(most_attempts=3)
    for wait in (2, 4):
        assert doer.run_once()
        assert not doer.run_once()
        assert (job(store, number).state, job(store, number).error) == (JobState.WAITING, "ConnectionError")
        assert job(store, number).due_at == clock.now + timedelta(seconds=wait)
        clock.turn(seconds=wait)
    assert doer.run_once()
    assert (job(store, number).state, job(store, number).finished_at) == (JobState.DEAD, clock.now)
    clock.turn(days=365)
    assert not doer.run_once()
    assert [found.id for found in list_jobs(store, states=[JobState.DEAD])] == [number]
    assert len(lines) == 3
    assert all("ConnectionError" in line and "secret" not in line for line in lines)
    assert doer.outcomes == {Outcome.FAILED: 2, Outcome.DEAD: 1}


@given(attempt=st.integers(1, 1000), share=st.floats(0, 1))
def test_the_wait_is_spread_doubles_and_is_bounded(attempt: int, share: float) -> None:
    """Full jitter: anything from nothing to a bound that doubles up to five minutes."""
    longest = backoff(attempt, 1.0).total_seconds()
    assert longest == min(LONGEST_BACKOFF_SECONDS, 2.0**attempt)
    assert 0 <= backoff(attempt, share).total_seconds() <= longest


def test_a_payload_that_cannot_be_read_is_a_failed_attempt(store: Store, clock: Hands) -> None:
    """As one of a newer version may be; its content is told to nobody."""
    lines: list[str] = []
    with store.write() as connection:
        number = enqueue(connection, "parcel", msgspec.defstruct("Odd", [("number", str)])("secret"), clock=clock)
    assert number is not None
    assert worker(store, clock, fail, notice=lines.append).run_once()
    assert job(store, number).error == "ValidationError"
    assert "secret" not in "".join(lines)


def test_a_dead_letter_can_be_tried_again(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """As often as a new job, counted on."""
    number = put(most_attempts=1)
    assert worker(store, clock, fail).run_once()
    assert retry_job(store, number, actor="key:1", clock=clock).state == JobState.DEAD
    assert (job(store, number).state, job(store, number).most_attempts) == (JobState.WAITING, 9)
    assert worker(store, clock, nothing).run_once()
    assert (job(store, number).state, job(store, number).attempts) == (JobState.DONE, 2)


def test_a_dead_letter_is_not_tried_again_beside_a_live_job_that_does_the_same(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Two jobs of one key would be live."""
    number = put(dedupe="a", most_attempts=1)
    assert worker(store, clock, fail).run_once()
    put(dedupe="a")
    with pytest.raises(UsageError, match=f"does the same as job {number}"):
        retry_job(store, number, clock=clock)


@pytest.mark.parametrize("act", [cancel_job, retry_job])
def test_what_cannot_be_done_to_a_job_is_refused(
    store: Store, clock: Hands, put: Callable[..., int], act: Callable[..., Job]
) -> None:
    """A job that is not there, and one that is done."""
    with pytest.raises(UsageError, match="there is no job 99; `rempart job list`"):
        act(store, 99, clock=clock)
    number = put()
    assert worker(store, clock, nothing).run_once()
    with pytest.raises(UsageError, match=f"job {number} is done"):
        act(store, number, clock=clock)
    assert get_job(store, 99) is None


def test_within_the_undo_window_a_job_can_be_cancelled_before_anything_was_done(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """The window holds even if the job was due before it ends."""
    done: list[int] = []
    doer = worker(store, clock, lambda work: done.append(work.payload.number))
    regretted, wanted = put(1, undo_seconds=30), put(2, undo_seconds=30, due_at=START + timedelta(seconds=5))
    clock.turn(seconds=29)
    assert not doer.run_once()
    assert cancel_job(store, regretted, clock=clock).attempts == 0
    clock.turn(seconds=1)
    while doer.run_once():
        pass
    assert done == [2]
    assert [job(store, number).state for number in (regretted, wanted)] == [JobState.CANCELLED, JobState.DONE]


def test_what_is_done_goes_after_a_week_and_dead_letters_stay(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Live jobs stay as well, however old they are."""
    put()
    assert worker(store, clock, nothing).run_once()
    dead, cancelled, waiting = (
        put(most_attempts=1),
        put(due_at=START + timedelta(hours=1)),
        put(due_at=START.max.replace(tzinfo=UTC)),
    )
    assert worker(store, clock, fail).run_once()
    cancel_job(store, cancelled, clock=clock)
    clock.turn(days=6)
    assert sweep_jobs(store, clock=clock) == 0
    clock.turn(days=2)
    assert sweep_jobs(store, clock=clock) == 2
    assert [found.id for found in list_jobs(store)] == [waiting, dead]


def test_lists_of_jobs_come_in_pages_and_by_kind_and_state(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """The newest first; the next page begins before the last number."""
    numbers = [put(n) for n in range(5)]
    first = list_jobs(store, limit=2)
    second = list_jobs(store, limit=2, before=first[-1].id)
    assert [found.id for found in (*first, *second)] == numbers[:0:-1]
    assert list_jobs(store, kind="letter") == []
    assert worker(store, clock, fail).run_once()
    assert [found.id for found in list_jobs(store, states=[JobState.DONE, JobState.DEAD])] == []


def test_acts_on_jobs_and_schedules_are_in_the_audit_log_and_doing_jobs_is_not(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Who, what and which; setting a schedule to what it is is no act."""
    number = put(most_attempts=1)
    assert worker(store, clock, fail).run_once()
    retry_job(store, number, actor="key:5", clock=clock)
    cancel_job(store, number, actor="key:6", clock=clock)
    for _ in range(2):
        set_schedule(store, "nightly", "parcel", Parcel(), every_seconds=60, actor="cli:ann", clock=clock)
    with store.read() as connection:
        rows = connection.execute(select(audit_log).order_by(audit_log.c.sequence)).all()
    assert [(row.actor, row.act, row.subject) for row in rows if row.act != Act.AUDIT_STARTED] == [
        ("key:5", Act.JOB_RETRIED, f"job:{number}"),
        ("key:6", Act.JOB_CANCELLED, f"job:{number}"),
        ("cli:ann", Act.SCHEDULE_CHANGED, "schedule:nightly"),
    ]
    assert verify(store) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "Parcel"},
        {"kind": ""},
        {"kind": "x" * 65},
        {"dedupe": ""},
        {"dedupe": "x" * 129},
        {"most_attempts": 0},
        {"most_attempts": 1001},
        {"undo_seconds": -1},
        {"undo_seconds": float("nan")},
        {"due_at": datetime(2026, 1, 1)},  # noqa: DTZ001 -- what is refused
        {"payload": msgspec.defstruct("Large", [("text", str)])("x" * LARGEST_PAYLOAD)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_enqueued_is_refused_before_it_is_stored(store: Store, wrong: dict[str, Any]) -> None:
    """By whoever enqueues, whose defect it is."""
    arguments = {"kind": "parcel", "payload": Parcel()} | wrong
    with store.write() as connection, pytest.raises(ValueError):  # noqa: PT011 -- each has words of its own
        enqueue(connection, **arguments)
    assert list_jobs(store) == []


def test_handlers_are_checked_and_no_two_may_be_of_one_kind() -> None:
    """A source that is added twice gives its handlers once."""
    for kind, seconds in (("Parcel", 60.0), ("parcel", 0.5), ("parcel", 3601.0)):
        with pytest.raises(ValueError, match=r"small letters|a lease lasts"):
            Handler(kind, Parcel, fail, seconds)
    found = Registry()
    parcels = found.add(lambda _: [Handler("parcel", Parcel, fail)])
    found.add(parcels)
    assert set(found.handlers(Settings())) == {"parcel"}
    found.add(lambda _: [Handler("parcel", Parcel, fail)])
    with pytest.raises(ValueError, match="two handlers do jobs of kind 'parcel'"):
        found.handlers(Settings())


def test_nothing_of_a_payload_or_key_is_in_what_is_listed(store: Store, put: Callable[..., int]) -> None:
    """Both may tell of content."""
    put(1234567, dedupe="telling")
    assert "1234567" not in repr(list_jobs(store))
    assert "telling" not in repr(list_jobs(store))
    with store.read() as connection:
        assert connection.execute(select(jobs.c.dedupe)).scalar_one() == "telling"

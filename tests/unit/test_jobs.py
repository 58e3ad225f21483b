"""The outbox, job by job, with a clock that the test turns."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from rempart.audit import Act, verify
from rempart.errors import StoreError, UsageError
from rempart.jobs import (
    Handler,
    Job,
    JobState,
    LeaseLostError,
    Outcome,
    Registry,
    Work,
    Worker,
    cancel_job,
    enqueue,
    get_job,
    list_jobs,
    list_schedules,
    mend_moments,
    retry_job,
    set_schedule,
    sweep_jobs,
    tick_schedules,
)
from rempart.jobs.leases import LONGEST_BACKOFF_SECONDS, backoff
from rempart.jobs.outbox import LARGEST_PAYLOAD
from rempart.settings import Settings
from rempart.store import Store, open_store
from rempart.store.service_tables import audit_log, jobs, schedules
from rempart.store.tables import banks

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = 60.0


class Parcel(msgspec.Struct):
    """What the jobs of these tests are about."""

    number: int = 0


class Hands:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """What it shows."""
        return self.now

    def turn(self, **by: float) -> None:
        """Turn it, forward or back."""
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Hands:
    """The time."""
    return Hands()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty database, which takes longer to make than to copy."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    open_store(folder).close()
    return folder


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    with open_store(shutil.copytree(empty, tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def put(store: Store, clock: Hands) -> Callable[..., int]:
    """Enqueue a job of kind ``parcel`` and give its number."""

    def enqueued(number: int = 0, **options: object) -> int:
        with store.write() as connection:
            made = enqueue(connection, "parcel", Parcel(number), clock=clock, **options)
        assert made is not None
        return made

    return enqueued


def worker(store: Store, clock: Hands, function: Callable[[Work[Parcel]], None], **options: object) -> Worker:
    """A worker that does parcels; failed ones come again after the longest time."""
    handler = Handler("parcel", Parcel, function, LEASE)
    return Worker(store, {"parcel": handler}, clock=clock, share=lambda: 1.0, **options)


def job(store: Store, number: int) -> Job:
    """A job that exists."""
    found = get_job(store, number)
    assert found is not None
    return found


def nothing(_: Work[Parcel]) -> None:
    """A handler that has nothing to do."""


def fail(_: Work[Parcel]) -> None:
    """A handler that has no luck."""
    raise ConnectionError("https://host/secret")


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


def test_a_running_job_that_is_cancelled_is_told_so_and_can_write_nothing_more(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Its heartbeat and its end both refuse."""
    was: list[JobState] = []
    refused: list[str] = []

    def cancelled(work: Work[Parcel]) -> None:
        was.append(cancel_job(store, work.id, clock=clock).state)
        clock.turn(seconds=LEASE / 2)
        with pytest.raises(LeaseLostError):
            work.heartbeat()
        with pytest.raises(LeaseLostError), work.finishing():
            refused.append("never")

    doer = worker(store, clock, cancelled)
    number = put()
    assert doer.run_once()
    assert (job(store, number).state, was, refused) == (JobState.CANCELLED, [JobState.RUNNING], [])
    assert doer.outcomes == {Outcome.LOST: 1}


def test_heartbeats_keep_a_job_and_seldom_ask_the_database(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """A job may take much longer than its lease, as long as it says that it goes on."""
    other = worker(store, clock, fail)

    def long(work: Work[Parcel]) -> None:
        for second in range(300):
            clock.turn(seconds=1)
            work.heartbeat()
            until = job(store, work.id).lease_until
            assert until is not None
            assert until >= clock.now + timedelta(seconds=LEASE * 2 / 3)
            if second % 10 == 0:
                assert not other.run_once()

    number = put()
    assert worker(store, clock, long).run_once()
    assert job(store, number).state == JobState.DONE


def test_a_worker_that_was_too_slow_may_not_finish_what_another_has_taken(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """The second does the job while the first still thinks that it does; what the first writes does not count."""
    other = worker(store, clock, nothing)
    lines: list[str] = []

    def slow(work: Work[Parcel]) -> None:
        clock.turn(seconds=LEASE)
        assert other.run_once()
        with work.finishing() as connection:
            connection.execute(insert(banks).values(name="NEVER"))

    number = put()
    doer = worker(store, clock, slow, notice=lines.append)
    assert doer.run_once()
    assert (job(store, number).leased_by, job(store, number).attempts) == (other.name, 2)
    assert (doer.outcomes, other.outcomes) == ({Outcome.LOST: 1}, {Outcome.DONE: 1})
    assert len(lines) == 1


def test_neither_success_nor_failure_of_a_worker_that_was_too_slow_counts(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Whether its handler returns or raises; and the same name, as after a retry, makes no difference."""
    for raises in (False, True):
        other = worker(store, clock, nothing, name="twin")

        def slow(_: Work[Parcel], *, other: Worker = other, raises: bool = raises) -> None:
            clock.turn(seconds=LEASE)
            assert other.run_once()
            if raises:
                raise ValueError

        number = put()
        doer = worker(store, clock, slow, name="twin")
        assert doer.run_once()
        assert (job(store, number).state, job(store, number).attempts) == (JobState.DONE, 2)
        assert doer.outcomes == {Outcome.LOST: 1}


def test_a_slow_worker_that_nobody_replaced_may_still_finish(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Its lease ran out, but doing the work twice would help no one."""
    number = put()
    assert worker(store, clock, lambda _: clock.turn(seconds=LEASE * 2)).run_once()
    assert (job(store, number).state, job(store, number).attempts) == (JobState.DONE, 1)


def test_the_effect_in_the_database_and_the_end_of_the_job_are_one(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """An effect whose transaction fails leaves the job to be done again; one that is kept ends it, whatever follows."""
    lines: list[str] = []

    def effect(work: Work[Parcel]) -> None:
        with work.finishing() as connection:
            connection.execute(update(schedules).values(enabled=False))
            if work.attempt == 1:
                raise ValueError
        raise RuntimeError

    with store.write() as connection:
        row = {"name": "s", "kind": "x", "payload": b"", "every_seconds": 1, "next_at": START, "enabled": True}
        connection.execute(insert(schedules).values(row))
    number = put()
    doer = worker(store, clock, effect, notice=lines.append)
    assert doer.run_once()
    assert (job(store, number).state, [schedule.enabled for schedule in list_schedules(store)]) == ("waiting", [True])
    clock.turn(hours=1)
    assert doer.run_once()
    assert (job(store, number).state, [schedule.enabled for schedule in list_schedules(store)]) == ("done", [False])
    assert "is done, but RuntimeError" in lines[-1]


def test_a_job_that_kills_every_worker_becomes_a_dead_letter(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """Nobody is left to say that it failed."""
    number = put(most_attempts=2)

    def killed(_: Work[Parcel]) -> None:
        raise KeyboardInterrupt  # as good as a kill: nothing is noted

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            worker(store, clock, killed).run_once()
        assert job(store, number).state == JobState.RUNNING
        clock.turn(seconds=LEASE)
    other = put()
    doer = worker(store, clock, nothing)
    assert doer.run_once()
    assert not doer.run_once()
    assert (job(store, number).state, job(store, number).error) == (JobState.DEAD, "LeaseLapsed")
    assert job(store, other).state == JobState.DONE


def test_a_clock_that_is_set_back_keeps_no_job_waiting(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """Jobs that were made, leased or failed in what is now the future are done all the same."""
    clock.turn(days=3650)
    plain, undoable = put(1), put(2, undo_seconds=30)
    leased, failed = put(3), put(4)

    def odd(work: Work[Parcel]) -> None:
        if work.payload.number == 3:
            raise KeyboardInterrupt
        if work.payload.number == 4:
            raise ValueError
        raise AssertionError

    cancel_job(store, plain, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        worker(store, clock, odd).run_once()
    assert worker(store, clock, odd).run_once()
    plain = put(1)
    clock.turn(days=-3650)
    done: list[int] = []
    doer = worker(store, clock, lambda work: done.append(work.id))
    assert not doer.run_once()
    doer.keep_order()
    while doer.run_once():
        pass
    assert sorted(done) == [leased, failed, plain]
    clock.turn(seconds=30)
    while doer.run_once():
        pass
    assert done[-1] == undoable


def test_a_job_that_failed_while_the_clock_was_ahead_comes_again_when_it_is_set_back(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """It was made at the right time, and would otherwise wait for ten years."""
    number = put()
    clock.turn(days=3650)
    assert worker(store, clock, fail).run_once()
    clock.turn(days=-3650)
    assert mend_moments(store, clock=clock) == 1
    assert worker(store, clock, nothing).run_once()
    assert job(store, number).state == JobState.DONE


def test_clocks_that_differ_a_little_change_nothing(store: Store, clock: Hands, put: Callable[..., int]) -> None:
    """Half a minute between machines is not taken for a clock that was set back."""
    waiting = put(undo_seconds=20)
    put()

    def elsewhere(work: Work[Parcel]) -> None:
        clock.turn(seconds=-30)
        other = worker(store, clock, fail)
        other.keep_order()
        assert not other.run_once()
        assert job(store, work.id).lease_until == START + timedelta(seconds=LEASE)
        clock.turn(seconds=30)

    doer = worker(store, clock, elsewhere)
    assert doer.run_once()
    assert doer.outcomes == {Outcome.DONE: 1}
    assert job(store, waiting).due_at == START + timedelta(seconds=20)
    assert mend_moments(store, clock=clock) == 0


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


def test_a_schedule_makes_a_job_each_time_and_none_while_the_last_is_live(store: Store, clock: Hands) -> None:
    """At its own moments, whenever the tick comes."""
    assert set_schedule(store, "hourly", "parcel", Parcel(5), every_seconds=3600, clock=clock)
    doer = worker(store, clock, nothing)
    assert tick_schedules(store, clock=clock) == 1
    assert tick_schedules(store, clock=clock) == 0
    clock.turn(minutes=70)
    assert tick_schedules(store, clock=clock) == 0  # the first still waits
    assert doer.run_once()
    clock.turn(minutes=49)
    assert tick_schedules(store, clock=clock) == 0
    clock.turn(minutes=1)
    assert tick_schedules(store, clock=clock) == 1
    assert list_schedules(store)[0].next_at == START + timedelta(hours=3)


def test_after_a_long_sleep_a_schedule_makes_one_job_and_keeps_its_moments(store: Store, clock: Hands) -> None:
    """Not one for each hour that was missed; a clock that jumps ahead looks the same."""
    set_schedule(store, "hourly", "parcel", Parcel(), every_seconds=3600, clock=clock)
    clock.turn(days=400, minutes=10)
    assert [tick_schedules(store, clock=clock) for _ in range(3)] == [1, 0, 0]
    assert list_schedules(store)[0].next_at == START + timedelta(days=400, hours=1)


def test_a_schedule_goes_on_within_its_interval_when_the_clock_is_set_back(store: Store, clock: Hands) -> None:
    """Ten years ahead and back: it does not wait for ten years."""
    set_schedule(store, "hourly", "parcel", Parcel(), every_seconds=3600, clock=clock)
    clock.turn(days=3650)
    tick_schedules(store, clock=clock)
    clock.turn(days=-3650)
    doer = worker(store, clock, nothing)
    doer.keep_order()
    while doer.run_once():
        pass
    assert list_schedules(store)[0].next_at == START + timedelta(hours=1)
    clock.turn(hours=1)
    assert tick_schedules(store, clock=clock) == 1


def test_a_schedule_can_be_changed_and_switched_off(store: Store, clock: Hands) -> None:
    """A shorter interval holds at once; one that is off makes nothing."""
    options: Any = {"clock": clock, "first_at": START + timedelta(days=1)}
    assert set_schedule(store, "s", "parcel", Parcel(), every_seconds=86_400, **options)
    assert not set_schedule(store, "s", "parcel", Parcel(), every_seconds=86_400, **options)
    assert tick_schedules(store, clock=clock) == 0
    assert set_schedule(store, "s", "parcel", Parcel(), every_seconds=60, **options)
    clock.turn(seconds=60)
    assert tick_schedules(store, clock=clock) == 1
    assert set_schedule(store, "s", "parcel", Parcel(), every_seconds=60, enabled=False, **options)
    clock.turn(days=1)
    assert tick_schedules(store, clock=clock) == 0


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "x" * 65}, {"name": "a\nb"}, {"kind": "X"}, {"every_seconds": 0}]
)
def test_a_schedule_that_cannot_be_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    """Before it is stored."""
    arguments = {"name": "s", "kind": "parcel", "payload": Parcel(), "every_seconds": 60} | wrong
    with pytest.raises(ValueError, match=r"schedule|kind"):
        set_schedule(store, **arguments)
    assert list_schedules(store) == []


def test_a_running_worker_waits_out_trouble_with_the_database(
    store: Store, clock: Hands, put: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so in one line, and goes on when the database is back."""
    stop = threading.Event()
    lines: list[str] = []
    put()
    doer = worker(store, clock, lambda _: stop.set(), notice=lines.append)
    take, broken = doer._desk.take, [StoreError("the database is away"), ValueError("secret")]

    def trouble(name: str) -> object:
        if broken:
            raise broken.pop(0)
        return take(name)

    monkeypatch.setattr(doer._desk, "take", trouble)
    monkeypatch.setattr("rempart.jobs.worker.TROUBLE_SECONDS", 0.01)
    assert doer.run(stop, threads=1, grace_seconds=10) == 0
    assert lines == ["waiting: the database is away", "waiting: ValueError"]
    assert doer.outcomes == {Outcome.DONE: 1}


def test_a_worker_that_is_stopped_finishes_what_it_began_and_leaves_what_takes_too_long(
    store: Store, clock: Hands, put: Callable[..., int]
) -> None:
    """What is left is done again by another, once its lease has run out."""
    stop, go_on = threading.Event(), threading.Event()
    quick, stuck = put(1), put(2)
    begun = threading.Barrier(3)

    def handler(work: Work[Parcel]) -> None:
        begun.wait(10)
        (stop if work.payload.number == 1 else go_on).wait(30)

    doer = worker(store, clock, handler)
    threading.Thread(target=lambda: (begun.wait(10), stop.set())).start()
    assert doer.run(stop, threads=2, grace_seconds=0.5) == 1
    assert [job(store, number).state for number in (quick, stuck)] == [JobState.DONE, JobState.RUNNING]
    clock.turn(seconds=LEASE)
    assert worker(store, clock, nothing).run_once()
    go_on.set()
    assert (job(store, stuck).state, job(store, stuck).attempts) == (JobState.DONE, 2)


def test_nothing_of_a_payload_or_key_is_in_what_is_listed(store: Store, put: Callable[..., int]) -> None:
    """Both may tell of content."""
    put(1234567, dedupe="telling")
    assert "1234567" not in repr(list_jobs(store))
    assert "telling" not in repr(list_jobs(store))
    with store.read() as connection:
        assert connection.execute(select(jobs.c.dedupe)).scalar_one() == "telling"

"""Who has a job: leases and heartbeats, workers that are slow, killed or stopped, and clocks that jump."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert, update
from tests.unit.parcels import LEASE, START, Hands, Parcel, fail, job, nothing, worker

from rempart.errors import StoreError
from rempart.jobs import JobState, LeaseLostError, Outcome, Work, Worker, cancel_job, list_schedules, mend_moments
from rempart.store import Store
from rempart.store.service_tables import schedules
from rempart.store.tables import banks


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

"""Several workers on one database, SQLite and PostgreSQL: nothing twice, nothing lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text
from tests.stores import Place

from rempart.clock import utc_now
from rempart.errors import UsageError
from rempart.jobs import (
    Handler,
    JobState,
    LeaseLostError,
    Outcome,
    Work,
    Worker,
    cancel_job,
    enqueue,
    list_jobs,
    retry_job,
    set_schedule,
    tick_schedules,
)
from rempart.store import Store

WORKERS = 4


class Parcel(msgspec.Struct):
    """What the jobs of these tests are about."""

    number: int = 0


def put(store: Store, count: int) -> set[int]:
    """Enqueue so many jobs."""
    with store.write() as connection:
        return {number for n in range(count) if (number := enqueue(connection, "parcel", Parcel(n)))}


def handlers(function: Callable[[Work[Parcel]], None], seconds: float = 60.0) -> dict[str, Handler[Parcel]]:
    """The handler of parcels."""
    return {"parcel": Handler("parcel", Parcel, function, seconds)}


def drain(worker: Worker) -> None:
    """Do all that is due."""
    while worker.run_once():
        pass


def test_workers_that_share_a_database_do_each_job_once_and_never_one_at_once(stores: Place) -> None:
    """Four with connections of their own, two threads each: as four processes would."""
    running: Counter[int] = Counter()
    done: list[int] = []
    lock = threading.Lock()

    def handle(work: Work[Parcel]) -> None:
        with lock:
            running[work.id] += 1
            done.append(work.id if running[work.id] == 1 else -1)
        with lock:
            running[work.id] -= 1

    opened = [stores.open() for _ in range(WORKERS)]
    numbers = put(opened[0], 120)
    workers = [Worker(store, handlers(handle)) for store in opened]
    with ThreadPoolExecutor(2 * WORKERS) as pool:
        list(pool.map(drain, workers * 2))
    assert sorted(done) == sorted(numbers)
    assert sum((worker.outcomes for worker in workers), Counter()) == {Outcome.DONE: len(numbers)}
    assert {job.state for job in list_jobs(opened[0], limit=1000)} == {JobState.DONE}
    for store in opened:
        store.close()


def test_a_lease_that_lapses_in_the_midst_lets_two_begin_and_one_finish(stores: Place) -> None:
    """Both write what they found; of the one that was replaced nothing is kept."""
    with stores.open() as store, stores.open() as other_store:
        with store.write() as connection:
            connection.execute(text("CREATE TABLE effects (job INTEGER, worker VARCHAR(8))"))
        [number] = put(store, 1)
        begun, overtaken = threading.Event(), threading.Event()
        both: list[str] = []

        def write(work: Work[Parcel], name: str) -> None:
            both.append(name)
            with work.finishing() as connection:
                connection.execute(text("INSERT INTO effects VALUES (:job, :name)"), {"job": work.id, "name": name})

        def slow(work: Work[Parcel]) -> None:
            begun.set()
            assert overtaken.wait(60)
            write(work, "slow")

        slow_worker = Worker(store, handlers(slow))
        quick_worker = Worker(
            other_store,
            handlers(lambda work: write(work, "quick")),
            clock=lambda: utc_now() + timedelta(seconds=60),
        )
        thread = threading.Thread(target=slow_worker.run_once)
        thread.start()
        assert begun.wait(60)
        assert quick_worker.run_once()
        overtaken.set()
        thread.join(60)
        assert both == ["quick", "slow"]
        assert (quick_worker.outcomes, slow_worker.outcomes) == ({Outcome.DONE: 1}, {Outcome.LOST: 1})
        with store.read() as connection:
            assert connection.execute(text("SELECT job, worker FROM effects")).all() == [(number, "quick")]


def test_one_of_many_that_end_a_job_at_the_same_moment_succeeds(stores: Place) -> None:
    """A worker that finishes, one that fails, and a person who cancels: one of them decides."""
    with stores.open() as store:
        for _ in range(15):
            [number] = put(store, 1)
            ready = threading.Barrier(2, timeout=60)
            refused: list[str] = []

            def handle(work: Work[Parcel], ready: threading.Barrier = ready, refused: list[str] = refused) -> None:
                ready.wait()
                try:
                    with work.finishing():
                        pass
                except LeaseLostError:
                    refused.append("worker")

            def cancel(number: int = number, ready: threading.Barrier = ready, refused: list[str] = refused) -> None:
                ready.wait()
                try:
                    cancel_job(store, number)
                except UsageError:
                    refused.append("person")

            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda act: act(), (Worker(store, handlers(handle)).run_once, cancel)))
            state = list_jobs(store, limit=1)[0].state
            assert (state, refused) in [(JobState.DONE, ["person"]), (JobState.CANCELLED, ["worker"])]


def test_of_many_who_enqueue_under_one_key_one_makes_the_job(stores: Place) -> None:
    """They wait for each other's transactions; after a rollback the next one may."""
    with stores.open() as store:
        start = threading.Barrier(WORKERS, timeout=60)

        def once(attempt: int) -> int | None:
            start.wait()
            with store.write() as connection:
                return enqueue(connection, "parcel", Parcel(attempt), dedupe="one")

        with ThreadPoolExecutor(WORKERS) as pool:
            made = list(pool.map(once, range(WORKERS)))
        assert sum(number is not None for number in made) == 1
        with pytest.raises(ZeroDivisionError), store.write() as connection:
            assert 1 // (enqueue(connection, "parcel", Parcel(), dedupe="two") is None)
        with store.write() as connection:
            assert enqueue(connection, "parcel", Parcel(), dedupe="two") is not None


def test_of_many_who_tick_one_makes_the_job_of_a_schedule(stores: Place) -> None:
    """All workers tick, every second."""
    with stores.open() as store:
        set_schedule(store, "hourly", "parcel", Parcel(), every_seconds=3600)
        start = threading.Barrier(WORKERS, timeout=60)

        def tick(_: int) -> int:
            start.wait()
            return tick_schedules(store)

        with ThreadPoolExecutor(WORKERS) as pool:
            assert sum(pool.map(tick, range(WORKERS))) == 1
        assert len(list_jobs(store)) == 1


def test_of_many_who_set_a_schedule_one_makes_it(stores: Place) -> None:
    """As when several servers start at once."""
    with stores.open() as store:
        start = threading.Barrier(WORKERS, timeout=60)

        def put_up(_: int) -> bool:
            start.wait()
            return set_schedule(store, "hourly", "parcel", Parcel(), every_seconds=3600)

        with ThreadPoolExecutor(WORKERS) as pool:
            assert sorted(pool.map(put_up, range(WORKERS))) == [False] * (WORKERS - 1) + [True]


def test_an_idle_worker_does_not_wait_for_a_writer(stores: Place) -> None:
    """A long import must not turn into lines about a database that is in use."""
    with stores.open() as store:
        worker = Worker(store, handlers(lambda _: None))
        with store.write() as connection:
            enqueue(connection, "parcel", Parcel())
            assert not worker.run_once()
            worker.keep_order()
        assert worker.run_once()


def test_a_job_goes_from_a_dead_letter_to_done_in_both_databases(stores: Place) -> None:
    """The whole way once, with what each database makes of times and numbers."""

    def handle(work: Work[Parcel]) -> None:
        if work.attempt == 1:
            raise ValueError

    with stores.open() as store:
        with store.write() as connection:
            number = enqueue(connection, "parcel", Parcel(3), most_attempts=1)
        assert number is not None
        worker = Worker(store, handlers(handle))
        drain(worker)
        assert [job.error for job in list_jobs(store, states=[JobState.DEAD])] == ["ValueError"]
        retry_job(store, number)
        drain(worker)
        assert [(job.state, job.attempts) for job in list_jobs(store)] == [(JobState.DONE, 2)]

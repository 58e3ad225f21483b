from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.stores import Place

from rempart.errors import ConfigError, RempartError, StoreError
from rempart.people import Allowance, Key, Scope, create_key
from rempart.people.allowance import _Order
from rempart.store import Store
from rempart.store.service_tables import allowances

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Calendar:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The moment that the test has set."""
        return self.now


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lent: on a machine with much to do, a batch may be long in coming."""
    monkeypatch.setattr("rempart.people.allowance.PATIENCE_SECONDS", 60)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    """A database in SQLite, for what does not depend on the kind."""
    with Place(tmp_path / "data").open() as opened:
        yield opened


def made(store: Store, per_minute: int | None = None) -> Key:
    """A key with a limit."""
    return create_key(store, "one", [Scope.MATCH], per_minute=per_minute)[0]


def taken(allowance: Allowance, key: Key, times: int, count: int = 1) -> int:
    """How many of so many calls may go on."""
    return sum(allowance.take(key, count) is None for _ in range(times))


def wait_until_paid_back(allowance: Allowance, key: Key) -> None:
    """Until what was lent is taken out of the bucket, which happens by itself."""
    deadline = time.monotonic() + 20
    while allowance._leases[key.id].debt and time.monotonic() < deadline:
        time.sleep(0.02)
    assert allowance._leases[key.id].debt == 0
    assert not allowance._late


def level(store: Store) -> float:
    """What is left in the only bucket."""
    with store.read() as connection:
        return connection.execute(select(allowances.c.tokens)).scalar_one()


@pytest.mark.usefixtures("patient")
def test_a_minute_s_worth_may_come_at_once_and_then_as_much_as_drips(stores: Place) -> None:
    """The clock of the buckets is moved; what is refused says when to come again."""
    clock = Calendar()
    with stores.open() as store, Allowance(store, clock=clock) as allowance:
        key = made(store, per_minute=30)
        assert taken(allowance, key, 40) == 30
        wait = allowance.take(key)
        assert wait is not None
        assert 0 < wait <= 2.0
        clock.now += timedelta(seconds=6)
        allowance._leases.clear()  # the pause is in real seconds; a process that starts now waits for nothing
        assert taken(allowance, key, 10) == 3
        clock.now += timedelta(days=400)
        allowance._leases.clear()
        assert taken(allowance, key, 40) == 30


@pytest.mark.usefixtures("patient")
def test_a_call_counts_for_all_its_items_and_is_never_too_large(local: Store) -> None:
    """One that needs more than a minute's worth takes the whole of it, else it could never be."""
    key = made(local, per_minute=100)
    with Allowance(local, clock=Calendar()) as allowance:
        assert [allowance.take(key, 40) is None for _ in range(3)] == [True, True, False]
        assert allowance.take(key, 20) is None
        assert allowance.take(key) is not None
    other = create_key(local, "two", [Scope.MATCH], per_minute=100)[0]
    with Allowance(local, clock=Calendar()) as allowance:
        assert allowance.take(other, 10**9) is None
        assert allowance.take(other) is not None


@pytest.mark.usefixtures("patient")
def test_the_default_limit_does_not_throttle_thousands_a_second(local: Store) -> None:
    """Twenty thousand requests as fast as they come; nearly all are answered from memory."""
    key = made(local)
    with Allowance(local) as allowance:
        assert not allowance.ready(key)
        began = time.monotonic()
        assert taken(allowance, key, 20_000) == 20_000
        assert time.monotonic() - began < 20
        assert allowance.take(key) is None  # the last batch may have just been used up
        assert allowance.ready(key)


TAKER = """
import sys, time
from pathlib import Path
import rempart.people.allowance
from rempart.people import Allowance, Key, Scope
from rempart.settings import StoreSettings
from rempart.store import open_store

rempart.people.allowance.PATIENCE_SECONDS = 60  # nothing is lent
folder, url, number = sys.argv[1:]
key = Key(id=int(number), name="one", scopes=frozenset(), banks=None, per_minute=600)
with open_store(Path(folder), StoreSettings(url=url)) as store, Allowance(store) as allowance:
    print("ready", flush=True)
    sys.stdin.readline()
    began, got = time.time(), 0
    while time.time() < began + 2:
        if allowance.take(key) is None:
            got += 1
        else:
            time.sleep(0.001)
    print(began, time.time(), got, flush=True)
"""


def test_a_limit_holds_over_three_processes_together(stores: Place) -> None:
    """All of the bucket is handed out, within a batch for each, and never more."""
    with stores.open() as store:
        key = made(store, per_minute=600)
        program = [sys.executable, "-c", TAKER, str(stores.folder), stores.settings.url, str(key.id)]
        running = [
            subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
        ]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        lines = [process.communicate("go\n") for process in running]
        assert all(process.returncode == 0 for process in running)
    began, ended, got = zip(*(map(float, out.split()) for out, _ in lines), strict=True)
    # The clock of the bucket starts with its first batch.
    assert sum(got) + 3 * 10 >= 600
    assert sum(got) <= 600 + 10 * (max(ended) - min(began)) + 1


@pytest.mark.usefixtures("patient")
def test_two_processes_that_meet_a_new_bucket_make_one(stores: Place) -> None:
    """Together they take what is in it."""
    with stores.open() as store, stores.open() as other:
        key = made(store, per_minute=60)
        allowances_ = [Allowance(each, clock=Calendar()) for each in (store, other)]
        got: list[int] = []
        threads = [threading.Thread(target=lambda each=each: got.append(taken(each, key, 60))) for each in allowances_]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in allowances_:
            each.close()
    assert sum(got) == 60


@pytest.mark.usefixtures("patient")
def test_threads_share_a_batch_and_none_is_handed_out_twice(local: Store) -> None:
    """Eight threads on one small bucket."""
    key = made(local, per_minute=200)
    got: list[int] = []
    with Allowance(local, clock=Calendar()) as allowance:
        threads = [threading.Thread(target=lambda: got.append(taken(allowance, key, 50))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(got) == 200


@pytest.mark.parametrize("error", [StoreError, ConfigError])  # a full disk; a password file that cannot be read now
def test_while_the_database_cannot_be_written_a_key_goes_on_at_its_own_rate_and_pays_back(
    local: Store, monkeypatch: pytest.MonkeyPatch, error: type[RempartError]
) -> None:
    """A full disk stops no screening; and nothing waits for it more than once."""
    clock = Calendar()
    key = made(local, per_minute=6000)

    @contextmanager
    def broken() -> Iterator[Any]:
        raise error("full")
        yield

    with Allowance(local, clock=clock) as allowance:
        monkeypatch.setattr(local, "write", broken)
        began = time.monotonic()
        lent = taken(allowance, key, 500)
        spent = time.monotonic() - began
        assert 100 <= lent <= 101 + 100 * spent
        assert spent < 5
        monkeypatch.undo()
        wait_until_paid_back(allowance, key)
        assert level(local) <= 6000 - lent


def test_a_slow_writer_holds_up_one_request_for_a_moment_and_no_other(local: Store) -> None:
    """As during an import of a million hashes into SQLite."""
    key = made(local, per_minute=60_000)
    with Allowance(local) as allowance:
        with local.write():
            began = time.monotonic()
            assert taken(allowance, key, 200) == 200
            assert time.monotonic() - began < 3
            assert allowance.ready(key)
        wait_until_paid_back(allowance, key)


@pytest.mark.usefixtures("patient")
def test_a_key_that_the_database_does_not_know_gets_nothing(stores: Place) -> None:
    """And spoils the batch of no other key that is served with it."""
    ghost = Key(id=77, name="ghost", scopes=frozenset(), banks=None, per_minute=60)
    with stores.open() as store, Allowance(store) as allowance:
        assert allowance.take(ghost) is not None
        assert allowance.take(made(store)) is None


STEPS = st.lists(
    st.tuples(st.floats(-10, 90), st.integers(1, 80), st.integers(0, 30)),  # seconds that pass, requests, debt
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200), STEPS)
def test_a_bucket_never_gives_more_than_it_held_and_gained(limit: int, steps: list[tuple[float, int, int]]) -> None:
    """Whatever the clock does: steps back give nothing, and those within the skew of machines gain nothing twice."""
    clock = Calendar()
    with tempfile.TemporaryDirectory() as folder, Place(Path(folder)).open() as store:
        key = made(store)
        allowance = Allowance(store, clock=clock)
        given_out = owed = 0.0
        latest, allowed = NOW, float(limit)
        for seconds, most, debt in steps:
            clock.now += timedelta(seconds=seconds)
            # A larger step back is a clock that was set: from there time counts anew.
            latest, gained = (
                (clock.now, max(0.0, (clock.now - latest).total_seconds()))
                if clock.now >= latest or latest - clock.now >= timedelta(seconds=5)
                else (latest, 0.0)
            )
            allowed += gained * limit / 60
            with store.write() as connection:
                before = allowance._draw(connection, key.id, _Order(limit, most, debt))
            got = max(0, min(most, int(before)))
            given_out += got
            owed += debt
            assert -limit <= level(store) <= limit
            assert level(store) == pytest.approx(before - got)
            assert given_out <= allowed + 1e-6

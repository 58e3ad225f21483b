"""Banks followed by hand, change by change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection
from tests.integration.followed import NOW, content, digest, disable, entries_of, is_found, picture, settle, until
from tests.stores import Place

from rempart.errors import NothingToCompareError, StoreError
from rempart.jobs import Worker, list_jobs, registry
from rempart.lists import HashValue, add_contents, compact_bank, create_bank, import_hashes, list_banks, remove_entries
from rempart.lists import live as live_module
from rempart.lists import loader as loader_module
from rempart.lists.content import snapshot_path
from rempart.lists.live import MOST_PENDING, MOST_SILENCE_SECONDS, LiveBanks
from rempart.settings import Settings
from rempart.store import Store
from rempart.store.tables import HashKind


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A bank of two contents, with its snapshot."""
    with Place(tmp_path / "data").open() as opened:
        create_bank(opened, "KNOWN")
        add_contents(opened, "KNOWN", [content(0), content(1)])
        compact_bank(opened, "KNOWN")
        yield opened


@pytest.fixture
def live(store: Store) -> Iterator[LiveBanks]:
    """The bank, followed by hand."""
    followed = LiveBanks(store)
    followed.refresh()
    yield followed
    followed.stop()


def test_a_matcher_in_use_does_not_change(store: Store, live: LiveBanks) -> None:
    """A request that has begun ends in the state in which it began."""
    taken = live.matcher
    add_contents(store, "KNOWN", [content(2)])
    remove_entries(store, "KNOWN", [1])
    assert live.refresh()
    assert [is_found(taken, number) for number in range(3)] == [True, True, False]
    assert [is_found(live.matcher, number) for number in range(3)] == [False, True, True]
    assert not live.refresh()


def test_an_entry_comes_back_when_its_time_has_come_and_goes_when_the_clock_is_put_back(store: Store) -> None:
    """Nothing is written at that moment; and clocks jump."""
    now = [NOW]
    live = LiveBanks(store, clock=lambda: now[0])
    live.refresh()
    disable(store, 1, 1, NOW + timedelta(minutes=5))
    live.refresh()
    found = []
    for minutes in (0, 4, 5, 4, 600, 0, 5):
        now[0] = NOW + timedelta(minutes=minutes)
        live.refresh()
        found.append(is_found(live.matcher, 0))
    live.stop()
    assert found == [False, False, True, False, True, False, True]


def test_before_the_first_look_nothing_is_answered(store: Store) -> None:
    """A bank that is not loaded must not look like an empty one."""
    live = LiveBanks(store)
    assert (live.ready, live.lists_as_of, live.status()) == (False, None, [])
    with pytest.raises(StoreError, match="not loaded"):
        _ = live.matcher
    live.refresh()
    assert live.ready
    assert live.lists_as_of == list_banks(store)[0].refreshed_at
    live.stop()


def test_without_any_entry_nothing_is_called_clear(tmp_path: Path) -> None:
    """As everywhere."""
    with Place(tmp_path).open() as store:
        live = LiveBanks(store)
        live.refresh()
        with pytest.raises(NothingToCompareError):
            live.matcher.match(picture(0))
        assert (live.ready, live.lists_as_of) == (True, None)
        live.stop()


def test_answers_go_on_for_five_seconds_without_the_database_and_then_end_until_it_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was removed meanwhile is not known, so the service fails closed."""
    uptime = [100.0]
    live = LiveBanks(store, uptime=lambda: uptime[0])
    live.refresh()
    with monkeypatch.context() as patch:

        @contextmanager
        def gone() -> Iterator[Connection]:
            raise StoreError("the database is gone")
            yield

        patch.setattr(store, "read", gone)
        with pytest.raises(StoreError):
            live.refresh()
        uptime[0] += MOST_SILENCE_SECONDS
        assert live.ready
        assert is_found(live.matcher, 0)
        uptime[0] += 0.1
        assert not live.ready
        with pytest.raises(StoreError, match="too long"):
            _ = live.matcher
    live.refresh()
    assert live.ready
    assert is_found(live.matcher, 0)
    live.stop()


def test_a_damaged_new_snapshot_is_not_taken_up(store: Store) -> None:
    """Only reading it whole shows the damage: a single bit of a hash. The next compaction mends it."""
    noticed: list[str] = []
    live = LiveBanks(store, notice=noticed.append)
    live.refresh()
    add_contents(store, "KNOWN", [content(2)])
    compact_bank(store, "KNOWN")
    path = snapshot_path(store, 1)
    damaged = bytearray(path.read_bytes())
    damaged[4096] ^= 1
    other = path.with_suffix(".other")
    other.write_bytes(damaged)
    other.rename(path)
    settle(live)
    assert [is_found(live.matcher, number) for number in range(3)] == [True, True, True]
    assert len(noticed) == 1
    assert "is damaged" in noticed[0]
    assert live.status()[0]["snapshot"] == 1
    compact_bank(store, "KNOWN")
    settle(live)
    assert live.status()[0]["snapshot"] == 2
    live.stop()
    fresh = LiveBanks(store)
    fresh.refresh()
    assert [is_found(fresh.matcher, number) for number in range(3)] == [True, True, True]
    fresh.stop()


def test_a_bank_that_lags_behind_its_snapshot_has_it_compacted_by_a_job(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job however many ask; the worker does it, and everybody maps what it wrote."""
    monkeypatch.setattr(live_module, "MOST_PENDING", 3)
    followers = [LiveBanks(store), LiveBanks(store)]
    for each in followers:
        each.refresh()
    assert list_jobs(store) == []
    add_contents(store, "KNOWN", [content(2)])
    for each in followers:
        each.refresh()
        assert each.status()[0]["pending"] > 3
        each.refresh()
        each._background.submit(int).result()  # what was asked for before is done
    assert [job.kind for job in list_jobs(store)] == ["compact_bank"]
    worker = Worker(store, registry.handlers(Settings()), name="worker")
    assert worker.run_once()
    assert [job.state for job in list_jobs(store)] == ["done"]
    for each in followers:
        settle(each)
        assert each.status()[0]["pending"] == 0
        each.stop()


def test_a_lagging_bank_is_told_of_once_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may be away for long."""
    monkeypatch.setattr(live_module, "MOST_PENDING", 3)
    uptime, told = [0.0], []
    live = LiveBanks(store, on_pending=told.append, uptime=lambda: uptime[0])
    add_contents(store, "KNOWN", [content(2)])
    for seconds in (0, 1, 59, 60, 61, 121):
        uptime[0] = float(seconds)
        live.refresh()
        live._background.submit(int).result()
    live.stop()
    assert told == ["KNOWN", "KNOWN", "KNOWN"]
    assert MOST_PENDING == 20_000


def test_more_changes_than_a_step_takes_are_all_there_when_refreshing_ends(
    store: Store, live: LiveBanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import of any size is taken up in steps, so that the database is read often enough to be ready."""
    monkeypatch.setattr(loader_module, "STEP", 50)
    steps = []
    step = live._step
    monkeypatch.setattr(live, "_step", lambda: steps.append(1) or step())
    for start in range(0, 200, 40):
        values = [HashValue(HashKind.PDQ, digest(1000 + number), 90) for number in range(start, start + 40)]
        import_hashes(store, "KNOWN", values)
    live.refresh()
    assert len(steps) > 3
    assert all(is_found(live.matcher, 1000 + number) for number in range(0, 200, 7))
    assert live.status()[0]["size"] == 210


def test_threads_that_ask_see_whole_states_while_others_write(store: Store) -> None:
    """Each pair of contents is banked and removed together, so that nobody may ever see one without the other."""
    live = LiveBanks(store)
    live.start()
    until(lambda: live.ready)
    halves, asked, done = [], [0], threading.Event()

    def ask() -> None:
        while not done.is_set():
            matcher = live.matcher
            for first, second in pairwise(range(2, 8)):
                if first % 2 == 0 and is_found(matcher, first) != is_found(matcher, second):
                    halves.append(first)
            asked[0] += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for round_ in range(6):
        for first in (2, 4, 6):
            add_contents(store, "KNOWN", [content(first), content(first + 1)])
        if round_ % 3 == 0:
            compact_bank(store, "KNOWN")
        live.refresh()
        remove_entries(store, "KNOWN", entries_of(store, 1)[2:])
    done.set()
    for thread in threads:
        thread.join()
    live.stop()
    assert halves == []
    assert asked[0] > 0

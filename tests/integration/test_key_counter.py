from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stores import Place

from rempart.errors import StoreError
from rempart.hashing import Hashed, PictureHash
from rempart.matching import Bank, Matcher, PdqRows
from rempart.people import Counted, Counter, Usage, counted, list_usage
from rempart.store import Store

HOUR = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Calendar:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = HOUR + timedelta(minutes=20)

    def __call__(self) -> datetime:
        """The moment that the test has set."""
        return self.now


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    """A database in SQLite, for what does not depend on the kind."""
    with Place(tmp_path / "data").open() as opened:
        yield opened


def counts(store: Store, key: int = 1) -> list[tuple[int, str, str, int]]:
    """The rows of a key, with the hour as a number."""
    rows = list_usage(store, key, HOUR - timedelta(days=1000))
    return [(round((row.hour - HOUR) / timedelta(hours=1)), row.kind, row.outcome, row.count) for row in rows]


def test_lookups_are_counted_by_key_hour_kind_and_outcome(stores: Place) -> None:
    """Counting waits for no database; flushing adds up."""
    clock = Calendar()
    with stores.open() as store, Counter(store, clock=clock) as counter:
        for _ in range(3):
            counter.count(1, "pdq", Counted.CLEAR)
        counter.count(1, "prompt", Counted.ALLOW, 64)
        counter.count(2, "pdq", Counted.NEAR)
        counter.flush()
        counter.count(1, "pdq", Counted.CLEAR)
        counter.flush()
        clock.now += timedelta(hours=1)
        counter.count(1, "pdq", Counted.CLEAR)
        counter.flush()
        counter.flush()
        assert counter.pending == 0
        assert counts(store) == [(0, "pdq", "clear", 4), (0, "prompt", "allow", 64), (1, "pdq", "clear", 1)]
        assert counts(store, 2) == [(0, "pdq", "near", 1)]
        assert list_usage(store, 1, clock()) == [
            Usage(key=1, hour=HOUR + timedelta(hours=1), kind="pdq", outcome="clear", count=1)
        ]


def test_counts_reach_the_database_within_a_second_and_at_the_end(local: Store) -> None:
    """By a thread of their own."""
    with Counter(local, clock=Calendar()) as counter:
        counter.count(1, "pdq", Counted.CLEAR)
        deadline = time.monotonic() + 10
        while not counts(local) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert counts(local) == [(0, "pdq", "clear", 1)]
        counter.count(1, "pdq", Counted.CLEAR)
    assert counts(local) == [(0, "pdq", "clear", 2)]


def test_what_cannot_be_written_is_kept_and_added_later(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is counted twice."""
    counter = Counter(local, clock=Calendar())

    @contextmanager
    def broken() -> Iterator[Any]:
        raise StoreError("full")
        yield

    counter.count(1, "pdq", Counted.NEAR)
    monkeypatch.setattr(local, "write", broken)
    for pending in (1, 2):
        with pytest.raises(StoreError):
            counter.flush()
        assert counter.pending == pending
        counter.count(1, "pdq", Counted.NEAR)
    monkeypatch.undo()
    counter.flush()
    assert counts(local) == [(0, "pdq", "near", 3)]


def test_counts_of_more_than_400_days_ago_are_gone(local: Store) -> None:
    """The table does not grow for ever."""
    clock = Calendar()
    counter = Counter(local, clock=clock)
    counter.count(1, "pdq", Counted.CLEAR)
    counter.flush()
    for days, rows in ((399, 2), (2, 2)):
        clock.now += timedelta(days=days)
        counter.count(1, "pdq", Counted.CLEAR)
        counter.flush()
        assert len(counts(local)) == rows


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(1, 2),
        st.sampled_from(["pdq", "picture"]),
        st.sampled_from([Counted.NEAR, Counted.RIM, Counted.EXACT]),
        st.integers(1, 9),
        st.booleans(),
    ),
    max_size=15,
)


@settings(max_examples=20, deadline=None)
@given(EVENTS)
def test_of_all_processes_one_sees_a_limit_passed_and_again_when_it_has_doubled(
    events: list[tuple[int, int, str, Counted, int, bool]],
) -> None:
    """However the look-ups fall to the processes, and whenever these flush."""
    heard: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder, Place(Path(folder)).open() as store:
        counters = [
            Counter(
                store,
                near_per_hour=10,
                rim_per_hour=10**9,
                clock=Calendar(),
                on_alarm=lambda *alarm: heard.append(alarm),
            )
            for _ in range(2)
        ]
        for process, key, kind, outcome, times, flushes in events:
            counters[process].count(key, kind, outcome, times)
            if flushes:
                counters[process].flush()
        for counter in counters:
            counter.flush()
        totals = Tally[int]()
        for key in (1, 2):
            for _, _, outcome, count in counts(store, key):
                totals[key] += count if outcome in (Counted.NEAR, Counted.RIM) else 0
    expected = Tally[int]()
    for _, key, _, outcome, times, _ in events:
        expected[key] += times if outcome in (Counted.NEAR, Counted.RIM) else 0
    assert +totals == +expected
    for key in (1, 2):
        levels = [(count - 1) // 10 for heard_key, count in heard if heard_key == key]
        assert all(level >= 1 for level in levels)
        assert len({level.bit_length() for level in levels}) == len(levels)  # none is told twice
        assert max((level.bit_length() for level in levels), default=0) == (max(0, totals[key] - 1) // 10).bit_length()


PROCESS = """
import sys
from pathlib import Path
from rempart.people import Counter
from rempart.settings import StoreSettings
from rempart.store import open_store

folder, url = sys.argv[1:]
alarms = []
with open_store(Path(folder), StoreSettings(url=url)) as store:
    counter = Counter(store, near_per_hour=100, on_alarm=lambda key, count: alarms.append(count))
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(40):
        counter.count(1, "pdq", "near")
        counter.flush()
    print(*alarms, flush=True)
"""


def test_processes_that_count_at_once_add_up_and_one_of_them_raises_the_alarm(stores: Place) -> None:
    """Three processes with 40 near look-ups each pass the limit of 100 together, and none of them alone."""
    with stores.open() as store:
        program = [sys.executable, "-c", PROCESS, str(stores.folder), stores.settings.url]
        running = [
            subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
        ]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate()[0] for process in running]
        rows = list_usage(store, 1, datetime.now(tz=UTC) - timedelta(hours=2))
    assert sum(row.count for row in rows) == 120
    if len(rows) == 1:  # else the hour ended in between
        assert [int(count) for output in outputs for count in output.split()] == [101]


def test_whoever_searches_a_listed_hash_is_noticed_before_it_is_found(local: Store) -> None:
    """The real matcher is asked bit by bit, without being told any distance: the way is possible, hence the alarm."""
    chance = random.Random(7)
    listed = chance.getrandbits(256)
    matcher = Matcher([Bank("A", pdq=PdqRows.of([f"{listed:064x}"]))])
    alarms: list[int] = []
    counter = Counter(local, clock=Calendar(), on_alarm=lambda _, count: alarms.append(count))
    asked = 0

    def matches(value: int) -> bool:
        nonlocal asked
        asked += 1
        picture = PictureHash(hash=value.to_bytes(32, "big"), quality=100, variant="full")
        verdict = matcher.match(_hashed(picture))
        counter.count(1, "pdq", counted(verdict, {"A": 31}))
        return bool(verdict.matches)

    at = listed
    for bit in chance.sample(range(256), 12):  # an altered copy
        at ^= 1 << bit
    for bit in chance.sample(range(256), 256):  # away from it until it does not match any more
        at ^= 1 << bit
        if not matches(at):
            break
    found = at
    for number, bit in enumerate(chance.sample(range(256), 256)):
        if matches(at ^ 1 << bit):
            found ^= 1 << bit
        if number % 16 == 0:
            counter.flush()
            if alarms:
                break
    assert alarms
    assert found != listed
    assert asked < 290


def _hashed(picture: PictureHash) -> Hashed:
    """What is known of an item whose hash alone was sent."""
    return Hashed(
        format="png",
        width=64,
        height=64,
        frames=1,
        frames_read=1,
        normalised=(),
        partial=None,
        hashes=(picture,),
        md5="",
        sha1="",
        sha256="",
    )

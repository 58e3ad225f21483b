from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.stores import Place

from rempart.cli.main import run
from rempart.errors import BankError, ExitCode, Reason, StoreError
from rempart.hashing import Hashed, PictureHash
from rempart.lists import (
    Content,
    FloodWatch,
    HashValue,
    add_contents,
    create_bank,
    decide_quarantine,
    list_quarantine,
    remove_entries,
)
from rempart.matching import Bank, FloodRule, Matcher, Outcome, PdqRows, Sighting
from rempart.store import Store, postgresql, sqlite
from rempart.store.tables import HashKind, QuarantineState, flood_samples

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULE = FloodRule(threshold=5, window=timedelta(days=7))
QUARANTINED, CONFIRMED, LIFTED = QuarantineState


class Calendar:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The moment that the test has set."""
        return self.now


@pytest.fixture
def clock() -> Calendar:
    """The time."""
    return Calendar()


@pytest.fixture
def store(stores: Place) -> Iterator[Store]:
    """A database with the bank A of three entries."""
    with stores.open() as opened:
        create_bank(opened, "A")
        add_contents(opened, "A", [Content((HashValue(HashKind.PDQ, bytes([n]) * 32),)) for n in (1, 2, 3)])
        yield opened


def near(entry: int, number: int) -> Sighting:
    """A picture that came near an entry, for each number one that is unlike the others."""
    value = int.from_bytes(bytes([entry]) * 32, "big")
    for bit in random.Random(number).sample(range(256), 30):
        value ^= 1 << bit
    return Sighting(entry, value.to_bytes(32, "big"), 31)


def samples(store: Store) -> int:
    """How many hashes the database keeps for counting."""
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(flood_samples)).scalar_one()


def states(store: Store) -> dict[int, QuarantineState]:
    """What is thought of which entry of the bank A."""
    return {record.entry: record.state for record in list_quarantine(store, "A")}


def test_a_flood_puts_an_entry_into_quarantine_at_once_and_for_all_who_come_later(
    store: Store, clock: Calendar
) -> None:
    """Copies and other entries do not add to it."""
    watch = FloodWatch(store, RULE, clock=clock)
    for number in (0, 1, 2, 3, 3, 2):
        watch.see(near(1, number))
        watch.see(near(2, number % 2))
    assert 1 not in watch
    watch.see(near(1, 4))
    assert [entry in watch for entry in (1, 2, 3)] == [True, False, False]
    assert (1 in FloodWatch(store, RULE, clock=clock), states(store)) == (False, {})
    assert watch.flush() == [1]
    assert watch.flush() == []
    assert 1 in watch
    assert 1 in FloodWatch(store, RULE, clock=clock)
    [record] = list_quarantine(store, "A")
    assert (record.entry, record.state, record.looks, record.since) == (1, QUARANTINED, 5, NOW)
    assert (record.decided_at, record.note) == (None, None)


def test_matching_counts_and_marks_as_it_goes(store: Store, clock: Calendar) -> None:
    """The picture that is one too many is marked, and so are later ones, in this run and the next; none is clear."""
    reasons = []
    for run_ in range(2):
        watch = FloodWatch(store, RULE, clock=clock)
        known = Bank("A", pdq=PdqRows.of([(bytes([1]) * 32).hex()]))
        matcher = Matcher([known], quarantined=watch, watch=watch.see, clock=clock)
        for number in (0, 0, 1, 2, 3, 3, 4, 0):
            verdict = matcher.match(
                Hashed(
                    format="png",
                    width=64,
                    height=64,
                    frames=1,
                    frames_read=1,
                    normalised=(),
                    partial=None,
                    hashes=(PictureHash(near(1, number).hash, 100),),
                    md5="0a" * 16,
                    sha1="0b" * 20,
                    sha256="0c" * 32,
                )
            )
            assert verdict.verdict is Outcome.MATCH
            assert [hit.quarantined for hit in verdict.matches] == [Reason.QUARANTINED in verdict.reasons]
            reasons.append(Reason.QUARANTINED in verdict.reasons)
        assert watch.flush() == ([] if run_ else [1])
    assert reasons == [*[False] * 6, True, True, *[True] * 8]


def test_counts_go_on_from_one_run_to_the_next_and_age(store: Store, clock: Calendar) -> None:
    """What is older than the window neither counts nor is kept."""
    for number in range(4):
        watch = FloodWatch(store, RULE, clock=clock)
        watch.see(near(1, number))
        assert watch.flush() == []
        clock.now += timedelta(days=2)
    assert samples(store) == 4
    clock.now += timedelta(hours=1)  # the first is out, the second of seven days is in
    watch = FloodWatch(store, RULE, clock=clock)
    watch.see(near(1, 5))
    assert (watch.flush(), samples(store)) == ([], 4)
    clock.now += timedelta(days=20)
    assert (watch.flush(), samples(store)) == ([], 0)


def test_two_who_count_at_the_same_time_add_up(store: Store, clock: Calendar) -> None:
    """Neither alone saw enough; the one that writes last finds the flood, the other learns of it."""
    one, other = (FloodWatch(store, RULE, clock=clock) for _ in range(2))
    for number in range(3):
        one.see(near(1, number))
        other.see(near(1, number + 2))
    assert (one.flush(), other.flush()) == ([], [1])
    assert 1 not in one
    assert one.flush() == []
    assert 1 in one


def count(place: Place, first: int, last: int) -> None:
    """Count pictures near the entry 1 in a process of its own, writing after each."""
    with place.open() as store:
        watch = FloodWatch(store, FloodRule(threshold=40))
        for number in range(first, last):
            watch.see(near(1, number))
            watch.flush()


def test_processes_lose_no_count(stores: Place, store: Store) -> None:
    """Two of them, twenty pictures each, a quarantine at forty."""
    spawn = multiprocessing.get_context("spawn")
    started = [spawn.Process(target=count, args=(stores, 20 * part, 20 * part + 20)) for part in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    assert [(record.entry, record.looks) for record in list_quarantine(store, "A")] == [(1, 40)]


def flooded(store: Store, clock: Calendar, *entries: int) -> FloodWatch:
    """A watch that has put these entries into quarantine."""
    watch = FloodWatch(store, RULE, clock=clock)
    for entry in entries:
        for number in range(RULE.threshold):
            watch.see(near(entry, number))
    assert watch.flush() == list(entries)
    return watch


def test_a_lifted_entry_counts_normally_and_is_counted_no_more(store: Store, clock: Calendar) -> None:
    """Also for a watch that had begun before, once it has written."""
    watch = flooded(store, clock, 1)
    later = clock.now = NOW + timedelta(hours=3)
    decide_quarantine(store, "A", [1], LIFTED, note="a known series", clock=clock)
    assert watch.flush() == []
    assert 1 not in watch
    for number in range(50):
        watch.see(near(1, number))
    assert (1 in watch, watch.flush(), samples(store)) == (False, [], 0)
    [record] = list_quarantine(store, "A")
    assert (record.state, record.since, record.decided_at, record.note) == (LIFTED, NOW, later, "a known series")


def test_a_confirmed_entry_stays_in_quarantine_for_good(store: Store, clock: Calendar) -> None:
    """Whatever time goes by; only another decision of a person ends it."""
    watch = flooded(store, clock, 1)
    decide_quarantine(store, "A", [1], CONFIRMED)
    clock.now += timedelta(days=1000)
    watch.flush()
    assert 1 in watch
    assert 1 in FloodWatch(store, RULE, clock=clock)
    decide_quarantine(store, "A", [1], LIFTED)
    assert 1 not in FloodWatch(store, RULE, clock=clock)


def test_without_a_decision_a_quarantine_does_not_end_by_itself(store: Store, clock: Calendar) -> None:
    """And what led to it can still be told."""
    watch = flooded(store, clock, 2)
    clock.now += timedelta(days=1000)
    watch.flush()
    assert 2 in watch
    assert [(record.state, record.looks) for record in list_quarantine(store, "A")] == [(QUARANTINED, 5)]


def test_a_decision_counts_for_all_the_entries_or_none(store: Store, clock: Calendar) -> None:
    """One that never was in quarantine, or is in another bank, is not there."""
    flooded(store, clock, 1, 2)
    create_bank(store, "B")
    with pytest.raises(BankError, match="the bank A has no entry 3, 9 in quarantine; nothing was changed"):
        decide_quarantine(store, "A", [1, 9, 3], LIFTED)
    with pytest.raises(BankError, match="the bank B has no entry 1 in"):
        decide_quarantine(store, "B", [1], LIFTED)
    with pytest.raises(BankError, match="only a flood"):
        decide_quarantine(store, "A", [1], QUARANTINED)
    assert states(store) == {1: QUARANTINED, 2: QUARANTINED}
    decide_quarantine(store, "A", [2, 1, 2], LIFTED)
    assert states(store) == {1: LIFTED, 2: LIFTED}


def test_an_entry_that_is_gone_takes_its_counts_and_quarantine_with_it(store: Store, clock: Calendar) -> None:
    """And what was counted meanwhile is no error."""
    watch = flooded(store, clock, 1)
    watch.see(near(2, 1))
    remove_entries(store, "A", [1, 2])
    assert (watch.flush(), samples(store), states(store)) == ([], 0, {})
    assert 1 not in watch


def test_what_could_not_be_written_is_kept_for_the_next_time(
    stores: Place, store: Store, clock: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process is writing; counting itself never waits."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(postgresql, "BUSY_SECONDS", 0.05)
    with stores.open() as impatient:
        watch = FloodWatch(impatient, RULE, clock=clock)
        with store.write() as connection:
            store.lock(connection, "floods")
            for number in range(RULE.threshold):
                watch.see(near(1, number))
            assert 1 in watch
            with pytest.raises(StoreError, match="Try again"):
                watch.flush()
        assert 1 in watch
        assert watch.flush() == [1]


def test_a_watch_that_does_not_recall_never_waits_for_the_database(
    stores: Place, store: Store, clock: Calendar
) -> None:
    """Also while it is being written by others: who counts is who answers look-ups. Nothing that is counted is lost."""
    before = FloodWatch(store, RULE, clock=clock)
    for number in range(3):
        before.see(near(1, number))
    before.flush()
    with stores.open() as own:
        watch = FloodWatch(own, RULE, recalls=False, clock=clock)
        watch.flush()
        watch.see(near(1, 3))
        with ThreadPoolExecutor(2) as threads:
            with store.write() as connection:
                store.lock(connection, "floods")
                flushing = threads.submit(watch.flush)
                assert not wait([flushing], 0.2).done
                for number in range(RULE.threshold):
                    threads.submit(watch.see, near(2, number)).result(timeout=5)
                threads.submit(watch.see, near(1, 4)).result(timeout=5)
                assert [entry in watch for entry in (1, 2)] == [False, True]
            assert flushing.result() == []
        assert [entry in watch for entry in (1, 2)] == [False, True]
        assert watch.flush() == [1, 2]
        assert [record.looks for record in list_quarantine(store, "A")] == [5, 5]


def test_a_watch_that_has_counted_nothing_writes_nothing(stores: Place, store: Store, clock: Calendar) -> None:
    """It would make others wait; what they decide it learns all the same."""
    with stores.open() as own, ThreadPoolExecutor(1) as threads:
        watch = FloodWatch(own, RULE, clock=clock)
        watch.flush()
        flooded(store, clock, 1)
        with store.write() as connection:
            store.lock(connection, "floods")
            assert threads.submit(watch.flush).result(timeout=5) == []
        assert 1 in watch


def test_where_nothing_can_be_written_a_flood_is_noticed_within_the_run(store: Store, clock: Calendar) -> None:
    """And quarantines of others hold."""
    flooded(store, clock, 1)
    store.mode = "ro"
    watch = FloodWatch(store, RULE, clock=clock)
    for number in range(RULE.threshold):
        watch.see(near(2, number))
    assert [entry in watch for entry in (1, 2)] == [True, True]
    assert watch.flush() == []
    assert 2 in watch
    assert states(store) == {1: QUARANTINED}


@pytest.fixture
def bank(
    stores: Place, store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """A function that runs `rempart bank` on the database: exit code, result rows, standard error."""
    assert store.mode == "rw"
    for name, value in stores.environ.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = run(["bank", *arguments])
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


def test_a_person_lists_confirms_and_lifts(bank: Callable[..., Any], store: Store, clock: Calendar) -> None:
    """Each with a row that says what became of the entry."""
    assert bank("quarantine", "A") == (0, [], "no entry of the bank A is or was in quarantine\n")
    flooded(store, clock, 1, 2)
    code, rows, err = bank("quarantine", "A")
    assert (code, err) == (ExitCode.CLEAN, "")
    assert [(row["entry"], row["state"], row["looks"]) for row in rows] == [(n, "quarantined", 5) for n in (1, 2)]
    assert rows[0] | {"entry": 2} == rows[1]
    assert bank("confirm", "A", "1", "--note", "a form") == (0, [{"bank": "A", "entry": 1, "status": "confirmed"}], "")
    assert bank("lift", "A", "2") == (0, [{"bank": "A", "entry": 2, "status": "lifted"}], "")
    told = [(row["state"], row["looks"], row["note"]) for row in bank("quarantine", "A")[1]]
    assert told == [("confirmed", 0, "a form"), ("lifted", 0, None)]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["lift", "A", "3"], "no entry 3 in quarantine; nothing was changed"),
        (["confirm", "A", "1", "--note", "two\nlines"], "one line"),
        (["confirm", "A"], "ENTRIES"),
        (["quarantine", "AB"], "did you mean A?"),
    ],
)
def test_wrong_use_ends_with_2(bank: Callable[..., Any], arguments: list[str], problem: str) -> None:
    """And says what is wrong."""
    code, rows, err = bank(*arguments)
    assert (code, rows) == (ExitCode.USAGE, [])
    assert problem in err


def test_the_table_of_quarantines_is_for_people(
    bank: Callable[..., Any], store: Store, clock: Calendar, capfd: pytest.CaptureFixture[str]
) -> None:
    """Times to the minute, nothing where nobody has decided."""
    flooded(store, clock, 1)
    assert run(["bank", "quarantine", "A", "--format", "table"]) == ExitCode.CLEAN
    shown = capfd.readouterr().out
    assert "2026-03-01 12:00" in shown
    assert "None" not in shown
    assert bank("list")[0] == ExitCode.CLEAN

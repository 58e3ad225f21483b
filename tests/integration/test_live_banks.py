from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import text, update
from sqlalchemy.engine import Connection
from tests.stores import Place, Postgres

from rempart.errors import NothingToCompareError, StoreError
from rempart.hashing import Hashed, PictureHash
from rempart.jobs import Worker, list_jobs, registry
from rempart.lists import (
    Content,
    HashValue,
    add_contents,
    compact_bank,
    create_bank,
    delete_bank,
    import_hashes,
    list_banks,
    load_banks,
    remove_entries,
)
from rempart.lists import live as live_module
from rempart.lists import loader as loader_module
from rempart.lists.changes import note_changes
from rempart.lists.content import snapshot_path
from rempart.lists.live import MOST_PENDING, MOST_SILENCE_SECONDS, LiveBanks
from rempart.matching import Bank, Matcher
from rempart.matching import bank as bank_module
from rempart.settings import Settings
from rempart.store import Store, open_store
from rempart.store.tables import HashKind, banks, entries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = range(8)
PATIENCE = 20.0


def digest(number: int) -> bytes:
    """What the content of this number is known by."""
    return sha256(b"content %d" % number).digest()


def content(number: int) -> Content:
    """A content with a PDQ hash, digests, and two frames of a video."""
    value = digest(number)
    frames = [HashValue(HashKind.VPDQ, sha256(value + bytes([n])).digest(), 90, None, n * 1000) for n in range(2)]
    return Content(
        (
            HashValue(HashKind.PDQ, value, 80),
            HashValue(HashKind.SHA256, value),
            HashValue(HashKind.MD5, value[:16]),
            *frames,
        )
    )


def answers(bank: Bank) -> list[object]:
    """Everything that can be asked of a bank about the contents there are."""
    said: list[object] = [bank.kind, bank.radius, bank.refreshed_at, len(bank), bank.looks_near, bank.holds_videos]
    for number in NUMBERS:
        picture, whole, short, *frames = (value.value for value in content(number).hashes)
        shown = [PictureHash(frame, 90, "full", place, float(place)) for place, frame in enumerate(frames)]
        said += [bank.near(picture), bank.exact("sha256", whole), bank.exact("md5", short), bank.videos(shown)]
        said += [bank.frame_distances(hit.entry, shown) for hit in bank.videos(shown)]
    return said


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait for something; how long it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not come to be"
        time.sleep(0.002)
    return time.monotonic() - start


def settle(live: LiveBanks) -> None:
    """Take up everything, snapshots that are being verified too."""
    live.refresh()
    while live._candidates:
        time.sleep(0.001)
        live.refresh()


def disable(store: Store, bank: int, number: int, moment: datetime) -> None:
    """Disable an entry until a moment."""
    with store.write() as connection:
        connection.execute(update(entries).where(entries.c.id == number).values(disabled_until=moment))
        note_changes(connection, bank, [number])


def entries_of(store: Store, bank: int) -> list[int]:
    """The numbers of the entries of a bank."""
    with store.read() as connection:
        query = entries.select().where(entries.c.bank_id == bank).order_by(entries.c.id)
        return [row.id for row in connection.execute(query)]


class FollowedBanks(RuleBasedStateMachine):
    """Whatever happens: what is followed says the same as what is loaded anew, and what was taken before stays."""

    def __init__(self) -> None:
        """Begin with two banks, one with a snapshot."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_store(self.folder)
        self.now = NOW
        self.noticed: list[str] = []
        for name in ("KNOWN", "OTHER"):
            create_bank(self.store, name, clock=self.clock)
        self.compact("KNOWN")
        self.live = LiveBanks(self.store, clock=self.clock, notice=self.noticed.append, on_pending=lambda _: None)
        # So that few changes are many steps, and enough to file all anew.
        self.sizes = loader_module.STEP, bank_module.SMALL
        loader_module.STEP, bank_module.SMALL = 2, 3

    def clock(self) -> datetime:
        """The time."""
        return self.now

    def teardown(self) -> None:
        """Leave nothing behind."""
        loader_module.STEP, bank_module.SMALL = self.sizes
        self.live.stop()
        self.store.close()
        shutil.rmtree(self.folder)
        assert self.noticed == []

    def names(self) -> list[str]:
        """The banks there are."""
        return [bank.name for bank in list_banks(self.store)]

    def chosen(self, place: int) -> tuple[str, int, list[int]]:
        """One of the banks: name, number and entries."""
        all_banks = list_banks(self.store)
        bank = all_banks[place % len(all_banks)]
        return bank.name, bank.id, entries_of(self.store, bank.id)

    @rule(numbers=st.lists(st.sampled_from(NUMBERS), max_size=4), place=st.integers(0, 3))
    def add(self, numbers: list[int], place: int) -> None:
        """Bank contents, perhaps again."""
        add_contents(self.store, self.chosen(place)[0], [content(number) for number in numbers], clock=self.clock)

    @rule(numbers=st.lists(st.sampled_from(NUMBERS), max_size=4), place=st.integers(0, 3))
    def grow(self, numbers: list[int], place: int) -> None:
        """Import digests first, so that entries gain the rest later."""
        values = [HashValue(HashKind.SHA256, digest(number)) for number in numbers]
        import_hashes(self.store, self.chosen(place)[0], values, clock=self.clock)

    @rule(places=st.lists(st.integers(0, 20), min_size=1, max_size=4), place=st.integers(0, 3))
    def remove(self, places: list[int], place: int) -> None:
        """Remove entries, if there are any."""
        name, _, numbers = self.chosen(place)
        if numbers:
            wanted = sorted({numbers[each % len(numbers)] for each in places})
            remove_entries(self.store, name, wanted, clock=self.clock)

    @rule(place=st.integers(0, 20), minutes=st.integers(-3, 20), bank=st.integers(0, 3))
    def disable(self, place: int, minutes: int, bank: int) -> None:
        """Disable an entry for some minutes; it comes back by itself."""
        _, number, numbers = self.chosen(bank)
        if numbers:
            disable(self.store, number, numbers[place % len(numbers)], self.now + timedelta(minutes=minutes))

    @rule(minutes=st.integers(-15, 15))
    def pass_time(self, minutes: int) -> None:
        """The clock goes on, or is put back."""
        self.now += timedelta(minutes=minutes)

    @rule(name=st.sampled_from(["KNOWN", "OTHER", "THIRD"]))
    def compact(self, name: str) -> None:
        """Write a snapshot anew."""
        if name in self.names():
            compact_bank(self.store, name, clock=self.clock, notice=self.noticed.append)

    @precondition(lambda self: "THIRD" not in self.names())
    @rule()
    def create(self) -> None:
        """Make another bank, or the same anew."""
        create_bank(self.store, "THIRD", radius=15, clock=self.clock)

    @precondition(lambda self: "THIRD" in self.names())
    @rule()
    def delete(self) -> None:
        """Delete it."""
        delete_bank(self.store, "THIRD")

    @precondition(lambda self: "THIRD" in self.names())
    @rule(radius=st.integers(0, 31), floor=st.sampled_from([50, 85]), kind=st.sampled_from(["blocking", "allowing"]))
    def change(self, radius: int, floor: int, kind: str) -> None:
        """Change its settings; its snapshot is then of no use."""
        snapshot_path(self.store, self.chosen(2)[1]).unlink(missing_ok=True)
        with self.store.write() as connection:
            values = {"radius": radius, "quality_floor": floor, "kind": kind}
            connection.execute(update(banks).where(banks.c.name == "THIRD").values(values))

    @contextmanager
    def without_snapshots(self) -> Iterator[None]:
        """Have everything read from the database, which is the truth."""
        snapshots = snapshot_path(self.store, 0).parent
        aside = snapshots.rename(self.folder / "aside")
        yield
        aside.rename(snapshots)

    @invariant()
    def followed_and_loaded_agree(self) -> None:
        """The same answers; and those who took the banks before are not disturbed."""
        before = self.live.banks if self.live._present else {}
        said = {name: answers(bank) for name, bank in before.items()}
        settle(self.live)
        with self.without_snapshots():
            loaded = {bank.name: bank for bank in load_banks(self.store, clock=self.clock)}
        assert list(self.live.banks) == list(loaded)
        for name, bank in self.live.banks.items():
            assert answers(bank) == answers(loaded[name])
        assert {name: answers(bank) for name, bank in before.items()} == said
        assert not self.live.refresh()


TestFollowedBanks = FollowedBanks.TestCase
# Not shrunk, for ten steps are soon read, and a database for each attempt takes minutes.
TestFollowedBanks.settings = settings(
    max_examples=8, stateful_step_count=10, deadline=None, phases=[Phase.reuse, Phase.generate]
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A bank of two contents, with its snapshot."""
    with open_store(tmp_path / "data") as opened:
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


def picture(number: int) -> Hashed:
    """A picture that looks like the content of this number, of another file."""
    other = sha256(b"another file").hexdigest()
    return Hashed(
        format="png",
        width=512,
        height=512,
        frames=1,
        frames_read=1,
        normalised=(),
        partial=None,
        hashes=(PictureHash(digest(number), 100, "full", 0, None),),
        md5=other[:32],
        sha1=other[:40],
        sha256=other,
    )


def is_found(matcher: Matcher, number: int) -> bool:
    """Whether the content of this number is matched."""
    return matcher.match(picture(number)).verdict == "match"


FOLLOWER = """
import sys, time
from hashlib import sha256
from pathlib import Path
from rempart.lists.live import LiveBanks
from rempart.settings import load_settings
from rempart.store import open_store

settings = load_settings().settings
with open_store(settings.data_path, settings.store) as store:
    live = LiveBanks(store)
    live.start()
    while not live.ready:
        time.sleep(0.005)
    print("ready", flush=True)
    for line in sys.stdin:
        number, wanted = map(int, line.split())
        digest = sha256(b"content %d" % number).digest()
        end = time.monotonic() + 10
        while bool(live.banks["KNOWN"].exact("sha256", digest)) != bool(wanted) and time.monotonic() < end:
            time.sleep(0.002)
        print(time.monotonic(), flush=True)
    live.stop()
"""


@contextmanager
def follower(place: Place) -> Iterator[Callable[[int, bool], Callable[[], float]]]:
    """Another process that follows: tell it what to wait for, and it tells when that came to be."""
    environment = {**os.environ, **place.environ}
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, telling = process.stdout, process.stdin
        assert told.readline() == "ready\n"

        def ask(number: int, wanted: bool) -> Callable[[], float]:  # noqa: FBT001 -- what is waited for
            telling.write(f"{number} {int(wanted)}\n")
            telling.flush()
            return lambda: float(told.readline())

        yield ask
        telling.close()
        process.wait(30)


def test_another_process_learns_of_additions_removals_and_disabled_entries_within_a_second(stores: Place) -> None:
    """The writer's own process in a tenth of one; measured from the commit, on a clock that both share."""
    with stores.open() as store:
        number = create_bank(store, "KNOWN").id
        add_contents(store, "KNOWN", [content(0)])
        mine = LiveBanks(store)
        mine.refresh()
        here, there = [], []

        def passes(act: Callable[[], object], content_number: int, *, wanted: bool) -> None:
            told = ask(content_number, wanted)
            act()
            committed = time.monotonic()
            mine.refresh()
            assert bool(mine.banks["KNOWN"].exact("sha256", digest(content_number))) == wanted
            here.append(time.monotonic() - committed)
            there.append(told() - committed)

        with follower(stores) as ask:
            for each in (1, 2, 3):
                passes(lambda each=each: add_contents(store, "KNOWN", [content(each)]), each, wanted=True)
            one, two = entries_of(store, number)[1:3]
            passes(lambda: remove_entries(store, "KNOWN", [one]), 1, wanted=False)
            later = datetime.now(UTC) + timedelta(hours=1)
            passes(lambda: disable(store, number, two, later), 2, wanted=False)
            passes(lambda: disable(store, number, two, datetime.now(UTC)), 2, wanted=True)
        mine.stop()
    # The best of six, for others use this machine, too; and none may take so long that look-ups would be refused.
    assert min(here) < 0.1, here
    assert min(there) < 1, there
    assert max(there) < MOST_SILENCE_SECONDS, there


def test_a_new_snapshot_is_taken_up_by_another_process_and_its_old_one_let_go(stores: Place) -> None:
    """On both databases, for snapshots are files of this machine."""
    with stores.open() as writing, stores.open() as reading:
        create_bank(writing, "KNOWN")
        add_contents(writing, "KNOWN", [content(0)])
        live = LiveBanks(reading)
        live.refresh()
        assert live.status()[0]["snapshot"] is None
        for number in (1, 2):
            add_contents(writing, "KNOWN", [content(number)])
            compact_bank(writing, "KNOWN")
            settle(live)
            [status] = live.status()
            assert status["snapshot"] == status["sequence"]
            assert (status["pending"], status["size"]) == (0, 5 * (number + 1))
            assert len(mapped(snapshot_path(writing, 1))) == 1
        live.stop()


def mapped(path: Path) -> set[str]:
    """The inodes of a snapshot that this process maps, those of files that were replaced too."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if str(path) in line}


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
    with open_store(tmp_path) as store:
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


def test_a_server_that_goes_and_comes_back_is_waited_for(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real one, which ends the connections and lets nobody in; the thread tells once, and goes on."""
    monkeypatch.setattr(live_module, "MOST_SILENCE_SECONDS", 1.0)
    with postgres.database() as where, open_store(tmp_path, where) as store:
        name = where.url.rpartition("/")[2]
        create_bank(store, "KNOWN")
        add_contents(store, "KNOWN", [content(0)])
        noticed: list[str] = []
        live = LiveBanks(store, notice=noticed.append)
        live.start()
        until(lambda: live.ready)
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608
        lasted = until(lambda: not live.ready)
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        until(lambda: live.ready)
        until(lambda: is_found(live.matcher, 0))
        add_contents(store, "KNOWN", [content(1)])
        until(lambda: is_found(live.matcher, 1))
        live.stop()
    assert lasted > 0.5
    assert len(noticed) == 1
    assert noticed[0].startswith("the banks cannot be followed: ")


def test_a_database_put_back_to_an_earlier_state_is_loaded_anew(stores: Place) -> None:
    """Entries of a future that never was must not answer, nor those be missing that came instead."""
    with stores.open() as store:
        number = create_bank(store, "KNOWN").id
        add_contents(store, "KNOWN", [content(0)])
        add_contents(store, "KNOWN", [content(1)])
        noticed: list[str] = []
        live = LiveBanks(store, notice=noticed.append)
        live.refresh()
        last = live.status()[0]["sequence"]
        with store.write() as connection:  # as a copy from another past would be
            connection.execute(text("DELETE FROM entries WHERE id = 2"))
            connection.execute(text("UPDATE changes SET token = token / 2 + 1 WHERE id = :last"), {"last": last})
        live.refresh()
        assert entries_of(store, number) == [1]
        assert [is_found(live.matcher, each) for each in range(2)] == [True, False]
        assert len(noticed) == 1
        assert "earlier state" in noticed[0]
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


def test_200_swaps_of_snapshots_and_refreshes_do_not_grow_the_process(tmp_path: Path) -> None:
    """Each swap maps a file anew and frees the one before."""
    with open_store(tmp_path) as store:
        create_bank(store, "KNOWN")
        random = np.random.default_rng(5)
        values = [
            HashValue(kind, random.bytes(32), None) for kind in (HashKind.PDQ, HashKind.SHA256) for _ in range(2000)
        ]
        import_hashes(store, "KNOWN", values)
        live = LiveBanks(store)
        sizes = []
        for swap in range(225):
            add_contents(store, "KNOWN", [content(swap)])
            live.refresh()
            if swap % 5 == 0:
                remove_entries(store, "KNOWN", [swap + 1])
            compact_bank(store, "KNOWN")
            settle(live)
            assert is_found(live.matcher, swap)
            sizes.append(resident())
        [status] = live.status()
        assert status["snapshot"] == status["sequence"] == 271
        assert len(mapped(snapshot_path(store, 1))) == 1
        live.stop()
    grown = max(sizes[200:]) - max(sizes[:25])
    assert grown < 8 << 20, f"{grown >> 10} KiB in 200 swaps"


def resident() -> int:
    """What this process holds in memory, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

"""Followed banks against banks loaded anew, whatever happens to them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import update
from tests.integration.followed import NOW, content, digest, disable, entries_of, settle
from tests.stores import Place

from rempart.hashing import PictureHash
from rempart.lists import (
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
from rempart.lists import loader as loader_module
from rempart.lists.content import snapshot_path
from rempart.lists.live import LiveBanks
from rempart.matching import Bank
from rempart.matching import bank as bank_module
from rempart.store.tables import HashKind, banks

NUMBERS = range(8)


def answers(bank: Bank) -> list[object]:
    """Everything that can be asked of a bank about the contents there are."""
    said: list[object] = [bank.kind, bank.radius, bank.refreshed_at, len(bank), bank.looks_near, bank.holds_videos]
    for number in NUMBERS:
        picture, whole, short, *frames = (value.value for value in content(number).hashes)
        shown = [PictureHash(frame, 90, "full", place, float(place)) for place, frame in enumerate(frames)]
        said += [bank.near(picture), bank.exact("sha256", whole), bank.exact("md5", short), bank.videos(shown)]
        said += [bank.frame_distances(hit.entry, shown) for hit in bank.videos(shown)]
    return said


class FollowedBanks(RuleBasedStateMachine):
    """Whatever happens: what is followed says the same as what is loaded anew, and what was taken before stays."""

    def __init__(self) -> None:
        """Begin with two banks, one with a snapshot."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Place(self.folder).open()
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

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import update
from tests.stores import Place

from rempart.errors import BankError, SnapshotError
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
from rempart.lists.changes import note_changes
from rempart.lists.content import snapshot_path
from rempart.matching import Bank, segment
from rempart.store import Store, open_store
from rempart.store.tables import HashKind, entries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"content {number}" for number in range(8)]


def content(number: int) -> Content:
    """A content with a PDQ hash, digests, and two frames of a video."""
    digest = sha256(NAMES[number].encode()).digest()
    frames = [HashValue(HashKind.VPDQ, sha256(digest + bytes([n])).digest(), 90, None, n * 1000) for n in range(2)]
    return Content(
        (
            HashValue(HashKind.PDQ, digest, 80),
            HashValue(HashKind.SHA256, digest),
            HashValue(HashKind.MD5, digest[:16]),
            *frames,
        )
    )


def answers(bank: Bank) -> list[object]:
    """Everything that can be asked of a bank about the contents there are."""
    said: list[object] = [len(bank)]
    for number in range(len(NAMES)):
        for value in content(number).hashes:
            if value.kind is HashKind.PDQ:
                said.append(bank.near(value.value))
            elif value.kind is not HashKind.VPDQ:
                said.append(bank.exact(value.kind.value, value.value))
    frames = bank._frames
    said.append(sorted(zip(frames.entries.tolist(), map(bytes, frames.hashes), frames.at_ms.tolist(), strict=True)))
    return said


class FollowedBank(RuleBasedStateMachine):
    """Whatever happens to a bank: its snapshot with what was changed since says the same as the whole database."""

    def __init__(self, store: Store) -> None:
        """Begin with a bank that has a snapshot."""
        super().__init__()
        self.store = store
        self.now = NOW
        create_bank(self.store, "KNOWN", clock=self.clock)
        create_bank(self.store, "OTHER", clock=self.clock)
        self.noticed: list[str] = []
        self.number = next(bank.id for bank in list_banks(self.store) if bank.name == "KNOWN")
        self.compact()

    def clock(self) -> datetime:
        """The time, which goes on a minute with every look."""
        self.now += timedelta(minutes=1)
        return self.now

    def teardown(self) -> None:
        """Leave nothing behind."""
        for name in ("KNOWN", "OTHER"):
            delete_bank(self.store, name)
        assert self.noticed == []

    @rule(chosen=st.lists(st.integers(0, 7), max_size=3), name=st.sampled_from(["KNOWN", "KNOWN", "OTHER"]))
    def add(self, chosen: list[int], name: str) -> None:
        """Bank contents, perhaps again."""
        add_contents(self.store, name, [content(number) for number in chosen], clock=self.clock)

    @rule(chosen=st.lists(st.integers(0, 7), max_size=3))
    def grow(self, chosen: list[int]) -> None:
        """Import digests first, so that entries gain the rest later."""
        values = [HashValue(HashKind.SHA256, sha256(NAMES[number].encode()).digest()) for number in chosen]
        import_hashes(self.store, "KNOWN", values, clock=self.clock)

    @rule(place=st.integers(0, 20))
    def remove(self, place: int) -> None:
        """Remove an entry, if there is one."""
        if numbers := self.entries():
            remove_entries(self.store, "KNOWN", [numbers[place % len(numbers)]], clock=self.clock)

    @rule(place=st.integers(0, 20), minutes=st.integers(1, 20))
    def disable(self, place: int, minutes: int) -> None:
        """Disable an entry for some minutes; it comes back by itself."""
        if numbers := self.entries():
            number = numbers[place % len(numbers)]
            with self.store.write() as connection:
                until = self.now + timedelta(minutes=minutes)
                connection.execute(update(entries).where(entries.c.id == number).values(disabled_until=until))
                note_changes(connection, self.number, [number])

    @rule()
    def compact(self) -> None:
        """Write the snapshot anew."""
        compact_bank(self.store, "KNOWN", clock=self.clock, notice=self.noticed.append)

    def entries(self) -> list[int]:
        """The entries of the bank."""
        with self.store.read() as connection:
            query = entries.select().where(entries.c.bank_id == self.number).order_by(entries.c.id)
            return [row.id for row in connection.execute(query)]

    @invariant()
    def snapshot_and_database_agree(self) -> None:
        """The same answers with the snapshot as without."""
        moment = self.clock()
        [followed] = self.loaded(moment)
        aside = snapshot_path(self.store, self.number)
        aside.rename(aside.with_suffix(".aside"))
        [read] = self.loaded(moment)
        aside.with_suffix(".aside").rename(aside)
        assert answers(followed) == answers(read)

    def loaded(self, moment: datetime) -> list[Bank]:
        """The bank as a new process loads it."""
        banks = load_banks(self.store, clock=lambda: moment, notice=self.noticed.append)
        return [bank for bank in banks if bank.name == "KNOWN"]


def test_a_followed_bank_says_what_the_database_says(stores: Place) -> None:
    """On both kinds of database, after whatever happened to it."""
    few = settings(max_examples=10, stateful_step_count=10, deadline=None)
    with stores.open() as store:
        run_state_machine_as_test(lambda: FollowedBank(store), settings=few)


@pytest.fixture
def store(stores: Place) -> Iterator[Store]:
    """A bank of two contents, with its snapshot."""
    with stores.open() as opened:
        create_bank(opened, "KNOWN")
        add_contents(opened, "KNOWN", [content(0), content(1)])
        assert compact_bank(opened, "KNOWN") is not None
        yield opened


def test_a_compacted_bank_is_not_compacted_again(store: Store) -> None:
    """Only a change makes work."""
    assert compact_bank(store, "KNOWN") is None
    add_contents(store, "KNOWN", [content(2)])
    assert compact_bank(store, "KNOWN") == snapshot_path(store, 1)


def test_a_snapshot_is_for_its_owner_alone_and_goes_with_its_bank(store: Store) -> None:
    """It holds the hashes of the list."""
    path = snapshot_path(store, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    delete_bank(store, "KNOWN")
    assert list(path.parent.iterdir()) == []
    with pytest.raises(BankError):
        compact_bank(store, "KNOWN")


@pytest.mark.parametrize("flaw", ["truncated", "changed", "of another bank", "no snapshot at all"])
def test_a_snapshot_that_cannot_be_used_costs_time_only(store: Store, flaw: str) -> None:
    """The database has everything; the notice says what is wrong; the next compaction mends it."""
    path = snapshot_path(store, 1)
    good = path.read_bytes()
    if flaw == "truncated":
        path.write_bytes(good[:-1])
    elif flaw == "changed":
        path.write_bytes(good[:100] + b"x" + good[101:])
    elif flaw == "of another bank":
        create_bank(store, "SECOND")
        compact_bank(store, "SECOND")
        shutil.copy(snapshot_path(store, 2), path)
    else:
        path.write_bytes(b"\xff\xd8\xff" * 5000)
    notices: list[str] = []
    bank = next(bank for bank in load_banks(store, notice=notices.append) if bank.name == "KNOWN")
    assert bank.exact("sha256", content(1).hashes[1].value) == [2]
    assert len(notices) == 1
    assert "is read from the database" in notices[0]
    compact_bank(store, "KNOWN")
    notices.clear()
    load_banks(store, notice=notices.append)
    assert notices == []


def test_a_database_put_back_to_an_earlier_state_is_noticed(tmp_path: Path) -> None:
    """A snapshot of a future that never was must not answer."""
    store = open_store(tmp_path / "data")
    create_bank(store, "KNOWN")
    add_contents(store, "KNOWN", [content(0), content(1)])
    earlier = tmp_path / "earlier.db"
    store.close()
    shutil.copy(store.file, earlier)
    add_contents(store, "KNOWN", [content(2)])
    compact_bank(store, "KNOWN")
    store.close()
    shutil.copy(earlier, store.file)
    for log in store.file.parent.glob("*.db-*"):
        log.unlink()
    notices: list[str] = []
    with open_store(store.file.parent) as again:
        [bank] = load_banks(again, notice=notices.append)
        assert bank.exact("sha256", content(2).hashes[1].value) == []
        assert "earlier state" in notices[0]
        # It goes another way, as far as the snapshot's future went.
        add_contents(again, "KNOWN", [content(3)])
        remove_entries(again, "KNOWN", [1])
        [bank] = load_banks(again)
        found = [bank.exact("sha256", content(number).hashes[1].value) for number in range(4)]
        assert [len(each) for each in found] == [0, 1, 0, 1]


def test_a_full_disk_leaves_the_bank_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot of before is still of use, with what was changed since."""
    add_contents(store, "KNOWN", [content(2)])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rempart.matching.snapshot.os.pwrite", full)
        with pytest.raises(SnapshotError, match="No space left"):
            compact_bank(store, "KNOWN")
    notices: list[str] = []
    [bank] = load_banks(store, notice=notices.append)
    assert len(bank.near(content(2).hashes[0].value)) == 1
    assert notices == []


def test_a_bank_with_buckets_in_its_snapshot_answers_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a bank must be for that otherwise."""
    monkeypatch.setattr(segment, "SMALL", -1)
    add_contents(store, "KNOWN", [content(2)])
    compact_bank(store, "KNOWN")
    add_contents(store, "KNOWN", [content(3)])
    [bank] = load_banks(store)
    assert [len(bank.near(content(number).hashes[0].value)) for number in range(5)] == [1, 1, 1, 1, 0]


def test_compacting_on_the_command_line_says_what_it_wrote(stores: Place, store: Store) -> None:
    """One row a bank; a second run finds nothing to do."""
    add_contents(store, "KNOWN", [content(2)])
    environment = {**stores.environ, "PATH": "/usr/bin"}
    command = [Path(sys.executable).with_name("rempart"), "bank", "compact"]
    first, second, unknown = (
        subprocess.run([*command, *names], env=environment, capture_output=True, text=True, check=False, timeout=60)
        for names in ([], ["KNOWN"], ["UNKNOWN"])
    )
    assert json.loads(first.stdout) | {"seconds": 0} == {
        "bank": "KNOWN",
        "status": "written",
        "bytes": snapshot_path(store, 1).stat().st_size,
        "seconds": 0,
    }
    assert json.loads(second.stdout)["status"] == "unchanged"
    assert [run.returncode for run in (first, second, unknown)] == [0, 0, 2]

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rempart.errors import InvalidHashError, SnapshotError, UsageError
from rempart.matching import search, segment
from rempart.matching.index import HashIndex, Hit
from rempart.matching.snapshot import SnapshotWriter

Table = npt.NDArray[np.uint8]

# A dozen hashes in three families: members of one lie within 31 bits of each other, strangers do not.
FAMILIES = np.random.default_rng(8).integers(0, 256, (3, 32), dtype=np.uint8)


def member(number: int) -> Table:
    """Hash ``number`` of twelve."""
    value = FAMILIES[number % 3].copy()
    value[number // 3] ^= 0x1F << (number % 3)
    return value


def expected(held: list[tuple[int, int]], asked: Table, radius: int) -> list[Hit]:
    """What an index that holds these (id, number) must answer."""
    nearest: dict[int, int] = {}
    for id_, number in held:
        apart = int(np.bitwise_count(member(number) ^ asked).sum())
        if apart <= min(radius, nearest.get(id_, radius)):
            nearest[id_] = apart
    return sorted((Hit(*pair) for pair in nearest.items()), key=lambda hit: (hit.distance, hit.id))


numbers = st.lists(st.integers(0, 11), max_size=5)
some_ids = st.integers(0, 6)


class ChangingIndex(RuleBasedStateMachine):
    """Whatever is added, removed, compacted, closed and opened, in whatever order: the answers are those of a list."""

    def __init__(self) -> None:
        """Begin with an index in a file, filed in buckets however small it is."""
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(segment, "SMALL", -1)
        self.patch.setattr(search, "_EFFORT", np.inf)
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "known.index"
        HashIndex.build([member(0)], [0]).save(self.path)
        self.index = HashIndex.open(self.path)
        self.held = [(0, 0)]

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.index.close()
        self.patch.undo()
        shutil.rmtree(self.folder)

    @rule(chosen=numbers, first=some_ids)
    def add(self, chosen: list[int], first: int) -> None:
        """Add hashes under ids that may be there already."""
        rows = [(first + place, number) for place, number in enumerate(chosen)]
        self.index.add([member(number) for number in chosen], [id_ for id_, _ in rows])
        self.held += rows

    @rule(gone=st.lists(some_ids, max_size=3))
    def remove(self, gone: list[int]) -> None:
        """Remove ids that may not be there."""
        self.index.remove(gone)
        self.held = [row for row in self.held if row[0] not in gone]

    @rule()
    def compact(self) -> None:
        """File everything; nothing is pending then."""
        self.index.compact()
        assert self.index.pending == 0

    @rule()
    def open_again(self) -> None:
        """Let go and open what lies on the disk."""
        self.index.close()
        self.index = HashIndex.open(self.path)

    @rule()
    def fail_to_compact(self) -> None:
        """A compaction that fails half-way changes no answer, now or later."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SnapshotWriter, "finish", full_disk)
            with pytest.raises(SnapshotError, match="No space left"):
                self.index.compact()

    @precondition(lambda self: len(self.held) > 0)
    @rule()
    def save_elsewhere(self) -> None:
        """A saved copy holds the same."""
        copy = self.folder / "copy.index"
        self.index.save(copy)
        assert_answers(HashIndex.open(copy), self.held)

    @invariant()
    def answers_as_a_list_would(self) -> None:
        """This process, and another that opens the file now."""
        assert_answers(self.index, self.held)
        assert_answers(HashIndex.open(self.path), self.held)
        assert len(self.index) == len(self.held)


def full_disk(*_: object) -> None:
    """What the system says when nothing more fits."""
    raise OSError(28, os.strerror(28))


def assert_answers(index: HashIndex, held: list[tuple[int, int]]) -> None:
    """Every member of every family finds what it should, one by one and together."""
    asked = [member(number) for number in range(12)]
    hits = index.query_many(asked, 31, threads=2)
    for number, value in enumerate(asked):
        wanted = expected(held, value, 31)
        assert index.query(value) == wanted
        at = slice(hits.offsets[number], hits.offsets[number + 1])
        assert [*zip(hits.ids[at].tolist(), hits.distances[at].tolist(), strict=True)] == wanted


TestChangingIndex = ChangingIndex.TestCase
TestChangingIndex.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)


def test_an_index_in_memory_changes_and_compacts_too() -> None:
    """Without a file there is no journal, and the answers are the same."""
    index = HashIndex.build([member(0), member(1)], [10, 11])
    index.add([member(3)], [12])
    index.remove([10])
    before = index.query(member(0))
    assert [hit.id for hit in before] == [12]
    assert index.pending == 2
    index.compact()
    assert (index.pending, len(index), index.query(member(0))) == (0, 2, before)


def test_an_added_hash_is_found_and_a_removed_one_gone_at_once(tmp_path: Path) -> None:
    """In this process when the call returns, in another after a refresh, before anything is compacted."""
    HashIndex.build(np.random.default_rng(1).integers(0, 256, (100, 32), dtype=np.uint8)).save(tmp_path / "a.index")
    writer, reader = HashIndex.open(tmp_path / "a.index"), HashIndex.open(tmp_path / "a.index")
    writer.add([member(0)], [500])
    assert writer.query(member(0)) == [Hit(500, 0)]
    assert reader.query(member(0)) == []
    reader.refresh()
    assert reader.query(member(0)) == [Hit(500, 0)]
    writer.compact()
    writer.remove([500])
    assert writer.query(member(0)) == []
    assert reader.query(member(0)) == [Hit(500, 0)]  # of the old map, which it still holds
    reader.refresh()
    assert reader.query(member(0)) == []


def test_answers_never_pause_while_an_index_is_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the new snapshot is held up, queries, additions and removals go on, and are there afterwards."""
    HashIndex.build([member(0), member(1)], [0, 1]).save(tmp_path / "a.index")
    index = HashIndex.open(tmp_path / "a.index")
    reached, may_go_on = threading.Event(), threading.Event()
    finish = SnapshotWriter.finish

    def held_up(self: SnapshotWriter, facts: object) -> None:
        reached.set()
        assert may_go_on.wait(30)
        finish(self, facts)

    monkeypatch.setattr(SnapshotWriter, "finish", held_up)
    compacting = threading.Thread(target=index.compact)
    compacting.start()
    assert reached.wait(30)
    index.add([member(2)], [2])
    index.remove([0])
    assert [index.query(member(number), 0) for number in range(3)] == [[], [Hit(1, 0)], [Hit(2, 0)]]
    may_go_on.set()
    compacting.join()
    for one in (index, HashIndex.open(tmp_path / "a.index")):
        assert [one.query(member(number), 0) for number in range(3)] == [[], [Hit(1, 0)], [Hit(2, 0)]]
        assert one.pending == 2


def test_only_one_process_at_a_time_may_write(tmp_path: Path) -> None:
    """The second is told so; it may when the first has let go, and then knows what the first has done."""
    path = tmp_path / "a.index"
    HashIndex.build([member(0)], [0]).save(path)
    first, second = HashIndex.open(path), HashIndex.open(path)
    first.add([member(1)], [1])
    for change in (lambda: second.add([member(2)], [2]), lambda: second.remove([0]), second.compact):
        with pytest.raises(SnapshotError, match="another process writes"):
            change()
    with pytest.raises(SnapshotError, match="another process writes"):
        HashIndex.build([member(5)], [5]).save(path)
    first.close()
    second.add([member(2)], [2])
    assert [second.query(member(number), 0) for number in range(3)] == [[Hit(number, 0)] for number in range(3)]


def test_an_index_is_not_saved_over_the_file_it_works_on(tmp_path: Path) -> None:
    """That is what compact is for."""
    HashIndex.build([member(0)], [0]).save(tmp_path / "a.index")
    with pytest.raises(UsageError, match="compact"):
        HashIndex.open(tmp_path / "a.index").save(tmp_path / "a.index")


def test_bad_hashes_and_ids_change_nothing(tmp_path: Path) -> None:
    """One bad row, and none of the call is added or removed."""
    HashIndex.build([member(0)], [0]).save(tmp_path / "a.index")
    index = HashIndex.open(tmp_path / "a.index")
    for change in (
        lambda: index.add([member(1), b"short"], [1, 2]),
        lambda: index.add([member(1)], [-1]),
        lambda: index.add([member(1)], [1, 2]),
        lambda: index.remove([0, -1]),
        lambda: index.remove(["0"]),
    ):
        with pytest.raises(InvalidHashError):
            change()
    assert (index.pending, index.query(member(0), 0)) == (0, [Hit(0, 0)])


def test_all_zero_hashes_are_dropped_and_counted_wherever_they_come_from(tmp_path: Path) -> None:
    """The count goes with the file."""
    HashIndex.build([member(0), bytes(32)], [0, 1]).save(tmp_path / "a.index")
    index = HashIndex.open(tmp_path / "a.index")
    index.add([bytes(32), member(1)], [2, 3])
    assert (len(index), index.dropped) == (2, 2)
    index.compact()
    assert HashIndex.open(tmp_path / "a.index").dropped == 2


def test_many_threads_ask_while_one_adds_removes_and_compacts(tmp_path: Path) -> None:
    """A hash that stays is found by every query, at every moment; one that comes is never found half."""
    stays = np.random.default_rng(2).integers(0, 256, 32, dtype=np.uint8)
    HashIndex.build([stays], [7]).save(tmp_path / "a.index")
    index = HashIndex.open(tmp_path / "a.index")
    done = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not done.is_set():
            if (hits := index.query(stays, 0)) != [Hit(7, 0)]:
                wrong.append(hits)
            pair = index.query(member(0), 0)
            if len(pair) not in (0, 2):
                wrong.append(pair)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        index.add([member(0), member(0)], [1, 2])
        index.remove([1, 2])
        if turn % 10 == 0:
            index.compact()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rempart.errors import SnapshotError
from rempart.matching.journal import Change, Journal, Kind, read_journal

NO_WORDS = np.empty((0, 4), np.uint64)


def added(*ids: int) -> Change:
    """A change that adds hashes made of their ids."""
    return Change(Kind.ADD, np.array(ids, np.int64), np.repeat(np.array(ids, np.uint64), 4).reshape(-1, 4))


def removed(*ids: int) -> Change:
    """A change that removes ids."""
    return Change(Kind.REMOVE, np.array(ids, np.int64), NO_WORDS)


CHANGES = [added(1, 2, 3), removed(2), added(2), removed(1, 3), added(9)]


def spelled(changes: list[Change]) -> list[tuple[Kind, list[int], list[list[int]]]]:
    """Changes in a form that can be compared."""
    return [(change.kind, change.ids.tolist(), change.words.tolist()) for change in changes]


def filled(path: Path) -> bytes:
    """A journal of a few changes."""
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for change in CHANGES:
        journal.append(change)
    journal.close()
    return path.read_bytes()


def test_changes_are_read_back_in_order_and_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Closed and opened between two changes as well."""
    filled(tmp_path / "journal")
    again = Journal(tmp_path / "journal")
    again.append(removed(9))
    again.close()
    assert spelled(list(read_journal(tmp_path / "journal"))) == spelled([*CHANGES, removed(9)])


def test_wherever_a_crash_cuts_it_the_whole_records_remain(tmp_path: Path) -> None:
    """At every length: what was whole is there, the rest is dropped, and the journal can go on."""
    content = filled(tmp_path / "journal")
    seen = set()
    for length in range(len(content)):
        path = tmp_path / "cut"
        path.write_bytes(content[:length])
        kept = spelled(list(read_journal(path)))
        assert kept == spelled(CHANGES)[: len(kept)]
        seen.add(len(kept))
        if length % 7 == 0:
            journal = Journal(path)
            journal.append(added(77))
            journal.close()
            assert spelled(list(read_journal(path))) == [*kept, *spelled([added(77)])]
    assert seen == set(range(len(CHANGES)))


def test_zeros_that_a_power_cut_leaves_at_the_end_are_dropped(tmp_path: Path) -> None:
    """Some file systems make a file longer before they fill it."""
    content = filled(tmp_path / "journal")
    (tmp_path / "journal").write_bytes(content + bytes(500))
    assert spelled(list(read_journal(tmp_path / "journal"))) == spelled(CHANGES)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_refused_or_costs_the_last_record_alone(tmp_path: Path, place: float, bit: int) -> None:
    """Nothing before the last record is ever lost without an error, and nothing false is ever read."""
    content = bytearray(filled(tmp_path / "journal"))
    content[int(place * len(content))] ^= 1 << bit
    (tmp_path / "bad").write_bytes(content)
    try:
        kept = spelled(list(read_journal(tmp_path / "bad")))
    except SnapshotError:
        return
    assert kept == spelled(CHANGES)[:-1]


@given(junk=st.binary(max_size=300), behind=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_is_refused_or_dropped(tmp_path: Path, junk: bytes, *, behind: bool) -> None:
    """As a file of its own, or behind good records."""
    content = filled(tmp_path / "journal")
    (tmp_path / "bad").write_bytes(content + junk if behind else junk)
    try:
        kept = spelled(list(read_journal(tmp_path / "bad")))
    except SnapshotError:
        return
    assert kept == (spelled(CHANGES) if behind else [])


def test_a_failed_append_leaves_no_half_record_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the middle of a long record; a shorter one fits afterwards."""
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append(added(1))
    real, left = __import__("os").pwrite, [40]

    def scarce(descriptor: int, content: bytes, at: int) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        done = real(descriptor, content[: left[0]], at)
        left[0] -= done
        return int(done)

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", scarce)
        with pytest.raises(SnapshotError, match="No space left"):
            journal.append(added(*range(100, 200)))
    journal.append(removed(5))
    assert spelled(list(read_journal(path))) == spelled([added(1), removed(5)])
    journal.close()

"""Entries of banks: added, imported, removed, and made of hashed files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.integration.banked import LATER, NOW, bank_content, content, digest, emptied

from rempart.errors import BankError, HashFileError
from rempart.hashing import Hashed, PictureHash
from rempart.lists import (
    Content,
    HashValue,
    Imported,
    add_contents,
    content_of,
    create_bank,
    delete_bank,
    get_bank,
    import_hashes,
    list_entries,
    remove_entries,
)
from rempart.lists import entries as entries_module
from rempart.store import Store
from rempart.store.tables import HashKind, hashes


def test_an_entry_holds_any_number_of_hashes_of_any_kind(store: Store) -> None:
    """With their qualities and variants, and the note."""
    create_bank(store, "A", clock=lambda: NOW)
    near = [HashValue(HashKind.PDQ, bytes([number]) * 32, number, f"variant{number}") for number in range(1, 40)]
    values = (*near, digest(1, HashKind.MD5), digest(2, HashKind.MD5), digest(1, HashKind.SHA1))
    [added] = add_contents(store, "A", [Content(values, "seen twice")], clock=lambda: LATER)
    assert (added.new, added.gained) == (True, len(values))
    [entry] = list_entries(store, "A")
    assert (entry.id, entry.created_at, entry.note) == (added.entry, LATER, "seen twice")
    assert set(entry.hashes) == set(values)
    assert get_bank(store, "A").hashes == {"pdq": 39, "vpdq": 0, "md5": 2, "sha1": 1, "sha256": 0}
    assert get_bank(store, "A").refreshed_at == LATER


def test_content_with_a_known_sha256_makes_no_second_entry(store: Store) -> None:
    """But the entry gains what was not known of it, so that copies of the picture are found too."""
    create_bank(store, "A", clock=lambda: NOW)
    create_bank(store, "B")
    import_hashes(store, "A", [digest(1), digest(2)], clock=lambda: NOW)
    [again] = add_contents(store, "A", [content(2, HashKind.SHA256)], clock=lambda: LATER)
    assert (again.entry, again.new, again.gained) == (2, False, 0)
    assert get_bank(store, "A").refreshed_at == NOW
    [more] = add_contents(store, "A", [content(2)], clock=lambda: LATER)
    assert (more.entry, more.new, more.gained) == (2, False, 3)
    assert get_bank(store, "A").refreshed_at == LATER
    assert bank_content(store, "A") == {1: {digest(1)}, 2: set(content(2).hashes)}
    assert add_contents(store, "B", [content(2)])[0].new


def test_content_without_sha256_is_known_when_one_entry_has_all_its_hashes(store: Store) -> None:
    """Some of them, or all of them spread over several entries, are not enough."""
    create_bank(store, "A")
    one, two = content(1, HashKind.MD5, HashKind.PDQ), content(1, HashKind.SHA1)
    both = Content(one.hashes + two.hashes)
    results = add_contents(store, "A", [one, two, both, both, one, two])
    assert [(each.entry, each.new) for each in results] == [
        *[(1, True), (2, True), (3, True)],
        *[(3, False), (1, False), (2, False)],
    ]


def test_of_equal_hashes_in_one_content_the_first_is_kept(store: Store) -> None:
    """The full frame comes before the trimmed one."""
    create_bank(store, "A")
    twice = tuple(HashValue(HashKind.PDQ, b"\x0f" * 32, 90, variant) for variant in ("full", "trimmed"))
    assert add_contents(store, "A", [Content(twice)])[0].gained == 1
    assert bank_content(store, "A") == {1: {twice[0]}}


def test_an_imported_list_makes_one_entry_a_line_in_order(store: Store) -> None:
    """Of mixed kinds, with the note; repeated and known hashes are counted and not banked again."""
    create_bank(store, "A", clock=lambda: NOW)
    add_contents(store, "A", [content(7, HashKind.MD5, HashKind.SHA1)])
    lines = [digest(3), digest(1, HashKind.MD5), digest(7, HashKind.MD5), digest(3), digest(2, HashKind.PDQ)]
    result = import_hashes(store, "A", lines, note="list of March", clock=lambda: LATER)
    assert result == Imported(added=3, repeated=1, already_banked=1)
    assert bank_content(store, "A") == {
        1: {digest(7, HashKind.MD5), digest(7, HashKind.SHA1)},
        2: {digest(3)},
        3: {digest(1, HashKind.MD5)},
        4: {digest(2, HashKind.PDQ)},
    }
    assert [entry.note for entry in list_entries(store, "A")] == [None, *["list of March"] * 3]
    assert get_bank(store, "A").refreshed_at == LATER


def test_an_import_that_brings_nothing_new_still_confirms_the_bank(store: Store) -> None:
    """The list is as fresh as its source says, though nothing was added."""
    create_bank(store, "A", clock=lambda: NOW)
    import_hashes(store, "A", [digest(1)], clock=lambda: NOW)
    assert import_hashes(store, "A", [digest(1)], clock=lambda: LATER) == Imported(0, 0, 1)
    assert get_bank(store, "A").refreshed_at == LATER


@pytest.mark.usefixtures("unsynced")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(lists=st.lists(st.lists(st.integers(0, 30), max_size=40), min_size=1, max_size=3), size=st.integers(1, 9))
def test_imports_agree_with_a_set_whatever_the_size_of_a_batch(store: Store, lists: list[list[int]], size: int) -> None:
    """Repeats within a batch, across batches and across lists are all told from new hashes."""
    with pytest.MonkeyPatch.context() as patch, emptied(store):
        patch.setattr(entries_module, "BATCH", size)
        create_bank(store, "A")
        known: set[int] = set()
        for numbers in lists:
            result = import_hashes(store, "A", map(digest, numbers))
            fresh = set(numbers) - known
            banked = sum(number in known for number in numbers)
            assert result.added == len(fresh)
            assert result.repeated + result.already_banked == len(numbers) - len(fresh)
            assert (banked > 0) == (result.already_banked > 0)
            known |= fresh
        assert set().union(*bank_content(store, "A").values()) == {digest(number) for number in known}


def test_a_list_that_fails_in_the_middle_leaves_the_bank_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several batches were written by then, and all of them are undone."""
    monkeypatch.setattr(entries_module, "BATCH", 10)
    create_bank(store, "A", clock=lambda: NOW)
    import_hashes(store, "A", [digest(0)], clock=lambda: NOW)
    before = get_bank(store, "A")

    def failing() -> Iterator[HashValue]:
        yield from map(digest, range(1, 55))
        raise HashFileError

    with pytest.raises(HashFileError):
        import_hashes(store, "A", failing())
    assert get_bank(store, "A") == before


def test_removing_takes_an_entry_and_its_hashes_and_nothing_else(store: Store) -> None:
    """And counts as a change of the bank."""
    create_bank(store, "A", clock=lambda: NOW)
    add_contents(store, "A", [content(number) for number in range(5)], clock=lambda: NOW)
    remove_entries(store, "A", [2, 4, 2], clock=lambda: LATER)
    assert bank_content(store, "A") == {number + 1: set(content(number).hashes) for number in (0, 2, 4)}
    assert get_bank(store, "A").refreshed_at == LATER
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(hashes)).scalar_one() == 12


def test_removing_what_is_not_there_removes_nothing(store: Store) -> None:
    """An entry of another bank is not there either."""
    create_bank(store, "A")
    create_bank(store, "B")
    add_contents(store, "A", [content(1), content(2)])
    add_contents(store, "B", [content(3)])
    with pytest.raises(BankError, match="the bank A has no entry 3; nothing was removed"):
        remove_entries(store, "A", [1, 3])
    with pytest.raises(BankError, match=r"no entry 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 and 40000 more;"):
        remove_entries(store, "A", [1, *range(4, 40014)])
    assert list(bank_content(store, "A")) == [1, 2]


def test_entry_ids_never_come_back(store: Store) -> None:
    """Not after removal, not after the bank or everything is gone; they are counted through all banks."""
    create_bank(store, "A")
    create_bank(store, "B")
    seen = [each.entry for each in add_contents(store, "A", [content(1), content(2)])]
    remove_entries(store, "A", [seen[-1]])
    seen += [each.entry for each in add_contents(store, "B", [content(2)])]
    import_hashes(store, "A", [digest(8), digest(9)])
    seen = sorted({*seen, *bank_content(store, "A"), *bank_content(store, "B")})
    delete_bank(store, "A")
    delete_bank(store, "B")
    create_bank(store, "A")
    seen += [each.entry for each in add_contents(store, "A", [content(1)])]
    assert seen == list(range(1, 7))


def picture(*hashes: PictureHash) -> Hashed:
    """A hashed picture with the given PDQ hashes."""
    return Hashed(
        format="png",
        width=64,
        height=64,
        frames=1,
        frames_read=1,
        normalised=(),
        partial=None,
        hashes=hashes,
        md5="0a" * 16,
        sha1="0b" * 20,
        sha256="0c" * 32,
    )


def test_a_video_is_banked_with_its_digests_and_each_distinct_frame_that_says_enough(store: Store) -> None:
    """With the time when it is first shown; of a frame within borders, what lies inside them."""
    one, two = b"\x55" * 32, b"\x33" * 32
    shown = [
        PictureHash(one, 80, "full", 0, 0.0),
        PictureHash(bytes(32), 100, "full", 1, 1.0),
        PictureHash(two, 49, "full", 2, 2.0),
        PictureHash(b"\x0f" * 32, 90, "full", 3, 3.0),
        PictureHash(two, 90, "trimmed", 3, 3.0),
        PictureHash(one, 70, "full", 4, 4.0),
        PictureHash(b"\x69" * 32, 50, "full", 5, 5.0416),
    ]
    content = content_of(picture(*shown), 50)
    expected = [(one, 80, "full", 0), (two, 90, "trimmed", 3000), (b"\x69" * 32, 50, "full", 5042)]
    assert [(v.kind, v.value, v.quality, v.variant, v.at_ms) for v in content.hashes[:3]] == [
        (HashKind.VPDQ, *each) for each in expected
    ]
    assert [value.kind for value in content.hashes[3:]] == [HashKind.MD5, HashKind.SHA1, HashKind.SHA256]
    create_bank(store, "A")
    assert add_contents(store, "A", [content])[0].gained == 6
    [entry] = list_entries(store, "A")
    assert entry.hashes == content.hashes
    assert add_contents(store, "A", [content])[0].gained == 0


def test_a_picture_is_banked_with_its_digests_and_the_hashes_that_say_enough() -> None:
    """Those below the floor would match what they should not, and the all-zero hash everything blank."""
    good = PictureHash(b"\x55" * 32, 50, "full")
    hashed = picture(good, PictureHash(b"\x33" * 32, 49, "trimmed"), PictureHash(bytes(32), 100, "full", 1))
    values = content_of(hashed, 50).hashes
    assert [(value.kind, value.value, value.quality, value.variant) for value in values] == [
        (HashKind.PDQ, good.hash, 50, "full"),
        (HashKind.MD5, b"\x0a" * 16, None, None),
        (HashKind.SHA1, b"\x0b" * 20, None, None),
        (HashKind.SHA256, b"\x0c" * 32, None, None),
    ]

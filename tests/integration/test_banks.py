from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from tests.stores import Place

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
    list_banks,
    list_entries,
    load_banks,
    remove_entries,
)
from rempart.lists import entries as entries_module
from rempart.matching.bank import Harm, Kind
from rempart.matching.video import VideoRule
from rempart.store import Store
from rempart.store.tables import HashKind, changes, entries, hashes

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=3)


@pytest.fixture
def store(stores: Place) -> Iterator[Store]:
    """An empty database."""
    with stores.open() as opened:
        yield opened


@contextlib.contextmanager
def emptied(store: Store) -> Iterator[None]:
    """For one of the many examples of a test: its banks are gone afterwards."""
    try:
        yield
    finally:
        for bank in list_banks(store):
            delete_bank(store, bank.name)


def digest(number: int, kind: HashKind = HashKind.SHA256) -> HashValue:
    """A hash of the given kind, another for each number."""
    return HashValue(kind, hashlib.sha512(f"{kind} {number}".encode()).digest()[: kind.length])


def content(number: int, *kinds: HashKind) -> Content:
    """A content with hashes of the given kinds, by default those of a picture."""
    of_picture = (HashKind.PDQ, HashKind.MD5, HashKind.SHA1, HashKind.SHA256)
    return Content(tuple(digest(number, kind) for kind in kinds or of_picture))


def bank_content(store: Store, name: str) -> dict[int, set[HashValue]]:
    """The hashes of each entry of a bank."""
    return {entry.id: set(entry.hashes) for entry in list_entries(store, name)}


def test_a_new_bank_has_the_settings_it_was_given_and_is_empty(store: Store) -> None:
    """As returned, as fetched, and as listed by name."""
    made = create_bank(
        store,
        "B",
        kind=Kind.ALLOWING,
        harm=Harm.NCII_ADULT,
        radius=12,
        quality_floor=60,
        turned=True,
        max_age_seconds=3600,
        video_rule=VideoRule(query_percent=None, banked_percent=30, run_seconds=2.5),
        clock=lambda: NOW,
    )
    other = create_bank(store, "A_", clock=lambda: LATER)
    assert (made.kind, made.harm, made.radius, made.quality_floor) == (Kind.ALLOWING, Harm.NCII_ADULT, 12, 60)
    assert (made.turned, made.max_age_seconds, made.created_at, made.refreshed_at) == (True, 3600, NOW, NOW)
    assert made.video_rule == VideoRule(query_percent=None, banked_percent=30, run_seconds=2.5)
    assert (made.entries, made.hashes, made.slow) == (0, dict.fromkeys(HashKind, 0), False)
    assert (other.video_rule, create_bank(store, "C", radius=63, allow_slow=True).slow) == (VideoRule(), True)
    delete_bank(store, "C")
    assert (other.kind, other.harm, other.radius, other.quality_floor) == (Kind.BLOCKING, Harm.CSAM, 31, 50)
    assert list_banks(store) == [other, made]
    assert get_bank(store, "B") == made


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("my bank", {}, "for example MY_BANK"),
        ("A", {"radius": 64, "allow_slow": True}, "a radius of 64 bits is not possible: choose 0 to 31"),
        ("A", {"radius": -1}, "choose 0 to 31"),
        ("A", {"radius": 32}, "compared with every hash of the bank, one by one.*--allow-slow"),
        ("A", {"video_rule": VideoRule(query_percent=None, banked_percent=None, run_seconds=None)}, "at least one"),
        ("A", {"video_rule": VideoRule(query_percent=101)}, "1 to 100"),
        ("A", {"video_rule": VideoRule(banked_percent=0)}, "1 to 100"),
        ("A", {"video_rule": VideoRule(run_seconds=0.0)}, "more than 0"),
        ("A", {"video_rule": VideoRule(run_seconds=float("nan"))}, "more than 0"),
        ("A", {"quality_floor": 101}, "choose 0 to 100"),
        ("A", {"max_age_seconds": 0}, "maximum age"),
        ("A", {"max_age_seconds": 1 << 40}, "maximum age"),
    ],
)
def test_a_bank_that_cannot_be_is_refused(store: Store, name: str, options: dict[str, Any], problem: str) -> None:
    """In one line that says what would do."""
    with pytest.raises(BankError, match=problem):
        create_bank(store, name, **options)
    assert list_banks(store) == []


def test_a_name_is_given_once(store: Store) -> None:
    """The second is refused and changes nothing."""
    first = create_bank(store, "A", radius=7)
    with pytest.raises(BankError, match="there is a bank A already"):
        create_bank(store, "A")
    assert list_banks(store) == [first]


def test_a_bank_that_is_not_there_is_refused_with_the_nearest_names(store: Store) -> None:
    """By every function that takes a name."""
    with pytest.raises(BankError, match="there are no banks yet; make one"):
        get_bank(store, "A")
    create_bank(store, "CONFIRMED_2025")
    create_bank(store, "CONFIRMED_2026")
    create_bank(store, "PARTNER")
    for use in (
        lambda name: get_bank(store, name),
        lambda name: delete_bank(store, name),
        lambda name: add_contents(store, name, [content(1)]),
        lambda name: import_hashes(store, name, [digest(1)]),
        lambda name: remove_entries(store, name, [1]),
        lambda name: list(list_entries(store, name)),
    ):
        with pytest.raises(BankError, match=r"did you mean CONFIRMED_2026 or CONFIRMED_2025\?"):
            use("confirmed2026")
        with pytest.raises(BankError, match="`rempart bank list` shows"):
            use("\udcff")


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


class Follower:
    """Knows of one bank only what the changes since its last look name."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.bank = get_bank(store, name).id
        self.content: dict[int, set[HashValue]] = {}
        self.position = 0
        self.rows: list[tuple[int, int]] = []

    def follow(self) -> None:
        """Read the entries again that the new rows name, as the database holds them now."""
        wanted = select(changes).where(changes.c.bank_id == self.bank, changes.c.id > self.position)
        with self.store.read() as connection:
            new = connection.execute(wanted.order_by(changes.c.id)).all()
            for row in new:
                for number in [each for each in self.content if row.first_entry <= each <= row.last_entry]:
                    del self.content[number]
                query = select(hashes).join(entries).where(entries.c.bank_id == self.bank)
                for one in connection.execute(query.where(entries.c.id.between(row.first_entry, row.last_entry))):
                    value = HashValue(HashKind(one.kind), one.value, one.quality, one.variant, one.at_ms)
                    self.content.setdefault(one.entry_id, set()).add(value)
                self.position = row.id
        self.rows += [(row.first_entry, row.last_entry) for row in new]


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=4)),
        st.tuples(st.just("import"), st.lists(st.integers(0, 30), max_size=12)),
        st.tuples(st.just("remove"), st.sets(st.integers(0, 40), max_size=5)),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(acts=st.lists(st.tuples(st.sampled_from("AB"), ACTS), max_size=4), size=st.integers(1, 5))
def test_who_follows_the_changes_knows_at_every_moment_what_a_bank_holds(
    store: Store, acts: list[tuple[str, list[tuple[str, object]]]], size: int
) -> None:
    """After each act of two banks whose entries lie among each other, whatever the size of a batch."""
    with pytest.MonkeyPatch.context() as patch, emptied(store):
        patch.setattr(entries_module, "BATCH", size)
        for name in "AB":
            create_bank(store, name)
        followers = {name: Follower(store, name) for name in "AB"}
        for name, of_bank in acts:
            for act, what in of_bank:
                if act == "add":
                    short = HashKind.SHA256
                    add_contents(store, name, [content(n, *(() if whole else (short,))) for n, whole in what])  # type: ignore[attr-defined]
                elif act == "import":
                    import_hashes(store, name, map(digest, what))  # type: ignore[call-overload]
                else:
                    remove_entries(store, name, sorted(what & set(bank_content(store, name))))  # type: ignore[operator]
                for each, follower in followers.items():
                    follower.follow()
                    assert follower.content == bank_content(store, each)


def test_each_act_notes_neighbours_as_one_range_and_what_changes_nothing_not_at_all(store: Store) -> None:
    """An import a row for each batch; a million entries are not a million rows."""
    create_bank(store, "A")
    create_bank(store, "B")
    follower = Follower(store, "A")
    import_hashes(store, "A", map(digest, range(50)))
    add_contents(store, "A", [content(60), content(61), content(3), content(8)])
    import_hashes(store, "A", map(digest, range(50)))
    add_contents(store, "A", [content(60)])
    add_contents(store, "B", [content(1)])
    remove_entries(store, "A", [3, 2, 9, 10, 11, 40])
    follower.follow()
    assert follower.rows == [(1, 50), (4, 4), (9, 9), (51, 52), (2, 3), (9, 11), (40, 40)]


def test_an_act_that_fails_notes_no_change(store: Store) -> None:
    """The note is part of the transaction."""
    create_bank(store, "A")
    follower = Follower(store, "A")

    def failing() -> Iterator[HashValue]:
        yield from map(digest, range(entries_module.BATCH + 1))
        raise HashFileError

    with pytest.raises(HashFileError):
        import_hashes(store, "A", failing())
    with pytest.raises(BankError):
        remove_entries(store, "A", [1])
    follower.follow()
    assert follower.rows == []


def test_the_number_of_a_deleted_bank_never_comes_back(store: Store) -> None:
    """What others keep of the old bank would be taken for the new one's."""
    create_bank(store, "A")
    number = create_bank(store, "B").id
    delete_bank(store, "B")
    assert create_bank(store, "B").id > number


def test_deleting_a_bank_takes_everything_in_it_and_nothing_else(store: Store) -> None:
    """No hash stays behind without its entry."""
    for name in ("A", "B"):
        create_bank(store, name)
        add_contents(store, name, [content(number) for number in range(3)])
    delete_bank(store, "A")
    assert [bank.name for bank in list_banks(store)] == ["B"]
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(entries)).scalar_one() == 3
        assert connection.execute(select(func.count()).select_from(hashes)).scalar_one() == 12


def test_loaded_banks_find_what_was_banked(store: Store) -> None:
    """By nearness within the radius, and by each digest, each giving its entry."""
    create_bank(store, "EMPTY")
    create_bank(
        store, "A", kind=Kind.ALLOWING, harm=Harm.OTHER, radius=9, turned=True, max_age_seconds=60, clock=lambda: NOW
    )
    add_contents(store, "A", [content(number) for number in range(200)], clock=lambda: LATER)
    bank, empty = load_banks(store)
    assert (bank.name, len(bank), empty.name, len(empty)) == ("A", 800, "EMPTY", 0)
    assert (bank.kind, bank.harm, bank.radius, bank.quality_floor) == (Kind.ALLOWING, Harm.OTHER, 9, 50)
    assert (bank.turned, bank.refreshed_at, bank.max_age) == (True, LATER, timedelta(seconds=60))
    for number, kind in itertools.product((0, 77, 199), (HashKind.MD5, HashKind.SHA1, HashKind.SHA256)):
        assert bank.exact(kind, digest(number, kind).value) == [number + 1]
    for number in (0, 77, 199):
        near = np.frombuffer(digest(number, HashKind.PDQ).value, np.uint8) ^ np.array([1, *[0] * 30, 255], np.uint8)
        assert [(hit.id, hit.distance) for hit in bank.near(near.tobytes())] == [(number + 1, 9)]
    assert not empty.near(digest(0, HashKind.PDQ).value)


def test_a_loaded_bank_knows_which_hashes_have_too_little_detail(store: Store) -> None:
    """Known quality below the floor is not compared; unknown quality is."""
    create_bank(store, "A", quality_floor=50)
    rated = [HashValue(HashKind.PDQ, digest(quality or 1000, HashKind.PDQ).value, quality) for quality in (49, 50)]
    add_contents(store, "A", [Content((value,)) for value in (*rated, digest(7, HashKind.PDQ))])
    [bank] = load_banks(store)
    hits = [bank.near(value.value) for value in (*rated, digest(7, HashKind.PDQ))]
    assert [[hit.id for hit in found] for found in hits] == [[], [2], [3]]


def test_a_disabled_entry_is_not_loaded_until_its_time_has_come(store: Store) -> None:
    """It stays in the bank meanwhile."""
    create_bank(store, "A")
    add_contents(store, "A", [content(1), content(2)])
    with store.write() as connection:
        connection.execute(update(entries).where(entries.c.id == 1).values(disabled_until=LATER))
    for moment, expected in [(NOW, [2]), (LATER - timedelta(microseconds=1), [2]), (LATER, [1, 2])]:
        [bank] = load_banks(store, clock=lambda moment=moment: moment)
        found = [entry for number in (1, 2) for entry in bank.exact("sha256", digest(number).value)]
        assert found == expected
    assert list(bank_content(store, "A")) == [1, 2]


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

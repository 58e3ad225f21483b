"""Banks: made, listed, deleted, and loaded to be asked."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update
from tests.integration.banked import LATER, NOW, bank_content, content, digest

from rempart.errors import BankError
from rempart.lists import (
    Content,
    HashValue,
    add_contents,
    create_bank,
    delete_bank,
    get_bank,
    import_hashes,
    list_banks,
    list_entries,
    load_banks,
    remove_entries,
)
from rempart.matching.bank import Harm, Kind
from rempart.matching.video import VideoRule
from rempart.store import Store
from rempart.store.tables import HashKind, entries, hashes


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

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.stores import Place

from rempart.audit import verify
from rempart.clock import utc_now
from rempart.errors import BankError
from rempart.lists import (
    FOR_GOOD,
    Content,
    HashValue,
    add_contents,
    change_bank,
    change_entry,
    create_bank,
    get_bank,
    get_entry,
    load_banks,
)
from rempart.lists.live import LiveBanks
from rempart.matching import Matcher
from rempart.store import Store
from rempart.store.service_tables import audit_log
from rempart.store.tables import HashKind


@pytest.fixture
def store(stores: Place) -> Iterator[Store]:
    """An empty database of each kind."""
    with stores.open() as opened:
        yield opened


def recorded(store: Store) -> list[str]:
    """The acts in the log."""
    with store.read() as connection:
        return list(connection.execute(select(audit_log.c.act).order_by(audit_log.c.sequence)).scalars())


def banked(store: Store, name: str = "LIST") -> tuple[int, bytes]:
    """A bank with one random hash: its entry and the hash."""
    value = secrets.token_bytes(32)
    create_bank(store, name)
    return add_contents(store, name, [Content((HashValue(HashKind.PDQ, value),))])[0].entry, value


def test_a_renamed_bank_keeps_its_number_and_its_entries(store: Store) -> None:
    """Also for whoever follows it; the old name is free again."""
    entry, value = banked(store)
    live = LiveBanks(store)
    live.refresh()
    number = get_bank(store, "LIST").id
    assert change_bank(store, "LIST", new_name="KNOWN").id == number
    live.refresh()
    assert [bank.name for bank in live.matcher.banks] == ["KNOWN"]
    assert [hit.id for hit in live.matcher.banks[0].near(value)] == [entry]
    with pytest.raises(BankError):
        get_bank(store, "LIST")
    create_bank(store, "LIST")
    with pytest.raises(BankError, match="already"):
        change_bank(store, "LIST", new_name="KNOWN")
    with pytest.raises(BankError, match="for example MY_BANK"):
        change_bank(store, "LIST", new_name="my bank")
    live.stop()
    assert verify(store) == []


def test_a_bank_that_is_switched_off_takes_no_part_and_comes_back_whole(store: Store) -> None:
    """In the process that follows, and in commands that load anew."""
    entry, value = banked(store)
    live = LiveBanks(store)
    change_bank(store, "LIST", enabled_ratio=0)
    live.refresh()
    assert not live.matcher.banks
    assert live.banks["LIST"].near(value)[0].id == entry
    assert not Matcher(load_banks(store)).banks
    assert live.lists_as_of is None
    change_bank(store, "LIST", enabled_ratio=0.5)
    live.refresh()
    assert [bank.enabled_ratio for bank in live.matcher.banks] == [0.5]
    live.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled_ratio": 1.01},
        {"enabled_ratio": float("nan")},
        {"radius": 32},
        {"quality_floor": 101},
        {"max_age_seconds": 0},
    ],
)
def test_settings_that_cannot_be_are_refused_and_change_nothing(store: Store, wrong: dict[str, float]) -> None:
    """As when the bank was made."""
    banked(store)
    before = get_bank(store, "LIST")
    with pytest.raises(BankError):
        change_bank(store, "LIST", turned=True, **wrong)  # type: ignore[arg-type]  # that is the point
    assert get_bank(store, "LIST") == before


def test_another_radius_and_floor_act_at_once(store: Store) -> None:
    """The bank is loaded anew for them."""
    entry, value = banked(store)
    near = bytes([value[0] ^ 0xFF, *value[1:]])
    live = LiveBanks(store)
    live.refresh()
    assert [hit.id for hit in live.banks["LIST"].near(near)] == [entry]
    change_bank(store, "LIST", radius=7, quality_floor=90, turned=True, max_age_seconds=60)
    live.refresh()
    bank = live.banks["LIST"]
    assert (bank.radius, bank.quality_floor, bank.turned, bank.max_age) == (7, 90, True, timedelta(seconds=60))
    assert not bank.near(near)
    change_bank(store, "LIST", radius=40, allow_slow=True, max_age_seconds=None)
    live.refresh()
    assert live.banks["LIST"].near(near)
    assert live.banks["LIST"].max_age is None
    live.stop()


def test_an_entry_can_be_switched_off_for_good_or_for_a_time_and_on_again(store: Store) -> None:
    """Whoever follows hears of it at the next look."""
    entry, value = banked(store)
    live = LiveBanks(store)

    def found() -> list[int]:
        live.refresh()
        return [hit.id for hit in live.banks["LIST"].near(value)]

    assert found() == [entry]
    for until, then in ((FOR_GOOD, []), (None, [entry]), (utc_now() + timedelta(days=9), []), (utc_now(), [entry])):
        assert change_entry(store, "LIST", entry, disabled_until=until).disabled_until == until
        assert found() == then
    with pytest.raises(BankError, match="five years"):
        change_entry(store, "LIST", entry, disabled_until=utc_now() + timedelta(days=9999))
    live.stop()


def test_what_is_said_of_an_entry_is_kept_and_its_hashes_stay(store: Store) -> None:
    """A note, and what a client keeps with it; an act that changes nothing is none."""
    entry, value = banked(store)
    words = {"content_id": "a-1", "json": {"seen": [1, 2]}}
    changed = change_entry(store, "LIST", entry, note="vu: Köln", metadata=words)
    assert changed == get_entry(store, "LIST", entry)
    assert (changed.note, changed.client_metadata) == ("vu: Köln", words)
    assert [one.value for one in changed.hashes] == [value]
    acts = recorded(store)
    assert acts[-1] == "entry_changed"
    assert change_entry(store, "LIST", entry, note="vu: Köln") == changed
    assert recorded(store) == acts
    cleared = change_entry(store, "LIST", entry, note=None, metadata=None)
    assert (cleared.note, cleared.client_metadata) == (None, None)


def test_an_entry_is_changed_only_in_its_own_bank(store: Store) -> None:
    """Whoever may use one bank must not reach into another by a number."""
    entry, _ = banked(store)
    create_bank(store, "OTHER")
    assert get_entry(store, "OTHER", entry) is None
    assert get_entry(store, "LIST", 2**63) is None
    with pytest.raises(BankError, match=f"no entry {entry}"):
        change_entry(store, "OTHER", entry, disabled_until=FOR_GOOD)
    state = get_entry(store, "LIST", entry)
    assert state is not None
    assert state.disabled_until is None

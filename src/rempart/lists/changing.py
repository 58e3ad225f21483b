"""Changing banks and single entries: their settings, and whether they take part."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rempart.audit import Act, Detail, record
from rempart.clock import Clock, utc_now
from rempart.errors import BankError
from rempart.ids import check_bank_name
from rempart.lists.banks import StoredBank, bank_id, bank_settings, check_radius, check_rest, stored_bank
from rempart.lists.changes import CHANNEL, note_changes
from rempart.lists.hashfile import HashValue
from rempart.store import Store
from rempart.store.service_tables import client_metadata
from rempart.store.tables import HashKind, banks, entries, hashes

FOR_GOOD: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Until when an entry is disabled that shall stay so."""

LONGEST_NOTE: Final = 1000
LATEST: Final = timedelta(days=5 * 366)
"""How far ahead the end of an entry's disablement may lie, if it has one."""


class EntryState(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with all that is stored of it.

    Attributes:
        disabled_until: until when it does not take part; :data:`FOR_GOOD` for ever, None if it does.
        client_metadata: what a client of HMA keeps with it.
    """

    id: int
    bank: int
    created_at: datetime
    source_record: str | None
    note: str | None
    disabled_until: datetime | None
    client_metadata: Mapping[str, Any] | None
    hashes: tuple[HashValue, ...]


def change_bank(
    store: Store,
    name: str,
    *,
    new_name: str | UnsetType = UNSET,
    enabled_ratio: float | UnsetType = UNSET,
    radius: int | UnsetType = UNSET,
    allow_slow: bool = False,
    quality_floor: int | UnsetType = UNSET,
    turned: bool | UnsetType = UNSET,
    max_age_seconds: int | UnsetType | None = UNSET,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> StoredBank:
    """Change settings of a bank; what is not given stays as it is. Entries stay, also when the bank gets a new name.

    Args:
        store: the database.
        name: the bank.
        new_name: what it is called from now on.
        enabled_ratio: 1 on, 0 off; between, in that share of the look-ups of HMA's clients and in all others.
        radius: as :func:`create_bank` takes it.
        allow_slow: the same.
        quality_floor: the same. Hashes that were left out below an earlier floor when pictures were banked do not come
            back by a lower one.
        turned: the same.
        max_age_seconds: the same; None for ever.
        actor: who changes it; the user of this process by default.
        clock: the time.

    Raises:
        BankError: there is no such bank, the new name is malformed or taken, or a number is out of range.
        StoreError: the database cannot be written.
    """
    given: dict[str, Any] = {
        "name": new_name,
        "enabled_ratio": enabled_ratio,
        "radius": radius,
        "quality_floor": quality_floor,
        "turned": turned,
        "max_age_seconds": max_age_seconds,
    }
    wanted = {field: value for field, value in given.items() if value is not UNSET}
    if new_name is not UNSET:
        check_bank_name(new_name)
    with store.write() as connection:
        number = bank_id(connection, name, changing=True)
        old = connection.execute(select(banks).where(banks.c.id == number)).one()
        new = old._asdict() | wanted
        if radius is not UNSET:
            check_radius(radius, allow_slow=allow_slow)
        check_rest(new["quality_floor"], new["max_age_seconds"], new["enabled_ratio"])
        if new != old._asdict():
            try:
                connection.execute(update(banks).where(banks.c.id == number).values(wanted))
            except IntegrityError:
                raise BankError(f"there is a bank {new_name} already; choose another name") from None
            store.notify(connection, CHANNEL)
        bank = stored_bank(connection, number)
        if new != old._asdict():
            record(connection, actor, Act.BANK_CHANGED, f"bank:{number}", bank_settings(bank), clock=clock)
    return bank


def change_entry(
    store: Store,
    name: str,
    number: int,
    *,
    disabled_until: datetime | UnsetType | None = UNSET,
    note: str | UnsetType | None = UNSET,
    metadata: Mapping[str, Any] | UnsetType | None = UNSET,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> EntryState:
    """Change what is stored beside the hashes of an entry; what is not given stays as it is.

    Args:
        store: the database.
        name: the bank.
        number: its entry.
        disabled_until: until when it takes no part in matching; :data:`FOR_GOOD` for ever, None for it does.
        note: a remark; None for none.
        metadata: what a client of HMA keeps with it; None for nothing.
        actor: who changes it; the user of this process by default.
        clock: the time.

    Raises:
        BankError: there is no such bank, it has no such entry, the note is too long, or the time lies too far ahead.
        StoreError: the database cannot be written.
    """
    if isinstance(note, str) and len(note) > LONGEST_NOTE:
        raise BankError(f"a note may have {LONGEST_NOTE} characters")
    if isinstance(disabled_until, datetime) and disabled_until != FOR_GOOD and disabled_until > clock() + LATEST:
        raise BankError("an entry can be disabled for five years at the most, or for good")
    wanted: dict[str, Any] = {"disabled_until": disabled_until, "note": note}
    wanted = {field: value for field, value in wanted.items() if value is not UNSET}
    with store.write() as connection:
        bank = bank_id(connection, name, changing=True)
        old = _entry(connection, bank, number)
        if old is None:
            raise BankError(f"the bank {name} has no entry {number}")
        if wanted:
            connection.execute(update(entries).where(entries.c.id == number).values(wanted))
        if metadata is not UNSET:
            connection.execute(delete(client_metadata).where(client_metadata.c.entry_id == number))
            if metadata:
                connection.execute(insert(client_metadata).values(entry_id=number, content=dict(metadata)))
        new = _entry(connection, bank, number)
        if new is None:
            raise BankError(f"the bank {name} has no entry {number}")
        if new == old:
            return new
        if new.disabled_until != old.disabled_until:
            note_changes(connection, bank, [number])
        # Notes and a client's words are not repeated in the log, which is read by others.
        details: dict[str, Detail] = {
            "disabled_until": None if new.disabled_until is None else new.disabled_until.isoformat(),
            "note": new.note != old.note,
            "metadata": new.client_metadata != old.client_metadata,
        }
        record(connection, actor, Act.ENTRY_CHANGED, f"entry:{number}", details, clock=clock)
    return new


def get_entry(store: Store, name: str, number: int) -> EntryState | None:
    """An entry of a bank; None if that bank has none of this number.

    Raises:
        BankError: there is no such bank.
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return _entry(connection, bank_id(connection, name), number)


def _entry(connection: Connection, bank: int, number: int) -> EntryState | None:
    mine = (entries.c.id == number) & (entries.c.bank_id == bank)
    if not 0 < number < 2**63 or (row := connection.execute(select(entries).where(mine)).first()) is None:
        return None
    held = select(hashes).where(hashes.c.entry_id == number).order_by(hashes.c.kind, hashes.c.at_ms, hashes.c.value)
    kept = select(client_metadata.c.content).where(client_metadata.c.entry_id == number)
    return EntryState(
        id=row.id,
        bank=row.bank_id,
        created_at=row.created_at,
        source_record=row.source_record,
        note=row.note,
        disabled_until=row.disabled_until,
        client_metadata=connection.execute(kept).scalar_one_or_none(),
        hashes=tuple(
            HashValue(HashKind(one.kind), one.value, one.quality, one.variant, one.at_ms)
            for one in connection.execute(held)
        ),
    )

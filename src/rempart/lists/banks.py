"""Banks: making, listing and deleting them."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rempart.clock import Clock, utc_now
from rempart.errors import BankError
from rempart.ids import check_bank_name
from rempart.matching.bank import DEFAULT_QUALITY_FLOOR, DEFAULT_RADIUS, LARGEST_RADIUS, Harm, Kind
from rempart.store import Store
from rempart.store.tables import LARGEST_QUALITY, HashKind, banks, entries, hashes

LARGEST_AGE_SECONDS = 10 * 365 * 86400


class BankRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A bank as it is stored, with how much it holds."""

    id: int
    name: str
    kind: Kind
    harm: Harm
    radius: int
    quality_floor: int
    turned: bool
    max_age_seconds: int | None
    created_at: datetime
    refreshed_at: datetime
    entries: int
    hashes: Mapping[HashKind, int]


def create_bank(
    store: Store,
    name: str,
    *,
    kind: Kind = Kind.BLOCKING,
    harm: Harm = Harm.CSAM,
    radius: int = DEFAULT_RADIUS,
    quality_floor: int = DEFAULT_QUALITY_FLOOR,
    turned: bool = False,
    max_age_seconds: int | None = None,
    clock: Clock = utc_now,
) -> BankRecord:
    """Make an empty bank.

    Args:
        store: the database.
        name: ``[A-Z_][A-Z0-9_]*``.
        kind: whether a hit blocks, or allows what another bank blocks.
        harm: what the content does to people.
        radius: bits in which a PDQ hash may differ and still match, 0..31.
        quality_floor: quality below which PDQ is not compared, 0..100.
        turned: whether turned and mirrored copies are looked for.
        max_age_seconds: how long its content may go without a refresh before nothing can be called clear.
        clock: the time.

    Raises:
        BankError: the name is malformed or taken, or a number is out of range.
        StoreError: the database cannot be written.
    """
    check_bank_name(name)
    if not 0 <= radius <= LARGEST_RADIUS:
        raise BankError(f"a radius of {radius} bits is not possible: choose 0 to {LARGEST_RADIUS}")
    if not 0 <= quality_floor <= LARGEST_QUALITY:
        raise BankError(f"a quality floor of {quality_floor} is not possible: choose 0 to {LARGEST_QUALITY}")
    if max_age_seconds is not None and not 0 < max_age_seconds <= LARGEST_AGE_SECONDS:
        raise BankError("a maximum age must lie between one second and ten years")
    now = clock()
    row: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "harm": harm,
        "radius": radius,
        "quality_floor": quality_floor,
        "turned": turned,
        "max_age_seconds": max_age_seconds,
        "created_at": now,
        "refreshed_at": now,
    }
    with store.write() as connection:
        try:
            number = connection.execute(insert(banks).values(row).returning(banks.c.id)).scalar_one()
        except IntegrityError:
            raise BankError(f"there is a bank {name} already; choose another name, or delete it first") from None
        return _records(connection, number)[0]


def list_banks(store: Store) -> list[BankRecord]:
    """Every bank, by name.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return _records(connection)


def get_bank(store: Store, name: str) -> BankRecord:
    """The bank called ``name``.

    Raises:
        BankError: there is none; the message names similar ones.
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return _records(connection, bank_id(connection, name))[0]


def delete_bank(store: Store, name: str) -> None:
    """Delete a bank with all its entries.

    Raises:
        BankError: there is no such bank.
        StoreError: the database cannot be written.
    """
    with store.write() as connection:
        connection.execute(delete(banks).where(banks.c.id == bank_id(connection, name)))


def bank_id(connection: Connection, name: str) -> int:
    """The number of the bank called ``name``.

    Raises:
        BankError: there is none; the message names similar ones.
    """
    by_name = select(banks.c.id).where(banks.c.name == name)
    # Names are ASCII; others may not even be text that the database takes.
    number: int | None = connection.execute(by_name).scalar_one_or_none() if name.isascii() else None
    if number is not None:
        return number
    names = list(connection.execute(select(banks.c.name).order_by(banks.c.name)).scalars())
    near = difflib.get_close_matches(name.upper(), names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = "`rempart bank list` shows those there are"
    else:
        hint = "there are no banks yet; make one with `rempart bank create NAME`"
    raise BankError(f"there is no bank {name!r}: {hint}")


def set_refreshed(connection: Connection, bank: int, moment: datetime) -> None:
    """Note that the content of a bank was changed, or confirmed by its source, at ``moment``."""
    connection.execute(update(banks).where(banks.c.id == bank).values(refreshed_at=moment))


def _records(connection: Connection, only: int | None = None) -> list[BankRecord]:
    chosen: Any = select(banks).order_by(banks.c.name)
    entry_counts: Any = select(entries.c.bank_id, func.count()).group_by(entries.c.bank_id)
    hash_counts: Any = (
        select(entries.c.bank_id, hashes.c.kind, func.count())
        .join(hashes, hashes.c.entry_id == entries.c.id)
        .group_by(entries.c.bank_id, hashes.c.kind)
    )
    if only is not None:
        chosen = chosen.where(banks.c.id == only)
        entry_counts = entry_counts.where(entries.c.bank_id == only)
        hash_counts = hash_counts.where(entries.c.bank_id == only)
    totals: dict[int, int] = dict(connection.execute(entry_counts).all())
    by_kind: dict[int, dict[HashKind, int]] = defaultdict(lambda: dict.fromkeys(HashKind, 0))
    for bank, kind, total in connection.execute(hash_counts):
        by_kind[bank][HashKind(kind)] = total
    return [
        BankRecord(
            id=row.id,
            name=row.name,
            kind=Kind(row.kind),
            harm=Harm(row.harm),
            radius=row.radius,
            quality_floor=row.quality_floor,
            turned=row.turned,
            max_age_seconds=row.max_age_seconds,
            created_at=row.created_at,
            refreshed_at=row.refreshed_at,
            entries=totals.get(row.id, 0),
            hashes=by_kind[row.id],
        )
        for row in connection.execute(chosen)
    ]

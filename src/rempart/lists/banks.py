"""Banks: making, listing and deleting them."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from rempart.audit import Act, Detail, record
from rempart.clock import Clock, utc_now
from rempart.errors import BankError
from rempart.ids import check_bank_name
from rempart.lists.changes import CHANNEL
from rempart.lists.content import drop_snapshot
from rempart.matching.bank import (
    DEFAULT_QUALITY_FLOOR,
    DEFAULT_RADIUS,
    LARGEST_FAST_RADIUS,
    LARGEST_RADIUS,
    Harm,
    Kind,
    check_video_rule,
)
from rempart.matching.video import VideoRule
from rempart.store import Store
from rempart.store.tables import LARGEST_QUALITY, HashKind, banks, entries, hashes

LARGEST_AGE_SECONDS = 10 * 365 * 86400


class StoredBank(msgspec.Struct, frozen=True, kw_only=True):
    """A bank as it is stored."""

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
    video_query_percent: int | None
    video_banked_percent: int | None
    video_run_seconds: float | None
    enabled_ratio: float

    @property
    def video_rule(self) -> VideoRule:
        """When a video matches what is banked here."""
        return VideoRule(
            query_percent=self.video_query_percent,
            banked_percent=self.video_banked_percent,
            run_seconds=self.video_run_seconds,
        )

    @property
    def slow(self) -> bool:
        """Whether its radius makes every look-up compare with nearly every hash."""
        return self.radius > LARGEST_FAST_RADIUS


class BankRecord(StoredBank, frozen=True, kw_only=True):
    """A bank as it is stored, with how much it holds."""

    entries: int
    hashes: Mapping[HashKind, int]


def create_bank(
    store: Store,
    name: str,
    *,
    kind: Kind = Kind.BLOCKING,
    harm: Harm = Harm.CSAM,
    radius: int = DEFAULT_RADIUS,
    allow_slow: bool = False,
    quality_floor: int = DEFAULT_QUALITY_FLOOR,
    turned: bool = False,
    max_age_seconds: int | None = None,
    video_rule: VideoRule = VideoRule(),  # noqa: B008 -- it is frozen
    enabled_ratio: float = 1.0,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> BankRecord:
    """Make an empty bank.

    Args:
        store: the database.
        name: ``[A-Z_][A-Z0-9_]*``.
        kind: whether a hit blocks, or allows what another bank blocks.
        harm: what the content does to people.
        radius: bits in which a PDQ hash may differ and still match, 0..31, or ..63 with ``allow_slow``. Frames of
            videos are compared within 31 bits at the most.
        allow_slow: accept a radius at which every look-up compares with nearly every hash of the bank.
        quality_floor: quality below which PDQ is not compared, 0..100.
        turned: whether turned and mirrored copies are looked for.
        max_age_seconds: how long its content may go without a refresh before nothing can be called clear.
        video_rule: when a video matches what is banked here; at least one of its directions must be on.
        enabled_ratio: 1 on, 0 off; between, in that share of the look-ups of HMA's clients and in all others.
        actor: who makes it; the user of this process by default.
        clock: the time.

    Raises:
        BankError: the name is malformed or taken, a number is out of range, or the radius is slow and that was not
            accepted.
        StoreError: the database cannot be written.
    """
    check_bank_name(name)
    check_radius(radius, allow_slow=allow_slow)
    check_video_rule(video_rule)
    check_rest(quality_floor, max_age_seconds, enabled_ratio)
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
        "video_query_percent": video_rule.query_percent,
        "video_banked_percent": video_rule.banked_percent,
        "video_run_seconds": video_rule.run_seconds,
        "enabled_ratio": enabled_ratio,
    }
    with store.write() as connection:
        try:
            number = connection.execute(insert(banks).values(row).returning(banks.c.id)).scalar_one()
        except IntegrityError:
            raise BankError(f"there is a bank {name} already; choose another name, or delete it first") from None
        store.notify(connection, CHANNEL)
        bank = bank_records(connection, number)[0]
        record(connection, actor, Act.BANK_CREATED, f"bank:{number}", bank_settings(bank), clock=clock)
    return bank


def stored_banks(store: Store) -> list[StoredBank]:
    """Every bank, by name, without counting what it holds.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        rows = connection.execute(select(banks).order_by(banks.c.name))
        return [StoredBank(**_fields(row)) for row in rows]


def list_banks(store: Store) -> list[BankRecord]:
    """Every bank, by name, with how much it holds: ten million hashes take many seconds to count.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return bank_records(connection)


def get_bank(store: Store, name: str) -> BankRecord:
    """The bank called ``name``.

    Raises:
        BankError: there is none; the message names similar ones.
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return bank_records(connection, bank_id(connection, name))[0]


def delete_bank(store: Store, name: str, *, actor: str | None = None, clock: Clock = utc_now) -> None:
    """Delete a bank with all its entries, and its snapshot.

    Args:
        store: the database.
        name: the bank.
        actor: who deletes it; the user of this process by default.
        clock: the time.

    Raises:
        BankError: there is no such bank.
        StoreError: the database or the snapshot cannot be written.
    """
    with store.write() as connection:
        number = bank_id(connection, name, changing=True)
        store.lock(connection, "floods")
        held = connection.execute(select(func.count()).where(entries.c.bank_id == number)).scalar_one()
        connection.execute(delete(banks).where(banks.c.id == number))
        store.notify(connection, CHANNEL)
        record(connection, actor, Act.BANK_DELETED, f"bank:{number}", {"name": name, "entries": held}, clock=clock)
        # Before the commit: what is left when this fails is a bank without a snapshot, not the hashes of a deleted one.
        drop_snapshot(store, number)


def bank_id(connection: Connection, name: str, *, changing: bool = False) -> int:
    """The number of the bank called ``name``.

    Args:
        connection: the transaction.
        name: the bank.
        changing: the transaction changes what the bank holds by what it reads there: no other one may meanwhile.

    Raises:
        BankError: there is none; the message names similar ones.
    """
    by_name = select(banks.c.id).where(banks.c.name == name)
    if changing:
        by_name = by_name.with_for_update()  # which SQLite, with its one writer, passes over
    # Names are printable ASCII; others may not even be text that the database takes.
    possible = name.isascii() and name.isprintable()
    number: int | None = connection.execute(by_name).scalar_one_or_none() if possible else None
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


def check_radius(radius: int, *, allow_slow: bool) -> None:
    """Refuse a radius that is not possible, or is slow when that was not accepted.

    Raises:
        BankError: it is; the message says what is possible.
    """
    if not 0 <= radius <= LARGEST_RADIUS:
        raise BankError(
            f"a radius of {radius} bits is not possible: choose 0 to {LARGEST_FAST_RADIUS}, "
            f"or up to {LARGEST_RADIUS} with --allow-slow"
        )
    if radius > LARGEST_FAST_RADIUS and not allow_slow:
        raise BankError(
            f"above {LARGEST_FAST_RADIUS} bits no index helps: each picture is compared with every hash of the bank, "
            "one by one or nearly so, which takes many times as long in a large bank, and far more unlike pictures "
            f"match. If {radius} bits are meant all the same, add --allow-slow"
        )


def check_rest(quality_floor: int, max_age_seconds: int | None, enabled_ratio: float) -> None:
    """Refuse numbers of a bank's other settings that are out of range.

    Raises:
        BankError: one is.
    """
    if not 0 <= quality_floor <= LARGEST_QUALITY:
        raise BankError(f"a quality floor of {quality_floor} is not possible: choose 0 to {LARGEST_QUALITY}")
    if max_age_seconds is not None and not 0 < max_age_seconds <= LARGEST_AGE_SECONDS:
        raise BankError("a maximum age must lie between one second and ten years")
    if not 0 <= enabled_ratio <= 1:
        raise BankError("an enabled ratio must lie within 0 and 1: 0 switches the bank off, 1 on")


def bank_settings(bank: StoredBank) -> dict[str, Detail]:
    """The settings of a bank as the audit has them: it knows no fractions."""
    seconds = bank.video_run_seconds
    return {
        "name": bank.name,
        "kind": bank.kind.value,
        "harm": bank.harm.value,
        "radius": bank.radius,
        "quality_floor": bank.quality_floor,
        "turned": bank.turned,
        "max_age_seconds": bank.max_age_seconds,
        "video_query_percent": bank.video_query_percent,
        "video_banked_percent": bank.video_banked_percent,
        "video_run_ms": None if seconds is None else round(seconds * 1000),
        "enabled_permille": round(bank.enabled_ratio * 1000),
    }


def bank_records(connection: Connection, only: int | None = None) -> list[BankRecord]:
    """The banks of a database, or one of them by its number, with how much each holds: that is counted each time."""
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
        BankRecord(entries=totals.get(row.id, 0), hashes=by_kind[row.id], **_fields(row))
        for row in connection.execute(chosen)
    ]


def stored_bank(connection: Connection, number: int) -> StoredBank:
    """The bank of a number, which must be there."""
    return StoredBank(**_fields(connection.execute(select(banks).where(banks.c.id == number)).one()))


def _fields(row: Row[Any]) -> dict[str, Any]:
    return row._asdict() | {"kind": Kind(row.kind), "harm": Harm(row.harm)}

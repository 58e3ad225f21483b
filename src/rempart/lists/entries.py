"""Entries: putting content into a bank, looking at it, taking it out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, and_, delete, exists, func, insert, literal, or_, select
from sqlalchemy.engine import Connection

from rempart.audit import Act, Detail, record
from rempart.clock import Clock, utc_now
from rempart.errors import BankError
from rempart.lists.banks import bank_id, set_refreshed
from rempart.lists.changes import note_changes, note_ranges, ranges
from rempart.lists.hashfile import HashValue
from rempart.store import Store, among, insert_rows
from rempart.store.tables import HashKind, Moment, entries, hashes

BATCH = 20_000
"""Hashes handled at once: bounds memory, and stays below SQLite's 32,766 variables in a statement."""

NAMED_MISSING = 10


class Content(msgspec.Struct, frozen=True):
    """One content to bank: its hashes, at least one, and a remark of the person who banks it."""

    hashes: tuple[HashValue, ...]
    note: str | None = None


class Added(msgspec.Struct, frozen=True):
    """What became of a content: the entry that holds it, whether that is new, and how many hashes it gained."""

    entry: int
    new: bool
    gained: int


class Imported(msgspec.Struct, frozen=True):
    """What became of a list: hashes that are new entries, that stood twice in the list, and that were banked before."""

    added: int
    repeated: int
    already_banked: int


class EntryRecord(msgspec.Struct, frozen=True):
    """An entry as it is stored."""

    id: int
    created_at: datetime
    note: str | None
    hashes: tuple[HashValue, ...]


def add_contents(
    store: Store, name: str, contents: Sequence[Content], *, actor: str | None = None, clock: Clock = utc_now
) -> list[Added]:
    """Bank several contents in one transaction, one entry for each that is new.

    A content is banked already when an entry of the bank has its SHA-256, or, for content without SHA-256, all of its
    hashes. That entry gains the hashes that it lacks, so that content known from a digest alone can be found by its
    looks once the picture itself is banked.

    Args:
        store: the database.
        name: the bank.
        contents: what to bank, each with at least one hash.
        actor: who banks them; the user of this process by default.
        clock: the time.

    Returns:
        One result for each content, in order.

    Raises:
        BankError: there is no such bank.
        StoreError: the database cannot be written.
    """
    now = clock()
    with store.write() as connection:
        bank = bank_id(connection, name, changing=True)
        results = [_add(connection, bank, content, now) for content in contents]
        changed = {result.entry for result in results if result.new or result.gained}
        if changed:
            note_changes(connection, bank, changed)
            set_refreshed(connection, bank, now)
            details: dict[str, Detail] = {
                "added": sum(result.new for result in results),
                "hashes": sum(result.gained for result in results),
                "entries": spelled(ranges(changed)),
            }
            record(connection, actor, Act.ENTRIES_ADDED, f"bank:{bank}", details, clock=clock)
    return results


def import_hashes(
    store: Store,
    name: str,
    values: Iterable[HashValue],
    *,
    note: str | None = None,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> Imported:
    """Bank each hash of a list as an entry of its own; all of them, or none if anything fails.

    Hashes that the bank holds already, in whatever entry, are counted and not added. The bank counts as refreshed even
    if nothing was new: its source has confirmed it.

    Args:
        store: the database.
        name: the bank.
        values: the hashes; an exception of this iterator undoes the import.
        note: a remark for each new entry.
        actor: who imports them; the user of this process by default.
        clock: the time.

    Raises:
        BankError: there is no such bank.
        StoreError: the database cannot be written.
    """
    now = clock()
    source = iter(values)
    added = repeated = already = 0
    first_new: int | None = None
    spans: list[tuple[int, int]] = []
    with store.write() as connection:
        bank = bank_id(connection, name, changing=True)
        while batch := list(islice(source, BATCH)):
            unique = {(value.kind, value.value): value for value in batch}
            repeated += len(batch) - len(unique)
            for kind in HashKind:
                wanted = [value for value_kind, value in unique if value_kind is kind]
                for row in connection.execute(_holders(connection, bank, [(kind, wanted)])) if wanted else ():
                    if unique.pop((kind, row.value), None) is None:
                        continue  # several entries hold it
                    if first_new is not None and row.entry_id >= first_new:
                        repeated += 1
                    else:
                        already += 1
            if unique:
                numbers = _insert_entries(connection, bank, note, now, len(unique))
                rows = zip(numbers, unique.values(), strict=True)
                # In the order of the index, so that its pages are touched once a batch.
                _insert_hashes(connection, sorted(rows, key=lambda row: row[1].value))
                spans += ranges(numbers)
                first_new = first_new or numbers[0]
                added += len(numbers)
        note_ranges(connection, bank, spans)
        set_refreshed(connection, bank, now)
        details: dict[str, Detail] = {
            "added": added,
            "repeated": repeated,
            "already_banked": already,
            "entries": spelled(spans),
        }
        record(connection, actor, Act.HASHES_IMPORTED, f"bank:{bank}", details, clock=clock)
    return Imported(added, repeated, already)


def list_entries(store: Store, name: str) -> Iterator[EntryRecord]:
    """The entries of a bank by id, streamed: a bank may hold millions.

    Raises:
        BankError: there is no such bank.
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        query = (
            select(
                entries.c.id,
                entries.c.created_at,
                entries.c.note,
                hashes.c.kind,
                hashes.c.value,
                hashes.c.quality,
                hashes.c.variant,
                hashes.c.at_ms,
            )
            .join(hashes, hashes.c.entry_id == entries.c.id)
            .where(entries.c.bank_id == bank_id(connection, name))
            .order_by(entries.c.id)
            .execution_options(yield_per=1000)
        )
        for number, group in groupby(connection.execute(query), key=attrgetter("id")):
            rows: list[Any] = list(group)
            values = (HashValue(HashKind(row.kind), row.value, row.quality, row.variant, row.at_ms) for row in rows)
            order = list(HashKind)
            yield EntryRecord(
                number,
                rows[0].created_at,
                rows[0].note,
                tuple(sorted(values, key=lambda value: (order.index(value.kind), value.at_ms or 0, value.value))),
            )


def remove_entries(
    store: Store, name: str, numbers: Sequence[int], *, actor: str | None = None, clock: Clock = utc_now
) -> None:
    """Take entries out of a bank with all their hashes; all of them, or none if one is not there.

    Args:
        store: the database.
        name: the bank.
        numbers: its entries.
        actor: who takes them out; the user of this process by default.
        clock: the time.

    Raises:
        BankError: there is no such bank, or it has no entry of one of these numbers.
        StoreError: the database cannot be written.
    """
    wanted = sorted(set(numbers))
    with store.write() as connection:
        starts = range(0, len(wanted), BATCH)
        parts = [among(connection, entries.c.id, wanted[start : start + BATCH]) for start in starts]
        bank = bank_id(connection, name, changing=True)
        missing = set(wanted)
        for part in parts:
            missing.difference_update(
                connection.execute(select(entries.c.id).where(entries.c.bank_id == bank, part)).scalars()
            )
        if missing:
            raise BankError(
                f"the bank {name} has no entry {named(missing)}; nothing was removed. "
                f"`rempart bank show {name}` lists what it has"
            )
        store.lock(connection, "floods")
        for part in parts:
            connection.execute(delete(entries).where(part))
        note_changes(connection, bank, wanted)
        set_refreshed(connection, bank, clock())
        details: dict[str, Detail] = {"removed": len(wanted), "entries": spelled(ranges(wanted))}
        record(connection, actor, Act.ENTRIES_REMOVED, f"bank:{bank}", details, clock=clock)


def named(numbers: Collection[int]) -> str:
    """Numbers of entries for a message: the first few, and how many more."""
    first = ", ".join(str(number) for number in sorted(numbers)[:NAMED_MISSING])
    more = len(numbers) - NAMED_MISSING
    return f"{first} and {more} more" if more > 0 else first


def spelled(spans: Iterable[tuple[int, int]]) -> str:
    """All numbers of runs of consecutive entries, for the audit: ``3-7 9``."""
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _add(connection: Connection, bank: int, content: Content, now: datetime) -> Added:
    unique = {(value.kind, value.value): value for value in reversed(content.hashes)}
    identity = [key for key in unique if key[0] is HashKind.SHA256] or list(unique)
    holder = _entry_with(connection, bank, identity)
    if holder is None:
        row = {"bank_id": bank, "created_at": now, "note": content.note}
        number = connection.execute(insert(entries).values(row).returning(entries.c.id)).scalar_one()
        _insert_hashes(connection, ((number, value) for value in unique.values()))
        return Added(number, new=True, gained=len(unique))
    held = connection.execute(select(hashes.c.kind, hashes.c.value).where(hashes.c.entry_id == holder))
    for kind, value in held:
        unique.pop((HashKind(kind), value), None)
    _insert_hashes(connection, ((holder, value) for value in unique.values()))
    return Added(holder, new=False, gained=len(unique))


def _entry_with(connection: Connection, bank: int, keys: Sequence[tuple[HashKind, bytes]]) -> int | None:
    """The oldest entry of a bank that holds every hash of ``keys``."""
    wanted = [(kind, [value for value_kind, value in keys if value_kind is kind]) for kind in HashKind]
    found = _holders(connection, bank, wanted).subquery()
    query = (
        select(found.c.entry_id)
        .group_by(found.c.entry_id)
        .having(func.count() == len(keys))
        .order_by(found.c.entry_id)
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def _holders(connection: Connection, bank: int, wanted: Sequence[tuple[HashKind, Sequence[bytes]]]) -> Any:  # noqa: ANN401
    """The rows of ``hashes`` in one bank that have one of the values of a kind.

    EXISTS, not a join: a planner without statistics may otherwise walk every entry of a large bank.
    """
    any_of: list[ColumnElement[bool]] = [
        and_(hashes.c.kind == kind, among(connection, hashes.c.value, values)) for kind, values in wanted if values
    ]
    in_bank = exists().where(entries.c.id == hashes.c.entry_id, entries.c.bank_id == bank)
    return select(hashes.c.entry_id, hashes.c.value).where(or_(*any_of), in_bank)


def _insert_entries(connection: Connection, bank: int, note: str | None, now: datetime, count: int) -> list[int]:
    """Make ``count`` entries that differ in nothing but their ids, which are returned in order.

    The database counts the rows itself: sending a million equal rows one by one takes longer than all the rest.
    """
    rows = select(literal(1).label("row")).cte("rows", recursive=True)
    rows = rows.union_all(select(rows.c.row + 1).where(rows.c.row < count))
    columns = (literal(bank), literal(now, Moment), literal(note, Text))
    query = insert(entries).from_select(["bank_id", "created_at", "note"], select(*columns).select_from(rows))
    return sorted(connection.execute(query.returning(entries.c.id)).scalars())


def _insert_hashes(connection: Connection, rows: Iterable[tuple[int, HashValue]]) -> None:
    insert_rows(
        connection,
        hashes,
        [(number, each.kind.value, each.value, each.quality, each.variant, each.at_ms) for number, each in rows],
    )

"""From the database to what matching looks in: the bank's snapshot, if it has one, and what was changed since."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.engine import Connection

from rempart.audit import Act, Detail, record
from rempart.clock import Clock, utc_now
from rempart.errors import BankError, SnapshotError
from rempart.lists.banks import bank_id
from rempart.lists.changes import ranges
from rempart.lists.content import DIGEST_KINDS, Content, Facts, Rows, drop_snapshot, open_content, write_content
from rempart.matching.bank import UNKNOWN_QUALITY, Bank, Harm, Kind
from rempart.matching.digest_table import DigestRows
from rempart.matching.permutation import permutation_digest
from rempart.matching.segment import Ids, Progress
from rempart.matching.video import FrameRows, VideoRule
from rempart.store import Store, among
from rempart.store.tables import HashKind, banks, changes, entries, hashes

Notice = Callable[[str], None]
"""Told in one line what the person who waits should know."""

WORTH_A_SNAPSHOT = 200_000
"""Hashes read from the database one by one, about a second's worth, from which a snapshot is recommended."""

STEP = 50_000
"""Changed entries that whoever follows a bank takes up at once: a quarter of a second's worth."""

_CHUNK = 20_000
# If more entries were changed since the snapshot, the bank is read anew.
_MANY_CHANGES = 300_000
# Of so many neighbouring entries it is better to ask for the range.
_WORTH_A_QUERY = 100
_UNKNOWN = -1


def load_banks(store: Store, *, clock: Clock = utc_now, notice: Notice | None = None) -> list[Bank]:
    """Every bank with the hashes of its enabled entries, by name; banks that hold nothing are among them.

    All of them come from one state of the database. A bank that has a snapshot (:func:`compact_bank`) is mapped from it
    in milliseconds, and what was changed since is read from the database; a snapshot that cannot be used is passed over
    for the database, which has everything.

    Args:
        store: the database.
        clock: the time, which decides whether an entry is disabled.
        notice: told when a snapshot cannot be used, or is missing where it would save much time.

    Raises:
        StoreError: the database cannot be read.
    """
    now = clock()
    tell = notice or _say_nothing
    with store.read() as connection:
        rows = connection.execute(select(banks).order_by(banks.c.name)).all()
        return [made_bank(row, load_content(store, connection, row, now, tell)) for row in rows]


def compact_bank(
    store: Store,
    name: str,
    *,
    actor: str | None = None,
    clock: Clock = utc_now,
    notice: Notice | None = None,
    progress: Progress | None = None,
) -> Path | None:
    """Write the snapshot of a bank, if anything was changed since the last one.

    It is made of the last one and of what was changed since, read back whole before it takes that one's place, and used
    by every process that loads the bank from then on. A crash at any moment leaves one or the other.

    Args:
        store: the database.
        name: the bank.
        actor: who has it written; the user of this process by default.
        clock: the time.
        notice: told when the last snapshot could not be used.
        progress: called with the share that is done, 0..1.

    Returns:
        The file; None if the last one is of the present state.

    Raises:
        BankError: there is no such bank, or not any more.
        StoreError: the database cannot be read or written.
        SnapshotError: the snapshot cannot be written; the last one is unchanged.
    """
    with store.read() as connection:
        row = connection.execute(select(banks).where(banks.c.id == bank_id(connection, name))).one()
        # Read whole first: what is wrong in the last snapshot must not get into the next one under a good digest.
        content = load_content(store, connection, row, clock(), notice or _say_nothing, whole=True)
    if content.is_written:
        return None
    path = write_content(store, content, progress=progress)
    with store.write() as connection:
        # With the lock of the row, so that nobody deletes the bank between this look and the end of the transaction.
        if connection.execute(select(banks.c.id).where(banks.c.id == row.id).with_for_update()).first() is None:
            drop_snapshot(store, row.id)
            raise BankError(f"the bank {name} was deleted while it was compacted")
        details: dict[str, Detail] = {"changes": content.facts.sequence}
        record(connection, actor, Act.BANK_COMPACTED, f"bank:{row.id}", details, clock=clock)
    return path


def load_content(
    store: Store, connection: Connection, bank: Row[Any], now: datetime, tell: Notice, *, whole: bool = False
) -> Content:
    """What one bank holds at a moment, in the state of the database that the transaction sees.

    Args:
        store: the database.
        connection: the transaction.
        bank: the row of the bank.
        now: the moment.
        tell: told when the snapshot cannot be used, or is missing where it would save much time.
        whole: whether every byte of the snapshot is read first; else only a query may come upon damage.
    """
    newest = connection.execute(_newest(bank.id)).first() or (0, 0)
    facts = Facts(
        bank=bank.id,
        created_at=bank.created_at,
        quality_floor=bank.quality_floor,
        permutation=permutation_digest(),
        sequence=newest[0],
        token=newest[1],
        read_at=now,
    )
    try:
        content = open_content(store, bank)
        if content is not None:
            if whole:
                content.verify()
            content = _advanced(connection, bank, content, now, most=_MANY_CHANGES)
            if content.facts.sequence < facts.sequence:
                content = None
    except SnapshotError as error:
        tell(f"{error}. Meanwhile the bank {bank.name} is read from the database")
        content = None
    if content is None:
        content = Content.of(facts, _read(connection, bank, facts), bank.radius)
        held = len(content.index) + sum(map(len, content.digests.values()))
        if held > WORTH_A_SNAPSHOT:
            tell(f"the bank {bank.name} was read from the database; `rempart bank compact` makes that instant")
    return content


def advanced(connection: Connection, bank: Row[Any], content: Content, now: datetime) -> Content:
    """A later state of what a bank holds, as far as one goes in one step: up to :data:`STEP` changed entries, or a few.

    Args:
        connection: the transaction.
        bank: the row of the bank.
        content: the state before.
        now: the moment, which may be an earlier one: clocks are put back, too.

    Returns:
        The later state; the same object if nothing was changed.

    Raises:
        SnapshotError: the database has another past than this content.
    """
    return _advanced(connection, bank, content, now, most=STEP)


def made_bank(row: Row[Any], content: Content) -> Bank:
    """The bank as matching sees it.

    Args:
        row: of the table of banks.
        content: what the bank holds.
    """
    return Bank(
        row.name,
        id=row.id,
        kind=Kind(row.kind),
        harm=Harm(row.harm),
        radius=row.radius,
        quality_floor=row.quality_floor,
        turned=row.turned,
        refreshed_at=row.refreshed_at,
        max_age_seconds=row.max_age_seconds,
        index=content.index,
        digests={kind.value: table for kind, table in content.digests.items()},
        frames=content.frames,
        video_rule=VideoRule(
            query_percent=row.video_query_percent,
            banked_percent=row.video_banked_percent,
            run_seconds=row.video_run_seconds,
        ),
        enabled_ratio=row.enabled_ratio,
    )


def _newest(bank: Any) -> Any:  # noqa: ANN401 -- a number or a column; a statement, whose type says nothing
    """The last change of a bank."""
    return select(changes.c.id, changes.c.token).where(changes.c.bank_id == bank).order_by(changes.c.id.desc()).limit(1)


def _advanced(connection: Connection, bank: Row[Any], content: Content, now: datetime, *, most: int) -> Content:
    old = content.facts
    drawn = select(changes.c.token).where(changes.c.bank_id == old.bank, changes.c.id == old.sequence)
    if (connection.execute(drawn).scalar() or 0) != old.token:
        raise SnapshotError(
            "the database was put back to an earlier state, and what is known of the bank is not of that"
        )
    sequence, token, touched = _spans_after(connection, old, most)
    # Clocks are put back, too: then these are entries that are not enabled yet. Asked for of all banks, because SQLite
    # would rather look at every entry of the bank than into the index of those that are disabled.
    enabled_since = select(entries.c.id, entries.c.bank_id).where(
        entries.c.disabled_until > min(old.read_at, now), entries.c.disabled_until <= max(old.read_at, now)
    )
    enabled = np.array([row.id for row in connection.execute(enabled_since) if row.bank_id == old.bank], np.int64)
    changed = np.unique(np.concatenate([enabled, *touched]))
    if not len(changed):
        return content
    facts = msgspec.structs.replace(old, sequence=sequence, token=token, read_at=now)
    return content.after(facts, changed, _read(connection, bank, facts, changed))


def _spans_after(connection: Connection, old: Facts, most: int) -> tuple[int, int, list[Ids]]:
    """The entries of the next changes, one change at least and then no more than ``most``; and the last change."""
    sequence, token, count = old.sequence, old.token, 0
    touched: list[Ids] = []
    span = select(changes).where(changes.c.bank_id == old.bank, changes.c.id > old.sequence).order_by(changes.c.id)
    with connection.execute(span.execution_options(yield_per=_CHUNK)) as rows:
        for row in rows:
            count += row.last_entry - row.first_entry + 1
            if touched and count > most:
                break
            sequence, token = row.id, row.token
            touched.append(np.arange(row.first_entry, row.last_entry + 1, dtype=np.int64))
    return sequence, token, touched


def _read(connection: Connection, bank: Row[Any], facts: Facts, only: Ids | None = None) -> Rows:
    """What the database says that a bank holds, of all its entries or of some."""
    columns = {kind: _Columns(kind) for kind in HashKind}
    if only is None:
        _fill(columns, connection, bank, facts.read_at)
    else:
        scattered: list[int] = []
        for first, last in ranges(only.tolist()):
            if last - first < _WORTH_A_QUERY:
                scattered += range(first, last + 1)
            else:
                _fill(columns, connection, bank, facts.read_at, entries.c.id.between(first, last))
        for start in range(0, len(scattered), _CHUNK):
            some = among(connection, entries.c.id, scattered[start : start + _CHUNK])
            _fill(columns, connection, bank, facts.read_at, some)
    pdq = columns[HashKind.PDQ]
    usable = (pdq.qualities() == UNKNOWN_QUALITY) | (pdq.qualities() >= facts.quality_floor)
    frames = columns[HashKind.VPDQ]
    return Rows(
        pdq.values()[usable],
        pdq.entries()[usable],
        {kind: DigestRows(columns[kind].values(), columns[kind].entries()) for kind in DIGEST_KINDS},
        FrameRows(frames.values(), frames.entries(), frames.qualities(), frames.times()),
    )


def _fill(
    columns: dict[HashKind, _Columns],
    connection: Connection,
    bank: Row[Any],
    now: datetime,
    *only: ColumnElement[bool],
) -> None:
    # Ordered as SQLite finds the rows, entry after entry, so that nothing is sorted.
    query = (
        select(hashes.c.kind, hashes.c.value, hashes.c.entry_id, hashes.c.quality, hashes.c.at_ms)
        .join(entries, entries.c.id == hashes.c.entry_id)
        .where(
            entries.c.bank_id == bank.id,
            or_(entries.c.disabled_until.is_(None), entries.c.disabled_until <= now),
            *only,
        )
        .order_by(entries.c.id)
        .execution_options(yield_per=_CHUNK)
    )
    for rows in connection.execute(query).partitions():
        kinds, *parts = zip(*rows, strict=True)
        for kind in set(kinds):
            wanted = [each == kind for each in kinds]
            columns[HashKind(kind)].extend(*(compress(part, wanted) for part in parts))


class _Columns:
    """Hashes of one kind, gathered column by column: a million of them must not become a million arrays."""

    def __init__(self, kind: HashKind) -> None:
        self._length = kind.length
        self._values: list[bytes] = []
        self._entries = array("q")
        self._qualities = array("h")
        self._times = array("q")

    def extend(
        self,
        values: Iterable[bytes],
        entries: Iterable[int],
        qualities: Iterable[int | None],
        times: Iterable[int | None],
    ) -> None:
        self._values.append(b"".join(values))
        self._entries.extend(entries)
        self._qualities.extend(UNKNOWN_QUALITY if quality is None else quality for quality in qualities)
        self._times.extend(_UNKNOWN if time is None else time for time in times)

    def values(self) -> NDArray[np.uint8]:
        return np.frombuffer(b"".join(self._values), np.uint8).reshape(-1, self._length)

    def entries(self) -> NDArray[np.int64]:
        return np.array(self._entries, np.int64)

    def qualities(self) -> NDArray[np.int16]:
        return np.array(self._qualities, np.int16)

    def times(self) -> NDArray[np.int64]:
        return np.array(self._times, np.int64)


def _say_nothing(_: str) -> None:
    """What a caller who asked for no notices is told."""

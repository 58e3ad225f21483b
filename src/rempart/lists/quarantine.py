"""Quarantine: what came near which entry, kept so that processes count together, and what people decide of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from rempart.audit import Act, record
from rempart.clock import Clock, utc_now
from rempart.errors import BankError
from rempart.lists.banks import bank_id
from rempart.lists.changes import ranges
from rempart.lists.entries import BATCH, named, spelled
from rempart.matching.flood import FloodRule, Looks, Sighting
from rempart.store import Store, among
from rempart.store.tables import QuarantineState, entries, flood_samples, quarantines

_TIDY: Final = timedelta(hours=1)
"""How often what is too old to count is deleted."""


class QuarantineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that is or was in quarantine.

    Attributes:
        looks: how many unlike pictures are known to have come near it; none once a person has decided.
        since: when the quarantine began.
        decided_at: when a person confirmed or lifted it.
        note: what that person remarked.
    """

    entry: int
    state: QuarantineState
    looks: int
    since: datetime
    decided_at: datetime | None
    note: str | None


class FloodWatch:
    """Counts the unlike pictures that come near each entry, and knows the entries in quarantine.

    Given to :class:`rempart.matching.Matcher` twice, as what is quarantined and as who watches::

        watch = FloodWatch(store, rule)
        matcher = Matcher(banks, quarantined=watch, watch=watch.see)
        ...
        watch.flush()

    Counts are written by :meth:`flush`, to be called at the end and every second or so of a long run, while counting
    goes on. An entry goes into quarantine for this process at once. Processes that count at the same time add up. Where
    the database cannot be written, counts last as long as the watch.
    """

    def __init__(
        self,
        store: Store,
        rule: FloodRule,
        *,
        recalls: bool = True,
        actor: str | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Read which entries are in quarantine.

        Args:
            store: the database.
            rule: when an entry goes into quarantine.
            recalls: whether the first picture that comes near an entry has what was counted before read from the
                database. Without, counting never waits for it, and earlier counts are added when the next ones are
                written.
            actor: who counts; the user of this process by default.
            clock: the time.

        Raises:
            StoreError: the database cannot be read.
        """
        self._store = store
        self._rule = rule
        self._recalls = recalls
        self._actor = actor
        self._clock = clock
        self._lock = Lock()
        self._flushing = Lock()
        self._looks: dict[int, Looks] = {}
        self._radii: dict[int, int] = {}
        self._tidied: datetime | None = None
        with store.read() as connection:
            self._states = _states(connection)

    def __contains__(self, entry: object) -> bool:
        """Whether an entry is in quarantine."""
        state = self._states.get(entry) if isinstance(entry, int) else None
        return state in {QuarantineState.QUARANTINED, QuarantineState.CONFIRMED}

    def see(self, sighting: Sighting) -> None:
        """Count a picture that came near an entry, unless a person or a flood has decided about the entry.

        Raises:
            StoreError: the database cannot be read, if this watch recalls what it holds.
        """
        with self._lock:
            entry = sighting.entry
            if entry in self._states:
                return
            looks = self._looks.get(entry)
            if looks is None:
                looks = self._recalled(entry) if self._recalls else {}
            self._count(entry, {sighting.hash: self._clock()}, sighting.radius, before=looks)

    def flush(self) -> list[int]:
        """Write what was counted, and learn what others counted and people decided.

        Returns:
            The entries that this put into quarantine, ascending.

        Raises:
            StoreError: the database cannot be written; what was counted is kept for the next time.
        """
        if self._store.mode != "rw":
            return []
        with self._flushing:
            with self._lock:
                looks, self._looks = self._looks, {}
                radii, self._radii = self._radii, {}
            try:
                flooded, states = self._kept(looks, radii)
            except BaseException:
                with self._lock:
                    for entry, seen in looks.items():
                        self._count(entry, self._looks.get(entry, {}), radii[entry], before=seen)
                raise
            with self._lock:
                self._states = states
                for entry, seen in self._looks.items():  # which came meanwhile
                    if self._rule.is_flood(seen):
                        self._states.setdefault(entry, QuarantineState.QUARANTINED)
        return flooded

    def _recalled(self, entry: int) -> Looks:
        with self._store.read() as connection:
            return _looks(connection, [entry]).get(entry, {})

    def _count(self, entry: int, seen: Looks, radius: int, *, before: Looks) -> None:
        """Add what was seen near an entry to what was seen before; the caller holds the lock."""
        looks = self._rule.merge(self._rule.fresh(before, self._clock()), seen, radius)
        self._looks[entry] = looks
        self._radii[entry] = radius
        if self._rule.is_flood(looks):
            self._states[entry] = QuarantineState.QUARANTINED

    def _kept(
        self, looks: Mapping[int, Looks], radii: Mapping[int, int]
    ) -> tuple[list[int], dict[int, QuarantineState]]:
        """Write counts: the entries that went into quarantine by them, and what is decided of which entry now."""
        now = self._clock()
        tidy = self._tidied is None or not timedelta(0) <= now - self._tidied < _TIDY
        if not looks and not tidy:
            # Nobody else shall wait for a writer who has nothing to write.
            with self._store.read() as connection:
                return [], _states(connection)
        with self._store.write() as connection:
            self._store.lock(connection, "floods")
            seen = sorted(looks)
            parts = [seen[start : start + BATCH] for start in range(0, len(seen), BATCH)]
            flooded = [entry for part in parts for entry in self._write(connection, part, looks, radii, now)]
            if tidy:
                _forget_old(connection, now - self._rule.window)
            if flooded:
                details = {"entries": spelled(ranges(flooded))}
                record(connection, self._actor, Act.ENTRIES_QUARANTINED, "quarantine", details, clock=self._clock)
            states = _states(connection)
        self._tidied = now if tidy else self._tidied
        return flooded, states

    def _write(
        self,
        connection: Connection,
        seen: Sequence[int],
        counted: Mapping[int, Looks],
        radii: Mapping[int, int],
        now: datetime,
    ) -> list[int]:
        there = _undecided(connection, seen)
        known = _looks(connection, there)
        flooded, rows = [], []
        for entry in there:
            mine, others = (self._rule.fresh(looks, now) for looks in (counted[entry], known.get(entry, {})))
            looks = self._rule.merge(others, mine, radii[entry])
            rows += [{"entry_id": entry, "value": value, "seen_at": seen} for value, seen in looks.items()]
            if self._rule.is_flood(looks):
                flooded.append(entry)
        connection.execute(delete(flood_samples).where(among(connection, flood_samples.c.entry_id, there)))
        if rows:
            connection.execute(insert(flood_samples), rows)
        if flooded:
            new = {"state": QuarantineState.QUARANTINED, "since": now}
            connection.execute(insert(quarantines), [{"entry_id": entry} | new for entry in flooded])
        return flooded


def list_quarantine(store: Store, name: str) -> list[QuarantineRecord]:
    """The entries of a bank that are or were in quarantine, by number.

    Raises:
        BankError: there is no such bank.
        StoreError: the database cannot be read.
    """
    counts = select(flood_samples.c.entry_id, func.count().label("looks")).group_by(flood_samples.c.entry_id).subquery()
    with store.read() as connection:
        query = (
            select(quarantines, func.coalesce(counts.c.looks, 0).label("looks"))
            .join(entries, entries.c.id == quarantines.c.entry_id)
            .outerjoin(counts, counts.c.entry_id == quarantines.c.entry_id)
            .where(entries.c.bank_id == bank_id(connection, name))
            .order_by(quarantines.c.entry_id)
        )
        return [
            QuarantineRecord(
                entry=row.entry_id,
                state=QuarantineState(row.state),
                looks=row.looks,
                since=row.since,
                decided_at=row.decided_at,
                note=row.note,
            )
            for row in connection.execute(query)
        ]


def decide_quarantine(
    store: Store,
    name: str,
    numbers: Sequence[int],
    decision: QuarantineState,
    *,
    note: str | None = None,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> None:
    """Write down what a person thinks of entries in quarantine; of all of them, or of none if one is not there.

    Nothing is counted near them any more. A later decision takes the place of an earlier one.

    Args:
        store: the database.
        name: the bank.
        numbers: its entries that are or were in quarantine.
        decision: CONFIRMED: their near matches stay in review for good. LIFTED: these count normally again.
        note: a remark.
        actor: who decides; the user of this process by default.
        clock: the time.

    Raises:
        BankError: there is no such bank, or it has no such entry that is or was in quarantine.
        StoreError: the database cannot be written.
    """
    if decision is QuarantineState.QUARANTINED:
        raise BankError("only a flood puts an entry into quarantine; a person confirms or lifts it")
    wanted = sorted(set(numbers))
    with store.write() as connection:
        store.lock(connection, "floods")
        bank = bank_id(connection, name)
        mine = select(entries.c.id).where(entries.c.bank_id == bank)
        query = select(quarantines.c.entry_id).where(quarantines.c.entry_id.in_(mine))
        missing = set(wanted).difference(connection.execute(query).scalars())
        if missing:
            raise BankError(
                f"the bank {name} has no entry {named(missing)} in quarantine; nothing was changed. "
                f"`rempart bank quarantine {name}` lists those there are"
            )
        for number in wanted:
            row = {"state": decision, "decided_at": clock(), "note": note}
            connection.execute(update(quarantines).where(quarantines.c.entry_id == number).values(row))
            connection.execute(delete(flood_samples).where(flood_samples.c.entry_id == number))
        details = {"decision": decision.value, "entries": spelled(ranges(wanted))}
        record(connection, actor, Act.QUARANTINE_DECIDED, f"bank:{bank}", details, clock=clock)


def _states(connection: Connection) -> dict[int, QuarantineState]:
    query = select(quarantines.c.entry_id, quarantines.c.state)
    return {entry: QuarantineState(state) for entry, state in connection.execute(query)}


def _undecided(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Those of the entries that still are there and of which nothing is decided."""
    decided = select(quarantines.c.entry_id)
    query = select(entries.c.id).where(among(connection, entries.c.id, numbers), entries.c.id.not_in(decided))
    return sorted(connection.execute(query).scalars())


def _looks(connection: Connection, numbers: Sequence[int]) -> Mapping[int, Looks]:
    found: dict[int, dict[bytes, datetime]] = {}
    for row in connection.execute(select(flood_samples).where(among(connection, flood_samples.c.entry_id, numbers))):
        found.setdefault(row.entry_id, {})[row.value] = row.seen_at
    return found


def _forget_old(connection: Connection, before: datetime) -> None:
    """Delete what is too old to count; what put an entry into quarantine is kept until a person has decided."""
    kept = select(quarantines.c.entry_id)
    connection.execute(
        delete(flood_samples).where(flood_samples.c.seen_at < before, flood_samples.c.entry_id.not_in(kept))
    )

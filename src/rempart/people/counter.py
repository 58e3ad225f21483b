"""How often each key asked, and how often it came near what is listed: what tells hill-climbing from ordinary use.

Whoever may ask often enough whether a hash matches can find the listed hash itself, without being told any distance: a
hash that only just does not match is changed bit by bit, and each change that makes it match is one towards the listed
hash. That takes about 280 look-ups for one entry, and at least 32 of them match at the very rim of the radius, where
copies of a picture seldom lie.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Final, Self

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from rempart.clock import Clock, utc_now
from rempart.matching import Match, Outcome, Verdict, specimen
from rempart.people.ticker import Ticker
from rempart.store import Store
from rempart.store.service_tables import lookups

FLUSH_SECONDS: Final = 0.5
NEAR_PER_HOUR: Final = 500
RIM_PER_HOUR: Final = 25
"""Fewer than searching one hash takes."""

RIM_BITS: Final = 4
"""A match is at the rim of a radius when it lies within its last 4 bits."""

KEPT: Final = timedelta(days=400)
"""How long counts are kept: a year can be compared with the one before."""

_LOCK: Final = "lookups"


class Counted(StrEnum):
    """What became of a look-up."""

    CLEAR = "clear"
    EXACT = "exact"
    NEAR = "near"
    RIM = "rim"
    UNSCANNABLE = "unscannable"
    ALLOW = "allow"
    REVIEW = "review"
    REFUSE = "refuse"
    FAILED = "failed"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How often a key asked within one hour, with one kind of look-up and one outcome."""

    key: int
    hour: datetime
    kind: str
    outcome: str
    count: int


class Counter:
    """Counts look-ups in memory, and adds them to the database twice a second once :meth:`start` was called.

    A crash loses the counts of the last half second. While the database cannot be written they are kept and added
    later, to the hour of that moment. Threads may share it; processes add up.
    """

    def __init__(
        self,
        store: Store,
        *,
        near_per_hour: int = NEAR_PER_HOUR,
        rim_per_hour: int = RIM_PER_HOUR,
        on_alarm: Callable[[int, int], object] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Count nothing yet.

        Args:
            store: the database.
            near_per_hour: near matches of a key within an hour of the clock, those at the rim among them, above which
                there is an alarm.
            rim_per_hour: the same for matches at the rim of a radius.
            on_alarm: called with the number of a key and its near matches of this hour, when a limit is passed and
                each time the count has doubled since; by one of all processes, after the counts are stored.
            clock: the time.
        """
        self._store = store
        self._limits = {Counted.NEAR: near_per_hour, Counted.RIM: rim_per_hour}
        self._on_alarm = on_alarm
        self._clock = clock
        self._lock = Lock()
        self._flushing = Lock()
        self._counts: Tally[tuple[int, str, str]] = Tally()
        self._tidied: datetime | None = None
        self._ticker = Ticker("rempart-counts", self.flush, FLUSH_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def pending(self) -> int:
        """How many look-ups are counted but not stored yet; it grows while the database cannot be written."""
        with self._lock:
            return self._counts.total()

    def start(self) -> None:
        """Flush in a thread of its own."""
        self._ticker.start()

    def stop(self) -> None:
        """End that thread, and flush a last time.

        Raises:
            StoreError: the database cannot be written; the counts of the last moment are lost with this process.
        """
        self._ticker.stop()
        self.flush()

    def count(self, key_id: int, kind: str, outcome: str, times: int = 1) -> None:
        """Count a look-up; memory only.

        Args:
            key_id: whose it was.
            kind: of the look-up, such as ``pdq`` or ``prompt``; at most 32 characters of a closed list.
            outcome: of :class:`Counted`; ``near`` and ``rim`` may raise an alarm.
            times: how many alike.
        """
        with self._lock:
            self._counts[key_id, kind, outcome] += times

    def flush(self) -> None:
        """Add what was counted to the database.

        Raises:
            StoreError: it cannot be written; the counts are kept for the next time.
        """
        with self._flushing:
            with self._lock:
                counts, self._counts = self._counts, Tally()
            if not counts:
                return
            hour = self._clock().replace(minute=0, second=0, microsecond=0)
            try:
                with self._store.write() as connection:
                    alarms = self._write(connection, counts, hour)
                    if self._tidied != hour:
                        connection.execute(delete(lookups).where(lookups.c.hour < hour - KEPT))
            except BaseException:
                with self._lock:
                    self._counts.update(counts)
                raise
            self._tidied = hour
        if self._on_alarm is not None:
            for key, total in alarms.items():
                self._on_alarm(key, total)

    def _write(
        self, connection: Connection, counts: Mapping[tuple[int, str, str], int], hour: datetime
    ) -> dict[int, int]:
        """Add the counts, and tell which keys passed a limit by them, with their near matches of this hour."""
        near = Tally[int]()
        rim = Tally[int]()
        for (key, _, outcome), times in counts.items():
            if outcome in (Counted.NEAR, Counted.RIM):
                near[key] += times
                rim[key] += times if outcome == Counted.RIM else 0
        if near:
            self._store.lock(connection, _LOCK)  # so that of two processes one sees the limit passed, not none or both
        _add(connection, counts, hour)
        alarms = {}
        for key, outcomes in _totals(connection, list(near), hour).items():
            total = outcomes[Counted.NEAR] + outcomes[Counted.RIM]
            if _passes(total, near[key], self._limits[Counted.NEAR]) or _passes(
                outcomes[Counted.RIM], rim[key], self._limits[Counted.RIM]
            ):
                alarms[key] = total
        return alarms


def counted(verdict: Verdict, radii: Mapping[str, int]) -> Counted:
    """As what a verdict on a picture, video or hash is to be counted.

    Args:
        verdict: what matching said.
        radii: of the banks, by name, in bits.
    """
    listed = [match for match in verdict.matches if match.bank != specimen.BANK]
    if listed and all(match.near for match in listed):
        # A hit that an allowing bank overrules tells as much of the list as one that stands.
        return Counted.RIM if all(_at_rim(match, radii) for match in listed) else Counted.NEAR
    if verdict.verdict is Outcome.MATCH or listed:
        return Counted.EXACT
    return Counted.UNSCANNABLE if verdict.verdict is Outcome.UNSCANNABLE else Counted.CLEAR


def list_usage(store: Store, key_id: int, since: datetime) -> list[Usage]:
    """How often a key asked, by hour, from the hour of ``since`` on.

    Raises:
        StoreError: the database cannot be read.
    """
    first = since.replace(minute=0, second=0, microsecond=0)
    chosen = (
        select(lookups)
        .where(lookups.c.key_id == key_id, lookups.c.hour >= first)
        .order_by(lookups.c.hour, lookups.c.kind, lookups.c.outcome)
    )
    with store.read() as connection:
        return [
            Usage(key=row.key_id, hour=row.hour, kind=row.kind, outcome=row.outcome, count=row.count)
            for row in connection.execute(chosen).mappings()
        ]


def _at_rim(match: Match, radii: Mapping[str, int]) -> bool:
    return match.distance > radii.get(match.bank, 0) - RIM_BITS


def _passes(total: int, added: int, limit: int) -> bool:
    """Whether the last ``added`` of ``total`` passed the limit, or a power of two of it."""
    return _level(total, limit) > _level(total - added, limit)


def _level(total: int, limit: int) -> int:
    return (max(0, total - 1) // limit).bit_length()


def _add(connection: Connection, counts: Mapping[tuple[int, str, str], int], hour: datetime) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(lookups)
    statement = statement.on_conflict_do_update(
        index_elements=list(lookups.primary_key.columns),
        set_={"count": lookups.c.count + statement.excluded.count},
    )
    # In one order, so that no two processes wait for each other.
    rows = [
        {"key_id": key, "hour": hour, "kind": kind, "outcome": outcome, "count": times}
        for (key, kind, outcome), times in sorted(counts.items())
    ]
    connection.execute(statement, rows)


def _totals(connection: Connection, keys: list[int], hour: datetime) -> dict[int, Tally[str]]:
    chosen = (
        select(lookups.c.key_id, lookups.c.outcome, func.sum(lookups.c.count))
        .where(lookups.c.key_id.in_(keys), lookups.c.hour == hour, lookups.c.outcome.in_((Counted.NEAR, Counted.RIM)))
        .group_by(lookups.c.key_id, lookups.c.outcome)
    )
    found: dict[int, Tally[str]] = {key: Tally() for key in keys}
    for key, outcome, total in connection.execute(chosen) if keys else ():
        found[key][outcome] = int(total)
    return found

"""Findings: what a match hands on for a case. They are in the outbox before the caller hears of the match."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from threading import Condition, Event, Thread
from typing import Final, NamedTuple, Self

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from rempart.clock import Clock, utc_now
from rempart.errors import Reason
from rempart.hashing import Hashed, Unscannable
from rempart.jobs import enqueue_all
from rempart.jobs.outbox import encoded
from rempart.matching import Harm, Kind, Match, Verdict
from rempart.store import Store, among
from rempart.store.tables import entries
from rempart.web.problems import Code, Problem

JOB_KIND: Final = "finding"
PLACE: Final = "distribution"
MOST_MATCHES: Final = 100
"""So many matches of one item go into its finding; how many there were is said beside them."""

MOST_WAITING_BYTES: Final = 32 << 20
"""Of findings that are not committed yet, in one process; what comes beyond is refused."""

_PACE_SECONDS: Final = 0.02  # from one transaction to the next, when requests come together
_ALONE: Final = 8  # transactions of a single request in a row, after which they do not
_AT_ONCE: Final = 10_000  # entries asked for in one statement; SQLite takes 32,766 parameters
_STRICTEST: Final = (Harm.CSAM, Harm.EXPLOITATIVE, Harm.NCII_ADULT, Harm.OTHER)


class ItemDigests(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the item is known by, as far as it was sent or could be computed; hexadecimal digits."""

    pdq: str | None = None
    quality: int | None = None
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, item: Hashed | Unscannable) -> ItemDigests:
        """Those of a hashed item."""
        return cls(
            pdq=item.pdq if isinstance(item, Hashed) else None,
            quality=item.quality if isinstance(item, Hashed) else None,
            md5=item.md5 or None,
            sha1=item.sha1 or None,
            sha256=item.sha256 or None,
        )


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A match that is handed on; the payload of a job of kind ``finding``. (place, key, source id) names it.

    Attributes:
        place: where it was found.
        key: number of the key that asked.
        source_id: by which whoever asked knows the item.
        harm: the worst of what it matched.
        matches: the first of them, with their distances; ``matched`` says how many there were.
        event_at: when it happened over there, if that was said.
        detected_at: when it was compared here.
    """

    place: str
    key: int
    source_id: str
    item: ItemDigests
    verdict: str
    reasons: tuple[Reason, ...]
    harm: Harm
    matches: tuple[Match, ...]
    matched: int
    partial: bool
    specimen: bool
    lists_as_of: datetime | None
    event_at: datetime | None
    detected_at: datetime

    @classmethod
    def of(
        cls,
        verdict: Verdict,
        item: ItemDigests,
        *,
        key: int,
        source_id: str,
        detected_at: datetime,
        event_at: datetime | None = None,
    ) -> Finding:
        """The finding of a match."""
        standing = {match.harm for match in verdict.matches if match.action is Kind.BLOCKING and not match.cancelled}
        return cls(
            place=PLACE,
            key=key,
            source_id=source_id,
            item=item,
            verdict=verdict.verdict,
            reasons=verdict.reasons,
            harm=next((harm for harm in _STRICTEST if harm in standing), Harm.OTHER),
            matches=verdict.matches[:MOST_MATCHES],
            matched=len(verdict.matches),
            partial=verdict.partial,
            specimen=verdict.specimen,
            lists_as_of=verdict.lists_as_of,
            event_at=event_at,
            detected_at=detected_at,
        )

    @property
    def dedupe(self) -> str:
        """The same for every finding of this place, key and source id."""
        return hashlib.sha256(f"{self.place}\n{self.key}\n{self.source_id}".encode()).hexdigest()


class _Waiting(NamedTuple):
    """What one request hands on, and where it waits for the commit."""

    payloads: Mapping[str, bytes]
    hit: frozenset[int]
    size: int
    loop: asyncio.AbstractEventLoop
    kept: asyncio.Future[Mapping[int, str]]


class Findings:
    """Puts the findings of all requests of a process into the outbox, in a thread of its own.

    A transaction for each request would be more than a disk can take. So what comes while one is under way is gathered
    and goes into the next; when nothing is under way it is committed at once. While requests come together there are at
    most fifty transactions a second, because each of them costs as much as several look-ups; a client that asks one
    after the other never waits for that. Each request hears of the commit alone that holds its findings, or of its
    failure.
    """

    def __init__(self, store: Store, *, clock: Clock = utc_now, most_waiting: int = MOST_WAITING_BYTES) -> None:
        """Hand on nothing yet.

        Args:
            store: the database.
            clock: the time.
            most_waiting: bytes of findings that may wait; what comes beyond is refused.
        """
        self._store = store
        self._clock = clock
        self._most = most_waiting
        self._changed = Condition()
        self._queue: list[_Waiting] = []
        self._size = 0
        self._open = False
        self._closing = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to commit."""
        if self._thread is None:
            self._open = True
            self._closing.clear()
            self._thread = Thread(target=self._run, name="rempart-findings", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take nothing more, and wait until what was taken is committed."""
        with self._changed:
            self._open = False
            self._closing.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    async def hand_on(self, findings: Sequence[Finding]) -> Mapping[int, str]:
        """Put findings into the outbox, all in one transaction; they are kept when this returns.

        A finding of the same place, key and source id that still waits is not put there a second time.

        Returns:
            The source records of the entries that were hit and have one, by entry.

        Raises:
            Problem: too many wait, or the service is about to stop.
            StoreError: the database cannot be written.
        """
        if not findings:
            return {}
        payloads = {finding.dedupe: encoded(finding) for finding in reversed(findings)}  # of two alike the first stays
        loop = asyncio.get_running_loop()
        waiting = _Waiting(
            payloads=payloads,
            hit=frozenset(match.entry for finding in findings for match in finding.matches),
            size=sum(map(len, payloads.values())),
            loop=loop,
            kept=loop.create_future(),
        )
        with self._changed:
            if not self._open:
                raise Problem(Code.UNAVAILABLE, "The service is about to stop.")
            if self._size and self._size + waiting.size > self._most:
                raise Problem(Code.OVERLOADED, "Too many matches wait to be written.")
            self._queue.append(waiting)
            self._size += waiting.size
            self._changed.notify()
        return await waiting.kept

    def _run(self) -> None:
        alone = _ALONE
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or not self._open)
                batch, self._queue = self._queue, []
            if not batch:
                return
            started = time.monotonic()
            try:
                outcome: Mapping[int, str] | Exception = self._commit(batch)
            except Exception as error:  # noqa: BLE001 -- told to each request; the thread must go on
                outcome = error
            with self._changed:
                self._size -= sum(waiting.size for waiting in batch)
                alone = 0 if self._queue or len(batch) > 1 else alone + 1
            for loop in {waiting.loop for waiting in batch}:
                mine = [waiting for waiting in batch if waiting.loop is loop]
                with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                    loop.call_soon_threadsafe(_settle, mine, outcome)
            if alone < _ALONE:
                self._closing.wait(started + _PACE_SECONDS - time.monotonic())

    def _commit(self, batch: Sequence[_Waiting]) -> Mapping[int, str]:
        payloads = {dedupe: payload for waiting in reversed(batch) for dedupe, payload in waiting.payloads.items()}
        hit = sorted(frozenset[int]().union(*(waiting.hit for waiting in batch)))
        with self._store.write() as connection:
            enqueue_all(connection, JOB_KIND, payloads, clock=self._clock)
            return _source_records(connection, hit)


def _settle(batch: Iterable[_Waiting], outcome: Mapping[int, str] | Exception) -> None:
    """Tell those who wait, unless they have gone."""
    for waiting in batch:
        if waiting.kept.done():
            continue
        if isinstance(outcome, Exception):
            waiting.kept.set_exception(outcome)
        else:
            waiting.kept.set_result({entry: outcome[entry] for entry in waiting.hit if entry in outcome})


def _source_records(connection: Connection, hit: Sequence[int]) -> Mapping[int, str]:
    records: dict[int, str] = {}
    for first in range(0, len(hit), _AT_ONCE):
        some = among(connection, entries.c.id, hit[first : first + _AT_ONCE])
        chosen = select(entries.c.id, entries.c.source_record).where(some, entries.c.source_record.is_not(None))
        records.update({row.id: row.source_record for row in connection.execute(chosen)})
    return records

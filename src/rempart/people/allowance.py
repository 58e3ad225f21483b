"""How many requests a key may still make: one bucket a key in the database, from which processes take batches."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Condition, Thread
from typing import Final, NamedTuple, Self

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from rempart.clock import Clock, utc_now
from rempart.errors import RempartError
from rempart.people.keys import Key
from rempart.store import Store
from rempart.store.service_tables import allowances, keys

PER_MINUTE: Final = 600_000
"""What any key may ask that has no limit of its own: far more than a machine answers."""

PATIENCE_SECONDS: Final = 0.5
"""How long a request waits for a batch. Then it goes on credit, which is paid back from the next batch."""

PAUSE_SECONDS: Final = 0.1
"""How long a process waits for its next batch when the last one was not whole, so that scarcity costs few writes."""

SKEW: Final = timedelta(seconds=5)
"""By how much the clocks of machines may differ; a larger step back is taken for a clock that was set."""

_MINUTE: Final = 60.0


class _Lease:
    """What one process holds of one bucket."""

    __slots__ = ("batch", "credit", "credit_at", "debt", "limit", "pause_until", "rounds", "tokens", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.batch = max(1, limit // 60)  # a second's worth
        self.tokens = 0
        self.waiting = 0  # requests that wait for a batch
        self.rounds = 0  # how often the database has answered
        self.pause_until = 0.0
        self.credit = 0.0
        self.credit_at = 0.0
        self.debt = 0

    @property
    def rate(self) -> float:
        return self.limit / _MINUTE

    @property
    def wish(self) -> int:
        """How much it would take now."""
        if self.waiting:
            return max(self.batch, self.waiting)
        return self.batch if self.is_low else 0

    @property
    def is_low(self) -> bool:
        return 2 * self.tokens < self.batch


class _Order(NamedTuple):
    """What to take out of a bucket: up to ``most`` requests, once ``debt`` is paid."""

    limit: int
    most: int
    debt: int


class Allowance:
    """The token buckets of all keys, each holding at the most a minute's worth. Threads may share it.

    A process takes a second's worth at a time and hands it out from memory, and asks for the next one early. What all
    processes together hand out never exceeds what the bucket gave; a process that ends loses what it had left.

    Batches are taken by a thread of its own, many keys in one transaction. While the database cannot be written for
    long (another writer, a full disk), each process lets a key go on at the key's own rate and pays back afterwards:
    a limit is no reason to stop screening.
    """

    def __init__(self, store: Store, *, per_minute: int = PER_MINUTE, clock: Clock = utc_now) -> None:
        """Take no batch yet.

        Args:
            store: the database.
            per_minute: requests a minute of a key that has no limit of its own.
            clock: the time by which buckets fill.
        """
        self._store = store
        self._per_minute = per_minute
        self._clock = clock
        self._changed = Condition()
        self._leases: dict[int, _Lease] = {}
        self._orders: dict[int, _Lease] = {}
        self._late = False
        self._closed = False
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; batches that are left are lost."""
        with self._changed:
            self._closed = True
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def ready(self, key: Key, count: int = 1) -> bool:
        """Whether :meth:`take` would answer at once, from memory."""
        lease = self._leases.get(key.id)
        return lease is not None and (
            lease.tokens >= min(count, lease.limit) or self._late or time.monotonic() < lease.pause_until
        )

    def take(self, key: Key, count: int = 1) -> float | None:
        """Count requests against what a key may make.

        Args:
            key: who asks.
            count: how many at once; more than a minute's worth counts as just that, else it could never be.

        Returns:
            None when they may go on; else the seconds after which to try again, and nothing was counted.
        """
        with self._changed:
            lease = self._leases.get(key.id)
            if lease is None:
                lease = self._leases[key.id] = _Lease(key.per_minute or self._per_minute)
            count = min(count, lease.limit)
            if lease.tokens < count:
                return self._wait(key.id, lease, count)
            lease.tokens -= count
            if lease.batch > 1 and lease.is_low:
                self._order(key.id, lease)
            return None

    def _wait(self, key: int, lease: _Lease, count: int) -> float | None:
        while lease.tokens < count:
            now = time.monotonic()
            if now < lease.pause_until:
                return max(lease.pause_until - now, (count - lease.tokens) / lease.rate)
            self._order(key, lease)
            if self._late:
                return _borrow(lease, count, now)
            self._await_batch(lease, count)
        lease.tokens -= count
        return None

    def _await_batch(self, lease: _Lease, count: int) -> None:
        rounds = lease.rounds
        lease.waiting += count
        answered = self._changed.wait_for(lambda: lease.rounds != rounds or self._late, PATIENCE_SECONDS)
        lease.waiting -= count
        self._late = self._late or not answered

    def _order(self, key: int, lease: _Lease) -> None:
        if self._closed or key in self._orders or time.monotonic() < lease.pause_until:
            return
        self._orders[key] = lease
        self._changed.notify_all()
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._serve, name="rempart-allowances", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        """Take batches until the end: all that were ordered meanwhile in one transaction."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._orders or self._closed)
                if self._closed:
                    return
                leases, self._orders = self._orders, {}
                orders = {key: _Order(lease.limit, lease.wish, lease.debt) for key, lease in leases.items()}
            try:
                with self._store.write() as connection:
                    levels = {key: self._draw(connection, key, orders[key]) for key in sorted(orders)}
            except RempartError:
                with self._changed:
                    self._late = True
                    self._orders = leases | self._orders
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._closed, 1.0)
                continue
            with self._changed:
                self._late = False
                self._settle(leases, orders, levels)
                self._changed.notify_all()

    def _draw(self, connection: Connection, key: int, order: _Order) -> float:
        """Take a batch out of a bucket.

        Returns:
            What was in it before, the debt paid; as much of it as was ordered is taken.
        """
        now = self._clock()
        found = _bucket(connection, key) or _new_bucket(connection, key, order.limit, now)
        if found is None:
            return 0.0
        tokens, filled_at = found
        passed = now - filled_at
        gained = max(0.0, passed.total_seconds()) * order.limit / _MINUTE
        # The debt goes before the rim: what ran over while nobody could take from the bucket has paid for it.
        level = max(-float(order.limit), min(float(order.limit), tokens + gained - order.debt))
        # Machines whose clocks differ a little must not turn it back for each other, and gain the difference each time.
        filled_at = filled_at if -SKEW < passed < timedelta(0) else now
        row = {"tokens": level - _share(level, order), "filled_at": filled_at}
        connection.execute(update(allowances).where(allowances.c.key_id == key).values(row))
        return level

    def _settle(self, leases: Mapping[int, _Lease], orders: Mapping[int, _Order], levels: Mapping[int, float]) -> None:
        now = time.monotonic()
        for key, lease in leases.items():
            order, level = orders[key], levels[key]
            taken = _share(level, order)
            lease.tokens += taken
            lease.debt -= order.debt
            lease.rounds += 1
            if taken < order.most:
                # It is empty: until a whole request has dripped into it, nobody need ask.
                lease.pause_until = now + max(PAUSE_SECONDS, (1.0 - (level - taken)) / lease.rate)
            if lease.debt > 0:  # lent while this batch was under way
                self._orders[key] = lease


def _share(level: float, order: _Order) -> int:
    return max(0, min(order.most, int(level)))


def _borrow(lease: _Lease, count: int, now: float) -> float | None:
    """Let requests go on although no batch came, at the key's own rate; they are paid back later."""
    lease.credit = min(float(max(lease.batch, count)), lease.credit + (now - lease.credit_at) * lease.rate)
    lease.credit_at = now
    if lease.credit < count:
        return (count - lease.credit) / lease.rate
    lease.credit -= count
    lease.debt += count
    return None


def _bucket(connection: Connection, key: int) -> tuple[float, datetime] | None:
    chosen = select(allowances.c.tokens, allowances.c.filled_at).where(allowances.c.key_id == key)
    row = connection.execute(chosen.with_for_update()).one_or_none()
    return None if row is None else (row.tokens, row.filled_at)


def _new_bucket(connection: Connection, key: int, limit: int, now: datetime) -> tuple[float, datetime] | None:
    """A full bucket; None when there is no such key."""
    # The row of the key is locked first: of two processes that make the bucket, the second finds it made.
    if connection.execute(select(keys.c.id).where(keys.c.id == key).with_for_update()).one_or_none() is None:
        return None
    found = _bucket(connection, key)
    if found is None:
        connection.execute(insert(allowances).values(key_id=key, tokens=float(limit), filled_at=now))
    return found or (float(limit), now)

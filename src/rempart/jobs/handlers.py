"""What does jobs of a kind, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from rempart.clock import Clock
from rempart.jobs import leases
from rempart.jobs.leases import Lease
from rempart.jobs.outbox import check_kind
from rempart.store import Store

LONGEST_LEASE_SECONDS = 3600.0
_BEATS_IN_A_LEASE = 3

Payload = TypeVar("Payload", bound=msgspec.Struct)


class LeaseLostError(Exception):
    """The job was cancelled, or its lease ran out and another worker has it: a signal that ends the handler."""


class Work(Generic[Payload]):
    """One attempt at a job, as its handler sees it.

    Attributes:
        id: the number of the job, the same in every attempt: a key for effects outside, so that they happen once.
        attempt: which attempt this is, from 1.
        payload: what was enqueued.
        store: the database.
    """

    def __init__(self, store: Store, lease: Lease, payload: Payload, lease_seconds: float, clock: Clock) -> None:
        self.store = store
        self.payload = payload
        self.id = lease.job
        self.attempt = lease.attempt
        self.is_finished = False
        self._lease = lease
        self._length = timedelta(seconds=lease_seconds)
        self._clock = clock
        self._beaten = clock()

    def __repr__(self) -> str:
        return f"<Work {self._lease.kind} {self.id}, attempt {self.attempt}>"

    @property
    def actor(self) -> str:
        """In whose name its handler acts."""
        return f"job:{self.id}"

    def heartbeat(self) -> None:
        """Say that the work goes on. Call it as often as you like, and not within a transaction of your own.

        The database is asked when a third of the lease has passed since it was last.

        Raises:
            LeaseLostError: the job was cancelled, or the lease ran out and another worker has taken it: stop.
            StoreError: the database cannot be used.
        """
        now = self._clock()
        if timedelta() <= now - self._beaten < self._length / _BEATS_IN_A_LEASE:
            return
        with self.store.write() as connection:
            if not leases.extend(connection, self._lease, self._clock() + self._length):
                raise LeaseLostError
        self._beaten = now

    @contextmanager
    def finishing(self) -> Iterator[Connection]:
        """A writing transaction in which the job ends: what is written in it is kept exactly once.

        Use it once, at the end, for effects inside the database. A handler that has none simply returns.

        Raises:
            LeaseLostError: the job was cancelled, or another worker has taken it; nothing is written.
            StoreError: the database cannot be used.
        """
        with self.store.write() as connection:
            if not leases.finish(connection, self._lease, self._clock()):
                raise LeaseLostError
            yield connection
        self.is_finished = True


@dataclass(frozen=True)
class Handler(Generic[Payload]):
    """What does jobs of one kind.

    A job is delivered *at least* once: a worker may be killed between the effect and the note that it is done. The
    function therefore does nothing twice, by :meth:`Work.finishing` for effects in the database, and by a key made of
    :attr:`Work.id` for those outside. It returns when the job is done; whatever it raises is a failed attempt.

    Attributes:
        kind: which jobs.
        payload_type: what their payload is read as.
        function: does one.
        lease_seconds: how long it may take from one heartbeat to the next, 1 second to 1 hour. As long, and no longer,
            the job waits for another worker when the first is killed.

    Raises:
        ValueError: the kind or the length of the lease cannot be.
    """

    kind: str
    payload_type: type[Payload]
    function: Callable[[Work[Payload]], None]
    lease_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_kind(self.kind)
        if not 1 <= self.lease_seconds <= LONGEST_LEASE_SECONDS:
            raise ValueError(f"a lease lasts 1 to {LONGEST_LEASE_SECONDS:.0f} seconds, not {self.lease_seconds}")

"""Jobs about nothing, for tests of the outbox: parcels, a clock that the test turns, and workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from rempart.jobs import Handler, Job, Work, Worker, get_job
from rempart.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = 60.0


class Parcel(msgspec.Struct):
    """What the jobs of these tests are about."""

    number: int = 0


class Hands:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """What it shows."""
        return self.now

    def turn(self, **by: float) -> None:
        """Turn it, forward or back."""
        self.now += timedelta(**by)


def worker(store: Store, clock: Hands, function: Callable[[Work[Parcel]], None], **options: object) -> Worker:
    """A worker that does parcels; failed ones come again after the longest time."""
    handler = Handler("parcel", Parcel, function, LEASE)
    return Worker(store, {"parcel": handler}, clock=clock, share=lambda: 1.0, **options)


def job(store: Store, number: int) -> Job:
    """A job that exists."""
    found = get_job(store, number)
    assert found is not None
    return found


def nothing(_: Work[Parcel]) -> None:
    """A handler that has nothing to do."""


def fail(_: Work[Parcel]) -> None:
    """A handler that has no luck."""
    raise ConnectionError("https://host/secret")

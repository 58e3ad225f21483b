"""What unit tests share: an empty database, and for those of jobs a clock and a way to make jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.stores import Place
from tests.unit.parcels import Hands, Parcel

from rempart.jobs import enqueue
from rempart.store import Store


@pytest.fixture
def clock() -> Hands:
    """The time."""
    return Hands()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database in SQLite."""
    with Place(tmp_path / "data").open() as opened:
        yield opened


@pytest.fixture
def put(store: Store, clock: Hands) -> Callable[..., int]:
    """Enqueue a job of kind ``parcel`` and give its number."""

    def enqueued(number: int = 0, **options: object) -> int:
        with store.write() as connection:
            made = enqueue(connection, "parcel", Parcel(number), clock=clock, **options)
        assert made is not None
        return made

    return enqueued

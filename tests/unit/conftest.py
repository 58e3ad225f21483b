"""What tests of jobs share: an empty database, a clock, and a way to make jobs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.parcels import Hands, Parcel

from rempart.jobs import enqueue
from rempart.store import Store, open_store


@pytest.fixture
def clock() -> Hands:
    """The time."""
    return Hands()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty database, which takes longer to make than to copy."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    open_store(folder).close()
    return folder


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    with open_store(shutil.copytree(empty, tmp_path / "data")) as opened:
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

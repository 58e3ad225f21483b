"""What many tests share: the outside data, drawn pictures, and how far two hashes are apart."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

# Read when numpy is imported. As the decoding children and the service have it: threads for small matrices only wait.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.stores import Cluster, Place, Postgres, reason_to_skip, server_programs

from rempart.store import Store, sqlite

# A shell has what it starts in the background ignore Ctrl-C, and whatever that starts too: tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of outside pictures and reference values."""
    folder = os.environ.get("REMPART_TEST_DATA", "")
    if not folder:
        pytest.skip("REMPART_TEST_DATA is not set: it names the folder of outside test data")
    return Path(folder)


@pytest.fixture(scope="session")
def lighthouse() -> Draw:
    """A function that draws a lighthouse: ``lighthouse((width, height), seed)``, another picture for each seed."""
    return _lighthouse


@pytest.fixture(scope="session")
def saved() -> Callable[..., bytes]:
    """A function that gives a picture's file content: ``saved(image, format, **options of Pillow)``."""
    return _saved


@pytest.fixture(scope="session")
def distance() -> Callable[[bytes, bytes], int]:
    """A function that counts the bits in which two hashes differ."""
    return lambda one, other: (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of the tests: ``with postgres.database() as settings``."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of the test's own: ``cluster.settings``, ``cluster.kill()``, ``cluster.start()``."""
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: initdb is missing")
    with Cluster(programs) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place of a database of the test's own, in turn of each kind: ``with stores.open() as store``.

    ``stores.environ`` has commands use it, ``stores.folder`` is its data folder and ``stores.dialect`` its kind.
    """
    if request.param == "sqlite":
        place = Place(tmp_path / "data")
        place.make()
        yield place
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as settings:
        yield Place(tmp_path / "data", settings)


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits in SQLite do not wait for the disk: for tests with hundreds of them, in which nobody pulls the plug."""
    monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, "PRAGMA synchronous = OFF"))


@pytest.fixture
def store(stores: Place) -> Iterator[Store]:
    """An empty database of the test's own, in turn of each kind."""
    with stores.open() as opened:
        yield opened


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _lighthouse(size: tuple[int, int] = (320, 240), seed: int = 0) -> Image.Image:
    """A lighthouse on rocks by the sea, under clouds and stars, all placed by ``seed``; PDQ quality 100."""
    width, height = size
    random = np.random.default_rng(seed)
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    horizon = int(height * random.uniform(0.55, 0.7))
    night, dusk = random.integers(0, 120, 3), random.integers(120, 250, 3)
    for row in range(height):
        share = row / height
        draw.line((0, row, width, row), tuple(int(a + (b - a) * share) for a, b in zip(night, dusk, strict=True)))
    for _ in range(40):  # clouds and stars
        x, y = random.uniform(0, width), random.uniform(0, horizon)
        wide, high = random.uniform(0.01, 0.15) * width, random.uniform(0.01, 0.06) * height
        draw.ellipse((x - wide, y - high, x + wide, y + high), tuple(map(int, random.integers(0, 256, 3))))
    for _ in range(60):  # waves
        x, y = random.uniform(-0.1, 1) * width, random.uniform(horizon, height)
        long, high = random.uniform(0.02, 0.3) * width, random.uniform(0.005, 0.04) * height
        draw.rectangle((x, y, x + long, y + high), tuple(map(int, random.integers(0, 256, 3))))
    left, right = sorted(random.uniform(0.15, 0.85, 2) * width)
    middle, half = (left + right) / 2, width * random.uniform(0.05, 0.09)
    top, foot = height * random.uniform(0.12, 0.25), height * random.uniform(0.75, 0.9)
    bands = int(random.integers(5, 9))
    edges = np.linspace(top, foot, bands + 1)
    for band, (upper, lower) in enumerate(pairwise(edges)):
        draw.rectangle((middle - half, upper, middle + half, lower), (200, 20, 30) if band % 2 else (250, 250, 245))
    draw.rectangle((middle - half * 1.3, top - height * 0.05, middle + half * 1.3, top), (20, 20, 30))
    draw.ellipse((middle - half / 2, top - height * 0.1, middle + half / 2, top), (255, 240, 120))
    for _ in range(12):  # rocks
        x = middle + random.normal() * width * 0.15
        wide, high = random.uniform(0.02, 0.1) * width, random.uniform(0.02, 0.1) * height
        draw.ellipse((x - wide, foot - high, x + wide, foot + high), (int(random.integers(20, 110)),) * 3)
    return image

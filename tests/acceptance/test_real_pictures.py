"""Real pictures against reference values, and the worst files that decoders have met."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, hash_image, hash_images, pdq
from rempart.hashing.pdq import TURNS, coefficients, downsample, turned

Distance = Callable[[bytes, bytes], int]

SURE = 50  # quality from which a hash is relied on


def hashed(path: Path) -> Hashed:
    """The hashes of a file that must be readable."""
    outcome = hash_image(path)
    assert isinstance(outcome, Hashed)
    assert outcome.status == "hashed"
    return outcome


def test_reference_hashes_of_arrays_are_met_to_the_bit(data: Path, distance: Distance) -> None:
    """The same RGB array, decoded by Pillow: 0 bits and the same quality."""
    expected = json.loads((data / "pdq" / "expected.json").read_text(encoding="utf-8"))["files"]
    assert len(expected) > 20
    for name, reference in expected.items():
        with Image.open(data / "pdq" / name) as image:
            value = pdq(np.asarray(image.convert("RGB") if image.mode not in ("RGB", "L") else image))
        assert distance(value.hash, bytes.fromhex(reference["pdq"])) == 0, name
        assert value.quality == reference["quality"], name


def test_reference_hashes_of_files_are_met_within_8_bits(data: Path, distance: Distance) -> None:
    """Through the quick JPEG path; at most one file is more than 2 bits away."""
    expected = json.loads((data / "pdq" / "expected.json").read_text(encoding="utf-8"))["files"]
    sure = {name: reference for name, reference in expected.items() if reference["quality"] >= SURE}
    apart = {}
    for name, reference in sure.items():
        apart[name] = distance(bytes.fromhex(hashed(data / "pdq" / name).pdq), bytes.fromhex(reference["pdq"]))
    assert max(apart.values()) <= 8
    assert sum(bits > 2 for bits in apart.values()) <= 1


def test_one_picture_in_thirteen_modes_has_one_hash(data: Path, distance: Distance) -> None:
    """Within 8 bits of the RGB original; one bit for each pixel is too few for that."""
    folder = data / "pdq" / "modes"
    original = bytes.fromhex(hashed(folder / "original.jpg").pdq)
    others = [path for path in sorted(folder.iterdir()) if path.suffix != ".md" and path.stem not in ("1", "original")]
    assert len(others) == 12
    apart = {path.name: distance(bytes.fromhex(hashed(path).pdq), original) for path in others}
    assert max(apart.values()) <= 8, apart
    assert hashed(folder / "1.png").normalised == ("one_bit",)


@pytest.mark.parametrize("aspect", ["Landscape", "Portrait"])
def test_orientations_agree(aspect: str, data: Path, distance: Distance) -> None:
    """1 to 8 within 10 bits of one another; an invalid value, 0, counts as none."""
    found = [hashed(data / "exif-orientation" / f"{aspect}_{number}.jpg") for number in range(9)]
    values = [bytes.fromhex(one.pdq) for one in found[1:]]
    assert {(one.width, one.height) for one in found} == {(found[1].width, found[1].height)}
    assert max(distance(one, other) for one, other in combinations(values, 2)) <= 10
    assert [one.normalised for one in found] == [(), (), *((f"exif_orientation_{number}",) for number in range(2, 9))]


def test_turned_copies_are_found_among_the_turned_variants(data: Path, distance: Distance) -> None:
    """The eight files of one bridge, each against the eight hashes of the first."""
    folder = data / "pdq" / "dih"
    with Image.open(folder / "bridge-1-original.jpg") as image:
        corner = coefficients(downsample(np.asarray(image)))
    variants = {**turned(corner), "full": pdq(np.asarray(Image.open(folder / "bridge-1-original.jpg"))).hash}
    hits = set()
    for path in sorted(folder.iterdir()):
        value = bytes.fromhex(hashed(path).pdq)
        name, bits = min(((name, distance(value, one)) for name, one in variants.items()), key=lambda hit: hit[1])
        assert bits <= 16, path.name
        hits.add(name)
    assert hits == {"full", *TURNS}


def test_bombs_of_other_kinds_end_in_a_verdict(data: Path) -> None:
    """Dimensions, text and alpha that unpack to much."""
    folder = data / "provenance" / "other"
    names = ["bomb-dimensions-60000.png", "bomb-zTXt-48MiB.png", "bomb-stealth-64MiB.png"]
    outcomes = dict(hash_images([folder / name for name in names]))
    assert outcomes[folder / names[0]].reason is Reason.TOO_MANY_PIXELS
    assert all(outcome.sha256 is not None for outcome in outcomes.values())


@pytest.fixture(scope="session")
def pillow_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pillow's own test images, of its source distribution; downloaded once into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rempart-tests"
    archive = cache / "pillow-13.0.0.tar.gz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "pillow", "--dest", cache]
        try:
            subprocess.run([*command, "pillow==13.0.0"], check=True, capture_output=True, timeout=120)
        except (subprocess.SubprocessError, OSError):
            pytest.skip("the package registry gave no source distribution of pillow 13.0.0 within 120 s")
    folder = tmp_path_factory.mktemp("pillow")
    with tarfile.open(archive) as tar:
        images = [member for member in tar if "/Tests/images/" in member.name]
        tar.extractall(folder, members=images, filter="data")
    return folder / "pillow-13.0.0" / "Tests" / "images"


def test_every_test_image_of_pillow_is_hashed_or_has_a_reason(pillow_images: Path) -> None:
    """Crashers, time-outs, memory eaters and a thousand good pictures in one run."""
    count = sum(len(names) for _, _, names in os.walk(pillow_images))
    command = [str(Path(sys.executable).with_name("rempart")), "hash", pillow_images]
    result = subprocess.run(command, capture_output=True, check=False, timeout=280)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    statuses = Counter(row["status"] for row in rows)
    assert result.returncode == 3
    assert len(rows) == count
    assert statuses["hashed"] >= 840
    assert all(row["status"] == "hashed" or row["reason"] for row in rows)
    assert not {row["reason"] for row in rows} & {"crash", "timeout"}
    assert all(row["sha256"] for row in rows if row["reason"] != "empty")

"""The rough look at large JPEGs: how many copies it loses at which margin, and how much sooner it is done.

The pictures of the base corpus are small, so each is first enlarged until its shorter side has 1400, 2000 or 2800
pixels in turn, and given the noise of a sensor. Copies of it are hashed exactly and looked at roughly. A copy is lost
when it is within the radius by its exact hashes and beyond radius and margin by the rough ones. The margin is chosen on
one half of the pictures; the table is of the other.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from alterations import ALTERATIONS, jpeg, noisy
from corpus import base_corpus, read_originals
from PIL import Image

from rempart.hashing import PictureHash
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.hashing.scaled import FACTORS, Approximate, approximate
from rempart.matching.bank import DEFAULT_QUALITY_FLOOR, DEFAULT_RADIUS
from rempart.matching.prefilter import DEFAULT_MARGIN
from rempart.settings import MediaSettings

SHORTER_SIDES = (1400, 2000, 2800)
MARGINS = (0, 4, 8, 16)
COPIES = (
    *("resized to 3/4", "resized to 1/2", "JPEG 30", "cropped by 5%", "cropped by 10%"),
    *("caption over the picture", "watermark", "white border, 5%"),
)
MOST_LOST = 0.001
SENSOR_NOISE = 4.0
PHOTOGRAPHS = ("pdq", "provenance", "exif-orientation")
SETTINGS = MediaSettings()
OPTIONS = HashOptions()


class Copy(NamedTuple):
    """One altered copy: which, at what part of its size it was looked at (1: not at all), and its distances in bits."""

    alteration: str
    factor: int
    exact: int
    rough: int
    quality_drift: int


def main() -> int:
    """Run both parts; 1 when the default margin loses more than it may on the half that it was chosen on."""
    parser = argparse.ArgumentParser(
        description="Measure what the rough look at large JPEGs loses and gains.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/prefilter.py --pictures 60",
    )
    parser.add_argument("--pictures", type=int, default=200, help="pictures, both halves (default: %(default)s)")
    options = parser.parse_args()
    archive = base_corpus()
    if archive is None:
        parser.error("REMPART_TEST_DATA names no folder with images/base3250.tar")
    if options.pictures < len(SHORTER_SIDES) * 2:
        parser.error(f"--pictures is at least {len(SHORTER_SIDES) * 2}")
    gains(archive.parents[1])
    contents = [one.content for one in read_originals(archive, options.pictures)]
    chosen_on, told_of = (list(copies(contents[half::2], name)) for half, name in enumerate(("chosen on", "told of")))
    margin = least_margin(chosen_on)
    lost = losses(chosen_on, DEFAULT_MARGIN) / max(1, len(hits(chosen_on)))
    print(
        f"\non {len(hits(chosen_on)):,} copies of one half: at most {MOST_LOST:.1%} lost from a margin of {margin} on,"
    )
    print(f"{lost:.2%} at the default of {DEFAULT_MARGIN}. The other half:\n")
    table(told_of)
    return 0 if lost <= MOST_LOST else 1


def gains(folder: Path) -> None:
    """Time of exact and rough hashes, digests included, over the large photographs of the outside data."""
    once = list(photographs(folder))
    print("one core, in this process: medians\n")
    print("| photographs | looked at in | number | exact, ms | rough, ms | times the files | bits off | at the most |")
    print("|---|---|---|---|---|---|---|---|")
    for name, contents in (("as they are", once), ("enlarged twofold", map(twofold, once[::3]))):
        rows: dict[int, list[tuple[float, float, int]]] = {}
        for content in contents:
            rough = _look(content)
            if rough is None:
                continue
            exact = hash_content(content, SETTINGS, OPTIONS)
            off = distance(exact.hashes[:1], rough.hashes[:1])
            pairs = [(spent(hash_content, content, SETTINGS, OPTIONS), spent(_look, content)) for _ in range(5)]
            rows.setdefault(rough.factor, []).append((*min(pairs), off))
        for factor, own in sorted(rows.items()):
            exact_ms, rough_ms = (statistics.median(row[at] for row in own) * 1e3 for at in (0, 1))
            ratio = statistics.median(row[0] / row[1] for row in own)
            off, most = statistics.median(row[2] for row in own), max(row[2] for row in own)
            start = f"| {name} | 1/{factor} | {len(own)} | {exact_ms:.1f} | {rough_ms:.1f} "
            print(f"{start}| {ratio:.2f} | {off:.0f} | {most} |")


def twofold(content: bytes) -> bytes:
    """A photograph of four times the pixels."""
    with Image.open(io.BytesIO(content)) as image:
        size = (image.width * 2, image.height * 2)
        large = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        return jpeg(noisy(large, SENSOR_NOISE, np.random.default_rng(1)))


def copies(contents: Sequence[bytes], half: str) -> Iterator[Copy]:
    """All copies of all pictures, hashed both ways."""
    rng = np.random.default_rng(1)
    for number, content in enumerate(contents):
        if number % 10 == 0:
            print(f"{half}: {number} of {len(contents)}", file=sys.stderr)
        with Image.open(io.BytesIO(content)) as small:
            times = SHORTER_SIDES[number % len(SHORTER_SIDES)] / min(small.size)
            size = (round(small.width * times), round(small.height * times))
            large = noisy(small.convert("RGB").resize(size, Image.Resampling.LANCZOS), SENSOR_NOISE, rng)
        banked = comparable(hash_content(jpeg(large), SETTINGS, OPTIONS).hashes)
        if not banked:
            continue
        for name in COPIES:
            file = ALTERATIONS[name](large, rng)
            exact = hash_content(file, SETTINGS, OPTIONS)
            rough = approximate(file, SETTINGS, with_turned=False)
            if not comparable(exact.hashes):
                continue
            nearest = distance(banked, comparable(exact.hashes))
            if rough is None:
                yield Copy(name, 1, nearest, nearest, 0)
            else:
                drift = rough.quality - exact.quality
                yield Copy(name, rough.factor, nearest, distance(banked, rough.hashes), drift)


def table(rows: Sequence[Copy]) -> None:
    """The share of copies within the radius that is lost, by alteration and by scale."""
    print("| copy | within 31 bits | looked at roughly |" + "".join(f" lost at {margin} |" for margin in MARGINS))
    print("|---|---|---|" + "---|" * len(MARGINS))
    groups = {name: [row for row in rows if row.alteration == name] for name in COPIES}
    groups |= {f"all at 1/{factor}": [row for row in rows if row.factor == factor] for factor in FACTORS}
    groups["all"] = list(rows)
    for name, group in groups.items():
        found = hits(group)
        cells = (f" {losses(group, margin) / max(1, len(found)):.2%} |" for margin in MARGINS)
        print(
            f"| {name} | {len(found):,} of {len(group):,} | {sum(row.factor > 1 for row in group):,} |" + "".join(cells)
        )
    drifts = [row.quality_drift for row in rows if row.factor > 1]
    print(f"\nquality of the rough look beside the exact one: {min(drifts):+} to {max(drifts):+}")


def hits(rows: Sequence[Copy]) -> list[Copy]:
    """The copies that exact hashing finds."""
    return [row for row in rows if row.exact <= DEFAULT_RADIUS]


def losses(rows: Sequence[Copy], margin: int) -> int:
    """How many of these the rough look loses."""
    return sum(row.rough > DEFAULT_RADIUS + margin for row in hits(rows))


def least_margin(rows: Sequence[Copy]) -> int:
    """The least margin that loses no more than it may."""
    return next(margin for margin in range(64) if losses(rows, margin) <= MOST_LOST * len(hits(rows)))


def comparable(hashes: Sequence[PictureHash]) -> list[PictureHash]:
    """Those that banks take and compare."""
    return [one for one in hashes if one.quality >= DEFAULT_QUALITY_FLOOR]


def distance(some: Sequence[PictureHash], others: Sequence[PictureHash]) -> int:
    """Bits between the nearest two."""
    return min((int.from_bytes(one.hash) ^ int.from_bytes(other.hash)).bit_count() for one in some for other in others)


def photographs(folder: Path) -> Iterator[bytes]:
    """The JPEG files of the outside data that are not of the corpus and can be looked at roughly."""
    for name in PHOTOGRAPHS:
        for path in sorted((folder / name).rglob("*.jp*g")):
            content = path.read_bytes()
            if _look(content) is not None:
                yield content


def spent(function: Callable[..., object], *arguments: object) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def _look(content: bytes) -> Approximate | None:
    return approximate(content, SETTINGS, with_turned=False)


if __name__ == "__main__":
    sys.exit(main())

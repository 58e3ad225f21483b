"""What the variants of a picture cost, and how often they hit a stranger, beside one plain hash a picture.

Three sets of hashes are measured: the full frame alone, which is plain PDQ; the default (full and trimmed frame, both
also enlarged when small); and all, turned ones included. Answers are checked against faiss.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import NamedTuple

import faiss
import msgspec
import numpy as np
import numpy.typing as npt
import pdqhash
from corpus import SEED, Original, base_corpus, read_originals
from PIL import Image

from rempart.cli.progress import progress
from rempart.hashing import HASH_BYTES, Hashed, PictureHash
from rempart.hashing.hashed import FULL
from rempart.hashing.isolated import HashOptions, frame_hashes, hash_content
from rempart.hashing.pdq import pdq
from rempart.matching import Bank, HashIndex, Matcher, PdqRows
from rempart.matching.bank import DEFAULT_RADIUS, UNKNOWN_QUALITY
from rempart.media.decode import Picture
from rempart.settings import MediaSettings

Table = npt.NDArray[np.uint8]
Row = dict[str, float]
Wanted = Callable[[PictureHash], bool]

BITS, ONES = 256, 128
"""Of a PDQ hash: the ones are as many as the zeros, for they lie above the median."""
CONFIDENCE = 0.95
FARTHEST = 63
SHUFFLED_AT_ONCE = 10_000
CHECKED = 50
LARGE = 100
"""From here on figures are shown without decimals."""
SETTINGS = MediaSettings()


class Asked(NamedTuple):
    """A set of hashes that a picture is asked by, and those that are banked of it."""

    asked: Wanted
    banked: Wanted


def _upright(one: PictureHash) -> bool:
    return "+" not in one.variant


SETS = {
    "full frame only": Asked(lambda one: one.variant == FULL, lambda one: one.variant == FULL),
    "default": Asked(_upright, _upright),
    "with turned": Asked(lambda _: True, _upright),
}


def measure(originals: Sequence[Original], rows: int, rounds: int) -> tuple[dict[str, Row], bool]:
    """All figures, a row for each with a value for each set; and whether all answers agree with faiss."""
    pictures = []
    with progress("hashing", len(originals)) as advance:
        for original in originals:
            pictures.append(hash_content(original.content, SETTINGS, HashOptions(turned=True)))
            advance(1)
    rng = np.random.default_rng(SEED)
    figures: dict[str, Row] = {"hashes a picture": {name: count_of(pictures, name) for name in SETS}}
    times, ratios = hashing_times(originals, rounds)
    figures["hashing of a decoded picture, us"] = times
    figures["pdqhash, one hash: times as long"] = ratios
    random = random_hashes(rows, rng)
    crowd = crowded(pictures, random)
    figures[f"match among {rows:,} hashes, us"] = matching_times(pictures, crowd, rounds)
    figures |= strangers(pictures)
    figures |= random_hits(pictures, random)
    return figures, agrees(pictures, crowd)


def of_set(picture: Hashed, name: str) -> Hashed:
    """The picture as it is asked by the hashes of a set."""
    kept = tuple(one for one in picture.hashes if SETS[name].asked(one))
    return msgspec.structs.replace(picture, hashes=kept)


def count_of(pictures: Sequence[Hashed], name: str) -> float:
    """Hashes a picture, on average."""
    return statistics.fmean(len(of_set(picture, name).hashes) for picture in pictures)


def hashing_times(originals: Sequence[Original], rounds: int) -> tuple[Row, Row]:
    """Microseconds to hash a decoded picture, and how many times longer pdqhash takes; new pictures in each round."""
    ways: dict[str, Callable[[Table], object]] = {
        "full frame only": pdq,
        "default": lambda grey: list(frame_hashes(grey, 0, with_turned=False)),
        "with turned": lambda grey: list(frame_hashes(grey, 0, with_turned=True)),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for part in parts(originals, rounds):
        colours = [np.asarray(Image.open(io.BytesIO(original.content)).convert("RGB")) for original in part]
        peer = seconds(pdqhash.compute, colours) / len(part) * 1e6
        greys = [next(iter(Picture(original.content, SETTINGS))) for original in part]
        for name, way in ways.items():
            ours = seconds(way, greys) / len(part) * 1e6
            times[name].append(ours)
            ratios[name].append(peer / ours)
    return medians(times), medians(ratios)


def matching_times(pictures: Sequence[Hashed], crowd: PdqRows, rounds: int) -> Row:
    """Microseconds for the verdict on a hashed picture, which is in the bank; medians, new pictures in each round."""
    bank = Bank("CROWD", pdq=crowd, turned=True)
    matcher = Matcher([bank])
    times: dict[str, list[float]] = {name: [] for name in SETS}
    for part in parts(pictures, rounds):
        for name, spent in times.items():
            spent.append(seconds(matcher.match, [of_set(picture, name) for picture in part]) / len(part) * 1e6)
    return medians(times)


def strangers(pictures: Sequence[Hashed]) -> dict[str, Row]:
    """How often a picture hits another one of the corpus, all pairs."""
    pairs = len(pictures) * (len(pictures) - 1)
    counts, shares, nearest = {}, {}, {}
    for name, (asked, banked) in SETS.items():
        index = HashIndex.build(*table(pictures, banked))
        hashes, owners = table(pictures, asked)
        hits = index.query_many(hashes, FARTHEST)
        askers = np.repeat(owners, np.diff(hits.offsets))
        other = askers != hits.ids
        near = other & (hits.distances <= DEFAULT_RADIUS)
        counts[name] = len(np.unique(askers[near] * len(pictures) + hits.ids[near]))
        shares[name] = upper_bound(counts[name], pairs)
        nearest[name] = int(hits.distances[other].min(initial=FARTHEST))
    return {
        f"strangers within {DEFAULT_RADIUS} bits, of {pairs:,} pairs": counts,
        "the same as a share, at most": shares,
        "nearest strangers, bits": nearest,
    }


def random_hits(pictures: Sequence[Hashed], random: Table) -> dict[str, Row]:
    """How often a picture hits uniformly random hashes."""
    index = HashIndex.build(random)
    counts, bounds, exact = {}, {}, {}
    near = sum(comb(ONES, moved) ** 2 for moved in range(DEFAULT_RADIUS // 2 + 1)) / comb(BITS, ONES)
    for name, (asked, _) in SETS.items():
        hashes, _ = table(pictures, asked)
        counts[name] = len(index.query_many(hashes, DEFAULT_RADIUS).ids)
        a_million = 1e6 * len(hashes) / len(pictures)
        bounds[name] = upper_bound(counts[name], len(hashes) * len(random)) * a_million
        exact[name] = near * a_million
    return {
        f"hits among {len(random):,} random hashes": counts,
        "hits a picture in a million random hashes, at most": bounds,
        "the same, calculated": exact,
    }


def upper_bound(seen: int, tried: int) -> float:
    """The rate that is not exceeded with 95% confidence, trials being independent (Poisson, exact)."""
    low, high = 0.0, seen + 10 * (seen + 10) ** 0.5
    for _ in range(60):
        mean = (low + high) / 2
        term = total = np.exp(-mean)
        for count in range(1, seen + 1):
            term *= mean / count
            total += term
        low, high = (mean, high) if total > 1 - CONFIDENCE else (low, mean)
    return high / tried


def agrees(pictures: Sequence[Hashed], crowd: PdqRows) -> bool:
    """Whether the index gives the answers of faiss for all hashes of some pictures."""
    hashes, _ = table(pictures[:CHECKED], SETS["with turned"].asked)
    ours = HashIndex.build(crowd.hashes, crowd.entries).query_many(hashes, DEFAULT_RADIUS)
    flat = faiss.IndexBinaryFlat(BITS)
    flat.add(crowd.hashes)
    limits, distances, rows = flat.range_search(hashes, DEFAULT_RADIUS + 1)
    return all(
        dict(zip(ours.ids[mine].tolist(), ours.distances[mine].tolist(), strict=True))
        == nearest(crowd.entries[rows[theirs]].tolist(), distances[theirs].tolist())
        for mine, theirs in zip(slices(ours.offsets), slices(limits), strict=True)
    )


def nearest(entries: Sequence[int], distances: Sequence[int]) -> dict[int, int]:
    """The distance of each entry's nearest hash."""
    return dict(sorted(zip(entries, distances, strict=True), key=lambda hit: -hit[1]))


def slices(offsets: npt.NDArray[np.integer]) -> Iterator[slice]:
    """From one offset to the next."""
    return map(slice, offsets[:-1].tolist(), offsets[1:].tolist())


def table(pictures: Sequence[Hashed], wanted: Wanted) -> tuple[Table, npt.NDArray[np.int64]]:
    """Their hashes that are wanted, and the number of the picture of each."""
    rows = [(one.hash, number) for number, picture in enumerate(pictures) for one in picture.hashes if wanted(one)]
    hashes, numbers = zip(*rows, strict=True)
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES), np.array(numbers, np.int64)


def random_hashes(count: int, rng: np.random.Generator) -> Table:
    """Uniformly random hashes with as many ones as zeros."""
    bits = np.tile(np.arange(BITS, dtype=np.uint8) % 2, (SHUFFLED_AT_ONCE, 1))
    hashes = np.empty((count, HASH_BYTES), np.uint8)
    for start in range(0, count, SHUFFLED_AT_ONCE):
        part = hashes[start : start + SHUFFLED_AT_ONCE]
        part[:] = np.packbits(rng.permuted(bits[: len(part)], axis=1), axis=1)
    return hashes


def crowded(pictures: Sequence[Hashed], random: Table) -> PdqRows:
    """The banked hashes of the pictures in a crowd of random ones, as many rows as there are random hashes."""
    hashes, numbers = table(pictures, _upright)
    hashes, numbers = hashes[: len(random)], numbers[: len(random)]
    strangers = np.arange(len(pictures), len(pictures) + len(random) - len(hashes))
    return PdqRows(
        np.concatenate([hashes, random[: len(strangers)]]),
        np.concatenate([numbers, strangers]) + 1,
        np.full(len(random), UNKNOWN_QUALITY, np.int16),
    )


def parts(items: Sequence[object], count: int) -> Iterator[Sequence[object]]:
    """The items in so many parts, each from all over them."""
    return (items[start::count] for start in range(count))


def medians(measured: dict[str, list[float]]) -> Row:
    """The median of each."""
    return {name: statistics.median(values) for name, values in measured.items()}


def seconds(way: Callable[[object], object], items: Sequence[object]) -> float:
    """Time for all of them, after one to warm up."""
    way(items[0])
    start = time.perf_counter()
    for item in items:
        way(item)
    return time.perf_counter() - start


def as_markdown(figures: dict[str, Row]) -> str:
    """A table with a column for each set."""
    lines = [f"| | {' | '.join(SETS)} |", f"|---|{'---|' * len(SETS)}"]
    for name, row in figures.items():
        cells = (
            f"{value:,.0f}" if isinstance(value, int) or value >= LARGE else f"{value:.3g}" for value in row.values()
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 if answers disagree, 2 without the outside data."""
    parser = argparse.ArgumentParser(
        description="Cost and false hits of the variants of a picture, on one thread.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/variants.py --pictures 300 --rows 100000",
    )
    parser.add_argument("--pictures", type=int, default=None, help="pictures of the corpus (default: all)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="hashes to look among (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="parts to time one by one (default: %(default)s)")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown", help="(default: %(default)s)")
    options = parser.parse_args()
    if min(options.rows, options.rounds) < 1 or (options.pictures or options.rounds) < options.rounds:
        parser.error("--rows and --rounds are at least 1, --pictures at least --rounds")
    archive = base_corpus()
    if archive is None:
        print("set REMPART_TEST_DATA to the folder that holds images/base3250.tar", file=sys.stderr)
        return 2
    faiss.omp_set_num_threads(1)
    figures, agree = measure(read_originals(archive, options.pictures), options.rows, options.rounds)
    print(json.dumps(figures, indent=1) if options.format == "json" else as_markdown(figures))
    print("all answers agree with faiss" if agree else "ANSWERS DISAGREE WITH FAISS", file=sys.stderr)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

"""Files a second: the decoding children on all cores beside one core that hashes in its own process.

Both take the same files by turns, a part of them a round, and every answer of the children is compared with that of the
process itself. So do as many processes as there are cores, each of which hashes its share by itself, isolated from
nothing: more than these reach no pool of children can, for cores share their caches and memory.

A machine that does other things meanwhile gives the children less than all its cores. So the same is also told by
processor time, which says what an idle machine would give: the loop's time times the cores, over the time of the
children and of their parent.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import contextlib
import io
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from alterations import jpeg, noisy
from corpus import base_corpus, read_originals
from PIL import Image

from rempart.hashing import Hashed, hash_images
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.settings import MediaSettings

TARGET = 1.8  # on two cores
SMALL_COPIES = 4
LARGE, LARGE_SIZE, LARGE_COPIES = 60, (1600, 1004), 10
SETTINGS = MediaSettings()
CORES = len(os.sched_getaffinity(0))


class Round(NamedTuple):
    """Seconds for one part of the files."""

    files: int
    loop: float
    loops: float
    loop_cpu: float
    pool: float
    parent_cpu: float
    children_cpu: float

    @property
    def ratio(self) -> float:
        """Of the children, by the clock."""
        return self.loop / self.pool

    @property
    def most(self) -> float:
        """Of the loops on all cores."""
        return self.loop / self.loops

    @property
    def cpu_ratio(self) -> float:
        """By processor time."""
        return CORES * self.loop_cpu / (self.parent_cpu + self.children_cpu)


def main() -> int:
    """Run both sizes; 1 if any answers disagree."""
    parser = argparse.ArgumentParser(
        description="Measure how many files a second the decoding children hash.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/throughput.py --rounds 5",
    )
    parser.add_argument("--rounds", type=int, default=13, help="parts to divide the files into (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=None, help="pictures of the corpus to take (default: all)")
    options = parser.parse_args()
    archive = base_corpus()
    if archive is None:
        parser.error("REMPART_TEST_DATA names no folder with images/base3250.tar")
    if options.rounds < 1 or (options.pictures is not None and options.pictures < 1):
        parser.error("--rounds and --pictures are at least 1")
    contents = [one.content for one in read_originals(archive, options.pictures)]
    print(f"{CORES} cores; medians of {options.rounds} rounds; target on two cores >= {TARGET}\n")
    print("| files | one core, /s | a loop a core | children, /s | ratio | by processor time | parent, us a file |")
    print("|---|---|---|---|---|---|---|")
    agree = True
    # Forked before there are threads.
    with multiprocessing.get_context("fork").Pool(CORES) as loops, tempfile.TemporaryDirectory() as folder:
        small = stored(Path(folder), "small", contents, SMALL_COPIES)
        large = stored(Path(folder), "large", enlarged(contents), LARGE_COPIES)
        for name, files in ((f"{len(small):,} of 300 px", small), (f"{len(large):,} of 1.6 MP", large)):
            rounds = [measure(files[at :: options.rounds], loops) for at in range(options.rounds)]
            agree &= all(same for _, same in rounds)
            print(row(name, [one for one, _ in rounds]))
    print("\nall hashes agree" if agree else "\nHASHES DISAGREE")
    return 0 if agree else 1


def row(name: str, rounds: Sequence[Round]) -> str:
    """One line of the table."""
    loop, pool = (statistics.median(one.files / getattr(one, side) for one in rounds) for side in ("loop", "pool"))
    ratio, most, by_cpu = (
        statistics.median(getattr(one, side) for one in rounds) for side in ("ratio", "most", "cpu_ratio")
    )
    parent = statistics.median(one.parent_cpu / one.files for one in rounds) * 1e6
    met = "met" if ratio >= TARGET else "MISSED"
    return f"| {name} | {loop:,.0f} | {most:.2f} | {pool:,.0f} | {ratio:.2f} ({met}) | {by_cpu:.2f} | {parent:.0f} |"


def measure(files: Sequence[Path], loops: Pool) -> tuple[Round, bool]:
    """One round: the loop, the loops, then the children; and whether they agree."""
    for _ in hash_images(files[: 4 * CORES]):  # start them
        pass
    clock = time.perf_counter()
    loops.map(hash_all, [files[core::CORES] for core in range(CORES)], chunksize=1)
    apart = time.perf_counter() - clock
    clock, cpu = time.perf_counter(), time.process_time()
    expected = [hash_one(file) for file in files]
    loop, loop_cpu = time.perf_counter() - clock, time.process_time() - cpu
    children = children_seconds()
    clock, cpu = time.perf_counter(), time.process_time()
    outcomes = [outcome for _, outcome in hash_images(files)]
    pool, parent_cpu = time.perf_counter() - clock, time.process_time() - cpu
    spent = children_seconds() - children
    agree = all(isinstance(one, Hashed) and one == other for one, other in zip(outcomes, expected, strict=True))
    return Round(len(files), loop, apart, loop_cpu, pool, parent_cpu, spent), agree


def hash_one(file: Path) -> Hashed:
    """In this process."""
    return hash_content(file.read_bytes(), SETTINGS, HashOptions())


def hash_all(files: Sequence[Path]) -> None:
    """A share of the files."""
    for file in files:
        hash_one(file)


def children_seconds() -> float:
    """Processor time of our living children so far; the loops do nothing meanwhile."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                total += int(status.with_name("schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    return total


def enlarged(contents: Sequence[bytes]) -> Iterator[bytes]:
    """JPEG files of 1.6 megapixels, with some noise so that there is something to decode."""
    rng = np.random.default_rng(1)
    for content in contents[:: max(1, len(contents) // LARGE)][:LARGE]:
        with Image.open(io.BytesIO(content)) as image:
            yield jpeg(noisy(image.convert("RGB").resize(LARGE_SIZE, Image.Resampling.LANCZOS), 4.0, rng), 85)


def stored(folder: Path, name: str, contents: Sequence[bytes] | Iterator[bytes], copies: int) -> list[Path]:
    """Files of these contents, each so many times, one after the other."""
    files = []
    for number, content in enumerate(contents):
        for copy in range(copies):
            path = folder / f"{name}-{copy}-{number:05}.jpg"
            path.write_bytes(content)
            files.append(path)
    return sorted(files)


if __name__ == "__main__":
    sys.exit(main())

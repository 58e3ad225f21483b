"""An index in a file: writing, opening, sharing between processes, two threads, changes, and compaction under queries.

The answers of the mapped index are compared with those of ``faiss``; everything runs in new processes, so that the
memory of one measurement is not taken for that of another.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from rempart.matching.index import HashIndex
from rempart.matching.segment import SMALL

MIB = 1 << 20
BATCH = 1 << 18
CHECKED = 200
Table = npt.NDArray[np.uint8]
Row = tuple[str, str, str]


def batches(rows: int) -> Iterator[tuple[Table, npt.NDArray[np.int64]]]:
    """The indexed hashes, uniform and random, made batch by batch: nobody ever holds them all."""
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        yield random_hashes(count, start + 1), np.arange(start, start + count)


def random_hashes(count: int, seed: int) -> Table:
    """Uniform random hashes."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def queries(rows: int, count: int, seed: int) -> Table:
    """Half of them random, half up to 40 bits from indexed ones."""
    rng = np.random.default_rng(seed)
    table = random_hashes(count, seed)
    near = random_hashes(min(BATCH, rows), 1)[rng.integers(0, min(BATCH, rows), count // 2)]
    bits = np.unpackbits(near, axis=1)
    for row in bits:
        row[rng.choice(256, rng.integers(0, 41), replace=False)] ^= 1
    table[: len(bits)] = np.packbits(bits, axis=1)
    return table


def load_compiled() -> None:
    """Have the compiled search in the cache before anything is timed."""
    HashIndex.build(random_hashes(SMALL + 1, 0)).query(bytes(32))


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def alone(function: Callable[..., list[Row]], *arguments: object) -> list[Row]:
    """Run a measurement in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def writing(path: Path, rows: int) -> list[Row]:
    """Build the file from a stream."""
    taken = seconds(lambda: HashIndex.build_file(path, batches(rows)))
    size = path.stat().st_size
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        ("build from a stream", f"{taken:.1f} s", "<= 60 s at 10 million"),
        ("size of the file", f"{size / rows:.0f} B a hash", "<= 300 at 10 million"),
        ("most memory while building", f"{most / size:.2f} of the file", "<= 2"),
    ]


def opening(path: Path, rows: int) -> list[Row]:
    """Open, verify, ask with one thread and with two, and compare with brute force."""
    times = [seconds(lambda: HashIndex.open(path)) for _ in range(9)]
    index = HashIndex.open(path)
    verified = seconds(index.verify)
    asked = queries(rows, 10_000, 5)
    index.query_many(asked[:100])
    one, two = [], []
    for round_ in range(5):
        fresh = queries(rows, 10_000, 100 + round_)
        first, second = (1, 2) if round_ % 2 else (2, 1)
        took = {
            threads: seconds(lambda threads=threads, fresh=fresh: index.query_many(fresh, threads=threads))
            for threads in (first, second)
        }
        one.append(took[1])
        two.append(took[2])
    single = [seconds(lambda value=value: index.query(value)) for value in asked[:1000]]
    gain = statistics.median(a / b for a, b in zip(one, two, strict=True))
    agree = all_agree(index, rows, asked[:: len(asked) // CHECKED])
    return [
        ("open", f"{statistics.median(times) * 1e3:.1f} ms", "<= 200 ms at 10 million"),
        ("verify every byte", f"{verified:.2f} s", ""),
        ("10,000 queries, one thread", f"{statistics.median(one) / 1e4 * 1e6:.0f} us a query", ""),
        ("two threads are quicker by", f"{gain:.2f}", ">= 1.7 on two idle cores"),
        ("one query at a time", f"{statistics.median(single) * 1e6:.0f} us", ""),
        (f"{CHECKED} answers equal to faiss", "yes" if agree else "NO", "yes"),
    ]


def all_agree(index: HashIndex, rows: int, asked: Table) -> bool:
    """Whether faiss finds the same when it compares with every hash."""
    wanted: list[set[tuple[int, int]]] = [set() for _ in asked]
    for hashes, ids in batches(rows):
        peer = faiss.IndexBinaryFlat(256)
        peer.add(hashes)
        limits, distances, found = peer.range_search(asked, 32)
        for query in range(len(asked)):
            at = slice(int(limits[query]), int(limits[query + 1]))
            wanted[query].update(zip((found[at] + ids[0]).tolist(), distances[at].tolist(), strict=True))
    return all(set(index.query(value)) == pairs for value, pairs in zip(asked, wanted, strict=True))


def memory() -> dict[str, int]:
    """What this process holds, in bytes: in all, its share of what is mapped, and what is its own."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    fields = {name: int(value.split()[0]) << 10 for name, value in (line.split(":") for line in lines)}
    return {"all": fields["Pss"], "mapped": fields["Pss_File"], "own": fields["Pss_Anon"]}


def serving(path: Path, rows: int, pipe: Any) -> None:  # noqa: ANN401 -- a connection of multiprocessing
    """One of several processes that map the file, and answer until all of it has been read."""
    index = HashIndex.open(path)
    index.verify()
    index.query_many(queries(rows, 2000, 9))
    pipe.send(None)
    pipe.recv()
    pipe.send(memory())
    pipe.recv()


def sharing(path: Path, rows: int) -> list[Row]:
    """Two processes that serve from the same file."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(2)]
    processes = [context.Process(target=serving, args=(path, rows, theirs)) for _, theirs in pairs]
    for process in processes:
        process.start()
    for step in ("both are ready", "both have told"):
        told = [ours.recv() for ours, _ in pairs]
        for ours, _ in pairs:
            ours.send(step)
    for process in processes:
        process.join()
    total, own = (sum(each[field] for each in told) for field in ("all", "own"))
    size = path.stat().st_size
    return [
        (
            "memory of two processes together",
            f"{total / MIB:,.0f} MiB; file {size / MIB:,.0f} MiB",
            "file + 2 x 220 MiB",
        ),
        ("of which their own, each", f"{own / 2 / MIB:.0f} MiB", "less than the map"),
    ]


def changing(path: Path, rows: int) -> list[Row]:
    """Additions, removals, and a compaction while queries go on."""
    index = HashIndex.open(path)
    fresh = random_hashes(200, 77)
    index.query(fresh[0])
    added = [seconds(lambda n=n: index.add(fresh[n : n + 1], [rows + n])) for n in range(100)]
    removed = [seconds(lambda n=n: index.remove([rows + n])) for n in range(50)]
    waits: list[float] = []
    done = threading.Event()

    def ask() -> None:
        asked = queries(rows, 2000, 6)
        while not done.is_set():
            waits.extend(seconds(lambda value=value: index.query(value)) for value in asked[:50])

    asking = threading.Thread(target=ask)
    asking.start()
    compacted = seconds(index.compact)
    done.set()
    asking.join()
    right = [len(index.query(value, 0)) for value in fresh[:100]] == [0] * 50 + [1] * 50
    index.close()
    waits.sort()
    return [
        ("add one hash, on the disk and found", f"{statistics.median(added) * 1e3:.1f} ms", "< 100 ms"),
        ("remove one", f"{statistics.median(removed) * 1e3:.1f} ms", "< 100 ms"),
        ("what was added is found, what was removed not", "yes" if right else "NO", "yes"),
        ("compaction, beside one thread of queries", f"{compacted:.1f} s", ""),
        ("a query meanwhile, median", f"{statistics.median(waits) * 1e6:.0f} us", ""),
        ("the slowest of 1,000 meanwhile", f"{waits[len(waits) * 999 // 1000] * 1e3:.1f} ms", ""),
    ]


def main() -> int:
    """Measure; 1 if any answer is not that of faiss."""
    parser = argparse.ArgumentParser(
        description="Measure an index in a file: writing, opening, sharing, changing.",
        epilog="example: python benchmarks/snapshots.py --rows 1000000",
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="hashes in the index (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="where the file is put; 300 bytes a hash (default: a temporary one)"
    )
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    load_compiled()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "hashes.index"
        print(f"{options.rows:,} hashes")
        good = True
        for part in (writing, opening, changing):
            good &= show(alone(part, path, options.rows))
        good &= show(sharing(path, options.rows))
    return 0 if good else 1


def show(rows: list[Row]) -> bool:
    """Print what was measured; whether nothing disagrees."""
    for what, value, target in rows:
        print(f"{what:44}{value:>34}   {target}", flush=True)
    return all(value != "NO" for _, value, _ in rows)


if __name__ == "__main__":
    sys.exit(main())

"""Radius search: rempart beside its peers, in one run, on one thread, with a check that all answers agree.

Every round asks new queries, so that nobody finds the memory of the last round still in the processor's cache, and the
ratios are medians of the ratios within a round, because machines drift.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
from threatexchange.signal_type.pdq.pdq_index import PDQIndex

from rempart.matching.index import HashIndex
from rempart.matching.search import Hits
from rempart.matching.segment import SMALL

PDQ_INDEX_RADIUS = 31  # fixed by threatexchange

Table = npt.NDArray[np.uint8]
Answer = npt.NDArray[np.int64]  # rows of (query, distance, id), sorted
Query = Callable[[Table, list[str]], object]


@dataclass
class Subject:
    """One implementation: how it builds, asks, and what its answers say in the common form."""

    name: str
    build: Callable[[Table], Query]
    answer: Callable[[object], Answer]
    ask: Query = field(init=False)
    seconds: float = 0
    bytes_a_hash: float = 0
    times: dict[str, list[float]] = field(default_factory=dict)

    def prepare(self, hashes: Table) -> None:
        """Build, and note the time and how much memory the process has gained."""
        gc.collect()
        before, start = resident(), time.perf_counter()
        self.ask = self.build(hashes)
        self.seconds = time.perf_counter() - start
        gc.collect()
        self.bytes_a_hash = (resident() - before) / len(hashes)

    def run(self, kind: str, queries: Table, texts: list[str]) -> Answer:
        """Ask one round of queries, note the microseconds for one, and return the answers."""
        start = time.perf_counter()
        result = self.ask(queries, texts)
        self.times.setdefault(kind, []).append((time.perf_counter() - start) / len(queries) * 1e6)
        return self.answer(result)


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def table(queries: npt.ArrayLike, distances: npt.ArrayLike, ids: npt.ArrayLike) -> Answer:
    """Answers in the common form."""
    rows = np.stack([np.asarray(column, np.int64) for column in (queries, distances, ids)], axis=1)
    return rows[np.lexsort(rows.T[::-1])]


def subjects(radius: int, *, flat_only: bool) -> list[Subject]:
    """Who takes part; the first is what the others are compared with."""

    def many(hashes: Table) -> Query:
        index = HashIndex.build(hashes)
        return lambda queries, _: index.query_many(queries, radius, threads=1)

    def one_by_one(hashes: Table) -> Query:
        index = HashIndex.build(hashes)
        return lambda queries, _: [index.query(query, radius) for query in queries]

    def flat(hashes: Table) -> Query:
        index = faiss.IndexBinaryFlat(256)
        index.add(hashes)
        return lambda queries, _: index.range_search(queries, radius + 1)

    def multi_hash(hashes: Table) -> Query:
        index = faiss.IndexBinaryMultiHash(256, 16, 16)
        index.nflip = radius // 16
        index.add(hashes)
        return lambda queries, _: index.range_search(queries, radius + 1)

    def pdq_index(hashes: Table) -> Query:
        index = PDQIndex([(value.tobytes().hex(), row) for row, value in enumerate(hashes)])
        return lambda _, texts: [index.query(text) for text in texts]

    chosen = [
        Subject("rempart query_many", many, of_hits),
        Subject("rempart query", one_by_one, of_lists),
        Subject("faiss IndexBinaryFlat", flat, of_faiss),
    ]
    if not flat_only:
        chosen.append(Subject("faiss IndexBinaryMultiHash", multi_hash, of_faiss))
        if radius == PDQ_INDEX_RADIUS:
            chosen.append(Subject("threatexchange PDQIndex", pdq_index, of_pdq_index))
    return chosen


def of_hits(hits: Hits) -> Answer:
    """From `query_many`."""
    return table(np.repeat(np.arange(len(hits.offsets) - 1), np.diff(hits.offsets)), hits.distances, hits.ids)


def of_lists(results: list[list[tuple[int, int]]]) -> Answer:
    """From `query`."""
    rows = [(query, hit.distance, hit.id) for query, hits in enumerate(results) for hit in hits]
    return table(*(np.array(rows, np.int64).reshape(-1, 3).T))


def of_faiss(result: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int64]]) -> Answer:
    """From `range_search`."""
    limits, distances, rows = result
    return table(np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64))), distances, rows)


def of_pdq_index(results: list[list[object]]) -> Answer:
    """From threatexchange's matches."""
    rows = [(i, hit.similarity_info.distance, hit.metadata) for i, hits in enumerate(results) for hit in hits]
    return table(*(np.array(rows, np.int64).reshape(-1, 3).T))


def near(hashes: Table, count: int, radius: int, rng: np.random.Generator) -> Table:
    """Entries with up to a few more bits changed than the radius forgives."""
    bits = np.unpackbits(hashes[rng.integers(0, len(hashes), count)], axis=1)
    for row in bits:
        row[rng.choice(256, rng.integers(0, radius + 9), replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def report(chosen: list[Subject], kinds: tuple[str, ...]) -> None:
    """Print one line for each subject; `x` is how many times longer than the first it takes."""
    print(f"{'':28}{'build':>9}{'bytes':>8}" + "".join(f"{kind:>14}{'x':>8}" for kind in kinds))
    print(f"{'':28}{'s':>9}{'a hash':>8}" + f"{'us a query':>14}{'':8}" * len(kinds))
    for subject in chosen:
        line = f"{subject.name:28}{subject.seconds:9.2f}{subject.bytes_a_hash:8.0f}"
        for kind in kinds:
            ours, theirs = chosen[0].times[kind], subject.times[kind]
            ratio = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
            line += f"{statistics.median(theirs):14.1f}{ratio:8.1f}"
        print(line)


def main() -> int:
    """Run the comparison; 1 if any two disagree."""
    parser = argparse.ArgumentParser(
        description="Compare radius search with faiss and threatexchange on one thread, and check that they agree.",
        epilog="example: python benchmarks/matching.py --rows 100000 --queries 200",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="hashes in the index (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=200, help="queries in each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, after one to warm up (default: %(default)s)")
    parser.add_argument("--radius", type=int, default=31, help="0 to 63 bits (default: %(default)s)")
    parser.add_argument("--flat-only", action="store_true", help="leave out the peers that need much memory")
    options = parser.parse_args()

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (options.rows, 32), dtype=np.uint8)
    HashIndex.build(hashes[: SMALL + 1])  # loads the compiled search, which is no part of building
    chosen = subjects(options.radius, flat_only=options.flat_only)
    for subject in chosen:
        subject.prepare(hashes)

    kinds = ("random", "near entries")
    agree = True
    for _ in range(options.rounds + 1):
        uniform = rng.integers(0, 256, (options.queries, 32), dtype=np.uint8)
        for kind, queries in zip(kinds, (uniform, near(hashes, options.queries, options.radius, rng)), strict=True):
            texts = [value.tobytes().hex() for value in queries]
            answers = [subject.run(kind, queries, texts) for subject in chosen]
            for subject, answer in zip(chosen, answers, strict=True):
                if not np.array_equal(answer, answers[0]):
                    agree = False
                    print(f"{subject.name} and {chosen[0].name} disagree ({kind})", file=sys.stderr)
    for subject in chosen:
        for times in subject.times.values():
            del times[0]

    print(f"{options.rows:,} hashes, radius {options.radius}, one thread; medians of {options.rounds} rounds")
    report(chosen, kinds)
    print("all answers agree" if agree else "ANSWERS DISAGREE")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

"""Banks that are followed: how soon a change acts in a large bank, beside the peer, which builds its index anew.

Hasher-Matcher-Actioner of ThreatExchange reads all hashes and builds a new index whenever anything has changed; here
that is done with the index class of ThreatExchange itself, without the database. Both are asked the same afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import update
from threatexchange.signal_type.pdq.signal import PdqSignal

from rempart.lists import Content, HashValue, add_contents, compact_bank, create_bank, import_hashes, remove_entries
from rempart.lists.changes import note_changes
from rempart.lists.live import LiveBanks
from rempart.matching.index import HashIndex
from rempart.matching.segment import SMALL
from rempart.settings import StoreSettings
from rempart.store import Store, open_store
from rempart.store.tables import HashKind, entries

ROUNDS = 30
PENDING = 19_000
CHECKED = 50
BANK = "KNOWN"


def random_hashes(count: int, seed: int) -> list[bytes]:
    """Uniform random hashes."""
    table = np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)
    return [bytes(row) for row in table]


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def banked(hashes: list[bytes]) -> list[Content]:
    """Each as a content of its own."""
    return [Content((HashValue(HashKind.PDQ, value, 100),)) for value in hashes]


def found(live: LiveBanks, value: bytes) -> bool:
    """Whether the bank holds this very hash."""
    return any(hit.distance == 0 for hit in live.banks[BANK].near(value))


def disable(store: Store, bank: int, number: int) -> None:
    """Disable an entry for an hour."""
    with store.write() as connection:
        until = datetime.now(UTC) + timedelta(hours=1)
        connection.execute(update(entries).where(entries.c.id == number).values(disabled_until=until))
        note_changes(connection, bank, [number])


def one_by_one(
    store: Store, live: LiveBanks, bank: int, filed: Iterator[tuple[int, bytes]], seed: int
) -> tuple[dict[str, float], bool]:
    """The median time from the commit until a change acts, for each kind of change; and whether each did."""
    fresh = random_hashes(ROUNDS, seed)
    times: dict[str, list[float]] = {"add": [], "disable": [], "remove": []}
    right = True
    for value in fresh:
        [added] = add_contents(store, BANK, banked([value]))
        times["add"].append(seconds(live.refresh))
        right &= found(live, value)
        disable(store, bank, added.entry)
        times["disable"].append(seconds(live.refresh))
        right &= not found(live, value)
        number, gone = next(filed)
        remove_entries(store, BANK, [number])
        times["remove"].append(seconds(live.refresh))
        right &= not found(live, gone)
    return {name: statistics.median(each) for name, each in times.items()}, right


def swapped(store: Store, live: LiveBanks) -> float:
    """The longest refresh while a new snapshot is verified in the background and then takes the old one's place."""
    compact_bank(store, BANK)
    longest = 0.0
    while live.status()[0]["pending"]:
        longest = max(longest, seconds(live.refresh))
        time.sleep(0.005)
    return longest


def main() -> int:
    """Measure; 1 if anything banked is not found, or anything removed is."""
    parser = argparse.ArgumentParser(
        description="Measure how soon changes of a large bank act.",
        epilog="example: python benchmarks/live.py --rows 1000000",
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="hashes in the bank (default: %(default)s)")
    parser.add_argument("--store", default="", help="a PostgreSQL database to use: it gets a bank (default: SQLite)")
    parser.add_argument("--folder", type=Path, help="where to put the data folder (default: a temporary one)")
    options = parser.parse_args()
    HashIndex.build(np.zeros((SMALL + 1, 32), np.uint8) + 1).query(bytes(32))  # the compiled search into its cache
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        return measure(open_store(Path(folder), StoreSettings(url=options.store)), options.rows)


def measure(store: Store, rows: int) -> int:
    """Print the table."""
    known = random_hashes(rows, 1)
    bank = create_bank(store, BANK).id
    import_hashes(store, BANK, (HashValue(HashKind.PDQ, value, 100) for value in known))
    compact_bank(store, BANK)
    live = LiveBanks(store, on_pending=lambda _: None)
    loaded = seconds(live.refresh)
    idle = statistics.median(seconds(live.refresh) for _ in range(200))
    filed = iter(list(enumerate(known, 1))[: 2 * ROUNDS])  # they are taken out one by one
    few, right = one_by_one(store, live, bank, filed, 2)
    import_hashes(store, BANK, (HashValue(HashKind.PDQ, value, 100) for value in random_hashes(PENDING, 3)))
    burst = seconds(live.refresh)
    many, still_right = one_by_one(store, live, bank, filed, 4)
    swap = swapped(store, live)
    hexes = [value.hex() for value in known]
    start = time.perf_counter()
    peer = PdqSignal.get_index_cls().build((value, None) for value in hexes)
    rebuilt = time.perf_counter() - start
    asked = known[-CHECKED:] + random_hashes(CHECKED, 5)
    live.refresh()  # the peer's building took longer than banks may go without a look
    agree = all(found(live, value) == bool(peer.query(value.hex())) for value in asked)
    live.stop()
    store.close()
    print(f"{rows:,} hashes on {store.dialect}; medians of {ROUNDS}")
    print(f"{'':44}{'ours':>12}{'peer':>12}{'ratio':>10}")
    for took, when in ((few, "until it acts"), (many, f"{PENDING:,} others pending")):
        for name, ours in took.items():
            what = f"{name} one entry, {when}"
            print(f"{what:44}{ours * 1e3:>9.2f} ms{rebuilt * 1e3:>9.0f} ms{rebuilt / ours:>9,.0f}x")
    for what, took in (
        ("load: map the snapshot and read it whole", loaded),
        ("a look that finds nothing new", idle),
        (f"take up {PENDING:,} entries at once", burst),
        ("the longest refresh beside a new snapshot", swap),
    ):
        print(f"{what:44}{took * 1e3:>9.2f} ms")
    good = right and still_right and agree
    print(f"what was banked is found, what was taken out is not, the peer agrees: {'yes' if good else 'NO'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

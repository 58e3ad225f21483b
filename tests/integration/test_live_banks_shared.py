"""Banks followed in several processes, on both databases, and for long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from tests.integration.followed import content, digest, disable, entries_of, is_found, mapped, settle, until
from tests.stores import Place, Postgres

from rempart.lists import HashValue, add_contents, compact_bank, create_bank, import_hashes, remove_entries
from rempart.lists import live as live_module
from rempart.lists.content import snapshot_path
from rempart.lists.live import MOST_SILENCE_SECONDS, LiveBanks
from rempart.store import open_store
from rempart.store.tables import HashKind

FOLLOWER = """
import sys, time
from hashlib import sha256
from pathlib import Path
from rempart.lists.live import LiveBanks
from rempart.settings import load_settings
from rempart.store import open_store

settings = load_settings().settings
with open_store(settings.data_path, settings.store) as store:
    live = LiveBanks(store)
    live.start()
    while not live.ready:
        time.sleep(0.005)
    print("ready", flush=True)
    for line in sys.stdin:
        number, wanted = map(int, line.split())
        digest = sha256(b"content %d" % number).digest()
        end = time.monotonic() + 10
        while bool(live.banks["KNOWN"].exact("sha256", digest)) != bool(wanted) and time.monotonic() < end:
            time.sleep(0.002)
        print(time.monotonic(), flush=True)
    live.stop()
"""


@contextmanager
def follower(place: Place) -> Iterator[Callable[[int, bool], Callable[[], float]]]:
    """Another process that follows: tell it what to wait for, and it tells when that came to be."""
    environment = {**os.environ, **place.environ}
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, telling = process.stdout, process.stdin
        assert told.readline() == "ready\n"

        def ask(number: int, wanted: bool) -> Callable[[], float]:  # noqa: FBT001 -- what is waited for
            telling.write(f"{number} {int(wanted)}\n")
            telling.flush()
            return lambda: float(told.readline())

        yield ask
        telling.close()
        process.wait(30)


def test_another_process_learns_of_additions_removals_and_disabled_entries_within_a_second(stores: Place) -> None:
    """The writer's own process in a tenth of one; measured from the commit, on a clock that both share."""
    with stores.open() as store:
        number = create_bank(store, "KNOWN").id
        add_contents(store, "KNOWN", [content(0)])
        mine = LiveBanks(store)
        mine.refresh()
        here, there = [], []

        def passes(act: Callable[[], object], content_number: int, *, wanted: bool) -> None:
            told = ask(content_number, wanted)
            act()
            committed = time.monotonic()
            mine.refresh()
            assert bool(mine.banks["KNOWN"].exact("sha256", digest(content_number))) == wanted
            here.append(time.monotonic() - committed)
            there.append(told() - committed)

        with follower(stores) as ask:
            for each in (1, 2, 3):
                passes(lambda each=each: add_contents(store, "KNOWN", [content(each)]), each, wanted=True)
            one, two = entries_of(store, number)[1:3]
            passes(lambda: remove_entries(store, "KNOWN", [one]), 1, wanted=False)
            later = datetime.now(UTC) + timedelta(hours=1)
            passes(lambda: disable(store, number, two, later), 2, wanted=False)
            passes(lambda: disable(store, number, two, datetime.now(UTC)), 2, wanted=True)
        mine.stop()
    # The best of six, for others use this machine, too; and none may take so long that look-ups would be refused.
    assert min(here) < 0.1, here
    assert min(there) < 1, there
    assert max(there) < MOST_SILENCE_SECONDS, there


def test_a_new_snapshot_is_taken_up_by_another_process_and_its_old_one_let_go(stores: Place) -> None:
    """On both databases, for snapshots are files of this machine."""
    with stores.open() as writing, stores.open() as reading:
        create_bank(writing, "KNOWN")
        add_contents(writing, "KNOWN", [content(0)])
        live = LiveBanks(reading)
        live.refresh()
        assert live.status()[0]["snapshot"] is None
        for number in (1, 2):
            add_contents(writing, "KNOWN", [content(number)])
            compact_bank(writing, "KNOWN")
            settle(live)
            [status] = live.status()
            assert status["snapshot"] == status["sequence"]
            assert (status["pending"], status["size"]) == (0, 5 * (number + 1))
            assert len(mapped(snapshot_path(writing, 1))) == 1
        live.stop()


def test_a_server_that_goes_and_comes_back_is_waited_for(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real one, which ends the connections and lets nobody in; the thread tells once, and goes on."""
    monkeypatch.setattr(live_module, "MOST_SILENCE_SECONDS", 1.0)
    with postgres.database() as where, open_store(tmp_path, where) as store:
        name = where.url.rpartition("/")[2]
        create_bank(store, "KNOWN")
        add_contents(store, "KNOWN", [content(0)])
        noticed: list[str] = []
        live = LiveBanks(store, notice=noticed.append)
        live.start()
        until(lambda: live.ready)
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608
        lasted = until(lambda: not live.ready)
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        until(lambda: live.ready)
        until(lambda: is_found(live.matcher, 0))
        add_contents(store, "KNOWN", [content(1)])
        until(lambda: is_found(live.matcher, 1))
        live.stop()
    assert lasted > 0.5
    assert len(noticed) == 1
    assert noticed[0].startswith("the banks cannot be followed: ")


def test_a_database_put_back_to_an_earlier_state_is_loaded_anew(stores: Place) -> None:
    """Entries of a future that never was must not answer, nor those be missing that came instead."""
    with stores.open() as store:
        number = create_bank(store, "KNOWN").id
        add_contents(store, "KNOWN", [content(0)])
        add_contents(store, "KNOWN", [content(1)])
        noticed: list[str] = []
        live = LiveBanks(store, notice=noticed.append)
        live.refresh()
        last = live.status()[0]["sequence"]
        with store.write() as connection:  # as a copy from another past would be
            connection.execute(text("DELETE FROM entries WHERE id = 2"))
            connection.execute(text("UPDATE changes SET token = token / 2 + 1 WHERE id = :last"), {"last": last})
        live.refresh()
        assert entries_of(store, number) == [1]
        assert [is_found(live.matcher, each) for each in range(2)] == [True, False]
        assert len(noticed) == 1
        assert "earlier state" in noticed[0]
        live.stop()


@pytest.mark.usefixtures("unsynced")
def test_200_swaps_of_snapshots_and_refreshes_do_not_grow_the_process(tmp_path: Path) -> None:
    """Each swap maps a file anew and frees the one before."""
    with Place(tmp_path).open() as store:
        create_bank(store, "KNOWN")
        random = np.random.default_rng(5)
        values = [
            HashValue(kind, random.bytes(32), None) for kind in (HashKind.PDQ, HashKind.SHA256) for _ in range(2000)
        ]
        import_hashes(store, "KNOWN", values)
        live = LiveBanks(store)
        sizes = []
        for swap in range(225):
            add_contents(store, "KNOWN", [content(swap)])
            live.refresh()
            if swap % 5 == 0:
                remove_entries(store, "KNOWN", [swap + 1])
            compact_bank(store, "KNOWN")
            settle(live)
            assert is_found(live.matcher, swap)
            sizes.append(resident())
        [status] = live.status()
        assert status["snapshot"] == status["sequence"] == 271
        assert len(mapped(snapshot_path(store, 1))) == 1
        live.stop()
    grown = max(sizes[200:]) - max(sizes[:25])
    assert grown < 8 << 20, f"{grown >> 10} KiB in 200 swaps"


def resident() -> int:
    """What this process holds in memory, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

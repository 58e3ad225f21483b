from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stores import Cluster

from rempart.errors import StoreError
from rempart.lists import Content, add_contents, create_bank, get_bank, list_banks, list_entries, parse_hash
from rempart.lists.changes import CHANNEL
from rempart.settings import StoreSettings
from rempart.store import Store, open_store

KILLS = int(os.environ.get("REMPART_KILLS", "5"))
"""How often the server is killed; more by command."""


class Writer(threading.Thread):
    """Banks one content after the other, and notes the entry of each that was acknowledged."""

    def __init__(self, store: Store, place: int) -> None:
        super().__init__()
        self._store = store
        self._place = place
        self.stop = threading.Event()
        self.acknowledged: dict[int, str] = {}
        self.refused: list[str] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        """Go on, whatever the database says of itself, until told to stop."""
        number = 0
        while not self.stop.is_set():
            number += 1
            digest = f"{self._place:08x}{number:024x}"
            try:
                [added] = add_contents(self._store, f"BANK_{self._place}", [Content((parse_hash(f"md5:{digest}"),))])
            except StoreError as error:
                self.refused.append(str(error))
                time.sleep(0.02)
            except Exception as error:  # noqa: BLE001 -- the test tells of it
                self.failure = error
                return
            else:
                self.acknowledged[added.entry] = digest


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what must come to pass."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.timeout(60 + 20 * KILLS)
def test_a_server_killed_at_any_moment_loses_nothing_that_was_acknowledged(cluster: Cluster, tmp_path: Path) -> None:
    """SIGKILL of all its processes while three write; those go on with the same store once it is back."""
    randomly = random.Random(5)
    with open_store(tmp_path, cluster.settings) as store:
        writers = [Writer(store, place) for place in range(3)]
        for place in range(3):
            create_bank(store, f"BANK_{place}")
        for writer in writers:
            writer.start()
        try:
            for _ in range(KILLS):
                before = [len(writer.acknowledged) for writer in writers]
                wait_until(lambda seen=before: all(len(w.acknowledged) > n for w, n in zip(writers, seen, strict=True)))
                time.sleep(randomly.uniform(0, 0.3))
                cluster.kill()
                cluster.start()
        finally:
            for writer in writers:
                writer.stop.set()
                writer.join(60)
        assert [writer.failure for writer in writers] == [None] * 3
        for place, writer in enumerate(writers):
            held = {entry.id: {v.value.hex() for v in entry.hashes} for entry in list_entries(store, f"BANK_{place}")}
            assert all(held.get(entry) == {digest} for entry, digest in writer.acknowledged.items())
            assert all("\n" not in line and writer_is_told(line) for line in writer.refused)
        assert any(writer.refused for writer in writers)


def writer_is_told(line: str) -> bool:
    """Whether a line says that the server is away."""
    return "cannot be reached, or the connection was lost" in line


def test_a_store_outlives_a_restart_of_its_server(cluster: Cluster, tmp_path: Path) -> None:
    """While it is away the one line says so; then the same store reads and writes, in all its connections."""
    with open_store(tmp_path, cluster.settings) as store:
        create_bank(store, "A")
        with store.read() as one, store.read() as other:  # two connections wait in the pool
            assert one is not other
        cluster.stop()
        for act in (lambda: list_banks(store), lambda: create_bank(store, "B")):
            with pytest.raises(StoreError, match=r"^the database postgres on [^\n]* cannot be reached, or the"):
                act()
        cluster.start()
        create_bank(store, "B")
        with store.read() as one, store.read() as other:
            assert one is not other
        assert [bank.name for bank in list_banks(store)] == ["A", "B"]


def test_a_transaction_that_loses_its_server_says_so_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Neither the first part nor what comes after."""
    with open_store(tmp_path, cluster.settings) as store:
        create_bank(store, "A")

        def write() -> None:
            with store.write() as writing:
                writing.exec_driver_sql("UPDATE banks SET radius = 7")
                cluster.kill()
                cluster.start()
                writing.exec_driver_sql("UPDATE banks SET quality_floor = 7")

        with pytest.raises(StoreError, match="cannot be reached, or the connection was lost"):
            write()
        bank = get_bank(store, "A")
        assert (bank.radius, bank.quality_floor) == (31, 50)


def test_listeners_outlive_a_restart_of_their_server(cluster: Cluster, tmp_path: Path) -> None:
    """They hear again, and once more at the start for what they may have missed."""
    heard: list[float] = []
    stop = threading.Event()
    with open_store(tmp_path, cluster.settings) as store:
        create_bank(store, "A")

        def listen() -> None:
            heard.extend(time.monotonic() for _ in store.listen(CHANNEL, stop))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            wait_until(lambda: len(heard) == 1)
            cluster.kill()
            cluster.start()
            wait_until(lambda: len(heard) == 2)
            add_contents(store, "A", [Content((parse_hash("0d" * 16),))])
            wait_until(lambda: len(heard) > 2)
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()


def test_the_password_comes_from_a_file_which_may_change(cluster: Cluster, tmp_path: Path) -> None:
    """It is read for each connection; a wrong or missing one is one line without it."""
    with open_store(tmp_path, cluster.settings) as store, store.write() as connection:
        connection.exec_driver_sql("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'first one'")
    cluster.demand_passwords()
    file = tmp_path / "password"
    file.write_text("first one\n")
    settings = StoreSettings(url=cluster.settings.url.replace("postgres@", "keeper@"), password_file=str(file))
    with open_store(tmp_path, settings) as store:
        with store.write() as connection:
            connection.exec_driver_sql("ALTER ROLE keeper PASSWORD 'second one'")
        file.write_text("second one")
        store._engine.dispose()
        assert list_banks(store) == []
        file.write_text("lighthouse")
        store._engine.dispose()
        with pytest.raises(StoreError, match=r"^[^\n]* refuses this user; check store\.url[^\n]*$") as caught:
            list_banks(store)
        assert "lighthouse" not in str(caught.value)
        file.unlink()
        with pytest.raises(StoreError, match=r"the password cannot be read from .*, which store\.password_file names"):
            list_banks(store)


def test_a_server_without_room_for_another_connection_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    """And has room again once others leave."""
    cluster.stop()
    cluster.start(max_connections=5, superuser_reserved_connections=0, max_wal_senders=0)
    with open_store(tmp_path, cluster.settings) as store:
        stores = [open_store(tmp_path, cluster.settings) for _ in range(4)]
        with pytest.raises(StoreError, match="has no connection left; raise max_connections there"):
            open_store(tmp_path, cluster.settings)
        for each in stores:
            each.close()
        open_store(tmp_path, cluster.settings).close()
        assert list_banks(store) == []


def test_a_server_told_not_to_keep_what_it_acknowledges_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """By the doctor, who asks what the database is."""
    with open_store(tmp_path, cluster.settings) as store:
        assert store.about().startswith("PostgreSQL 1")
        cluster.stop()
        cluster.start(fsync="off")
        with pytest.raises(StoreError, match="may lose what it acknowledged when the power goes: set fsync = on there"):
            store.about()

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from tests.stores import Place, Postgres

from rempart.audit import verify
from rempart.errors import BankError, StoreError
from rempart.lists import (
    Content,
    FloodWatch,
    add_contents,
    create_bank,
    delete_bank,
    get_bank,
    list_banks,
    list_entries,
    load_banks,
    parse_hash,
    remove_entries,
)
from rempart.lists.changes import CHANNEL, note_changes
from rempart.matching import FloodRule, Sighting
from rempart.settings import StoreSettings
from rempart.store import Store, insert_rows, open_store, postgresql, sqlite
from rempart.store.tables import banks, changes, entries, hashes


@pytest.fixture
def store(stores: Place) -> Iterator[Store]:
    """A database with the empty bank A."""
    with stores.open() as opened:
        create_bank(opened, "A")
        yield opened


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path) -> Iterator[Store]:
    """The same on PostgreSQL, for what only happens there."""
    with postgres.database() as settings, open_store(tmp_path / "data", settings) as opened:
        create_bank(opened, "A")
        yield opened


def content(number: int) -> Content:
    """A content of one digest."""
    return Content((parse_hash(f"md5:{number:032x}"),))


def sequence(store: Store) -> list[int]:
    """The numbers of the changes that can be seen now."""
    with store.read() as connection:
        return list(connection.execute(select(changes.c.id).order_by(changes.c.id)).scalars())


def test_a_reader_keeps_seeing_one_state_while_another_writes(store: Store) -> None:
    """Also what it looks at only later."""
    with store.read() as reading:
        assert reading.execute(select(banks.c.name)).scalars().all() == ["A"]
        with store.write() as connection:
            connection.execute(insert(entries).values(bank_id=1, created_at=get_bank(store, "A").created_at))
        assert reading.execute(select(entries.c.id)).all() == []
    with store.read() as connection:
        assert connection.execute(select(entries.c.id)).scalars().all() == [1]


def test_a_reader_of_a_server_cannot_write_by_mistake(server: Store) -> None:
    """What it did would hold no lock."""
    with pytest.raises(StoreError, match="cannot be written here"), server.read() as connection:
        connection.execute(insert(entries).values(bank_id=1, created_at=get_bank(server, "A").created_at))


def test_a_change_waits_for_the_one_before_it(server: Store) -> None:
    """Its number is the greater, so it must not be seen first, though it was ready first."""
    other = create_bank(server, "B").id
    with ThreadPoolExecutor(1) as pool:
        with server.write() as first:
            note_changes(first, 1, [1])

            def second() -> None:
                with server.write() as connection:
                    note_changes(connection, other, [2])

            waiting = pool.submit(second)
            time.sleep(0.3)
            assert (waiting.done(), sequence(server)) == (False, [])
        waiting.result()
    assert sequence(server) == [1, 2]


def test_who_has_seen_a_change_never_sees_a_smaller_number_appear(store: Store) -> None:
    """Four writers of banks of their own, and a reader who looks without pause."""
    names = ["A", *(create_bank(store, name).name for name in "BCD")]
    seen: list[int] = []
    with ThreadPoolExecutor(4) as pool:

        def write(name: str) -> None:
            for number in range(12):
                add_contents(store, name, [content(number)])

        writing = [pool.submit(write, name) for name in names]
        while not all(each.done() for each in writing):
            with store.read() as connection:
                query = select(changes.c.id).where(changes.c.id > (seen[-1] if seen else 0)).order_by(changes.c.id)
                seen += connection.execute(query).scalars()
        for each in writing:
            each.result()
    assert sequence(store)[: len(seen)] == seen
    assert len(sequence(store)) == 48


def test_one_content_that_many_bank_at_once_is_one_entry(store: Store) -> None:
    """Whoever looks whether it is there holds off who would bank it."""
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda number: add_contents(store, "A", [content(number % 4)])[0], range(24)))
    assert sum(each.new for each in added) == 4
    assert len({each.entry for each in added}) == get_bank(store, "A").entries == 4


def test_a_name_that_many_give_at_once_is_given_once(store: Store) -> None:
    """The others are told."""

    def make(_: int) -> str:
        try:
            return create_bank(store, "B").name
        except BankError as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        said = sorted(pool.map(make, range(6)))
    assert said[0] == "B"
    assert [line[:24] for line in said[1:]] == ["there is a bank B alread"] * 5


def test_those_who_count_remove_and_bank_do_not_block_each_other_for_good(store: Store) -> None:
    """Each takes its locks in the same order, so none waits for one who waits for it."""
    bank_b = create_bank(store, "B").name
    numbers = [each.entry for each in add_contents(store, "A", [content(number) for number in range(40)])]
    rule = FloodRule(threshold=3)

    def count(start: int) -> None:
        watch = FloodWatch(store, rule)
        for round_ in range(6):
            for number in numbers[start:]:
                watch.see(Sighting(number, bytes([number, round_]) * 16, 1))
            watch.flush()

    def remove() -> None:
        for number in reversed(numbers[10:]):
            remove_entries(store, "A", [number])

    def bank() -> None:
        for number in range(100, 112):
            add_contents(store, bank_b, [content(number)])
        delete_bank(store, bank_b)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(count, 0), pool.submit(count, 20), pool.submit(remove), pool.submit(bank)]:
            done.result(timeout=60)
    assert [each.name for each in list_banks(store)] == ["A"]
    assert get_bank(store, "A").entries == 10


def _make_and_delete(store: Store, made: str, deleted: str) -> None:
    create_bank(store, made)
    delete_bank(store, deleted)


def test_acts_within_one_transaction_are_kept_together_or_not_at_all(stores: Place, store: Store) -> None:
    """Nobody else sees one of them before, and an act that fails on the way takes nothing with it but itself."""
    with stores.open() as other:
        with store.write_whole() as (_, part):
            create_bank(part, "B")
            with pytest.raises(BankError):
                create_bank(part, "B")
            assert add_contents(part, "B", [content(1)])[0].new
            assert [bank.name for bank in list_banks(part)] == ["A", "B"]
            part.close()
            assert [bank.name for bank in list_banks(other)] == ["A"]
        assert [bank.entries for bank in list_banks(other)] == [0, 1]
        with pytest.raises(BankError, match="no bank 'D'"), store.write_whole() as (_, part):
            _make_and_delete(part, "C", "D")
        assert [bank.name for bank in list_banks(other)] == ["A", "B"]
        assert verify(store) == []


def test_a_lock_of_a_name_is_held_until_the_transaction_ends(server: Store) -> None:
    """Another name is free meanwhile."""
    order = []
    with ThreadPoolExecutor(1) as pool:
        with server.write() as connection:
            server.lock(connection, "x")

            def other() -> None:
                with server.write() as connection:
                    server.lock(connection, "y")
                    order.append("y")
                    server.lock(connection, "x")
                    order.append("x")

            waiting = pool.submit(other)
            time.sleep(0.3)
            order.append("end")
        waiting.result()
    assert order == ["y", "end", "x"]


def test_a_writer_that_waits_too_long_says_so(stores: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and nothing changed."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(postgresql, "BUSY_SECONDS", 0.05)
    with stores.open() as impatient, store.write() as connection:
        connection.execute(banks.update().values(radius=7))
        with pytest.raises(StoreError, match=r"another process has been writing .* nothing was changed\. Try again"):
            add_contents(impatient, "A", [content(1)])
    assert get_bank(store, "A").entries == 0


def test_rows_of_all_types_and_of_nothing_come_back_as_they_were(store: Store) -> None:
    """However many at once."""
    add_contents(store, "A", [content(0)])
    rows = [(1, "pdq", bytes([n % 256, n // 256]) * 16, None if n % 3 else 50, f"v{n}", n) for n in range(3000)]
    with store.write() as connection:
        insert_rows(connection, hashes, rows)
        insert_rows(connection, hashes, [])
        insert_rows(connection, hashes, [(1, "sha1", b"\x00" * 20, None, None, None)])
    with store.read() as connection:
        query = select(hashes).where(hashes.c.kind == "pdq").order_by(hashes.c.at_ms)
        assert [tuple(row) for row in connection.execute(query.execution_options(yield_per=7))] == rows
    [entry] = list_entries(store, "A")
    assert len(entry.hashes) == 3002
    [bank] = load_banks(store)
    assert bank.exact("sha1", b"\x00" * 20) == [1]


@pytest.mark.parametrize("bank", ["A\x00", "\ud800", "Ä", "A" * 300, "'; --"])
def test_a_name_that_no_bank_can_have_is_not_there(store: Store, bank: str) -> None:
    """Rather than an error of the database."""
    with pytest.raises(BankError, match="there is no bank"):
        get_bank(store, bank)


BREACHES: dict[str, Callable[[Store], object]] = {
    "missing": lambda store: {"bank_id": 7, "created_at": get_bank(store, "A").created_at, "note": "lighthouse"},
    "null": lambda store: {"bank_id": None, "created_at": get_bank(store, "A").created_at, "note": "lighthouse"},
    "check": lambda store: {
        "bank_id": 1,
        "created_at": get_bank(store, "A").created_at,
        "note": "lighthouse",
        "enabled_ratio": 7,
    },
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_a_rule_never_carries_what_was_to_be_stored(store: Store, breach: str) -> None:
    """Neither in its text nor in that of the error behind it; servers like to quote the row."""
    row = BREACHES[breach](store)
    with pytest.raises(IntegrityError) as caught, store.write() as connection:
        connection.execute(insert(entries).values(row))
    error: BaseException | None = caught.value
    while error is not None:
        assert "lighthouse" not in str(error)
        error = error.__cause__ or error.__context__
    with pytest.raises(IntegrityError) as caught, store.write() as connection:
        insert_rows(connection, hashes, [(9, "md5", b"lighthouse on sea"[:16], None, None, None)])
    assert "6c69676874" not in str(caught.value)
    assert "lighthouse" not in str(caught.value.orig)


def test_an_error_of_a_server_never_carries_what_was_to_be_stored(server: Store) -> None:
    """Nor the statement."""
    with pytest.raises(StoreError) as caught, server.write() as connection:
        connection.execute(insert(entries).values(bank_id=1, created_at=None, note="lighthouse\x00"))
    assert re.fullmatch(
        r"the database \w+ on 127\.0\.0\.1:5432 cannot be used \(DataError\); [^\n]*", str(caught.value)
    )


def test_listeners_hear_of_a_change_once_it_is_committed(server: Store) -> None:
    """Within moments, and end when they are told to."""
    stop, heard = threading.Event(), list[float]()

    def listen() -> None:
        heard.extend(time.monotonic() for _ in server.listen(CHANNEL, stop))

    thread = threading.Thread(target=listen)
    thread.start()
    _wait_until(lambda: len(heard) == 1)  # it listens
    with server.write() as connection:
        note_changes(connection, 1, [1])
        time.sleep(0.3)
        assert len(heard) == 1
        committed = time.monotonic()
    _wait_until(lambda: len(heard) > 1)
    assert heard[1] - committed < 5
    add_contents(server, "A", [content(1)])
    _wait_until(lambda: len(heard) > 2)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_listening_to_a_file_ends_at_once(tmp_path: Path) -> None:
    """There is nobody to hear."""
    with open_store(tmp_path) as store, store.write() as connection:
        store.notify(connection, CHANNEL)
        assert list(store.listen(CHANNEL, threading.Event())) == []


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in itertools.takewhile(lambda _: not holds(), range(2000)):
        time.sleep(0.01)
    assert holds()


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """With its name and what to do."""
    with pytest.raises(StoreError, match=r"^the database x on 127\.0\.0\.1:1 cannot be reached[^\n]*try again$"):
        open_store(tmp_path, StoreSettings(url="postgresql://me@127.0.0.1:1/x"))


def test_a_database_that_is_not_there_is_one_line(postgres: Postgres, tmp_path: Path) -> None:
    """Likewise."""
    assert postgres.run("SELECT 1")
    with pytest.raises(StoreError, match=r"does not exist; make it with `createdb`, or mend store\.url$"):
        open_store(tmp_path, StoreSettings(url=f"{postgres.url}/rempart_none"))


def test_a_user_who_may_make_nothing_is_told_so_in_one_line(postgres: Postgres, tmp_path: Path) -> None:
    """Since PostgreSQL 15 nobody may who is not told so."""
    with postgres.database(empty=True) as settings:
        name = settings.url.rpartition("/")[2]
        postgres.run(f"CREATE ROLE {name} LOGIN")
        try:
            with pytest.raises(StoreError, match=r"^this user may not do that in [^\n]*GRANT it rights$"):
                open_store(tmp_path, StoreSettings(url=settings.url.replace("postgres@", f"{name}@")))
        finally:
            postgres.run(f"DROP ROLE {name}")


def test_a_server_that_is_too_old_is_refused(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than failing at some statement."""
    monkeypatch.setattr(postgresql, "OLDEST_VERSION", 99)
    with postgres.database() as settings, pytest.raises(StoreError, match=r"is PostgreSQL \d+; rempart needs 99 or"):
        open_store(tmp_path, settings)


def test_commits_wait_for_the_disk_whatever_the_database_was_told(postgres: Postgres, tmp_path: Path) -> None:
    """What is acknowledged must not be lost; a stricter setting stays."""
    with postgres.database() as settings:
        for told, found in (("off", "on"), ("remote_apply", "remote_apply")):
            suffix = f"?options=-csynchronous_commit%3D{told}"
            with open_store(tmp_path, StoreSettings(url=settings.url + suffix)) as store, store.write() as connection:
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == found
                assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "30s"

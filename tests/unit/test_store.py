from __future__ import annotations

import sqlite3
import stat
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, create_engine, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.schema import CreateTable

from rempart.errors import ConfigError, StoreError
from rempart.settings import StoreSettings
from rempart.store import Store, insert_rows, open_store, service_tables, sqlite
from rempart.store.migrations import known_revisions
from rempart.store.tables import REVISION, banks, entries, hashes, metadata

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
BANK = {
    "name": "A",
    "kind": "blocking",
    "harm": "other",
    "radius": 31,
    "quality_floor": 50,
    "turned": False,
    "created_at": NOW,
    "refreshed_at": NOW,
}


def names(store: Store) -> list[str]:
    """The names of the banks in the database."""
    with store.read() as connection:
        return list(connection.execute(select(banks.c.name).order_by(banks.c.name)).scalars())


def test_the_data_folder_and_file_appear_by_themselves_for_their_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine may read hash lists."""
    with open_store(tmp_path / "deep" / "data") as store:
        assert names(store) == []
        assert stat.S_IMODE(store.file.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(store.file.stat().st_mode) == 0o600


def test_what_was_written_is_there_when_opened_again(tmp_path: Path) -> None:
    """The second opening finds the schema and changes nothing."""
    with open_store(tmp_path) as store, store.write() as connection:
        connection.execute(insert(banks).values(BANK))
    with open_store(tmp_path) as store:
        assert names(store) == ["A"]


def test_every_connection_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    """A commit reaches the disk, readers do not block the writer, no hash stays without its entry."""
    with open_store(tmp_path) as store:
        for transaction in (store.read, store.write):
            with transaction() as connection:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
                assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_migrations_lead_to_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    """Alembic finds no difference, and the statements are the same to the letter, constraints and names included."""
    assert service_tables.jobs.metadata is metadata
    fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    metadata.create_all(fresh)
    statements = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND name NOT LIKE 'sqlite%'"
    with open_store(tmp_path / "data") as store, store.read() as migrated, fresh.connect() as made:
        assert compare_metadata(MigrationContext.configure(migrated), metadata) == []
        expected = {name: _parts(sql) for name, sql in made.execute(text(statements))}
        assert expected == {name: _parts(sql) for name, sql in migrated.execute(text(statements))}
        assert len(expected) > 4
    fresh.dispose()


def _parts(sql: str | None) -> list[str]:
    """The lines of a statement, whose order, like quotes that no name needs, the two ways of writing it may choose."""
    return sorted(
        line.strip().rstrip(",").strip().replace('"', "") for line in (sql or "").splitlines() if line.strip()
    )


def test_the_code_names_the_newest_migration(tmp_path: Path) -> None:
    """Opening compares with the constant, so that Alembic need not be loaded."""
    assert REVISION in known_revisions()
    with open_store(tmp_path) as store, store.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [REVISION]


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_the_tables_can_be_made_in_postgresql(table: Table) -> None:
    """Nothing in them belongs to SQLite alone."""
    assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    """An old program must not write into a schema that it does not know."""
    with open_store(tmp_path) as store, store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer rempart \(schema 9999, known here: .*upgrade rempart"):
        open_store(tmp_path)
    with sqlite3.connect(tmp_path / "rempart.db") as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    raw.close()


def test_an_upgrade_that_was_interrupted_starts_again_from_nothing(tmp_path: Path) -> None:
    """An empty file, as a process killed before its first commit leaves it, is filled."""
    (tmp_path / "rempart.db").touch()
    with open_store(tmp_path) as store:
        assert names(store) == []


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    """And stays as it was."""
    (tmp_path / "rempart.db").write_text("a letter to a friend, which is not a database at all\n" * 100)
    with pytest.raises(StoreError, match=r"^[^\n]*is not a database of rempart[^\n]*$"):
        open_store(tmp_path)
    assert (tmp_path / "rempart.db").read_text().startswith("a letter")


def test_a_data_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    """Here because a file stands in its place."""
    (tmp_path / "data").touch()
    with pytest.raises(StoreError, match=r"^the data folder .*/data cannot be used: File exists\. Set data_dir"):
        open_store(tmp_path / "data")
    with pytest.raises(StoreError, match="Not a directory"):
        open_store(tmp_path / "data" / "deeper")


def test_times_come_back_aware_and_in_utc(tmp_path: Path) -> None:
    """Whatever zone they were given in."""
    there = NOW.astimezone(timezone(timedelta(hours=-7)))
    with open_store(tmp_path) as store:
        with store.write() as connection:
            connection.execute(insert(banks).values(BANK | {"created_at": there}))
        with store.read() as connection:
            stored = connection.execute(select(banks.c.created_at)).scalar_one()
    assert stored == NOW
    assert stored.tzinfo is UTC


def test_a_naive_time_is_refused(tmp_path: Path) -> None:
    """Nobody can say which moment it means."""
    with open_store(tmp_path) as store:
        with store.write() as connection, pytest.raises(StatementError, match="naive time"):
            connection.execute(insert(banks).values(BANK | {"created_at": NOW.replace(tzinfo=None)}))
        assert names(store) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "grey"},
        {"harm": "rude"},
        {"radius": 64},
        {"video_query_percent": 0},
        {"video_banked_percent": 101},
        {"video_run_seconds": 0},
        {"radius": -1},
        {"quality_floor": 101},
        {"max_age_seconds": 0},
        {"name": None},
    ],
    ids=str,
)
def test_the_database_itself_refuses_a_bank_that_matching_would_not_understand(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """Closed lists and ranges hold whoever writes."""
    with open_store(tmp_path) as store, store.write() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(insert(banks).values(BANK | change))
        connection.execute(insert(banks).values(BANK))


@pytest.mark.parametrize(
    "row",
    [
        (1, "crc", b"x" * 32, None, None, None),
        (1, "md5", b"x" * 15, None, None, None),
        (1, "vpdq", b"x" * 31, 50, "full", 0),
        (1, "pdq", b"x" * 32, 101, "full", None),
        (1, "vpdq", b"x" * 32, 50, "full", -1),
    ],
    ids=["kind", "length", "length of a frame", "quality", "time"],
)
def test_the_database_itself_refuses_a_hash_that_matching_would_not_understand(
    tmp_path: Path, row: tuple[object, ...]
) -> None:
    """A value of the wrong length would shift every hash after it."""
    with open_store(tmp_path) as store, store.write() as connection:
        connection.execute(insert(banks).values(BANK))
        connection.execute(insert(entries).values(bank_id=1, created_at=NOW))
        with pytest.raises(IntegrityError):
            insert_rows(connection, hashes, [row])
        insert_rows(connection, hashes, [(1, "pdq", b"x" * 32, 100, "full", None), (1, "md5", b"x" * 16, *[None] * 3)])
        insert_rows(connection, hashes, [(1, "vpdq", b"x" * 32, 100, "full", 1500)])


def test_a_block_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """One transaction: all or nothing."""

    def write_and_fail(store: Store) -> None:
        with store.write() as connection:
            connection.execute(insert(banks).values(BANK))
            raise KeyError

    with open_store(tmp_path) as store:
        with pytest.raises(KeyError):
            write_and_fail(store)
        assert names(store) == []


def test_a_reader_keeps_seeing_one_state_while_another_writes(tmp_path: Path) -> None:
    """And a later reader sees the new one."""
    with open_store(tmp_path) as store:
        with store.read() as reading:
            assert reading.execute(select(banks.c.name)).all() == []
            with store.write() as connection:
                connection.execute(insert(banks).values(BANK))
            assert reading.execute(select(banks.c.name)).all() == []
        assert names(store) == ["A"]


def test_writers_take_turns(tmp_path: Path) -> None:
    """Twelve threads read a value and write it back increased, and no increase is lost."""
    with open_store(tmp_path) as store:
        with store.write() as connection:
            connection.execute(insert(banks).values(BANK | {"radius": 0}))

        def increase() -> None:
            with store.write() as connection:
                radius = connection.execute(select(banks.c.radius)).scalar_one()
                connection.execute(banks.update().values(radius=radius + 1))

        threads = [threading.Thread(target=increase) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.read() as connection:
            assert connection.execute(select(banks.c.radius)).scalar_one() == 12


def test_a_writer_that_waits_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and nothing changed."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with open_store(tmp_path) as store, store.write():
        with pytest.raises(StoreError, match=r"another process has been writing .* nothing was changed\. Try again"):
            store.write().__enter__()
        assert names(store) == []


def test_an_error_of_the_database_never_carries_what_was_to_be_stored(tmp_path: Path) -> None:
    """Hash lists are confidential, and errors end up in logs."""
    with open_store(tmp_path) as store, store.write() as connection:
        with pytest.raises(IntegrityError) as caught:
            connection.execute(insert(entries).values(bank_id=7, created_at=NOW, note="lighthouse"))
        assert "lighthouse" not in str(caught.value)


def test_a_damaged_database_is_named_as_such(tmp_path: Path) -> None:
    """Not as an internal error."""
    with open_store(tmp_path) as store, store.write() as connection:
        connection.execute(insert(banks).values(BANK))
    file = tmp_path / "rempart.db"
    content = bytearray(file.read_bytes())
    content[1024:] = b"\xa5" * (len(content) - 1024)
    file.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"), open_store(tmp_path) as store:
        names(store)


def test_without_the_driver_a_url_of_postgresql_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line; nothing is made in the data folder."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "rempart.store.postgresql", raising=False)
    with pytest.raises(ConfigError, match=r"^[^\n]*pip install 'rempart\[postgres\]'$"):
        open_store(tmp_path / "data", StoreSettings(url="postgresql://me@host/x"))
    assert not (tmp_path / "data").exists()

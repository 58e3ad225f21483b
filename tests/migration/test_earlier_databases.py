from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from alembic import command as alembic
from sqlalchemy import select
from tests.stores import Place, Postgres

from rempart.audit import verify
from rempart.lists import (
    Content,
    add_contents,
    create_bank,
    delete_bank,
    list_banks,
    list_entries,
    list_quarantine,
    load_banks,
    parse_hash,
    remove_entries,
)
from rempart.store import Store, migrations, sqlite
from rempart.store.service_tables import audit_log
from rempart.store.sqlite import SqliteStore
from rempart.store.tables import metadata

HERE = Path(__file__).parent
VERSIONS = sorted(file.stem.removeprefix("rempart-") for file in HERE.glob("rempart-*.sql"))


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version that has left databases here."""
    return str(request.param)


@pytest.fixture
def content(version: str) -> ModuleType:
    """What they hold."""
    return import_module(f"tests.migration.content_{version.replace('.', '_')}")


@pytest.fixture(params=["sqlite", "postgresql"])
def left(request: pytest.FixtureRequest, version: str, tmp_path: Path) -> Iterator[Place]:
    """A copy of the database that a version has left, in turn of each kind."""
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        shutil.copyfile(HERE / f"rempart-{version}.db", tmp_path / "data" / "rempart.db")
        yield Place(tmp_path / "data")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database(empty=True) as settings:
        import psycopg  # noqa: PLC0415 -- an extra, and there

        with psycopg.connect(settings.url) as connection:
            connection.execute((HERE / f"rempart-{version}.sql").read_bytes())
        yield Place(tmp_path / "data", settings)


def rows(store: Store, table: str) -> list[dict[str, Any]]:
    """The rows of a table in the order of its key."""
    columns = metadata.tables[table]
    with store.read() as connection:
        query = select(columns).order_by(*columns.primary_key.columns)
        return [dict(row._mapping) for row in connection.execute(query)]


def test_a_database_of_an_earlier_version_is_opened_with_all_that_it_holds(left: Place, content: ModuleType) -> None:
    """Row for row and cell for cell."""
    with left.open() as store:
        assert {table: rows(store, table) for table in content.ROWS} == {
            table: sorted(expected, key=lambda row: [row[column.name] for column in metadata.tables[table].primary_key])
            for table, expected in content.ROWS.items()
        }


def test_the_audit_of_an_earlier_version_is_whole(left: Place, content: ModuleType) -> None:
    """The chain holds, from what was written then to what is written now."""
    with left.open() as store:
        assert list(verify(store)) == []
        with store.read() as connection:
            query = select(audit_log.c.act, audit_log.c.subject, audit_log.c.actor).order_by(audit_log.c.sequence)
            started, *acts = connection.execute(query).all()
        assert started.act == "audit_started"
        assert [tuple(row) for row in acts] == [(act, subject, content.ACTOR) for act, subject, _ in content.ACTS]
        create_bank(store, "NEW")
        assert list(verify(store)) == []


def test_a_database_of_an_earlier_version_works_like_a_new_one(left: Place, content: ModuleType) -> None:
    """Numbers go on, also after what was removed; rows still belong to each other; matching finds."""
    with left.open() as store:
        banks = {bank.name: bank for bank in load_banks(store, clock=lambda: content.NOW)}
        assert {name: len(bank) for name, bank in banks.items()} == {"KNOWN": 7, "_FINE_2": 1}
        exact = {row["entry_id"]: row["value"] for row in content.ROWS["hashes"] if row["kind"] == "sha256"}
        found = {entry: banks["KNOWN"].exact("sha256", value) for entry, value in exact.items()}
        assert found == {1: [1], 3: []}  # the entry 3 is disabled
        assert [record.entry for record in list_quarantine(store, "KNOWN")] == [1, 2]
        [added] = add_contents(store, "KNOWN", [Content((parse_hash("0e" * 16),))])
        assert added.entry == 7
        assert create_bank(store, "ANOTHER").id == 3
        assert [row["id"] for row in rows(store, "changes")] == [1, 2, 3, 4]
        remove_entries(store, "KNOWN", [1])
        delete_bank(store, "_FINE_2")
        assert {row["entry_id"] for row in rows(store, "hashes")} == {2, 3, 5, 7}
        assert rows(store, "flood_samples") == []
        assert [row["bank_id"] for row in rows(store, "key_banks")] == [1]
        assert [bank.name for bank in list_banks(store)] == ["ANOTHER", "KNOWN"]


def database_at(folder: Path, revision: str) -> Path:
    """A SQLite database as a version before 0.4.0 made it, at one of its revisions, with rows."""
    folder.mkdir()
    file = folder / "rempart.db"
    file.touch()
    sqlite.use_write_ahead_log(file)
    with SqliteStore(file, "rw") as store, store.write(rebuilding=True) as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        alembic.upgrade(config, revision)
    at = "2026-01-02 03:04:05.000006"
    more = (50, None, 1.5) if revision >= "0002" else ()
    frame = ["at_ms"] if revision >= "0002" else []
    raw = sqlite3.connect(file, isolation_level=None)
    columns = ["id", "name", "kind", "harm", "radius", "quality_floor", "turned", "created_at", "refreshed_at"]
    columns += ["video_query_percent", "video_banked_percent", "video_run_seconds"] if more else []
    _insert(raw, "banks", columns, (3, "OLD", "blocking", "csam", 31, 50, 1, at, at, *more))
    _insert(raw, "entries", ["id", "bank_id", "created_at", "note"], (7, 3, at, "by hand"))
    kinds = (("pdq", 32, 77), ("md5", 16, None)) + ((("vpdq", 32, 90),) if more else ())
    for kind, length, quality in kinds:
        row = (7, kind, bytes([7]) * length, quality, *([40] if frame and kind == "vpdq" else [None] * len(frame)))
        _insert(raw, "hashes", ["entry_id", "kind", "value", "quality", *frame], row)
    if revision >= "0002":
        _insert(raw, "changes", ["id", "bank_id", "first_entry", "last_entry", "token"], (9, 3, 7, 7, 2**62))
        _insert(raw, "flood_samples", ["entry_id", "value", "seen_at"], (7, bytes(31) + b"\x01", at))
        _insert(raw, "quarantines", ["entry_id", "state", "since"], (7, "quarantined", at))
    raw.close()
    return file


def _insert(raw: sqlite3.Connection, table: str, columns: list[str], row: tuple[object, ...]) -> None:
    places = ", ".join("?" * len(columns))
    raw.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", row)  # noqa: S608 -- our own tables


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_file_from_before_the_service_is_upgraded_with_all_that_it_holds(tmp_path: Path, revision: str) -> None:
    """And its numbers go on, and the audit begins."""
    database_at(tmp_path / "data", revision)
    with Place(tmp_path / "data").open() as store:
        [bank] = list_banks(store)
        rule = (50, None, 1.5) if revision >= "0002" else (80, 80, 5.0)
        assert (bank.id, bank.name, bank.entries) == (3, "OLD", 1)
        assert (bank.video_query_percent, bank.video_banked_percent, bank.video_run_seconds) == rule
        assert bank.created_at == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        [entry] = list_entries(store, "OLD")
        frames = [("vpdq", 90, 40)] if revision >= "0002" else []
        assert [(each.kind, each.quality, each.at_ms) for each in entry.hashes] == [
            ("pdq", 77, None),
            *frames,
            ("md5", None, None),
        ]
        assert entry.note == "by hand"
        noted = [(row["id"], row["first_entry"], row["last_entry"]) for row in rows(store, "changes")]
        assert noted == [(9 if revision >= "0002" else 1, 7, 7)]
        assert [record.entry for record in list_quarantine(store, "OLD")] == ([7] if revision >= "0002" else [])
        assert add_contents(store, "OLD", [Content((parse_hash("0e" * 16),))])[0].entry == 8
        assert create_bank(store, "NEW").id == 4
        assert list(verify(store)) == []
        assert len(rows(store, "audit_log")) > 1

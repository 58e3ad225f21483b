from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from tests.stores import Place, Postgres

from rempart.errors import StoreError
from rempart.lists import create_bank, list_banks
from rempart.settings import StoreSettings
from rempart.store import open_store, service_tables
from rempart.store.tables import REVISION, metadata

# What the server itself says of the tables: columns, constraints and indexes, each in a line.
CATALOGUE = """
SELECT format('%s.%s %s collate %s default %s not null %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              coalesce(o.collname, '-'), coalesce(pg_get_expr(d.adbin, d.adrelid), '-'), a.attnotnull)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_collation o ON o.oid = a.attcollation
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
UNION ALL
SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


def catalogue(connection: Connection) -> set[str]:
    """The lines of the schema, without the table of Alembic."""
    return set(connection.execute(text(CATALOGUE)).scalars())


def test_migrations_lead_postgresql_to_exactly_the_tables_of_the_code(postgres: Postgres, tmp_path: Path) -> None:
    """Alembic finds no difference, nor does the server's own description."""
    assert {"jobs", "audit_log", "keys"} <= set(metadata.tables), service_tables
    with postgres.database(empty=True) as made:
        engine = create_engine(made.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
            expected = catalogue(connection)
        engine.dispose()
    with (
        postgres.database(empty=True) as migrated,
        open_store(tmp_path, migrated) as store,
        store.read() as connection,
    ):
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = catalogue(connection)
    assert found == expected
    assert len(found) > 100


def steps() -> list[Script]:
    """Every migration since processes of two versions may run side by side."""
    config = Config()
    config.set_main_option("script_location", "rempart.store:migrations")
    return [step for step in ScriptDirectory.from_config(config).walk_revisions() if step.revision > "0002"]


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.revision)
def test_a_migration_says_its_stage_and_one_before_the_code_only_adds(
    step: Script,
) -> None:
    """Processes of the version before go on using the database meanwhile."""
    assert step.module.stage in {"pre", "post"}
    if step.module.stage == "post":
        return
    said = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": said, "target_metadata": metadata}
    )

    with Operations.context(context):
        step.module.upgrade()
    statements = [each.strip() for each in said.getvalue().split(";") if each.strip()]
    assert statements
    for statement in statements:
        assert re.match(r"CREATE (TABLE|(UNIQUE )?INDEX) |ALTER TABLE \w+ ADD COLUMN ", statement)
        assert not re.search(r"ADD COLUMN .* NOT NULL(?!.*DEFAULT)", statement)


def test_a_process_that_has_the_database_open_goes_on_when_a_newer_one_upgrades_it(stores: Place) -> None:
    """And one that starts then is refused, and changes nothing."""
    with stores.open() as older:
        with older.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        create_bank(older, "A")
        with pytest.raises(StoreError, match=rf"^[^\n]*newer rempart \(schema 9999, known here: {REVISION}\)[^\n]*$"):
            stores.open()
        assert [bank.name for bank in list_banks(older)] == ["A"]


def test_processes_that_find_an_empty_server_together_make_one_schema(postgres: Postgres, tmp_path: Path) -> None:
    """On machines of their own, so that no file can hold one back; and each makes its bank."""
    rempart = str(Path(sys.executable).with_name("rempart"))
    with postgres.database(empty=True) as settings:
        started = [
            subprocess.Popen(
                [rempart, "bank", "create", f"BANK_{number}"],
                env={**Place(tmp_path / str(number), settings).environ, "HOME": str(tmp_path)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for number in range(4)
        ]
        assert [process.communicate()[1] for process in started] == [b""] * 4
        with open_store(tmp_path, settings) as store:
            assert [bank.name for bank in list_banks(store)] == [f"BANK_{number}" for number in range(4)]


def test_an_upgrade_that_fails_leaves_the_server_as_it_was(postgres: Postgres, tmp_path: Path) -> None:
    """Here because a table of that name is there; once it is gone, the upgrade goes through."""
    with postgres.database(empty=True) as settings:
        engine = create_engine(settings.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE jobs (id int)"))
        with pytest.raises(StoreError, match="cannot be used"):
            open_store(tmp_path, settings)
        with engine.begin() as connection:
            assert connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all() == [
                ("jobs",)
            ]
            connection.execute(text("DROP TABLE jobs"))
        engine.dispose()
        open_store(tmp_path, settings).close()


def test_schemas_of_one_server_are_databases_of_their_own(postgres: Postgres, tmp_path: Path) -> None:
    """The search path says which; neither waits for the locks of the other."""
    with postgres.database(empty=True) as settings:
        engine = create_engine(settings.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA one"))
            connection.execute(text("CREATE SCHEMA two"))
        engine.dispose()
        places = [StoreSettings(url=f"{settings.url}?options=-csearch_path%3D{name}") for name in ("one", "two")]
        with open_store(tmp_path, places[0]) as one, open_store(tmp_path, places[1]) as two:
            create_bank(one, "A")
            assert list_banks(two) == []
            with one.write() as held, two.write() as free:
                one.lock(held, "changes")
                two.lock(free, "changes")


def test_a_database_that_cannot_be_written_is_read_if_it_is_up_to_date(postgres: Postgres, tmp_path: Path) -> None:
    """As on a standby; writing and upgrading are refused in one line."""
    with postgres.database() as settings, postgres.database(empty=True) as empty:
        with open_store(tmp_path, settings) as store:
            create_bank(store, "A")
        reading = "?options=-cdefault_transaction_read_only%3Don"
        with open_store(tmp_path, StoreSettings(url=settings.url + reading)) as store:
            assert store.mode == "ro"
            assert [bank.name for bank in list_banks(store)] == ["A"]
            with pytest.raises(StoreError, match="cannot be written here"):
                create_bank(store, "B")
        with pytest.raises(StoreError, match="must be upgraded; run"):
            open_store(tmp_path, StoreSettings(url=empty.url + reading))

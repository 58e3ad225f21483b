"""Make the databases that later versions are tested to migrate: once for each version, before it is released.

    python tests/migration/make.py

writes ``rempart-<version>.db`` and ``rempart-<version>.sql`` beside itself, of the tables as they are now and the rows
of ``content_<version>.py``. It needs PostgreSQL as the tests do, and its ``pg_dump``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[2]))

from sqlalchemy import delete, insert
from tests.stores import Place, Postgres, server_programs

from rempart import __version__
from rempart.audit import Act, record
from rempart.store import Store, service_tables
from rempart.store.tables import entries, metadata

HERE = Path(__file__).parent
SEQUENCES = {"banks", "entries", "changes", "jobs", "keys"}
"""Tables whose numbers the database gives: they must have been given by it, or it would give them again."""


def fill(store: Store, content: ModuleType) -> None:
    """Write every row, and check that the database counts as it should."""
    assert set(content.ROWS) | {"audit_head", "audit_log"} == set(metadata.tables), service_tables
    with store.write() as connection:
        for table in metadata.sorted_tables:
            for row in content.ROWS.get(table.name, ()):
                if table.name not in SEQUENCES:
                    connection.execute(insert(table).values(row))
                    continue
                new = {name: cell for name, cell in row.items() if name != "id"}
                given = connection.execute(insert(table).values(new).returning(table.c.id)).scalar_one()
                assert given == row["id"]
        connection.execute(insert(entries).values(bank_id=1, created_at=content.NOW))
        connection.execute(delete(entries).where(entries.c.id > len(content.ROWS["entries"])))
        for act, subject, details in content.ACTS:
            record(connection, content.ACTOR, Act(act), subject, details, clock=lambda: content.NOW)


def dump(url: str) -> str:
    """A database as plain statements, without what only psql or a newer server would understand."""
    programs = server_programs()
    assert programs is not None
    command = [programs / "pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [line for line in said.splitlines() if not re.match(r"--|\\|SET |SELECT pg_catalog.set_config|$", line)]
    return "\n".join(kept) + "\n"


def main() -> None:
    """Make both."""
    content = import_module(f"tests.migration.content_{__version__.replace('.', '_')}")
    server = Postgres()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Place(folder).open() as store:
            fill(store, content)
        shutil.copyfile(folder / "rempart.db", HERE / f"rempart-{__version__}.db")
        with server.database(empty=True) as settings:
            with Place(folder, settings).open() as store:
                fill(store, content)
            (HERE / f"rempart-{__version__}.sql").write_text(dump(settings.url), encoding="utf-8")
    server.close()


if __name__ == "__main__":
    main()

"""How Alembic runs: on the connection that it is handed, within its transaction."""

from __future__ import annotations

from alembic import context

from rempart.store import service_tables  # noqa: F401 -- whose tables belong to the metadata, too
from rempart.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by making it anew
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

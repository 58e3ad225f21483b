"""Which schema a database has, and bringing it to the present one."""

from __future__ import annotations

from typing import Never

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from rempart.errors import StoreError
from rempart.store.database import Store
from rempart.store.tables import REVISION


def bring_up_to_date(store: Store) -> None:
    """Make or upgrade the schema, all of it or nothing, if it is not the present one.

    Of processes that start together one does it, and the others wait and find it done.

    Raises:
        StoreError: the schema is of a newer rempart, or of an older one in a database that cannot be written.
    """
    with store.read() as connection:
        revision = _revision(connection)
    if revision == REVISION:
        return
    _refuse_newer(store, revision)
    if store.mode != "rw":
        _refuse_older(store)
    from rempart.store.migrations import upgrade  # noqa: PLC0415 -- Alembic costs 0.2 s and is seldom needed

    with store.write(rebuilding=True) as connection:
        store.lock(connection, "schema")
        _refuse_newer(store, _revision(connection))
        upgrade(connection)


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None when there is no schema yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _refuse_newer(store: Store, revision: str | None) -> None:
    from rempart.store.migrations import known_revisions  # noqa: PLC0415 -- as above

    if revision is not None and revision not in known_revisions():
        raise StoreError(
            f"{store.name} was made by a newer rempart (schema {revision}, known here: {REVISION}); "
            f"upgrade rempart, or {store.other_place}"
        )


def _refuse_older(store: Store) -> Never:
    raise StoreError(f"{store.name} must be upgraded; run `rempart bank list` once as a user who can write there")

"""Opening the database, and the two ways to use it: reading and writing, each one transaction."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Never, Self

from sqlalchemy import Engine, Table, insert, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from rempart.errors import StoreError
from rempart.store import sqlite
from rempart.store.tables import REVISION

FILE_NAME = "rempart.db"
LOCK_NAME = "rempart.lock"


class Store:
    """An open database whose schema is the one that this code knows.

    Use it as a context manager, or call :meth:`close`. Threads may share it; a forked child must open its own.
    """

    def __init__(self, file: Path, mode: sqlite.Mode) -> None:
        self.file = file
        self.mode = mode
        self._engine: Engine = sqlite.make_engine(file, mode)

    def __repr__(self) -> str:
        return f"<Store {self.file} ({self.mode})>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the last one out folds the write-ahead log back into the file."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, whatever others write meanwhile.

        Raises:
            StoreError: the database cannot be read, or changed under a reader who could not lock it.
        """
        before = self._fingerprint()
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection
        if self._fingerprint() != before:
            raise StoreError(f"{self.file} was changed while it was read; run the command again")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that alone may write: all of it is on the disk when the block ends, or none of it.

        Raises:
            StoreError: the database is read-only here, the disk is full, or another writer takes too long.
        """
        if self.mode != "rw":
            raise StoreError(f"{self.file} cannot be written here; make it and its folder writable, or set data_dir")
        with self._explained(), self._engine.connect() as plain:
            connection = plain.execution_options(**{sqlite.WRITING: True})
            with connection.begin():
                yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # the database works; what it was given contradicts what it holds
        except DBAPIError as error:
            # The text of the error is dropped: it may quote what was to be stored.
            raise StoreError(sqlite.explain(error.orig, self.file)) from None

    def _fingerprint(self) -> tuple[int, int, bool] | None:
        """What would differ if someone wrote; None where SQLite's own locks take care of it."""
        if self.mode != "immutable":
            return None
        try:
            facts = self.file.stat()
        except OSError as error:
            raise StoreError(f"{self.file} cannot be read: {error.strerror}") from None
        return facts.st_mtime_ns, facts.st_size, _has_unfinished_log(self.file)


def open_store(data_path: Path) -> Store:
    """Open the database in a data folder; make the folder, the file and the schema when they are not there yet.

    A folder that can be read but not written is opened for reading, if its database exists and is up to date.

    Args:
        data_path: the data folder; it is made with mode 0700.

    Raises:
        StoreError: the folder or file cannot be made, read or upgraded, or a newer rempart has been here.
    """
    file = data_path.absolute() / FILE_NAME
    writable = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    if not writable and os.access(file, os.F_OK):
        return _open_to_read(file)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(file.with_name(LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"the data folder {file.parent} cannot be used: {error.strerror}. "
            "Set data_dir to a folder that you can write, or mend this one"
        ) from None
    try:
        # Two processes that start together: the second waits, then finds the schema made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _open_to_write(file)
    finally:
        os.close(lock)


def _open_to_write(file: Path) -> Store:
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"the database {file} cannot be opened: {error.strerror}") from None
    store = Store(file, "rw")
    try:
        revision = _revision(store)
        if revision != REVISION:
            _refuse_newer(revision, file)
            sqlite.use_write_ahead_log(file)
            _upgrade(store)
    except BaseException:
        store.close()
        raise
    return store


def _open_to_read(file: Path) -> Store:
    if not os.access(file, os.R_OK):
        raise StoreError(f"{file} cannot be read: check its permissions")
    try:
        return _checked(Store(file, "ro"))
    except StoreError:
        # Beside a write-ahead log SQLite wants lock files, which it cannot make here. Without a log nothing is lost by
        # reading the file alone; with one, the newest entries would be missed, and that is refused.
        if _has_unfinished_log(file):
            raise StoreError(
                f"{file} has changes that are not folded in yet, and its folder cannot be written; "
                "run `rempart bank list` once as a user who can write there"
            ) from None
    return _checked(Store(file, "immutable"))


def _checked(store: Store) -> Store:
    """The store, if it can be read and its schema is the present one; else it is closed."""
    try:
        revision = _revision(store)
        if revision != REVISION:
            _refuse_newer(revision, store.file)
            _refuse_older(store.file)
    except BaseException:
        store.close()
        raise
    return store


def _has_unfinished_log(file: Path) -> bool:
    try:
        return sqlite.log_of(file).stat().st_size > 0
    except OSError:
        return False


def _revision(store: Store) -> str | None:
    """The schema's revision; None when there is no schema yet."""
    with store.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(store: Store) -> None:
    """Bring the schema to :data:`REVISION`, all of it or nothing."""
    from rempart.store.migrations import upgrade  # noqa: PLC0415 -- Alembic costs 0.2 s and is seldom needed

    with store.write() as connection:
        upgrade(connection)


def _refuse_newer(revision: str | None, file: Path) -> None:
    from rempart.store.migrations import known_revisions  # noqa: PLC0415 -- as above

    if revision is not None and revision not in known_revisions():
        raise StoreError(
            f"{file} was made by a newer rempart (schema {revision}, known here: {REVISION}); "
            "upgrade rempart, or set data_dir to another folder"
        )


def _refuse_older(file: Path) -> Never:
    raise StoreError(f"{file} must be upgraded; run `rempart bank list` once as a user who can write there")


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows of every column in the table's order, of types that drivers take as they are.

    SQLAlchemy's own handling of each value takes as long as the database itself, which counts at a million rows.
    """
    if not rows:
        return
    statement = insert(table).compile(dialect=connection.dialect)
    names = table.columns.keys()
    parameters: Any = rows if statement.positional else [dict(zip(names, row, strict=True)) for row in rows]
    connection.exec_driver_sql(str(statement), parameters)

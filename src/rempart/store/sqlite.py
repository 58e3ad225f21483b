"""SQLite: how the file in the data folder is opened, and what its errors mean."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool, QueuePool

from rempart.errors import StoreError
from rempart.store.database import Mode, Store
from rempart.store.schema import bring_up_to_date

FILE_NAME = "rempart.db"
LOCK_NAME = "rempart.lock"

WRITING = "rempart_writing"
"""Execution option of a connection that is going to write."""

REBUILDING = "rempart_rebuilding"
"""Execution option of a writing connection that makes tables anew: dropping one must not delete what refers to it."""

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes; an import of a million hashes holds the lock for less."""

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",  # a commit that was acknowledged survives a power cut
    "PRAGMA cache_size = -65536",  # 64 MiB: index pages of a large import stay in memory
)


class SqliteStore(Store):
    """A SQLite file, whose one writer at a time holds the lock of the file.

    Attributes:
        file: the database.
    """

    dialect = "sqlite"
    other_place = "set data_dir to another folder"

    def __init__(self, file: Path, mode: Mode) -> None:
        super().__init__(file.parent, str(file), mode, make_engine(file, mode))
        self.file = file

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See :meth:`Store.read`."""
        before = self._fingerprint()
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection
        if self._fingerprint() != before:
            raise StoreError(f"{self.file} was changed while it was read; run the command again")

    @contextmanager
    def write(self, *, rebuilding: bool = False) -> Iterator[Connection]:
        """See :meth:`Store.write`."""
        if self.mode != "rw":
            raise StoreError(f"{self.file} cannot be written here; make it and its folder writable, or set data_dir")
        if rebuilding:
            use_write_ahead_log(self.file)
        with self._explained(), self._engine.connect() as plain:
            connection = plain.execution_options(**{WRITING: True, REBUILDING: rebuilding})
            try:
                with connection.begin():
                    yield connection
                    if rebuilding and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise StoreError(f"{self.file} holds rows that belong to nothing; nothing was changed")
            finally:
                if rebuilding:
                    connection.invalidate()  # the next one checks foreign keys again

    def about(self) -> str:
        """See :meth:`Store.about`."""
        return f"SQLite {sqlite3.sqlite_version}"

    def _fingerprint(self) -> tuple[int, int, bool] | None:
        """What would differ if someone wrote; None where SQLite's own locks take care of it."""
        if self.mode != "immutable":
            return None
        try:
            facts = self.file.stat()
        except OSError as error:
            raise StoreError(f"{self.file} cannot be read: {error.strerror}") from None
        return facts.st_mtime_ns, facts.st_size, _has_unfinished_log(self.file)

    def _explain(self, error: BaseException | None) -> str:
        return explain(error, self.file)


def open_sqlite(folder: Path) -> SqliteStore:
    """Open the database in a data folder; make the folder, the file and the schema when they are not there yet.

    A folder that can be read but not written is opened for reading, if its database exists and is up to date.

    Raises:
        StoreError: the folder or file cannot be made, read or upgraded, or a newer rempart has been here.
    """
    file = folder / FILE_NAME
    writable = os.access(file, os.W_OK) and os.access(folder, os.W_OK)
    if not writable and os.access(file, os.F_OK):
        return _open_to_read(file)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"the data folder {folder} cannot be used: {error.strerror}. "
            "Set data_dir to a folder that you can write, or mend this one"
        ) from None
    try:
        # Two processes that start together: the second waits, then finds the schema made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return _checked(SqliteStore(file, "rw"))
    except OSError as error:
        raise StoreError(f"the database {file} cannot be opened: {error.strerror}") from None
    finally:
        os.close(lock)


def _open_to_read(file: Path) -> SqliteStore:
    if not os.access(file, os.R_OK):
        raise StoreError(f"{file} cannot be read: check its permissions")
    try:
        return _checked(SqliteStore(file, "ro"))
    except StoreError:
        # Beside a write-ahead log SQLite wants lock files, which it cannot make here. Without a log nothing is lost by
        # reading the file alone; with one, the newest entries would be missed, and that is refused.
        if _has_unfinished_log(file):
            raise StoreError(
                f"{file} has changes that are not folded in yet, and its folder cannot be written; "
                "run `rempart bank list` once as a user who can write there"
            ) from None
    return _checked(SqliteStore(file, "immutable"))


def _checked(store: SqliteStore) -> SqliteStore:
    """The store, once its schema is the present one; else it is closed."""
    try:
        bring_up_to_date(store)
    except BaseException:
        store.close()
        raise
    return store


def _has_unfinished_log(file: Path) -> bool:
    try:
        return file.with_name(file.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def make_engine(file: Path, mode: Mode) -> Engine:
    """An engine on an existing SQLite file.

    Args:
        file: the database.
        mode: ``rw``; ``ro`` reads beside writers; ``immutable`` reads without lock files, where none can be made, and
            is right only while nobody writes.
    """
    query = "immutable=1" if mode == "immutable" else f"mode={mode}"
    uri = f"{file.as_uri()}?{query}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    # An immutable connection may keep pages that have become old, so it is not used twice.
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=connect,
        poolclass=NullPool if mode == "immutable" else QueuePool,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def use_write_ahead_log(file: Path) -> None:
    """Make readers and the writer independent of each other; the file remembers it.

    Raises:
        StoreError: the file cannot be written.
    """
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise StoreError(explain(error, file)) from None
    finally:
        connection.close()


def explain(error: BaseException | None, file: Path) -> str:
    """One line for a person: what is wrong with the database, and what to do next."""
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, text in _MEANINGS.items():
        if name.startswith(prefix):
            return text.format(file=file, folder=file.parent)
    return f"the database {file} cannot be used ({name or type(error).__name__}); `rempart doctor` says more"


_MEANINGS = {
    "SQLITE_FULL": "no space is left for {folder}; nothing was changed. Free some space and run the command again",
    "SQLITE_BUSY": "another process has been writing to {file} for too long; nothing was changed. Try again",
    "SQLITE_LOCKED": "another process has been writing to {file} for too long; nothing was changed. Try again",
    "SQLITE_READONLY": "{file} cannot be written; nothing was changed. Make it and its folder writable",
    "SQLITE_CANTOPEN": "{file} cannot be opened. Check the permissions of the file and of its folder",
    "SQLITE_PERM": "{file} cannot be opened. Check the permissions of the file and of its folder",
    "SQLITE_AUTH": "{file} cannot be opened. Check the permissions of the file and of its folder",
    "SQLITE_CORRUPT": "{file} is damaged. Put back a copy, or move the file away and fill the banks again",
    "SQLITE_NOTADB": "{file} is not a database of rempart. Move it away, or set data_dir to another folder",
    "SQLITE_IOERR": "reading or writing {file} failed; nothing was changed. Check the disk's health and its free space",
}


def _prepare(connection: sqlite3.Connection, record: Any) -> None:  # noqa: ARG001, ANN401 -- SQLAlchemy's signature
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(REBUILDING):
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")  # within a transaction it would do nothing
    # A writer takes its lock at once: a transaction that reads first and then cannot write would have to start again.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITING) else "BEGIN")

"""Everything that is particular to SQLite: how a file is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool, QueuePool

from rempart.errors import StoreError

Mode = Literal["rw", "ro", "immutable"]

WRITING = "rempart_writing"
"""Execution option of a connection that is going to write."""

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes; an import of a million hashes holds the lock for less."""

PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",  # a commit that was acknowledged survives a power cut
    "PRAGMA cache_size = -65536",  # 64 MiB: index pages of a large import stay in memory
)


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


def log_of(file: Path) -> Path:
    """Where SQLite keeps what is committed but not yet written back into ``file``."""
    return file.with_name(file.name + "-wal")


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
    # A writer takes its lock at once: a transaction that reads first and then cannot write would have to start again.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITING) else "BEGIN")

"""An open database, and the two ways to use it: reading and writing, each one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import Any, Literal, Self

from sqlalchemy import Column, ColumnElement, Engine, Table, any_, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from rempart.errors import StoreError

Mode = Literal["rw", "ro", "immutable"]
Dialect = Literal["sqlite", "postgresql"]

POSTGRESQL = "postgresql"


class Store(ABC):
    """An open database whose schema is the one that this code knows.

    Use it as a context manager, or call :meth:`close`. Threads may share it; a forked child must open its own.

    Attributes:
        folder: the local data folder, for the snapshots and locks of this machine, whichever the database is.
        name: what messages call the database.
        mode: ``rw``; ``ro`` or ``immutable`` where nothing can be written.
        dialect: ``sqlite`` or ``postgresql``.
        other_place: how to use another database, for messages.
    """

    dialect: Dialect
    other_place: str

    def __init__(self, folder: Path, name: str, mode: Mode, engine: Engine) -> None:
        self.folder = folder
        self.name = name
        self.mode = mode
        self._engine = engine

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.mode})>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the last one out of SQLite folds the write-ahead log back into the file."""
        self._engine.dispose()

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the database, whatever others write meanwhile.

        Raises:
            StoreError: the database cannot be read, or changed under a reader who could not lock it.
        """

    @abstractmethod
    def write(self, *, rebuilding: bool = False) -> AbstractContextManager[Connection]:
        """A transaction that may write: all of it is on the disk when the block ends, or none of it.

        On SQLite there is one writer at a time. On PostgreSQL there are many: whoever writes what depends on what it
        read takes a lock first, on the row (``with_for_update``) or by :meth:`lock`.

        Args:
            rebuilding: tables are made anew in it, so that SQLite checks foreign keys once, at the end.

        Raises:
            StoreError: the database is read-only here, the disk is full, or another writer takes too long.
        """

    @contextmanager
    def write_whole(self) -> Iterator[tuple[Connection, Store]]:
        """One writing transaction, and a store whose transactions are all parts of it, however many are made there.

        So acts that know of one another nothing are kept together, or not at all. Only the thread that opened it may
        use that store, and only until the block ends.

        Raises:
            StoreError: as :meth:`write`.
        """
        with self.write() as connection:
            yield connection, _Part(self, connection)

    @abstractmethod
    def about(self) -> str:
        """The kind of database and its version, for a person.

        Raises:
            StoreError: it cannot be read, or was told not to keep what it has acknowledged.
        """

    @staticmethod
    def lock(connection: Connection, name: str) -> None:
        """Let no other transaction that takes the lock of this name go on until this one has ended.

        To be taken in this order where one transaction takes several: the row of the bank, ``floods``, ``changes``, the
        head of the audit. On SQLite a writer is alone anyway.
        """
        if connection.dialect.name == POSTGRESQL:
            # Each schema is a database of its own. A NULL would be no lock at all.
            key = func.hashtextextended(func.concat(func.current_schema(), ".rempart.", name), 0)
            connection.execute(select(func.pg_advisory_xact_lock(key)))

    @staticmethod
    def notify(connection: Connection, channel: str) -> None:
        """Have those who :meth:`listen` told as soon as this transaction is committed. On SQLite nothing happens."""
        if connection.dialect.name == POSTGRESQL:
            connection.execute(select(func.pg_notify(channel_name(channel), "")))

    def listen(self, channel: str, stop: Event) -> Iterator[None]:  # noqa: ARG002 -- nothing to hear by default
        """Yield whenever something may have been told on a channel, until ``stop`` is set.

        It is a hint to look sooner than one would anyway: it can come late, twice, without cause, or not at all while
        the database is away, and errors of the database are not raised. On SQLite it ends at once.
        """
        return iter(())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # the database works; what it was given contradicts what it holds
        except DBAPIError as error:
            # The text of the error is dropped: it may quote what was to be stored.
            raise StoreError(self._explain(error.orig)) from None
        except PoolTimeoutError:
            raise StoreError(f"too many at once want to use {self.name}; nothing was changed. Try again") from None

    @abstractmethod
    def _explain(self, error: BaseException | None) -> str:
        """One line for a person: what is wrong with the database, and what to do next."""


class _Part(Store):
    """A store within a transaction that is under way: what fails in it is undone, the rest is kept by the commit."""

    def __init__(self, whole: Store, connection: Connection) -> None:
        super().__init__(whole.folder, whole.name, whole.mode, connection.engine)
        self.dialect, self.other_place = whole.dialect, whole.other_place
        self._whole = whole
        self._connection = connection

    def close(self) -> None:
        """Whoever opened the transaction ends it."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See :meth:`Store.read`; it sees what the transaction has written."""
        with self._explained():
            yield self._connection

    @contextmanager
    def write(self, *, rebuilding: bool = False) -> Iterator[Connection]:
        """See :meth:`Store.write`."""
        if rebuilding:
            raise ValueError("tables are not made anew within another transaction")
        with self._explained(), self._connection.begin_nested():
            yield self._connection

    def about(self) -> str:
        """See :meth:`Store.about`."""
        return self._whole.about()

    def _explain(self, error: BaseException | None) -> str:
        return self._whole._explain(error)  # noqa: SLF001 -- of the same class


def channel_name(channel: str) -> str:
    """What a channel is called in the database."""
    return f"rempart_{channel}"


def among(connection: Connection, column: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """The condition that a column holds one of many values.

    To PostgreSQL they go as one array: reading thousands of parameters takes it longer than all the rest.
    """
    if connection.dialect.name == POSTGRESQL:
        return column == any_(bindparam(None, list(values), ARRAY(column.type)))
    return column.in_(values)


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows of every column in the table's order, of types that drivers take as they are.

    SQLAlchemy's own handling of each value takes as long as the database itself, which counts at a million rows.
    """
    if not rows:
        return
    if connection.dialect.name == POSTGRESQL:
        _insert_columns(connection, table, rows)
        return
    statement = insert(table).compile(dialect=connection.dialect)
    connection.exec_driver_sql(str(statement), list(rows))


def _insert_columns(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Hand over each column as one array, in one statement, instead of a statement for each row."""
    names = ", ".join(connection.dialect.identifier_preparer.format_column(column) for column in table.columns)
    types = [column.type.compile(connection.dialect) for column in table.columns]
    arrays = ", ".join(f"%s::{form}[]" for form in types)
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays})",  # noqa: S608 -- names of our own tables
        tuple(list(column) for column in zip(*rows, strict=True)),
    )

"""Reading the log as it is stored, whatever someone did to it: no content of it is an error here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, LargeBinary, and_, case, cast, func, select
from sqlalchemy.engine import Connection

from rempart.audit.acts import Act
from rempart.audit.chain import Entry, canonical, read_heads
from rempart.store import Store
from rempart.store.service_tables import audit_log

_CHUNK = 5_000
_TEXTS = ("at", "actor", "act", "subject", "details")
_DATE = 10
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Row(msgspec.Struct, frozen=True):
    """A stored row.

    Attributes:
        sequence: its number; None if that is not a whole number.
        entry: what it says; None if that is nothing that :func:`rempart.audit.record` could have written.
        digest: the stored digest, whatever it is.
    """

    sequence: int | None
    entry: Entry | None
    digest: bytes


def read_rows(connection: Connection, *where: ColumnElement[bool]) -> Generator[Row, None, None]:
    """The rows by number, streamed."""
    on_sqlite = connection.dialect.name == "sqlite"
    columns, entry = (_sqlite_columns(), _sqlite_entry) if on_sqlite else (_postgresql_columns(), _entry)
    query = select(*columns).where(*where).order_by(audit_log.c.sequence).execution_options(yield_per=_CHUNK)
    with connection.execute(query) as found:
        for sequence, digest, sound, *values in found:
            yield Row(sequence, entry(sequence, values) if sound else None, digest or b"")


def row_at(connection: Connection, sequence: int) -> Row | None:
    """The row of a number."""
    with closing(read_rows(connection, audit_log.c.sequence == sequence)) as rows:
        return next(rows, None)


def length(store: Store) -> int:
    """The number of the last row, as the head says.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return max((sequence or 0 for sequence, _ in read_heads(connection)), default=0)


def database_of(first: Row | None) -> str | None:
    """By what the log whose first row this is differs from all others; None if the row does not say that."""
    if first is None or first.entry is None or first.entry.act != Act.AUDIT_STARTED:
        return None
    name = msgspec.json.decode(first.entry.details).get("database")
    return name if isinstance(name, str) else None


def _entry(sequence: int, values: Sequence[str]) -> Entry | None:
    at, actor, act, subject, details = values
    try:
        # Equal details must be equal text: else the text could be changed so that nobody who reads JSON sees it.
        content = msgspec.json.decode(details)
        if not isinstance(content, dict) or canonical.encode(content).decode() != details:
            return None
    except (ValueError, RecursionError):  # msgspec.DecodeError is a ValueError
        return None
    return Entry(act, actor, at, msgspec.Raw(details.encode()), sequence, subject)


def _postgresql_columns() -> list[ColumnElement[Any]]:
    table = audit_log.c
    at = func.to_char(func.timezone("UTC", table.at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    # Years that are not four digits, among them those before our era, are not written as they are.
    sound = table.at.between(_EARLIEST, _LATEST)
    return [table.sequence, table.digest, sound, at, *(table[name] for name in _TEXTS[1:])]


def _sqlite_columns() -> list[ColumnElement[Any]]:
    """SQLite keeps anything in any column, even text that is none: it is asked for the types, and for plain bytes."""
    table = audit_log.c
    types = dict.fromkeys(_TEXTS, "text") | {"sequence": "integer", "digest": "blob"}
    sound = and_(*(func.typeof(table[name]) == kind for name, kind in types.items()))
    sequence = case((func.typeof(table.sequence) == "integer", table.sequence))
    digest, *texts = (cast(table[name], LargeBinary) for name in ("digest", *_TEXTS))
    return [sequence, digest, sound, *texts]


def _sqlite_entry(sequence: int, values: Sequence[bytes]) -> Entry | None:
    try:
        at, *others = (value.decode() for value in values)
    except UnicodeDecodeError:
        return None
    if at[_DATE : _DATE + 1] != " ":
        return None
    return _entry(sequence, [f"{at[:_DATE]}T{at[_DATE + 1 :]}Z", *others])

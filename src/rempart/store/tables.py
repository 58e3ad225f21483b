"""The tables, written once in portable SQLAlchemy Core; the migrations lead to exactly these.

Closed lists of values are held by CHECK constraints, so that no program, ours or another, can put in a row that
matching would not understand.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
)

from rempart.matching.bank import LARGEST_RADIUS, Harm, Kind

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

REVISION = "0001"
"""The newest migration, which this code reads and writes; named here so that opening need not load Alembic."""

LARGEST_QUALITY = 100


class HashKind(StrEnum):
    """The kinds of hash that an entry can hold."""

    PDQ = "pdq"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"

    @property
    def length(self) -> int:
        """The length of such a hash in bytes."""
        return _LENGTHS[self]


_LENGTHS = {HashKind.PDQ: 32, HashKind.MD5: 16, HashKind.SHA1: 20, HashKind.SHA256: 32}


class Moment(TypeDecorator[datetime]):
    """A point in time: aware on the Python side, UTC in the database whatever it can hold."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's signature
        """Turn to UTC; a naive time is refused, because nobody can say which moment it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back an aware UTC time; SQLite keeps none of the zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _one_of(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

banks = Table(
    "banks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("harm", String(16), nullable=False),
    Column("radius", SmallInteger, nullable=False),
    Column("quality_floor", SmallInteger, nullable=False),
    Column("turned", Boolean, nullable=False),
    Column("max_age_seconds", Integer),
    Column("created_at", Moment, nullable=False),
    Column("refreshed_at", Moment, nullable=False),
    CheckConstraint(_one_of("kind", Kind), name="kind"),
    CheckConstraint(_one_of("harm", Harm), name="harm"),
    CheckConstraint(f"radius BETWEEN 0 AND {LARGEST_RADIUS}", name="radius"),
    CheckConstraint(f"quality_floor BETWEEN 0 AND {LARGEST_QUALITY}", name="quality_floor"),
    CheckConstraint("max_age_seconds > 0", name="max_age_seconds"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bank_id", ForeignKey("banks.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("source_record", Text),
    Column("note", Text),
    Column("disabled_until", Moment),
    Column("enabled_ratio", Float),
    Column("opinions", JSON(none_as_null=True)),
    CheckConstraint("enabled_ratio BETWEEN 0 AND 1", name="enabled_ratio"),
    sqlite_autoincrement=True,  # an id that was removed never comes back for other content
)

hashes = Table(
    "hashes",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("value", LargeBinary, primary_key=True),
    Column("quality", SmallInteger),
    Column("variant", String(64)),
    CheckConstraint(_one_of("kind", HashKind), name="kind"),
    CheckConstraint(f"quality BETWEEN 0 AND {LARGEST_QUALITY}", name="quality"),
    CheckConstraint(
        f"length(value) = CASE kind {' '.join(f'WHEN {k.value!r} THEN {k.length}' for k in HashKind)} END",
        name="length",
    ),
    Index(None, "kind", "value"),
    sqlite_with_rowid=False,  # the key is the row: half the file, and an entry's hashes lie side by side
)

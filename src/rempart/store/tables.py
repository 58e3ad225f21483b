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
    BigInteger,
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
    text,
)

from rempart.matching.bank import LARGEST_RADIUS, Harm, Kind

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

REVISION = "0003"
"""The newest migration, which this code reads and writes; named here so that opening need not load Alembic."""

LARGEST_QUALITY = 100


class HashKind(StrEnum):
    """The kinds of hash that an entry can hold; a VPDQ is the PDQ of one sampled frame of a video."""

    PDQ = "pdq"
    VPDQ = "vpdq"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"

    @property
    def length(self) -> int:
        """The length of such a hash in bytes."""
        return _LENGTHS[self]


_LENGTHS = {HashKind.PDQ: 32, HashKind.VPDQ: 32, HashKind.MD5: 16, HashKind.SHA1: 20, HashKind.SHA256: 32}


class QuarantineState(StrEnum):
    """What is thought of an entry that too many unlike pictures came near."""

    QUARANTINED = "quarantined"
    """It was found so by counting, and waits for a person."""
    CONFIRMED = "confirmed"
    """A person says that it is rightly so; it stays for good."""
    LIFTED = "lifted"
    """A person says that its matches are right; they count normally and are not counted any more."""


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


Number = BigInteger().with_variant(Integer(), "sqlite")
"""The type of numbers that a database gives out; SQLite counts to 2^63 in what it calls an integer, and only there."""

Name = String(255).with_variant(String(255, collation="C"), "postgresql")
"""The type of names in ASCII: in the same order everywhere, however a database was told to sort."""


def one_of(column: str, values: Iterable[str]) -> str:
    """The condition that a column holds one of a closed list of values."""
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
    Column("id", Number, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("harm", String(16), nullable=False),
    Column("radius", SmallInteger, nullable=False),
    Column("quality_floor", SmallInteger, nullable=False),
    Column("turned", Boolean, nullable=False),
    Column("max_age_seconds", Integer),
    Column("created_at", Moment, nullable=False),
    Column("refreshed_at", Moment, nullable=False),
    # The rule for videos; a direction without a value is off.
    Column("video_query_percent", SmallInteger, server_default=text("80")),
    Column("video_banked_percent", SmallInteger, server_default=text("80")),
    Column("video_run_seconds", Float, server_default=text("5.0")),
    # 0 switches the bank off; a part of 1 holds for the look-ups of HMA's clients only.
    Column("enabled_ratio", Float, nullable=False, server_default=text("1.0")),
    CheckConstraint(one_of("kind", Kind), name="kind"),
    CheckConstraint(one_of("harm", Harm), name="harm"),
    CheckConstraint(f"radius BETWEEN 0 AND {LARGEST_RADIUS}", name="radius"),
    CheckConstraint(f"quality_floor BETWEEN 0 AND {LARGEST_QUALITY}", name="quality_floor"),
    CheckConstraint("max_age_seconds > 0", name="max_age_seconds"),
    CheckConstraint("video_query_percent BETWEEN 1 AND 100", name="video_query_percent"),
    CheckConstraint("video_banked_percent BETWEEN 1 AND 100", name="video_banked_percent"),
    CheckConstraint("video_run_seconds > 0", name="video_run_seconds"),
    CheckConstraint("enabled_ratio BETWEEN 0 AND 1", name="enabled_ratio"),
    sqlite_autoincrement=True,  # what other programs keep of a deleted bank is never taken for a new one
)

entries = Table(
    "entries",
    metadata,
    Column("id", Number, primary_key=True),
    Column("bank_id", ForeignKey("banks.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("source_record", Text),
    Column("note", Text),
    Column("disabled_until", Moment),
    Column("enabled_ratio", Float),
    Column("opinions", JSON(none_as_null=True)),
    CheckConstraint("enabled_ratio BETWEEN 0 AND 1", name="enabled_ratio"),
    Index(
        None,
        "disabled_until",
        sqlite_where=text("disabled_until IS NOT NULL"),
        postgresql_where=text("disabled_until IS NOT NULL"),
    ),
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
    Column("at_ms", Integer),  # when in the video
    CheckConstraint(one_of("kind", HashKind), name="kind"),
    CheckConstraint(f"quality BETWEEN 0 AND {LARGEST_QUALITY}", name="quality"),
    CheckConstraint("at_ms >= 0", name="at_ms"),
    CheckConstraint(
        f"length(value) = CASE kind {' '.join(f'WHEN {k.value!r} THEN {k.length}' for k in HashKind)} END",
        name="length",
    ),
    Index(None, "kind", "value"),
    sqlite_with_rowid=False,  # the key is the row: half the file, and an entry's hashes lie side by side
)

# The order in which banks changed. Each row says: what this bank holds under these numbers may have changed; whoever
# reads these entries again, row after row, ends with what the bank holds. Written in the transaction of the change;
# gone with the bank, whose number no other bank ever gets.
changes = Table(
    "changes",
    metadata,
    Column("id", Number, primary_key=True),
    Column("bank_id", ForeignKey("banks.id", ondelete="CASCADE"), nullable=False),
    Column("first_entry", Number, nullable=False),
    Column("last_entry", Number, nullable=False),
    Column("token", BigInteger, nullable=False),  # random: tells this change from one of another past with its number
    CheckConstraint("first_entry <= last_entry", name="range"),
    Index(None, "bank_id", "id"),
    sqlite_autoincrement=True,  # the order holds even when the newest rows are gone with their bank
)

# Hashes that came near an entry, no two of them near each other: what counts towards a quarantine.
flood_samples = Table(
    "flood_samples",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True),
    Column("value", LargeBinary, primary_key=True),
    Column("seen_at", Moment, nullable=False),
    CheckConstraint(f"length(value) = {HashKind.PDQ.length}", name="length"),
    sqlite_with_rowid=False,
)

quarantines = Table(
    "quarantines",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", Moment, nullable=False),
    Column("decided_at", Moment),
    Column("note", Text),
    CheckConstraint(one_of("state", QuarantineState), name="state"),
)

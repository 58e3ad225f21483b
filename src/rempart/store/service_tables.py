"""The tables of the service: what was done and by whom, what is to be done, and who may ask."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from rempart.store.tables import Moment, Name, Number, metadata, one_of

DIGEST_BYTES = 32


class JobState(StrEnum):
    """What has become of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Scope(StrEnum):
    """What a key may do."""

    SCREEN = "screen"
    MATCH = "match"
    DISTANCE = "distance"
    CURATE = "curate"
    ADMIN = "admin"


# One row: the end of the chain. Whoever appends locks it, last of all locks, and so all acts stand in one order.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint(f"length(digest) = {DIGEST_BYTES}", name="digest"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("act", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("details", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    CheckConstraint(f"length(digest) = {DIGEST_BYTES}", name="digest"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Number, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("dedupe", String(128)),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("most_attempts", SmallInteger, nullable=False),
    Column("leased_by", String(128)),
    Column("lease_until", Moment),
    Column("finished_at", Moment),
    Column("error", String(255)),
    CheckConstraint(one_of("state", JobState), name="state"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    Index(None, "state", "due_at"),
    Index(
        "uq_jobs_dedupe_live",
        "kind",
        "dedupe",
        unique=True,
        sqlite_where=text("state IN ('waiting', 'running') AND dedupe IS NOT NULL"),
        postgresql_where=text("state IN ('waiting', 'running') AND dedupe IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", Name, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("every_seconds", Integer, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("enabled", Boolean, nullable=False),
    CheckConstraint("every_seconds > 0", name="every_seconds"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("digest", LargeBinary, nullable=False, unique=True),  # of the secret, which is nowhere
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("per_minute", Integer),
    Column("every_bank", Boolean, nullable=False),
    CheckConstraint(f"length(digest) = {DIGEST_BYTES}", name="digest"),
    CheckConstraint("per_minute > 0", name="per_minute"),
    sqlite_autoincrement=True,
)

key_scopes = Table(
    "key_scopes",
    metadata,
    Column("key_id", ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("scope", String(16), primary_key=True),
    CheckConstraint(one_of("scope", Scope), name="scope"),
)

# The only banks that a key may look into or change, unless it may all.
key_banks = Table(
    "key_banks",
    metadata,
    Column("key_id", ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("bank_id", ForeignKey("banks.id", ondelete="CASCADE"), primary_key=True),
)

# The bucket of each key, from which processes take requests in batches.
allowances = Table(
    "allowances",
    metadata,
    Column("key_id", ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("filled_at", Moment, nullable=False),
)

# How often each key asked, by hour: flushed within a second, so it may be short of the last one after a crash.
lookups = Table(
    "lookups",
    metadata,
    Column("key_id", Number, primary_key=True, autoincrement=False),
    Column("hour", Moment, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# Answers to writes, by the name that the client gave each: asked again, it gets the same one and nothing is done twice.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("token", String(128), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint(f"length(request) = {DIGEST_BYTES}", name="request"),
)

# What clients of HMA keep with what they bank.
client_metadata = Table(
    "client_metadata",
    metadata,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True),
    Column("content", JSON, nullable=False),
)

# How large a share of the look-ups of HMA's clients may ask for a type of signal; 1 where there is no row.
signal_types = Table(
    "signal_types",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("enabled_ratio", Float, nullable=False),
    CheckConstraint("enabled_ratio BETWEEN 0 AND 1", name="enabled_ratio"),
)

"""The service: what was done and by whom, what is to be done, and who may ask."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
stage = "pre"

_moment = sa.DateTime(timezone=True)
_name = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of the audit, of jobs and of keys, and what clients of HMA set."""
    _make_audit()
    _make_jobs()
    _make_keys()
    _make_counts()
    _make_switches()


def _make_audit() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_audit_head_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_log",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", _moment, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_audit_log_digest")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_log")),
    )


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _number, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("dedupe", sa.String(128)),
        sa.Column("created_at", _moment, nullable=False),
        sa.Column("due_at", _moment, nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("most_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("leased_by", sa.String(128)),
        sa.Column("lease_until", _moment),
        sa.Column("finished_at", _moment),
        sa.Column("error", sa.String(255)),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'dead', 'cancelled')", name=op.f("ck_jobs_state")),
        sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_jobs_lease")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_jobs_state_due_at"), "jobs", ["state", "due_at"])
    live = sa.text("state IN ('waiting', 'running') AND dedupe IS NOT NULL")
    op.create_index(
        "uq_jobs_dedupe_live", "jobs", ["kind", "dedupe"], unique=True, sqlite_where=live, postgresql_where=live
    )
    op.create_table(
        "schedules",
        sa.Column("name", _name, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=False),
        sa.Column("next_at", _moment, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.CheckConstraint("every_seconds > 0", name=op.f("ck_schedules_every_seconds")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", _number, nullable=False),
        sa.Column("name", _name, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _moment, nullable=False),
        sa.Column("expires_at", _moment),
        sa.Column("revoked_at", _moment),
        sa.Column("per_minute", sa.Integer()),
        sa.Column("every_bank", sa.Boolean(), nullable=False),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_keys_digest")),
        sa.CheckConstraint("per_minute > 0", name=op.f("ck_keys_per_minute")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("name", name=op.f("uq_keys_name")),
        sa.UniqueConstraint("digest", name=op.f("uq_keys_digest")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "key_scopes",
        _key_id(),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.CheckConstraint(
            "scope IN ('screen', 'match', 'distance', 'curate', 'admin')", name=op.f("ck_key_scopes_scope")
        ),
        _of_key("key_scopes"),
        sa.PrimaryKeyConstraint("key_id", "scope", name=op.f("pk_key_scopes")),
    )
    op.create_table(
        "key_banks",
        _key_id(),
        sa.Column("bank_id", _number, nullable=False),
        _of_key("key_banks"),
        sa.ForeignKeyConstraint(["bank_id"], ["banks.id"], name=op.f("fk_key_banks_bank_id_banks"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_id", "bank_id", name=op.f("pk_key_banks")),
    )


def _make_counts() -> None:
    op.create_table(
        "allowances",
        _key_id(),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("filled_at", _moment, nullable=False),
        _of_key("allowances"),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_allowances")),
    )
    op.create_table(
        "lookups",
        sa.Column("key_id", _number, autoincrement=False, nullable=False),
        sa.Column("hour", _moment, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "hour", "kind", "outcome", name=op.f("pk_lookups")),
    )
    op.create_table(
        "idempotency",
        _key_id(),
        sa.Column("token", sa.String(128), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _moment, nullable=False),
        sa.CheckConstraint("length(request) = 32", name=op.f("ck_idempotency_request")),
        _of_key("idempotency"),
        sa.PrimaryKeyConstraint("key_id", "token", name=op.f("pk_idempotency")),
    )


def _make_switches() -> None:
    op.create_table(
        "client_metadata",
        sa.Column("entry_id", _number, nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name=op.f("fk_client_metadata_entry_id_entries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_client_metadata")),
    )
    op.create_table(
        "signal_types",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("enabled_ratio", sa.Float(), nullable=False),
        sa.CheckConstraint("enabled_ratio BETWEEN 0 AND 1", name=op.f("ck_signal_types_enabled_ratio")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_signal_types")),
    )


def _key_id() -> sa.Column[int]:
    return sa.Column("key_id", _number, nullable=False)


def _of_key(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_key_id_keys")
    return sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=name, ondelete="CASCADE")

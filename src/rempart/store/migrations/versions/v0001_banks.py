"""Banks, their entries, and the hashes of each entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_name = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the first three tables."""
    op.create_table(
        "banks",
        sa.Column("id", _number, nullable=False),
        sa.Column("name", _name, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("harm", sa.String(16), nullable=False),
        sa.Column("radius", sa.SmallInteger(), nullable=False),
        sa.Column("quality_floor", sa.SmallInteger(), nullable=False),
        sa.Column("turned", sa.Boolean(), nullable=False),
        sa.Column("max_age_seconds", sa.Integer()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('blocking', 'allowing')", name=op.f("ck_banks_kind")),
        sa.CheckConstraint("harm IN ('csam', 'exploitative', 'ncii_adult', 'other')", name=op.f("ck_banks_harm")),
        sa.CheckConstraint("radius BETWEEN 0 AND 31", name=op.f("ck_banks_radius")),
        sa.CheckConstraint("quality_floor BETWEEN 0 AND 100", name=op.f("ck_banks_quality_floor")),
        sa.CheckConstraint("max_age_seconds > 0", name=op.f("ck_banks_max_age_seconds")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_banks")),
        sa.UniqueConstraint("name", name=op.f("uq_banks_name")),
    )
    op.create_table(
        "entries",
        sa.Column("id", _number, nullable=False),
        sa.Column("bank_id", _number, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_record", sa.Text()),
        sa.Column("note", sa.Text()),
        sa.Column("disabled_until", sa.DateTime(timezone=True)),
        sa.Column("enabled_ratio", sa.Float()),
        sa.Column("opinions", sa.JSON()),
        sa.CheckConstraint("enabled_ratio BETWEEN 0 AND 1", name=op.f("ck_entries_enabled_ratio")),
        sa.ForeignKeyConstraint(["bank_id"], ["banks.id"], name=op.f("fk_entries_bank_id_banks"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_entries_bank_id"), "entries", ["bank_id"])
    op.create_table(
        "hashes",
        sa.Column("entry_id", _number, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("quality", sa.SmallInteger()),
        sa.Column("variant", sa.String(64)),
        sa.CheckConstraint("kind IN ('pdq', 'md5', 'sha1', 'sha256')", name=op.f("ck_hashes_kind")),
        sa.CheckConstraint("quality BETWEEN 0 AND 100", name=op.f("ck_hashes_quality")),
        sa.CheckConstraint(
            "length(value) = CASE kind WHEN 'pdq' THEN 32 WHEN 'md5' THEN 16 WHEN 'sha1' THEN 20 "
            "WHEN 'sha256' THEN 32 END",
            name=op.f("ck_hashes_length"),
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name=op.f("fk_hashes_entry_id_entries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("entry_id", "kind", "value", name=op.f("pk_hashes")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_hashes_kind_value"), "hashes", ["kind", "value"])

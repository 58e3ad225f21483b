"""Videos and wider radii in banks, the order of changes, and what came near an entry too often."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.sql.elements import conv

revision = "0002"
down_revision = "0001"

_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# `banks` and `hashes` as revision 0001 made them. SQLite changes a constraint by making the table anew, and what it
# says of the old one itself lacks things.
_old = sa.MetaData()
_banks = sa.Table(
    "banks",
    _old,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("harm", sa.String(16), nullable=False),
    sa.Column("radius", sa.SmallInteger(), nullable=False),
    sa.Column("quality_floor", sa.SmallInteger(), nullable=False),
    sa.Column("turned", sa.Boolean(), nullable=False),
    sa.Column("max_age_seconds", sa.Integer()),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind IN ('blocking', 'allowing')", name=conv("ck_banks_kind")),
    sa.CheckConstraint("harm IN ('csam', 'exploitative', 'ncii_adult', 'other')", name=conv("ck_banks_harm")),
    sa.CheckConstraint("radius BETWEEN 0 AND 31", name=conv("ck_banks_radius")),
    sa.CheckConstraint("quality_floor BETWEEN 0 AND 100", name=conv("ck_banks_quality_floor")),
    sa.CheckConstraint("max_age_seconds > 0", name=conv("ck_banks_max_age_seconds")),
    sa.PrimaryKeyConstraint("id", name=conv("pk_banks")),
    sa.UniqueConstraint("name", name=conv("uq_banks_name")),
)
_entries = sa.Table("entries", _old, sa.Column("id", sa.Integer(), primary_key=True))
_hashes = sa.Table(
    "hashes",
    _old,
    sa.Column("entry_id", sa.Integer(), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("value", sa.LargeBinary(), nullable=False),
    sa.Column("quality", sa.SmallInteger()),
    sa.Column("variant", sa.String(64)),
    sa.CheckConstraint("kind IN ('pdq', 'md5', 'sha1', 'sha256')", name=conv("ck_hashes_kind")),
    sa.CheckConstraint("quality BETWEEN 0 AND 100", name=conv("ck_hashes_quality")),
    sa.CheckConstraint(
        "length(value) = CASE kind WHEN 'pdq' THEN 32 WHEN 'md5' THEN 16 WHEN 'sha1' THEN 20 WHEN 'sha256' THEN 32 END",
        name=conv("ck_hashes_length"),
    ),
    sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=conv("fk_hashes_entry_id_entries"), ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("entry_id", "kind", "value", name=conv("pk_hashes")),
    sa.Index("ix_hashes_kind_value", "kind", "value"),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """Widen the first tables, and make three more."""
    with op.batch_alter_table("banks", copy_from=_banks, table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("video_query_percent", sa.SmallInteger(), server_default=sa.text("80")))
        table.add_column(sa.Column("video_banked_percent", sa.SmallInteger(), server_default=sa.text("80")))
        table.add_column(sa.Column("video_run_seconds", sa.Float(), server_default=sa.text("5.0")))
        table.add_column(sa.Column("enabled_ratio", sa.Float(), nullable=False, server_default=sa.text("1.0")))
        table.drop_constraint(op.f("ck_banks_radius"), type_="check")
        for name, rule in (
            ("radius", "radius BETWEEN 0 AND 63"),
            ("video_query_percent", "video_query_percent BETWEEN 1 AND 100"),
            ("video_banked_percent", "video_banked_percent BETWEEN 1 AND 100"),
            ("video_run_seconds", "video_run_seconds > 0"),
            ("enabled_ratio", "enabled_ratio BETWEEN 0 AND 1"),
        ):
            table.create_check_constraint(op.f(f"ck_banks_{name}"), rule)
    with op.batch_alter_table("hashes", copy_from=_hashes) as table:
        table.add_column(sa.Column("at_ms", sa.Integer()))
        table.drop_constraint(op.f("ck_hashes_kind"), type_="check")
        table.drop_constraint(op.f("ck_hashes_length"), type_="check")
        table.create_check_constraint(op.f("ck_hashes_kind"), "kind IN ('pdq', 'vpdq', 'md5', 'sha1', 'sha256')")
        table.create_check_constraint(
            op.f("ck_hashes_length"),
            "length(value) = CASE kind WHEN 'pdq' THEN 32 WHEN 'vpdq' THEN 32 WHEN 'md5' THEN 16 WHEN 'sha1' THEN 20 "
            "WHEN 'sha256' THEN 32 END",
        )
        table.create_check_constraint(op.f("ck_hashes_at_ms"), "at_ms >= 0")
    some = sa.text("disabled_until IS NOT NULL")
    op.create_index(
        op.f("ix_entries_disabled_until"), "entries", ["disabled_until"], sqlite_where=some, postgresql_where=some
    )
    _make_changes()
    _make_floods()


def _make_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", _number, nullable=False),
        sa.Column("bank_id", _number, nullable=False),
        sa.Column("first_entry", _number, nullable=False),
        sa.Column("last_entry", _number, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("first_entry <= last_entry", name=op.f("ck_changes_range")),
        sa.ForeignKeyConstraint(["bank_id"], ["banks.id"], name=op.f("fk_changes_bank_id_banks"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_changes_bank_id_id"), "changes", ["bank_id", "id"])
    # What is banked already came before all other changes.
    op.execute(
        "INSERT INTO changes (bank_id, first_entry, last_entry, token) "
        "SELECT bank_id, min(id), max(id), 0 FROM entries GROUP BY bank_id ORDER BY bank_id"
    )


def _make_floods() -> None:
    op.create_table(
        "flood_samples",
        sa.Column("entry_id", _number, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(value) = 32", name=op.f("ck_flood_samples_length")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name=op.f("fk_flood_samples_entry_id_entries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("entry_id", "value", name=op.f("pk_flood_samples")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantines",
        sa.Column("entry_id", _number, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("note", sa.Text()),
        sa.CheckConstraint("state IN ('quarantined', 'confirmed', 'lifted')", name=op.f("ck_quarantines_state")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.id"], name=op.f("fk_quarantines_entry_id_entries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_quarantines")),
    )

"""The database: tables, migrations, and the one way to open, read and write it."""

from __future__ import annotations

from rempart.store.database import Store, insert_rows, open_store

__all__ = ["Store", "insert_rows", "open_store"]

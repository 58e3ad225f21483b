"""The database: tables, migrations, and the one way to open, read and write it."""

from __future__ import annotations

from rempart.store.database import Store, among, insert_rows
from rempart.store.opening import open_store

__all__ = ["Store", "among", "insert_rows", "open_store"]

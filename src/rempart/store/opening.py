"""The one way to open a database, whichever it is."""

from __future__ import annotations

from pathlib import Path

from rempart.settings import StoreSettings
from rempart.store.database import Store
from rempart.store.sqlite import open_sqlite


def open_store(data_path: Path, settings: StoreSettings = StoreSettings()) -> Store:  # noqa: B008 -- it is frozen
    """Open the database, and make or upgrade its schema when that is needed.

    Args:
        data_path: the data folder; it is made with mode 0700. Without a URL the database is a SQLite file in it, which
            is opened for reading where it cannot be written.
        settings: where the database is.

    Raises:
        ConfigError: the driver of PostgreSQL is not installed.
        StoreError: the folder or the database cannot be made, reached, read or upgraded, the file of the password
            cannot be read, or a newer rempart has been here.
    """
    folder = data_path.absolute()
    if not settings.url:
        return open_sqlite(folder)
    from rempart.store.postgresql import open_postgresql  # noqa: PLC0415 -- its driver is an extra

    return open_postgresql(folder, settings)

"""From the database to what matching looks in."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import datetime
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, or_, select
from sqlalchemy.engine import Connection

from rempart.clock import Clock, utc_now
from rempart.matching.bank import UNKNOWN_QUALITY, Bank, DigestRows, Harm, Kind, PdqRows
from rempart.store import Store
from rempart.store.tables import HashKind, banks, entries, hashes

_CHUNK = 20_000


def load_banks(store: Store, *, clock: Clock = utc_now) -> list[Bank]:
    """Every bank with the hashes of its enabled entries, by name; banks that hold nothing are among them.

    All of them come from one state of the database.

    Raises:
        StoreError: the database cannot be read.
    """
    now = clock()
    with store.read() as connection:
        return [_load(connection, row, now) for row in connection.execute(select(banks).order_by(banks.c.name)).all()]


def _load(connection: Connection, bank: Row[Any], now: datetime) -> Bank:
    # Ordered as SQLite finds the rows, entry after entry, so that nothing is sorted.
    query = (
        select(hashes.c.kind, hashes.c.value, hashes.c.entry_id, hashes.c.quality)
        .join(entries, entries.c.id == hashes.c.entry_id)
        .where(
            entries.c.bank_id == bank.id,
            or_(entries.c.disabled_until.is_(None), entries.c.disabled_until <= now),
        )
        .order_by(entries.c.id)
        .execution_options(yield_per=_CHUNK)
    )
    columns = {kind: _Columns(kind) for kind in HashKind}
    for rows in connection.execute(query).partitions():
        kinds, *parts = zip(*rows, strict=True)
        for kind in set(kinds):
            wanted = [each == kind for each in kinds]
            columns[HashKind(kind)].extend(*(compress(part, wanted) for part in parts))
    pdq = columns.pop(HashKind.PDQ)
    return Bank(
        bank.name,
        kind=Kind(bank.kind),
        harm=Harm(bank.harm),
        radius=bank.radius,
        quality_floor=bank.quality_floor,
        turned=bank.turned,
        refreshed_at=bank.refreshed_at,
        max_age_seconds=bank.max_age_seconds,
        pdq=PdqRows(pdq.values(), pdq.entries(), pdq.qualities()),
        digests={kind.value: DigestRows(each.values(), each.entries()) for kind, each in columns.items()},
    )


class _Columns:
    """Hashes of one kind, gathered column by column: a million of them must not become a million arrays."""

    def __init__(self, kind: HashKind) -> None:
        self._length = kind.length
        self._values: list[bytes] = []
        self._entries = array("q")
        self._qualities = array("h")

    def extend(self, values: Iterable[bytes], entries: Iterable[int], qualities: Iterable[int | None]) -> None:
        self._values.append(b"".join(values))
        self._entries.extend(entries)
        self._qualities.extend(UNKNOWN_QUALITY if quality is None else quality for quality in qualities)

    def values(self) -> NDArray[np.uint8]:
        return np.frombuffer(b"".join(self._values), np.uint8).reshape(-1, self._length)

    def entries(self) -> NDArray[np.int64]:
        return np.array(self._entries, np.int64)

    def qualities(self) -> NDArray[np.int16]:
        return np.array(self._qualities, np.int16)

"""The job that compacts a bank: who finds that it is time asks for it, and a worker does it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import select

from rempart.clock import Clock, utc_now
from rempart.jobs import Handler, Work, enqueue, registry
from rempart.lists.loader import compact_bank
from rempart.settings import Settings
from rempart.store import Store
from rempart.store.tables import banks

KIND: Final = "compact_bank"
LEASE_SECONDS: Final = 600.0
"""Ten million hashes are read from the database in a few minutes, and only then there is progress to tell of."""


class CompactBank(msgspec.Struct, frozen=True):
    """Which bank to compact, by its number."""

    bank: int


def ask_to_compact(store: Store, name: str, *, clock: Clock = utc_now) -> bool:
    """Put a job into the outbox that compacts a bank, unless one waits or runs.

    Returns:
        Whether there is a new job.

    Raises:
        StoreError: the database cannot be written.
    """
    with store.write() as connection:
        number = connection.execute(select(banks.c.id).where(banks.c.name == name)).scalar_one_or_none()
        if number is None:
            return False  # deleted meanwhile
        return enqueue(connection, KIND, CompactBank(number), dedupe=f"bank:{number}", clock=clock) is not None


def compact(work: Work[CompactBank]) -> None:
    """Compact the bank of a job; of one that was deleted nothing is left to do.

    Raises:
        SnapshotError: the snapshot cannot be written, or another process writes it now.
        StoreError: the database cannot be read.
    """
    with work.store.read() as connection:
        name = connection.execute(select(banks.c.name).where(banks.c.id == work.payload.bank)).scalar_one_or_none()
    if name is not None:
        compact_bank(work.store, name, actor=work.actor, progress=lambda _: work.heartbeat())


@registry.add
def handlers(_: Settings) -> Iterable[Handler[Any]]:
    """The handlers of this room."""
    return [Handler(KIND, CompactBank, compact, lease_seconds=LEASE_SECONDS)]

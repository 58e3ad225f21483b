"""Types of signal as clients of HMA switch them: the share of their look-ups in which each is compared."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from rempart.audit import Act, record
from rempart.clock import Clock, utc_now
from rempart.errors import BankError
from rempart.store import Store
from rempart.store.service_tables import signal_types


class SignalTypes:
    """The types as they were when :meth:`refresh` was last called; all are on before the first call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ratios: Mapping[str, float] = {}

    def refresh(self) -> None:
        """Read them anew.

        Raises:
            StoreError: the database cannot be read; what was known stays.
        """
        self._ratios = enabled_ratios(self._store)

    def ratio(self, name: str) -> float:
        """The share of look-ups in which a type is compared, 0..1."""
        return self._ratios.get(name, 1.0)


def enabled_ratios(store: Store) -> Mapping[str, float]:
    """The types whose share is not 1, with it.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return {row.name: row.enabled_ratio for row in connection.execute(select(signal_types))}


def set_enabled_ratio(
    store: Store, name: str, ratio: float, *, actor: str | None = None, clock: Clock = utc_now
) -> None:
    """Switch a type of signal on or off.

    Args:
        store: the database.
        name: of the type, one that the caller knows; at most 32 characters.
        ratio: the share, 0..1; 0 is off.
        actor: who does it; the user of this process by default.
        clock: the time.

    Raises:
        BankError: the share is out of range.
        StoreError: the database cannot be written.
    """
    if not 0 <= ratio <= 1:
        raise BankError("an enabled ratio must lie within 0 and 1: 0 switches off, 1 on")
    with store.write() as connection:
        connection.execute(delete(signal_types).where(signal_types.c.name == name))
        if ratio < 1:
            connection.execute(insert(signal_types).values(name=name, enabled_ratio=ratio))
        details = {"enabled_permille": round(ratio * 1000)}
        record(connection, actor, Act.SIGNAL_TYPE_CHANGED, f"signal_type:{name}", details, clock=clock)

"""The order in which banks changed, for those who keep an index of what a bank holds and want only what is new."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from itertools import groupby

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from rempart.store import Store
from rempart.store.tables import changes

CHANNEL = "changes"
"""Where those who follow are told, as soon as a change of any bank is committed: see :meth:`Store.listen`."""


def note_changes(connection: Connection, bank: int, numbers: Iterable[int]) -> None:
    """Note, in the transaction that makes the change, that a bank may now match differently by these entries.

    Entries that are new, have gained hashes, were disabled or enabled, or are gone are all noted alike: whoever follows
    reads again what the bank holds under the numbers.

    Args:
        connection: the writing transaction.
        bank: the number of the bank.
        numbers: the entries, in any order; neighbours become one range.
    """
    note_ranges(connection, bank, ranges(numbers))


def note_ranges(connection: Connection, bank: int, spans: Iterable[tuple[int, int]]) -> None:
    """The same, of runs of consecutive entries: the first and the last number of each.

    Changes become visible in the order of their numbers: whoever has seen one never sees a smaller one appear. So
    writers of all banks take turns from here to the end of their transactions, and this is best called late.
    """
    rows = [
        {"bank_id": bank, "first_entry": first, "last_entry": last, "token": secrets.randbits(63)}
        for first, last in spans
    ]
    if rows:
        Store.lock(connection, "changes")
        connection.execute(insert(changes), rows)
        Store.notify(connection, CHANNEL)


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The runs of consecutive numbers, ascending: the first and the last number of each."""
    places = enumerate(sorted(set(numbers)))
    for _, run in groupby(places, key=lambda place: place[1] - place[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]

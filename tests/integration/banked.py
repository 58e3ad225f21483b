"""Contents and hashes to bank, another for each number, for tests of banks."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rempart.lists import Content, HashValue, delete_bank, list_banks, list_entries
from rempart.store import Store
from rempart.store.tables import HashKind

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=3)


@contextlib.contextmanager
def emptied(store: Store) -> Iterator[None]:
    """For one of the many examples of a test: its banks are gone afterwards."""
    try:
        yield
    finally:
        for bank in list_banks(store):
            delete_bank(store, bank.name)


def digest(number: int, kind: HashKind = HashKind.SHA256) -> HashValue:
    """A hash of the given kind, another for each number."""
    return HashValue(kind, hashlib.sha512(f"{kind} {number}".encode()).digest()[: kind.length])


def content(number: int, *kinds: HashKind) -> Content:
    """A content with hashes of the given kinds, by default those of a picture."""
    of_picture = (HashKind.PDQ, HashKind.MD5, HashKind.SHA1, HashKind.SHA256)
    return Content(tuple(digest(number, kind) for kind in kinds or of_picture))


def bank_content(store: Store, name: str) -> dict[int, set[HashValue]]:
    """The hashes of each entry of a bank."""
    return {entry.id: set(entry.hashes) for entry in list_entries(store, name)}

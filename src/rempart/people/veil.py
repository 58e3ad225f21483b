"""What of a match is shown to whom: how near it is tells of the listed hash itself, and only some may know that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from rempart.matching import Match
from rempart.people.keys import Key
from rempart.people.scopes import Permission

TELLING: Final = ("distance", "frame", "query_percent", "banked_percent", "run_seconds")
"""The fields of a match that tell how near it is. ``frame`` names the nearest frame: who sends an animation of a
hundred changed copies would learn by it which change came nearer."""


def sees_distances(key: Key) -> bool:
    """Whether a key may know how near a match is."""
    return key.may(Permission.SEE_DISTANCES)


def shown_matches(key: Key, matches: Iterable[Match]) -> list[dict[str, Any]]:
    """Matches as the native API shows them to a key.

    Without the scope ``distance`` the fields of :data:`TELLING` are left out, and the order is by bank and entry
    instead of by nearness: which of two entries is nearer would tell, too.
    """
    rows: list[dict[str, Any]] = msgspec.to_builtins(list(matches))
    if sees_distances(key):
        return rows
    for row in rows:
        for field in TELLING:
            del row[field]
    return sorted(rows, key=lambda row: (row["bank"], row["entry"], row["kind"], row["variant"]))

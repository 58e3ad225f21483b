"""When too many unlike pictures come near one entry: then the entry, not the pictures, is likely at fault.

A bad entry (a drawing of nothing but a gradient, a page of a form, a hash that someone slipped into a list) is near
thousands of harmless pictures. So the pictures near an entry are counted, those that resemble one another once: a
known picture that spreads comes as copies of itself, which lie close together, while what a bad entry draws does not.
Nothing here knows of databases; :mod:`rempart.lists.quarantine` keeps what is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Self, TypeAlias

import msgspec

from rempart.errors import UsageError
from rempart.settings import MatchingSettings

LEAST_THRESHOLD = 2


class Sighting(NamedTuple):
    """A picture that came near an entry: by this hash, within the radius of the entry's bank."""

    entry: int
    hash: bytes
    radius: int


Looks: TypeAlias = Mapping[bytes, datetime]
"""The unlike pictures seen near one entry: the hash by which each was first seen, and when it or a copy last was."""


class FloodRule(msgspec.Struct, frozen=True, kw_only=True):
    """When an entry goes into quarantine.

    Attributes:
        threshold: how many unlike pictures, at least 2.
        window: within which time.
    """

    threshold: int = 20
    window: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        """Refuse what could not be meant.

        Raises:
            UsageError: the threshold is below 2, or the window is not a time.
        """
        if self.threshold < LEAST_THRESHOLD or self.window <= timedelta(0):
            raise UsageError("a flood is at least two pictures within some time")

    @classmethod
    def of(cls, settings: MatchingSettings) -> Self:
        """The rule that the settings ask for."""
        return cls(threshold=settings.flood_threshold, window=timedelta(days=settings.flood_window_days))

    def fresh(self, looks: Looks, now: datetime) -> dict[bytes, datetime]:
        """Those of the looks that were seen within the window."""
        return {value: seen for value, seen in looks.items() if now - seen <= self.window}

    def see(self, looks: Looks, value: bytes, seen: datetime, radius: int) -> dict[bytes, datetime]:
        """The looks after a picture was seen.

        A picture within the radius of a look counts as a copy of the nearest one, of equally near ones the one with the
        least hash; it keeps that look fresh and none else. Any other picture is a look of its own. So any two looks are
        more than the radius apart, and no picture counts twice. When there are enough for a quarantine, others are not
        taken up.

        Args:
            looks: what was seen before, near the same entry.
            value: the picture's hash that came near, 32 bytes.
            seen: when.
            radius: of the bank, in bits.
        """
        after = dict(looks)
        distance, nearest = min(((_apart(value, known), known) for known in looks), default=(radius + 1, value))
        if distance <= radius:
            after[nearest] = max(seen, after[nearest])
        elif not self.is_flood(looks):
            after[value] = seen
        return after

    def merge(self, looks: Looks, others: Looks, radius: int) -> dict[bytes, datetime]:
        """The looks of two who counted on their own, as if the later pictures had been seen after the earlier ones."""
        after = dict(looks)
        for value, seen in sorted(others.items(), key=lambda look: (look[1], look[0])):
            after = self.see(after, value, seen, radius)
        return after

    def is_flood(self, looks: Looks) -> bool:
        """Whether these looks, all of them fresh, are enough for a quarantine."""
        return len(looks) >= self.threshold


def _apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()

"""What matching says of one item."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from rempart.errors import Reason
from rempart.matching.bank import PDQ, VPDQ, Harm, Kind


class Outcome(StrEnum):
    """The three things that can be said of a picture. Unscannable is never clear."""

    CLEAR = "clear"
    MATCH = "match"
    UNSCANNABLE = "unscannable"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a bank that the item hit.

    Attributes:
        kind: ``pdq``, ``vpdq`` for a video in a banked video, ``md5``, ``sha1`` or ``sha256``.
        distance: in bits; 0 for a digest. Of a video, between the nearest two frames.
        variant: which form of the item hit: ``full``, ``trimmed``, or one of these turned; ``file`` for a digest, and
            ``video`` for a video.
        frame: number of the frame that hit, from 0; of a video, the first of the longest run.
        action: whether the bank blocks or allows.
        cancelled: a blocking hit that an allowing one overrules; both are shown.
        quarantined: a near hit on an entry that too many unlike pictures came near.
        query_percent: of a video, the share of its frames that are in the entry, 0..100.
        banked_percent: of a video, the share of the entry's frames that it holds, 0..100.
        run_seconds: of a video, the length of the longest run of its frames that are in the entry.
    """

    bank: str
    entry: int
    kind: str
    distance: int
    variant: str
    frame: int = 0
    harm: Harm = Harm.OTHER
    action: Kind = Kind.BLOCKING
    cancelled: bool = False
    quarantined: bool = False
    query_percent: float | None = None
    banked_percent: float | None = None
    run_seconds: float | None = None

    @property
    def near(self) -> bool:
        """Whether it was found by nearness, not by a digest."""
        return self.kind in (PDQ, VPDQ)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one item, with everything that led to it.

    Attributes:
        matches: blocking and allowing hits, blocking first, nearest first.
        quality: of the item's full first frame, 0..100; None when it could not be read.
        partial: whether only a part of the item could be read.
        lists_as_of: the oldest state of the banks that were compared; None when none was.
        specimen: whether the item is rempart's harmless test item.
    """

    verdict: Outcome
    reasons: tuple[Reason, ...]
    matches: tuple[Match, ...] = ()
    quality: int | None = None
    partial: bool = False
    lists_as_of: datetime | None = None
    specimen: bool = False

"""Findings: what a match hands on for a case. They are in the outbox before the caller hears of the match."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import select

from rempart.clock import Clock
from rempart.errors import Reason
from rempart.hashing import Hashed, Unscannable
from rempart.jobs import enqueue
from rempart.matching import Harm, Kind, Match, Verdict
from rempart.store import Store, among
from rempart.store.tables import entries

JOB_KIND: Final = "finding"
PLACE: Final = "distribution"
MOST_MATCHES: Final = 100
"""So many matches of one item go into its finding; how many there were is said beside them."""

_STRICTEST: Final = (Harm.CSAM, Harm.EXPLOITATIVE, Harm.NCII_ADULT, Harm.OTHER)


class ItemDigests(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the item is known by, as far as it was sent or could be computed; hexadecimal digits."""

    pdq: str | None = None
    quality: int | None = None
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, item: Hashed | Unscannable) -> ItemDigests:
        """Those of a hashed item."""
        return cls(
            pdq=item.pdq if isinstance(item, Hashed) else None,
            quality=item.quality if isinstance(item, Hashed) else None,
            md5=item.md5 or None,
            sha1=item.sha1 or None,
            sha256=item.sha256 or None,
        )


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A match that is handed on; the payload of a job of kind ``finding``. (place, source id) names it.

    Attributes:
        place: where it was found.
        key: number of the key that asked.
        source_id: by which whoever asked knows the item.
        harm: the worst of what it matched.
        matches: the first of them, with their distances; ``matched`` says how many there were.
        event_at: when it happened over there, if that was said.
        detected_at: when it was compared here.
    """

    place: str
    key: int
    source_id: str
    item: ItemDigests
    verdict: str
    reasons: tuple[Reason, ...]
    harm: Harm
    matches: tuple[Match, ...]
    matched: int
    partial: bool
    specimen: bool
    lists_as_of: datetime | None
    event_at: datetime | None
    detected_at: datetime

    @classmethod
    def of(
        cls,
        verdict: Verdict,
        item: ItemDigests,
        *,
        key: int,
        source_id: str,
        detected_at: datetime,
        event_at: datetime | None = None,
    ) -> Finding:
        """The finding of a match."""
        standing = {match.harm for match in verdict.matches if match.action is Kind.BLOCKING and not match.cancelled}
        return cls(
            place=PLACE,
            key=key,
            source_id=source_id,
            item=item,
            verdict=verdict.verdict,
            reasons=verdict.reasons,
            harm=next((harm for harm in _STRICTEST if harm in standing), Harm.OTHER),
            matches=verdict.matches[:MOST_MATCHES],
            matched=len(verdict.matches),
            partial=verdict.partial,
            specimen=verdict.specimen,
            lists_as_of=verdict.lists_as_of,
            event_at=event_at,
            detected_at=detected_at,
        )


def hand_on(store: Store, findings: Sequence[Finding], clock: Clock) -> Mapping[int, str]:
    """Put findings into the outbox, all in one transaction; they are kept when this returns.

    A finding of the same place, key and source id that still waits is not put there a second time.

    Returns:
        The source records of the entries that were hit and have one, by entry.

    Raises:
        StoreError: the database cannot be written.
    """
    hit = sorted({match.entry for finding in findings for match in finding.matches})
    with store.write() as connection:
        for finding in findings:
            name = f"{finding.place}\n{finding.key}\n{finding.source_id}".encode()
            enqueue(connection, JOB_KIND, finding, dedupe=hashlib.sha256(name).hexdigest(), clock=clock)
        chosen = select(entries.c.id, entries.c.source_record).where(
            among(connection, entries.c.id, hit), entries.c.source_record.is_not(None)
        )
        return {row.id: row.source_record for row in connection.execute(chosen)}

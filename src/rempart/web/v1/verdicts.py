"""Verdicts as the native API tells them: what the key of the request may know of each match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rempart.errors import Reason
from rempart.matching import Harm, Kind, Outcome, Verdict
from rempart.people import Key, shown_matches
from rempart.web.comparing import Item, compared, matcher_for
from rempart.web.problems import Code, Problem
from rempart.web.services import key_of, services_of
from rempart.web.v1.writes import AnyRequest


class MatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that the item hit. What tells how near it is, is there only for keys with the scope ``distance``.

    Attributes:
        kind: ``pdq``, ``vpdq`` for a video in a banked video, or the kind of digest.
        variant: which form of the item hit, such as ``full`` or ``trimmed+rotate90``.
        source_record: what the source of the entry calls it.
        cancelled: an entry of an allowing bank overrules it.
        quarantined: too many unlike pictures came near the entry; a person must look.
    """

    bank: Annotated[str, Meta(examples=["CONFIRMED"])]
    entry: int
    kind: Annotated[str, Meta(examples=["pdq"])]
    variant: Annotated[str, Meta(examples=["full"])]
    harm: Harm
    action: Kind
    cancelled: bool
    quarantined: bool
    source_record: str | None = None
    distance: int | UnsetType = UNSET
    frame: int | UnsetType = UNSET
    query_percent: float | UnsetType | None = UNSET
    banked_percent: float | UnsetType | None = UNSET
    run_seconds: float | UnsetType | None = UNSET


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one item.

    Attributes:
        source_id: by which a finding names the item; one of ours where none was sent.
        name: of the form's field in which the file was sent.
        reasons: why; docs/verdicts.md explains each.
        quality: of the picture, 0..100; null where it is not known.
        partial: whether only a part of the item could be read.
        lists_as_of: the oldest state of the banks that were compared.
        specimen: whether it is rempart's harmless test item.
    """

    source_id: str
    verdict: Outcome
    reasons: list[Reason]
    matches: list[MatchRow]
    quality: int | None
    partial: bool
    lists_as_of: datetime | None
    specimen: bool
    name: str | None = None


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict for each item, in their order, and how many there are of each."""

    results: list[VerdictRow]
    given: int
    clear: int
    match: int
    unscannable: int


async def judged(request: AnyRequest, items: Sequence[Item]) -> Verdicts:
    """The verdicts on items, as the key of the request sees them. Each match is in the outbox when this returns.

    Raises:
        NothingToCompareError: no blocking bank that the key may use holds anything.
        Problem: none holds anything of the kind of digest that was sent.
        StoreError: the banks are not known now, or a finding cannot be written.
    """
    key = key_of(request)
    matcher = matcher_for(services_of(request.scope), key)
    verdicts, records = await compared(request, items, matcher)
    rows = [_row(key, item, verdict, records) for item, verdict in zip(items, verdicts, strict=True)]
    totals = {outcome.value: sum(row.verdict is outcome for row in rows) for outcome in Outcome}
    return Verdicts(results=rows, given=len(rows), **totals)


def _row(key: Key, item: Item, verdict: Verdict, records: Mapping[int, str]) -> VerdictRow:
    matches: list[dict[str, Any]] = shown_matches(key, verdict.matches)
    rows = [MatchRow(**match, source_record=records.get(match["entry"])) for match in matches]
    return VerdictRow(
        source_id=item.source_id,
        verdict=verdict.verdict,
        reasons=list(verdict.reasons),
        matches=rows,
        quality=item.quality,
        partial=verdict.partial,
        lists_as_of=verdict.lists_as_of,
        specimen=verdict.specimen,
        name=item.name,
    )


def source_id_of(request: AnyRequest, number: int) -> str:
    """A name of our own for an item of a request."""
    request_id = request.scope["state"].get("request_id")
    if request_id is None:
        raise Problem(Code.INTERNAL)
    return f"{request_id}-{number}"

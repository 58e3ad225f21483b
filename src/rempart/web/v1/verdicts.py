"""From hashes to the verdict that a key may see: compared with its own banks, counted, and handed on if a match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from anyio import to_thread
from msgspec import UNSET, Meta, UnsetType

from rempart.errors import Reason
from rempart.hashing import DIGEST_KINDS, Hashed, PictureHash, Unscannable
from rempart.matching import Harm, Kind, Matcher, Outcome, Verdict
from rempart.people import Key, counted, shown_matches
from rempart.web.findings import Finding, ItemDigests
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, key_of, services_of
from rempart.web.v1.writes import AnyRequest

_INLINE = 32  # look-ups that may hold up others
_NO_FILE = Reason.MISSING


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


class Item(NamedTuple):
    """What is to be compared.

    Attributes:
        content: its hashes; or a tuple of digests alone, when nothing else is known of it.
        kind: by which look-ups are counted.
        quality: None where it was not said.
    """

    content: Hashed | Unscannable
    kind: str
    digests: ItemDigests
    quality: int | None
    source_id: str
    name: str | None = None
    event_at: datetime | None = None
    digests_only: bool = False


def file_item(content: Hashed | Unscannable, source_id: str, name: str | None = None) -> Item:
    """The item of an uploaded or fetched file."""
    quality = content.quality if isinstance(content, Hashed) else None
    return Item(content, "file", ItemDigests.of(content), quality, source_id, name)


def hash_item(digests: ItemDigests, source_id: str, event_at: datetime | None = None) -> Item:
    """The item of which only hashes were sent; a PDQ hash of unknown quality counts as one of quality 100."""
    known = {kind: getattr(digests, kind).lower() for kind in DIGEST_KINDS if getattr(digests, kind)}
    if digests.pdq is None:
        content: Hashed | Unscannable = Unscannable(reason=_NO_FILE, **known)
        kind = next(iter(known))
    else:
        kind = "pdq"
        quality = 100 if digests.quality is None else digests.quality
        content = Hashed(
            format="",
            width=0,
            height=0,
            frames=1,
            frames_read=1,
            normalised=(),
            partial=None,
            hashes=(PictureHash(bytes.fromhex(digests.pdq), quality),),
            **dict.fromkeys(DIGEST_KINDS, "") | known,
        )
    return Item(content, kind, digests, digests.quality, source_id, event_at=event_at, digests_only=digests.pdq is None)


async def judged(request: AnyRequest, items: Sequence[Item]) -> Verdicts:
    """The verdicts on items, as the key of the request sees them. Each match is in the outbox when this returns.

    Raises:
        NothingToCompareError: no blocking bank that the key may use holds anything.
        Problem: none holds anything of the kind of digest that was sent.
        StoreError: the banks are not known now, or a finding cannot be written.
    """
    services, key = services_of(request.scope), key_of(request)
    matcher = matcher_for(services, key)
    if len(items) <= _INLINE and all(item.kind != "file" for item in items):
        verdicts = _compared(services, matcher, items)
    else:
        verdicts = await to_thread.run_sync(_compared, services, matcher, items)
    radii = {bank.name: bank.radius for bank in matcher.banks}
    for item, verdict in zip(items, verdicts, strict=True):
        services.counter.count(key.id, item.kind, counted(verdict, radii))
    now = services.clock()
    findings = [
        Finding.of(verdict, item.digests, key=key.id, source_id=item.source_id, event_at=item.event_at, detected_at=now)
        for item, verdict in zip(items, verdicts, strict=True)
        if verdict.verdict is Outcome.MATCH
    ]
    records = await services.findings.hand_on(findings)
    rows = [_row(key, item, verdict, records) for item, verdict in zip(items, verdicts, strict=True)]
    totals = {outcome.value: sum(row.verdict is outcome for row in rows) for outcome in Outcome}
    return Verdicts(results=rows, given=len(rows), **totals)


def matcher_for(services: Services, key: Key) -> Matcher:
    """What a key compares with: the banks that it may use, as they are now.

    Raises:
        StoreError: they are not known now.
    """
    whole = services.live.matcher
    if key.banks is None:
        return whole
    own = [bank for bank in whole.banks if bank.id is not None and key.may_use(bank.id)]
    return Matcher(own, quarantined=whole._quarantined, watch=whole._watch, clock=whole._clock)  # noqa: SLF001


def _compared(services: Services, matcher: Matcher, items: Sequence[Item]) -> list[Verdict]:
    verdicts = []
    for item in items:
        verdict = _of_digests(services, matcher, item) if item.digests_only else matcher.match(item.content)
        if verdict.verdict is Outcome.CLEAR and item.kind != "file" and not _could_match(matcher, item.digests):
            raise Problem(Code.NOTHING_TO_COMPARE, "No blocking bank of this key holds hashes of a kind that was sent.")
        verdicts.append(verdict)
    return verdicts


def _could_match(matcher: Matcher, digests: ItemDigests) -> bool:
    """Whether any blocking bank holds hashes of a kind that was sent."""
    for bank in matcher.banks:
        held = [kind for kind in DIGEST_KINDS if len(bank._digests.get(kind, ()))]  # noqa: SLF001
        if bank.blocks and ((digests.pdq and bank.looks_near) or any(getattr(digests, kind) for kind in held)):
            return True
    return False


def _of_digests(services: Services, matcher: Matcher, item: Item) -> Verdict:
    """The verdict on digests alone. It says of them whether they are listed, and nothing of how the file looks."""
    matcher.check()
    verdict = matcher.match(item.content)
    if verdict.verdict is Outcome.MATCH:
        return verdict
    now = services.clock()
    reasons = tuple(reason for reason in verdict.reasons if reason is not _NO_FILE)
    if any(bank.blocks and bank.is_stale(now) for bank in matcher.banks):
        return msgspec.structs.replace(verdict, reasons=(Reason.STALE_LIST, *reasons))
    return msgspec.structs.replace(verdict, verdict=Outcome.CLEAR, reasons=reasons)


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

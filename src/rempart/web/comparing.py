"""Comparing items with the banks that a key may use: counted, and each match handed on before anybody is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from anyio import to_thread
from litestar.connection import ASGIConnection

from rempart.errors import Reason
from rempart.hashing import DIGEST_KINDS, Hashed, PictureHash, Unscannable
from rempart.matching import Matcher, Outcome, Verdict
from rempart.matching.bank import PDQ
from rempart.people import Key, counted
from rempart.web.findings import Finding, ItemDigests
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, key_of, services_of

_INLINE: Final = 32  # look-ups that may hold up others
_NO_FILE: Final = Reason.MISSING


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


async def compared(
    request: ASGIConnection[Any, Any, Any, Any], items: Sequence[Item], matcher: Matcher
) -> tuple[list[Verdict], Mapping[int, str]]:
    """The verdicts on items, and the source records of the entries that were hit. Each match is in the outbox by then.

    Args:
        request: whose key asks.
        items: what is to be compared.
        matcher: what :func:`matcher_for` gave for the key, or a part of that.

    Raises:
        NothingToCompareError: no blocking bank that the key may use holds anything.
        Problem: none holds anything of the kind of digest that was sent.
        StoreError: a finding cannot be written.
    """
    services, key = services_of(request.scope), key_of(request)
    if len(items) <= _INLINE and all(item.kind != "file" for item in items):
        verdicts = _verdicts(services, matcher, items)
    else:
        verdicts = await to_thread.run_sync(_verdicts, services, matcher, items)
    radii = {bank.name: bank.radius for bank in matcher.banks}
    for item, verdict in zip(items, verdicts, strict=True):
        services.counter.count(key.id, item.kind, counted(verdict, radii))
    now = services.clock()
    findings = [
        Finding.of(verdict, item.digests, key=key.id, source_id=item.source_id, event_at=item.event_at, detected_at=now)
        for item, verdict in zip(items, verdicts, strict=True)
        if verdict.verdict is Outcome.MATCH
    ]
    return verdicts, await services.findings.hand_on(findings)


def matcher_for(services: Services, key: Key) -> Matcher:
    """What a key compares with: the banks that it may use, as they are now.

    Raises:
        StoreError: they are not known now.
    """
    whole = services.live.matcher
    if key.banks is None:
        return whole
    return whole.narrowed(lambda bank: bank.id is not None and key.may_use(bank.id))


def _verdicts(services: Services, matcher: Matcher, items: Sequence[Item]) -> list[Verdict]:
    verdicts = []
    for item in items:
        verdict = _of_digests(services, matcher, item) if item.digests_only else matcher.match(item.content)
        if verdict.verdict is Outcome.CLEAR and item.kind != "file" and not _could_match(matcher, item.digests):
            raise Problem(Code.NOTHING_TO_COMPARE, "No blocking bank of this key holds hashes of a kind that was sent.")
        verdicts.append(verdict)
    return verdicts


def _could_match(matcher: Matcher, digests: ItemDigests) -> bool:
    """Whether any blocking bank holds hashes of a kind that was sent."""
    sent = [kind for kind in (PDQ, *DIGEST_KINDS) if getattr(digests, kind)]
    return any(bank.holds(kind) for bank in matcher.banks if bank.blocks for kind in sent)


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

"""Look-ups, as HMA offers them.

HMA's answers know hits and no hits only. What could not be compared is therefore an error here, never an answer without
hits; but for a picture with too little detail to be compared by its looks, which HMA's clients send all the time: its
digests were compared, and the header ``x-rempart-verdict`` says that it is unscannable.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from litestar import get, post
from litestar.params import FromQuery
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from rempart.errors import NothingToCompareError, Reason
from rempart.matching import Bank, Kind, Match, Matcher, Outcome, Verdict
from rempart.matching.bank import PDQ, VPDQ
from rempart.people import Permission, sees_distances
from rempart.store.tables import HashKind
from rempart.web.comparing import Item, compared, file_item, hash_item, matcher_for
from rempart.web.findings import ItemDigests
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import AnyRequest, answer, flag, needed
from rempart.web.hma.files import File, fetched, hashed, uploaded
from rempart.web.hma.signals import (
    NO_DISTANCE,
    ContentType,
    SignalType,
    known_type,
    parsed,
    usual_type,
    wanted_types,
)
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, key_of, services_of
from rempart.web.uploading import FileOperation

_NOT_READY: Final = "index not yet ready: no blocking bank that was asked for holds anything"

_NOT_COMPARED: Final = {"x-rempart-verdict": Outcome.UNSCANNABLE.value}
"""What is said when chance left nothing to compare with: no hits, which must not be called clear."""


class Draw(NamedTuple):
    """Which banks take part in a look-up, and by what chance.

    Attributes:
        banks: names, separated by commas; None for all that the key may use.
        seed: makes chance repeatable.
        bypass_coinflip: leaves nothing to chance.
    """

    banks: str | None
    seed: str | None
    bypass_coinflip: bool

    def matcher(self, request: AnyRequest) -> Matcher | None:
        """What is compared with; None when chance leaves nothing.

        Raises:
            StoreError: the banks are not known now.
        """
        whole = matcher_for(services_of(request.scope), key_of(request))
        if self.banks is not None:
            names = set(self.banks.split(","))
            whole = whole.narrowed(lambda bank: bank.name in names)
        if self.bypass_coinflip or all(bank.enabled_ratio >= 1 for bank in whole.banks):
            return whole
        drawn = whole.narrowed(self._takes_part)
        if any(bank.blocks for bank in drawn.banks):
            return drawn
        # Where nothing could have been drawn, the comparison says so; it knows the specimen all the same.
        return None if any(bank.blocks for bank in whole.banks) else whole

    def wants(self, one: SignalType, ratio: float) -> bool:
        """Whether a type of signal takes part.

        Raises:
            Problem: it is switched off.
        """
        if ratio <= 0:
            raise Problem(Code.INVALID, f"The signal type {one.name} is disabled.")
        return self.bypass_coinflip or ratio >= self._chance(one.name)

    def _takes_part(self, bank: Bank) -> bool:
        return bank.enabled_ratio >= self._chance(bank.name)

    def _chance(self, name: str) -> float:
        """A number from 0 to 1; of the same seed always the same for a name."""
        if self.seed is None:
            return random.random()  # noqa: S311 -- a sample, no secret
        digest = hashlib.sha256(f"{self.seed}\n{name}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56


@get("/m/lookup", opt={PERMISSION: Permission.MATCH_MEDIA}, tags=["hma"])
async def look_up(
    request: AnyRequest,
    signal: FromQuery[str | None] = None,
    signal_type: FromQuery[str | None] = None,
    url: FromQuery[str | None] = None,
    content_type: FromQuery[str | None] = None,
    types: FromQuery[str | None] = None,
    banks: FromQuery[str | None] = None,
    seed: FromQuery[str | None] = None,
    bypass_coinflip: FromQuery[str | None] = None,
) -> ASGIResponse:
    """Look up a hash, or the file behind a URL."""
    draw = Draw(banks, seed, flag(bypass_coinflip, "bypass_coinflip"))
    if url is not None:
        file = await fetched(services_of(request.scope), url, content_type)
        return await _file(request, file, types, draw, only=None if signal_type is None else known_type(signal_type))
    if signal is None or signal_type is None:
        raise Problem(Code.INVALID, "Send a signal with its signal_type, or a url.")
    hits, headers = await _signal(request, signal, signal_type, draw)
    return answer(_by_bank(hits, tells=sees_distances(key_of(request))), headers=headers)


@post(
    "/m/lookup", opt={PERMISSION: Permission.MATCH_MEDIA}, status_code=200, tags=["hma"], operation_class=FileOperation
)
async def look_up_upload(
    request: AnyRequest,
    types: FromQuery[str | None] = None,
    banks: FromQuery[str | None] = None,
    seed: FromQuery[str | None] = None,
    bypass_coinflip: FromQuery[str | None] = None,
) -> ASGIResponse:
    """Look up a file, the only one of a form, in a field called ``photo`` or ``video``."""
    draw = Draw(banks, seed, flag(bypass_coinflip, "bypass_coinflip"))
    async with uploaded(request) as file:
        return await _file(request, file, types, draw)


@get("/m/raw_lookup", opt={PERMISSION: Permission.MATCH_MEDIA}, tags=["hma"])
async def look_up_raw(
    request: AnyRequest,
    signal: FromQuery[str | None] = None,
    signal_type: FromQuery[str | None] = None,
    banks: FromQuery[str | None] = None,
    include_distance: FromQuery[str | None] = None,
) -> ASGIResponse:
    """Look up a hash, and tell the contents alone."""
    distances = flag(include_distance, "include_distance")
    tells = sees_distances(key_of(request))
    if distances and not tells:
        raise Problem(Code.DISTANCE_FORBIDDEN)
    draw = Draw(banks, None, bypass_coinflip=True)
    hits, headers = await _signal(request, needed(signal, "signal"), needed(signal_type, "signal_type"), draw)
    rows = [_row(hit, tells=tells) for hit in _nearest(hits, tells=tells)]
    return answer({"matches": rows if distances else [row["bank_content_id"] for row in rows]}, headers=headers)


async def _signal(request: AnyRequest, signal: str, signal_type: str, draw: Draw) -> tuple[list[Match], dict[str, str]]:
    """What a hash hits, and the headers that say so."""
    services = services_of(request.scope)
    one = known_type(signal_type)
    value = parsed(one, signal).hex()
    takes_part = draw.wants(one, services.signal_types.ratio(one.name))
    matcher = draw.matcher(request)
    if matcher is None or not takes_part:
        return [], _NOT_COMPARED
    digests = msgspec.convert({one.kind.value: value}, ItemDigests)
    return await _compared(request, hash_item(digests, f"hma:{one.kind}:{value}"), matcher)


async def _file(
    request: AnyRequest, file: File, types: str | None, draw: Draw, *, only: SignalType | None = None
) -> ASGIResponse:
    """What a file hits, by types; or of one type alone, without that layer."""
    services = services_of(request.scope)
    wanted = (only,) if only is not None else wanted_types(types, file.content)
    if only is not None:
        wanted_types(only.name, file.content)
    named = only is not None or types is not None
    asked = [one for one in wanted if draw.wants(one, services.signal_types.ratio(one.name))]
    matcher = draw.matcher(request)
    looks = not named or any(one.kind is HashKind.PDQ for one in wanted)
    item = await _item(services, file, looks=looks, matcher=matcher)
    hits: list[Match] = []
    headers = _NOT_COMPARED
    if matcher is not None:
        hits, headers = await _compared(request, item, matcher)
    tells = sees_distances(key_of(request))
    sorted_hits = {one.name: _by_bank(_of(one, hits), tells=tells) for one in asked}
    found = {one.name: sorted_hits.get(one.name, {}) for one in wanted}
    if not named:
        on = [hit for hit in hits if services.signal_types.ratio(hit.kind) > 0]
        found |= {name: _by_bank(more, tells=tells) for name, more in _further(file.content, on)}
    return answer(found[only.name] if only is not None else found, headers=headers)


async def _item(services: Services, file: File, *, looks: bool, matcher: Matcher | None) -> Item:
    """The item of a file. Who asks for digests only has it compared by nothing else, so it need not be decoded."""
    if looks:
        outcome = await hashed(services, file, turned=matcher is not None and matcher.wants_turned)
        return file_item(outcome, f"hma:sha256:{outcome.sha256}")
    digests = await file.digests()
    return hash_item(ItemDigests(**digests._asdict()), f"hma:sha256:{digests.sha256}")


async def _compared(request: AnyRequest, item: Item, matcher: Matcher) -> tuple[list[Match], dict[str, str]]:
    """What an item hits, and the headers that say so.

    Raises:
        Problem: it could not be compared.
    """
    try:
        verdicts, _ = await compared(request, [item], matcher)
    except NothingToCompareError:
        raise Problem(Code.NOTHING_TO_COMPARE, _NOT_READY) from None
    except Problem as problem:
        if problem.code is Code.NOTHING_TO_COMPARE:
            raise Problem(problem.code, _NOT_READY) from None
        raise
    _refuse_doubts(verdicts[0])
    return _shown(verdicts[0]), _headers(verdicts[0])


def _of(one: SignalType, hits: Iterable[Match]) -> list[Match]:
    return [hit for hit in hits if hit.kind == one.kind.value]


def _further(content: ContentType, hits: Sequence[Match]) -> Iterable[tuple[str, list[Match]]]:
    """The hits of other kinds than the usual one, by names that HMA's clients can tell apart."""
    usual = usual_type(content).kind.value
    kinds = dict.fromkeys(hit.kind for hit in hits if hit.kind != usual)
    return [(kind, [hit for hit in hits if hit.kind == kind]) for kind in kinds]


def _shown(verdict: Verdict) -> list[Match]:
    """The hits on which a client may act: HMA has no word for those that something allowed explains."""
    return [match for match in verdict.matches if match.action is Kind.BLOCKING and not match.cancelled]


def _headers(verdict: Verdict) -> dict[str, str]:
    headers = {"x-rempart-verdict": verdict.verdict.value}
    if verdict.reasons:
        headers["x-rempart-reasons"] = ",".join(verdict.reasons)
    return headers


def _refuse_doubts(verdict: Verdict) -> None:
    """Answer no client that takes an answer without hits for clear.

    Raises:
        Problem: the item could not be compared.
    """
    if verdict.verdict is not Outcome.UNSCANNABLE:
        return
    if Reason.STALE_LIST in verdict.reasons:
        raise Problem(Code.UNAVAILABLE, f"INDEX-STALE: {Reason.STALE_LIST.meaning}")
    for reason in verdict.reasons:
        if reason is not Reason.LOW_QUALITY:
            raise Problem(Code.UNSCANNABLE, f"{reason}: {reason.meaning}")


def _nearest(hits: Iterable[Match], *, tells: bool) -> list[Match]:
    """Each entry once, by its nearest hit; in the order of nearness if that may be told, else of the entries."""
    best: dict[int, Match] = {}
    for hit in sorted(hits, key=lambda hit: (hit.distance, hit.entry)):
        best.setdefault(hit.entry, hit)
    return list(best.values()) if tells else sorted(best.values(), key=lambda hit: hit.entry)


def _by_bank(hits: Iterable[Match], *, tells: bool) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for hit in _nearest(hits, tells=tells):
        found.setdefault(hit.bank, []).append(_row(hit, tells=tells))
    return found


def _row(hit: Match, *, tells: bool) -> dict[str, Any]:
    told = tells and hit.kind in (PDQ, VPDQ)
    return {"bank_content_id": hit.entry, "distance": str(hit.distance) if told else NO_DISTANCE}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (look_up, look_up_upload, look_up_raw)

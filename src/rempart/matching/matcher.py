"""The rules by which hits become a verdict.

In the order they are applied:

1. Exact digests are compared first, whatever the decoder said: an unreadable file can still be a known one.
2. Perceptual hashes are compared where the item's quality reaches the bank's floor; turned ones where the bank says so.
3. A hit in an allowing bank cancels near hits on the same frame when it is an exact digest, or strictly nearer.
   An exact digest in a blocking bank is never cancelled.
4. A blocking hit that stands makes a match. Else whatever could not be compared makes the item unscannable: a part that
   did not decode, frames that were not read, too little detail, a list that is too old. Only the rest is clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from rempart.clock import Clock, utc_now
from rempart.errors import NothingToCompareError, Reason
from rempart.hashing import DIGEST_KINDS, Hashed, PictureHash, Unscannable
from rempart.hashing.hashed import ENLARGED
from rempart.matching import specimen
from rempart.matching.bank import Bank, Kind
from rempart.matching.verdict import Match, Outcome, Verdict

FILE = "file"
PDQ = "pdq"
_ZERO = bytes(32)


class Matcher:
    """Compares items with a set of banks."""

    def __init__(self, banks: Iterable[Bank], *, clock: Clock = utc_now) -> None:
        """Take the banks that hold anything.

        Args:
            banks: blocking and allowing banks, empty ones included.
            clock: tells whether a bank has grown too old.
        """
        self.banks: Sequence[Bank] = [bank for bank in banks if len(bank)]
        self._blocking = [bank for bank in self.banks if bank.blocks]
        self._clock = clock
        self.lists_as_of = min((bank.refreshed_at for bank in self._blocking), default=None)
        self.wants_turned = any(bank.turned for bank in self.banks)
        """Whether items must be hashed with their turned variants."""

    def check(self) -> None:
        """Refuse to go on when nothing could ever be found.

        Raises:
            NothingToCompareError: no blocking bank holds anything.
        """
        if not self._blocking:
            raise NothingToCompareError

    def match(self, item: Hashed | Unscannable) -> Verdict:
        """The verdict on one item.

        Raises:
            NothingToCompareError: no blocking bank holds anything, and the item is not the specimen.
        """
        probe = specimen.find(item)
        if probe is None:
            self.check()
        matches = _cancel([*self._exact(item), *self._near(item)])
        standing = [match for match in matches if match.action is Kind.BLOCKING and not match.cancelled]
        reasons = [Reason.SPECIMEN] if probe else []
        if any(match.kind != PDQ for match in standing):
            reasons.append(Reason.EXACT_MATCH)
        if any(match.kind == PDQ for match in standing):
            reasons.append(Reason.NEAR_MATCH)
        if any(match.cancelled for match in matches):
            reasons.append(Reason.ALLOWED)
        verdict = Outcome.MATCH if probe or standing else Outcome.CLEAR
        if verdict is Outcome.CLEAR and (doubts := self._doubts(item)):
            verdict, reasons = Outcome.UNSCANNABLE, [*doubts, *reasons]
        return Verdict(
            verdict=verdict,
            reasons=tuple(reasons),
            matches=tuple([probe, *matches] if probe else matches),
            quality=item.quality if isinstance(item, Hashed) else None,
            partial=isinstance(item, Hashed) and item.partial is not None,
            lists_as_of=self.lists_as_of,
            specimen=probe is not None,
        )

    def _exact(self, item: Hashed | Unscannable) -> Iterator[Match]:
        if isinstance(item, Unscannable) and item.reason is Reason.EMPTY:
            return  # every empty file has the same digests, and lists do contain them
        for bank in self.banks:
            for kind in DIGEST_KINDS:
                digest = getattr(item, kind)
                for entry in bank.exact(kind, bytes.fromhex(digest)) if digest else ():
                    yield Match(
                        bank=bank.name,
                        entry=entry,
                        kind=kind,
                        distance=0,
                        variant=FILE,
                        harm=bank.harm,
                        action=bank.kind,
                    )

    def _near(self, item: Hashed | Unscannable) -> Iterator[Match]:
        """Of each bank and crop, frame by frame, every entry once: at its smallest distance."""
        if isinstance(item, Unscannable):
            return
        for bank in self.banks:
            nearest: dict[tuple[int, str, int], Match] = {}
            for one in item.hashes:
                if not _comparable(one, bank):
                    continue
                for hit in bank.near(one.hash):
                    key = (hit.id, _crop(one.variant), one.frame)
                    if key in nearest and nearest[key].distance <= hit.distance:
                        continue
                    nearest[key] = Match(
                        bank=bank.name,
                        entry=hit.id,
                        kind=PDQ,
                        distance=hit.distance,
                        variant=one.variant,
                        frame=one.frame,
                        harm=bank.harm,
                        action=bank.kind,
                    )
            yield from nearest.values()

    def _doubts(self, item: Hashed | Unscannable) -> list[Reason]:
        """Why an item without a hit cannot be called clear."""
        if isinstance(item, Unscannable):
            return [item.reason]
        doubts = [item.reason] if item.reason else []
        for bank in self._blocking:
            if bank.looks_near and not any(_comparable(one, bank) for one in item.hashes):
                doubts.append(Reason.LOW_QUALITY)
                break
        now = self._clock()
        if any(bank.is_stale(now) for bank in self._blocking):
            doubts.append(Reason.STALE_LIST)
        return doubts


def _comparable(one: PictureHash, bank: Bank) -> bool:
    turned = "+" in one.variant
    return one.quality >= bank.quality_floor and one.hash != _ZERO and (bank.turned or not turned)


def _crop(variant: str) -> str:
    return variant.partition("+")[0].removesuffix(ENLARGED)


def _cancel(matches: list[Match]) -> list[Match]:
    """Mark the near blocking hits that an allowing hit overrules; one row an entry, blocking and nearest first."""
    allowed_file = any(match.action is Kind.ALLOWING and match.kind != PDQ for match in matches)
    allowed: dict[tuple[str, int], int] = {}
    for match in matches:
        if match.action is Kind.ALLOWING and match.kind == PDQ:
            place = (_crop(match.variant), match.frame)
            allowed[place] = min(match.distance, allowed.get(place, match.distance))
    best: dict[tuple[str, int, str], Match] = {}
    for match in matches:
        one = match
        if match.action is Kind.BLOCKING and match.kind == PDQ:
            nearest_allowed = allowed.get((_crop(match.variant), match.frame))
            if allowed_file or (nearest_allowed is not None and nearest_allowed < match.distance):
                one = msgspec.structs.replace(match, cancelled=True)
        key = (one.bank, one.entry, one.kind)
        # A hit that stands is shown before one that is cancelled, for it decides.
        if key not in best or (one.cancelled, one.distance, one.frame) < (
            best[key].cancelled,
            best[key].distance,
            best[key].frame,
        ):
            best[key] = one
    return sorted(
        best.values(),
        key=lambda match: (
            match.action is Kind.ALLOWING,
            match.cancelled,
            match.kind == PDQ,
            match.distance,
            match.entry,
        ),
    )

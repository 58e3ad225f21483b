"""The rules by which hits become a verdict.

In the order they are applied:

1. Exact digests are compared first, whatever the decoder said: an unreadable file can still be a known one.
2. Perceptual hashes are compared where the item's quality reaches the bank's floor; turned ones where the bank says so.
   A video is compared frame by frame with banked pictures, and as a whole with banked videos. A picture is not compared
   with the frames of banked videos: thousands of innocent videos share an end card, a studio's logo or a test pattern.
3. A hit in an allowing bank cancels near hits on the same frame when it is an exact digest, or strictly nearer. It
   cancels a hit on a video when it is an exact digest, or when an allowed video is nearer: on no frame of the hit
   farther than the blocked video, and holding a greater share of the frames, or strictly nearer on each frame of the
   hit. A share alone would not do, for a known clip could hide in a long harmless video.
   An exact digest in a blocking bank is never cancelled.
4. A blocking hit that stands makes a match. Else whatever could not be compared makes the item unscannable: a part that
   did not decode, frames that were not read, too little detail, a list that is too old. Only the rest is clear.
5. Near hits on entries in quarantine are marked. They make a match like others, with a further reason when there is no
   other hit, so that a person looks.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from rempart.clock import Clock, utc_now
from rempart.errors import NothingToCompareError, Reason
from rempart.hashing import DIGEST_KINDS, Hashed, Unscannable
from rempart.hashing.hashed import ENLARGED
from rempart.matching import specimen
from rempart.matching.bank import PDQ, VPDQ, Bank, Kind
from rempart.matching.flood import Sighting
from rempart.matching.verdict import Match, Outcome, Verdict
from rempart.matching.video import VideoHit

FILE = "file"
VIDEO = "video"


class Matcher:
    """Compares items with a set of banks."""

    def __init__(
        self,
        banks: Iterable[Bank],
        *,
        quarantined: Container[int] = frozenset(),
        watch: Callable[[Sighting], object] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Take the banks that hold anything and are not switched off.

        Args:
            banks: blocking and allowing banks, empty ones included.
            quarantined: the entries whose near hits are marked; asked at each hit, so it may change meanwhile.
            watch: told of each picture that comes near an entry which is not in quarantine, before the verdict on it.
            clock: tells whether a bank has grown too old.
        """
        self.banks: Sequence[Bank] = [bank for bank in banks if len(bank) and bank.enabled_ratio > 0]
        self._blocking = [bank for bank in self.banks if bank.blocks]
        self._quarantined = quarantined
        self._watch = watch
        self._clock = clock
        self.lists_as_of = min((bank.refreshed_at for bank in self._blocking), default=None)
        self.wants_turned = any(bank.turned for bank in self.banks)
        """Whether items must be hashed with their turned variants."""

    def narrowed(self, keeps: Callable[[Bank], bool]) -> Matcher:
        """The same with some of its banks only; it takes a microsecond for each bank."""
        own = [bank for bank in self.banks if keeps(bank)]
        return Matcher(own, quarantined=self._quarantined, watch=self._watch, clock=self._clock)

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
        matches = [*self._exact(item)]
        if isinstance(item, Hashed):
            near = [match for bank in self.banks for match in _near(item, bank)]
            if item.is_video:
                near += self._videos(item)
            matches = self._marked(item, _shown(_cancelled([*matches, *near])))
        standing = [match for match in matches if match.action is Kind.BLOCKING and not match.cancelled]
        reasons = [Reason.SPECIMEN] if probe else []
        if any(not match.near for match in standing):
            reasons.append(Reason.EXACT_MATCH)
        if any(match.near for match in standing):
            reasons.append(Reason.NEAR_MATCH)
        if standing and all(match.quarantined for match in standing):
            reasons.append(Reason.QUARANTINED)
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

    def _videos(self, item: Hashed) -> list[Match]:
        """The banked videos that a video matches, with those cancelled that allowed ones explain."""
        found = [
            (bank, hit)
            for bank in self.banks
            if bank.holds_videos
            for hit in bank.videos([one for one in item.hashes if bank.compares(one)])
        ]
        allowed = [_Placed(item, bank, hit) for bank, hit in found if not bank.blocks]
        return [
            Match(
                bank=bank.name,
                entry=hit.entry,
                kind=VPDQ,
                distance=hit.distance,
                variant=VIDEO,
                frame=hit.frame,
                harm=bank.harm,
                action=bank.kind,
                cancelled=bank.blocks and bool(allowed) and _Placed(item, bank, hit).is_explained_by(allowed),
                query_percent=hit.query_percent,
                banked_percent=hit.banked_percent,
                run_seconds=hit.run_seconds,
            )
            for bank, hit in found
        ]

    def _marked(self, item: Hashed, matches: list[Match]) -> list[Match]:
        """Tell of what came near which entry, then mark the near hits on entries in quarantine."""
        standing = [match for match in matches if match.action is Kind.BLOCKING and not match.cancelled]
        if self._watch and all(match.near for match in standing):
            radii = {bank.name: bank.radius for bank in self._blocking}
            hashes = {(one.variant, one.frame): one.hash for one in item.hashes}
            for match in standing:
                if match.kind == PDQ and match.entry not in self._quarantined:
                    self._watch(Sighting(match.entry, hashes[match.variant, match.frame], radii[match.bank]))
        return [
            msgspec.structs.replace(match, quarantined=True)
            if match.near and match.action is Kind.BLOCKING and match.entry in self._quarantined
            else match
            for match in matches
        ]

    def _doubts(self, item: Hashed | Unscannable) -> list[Reason]:
        """Why an item without a hit cannot be called clear."""
        if isinstance(item, Unscannable):
            return [item.reason]
        doubts = [item.reason] if item.reason else []
        # The cover of a video says nothing of what the video shows.
        shown = [one for one in item.hashes if one.at is not None] if item.is_video else item.hashes
        for bank in self._blocking:
            looks = bank.looks_near or (item.is_video and bank.holds_videos)
            if looks and not any(map(bank.compares, shown)):
                doubts.append(Reason.LOW_QUALITY)
                break
        now = self._clock()
        if any(bank.is_stale(now) for bank in self._blocking):
            doubts.append(Reason.STALE_LIST)
        return doubts


class _Placed:
    """A hit on a video, with the distance of each place of the asked video that lies in the entry."""

    def __init__(self, item: Hashed, bank: Bank, hit: VideoHit) -> None:
        self.share = hit.query_percent
        self.distances: dict[tuple[str, int], int] = {}
        for one, distance in zip(item.hashes, bank.frame_distances(hit.entry, item.hashes), strict=True):
            if distance is not None:
                place = _place(one.variant, one.frame)
                self.distances[place] = min(distance, self.distances.get(place, distance))

    def is_explained_by(self, allowed: Iterable[_Placed]) -> bool:
        """Whether one of the allowed videos is nearer than this one."""
        nearest: dict[int, tuple[int, tuple[str, int]]] = {}
        for place, distance in self.distances.items():
            nearest[place[1]] = min((distance, place), nearest.get(place[1], (distance, place)))
        for other in allowed:
            gains = [
                distance - other.distances[place] if place in other.distances else -1
                for distance, place in nearest.values()
            ]
            if min(gains) > 0 or (min(gains) == 0 and other.share > self.share):
                return True
        return False


def _near(item: Hashed, bank: Bank) -> Iterator[Match]:
    """Of each crop, frame by frame, every entry once: at its smallest distance."""
    asked = [one for one in item.hashes if bank.compares(one)]
    # A video shows the same for seconds, so each hash is asked for once.
    rows = {value: row for row, value in enumerate(dict.fromkeys(one.hash for one in asked))}
    hits = bank.near_many(list(rows))
    if not len(hits.ids):
        return
    bounds = list(pairwise(hits.offsets.tolist()))
    nearest: dict[tuple[int, str, int], Match] = {}
    for one in asked:
        first, last = bounds[rows[one.hash]]
        for entry, distance in zip(hits.ids[first:last].tolist(), hits.distances[first:last].tolist(), strict=True):
            key = (entry, *_place(one.variant, one.frame))
            if key in nearest and nearest[key].distance <= distance:
                continue
            nearest[key] = Match(
                bank=bank.name,
                entry=entry,
                kind=PDQ,
                distance=distance,
                variant=one.variant,
                frame=one.frame,
                harm=bank.harm,
                action=bank.kind,
            )
    yield from nearest.values()


def _place(variant: str, frame: int) -> tuple[str, int]:
    """What of an item was compared, however it was turned or enlarged: its full or trimmed form, of which frame."""
    return variant.partition("+")[0].removesuffix(ENLARGED), frame


def _cancelled(matches: list[Match]) -> list[Match]:
    """The same hits, with those near blocking ones marked that an allowing hit overrules."""
    allowed_file = any(match.action is Kind.ALLOWING and not match.near for match in matches)
    allowed: dict[tuple[str, int], int] = {}
    for match in matches:
        if match.action is Kind.ALLOWING and match.kind == PDQ:
            place = _place(match.variant, match.frame)
            allowed[place] = min(match.distance, allowed.get(place, match.distance))

    def is_overruled(match: Match) -> bool:
        if match.action is Kind.ALLOWING or not match.near:
            return False
        nearest = allowed.get(_place(match.variant, match.frame))
        return allowed_file or (match.kind == PDQ and nearest is not None and nearest < match.distance)

    return [msgspec.structs.replace(match, cancelled=True) if is_overruled(match) else match for match in matches]


def _shown(matches: list[Match]) -> list[Match]:
    """One row for each entry and kind of hash; blocking before allowing, exact before near, then the nearest first."""
    best: dict[tuple[str, int, str], Match] = {}
    for match in matches:
        key = (match.bank, match.entry, match.kind)
        # A hit that stands is shown before one that is cancelled, for it decides.
        if key not in best or (match.cancelled, match.distance, match.frame) < (
            best[key].cancelled,
            best[key].distance,
            best[key].frame,
        ):
            best[key] = match
    return sorted(
        best.values(),
        key=lambda match: (match.action is Kind.ALLOWING, match.cancelled, match.near, match.distance, match.entry),
    )

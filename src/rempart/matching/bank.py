"""A bank as matching sees it: what to look in, how near is near, and whether a hit blocks or allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rempart.clock import utc_now
from rempart.errors import BankError
from rempart.hashing import HASH_BYTES, PictureHash
from rempart.ids import check_bank_name
from rempart.matching.digest_table import DigestRows, DigestTable
from rempart.matching.files import IndexFile
from rempart.matching.index import HashIndex, Hit
from rempart.matching.journal import Change
from rempart.matching.journal import Kind as ChangeKind
from rempart.matching.permutation import WORDS, shuffle
from rempart.matching.search import Hits
from rempart.matching.segment import SMALL, Segment
from rempart.matching.video import FrameIndex, FrameRows, VideoHit, VideoRule
from rempart.matching.view import View

PDQ: Final = "pdq"
VPDQ: Final = "vpdq"

DEFAULT_RADIUS: Final = 31
DEFAULT_QUALITY_FLOOR: Final = 50
LARGEST_RADIUS: Final = 63
LARGEST_FAST_RADIUS: Final = 31
"""Beyond it every look-up compares with every hash, or nearly so; frames of videos are never compared beyond it."""
LARGEST_PERCENT: Final = 100
UNKNOWN_QUALITY: Final = -1

Ids = npt.NDArray[np.int64]


class Kind(StrEnum):
    """What a hit in the bank does."""

    BLOCKING = "blocking"
    ALLOWING = "allowing"


class Harm(StrEnum):
    """What the bank's entries are."""

    CSAM = "csam"
    EXPLOITATIVE = "exploitative"
    NCII_ADULT = "ncii_adult"
    OTHER = "other"


class PdqRows(NamedTuple):
    """PDQ hashes of entries, one a row.

    Attributes:
        hashes: uint8 of shape (n, 32).
        entries: int64 of shape (n,): the entry of each hash; an entry may have several.
        qualities: int16 of shape (n,): 0..100, or -1 where it is not known, which counts as 100.
    """

    hashes: npt.NDArray[np.uint8]
    entries: Ids
    qualities: npt.NDArray[np.int16]

    @classmethod
    def of(cls, hashes: Sequence[str], entries: Sequence[int] | None = None) -> Self:
        """Rows from hexadecimal hashes of unknown quality; the entries are numbered from 1 when not given."""
        rows = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 32)
        numbers = np.arange(1, len(rows) + 1) if entries is None else np.asarray(entries)
        return cls(rows, numbers.astype(np.int64), np.full(len(rows), UNKNOWN_QUALITY, np.int16))


def check_video_rule(rule: VideoRule) -> None:
    """Refuse a rule by which no video could ever match, or with a number that makes no sense.

    Raises:
        BankError: every direction is off, a share is not within 1 and 100, or a run is not longer than 0 s.
    """
    shares = [share for share in (rule.query_percent, rule.banked_percent) if share is not None]
    if not shares and rule.run_seconds is None:
        raise BankError("by this rule no video could ever match: leave at least one of its directions on")
    if not all(1 <= share <= LARGEST_PERCENT for share in shares):
        raise BankError("a share of a video's frames must lie within 1 to 100 percent")
    if rule.run_seconds is not None and not 0 < rule.run_seconds < float("inf"):
        raise BankError("a run of frames must last more than 0 seconds")


class _State(NamedTuple):
    """What a steady index holds, how many hashes that is, and the greatest id of the filed ones once it is known."""

    view: View
    held: int
    last_filed: int | None


class SteadyIndex(HashIndex):
    """An index that never changes: what is added or removed makes a later one, and whoever asks this one goes on."""

    __slots__ = ("_state",)

    def __init__(
        self, segment: Segment, *, file: IndexFile | None = None, dropped: int = 0, before: _State | None = None
    ) -> None:
        """Stand on a segment, or on a state that stands on it."""
        super().__init__(segment, file=file, dropped=dropped)
        self._state = before or _State(self._view, len(segment), None)
        self._view = self._state.view

    def __len__(self) -> int:
        return self._state.held

    @property
    def segment(self) -> Segment:
        """The filed hashes, which later indexes share."""
        return self._view.segment

    def check(self) -> None:
        """Find out whether queries are refused.

        Raises:
            SnapshotError: a query came upon damage in the snapshot.
        """
        self._checked()

    def after(self, changed: Ids, hashes: npt.NDArray[np.uint8], entries: Ids) -> Self:
        """The index without the hashes of some entries, and with others. Ask an index for one later one only.

        It takes a time that grows with what is pending, hardly with what is filed; but when more is pending than filed,
        all is filed anew.

        Args:
            changed: ids whose hashes do not count any more.
            hashes: uint8 of shape (n, 32); those that are all zero are left out.
            entries: their ids.

        Raises:
            SnapshotError: a query came upon damage in the snapshot.
        """
        view = self._checked()
        last_filed = self._state.last_filed
        if last_filed is None:
            last_filed = int(view.segment.ids.max(initial=-1))
        # New entries have greater numbers than all before, so most changes need no look at the filed ones.
        old = np.setdiff1d(changed[changed <= last_filed], view.gone)
        struck = view.segment.ids[np.isin(view.segment.ids, old)] if len(old) else old
        dropped = np.isin(view.added_ids, changed)
        removed = np.union1d(struck, view.added_ids[dropped])
        kept = hashes.any(axis=1)
        later = view.after_all(
            [
                Change(ChangeKind.REMOVE, removed, np.empty((0, WORDS), np.uint64)),
                Change(ChangeKind.ADD, entries[kept], shuffle(hashes[kept])),
            ]
        )
        if len(later.added_ids) > max(SMALL, len(view.segment)):
            return type(self)(Segment.build(*later.rows()), dropped=self.dropped)
        held = self._state.held - len(struck) - int(dropped.sum()) + int(kept.sum())
        return type(self)(view.segment, dropped=self.dropped, before=_State(later, held, last_filed))

    def _change(self, change: Change) -> None:  # noqa: ARG002 -- the base class's signature
        raise TypeError("a steady index never changes; after() makes a later one")


class Bank:
    """A named set of entries to compare with, ready to be searched.

    ``len(bank)`` is the number of hashes that can be compared; an empty bank compares nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: Kind = Kind.BLOCKING,
        harm: Harm = Harm.OTHER,
        radius: int = DEFAULT_RADIUS,
        quality_floor: int = DEFAULT_QUALITY_FLOOR,
        turned: bool = False,
        refreshed_at: datetime | None = None,
        max_age_seconds: int | None = None,
        pdq: PdqRows | None = None,
        digests: Mapping[str, DigestRows | DigestTable] | None = None,
        index: HashIndex | None = None,
        frames: FrameRows | FrameIndex | None = None,
        video_rule: VideoRule = VideoRule(),  # noqa: B008 -- it is frozen
        id: int | None = None,  # noqa: A002 -- it is what callers pass
        enabled_ratio: float = 1.0,
    ) -> None:
        """Build the indexes.

        Args:
            name: ``[A-Z_][A-Z0-9_]*``.
            kind: whether a hit blocks or allows.
            harm: what its entries are.
            radius: the largest distance in bits that still is a match, 0..63; above 31 the bank is slow.
            quality_floor: hashes of lower quality, asked or banked, are not compared by nearness.
            turned: also compare pictures as turned and mirrored.
            refreshed_at: when its content last changed; now by default.
            max_age_seconds: how old that may be before the bank can call nothing clear; None for ever.
            pdq: perceptual hashes.
            digests: exact digests by kind, ``md5``, ``sha1`` or ``sha256``: rows, or a table made before.
            index: in the place of ``pdq``, an index made before, of hashes that reach the quality floor.
            frames: frames of banked videos, or an index of them made before.
            video_rule: when a video matches these.
            id: the bank's number in the database, if it has one.
            enabled_ratio: share of the look-ups in which it takes part, where the caller asks for that; at 0 in none.

        Raises:
            BankError: the name, radius, quality floor or rule cannot be used.
        """
        if not 0 <= radius <= LARGEST_RADIUS:
            raise BankError(f"the radius is {radius}, but must lie within 0 and {LARGEST_RADIUS} bits")
        check_video_rule(video_rule)
        if not 0 <= quality_floor <= LARGEST_PERCENT:
            raise BankError(f"the quality floor is {quality_floor}, but must lie within 0 and 100")
        if pdq is not None and index is not None:
            raise BankError("a bank is made of hashes or of an index of them, not of both")
        self.name = check_bank_name(name)
        self.id = id
        self.enabled_ratio = enabled_ratio
        self.kind = kind
        self.harm = harm
        self.radius = radius
        self.quality_floor = quality_floor
        self.turned = turned
        self.refreshed_at = refreshed_at or utc_now()
        self.max_age = None if max_age_seconds is None else timedelta(seconds=max_age_seconds)
        self.video_rule = video_rule
        self._index = index if index is not None else _indexed(pdq or PdqRows.of(()), quality_floor)
        self._videos = frames if isinstance(frames, FrameIndex) else frame_index(frames, radius, quality_floor)
        self._digests = {
            kind: rows if isinstance(rows, DigestTable) else DigestTable.of(rows)
            for kind, rows in (digests or {}).items()
        }

    def __len__(self) -> int:
        return len(self._index) + len(self._videos) + sum(map(len, self._digests.values()))

    def __repr__(self) -> str:
        return f"<Bank {self.name} {self.kind} {len(self)} hashes>"

    @property
    def blocks(self) -> bool:
        """Whether a hit here is a match."""
        return self.kind is Kind.BLOCKING

    @property
    def slow(self) -> bool:
        """Whether its radius makes every look-up compare with nearly every hash."""
        return self.radius > LARGEST_FAST_RADIUS

    @property
    def looks_near(self) -> bool:
        """Whether it holds perceptual hashes of pictures at all."""
        return len(self._index) > 0

    @property
    def holds_videos(self) -> bool:
        """Whether it holds frames of videos that can be compared."""
        return len(self._videos) > 0

    def count(self, kind: str) -> int:
        """How many hashes of a kind it holds: ``pdq``, ``vpdq``, ``md5``, ``sha1`` or ``sha256``."""
        if kind == PDQ:
            return len(self._index)
        return len(self._videos) if kind == VPDQ else len(self._digests.get(kind, ()))

    def holds(self, kind: str) -> bool:
        """Whether it holds any hashes of a kind."""
        return self.count(kind) > 0

    def is_stale(self, now: datetime) -> bool:
        """Whether its content is older than its maximum age."""
        return self.max_age is not None and now - self.refreshed_at > self.max_age

    def compares(self, one: PictureHash) -> bool:
        """Whether a hash says enough to be compared with what is banked here, in a form that is looked for."""
        turned = "+" in one.variant
        return one.quality >= self.quality_floor and one.hash != _ZERO and (self.turned or not turned)

    @cached_property
    def _frames(self) -> FrameRows:
        return self._videos.rows()

    def near(self, hash_: bytes) -> list[Hit]:
        """The entries within the bank's radius of a PDQ hash of 32 bytes, nearest first."""
        return self._index.query(hash_, self.radius)

    def near_many(self, hashes: Sequence[bytes]) -> Hits:
        """As :meth:`near`, of many hashes in one call."""
        return self._index.query_many(hashes, self.radius)

    def videos(self, frames: Sequence[PictureHash]) -> list[VideoHit]:
        """The banked videos that a video matches by the bank's rule; ``frames`` are its hashes in time order."""
        return self._videos.find(frames, self.video_rule)

    def frame_distances(self, entry: int, frames: Sequence[PictureHash]) -> list[int | None]:
        """How far each of these hashes is from the nearest frame of a banked video; None where it is not in it."""
        rows = self._frames
        mine = (rows.entries == entry) & ((rows.qualities < 0) | (rows.qualities >= self.quality_floor))
        known = HashIndex.build(rows.hashes[mine])
        hits = known.query_many([one.hash for one in frames], min(self.radius, LARGEST_FAST_RADIUS))
        return [
            int(hits.distances[first]) if first < last and self.compares(one) else None
            for one, (first, last) in zip(frames, pairwise(hits.offsets.tolist()), strict=True)
        ]

    def exact(self, kind: str, digest: bytes) -> list[int]:
        """The entries that hold this digest of this kind."""
        table = self._digests.get(kind)
        return table.find(digest) if table is not None else []


_ZERO: Final = bytes(HASH_BYTES)
_NO_FRAMES: Final = FrameRows(np.empty((0, HASH_BYTES), np.uint8), np.empty(0, np.int64), np.empty(0, np.int16))


def frame_index(rows: FrameRows | None, radius: int, quality_floor: int) -> FrameIndex:
    """The frames of videos as a bank of this radius and quality floor compares them."""
    return FrameIndex(rows or _NO_FRAMES, radius=min(radius, LARGEST_FAST_RADIUS), quality_floor=quality_floor)


def _indexed(rows: PdqRows, quality_floor: int) -> HashIndex:
    usable = (rows.qualities == UNKNOWN_QUALITY) | (rows.qualities >= quality_floor)
    return HashIndex.build(rows.hashes[usable], rows.entries[usable])

"""Videos against banked videos: the vPDQ rule, in both directions, and the contiguous run.

A video is a set of frames, each with a PDQ hash. The rule that ThreatExchange calls vPDQ asks which share of one
video's frames lies within the radius of any frame of the other. One share alone is blind to half of what happens: a
banked clip inside a long upload is a small share of the upload, and an excerpt is a small share of what is banked. So
both shares are judged, and a third sign beside them: a stretch of the asked video in which every frame is in the entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from rempart.hashing.hashed import FULL, TRIMMED, PictureHash
from rempart.matching.index import HashIndex

Percent = Annotated[int, Meta(ge=1, le=100)]
Seconds = Annotated[float, Meta(gt=0)]
Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint8]

LOOKS: Final = 3
"""How many different looks a run must have, on both sides, where the entry has as many."""
LOOK_DISTANCE: Final = 16
"""Frames that differ in more bits than this look different. Frames of one still card are closer, even re-encoded."""

_NO_IDS: Final = np.empty(0, np.int64)


class VideoRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a video matches an entry: any one of three signs is enough, and None switches a sign off.

    Attributes:
        query_percent: the least share of the asked video's frames that are in the entry.
        banked_percent: the least share of the entry's frames that the asked video holds.
        run_seconds: the least length of a contiguous run of asked frames that all are in the entry.
    """

    query_percent: Percent | None = 80
    banked_percent: Percent | None = 80
    run_seconds: Seconds | None = 5.0


class FrameRows(NamedTuple):
    """Frames of banked videos, one a row; :func:`to_bank` says which hash of a frame it should be.

    Attributes:
        hashes: uint8 of shape (n, 32).
        entries: int64 of shape (n,): the entry that each frame belongs to.
        qualities: int16 of shape (n,): 0..100, or -1 where it is not known, which counts as 100.
        at_ms: int64 of shape (n,): when each is shown, in milliseconds, or -1 where it is not known. Distinct frames
            within one second then count as one in ``banked_percent``, so that a video may be banked more densely than
            it is asked about.
    """

    hashes: Hashes
    entries: Ids
    qualities: npt.NDArray[np.int16]
    at_ms: Ids | None = None


class VideoHit(NamedTuple):
    """An entry that a video matches.

    Attributes:
        entry: its id.
        query_percent: share of the asked video's frames that are in it, 0..100.
        banked_percent: share of its frames that the asked video holds, 0..100.
        run_seconds: length of the longest run with enough looks; 0.0 when there is none.
        distance: in bits, between the nearest two frames.
        frame: number of the asked frame that the run begins with; without a run, of the first that is in the entry.
    """

    entry: int
    query_percent: float
    banked_percent: float
    run_seconds: float
    distance: int
    frame: int


class FrameIndex:
    """The frames of a bank's videos, ready to be compared with those of others. It never changes: see :meth:`after`.

    On either side a frame is left out whose quality is below the floor or whose hash is all zeros, and frames with
    equal hashes count once. An entry of which nothing is left is never hit.

    Entries that changed are kept apart from the filed ones, each with all of its frames; so no hit needs both.
    """

    def __init__(
        self, rows: FrameRows, *, radius: int, quality_floor: int, filed: _Shelf | None = None, gone: Ids = _NO_IDS
    ) -> None:
        """Take the frames; they are filed when they are first needed.

        Args:
            rows: the frames of all entries, in any order.
            radius: the largest distance in bits at which two frames are the same.
            quality_floor: the least quality of a frame that can be compared, 0..100.
            filed: frames of other entries, filed before.
            gone: the entries that are struck from these, ascending.
        """
        self._radius = radius
        self._quality_floor = quality_floor
        shelf = _Shelf(rows, radius, quality_floor)
        if filed is None:
            self._filed, self._recent = shelf, _Shelf(_part(rows, slice(0)), radius, quality_floor)
        else:
            self._filed, self._recent = filed, shelf
        self._gone = gone

    def __len__(self) -> int:
        """How many frames can be compared."""
        return len(self._filed) - self._filed.frames_of(self._gone) + len(self._recent)

    @property
    def pending(self) -> int:
        """How many changed entries and frames are kept apart."""
        return len(self._gone) + len(self._recent.rows.entries)

    def find(self, frames: Sequence[PictureHash], rule: VideoRule) -> list[VideoHit]:
        """The entries that a video matches, by (distance, entry).

        Args:
            frames: the hashes of its frames in time order. Hashes with one frame number are forms of one frame, which
                is in an entry if any of them is. What has no time is a cover and left out, unless nothing has one;
                then no run can be measured.
            rule: what makes a match.
        """
        filed = self._filed.find(frames, rule)
        if self.pending:
            gone = set(self._gone.tolist())
            filed = [hit for hit in filed if hit.entry not in gone] + self._recent.find(frames, rule)
        return sorted(filed, key=lambda hit: (hit.distance, hit.entry))

    def after(self, changed: Ids, rows: FrameRows) -> FrameIndex:
        """The index without what these entries held, and with these frames; this one stays as it is."""
        kept = ~np.isin(self._recent.rows.entries, changed)
        gone = np.union1d(self._gone, changed[np.isin(changed, self._filed.entries)])
        if len(gone) == len(self._gone) and kept.all() and not len(rows.entries):
            return self
        recent = _joined(self._recent.rows, kept, rows)
        if len(recent.entries) > len(self._filed.rows.entries):
            all_rows = _joined(self._filed.rows, ~np.isin(self._filed.rows.entries, gone), recent)
            return FrameIndex(all_rows, radius=self._radius, quality_floor=self._quality_floor)
        return FrameIndex(recent, radius=self._radius, quality_floor=self._quality_floor, filed=self._filed, gone=gone)

    def rows(self) -> FrameRows:
        """The frames of all entries, also those that are never compared, in no particular order."""
        if not self.pending:
            return self._filed.rows
        return _joined(self._filed.rows, ~np.isin(self._filed.rows.entries, self._gone), self._recent.rows)


class _Shelf:
    """Frames that are filed once and never change, when they are first needed."""

    def __init__(self, rows: FrameRows, radius: int, quality_floor: int) -> None:
        self.rows = rows
        self._radius = radius
        self._quality_floor = quality_floor

    @cached_property
    def entries(self) -> Ids:
        """The entries that have any frames, ascending."""
        return np.unique(self.rows.entries)

    @cached_property
    def _frames(self) -> _Frames:
        return _Frames(self.rows, self._radius, self._quality_floor)

    def __len__(self) -> int:
        return len(self._frames.entries) if len(self.rows.entries) else 0

    def frames_of(self, entries: Ids) -> int:
        """How many frames of these entries can be compared."""
        if not len(entries):
            return 0
        filed = self._frames.entries
        return int((filed.searchsorted(entries, "right") - filed.searchsorted(entries, "left")).sum())

    def find(self, frames: Sequence[PictureHash], rule: VideoRule) -> list[VideoHit]:
        """The entries on this shelf that a video matches, in no particular order."""
        return self._frames.find(frames, rule) if len(self) else []


class _Frames:
    """The frames of some entries that can be compared, by entry."""

    def __init__(self, rows: FrameRows, radius: int, quality_floor: int) -> None:
        usable = ((rows.qualities < 0) | (rows.qualities >= quality_floor)) & rows.hashes.any(axis=1)
        hashes, entries = rows.hashes[usable], rows.entries[usable]
        keys = np.concatenate((entries.astype(">i8").view(np.uint8).reshape(-1, 8), hashes), axis=1)
        kept = np.sort(_first_of_equals(keys))
        kept = kept[np.argsort(entries[kept], kind="stable")]
        self._hashes, self.entries = hashes[kept], entries[kept]
        self._moments = _moments(None if rows.at_ms is None else rows.at_ms[usable][kept], len(kept))
        self._index = HashIndex.build(self._hashes, np.arange(len(kept)))
        self._radius = radius
        self._quality_floor = quality_floor

    def find(self, frames: Sequence[PictureHash], rule: VideoRule) -> list[VideoHit]:
        asked = _Asked(frames, self._quality_floor)
        if not asked.numbers or not len(self.entries):
            return []
        hits = self._index.query_many(asked.hashes, self._radius)
        if not len(hits.ids):
            return []
        forms = np.repeat(np.arange(len(asked.hashes)), np.diff(hits.offsets))
        found = self.entries[hits.ids]
        order = np.argsort(found, kind="stable")
        entries, starts = np.unique(found[order], return_index=True)
        results = []
        for entry, of_entry in zip(entries.tolist(), np.split(order, starts[1:]), strict=True):
            pairs = _Pairs(forms[of_entry], hits.ids[of_entry], int(hits.distances[of_entry].min()))
            hit = self._judge(entry, asked, pairs, rule)
            if hit is not None:
                results.append(hit)
        return results

    def _judge(self, entry: int, asked: _Asked, pairs: _Pairs, rule: VideoRule) -> VideoHit | None:
        first, last = (int(self.entries.searchsorted(entry, side)) for side in ("left", "right"))
        banked, held = (len(np.unique(self._moments[rows])) for rows in (slice(first, last), pairs.rows))
        inside = asked.frames_with(pairs.forms)
        distinct = len(asked.looks)
        shared = len({asked.look_of[number] for number in np.flatnonzero(inside).tolist()})
        seconds, start = 0.0, int(np.argmax(inside))
        for length, begin, end in asked.runs(inside):
            if length > 0 and self._varied(asked, pairs, (begin, end), self._hashes[first:last]):
                seconds, start = length, begin
                break
        if not (
            (rule.query_percent is not None and 100 * shared >= rule.query_percent * distinct)
            or (rule.banked_percent is not None and 100 * held >= rule.banked_percent * banked)
            or (rule.run_seconds is not None and seconds >= rule.run_seconds)
        ):
            return None
        shares = 100 * shared / distinct, 100 * held / banked
        return VideoHit(entry, *shares, seconds, pairs.distance, asked.numbers[start])

    def _varied(self, asked: _Asked, pairs: _Pairs, run: tuple[int, int], entry: Hashes) -> bool:
        """Whether a run has several looks on both sides: a minute of one title card is one frame, not a minute."""
        needed = _looks(entry, LOOKS)
        within = asked.within(pairs.forms, *run)
        sides = (asked.hashes[np.unique(pairs.forms[within])], self._hashes[np.unique(pairs.rows[within])])
        return all(_looks(side, needed) >= needed for side in sides)


class _Pairs(NamedTuple):
    """Which form of an asked frame met which row of one entry, and the least distance."""

    forms: npt.NDArray[np.intp]
    rows: Ids
    distance: int


class _Asked:
    """The usable frames of an asked video, in time order.

    Attributes:
        numbers: of each usable frame, its number in the video.
        hashes: uint8 of shape (forms, 32): every distinct usable hash.
        looks: the distinct sets of forms that the frames have; ``look_of`` says which each frame has.
    """

    def __init__(self, frames: Sequence[PictureHash], quality_floor: int) -> None:
        times: dict[int, float | None] = {}
        forms: dict[int, set[int]] = {}
        known: dict[bytes, int] = {}
        for one in _timed(frames):
            times.setdefault(one.frame, one.at)
            if one.quality >= quality_floor and any(one.hash):
                forms.setdefault(one.frame, set()).add(known.setdefault(one.hash, len(known)))
        self.numbers = [number for number in times if number in forms]
        self.hashes = np.frombuffer(b"".join(known), np.uint8).reshape(-1, 32)
        self.looks: dict[frozenset[int], int] = {}
        self.look_of = [self.looks.setdefault(frozenset(forms[number]), len(self.looks)) for number in self.numbers]
        self._forms = [forms[number] for number in self.numbers]
        lengths = dict(zip(times, _lengths(list(times.values())), strict=True))
        self._lengths = [lengths[number] for number in self.numbers]

    def frames_with(self, forms: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Which usable frames have any of these forms."""
        wanted = set(forms.tolist())
        return np.array([not wanted.isdisjoint(one) for one in self._forms])

    def within(self, forms: npt.NDArray[np.intp], begin: int, end: int) -> npt.NDArray[np.bool_]:
        """Which of these forms any usable frame from ``begin`` until ``end`` has."""
        wanted = set().union(*self._forms[begin:end])
        return np.isin(forms, list(wanted))

    def runs(self, inside: npt.NDArray[np.bool_]) -> Iterator[tuple[float, int, int]]:
        """The longest stretches of usable frames that are inside: seconds, first and one past the last; longest first.

        Frames that cannot be compared neither end a run nor add to its length.
        """
        edges = np.flatnonzero(np.diff(inside, prepend=False, append=False)).reshape(-1, 2).tolist()
        runs = ((sum(self._lengths[begin:end]), begin, end) for begin, end in edges)
        yield from sorted(runs, key=lambda run: (-run[0], run[1]))


def to_bank(frames: Sequence[PictureHash]) -> list[PictureHash]:
    """Of each frame the one hash to bank: of what lies inside its borders, else of the full frame.

    A copy with other borders, or with none, then meets it, for the asked side has both forms.
    """
    chosen: dict[int, PictureHash] = {}
    for one in _timed(frames):
        if one.variant == TRIMMED or (one.variant == FULL and one.frame not in chosen):
            chosen[one.frame] = one
    return list(chosen.values())


def _joined(old: FrameRows, kept: npt.NDArray[np.bool_], new: FrameRows) -> FrameRows:
    """The rows that are kept, and the new ones."""
    old = _part(old, kept)
    return FrameRows(
        np.concatenate((old.hashes, new.hashes)),
        np.concatenate((old.entries, new.entries)),
        np.concatenate((old.qualities, new.qualities)),
        None if old.at_ms is None or new.at_ms is None else np.concatenate((old.at_ms, new.at_ms)),
    )


def _part(rows: FrameRows, kept: npt.NDArray[np.bool_] | slice) -> FrameRows:
    at_ms = None if rows.at_ms is None else rows.at_ms[kept]
    return FrameRows(rows.hashes[kept], rows.entries[kept], rows.qualities[kept], at_ms)


def _timed(frames: Sequence[PictureHash]) -> Sequence[PictureHash]:
    """The frames without the covers, which have no time."""
    return [one for one in frames if one.at is not None] or frames


def _lengths(times: list[float | None]) -> list[float]:
    """How long each sampled frame stands for: until the next one, the last for as long as most; 0 if not known."""
    known = [time for time in times if time is not None]
    if len(known) < 2:  # noqa: PLR2004 -- one frame has no step to the next
        return [0.0] * len(times)
    steps = np.maximum(np.diff(known), 0.0)
    return [*steps.tolist(), float(np.median(steps))]


def _moments(at_ms: Ids | None, rows: int) -> Ids:
    """To which moment each row belongs: its second, or one of its own (negative) where the time is not known."""
    own = -1 - np.arange(rows, dtype=np.int64)
    return own if at_ms is None else np.where(at_ms >= 0, at_ms // 1000, own)


def _looks(hashes: Hashes, enough: int) -> int:
    """How many hashes, taken greedily in order, differ from all taken before; not more than ``enough`` are counted."""
    left, count = hashes, 0
    while len(left) and count < enough:
        count += 1
        apart = np.bitwise_count(left ^ left[0]).sum(axis=1, dtype=np.uint16)
        left = left[apart > LOOK_DISTANCE]
    return count


def _first_of_equals(keys: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """The first row of each distinct one."""
    rows = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.shape[1]))).ravel()
    return np.unique(rows, return_index=True)[1]

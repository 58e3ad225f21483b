"""When a video matches a banked one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rempart.hashing import PictureHash
from rempart.hashing.hashed import TRIMMED
from rempart.matching.video import LOOK_DISTANCE, LOOKS, FrameIndex, FrameRows, VideoHit, VideoRule, to_bank

RADIUS, FLOOR = 31, 50
NOTHING = VideoRule(query_percent=None, banked_percent=None, run_seconds=None)


def look(number: int, noise: int = 0) -> bytes:
    """The hash of a scene; any two scenes are about 128 bits apart. Noise changes so many bits of it."""
    random = np.random.default_rng(number)
    bits = random.integers(0, 2, 256)
    bits[:noise] ^= 1
    return np.packbits(bits).tobytes()


def asked(hashes: Sequence[bytes], *, every: float = 1.0, quality: int = 100) -> list[PictureHash]:
    """The frames of an asked video, so many seconds from one another."""
    return [PictureHash(value, quality, frame=number, at=number * every) for number, value in enumerate(hashes)]


def index(*videos: Sequence[bytes], quality: int = 100, at_ms: Sequence[int] | None = None) -> FrameIndex:
    """The index of banked videos, entries numbered from 1."""
    hashes = [value for video in videos for value in video]
    rows = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)
    entries = np.repeat(np.arange(1, len(videos) + 1), [len(video) for video in videos])
    moments = None if at_ms is None else np.array(at_ms, np.int64)
    qualities = np.full(len(rows), quality, np.int16)
    return FrameIndex(FrameRows(rows, entries, qualities, moments), radius=RADIUS, quality_floor=FLOOR)


def scenes(first: int, last: int) -> list[bytes]:
    """One frame of each of these scenes."""
    return [look(number) for number in range(first, last)]


def test_a_copy_matches_by_all_three_signs() -> None:
    """With what it shares, and from where on."""
    assert index(scenes(0, 9), scenes(20, 29)).find(asked(scenes(20, 29)), VideoRule()) == [
        VideoHit(entry=2, query_percent=100.0, banked_percent=100.0, run_seconds=9.0, distance=0, frame=0)
    ]


def test_an_excerpt_matches_by_its_own_share() -> None:
    """However small a part of the banked video it is."""
    excerpt = asked(scenes(50, 53))
    (hit,) = index(scenes(0, 100)).find(excerpt, VideoRule(banked_percent=None, run_seconds=None))
    assert (hit.query_percent, hit.banked_percent) == (100.0, 3.0)
    assert index(scenes(0, 100)).find(excerpt, VideoRule(query_percent=None, run_seconds=None)) == []


def test_a_banked_clip_inside_a_long_upload_matches_by_the_share_of_the_clip() -> None:
    """However small a part of the upload it is: where the usual rule looks at the upload alone, it is missed."""
    upload = asked(scenes(100, 200) + scenes(0, 4) + scenes(300, 400))
    (hit,) = index(scenes(0, 4)).find(upload, VideoRule(query_percent=None, run_seconds=None))
    assert (hit.banked_percent, hit.frame) == (100.0, 100)
    assert index(scenes(0, 4)).find(upload, VideoRule(banked_percent=None, run_seconds=None)) == []


def test_a_part_of_a_banked_video_inside_a_long_upload_matches_by_its_run() -> None:
    """Both shares are small; ten seconds on end are not."""
    upload = asked(scenes(100, 200) + scenes(40, 50) + scenes(300, 400))
    (hit,) = index(scenes(0, 100)).find(upload, VideoRule())
    assert (hit.run_seconds, hit.frame) == (10.0, 100)
    assert hit.query_percent < 5 < hit.banked_percent < 80
    assert index(scenes(0, 100)).find(upload, VideoRule(run_seconds=None)) == []


def test_scattered_frames_are_no_run() -> None:
    """One frame in two is of the entry."""
    mixed = [value for pair in zip(scenes(0, 40), scenes(200, 240), strict=True) for value in pair]
    assert index(scenes(0, 100)).find(asked(mixed), VideoRule()) == []


def test_a_minute_of_one_title_card_is_no_match() -> None:
    """A still card has one look, however much re-encoding shakes it; the entry has others."""
    card = [look(7, noise) for noise in (0, 3, 6, 9)] * 15
    assert index([*card[:4], *scenes(100, 160)]).find(asked(card + scenes(300, 400)), VideoRule()) == []


def test_a_static_entry_matches_a_static_run() -> None:
    """It has no more looks to ask for."""
    still = [look(7, noise) for noise in (0, 3, 6)]
    (hit,) = index(still).find(asked(scenes(300, 400) + still * 4), VideoRule(banked_percent=None))
    assert (hit.run_seconds, hit.frame) == (12.0, 100)


def test_frames_that_cannot_be_compared_neither_end_a_run_nor_lengthen_it() -> None:
    """A fade through black inside a copy."""
    dark = [PictureHash(bytes(32), 0, frame=number, at=float(number)) for number in range(3, 103)]
    before, after = asked(scenes(0, 3)), [PictureHash(look(n), 100, frame=100 + n, at=100.0 + n) for n in range(3, 6)]
    (hit,) = index(scenes(0, 50)).find([*before, *dark, *after], VideoRule(query_percent=None, banked_percent=None))
    assert hit.run_seconds == 6.0


@pytest.mark.parametrize("every", [0.2, 1.0, 2.5])
def test_a_run_is_measured_in_seconds_whatever_the_sampling(every: float) -> None:
    """And a frame stands for the time until the next."""
    (hit,) = index(scenes(0, 10)).find(asked(scenes(0, 10), every=every), VideoRule())
    assert hit.run_seconds == pytest.approx(10 * every)


def test_without_times_no_run_is_measured() -> None:
    """As for hashes that came from elsewhere; the shares count all the same."""
    frames = [PictureHash(value, 100, frame=number) for number, value in enumerate(scenes(0, 10))]
    (hit,) = index(scenes(0, 10)).find(frames, VideoRule())
    assert (hit.query_percent, hit.run_seconds) == (100.0, 0.0)
    assert index(scenes(0, 10)).find(frames, VideoRule(query_percent=None, banked_percent=None)) == []


def test_covers_are_not_frames() -> None:
    """Neither asked nor banked: they have no time."""
    cover = PictureHash(look(99), 100, frame=5)
    (hit,) = index(scenes(0, 5)).find([*asked(scenes(0, 5)), cover], VideoRule())
    assert hit.query_percent == 100.0
    assert cover not in to_bank([*asked(scenes(0, 5)), cover])


def test_what_is_inside_the_borders_is_banked_and_meets_copies_with_other_borders() -> None:
    """The asked side has both forms of each frame."""
    bordered = [
        form
        for number in range(5)
        for form in (
            PictureHash(look(100 + number), 100, frame=number, at=float(number)),
            PictureHash(look(number), 100, TRIMMED, number, float(number)),
        )
    ]
    assert [one.hash for one in to_bank(bordered)] == scenes(0, 5)
    (hit,) = index(scenes(0, 5)).find(bordered, VideoRule())
    assert (hit.query_percent, hit.banked_percent, hit.run_seconds) == (100.0, 100.0, 5.0)


def test_a_densely_banked_video_is_held_by_one_that_is_asked_about_frame_by_second() -> None:
    """Ten frames a second are banked, one in ten is asked about: every second of the entry is there."""
    banked = scenes(0, 100)
    times = [100 * number for number in range(100)]
    (hit,) = index(banked, at_ms=times).find(asked(banked[3::10]), VideoRule())
    assert hit.banked_percent == 100.0
    (hit,) = index(banked).find(asked(banked[3::10]), VideoRule())
    assert hit.banked_percent == 10.0


def test_an_entry_without_any_usable_frame_is_never_hit_and_breaks_nothing() -> None:
    """All zeros, or below the floor; the entries beside it are found."""
    assert index([bytes(32)] * 3).find(asked([bytes(32)] * 3), VideoRule()) == []
    assert index(scenes(0, 3), quality=49).find(asked(scenes(0, 3)), VideoRule()) == []
    beside = index([bytes(32)] * 3, scenes(0, 3))
    assert len(beside) == 3
    assert [hit.entry for hit in beside.find(asked(scenes(0, 3)), VideoRule())] == [2]
    assert index().find(asked(scenes(0, 3)), VideoRule()) == []


def test_a_quality_that_is_not_known_counts() -> None:
    """As it does for pictures."""
    assert index(scenes(0, 3), quality=-1).find(asked(scenes(0, 3)), VideoRule())


def test_with_every_sign_off_nothing_matches() -> None:
    """Each is off by itself, too."""
    assert index(scenes(0, 9)).find(asked(scenes(0, 9)), NOTHING) == []


# --- the same by brute force


def apart(one: bytes, other: bytes) -> int:
    """In how many bits two hashes differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def looks(hashes: Sequence[bytes]) -> int:
    """How many, taken in order, differ from all taken before; up to what is enough."""
    taken: list[bytes] = []
    for value in hashes:
        if all(apart(value, one) > LOOK_DISTANCE for one in taken):
            taken.append(value)
    return min(len(taken), LOOKS)


def brute(rows: Sequence[tuple[int, bytes, int]], frames: Sequence[PictureHash], rule: VideoRule) -> list[VideoHit]:
    """The rule as its description says it, one pair of frames after the other."""
    usable = [one for one in frames if one.quality >= FLOOR and any(one.hash)]
    hits = []
    for entry in sorted({entry for entry, _, _ in rows}):
        banked = list(dict.fromkeys(v for e, v, q in rows if e == entry and any(v) and (q < 0 or q >= FLOOR)))
        distances = [apart(one.hash, value) for one in usable for value in banked]
        if not distances or min(distances) > RADIUS:
            continue
        inside = [any(apart(one.hash, value) <= RADIUS for value in banked) for one in usable]
        held = [value for value in banked if any(apart(one.hash, value) <= RADIUS for one in usable)]
        distinct = {one.hash for one in usable}
        shared = {one.hash for one, is_in in zip(usable, inside, strict=True) if is_in}
        lengths = {one.frame: 1.0 if len(frames) > 1 else 0.0 for one in frames}
        best, start = 0.0, usable[inside.index(True)].frame
        runs = [
            [usable[i] for i in group]
            for is_in, group in ((k, list(g)) for k, g in itertools.groupby(range(len(usable)), inside.__getitem__))
            if is_in
        ]
        for run in runs:
            met = [value for value in banked if any(apart(one.hash, value) <= RADIUS for one in run)]
            order = [one.hash for one in sorted(run, key=lambda one: first_seen(usable, one.hash))]
            seconds = sum(lengths[one.frame] for one in run)
            if min(looks(met), looks(order)) >= looks(banked) and seconds > best:
                best, start = seconds, run[0].frame
        shares = 100 * len(shared) / len(distinct), 100 * len(held) / len(banked)
        if (
            (rule.query_percent is not None and shares[0] >= rule.query_percent)
            or (rule.banked_percent is not None and shares[1] >= rule.banked_percent)
            or (rule.run_seconds is not None and best >= rule.run_seconds)
        ):
            hits.append(VideoHit(entry, *shares, best, min(distances), start))
    return sorted(hits, key=lambda hit: (hit.distance, hit.entry))


def first_seen(frames: Sequence[PictureHash], value: bytes) -> int:
    """The number of the first frame with this hash."""
    return next(number for number, one in enumerate(frames) if one.hash == value)


HASH = st.builds(look, st.integers(0, 4), st.sampled_from([0, 5, 12, 20, 30, 33])) | st.just(bytes(32))
QUALITY = st.sampled_from([100, 100, 100, 50, 49])
PERCENT = st.none() | st.sampled_from([1, 34, 50, 80, 100])
RULE = st.builds(
    VideoRule, query_percent=PERCENT, banked_percent=PERCENT, run_seconds=st.none() | st.sampled_from([1.0, 3.0, 5.0])
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), HASH, QUALITY | st.just(-1)), min_size=1, max_size=25),
    st.lists(st.tuples(HASH, QUALITY), max_size=25),
    RULE,
)
def test_the_index_answers_as_a_comparison_of_all_frames_does(
    rows: list[tuple[int, bytes, int]], shown: list[tuple[bytes, int]], rule: VideoRule
) -> None:
    """Scenes that return, with noise within and beyond the radius, poor frames, and every rule."""
    frames = [PictureHash(value, quality, frame=n, at=float(n)) for n, (value, quality) in enumerate(shown)]
    rows = sorted(rows, key=lambda row: row[0])
    built = FrameIndex(
        FrameRows(
            np.frombuffer(b"".join(value for _, value, _ in rows), np.uint8).reshape(-1, 32),
            np.array([entry for entry, _, _ in rows], np.int64),
            np.array([quality for _, _, quality in rows], np.int16),
        ),
        radius=RADIUS,
        quality_floor=FLOOR,
    )
    assert built.find(frames, rule) == brute(rows, frames, rule)

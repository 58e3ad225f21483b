"""When frames are shown, and where a container ends, without any decoder."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.media.extent import ends_early
from rempart.media.timeline import LEAST_STEP, Timeline

STAMP = st.none() | st.integers(-(1 << 63), (1 << 63) - 1)


class Stamps(NamedTuple):
    """Of a packet or frame."""

    pts: int | None
    dts: int | None = None


def milliseconds(start: int | None = 0, rate: float | None = 25.0) -> Timeline:
    """A timeline in milliseconds, with intervals of a second."""
    return Timeline(interval=1.0, unit=Fraction(1, 1000), start=start, rate=rate)


def times(timeline: Timeline, stamps: list[int | None]) -> list[float]:
    """When frames with these time stamps are shown."""
    return [timeline.time(Stamps(stamp)) for stamp in stamps]


def test_time_stamps_count_from_the_beginning() -> None:
    """Which the header tells, or the first frame."""
    assert times(milliseconds(start=500), [500, 700, 1500]) == [0.0, pytest.approx(0.2), 1.0]
    assert times(milliseconds(start=None), [500, 700, 1500]) == [0.0, pytest.approx(0.2), 1.0]


def test_frames_without_time_stamps_follow_one_another_at_the_usual_rate() -> None:
    """At 25 a second when nothing is known of it."""
    assert times(milliseconds(), [0, None, None]) == [0.0, 0.04, 0.08]
    assert times(milliseconds(rate=None), [None, None]) == [0.0, 0.04]


def test_time_stamps_that_stand_still_or_jump_back_hide_nothing() -> None:
    """Each frame comes after the one before."""
    assert times(milliseconds(rate=10), [0, 0, 0]) == pytest.approx([0.0, 0.1, 0.2])
    assert times(milliseconds(rate=10), [5000, 0, 100]) == pytest.approx([5.0, 5.1, 5.2])


def test_an_absurd_rate_does_not_stop_the_time() -> None:
    """A billion frames a second, said by a header, are 120."""
    assert times(milliseconds(rate=1e9), [0, 0]) == [0.0, 1 / 120]


@given(st.lists(STAMP, max_size=30), STAMP, st.none() | st.floats(0, 1e12))
def test_whatever_the_stamps_the_time_advances(stamps: list[int | None], start: int | None, rate: float | None) -> None:
    """By a thousandth of a second at the least, as far as floats can tell."""
    shown = times(milliseconds(start, rate), stamps)
    assert all(at >= 0 for at in shown)
    assert all(later > earlier or earlier > 1e9 for earlier, later in pairwise(shown))
    assert all(later - earlier > 0.9 * LEAST_STEP or earlier > 1e9 for earlier, later in pairwise(shown))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=60, unique=True), st.randoms(use_true_random=False))
def test_the_first_frame_of_each_interval_is_never_needless(moments: list[int], random: object) -> None:
    """In whatever order frames are stored: a frame is needless only behind one that is shown before it."""
    timeline = milliseconds()
    random.shuffle(moments)  # type: ignore[attr-defined]
    stamps = [100 * moment for moment in moments]
    kept = [pts for dts, pts in enumerate(stamps) if not timeline.needless(Stamps(pts, dts))]
    firsts = {min(stamp for stamp in stamps if stamp // 1000 == second) for second in {s // 1000 for s in stamps}}
    assert firsts <= set(kept)


def test_once_time_stamps_are_out_of_order_no_frame_is_needless() -> None:
    """Also those that come in order again."""
    timeline = milliseconds()
    assert [timeline.needless(Stamps(pts, dts)) for pts, dts in [(0, 0), (40, 1), (80, 1), (120, 2)]] == [
        False,
        True,
        False,
        False,
    ]


def box(kind: bytes, body: bytes = b"", *, large: bool = False) -> bytes:
    """A box of an ISO file."""
    if large:
        return b"\0\0\0\1" + kind + (16 + len(body)).to_bytes(8, "big") + body
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def early(form: str, content: bytes) -> bool:
    """Whether a content says that it is longer."""
    return ends_early(form, lambda at, count: content[at : at + count], len(content))


MP4 = box(b"ftyp", b"isom") + box(b"mdat", bytes(100), large=True) + box(b"moov", bytes(40))
EBML = b"\x1a\x45\xdf\xa3\x84abcd"
MATROSKA = EBML + b"\x18\x53\x80\x67\x40\x64" + bytes(100)
AVI = b"RIFF\x0d\0\0\0" + bytes(13) + b"\0RIFF\x20\0\0\0" + bytes(32)


@pytest.mark.parametrize(("form", "content"), [("mp4", MP4), ("matroska", MATROSKA), ("avi", AVI)])
def test_a_container_cut_anywhere_behind_its_first_header_ends_early(form: str, content: bytes) -> None:
    """At a border between two parts nobody can tell."""
    assert not early(form, content)
    borders = {"mp4": {12, 128}, "matroska": set(), "avi": {21, 22}}[form]
    head = {"mp4": 8, "matroska": 15, "avi": 8}[form]
    for end in range(head, len(content)):
        if end not in borders and not (form != "matroska" and any(0 < end - border < 8 for border in borders)):
            assert early(form, content[:end]), end


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("mp4", MP4 + b"\0\0\0\0mdat" + bytes(9)),
        ("mp4", MP4 + b"\xff\xff\xff\xffcats and dogs"),
        ("mp4", MP4 + bytes(100)),
        ("matroska", EBML + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(9)),
        ("avi", b"RIFF\0\0\0\0AVI " + bytes(9)),
        ("mpegts", b"\x47" * 1000),
    ],
)
def test_an_end_that_is_open_or_followed_by_other_bytes_is_not_early(form: str, content: bytes) -> None:
    """A last box or a segment of unknown length, stray bytes, a length that was never filled in, a mere stream."""
    assert not early(form, content)


@given(st.sampled_from(["mp4", "mov", "matroska", "webm", "avi"]), st.binary(max_size=64), st.integers(0, 200))
def test_any_bytes_end_early_or_not(form: str, content: bytes, cut: int) -> None:
    """Nothing is raised, also behind a proper beginning."""
    for start in (b"", MP4[:cut], MATROSKA[:cut], AVI[:cut]):
        assert early(form, start + content) in {True, False}

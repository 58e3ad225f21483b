"""Videos that are cut, damaged, lying or too much: bounded, with a reason, and never clear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, digest, hash_images, hash_items, hash_video
from rempart.hashing.isolated import HashOptions
from rempart.media import Pool, Unscannable
from rempart.media.outcome import Refused
from rempart.settings import MIB, MediaSettings

pytest.importorskip("av", reason="PyAV is not installed: the extra `video`")

from tests.integration.video_clips import SECONDS, SIZE, clip, full, here, sound

LIMITS = MediaSettings(workers=1)
TELLS_ITS_LENGTH = frozenset(("mp4", "mov", "matroska", "webm", "avi"))


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        *(("mp4", "libx264"), ("mov", "mpeg4"), ("matroska", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4")),
        *(("mpeg", "mpeg2video"), ("mpegts", "libx264"), ("flv", "flv"), ("asf", "wmv2")),
    ],
)
def test_a_video_cut_short_is_partial_or_unscannable(container: str, codec: str) -> None:
    """Never whole where the container says how long it is; mere streams cut between two packets cannot tell."""
    content = clip(container, codec, rate=25)
    tells = container in TELLS_ITS_LENGTH
    for share in (0.02, 0.2, 0.5, 0.75, 0.99):
        part = content[: int(share * len(content))]
        outcome = hash_video(part, settings=LIMITS)
        assert outcome.sha256 == digest(part).sha256
        if tells:
            assert outcome.reason is Reason.TRUNCATED
            assert outcome.status in {"partial", "unscannable"}
        else:
            assert isinstance(outcome, Hashed) or outcome.reason in {Reason.CORRUPT, Reason.NO_VIDEO}


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
def test_a_video_with_its_index_in_front_gives_what_is_there(flags: str, tmp_path: Path) -> None:
    """So does one in fragments: the frames before the cut are hashed, and say that they are a part."""
    content = clip(seconds=8, options={"g": "10"}, path=tmp_path / "clip.mp4", movflags=flags)
    whole, part = here(content), here(content[: len(content) * 2 // 3])
    assert (whole.partial, part.partial) == (None, Reason.TRUNCATED)
    assert 3 <= part.frames_read < whole.frames_read
    assert full(part)[:3] == full(whole)[:3]


def test_bytes_changed_in_the_middle_leave_the_rest() -> None:
    """A damaged video is partial; it never ends the batch."""
    content = bytearray(clip("matroska", "libx264", seconds=8, options={"g": "10"}))
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(range(250)) * 4
    hashed = here(bytes(content))
    assert hashed.partial is Reason.DAMAGED
    assert hashed.frames_read >= 3


def test_random_damage_is_a_verdict() -> None:
    """Whatever the bytes, an outcome comes back, and from the same child."""
    random = np.random.default_rng(4)
    contents = []
    for container, codec in (("mp4", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4"), ("mpegts", "libx264")):
        clean = clip(container, codec, seconds=2)
        for _ in range(6):
            content = np.frombuffer(clean, np.uint8).copy()
            places = random.integers(12, len(content), 40)
            content[places] = random.integers(0, 256, 40)
            contents.append(content.tobytes())
    for content in contents:
        outcome = hash_video(content, settings=LIMITS)
        assert outcome.sha256 == digest(content).sha256
        assert outcome.reason not in {Reason.CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY}


def test_time_stamps_that_stand_still_hide_no_frame() -> None:
    """A video of zero duration by its time stamps is sampled by the rate it says it has."""
    content = bytearray(clip("flv", "flv"))
    for at in flv_tags(bytes(content)):
        content[at + 4 : at + 8] = bytes(4)
    at = content.index(b"duration\0") + 9
    content[at : at + 8] = bytes(8)
    assert len(full(here(bytes(content)))) >= 2


def flv_tags(content: bytes) -> Iterator[int]:
    """Where the tags of a Flash video begin."""
    at = 13
    while at < len(content):
        yield at
        at += 15 + int.from_bytes(content[at + 1 : at + 4], "big")


def test_a_file_that_holds_only_sound_says_so(
    saved: Callable[..., bytes], lighthouse: Callable[..., Image.Image]
) -> None:
    """With or without a cover: the cover is not looked at, and so the file is never clear."""
    for content in (sound(), sound(cover=saved(lighthouse(SIZE), "JPEG"))):
        outcome = hash_video(content, settings=LIMITS)
        assert isinstance(outcome, Unscannable)
        assert (outcome.reason, outcome.format) == (Reason.NO_VIDEO, "mp4")
        assert outcome.sha256 == digest(content).sha256


def test_a_second_video_stream_is_not_read_and_said_so() -> None:
    """A file with two is never clear."""
    hashed = here(clip("matroska", "mpeg4", streams=2))
    assert (hashed.reason, hashed.frames_read, hashed.frames) == (Reason.FRAMES_UNREAD, SECONDS, SECONDS + 1)


def test_a_video_of_ten_hours_is_sampled_to_its_end() -> None:
    """A frame in a minute; it takes no longer than it has frames."""
    grey = [np.full((48, 64, 3), number % 250, np.uint8) for number in range(600)]
    hashed = here(clip("matroska", "mpeg4", shown=grey, moments=(number * 60_000 for number in range(600))))
    assert (hashed.frames_read, hashed.reason) == (600, None)
    assert hashed.seconds == pytest.approx(36_000, abs=90)


def test_more_frames_than_the_limit_are_left_unread_and_said_so() -> None:
    """What was hashed until then is there: a hit in it is a match."""
    hashed = here(clip(seconds=8, rate=5), max_video_frames=3)
    assert (hashed.reason, hashed.frames_read, hashed.frames) == (Reason.TOO_MANY_FRAMES, 3, 8)
    assert hashed.status == "hashed"


def test_a_video_that_takes_too_long_gives_what_was_hashed_in_time() -> None:
    """Or is unscannable when that is nothing."""
    content = clip(seconds=20, rate=30)
    reasons, allowed = [], 0.01
    while not reasons or reasons[-1] is not None:
        try:
            hashed = here(content, video_seconds=allowed)
        except Refused as refused:
            reasons.append(refused.reason)
        else:
            reasons.append(hashed.reason)
            assert hashed.frames_read == 20 or 0 < hashed.frames_read < hashed.frames
        allowed *= 2
    assert set(reasons) == {Reason.TIMEOUT, None}


def test_limits_are_looked_at_before_anything_is_decoded() -> None:
    """Pixels as the header says, bytes of the file; both with digests."""
    content = clip()
    for limits, reason in [
        ({"max_pixels": 1000}, Reason.TOO_MANY_PIXELS),
        ({"max_video_bytes": 100}, Reason.TOO_LARGE),
    ]:
        outcome = hash_video(content, settings=MediaSettings(workers=1, **limits))
        assert isinstance(outcome, Unscannable)
        assert (outcome.reason, outcome.sha256) == (reason, digest(content).sha256)


def test_a_header_that_claims_a_huge_picture_costs_no_memory() -> None:
    """The size in an AVI header is whatever somebody wrote there; FFmpeg is told the limit, and tells no size."""
    content = bytearray(clip("avi", "rawvideo", pixels="bgr24", seconds=1))
    at = content.index(b"strf") + 12
    content[at : at + 8] = (60_000).to_bytes(4, "little") * 2
    outcome = hash_video(bytes(content), settings=MediaSettings(workers=1, memory_bytes=800 * MIB))
    assert outcome.reason in {Reason.TOO_MANY_PIXELS, Reason.CORRUPT}


@pytest.mark.parametrize(
    ("content", "reason", "name"),
    [
        (b"", Reason.EMPTY, None),
        (b"Dear reader, this is not a video.", Reason.UNKNOWN_FORMAT, None),
        (b"%PDF-1.7", Reason.UNSUPPORTED_FORMAT, "pdf"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(400), Reason.CORRUPT, "mp4"),
        (b"\x1aE\xdf\xa3" + bytes(100), Reason.CORRUPT, "matroska"),
        (b"\x47" + bytes(187) + b"\x47" + bytes(187) + b"\x47" + bytes(187), Reason.CORRUPT, "mpegts"),
    ],
)
def test_what_is_no_video_says_what_it_is(content: bytes, reason: Reason, name: str | None) -> None:
    """With its digests, whenever it has bytes."""
    outcome = hash_video(content, settings=LIMITS)
    assert isinstance(outcome, Unscannable)
    assert (outcome.reason, outcome.format) == (reason, name)
    assert outcome.sha256 == (digest(content).sha256 if content else outcome.sha256)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
    ],
)
def test_lists_of_other_files_are_no_videos(content: bytes) -> None:
    """FFmpeg would follow them; it is never asked."""
    assert hash_video(content, settings=LIMITS).reason is Reason.UNKNOWN_FORMAT


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    """As for pictures."""
    assert hash_video(tmp_path / "nowhere.mp4", settings=LIMITS) == Unscannable(reason=Reason.MISSING)


def test_a_file_too_large_for_a_picture_is_still_a_video(saved: Callable[..., bytes]) -> None:
    """The limit of pictures does not hold for videos; a picture beyond it stays too large."""
    content, picture = clip(), saved(Image.effect_noise(SIZE, 90), "PNG")
    small = MediaSettings(workers=1, max_file_bytes=min(len(content), len(picture)) - 1)
    (_, video), (_, too_large) = hash_items([content, picture], settings=small)
    assert isinstance(video, Hashed)
    assert too_large.reason is Reason.TOO_LARGE


def test_a_video_among_pictures_is_left_to_its_own_work() -> None:
    """``hash_images`` itself does not open videos."""
    ((_, outcome),) = hash_images([clip()], settings=LIMITS)
    assert outcome.reason is Reason.UNSUPPORTED_FORMAT


def test_without_the_extra_a_video_is_unscannable_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that cannot import PyAV: pictures are read as ever."""
    (tmp_path / "av.py").write_text("raise ImportError", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = hash_video(clip(), settings=MediaSettings(workers=1, wall_seconds=19.0))
    assert isinstance(outcome, Unscannable)
    assert (outcome.reason, outcome.format) == (Reason.MISSING_EXTRA, "mp4")
    assert outcome.sha256 is not None


HOSTILE = """
import os, signal
import rempart.media.video as video
from rempart.media.child import work
from rempart.hashing import video as hashing
from rempart.hashing.isolated import HashOptions

def spin(self):
    while True:
        pass

def crash(self):
    os.kill(os.getpid(), signal.SIGSEGV)

@work("spin", HashOptions)
def spinning(descriptor, settings, options):
    video.Video._decoded = spin
    return hashing.hash_open_video(descriptor, settings, options)

@work("crash", HashOptions)
def crashing(descriptor, settings, options):
    video.Video._decoded = crash
    return hashing.hash_open_video(descriptor, settings, options)
"""


@pytest.mark.parametrize(("work", "reason"), [("spin", Reason.TIMEOUT), ("crash", Reason.CRASH)])
def test_a_decoder_that_spins_or_crashes_is_ended_and_the_next_video_is_read(
    work: str, reason: Reason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child cannot stop itself then; its parent does."""
    (tmp_path / "hostile_video.py").write_text(HOSTILE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    content = clip()
    with Pool("hostile_video", LIMITS) as pool:
        started = time.monotonic()
        outcome = pool.run(work, content, HashOptions(), Hashed, limit=1 << 20, seconds=1.0)
        assert isinstance(outcome, Unscannable)
        assert outcome.reason is reason
        assert time.monotonic() - started < 30
        assert isinstance(pool.run("video", content, HashOptions(), Hashed, limit=1 << 20, seconds=60.0), Hashed)

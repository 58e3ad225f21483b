"""Videos of every container and kind of pixel, through the decoding children."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, digest, hash_items, hash_video, pdq
from rempart.media.timeline import Timeline
from rempart.settings import MediaSettings

av = pytest.importorskip("av", reason="PyAV is not installed: the extra `video`")

from tests.integration.video_clips import (  # noqa: E402 -- it needs PyAV
    RATE,
    SECONDS,
    SIZE,
    clip,
    covered,
    drawn,
    full,
    here,
    times,
)

Distance = Callable[[bytes, bytes], int]

LIMITS = MediaSettings(workers=1)

# Container and codec as FFmpeg calls them, the name that we give, frames a second.
CONTAINERS = [
    ("mp4", "libx264", "mp4", 10),
    ("mov", "mpeg4", "mov", 10),
    ("matroska", "libx264", "matroska", 10),
    ("webm", "libvpx", "webm", 10),
    ("webm", "libvpx-vp9", "webm", 10),
    ("avi", "mpeg4", "avi", 10),
    ("mpeg", "mpeg2video", "mpeg", 25),
    ("mpegts", "libx264", "mpegts", 10),
    ("mpeg1video", "mpeg1video", "mpeg_stream", 25),
    ("flv", "flv", "flv", 10),
    ("asf", "wmv2", "asf", 10),
]


@pytest.mark.parametrize(("container", "codec", "name", "rate"), CONTAINERS)
def test_a_video_gives_a_frame_of_each_second(
    container: str, codec: str, name: str, rate: int, distance: Distance
) -> None:
    """With its time, as near to the drawn frame as lossy coding allows; and the digests of the file."""
    content = clip(container, codec, rate=rate)
    hashed = hash_video(content, settings=LIMITS)
    assert isinstance(hashed, Hashed)
    assert (hashed.format, hashed.width, hashed.height, hashed.status, hashed.reason) == (name, *SIZE, "hashed", None)
    assert hashed.is_video
    assert hashed.frames == hashed.frames_read >= SECONDS
    assert times(hashed)[:SECONDS] == pytest.approx(range(SECONDS), abs=0.05)
    assert hashed.seconds == pytest.approx(SECONDS, abs=0.2)
    for one in full(hashed)[:SECONDS]:
        # A bare stream has no time stamps: its first frame may count as its second.
        near = [drawn(max(0, one.frame * rate - late), rate) for late in range(2 if name == "mpeg_stream" else 1)]
        assert min(distance(one.hash, pdq(picture).hash) for picture in near) <= 24
    assert (hashed.md5, hashed.sha1, hashed.sha256) == digest(content)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "libx264", {"bf": "3", "g": "50"}),
        ("mpeg", "mpeg2video", {"bf": "2", "g": "12"}),
        ("avi", "mpeg4", {"bf": "2", "g": "12"}),
        ("webm", "libvpx-vp9", {}),
    ],
)
def test_frames_that_are_skipped_change_no_hash(
    container: str, codec: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not sampled and nothing refers to is not decoded: the sampled frames are the same to the bit."""
    content = clip(container, codec, rate=30, options=options)
    quick = here(content)
    monkeypatch.setattr(Timeline, "needless", lambda *_: False)
    assert here(content) == quick


def test_a_shorter_interval_gives_more_frames() -> None:
    """Down to every frame there is."""
    content = clip(rate=RATE)
    assert len(full(here(content, video_interval=0.5))) == 2 * SECONDS
    assert len(full(here(content, video_interval=0.001))) == RATE * SECONDS
    assert len(full(here(content, video_interval=3.0))) == 2


def test_a_variable_frame_rate_is_sampled_by_time() -> None:
    """Frames at 0, 0.1, 0.4, 0.9, 1.6 s and so on: the first of each second, and none for a second without any."""
    content = clip("matroska", "libx264", seconds=1, rate=8, moments=(number**2 * 100 for number in range(8)))
    assert times(here(content)) == [0.0, 1.6, 2.5, 3.6, 4.9]


def test_a_live_stream_without_a_duration_is_read_to_its_end() -> None:
    """The length is what was seen."""
    hashed = here(clip("matroska", "libx264", live="1"))
    assert (hashed.seconds, hashed.frames_read, hashed.reason) == (SECONDS, SECONDS, None)


def test_one_pixel_has_a_hash_that_is_compared_with_nothing() -> None:
    """All zeros, quality 0."""
    hashed = here(clip("matroska", "ffv1", pixels="gray", shown=[np.zeros((1, 1, 3), np.uint8)] * 3))
    assert (hashed.width, hashed.height, hashed.quality, hashed.pdq) == (1, 1, 0, "0" * 64)


@pytest.mark.parametrize(
    ("container", "codec", "pixels", "note"),
    [
        ("avi", "rawvideo", "bgr24", None),
        ("matroska", "ffv1", "gray", None),
        ("matroska", "ffv1", "yuv444p", None),
        ("matroska", "ffv1", "yuv420p10le", "deep"),
        ("matroska", "ffv1", "bgra", None),
        ("avi", "mjpeg", "yuvj420p", None),
        ("mov", "qtrle", "rgb24", None),
        ("webm", "libvpx-vp9", "yuva420p", None),
    ],
)
def test_every_kind_of_pixel_gives_the_same_hash(
    container: str, codec: str, pixels: str, note: str | None, distance: Distance
) -> None:
    """Full and limited range, colour or grey, 10 bits, with alpha."""
    wanted = pdq(drawn(0))
    hashed = here(clip(container, codec, pixels=pixels, seconds=1))
    assert distance(hashed.hashes[0].hash, wanted.hash) <= 12
    assert abs(hashed.quality - wanted.quality) <= 2
    assert hashed.normalised == ((note,) if note else ())


def test_a_transparent_video_is_seen_over_white() -> None:
    """As a picture is."""
    memory = io.BytesIO()
    page = np.dstack((drawn(0), np.full(SIZE[::-1], 255, np.uint8)))
    page[: SIZE[1] // 2, :, 3] = 0
    with av.open(memory, "w", format="mov") as box:
        stream = box.add_stream("png", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "rgba"
        box.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="rgba")))
        box.mux(stream.encode())
    expected = drawn(0)
    expected[: SIZE[1] // 2] = 255
    hashed = here(memory.getvalue())
    assert hashed.normalised == ("alpha_over_white",)
    assert hashed.hashes[0].hash == pdq(expected).hash


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_phone_held_upright_is_turned_as_players_do(matrix: tuple[int, ...], turns: int, distance: Distance) -> None:
    """By the matrix in the header of the track; the turns are counter-clockwise."""
    content = clip("mp4", seconds=1)
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (value << 16 for value in matrix)
    at = content.index(plain, content.index(b"tkhd"))
    turned = content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :]
    hashed = here(turned)
    expected = np.ascontiguousarray(np.rot90(drawn(0), turns))
    assert (hashed.height, hashed.width) == expected.shape[:2]
    assert hashed.normalised == (f"rotated_{90 * turns}",)
    assert distance(hashed.hashes[0].hash, pdq(expected).hash) <= 12


def test_letterbox_bars_are_trimmed(distance: Distance) -> None:
    """Each frame has the hash of what lies inside them, too."""
    page = np.zeros((200, SIZE[0], 3), np.uint8)
    page[40:160] = drawn(0)
    hashed = here(clip("matroska", "ffv1", shown=[page] * 3))
    trimmed = [one for one in hashed.hashes if one.variant == "trimmed"]
    assert len(trimmed) == hashed.frames_read
    assert distance(trimmed[0].hash, pdq(page[40:160]).hash) <= 8


def test_the_cover_of_a_video_is_hashed_beside_its_frames(
    saved: Callable[..., bytes], lighthouse: Callable[..., Image.Image], distance: Distance
) -> None:
    """As a last frame, which has no time."""
    cover = lighthouse(SIZE, 77)
    hashed = here(covered(clip(), saved(cover, "JPEG", quality=95)))
    last = full(hashed)[-1]
    assert (last.at, hashed.frames_read, hashed.frames, hashed.reason) == (None, SECONDS + 1, SECONDS + 1, None)
    assert distance(last.hash, pdq(np.asarray(cover)).hash) <= 4


def test_turned_frames_are_hashed_when_asked_for() -> None:
    """Eight forms of each."""
    hashed = hash_video(clip(), turned=True, settings=LIMITS)
    assert isinstance(hashed, Hashed)
    assert len(hashed.hashes) % 8 == 0
    assert {"full", "full+rotate90", "full+flip_horizontal"} <= {one.variant for one in hashed.hashes}


def test_the_hash_that_stands_for_a_video_is_its_first_that_shows_something() -> None:
    """Many begin in black."""
    black = [np.zeros((*SIZE[::-1], 3), np.uint8)] * RATE
    hashed = here(clip("matroska", "ffv1", shown=[*black, *[drawn(0)] * RATE]))
    assert hashed.hashes[0].quality == 0
    assert hashed.quality >= 50
    assert hashed.pdq == full(hashed)[1].hash.hex()


def test_pictures_and_videos_go_their_ways_in_one_batch(
    saved: Callable[..., bytes], lighthouse: Callable[..., Image.Image]
) -> None:
    """In their order; an animation stays a picture, and what is neither keeps its reason."""
    animation = saved(lighthouse(SIZE), "GIF", save_all=True, append_images=[lighthouse(SIZE, 1)])
    contents = [saved(lighthouse(SIZE), "PNG"), clip("webm", "libvpx"), animation, b"nothing", clip("mp4"), b"%PDF-1"]
    found = list(hash_items(contents, settings=LIMITS))
    assert [content for content, _ in found] == contents
    assert [one.format for _, one in found] == ["png", "webm", "gif", None, "mp4", "pdf"]
    assert [isinstance(one, Hashed) and one.is_video for _, one in found] == [False, True, False, False, True, False]
    assert [one.reason for _, one in found][3::2] == [Reason.UNKNOWN_FORMAT, Reason.UNSUPPORTED_FORMAT]


CLIPS = (
    *("chair-19-sd-bar", "chair-20-sd-bar", "chair-22-sd-grey-bar", "chair-22-with-large-logo-bar"),
    *("chair-orig-22-sd-bar", "doorknob-hd-no-bar", "pattern-hd-no-bar", "pattern-longer-no-bar"),
    *("pattern-sd-grey-bar", "test-padded-dimensions"),
)


def test_the_frames_of_real_clips_are_where_the_reference_says(data: Path, distance: Distance) -> None:
    """Within 10 bits on 95% of the frames of quality 50, and of the same quality."""
    far, compared = 0, 0
    for name in CLIPS:
        hashed = hash_video(data / "video" / f"{name}.mp4", settings=LIMITS)
        assert isinstance(hashed, Hashed)
        assert hashed.reason is None
        rows = [line.split(",") for line in (data / "video/expected" / f"{name}.txt").read_text("ascii").splitlines()]
        for one in full(hashed):
            row = min(rows, key=lambda row: abs(float(row[3]) - (one.at or 0)))
            if int(row[1]) >= 50:
                compared += 1
                far += distance(bytes.fromhex(row[2]), one.hash) > 10
                assert abs(one.quality - int(row[1])) <= 3
    assert compared > 100
    assert far <= 0.05 * compared

"""The walk over JPEG markers, and what is whole, truncated or damaged."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import pdq
from rempart.media.decode import Picture
from rempart.media.jpeg import read_header
from rempart.media.outcome import Refused
from rempart.settings import MediaSettings

# Decoding children ignore Pillow's warnings about odd files.
pytestmark = pytest.mark.filterwarnings("ignore")

START, END, SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
FIRST_SEGMENT_END = 20  # SOI, then the JFIF segment of 18 bytes
NEAR = 8

Saved = Callable[..., bytes]
Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]


def picture(content: bytes) -> tuple[Picture, bytes]:
    """The picture after its frames were read, and the hash of the first."""
    one = Picture(content, MediaSettings())
    first, *_ = list(one)
    return one, pdq(first).hash


def partial(content: bytes) -> Reason | None:
    """Why the file is not whole, None when it is; TRUNCATED also when nothing of it decodes."""
    try:
        return picture(content)[0].partial
    except Refused as refused:
        return refused.reason


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def split(content: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    """The segments of a JPEG with one scan by marker, and its entropy-coded bytes."""
    segments: dict[int, list[bytes]] = {}
    at, marker = 2, 0
    while marker != SCAN[1]:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        segments.setdefault(marker, []).append(content[at + 4 : at + 2 + length])
        at += 2 + length
    return segments, content[at:-2]


def planes(
    image: Image.Image, saved: Saved, sampling: list[tuple[int, int]], *, scans: tuple[int, ...] = (0, 1, 2)
) -> bytes:
    """A baseline JPEG without its end marker, one scan for each plane, in any subsampling that the format knows."""
    wide, high = max(h for h, _ in sampling), max(v for _, v in sampling)
    parts, tables = [], b""
    for number, (plane, (across, down)) in enumerate(zip(image.convert("YCbCr").split(), sampling, strict=True)):
        small = plane.resize((-(-image.width * across // wide), -(-image.height * down // high)))
        segments, scan = split(saved(small, "JPEG", quality=90))
        tables = tables or segment(0xDB, segments[0xDB][0])
        head = segment(0xDA, bytes([1, number + 1, 0, 0, 63, 0]))
        parts.append(b"".join(segment(0xC4, table) for table in segments[0xC4]) + head + scan)
    size = image.height.to_bytes(2, "big") + image.width.to_bytes(2, "big")
    components = b"".join(bytes([number + 1, h << 4 | v, 0]) for number, (h, v) in enumerate(sampling))
    frame = segment(0xC0, b"\x08" + size + bytes([len(sampling)]) + components)
    return START + tables + frame + b"".join(parts[number] for number in scans)


KINDS = [
    pytest.param("RGB", {}, id="baseline-colour"),
    pytest.param("L", {}, id="baseline-grey"),
    pytest.param("RGB", {"progressive": True}, id="progressive-colour"),
    pytest.param("L", {"progressive": True}, id="progressive-grey"),
    pytest.param("CMYK", {}, id="baseline-cmyk"),
    pytest.param("CMYK", {"progressive": True}, id="progressive-cmyk"),
    pytest.param("RGB", {"restart_marker_rows": 1}, id="restart-markers"),
]


@pytest.mark.parametrize(("mode", "options"), KINDS)
def test_a_jpeg_cut_at_any_sixteenth_is_never_whole(
    mode: str, options: dict[str, object], lighthouse: Draw, saved: Saved
) -> None:
    """Carved files end anywhere; what is missing must show."""
    content = saved(lighthouse().convert(mode), "JPEG", **options)
    assert partial(content) is None
    cuts = [len(content) * part // 16 for part in range(1, 16)]
    assert [partial(content[:cut]) for cut in cuts] == [Reason.TRUNCATED] * len(cuts)


@pytest.mark.parametrize(("mode", "options"), KINDS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole_and_noted(
    mode: str, options: dict[str, object], lighthouse: Draw, saved: Saved
) -> None:
    """Every coefficient is there, so the hash is the same."""
    content = saved(lighthouse().convert(mode), "JPEG", **options)
    whole, expected = picture(content)
    cut, value = picture(content[: -len(END)])
    assert cut.partial is None
    assert cut.normalised == [*whole.normalised, "end_marker_missing"]
    assert value == expected


@pytest.mark.parametrize(("mode", "options"), KINDS)
def test_a_jpeg_overwritten_in_its_middle_is_damaged(
    mode: str, options: dict[str, object], lighthouse: Draw, saved: Saved
) -> None:
    """A block of zeros, as a bad sector leaves it."""
    content = saved(lighthouse().convert(mode), "JPEG", **options)
    middle = len(content) // 2
    assert partial(content[:middle] + bytes(300) + content[middle + 300 :]) is Reason.DAMAGED


def test_stray_bytes_between_segments_lose_nothing(lighthouse: Draw, saved: Saved) -> None:
    """Readers skip them, and so do we."""
    content = saved(lighthouse(), "JPEG")
    stray = content[:FIRST_SEGMENT_END] + b"abc" + content[FIRST_SEGMENT_END:]
    seen, value = picture(stray)
    assert (seen.partial, value) == (None, picture(content)[1])
    assert partial(stray[: -len(END)]) is None


def test_stray_bytes_do_not_hide_what_is_missing(lighthouse: Draw, saved: Saved) -> None:
    """The decoder tells only its first complaint; three bytes in front must not make a broken file whole."""
    content = saved(lighthouse(), "JPEG")
    stray = content[:FIRST_SEGMENT_END] + b"abc" + content[FIRST_SEGMENT_END:]
    middle = len(stray) // 2
    assert partial(stray[:middle]) is Reason.TRUNCATED
    assert partial(stray[:middle] + bytes(300) + stray[middle + 300 :]) is Reason.DAMAGED


def test_bytes_after_the_end_are_nothing(lighthouse: Draw, saved: Saved) -> None:
    """Archives and notes are often hung on."""
    content = saved(lighthouse(), "JPEG")
    seen, value = picture(content + b"PK\x03\x04" + bytes(range(256)) * 20)
    assert (seen.partial, seen.normalised, value) == (None, [], picture(content)[1])


def test_a_file_that_ends_before_a_scan_of_luma_is_truncated(lighthouse: Draw, saved: Saved) -> None:
    """The colours came first: without the luma all is grey, although each scan that is there is whole."""
    content = planes(lighthouse(), saved, [(2, 2), (1, 1), (1, 1)], scans=(1, 2, 0))
    assert partial(content + END) is None
    assert partial(content) is None
    assert partial(planes(lighthouse(), saved, [(2, 2), (1, 1), (1, 1)], scans=(1, 2))) is Reason.TRUNCATED


@pytest.mark.parametrize("sampling", [[(4, 2), (1, 1), (1, 1)], [(2, 2), (2, 1), (1, 2)], [(1, 1), (2, 2), (2, 2)]])
def test_rare_subsampling_is_read_and_its_truncation_seen(
    sampling: list[tuple[int, int]], lighthouse: Draw, saved: Saved, distance: Distance
) -> None:
    """The quick decoder refuses these; the slow one takes them."""
    content = planes(lighthouse(), saved, sampling)
    seen, value = picture(content + END)
    assert seen.partial is None
    assert distance(value, pdq(np.asarray(lighthouse())).hash) <= NEAR
    assert partial(content[: len(content) * 3 // 4]) is Reason.TRUNCATED


def test_a_jpeg_of_rgb_planes_has_the_hash_of_its_colours(lighthouse: Draw, saved: Saved, distance: Distance) -> None:
    """Adobe's transform 0: the first plane is red, not luma."""
    image = lighthouse()
    content = saved(image, "JPEG", keep_rgb=True, quality=90)
    assert distance(picture(content)[1], pdq(np.asarray(image)).hash) <= NEAR


def test_a_ycck_jpeg_has_the_hash_of_its_colours(lighthouse: Draw, saved: Saved, distance: Distance) -> None:
    """Adobe's transform 2: luma, chroma and black; made from a CMYK file by inverting what the transform inverts."""
    image = lighthouse()
    inks = np.dstack([255 - np.asarray(image), np.zeros(image.size[::-1], np.uint8)])
    content = saved(Image.fromarray(inks, "CMYK"), "JPEG", quality=90)
    # The same planes, said to be Y, Cb, Cr, K: what comes out is what Pillow's own reading of them shows.
    adobe = content.index(b"Adobe")
    ycck = content[: adobe + 11] + b"\x02" + content[adobe + 12 :]
    assert distance(picture(content)[1], pdq(np.asarray(image)).hash) <= NEAR
    with Image.open(io.BytesIO(ycck)) as oracle:
        expected = pdq(np.asarray(oracle.convert("RGB"))).hash
    assert picture(ycck)[1] == expected


def test_a_header_without_a_scan_is_refused_as_truncated(lighthouse: Draw, saved: Saved) -> None:
    """Nothing of the picture is there."""
    content = saved(lighthouse(), "JPEG")
    with pytest.raises(Refused) as refused:
        picture(content[: content.index(SCAN)])
    assert refused.value.reason is Reason.TRUNCATED


def test_a_jpeg_that_says_it_is_huge_is_refused_unread(lighthouse: Draw, saved: Saved) -> None:
    """Both numbers come back, for the person who asks why."""
    content = bytearray(saved(lighthouse(), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xea\x60\xea\x60"
    with pytest.raises(Refused) as refused:
        Picture(bytes(content), MediaSettings())
    assert (refused.value.reason, refused.value.size) == (Reason.TOO_MANY_PIXELS, (60000, 60000))


@given(st.binary(max_size=400))
def test_the_walk_ends_on_any_bytes(content: bytes) -> None:
    """Nothing is raised, and what is not there keeps its default."""
    header = read_header(START + content)
    assert 1 <= header.orientation <= 8
    assert header.scan_offset <= len(content)


@given(data=st.data())
def test_the_walk_ends_on_real_headers_with_bytes_changed(data: st.DataObject) -> None:
    """EXIF with pointers that lead anywhere, lengths that lie, segments cut short."""
    content = bytearray(REAL_HEADER)
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    assert 1 <= read_header(bytes(content[:cut])).orientation <= 8


def _real_header() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0132] = 6, "a camera", "2020:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG", exif=exif, progressive=True)
    return stream.getvalue()


REAL_HEADER = _real_header()


def test_the_walk_reads_the_orientation_of_a_real_header() -> None:
    """So that the two tests above begin at something that is read."""
    assert read_header(REAL_HEADER).orientation == 6


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x00", b"\xff\xd0", b"\x00", b"\xff\xfe\x00\x02"])
def test_the_walk_over_ten_megabytes_is_quick(filler: bytes) -> None:
    """Linear, whatever the bytes are: fill bytes, stuffing, restart markers, nothing, empty comments."""
    content = START + filler * (10_000_000 // len(filler))
    started = time.process_time()
    read_header(content)
    assert time.process_time() - started < 4

"""Frames, parts of pictures, bombs and missing decoders."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rempart.errors import Reason
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.media.decode import Picture
from rempart.media.outcome import Refused
from rempart.settings import MediaSettings

# Decoding children ignore Pillow's warnings about odd files.
pytestmark = pytest.mark.filterwarnings("ignore")

Saved = Callable[..., bytes]
Draw = Callable[..., Image.Image]

STILLS = {
    "PNG": ("PNG", {}),
    "GIF": ("GIF", {}),
    "WebP": ("WEBP", {}),
    "AVIF": ("AVIF", {}),
    "BMP": ("BMP", {}),
    "TIFF": ("TIFF", {}),
    "TIFF, LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF, deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "JPEG 2000": ("JPEG2000", {}),
}
MOVING = ["GIF", "PNG", "WEBP", "AVIF", "TIFF", "MPO"]


def outcome(content: bytes, **limits: int) -> Picture | Reason:
    """The picture after all its frames were read, or why there is none."""
    try:
        picture = Picture(content, MediaSettings(**limits))
        list(picture)
    except Refused as refused:
        return refused.reason
    return picture


def whole(content: bytes) -> bool:
    """Whether the file would pass as a picture that was read from end to end."""
    seen = outcome(content)
    return isinstance(seen, Picture) and seen.partial is None and seen.frames_read == seen.frames


def moving(form: str, lighthouse: Draw, saved: Saved, count: int = 3) -> bytes:
    """An item of ``count`` different frames or pages."""
    frames = [lighthouse((200, 152), seed) for seed in range(count)]
    return saved(frames[0], form, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("name", STILLS)
def test_a_picture_cut_at_any_sixteenth_is_never_whole(name: str, lighthouse: Draw, saved: Saved) -> None:
    """Partial or unscannable, whatever the format."""
    form, options = STILLS[name]
    content = saved(lighthouse(), form, **options)
    assert whole(content)
    assert not any(whole(content[: len(content) * part // 16]) for part in range(1, 16))


@pytest.mark.parametrize("name", ["PNG", "TIFF, deflate"])
def test_a_picture_overwritten_in_its_middle_is_not_whole(name: str, lighthouse: Draw, saved: Saved) -> None:
    """A block of zeros, as a bad sector leaves it, in formats that carry a check sum of their pixels."""
    form, options = STILLS[name]
    content = saved(lighthouse(), form, **options)
    middle = len(content) // 2
    assert not whole(content[:middle] + bytes(300) + content[middle + 300 :])


@pytest.mark.parametrize(("form", "end"), [("PNG", 12), ("GIF", 1)])
def test_a_picture_that_lacks_only_its_end_is_whole_and_noted(
    form: str, end: int, lighthouse: Draw, saved: Saved
) -> None:
    """Every pixel is there."""
    content = saved(lighthouse(), form)
    seen, cut = outcome(content), outcome(content[:-end])
    assert isinstance(seen, Picture)
    assert isinstance(cut, Picture)
    assert "end_marker_missing" not in seen.normalised
    assert (cut.partial, cut.normalised) == (None, [*seen.normalised, "end_marker_missing"])


@pytest.mark.parametrize("form", MOVING)
def test_all_frames_are_counted_and_read(form: str, lighthouse: Draw, saved: Saved) -> None:
    """Animations, pages and multi-picture files."""
    hashed = hash_content(moving(form, lighthouse, saved), MediaSettings(), HashOptions())
    assert (hashed.frames, hashed.frames_read, hashed.reason) == (3, 3, None)
    assert {one.frame for one in hashed.hashes} == {0, 1, 2}


@pytest.mark.parametrize("form", MOVING)
def test_frames_cut_off_the_end_never_pass_unseen(form: str, lighthouse: Draw, saved: Saved) -> None:
    """An animation that is cut between or inside frames is not whole."""
    content = moving(form, lighthouse, saved)
    assert not any(whole(content[: len(content) * part // 16]) for part in range(1, 16))


@pytest.mark.parametrize("form", MOVING)
def test_no_more_frames_than_the_limit_are_read_and_the_rest_is_told(form: str, lighthouse: Draw, saved: Saved) -> None:
    """So that such an item is never clear."""
    hashed = hash_content(moving(form, lighthouse, saved), MediaSettings(max_frames=2), HashOptions())
    assert (hashed.frames, hashed.frames_read) == (3, 2)
    assert hashed.reason is Reason.TOO_MANY_FRAMES


def test_each_size_of_an_icon_is_a_frame_and_layers_are_none(lighthouse: Draw, saved: Saved) -> None:
    """Viewers choose among sizes; the layers of a PSD are shown together, as its composite picture."""
    seen = outcome(saved(lighthouse((256, 256)), "ICO"))
    assert isinstance(seen, Picture)
    assert (seen.frames, seen.frames_read, seen.width) == (7, 7, 256)
    seen = outcome(psd(lighthouse((64, 48))))
    assert isinstance(seen, Picture)
    assert (seen.frames, seen.frames_read, seen.format) == (1, 1, "psd")


def psd(image: Image.Image) -> bytes:
    """A picture as Photoshop stores it, with no layers but the composite one."""
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, image.height, image.width, 8, 3)
    return head + bytes(12) + b"\0\0" + b"".join(band.tobytes() for band in image.split())


@pytest.mark.parametrize("size", [(100_001, 4), (4, 100_001)])
def test_a_strip_longer_than_any_picture_is_refused(size: tuple[int, int]) -> None:
    """Hashing takes time by the length of a side."""
    with pytest.raises(Refused) as refused:
        Picture(png_header(*size), MediaSettings())
    assert (refused.value.reason, refused.value.size) == (Reason.TOO_MANY_PIXELS, size)


def test_an_item_without_bytes_is_empty() -> None:
    """Not corrupt: there is nothing."""
    assert outcome(b"") is Reason.EMPTY


def test_text_is_of_unknown_format_and_a_video_of_unsupported_one() -> None:
    """The second at least has a name."""
    assert outcome(b"Dear reader, this is not a picture." * 40) is Reason.UNKNOWN_FORMAT
    assert outcome(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(400)) is Reason.UNSUPPORTED_FORMAT


def test_formats_that_start_other_programs_are_never_opened() -> None:
    """PostScript would be run by Ghostscript."""
    assert outcome(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("size", [(60_000, 60_000), (24_960, 24_960), (2**31 - 1, 1)])
def test_a_png_that_says_it_is_huge_is_refused_unread(size: tuple[int, int]) -> None:
    """From its header, in no time; so is any other number above the limit."""
    with pytest.raises(Refused) as refused:
        Picture(png_header(*size), MediaSettings())
    assert (refused.value.reason, refused.value.size) == (Reason.TOO_MANY_PIXELS, size)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP"])
def test_the_limit_of_pixels_holds_to_the_pixel(form: str, lighthouse: Draw, saved: Saved) -> None:
    """Exactly at the limit is read, one pixel more is not."""
    content = saved(lighthouse((100, 80)), form)
    assert isinstance(outcome(content, max_pixels=8000), Picture)
    assert outcome(content, max_pixels=7999) is Reason.TOO_MANY_PIXELS


def test_a_text_chunk_that_unpacks_to_much_costs_no_picture_for_nothing(lighthouse: Draw, saved: Saved) -> None:
    """48 MiB in a zTXt chunk: read as damaged or refused, never whole by luck and never a crash."""
    content = saved(lighthouse(), "PNG")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(48 << 20), 9))
    seen = outcome(content[:33] + bomb + content[33:])
    assert isinstance(seen, (Picture, Reason))
    assert not whole(content[:33] + bomb + content[33:])


def test_a_heic_without_its_decoder_is_not_called_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing; with the decoder, this broken one is corrupt."""
    pytest.importorskip("pi_heif", reason="the heif extra is not installed")
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    # The package's function of the same name hides the module from an import statement.
    monkeypatch.setattr(sys.modules["rempart.media.decode"], "HAS_HEIF", False)
    assert outcome(head) is Reason.MISSING_EXTRA
    monkeypatch.undo()
    assert outcome(head) is Reason.CORRUPT


@given(data=st.data())
def test_pictures_with_bytes_changed_end_in_pixels_or_a_reason(data: st.DataObject) -> None:
    """Whatever a plugin raises: a shape that hashing takes, or Refused, and nothing else."""
    content = bytearray(data.draw(st.sampled_from(SMALL)))
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with contextlib.suppress(Refused):
        for pixels in Picture(bytes(content[:cut]), MediaSettings(max_pixels=1 << 20)):
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 2 or pixels.shape[2] == 3


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that says a size and has one row's worth of nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def _small() -> list[bytes]:
    image = Image.radial_gradient("L").resize((24, 24)).convert("RGB")
    files = []
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO", "TGA", "PPM", "PCX", "SGI", "DDS", "MPO"):
        stream = io.BytesIO()
        several = {"save_all": True, "append_images": [image.rotate(90)]} if form in MOVING else {}
        image.save(stream, form, **several)
        files.append(stream.getvalue())
    return files


SMALL = _small()

"""The small readers that find the pictures in animations, TIFF, HEIF and AVIF, on bytes of any kind."""

from __future__ import annotations

import io
import struct
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from rempart.media import isobmff, tiff
from rempart.media.apng import PngLayers
from rempart.media.gif import GifLayers
from rempart.media.layers import MOST_LAYERS
from rempart.media.outcome import Refused
from rempart.media.parts import parts


def _saved(form: str, count: int = 3) -> bytes:
    image = Image.radial_gradient("L").resize((24, 20)).convert("RGB")
    stream = io.BytesIO()
    more = (
        {"save_all": True, "append_images": [image.rotate(90 * turn) for turn in range(1, count)]} if count > 1 else {}
    )
    image.save(stream, form, **more)
    return stream.getvalue()


SEEDS = [_saved(form) for form in ("GIF", "PNG", "TIFF", "AVIF", "WEBP")]
SEEDS += [_saved("ICO", 1), _saved("ICNS", 1), _saved("TIFF", 1)]


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A file with bytes changed, cut or doubled."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 10))):
        content[draw(st.integers(0, min(len(content), 600) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content) - 1)) :]
    return bytes(content)


@given(st.one_of(broken(), st.binary(max_size=400)))
@example(b"GIF89a\0\0\0\0\x80\0\0")
@example(b"\x89PNG\r\n\x1a\n\0\0\0\0acTL")
def test_walking_any_bytes_ends_in_layers_that_can_be_cut_out(content: bytes) -> None:
    """Or in none; never in an error."""
    for layered in (GifLayers(content), PngLayers(content)):
        assert layered.count >= len(layered.layers)
        for number, layer in enumerate(layered.layers):
            assert layer.box[0] <= layer.box[2]
            assert len(layered.still(number)) <= 2 * len(content) + 1000


@given(st.one_of(broken(), st.binary(max_size=400)), st.sampled_from(["tiff", "heif", "avif", None]))
def test_parts_of_any_bytes_are_the_same_file_with_a_few_bytes_changed(content: bytes, name: str | None) -> None:
    """As long as before, or refused."""
    try:
        found = parts(content, name)
    except Refused:
        return
    assert found
    for part in found:
        if part.patches is not None and part.patches:
            assert len(part.of(content)) >= len(content)
            assert len(part.of(content)) <= len(content) + 16


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a GIF of dots", b"GIF89a\1\0\1\0\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0" * 1_000_000),
        ("a GIF of nothing", b"GIF89a\1\0\1\0\0\0\0" + bytes(2_000_000)),
        ("an APNG of empty chunks", b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0acTL\0\0\0\0" * 500_000),
    ],
)
def test_walking_a_file_of_nothing_but_beginnings_ends_soon(name: str, content: bytes) -> None:
    """Megabytes of them."""
    started = time.monotonic()
    layered = GifLayers(content) if "GIF" in name else PngLayers(content)
    assert layered.count <= MOST_LAYERS + 1
    assert time.monotonic() - started < 10


def test_directories_that_lie_over_one_another_are_not_walked_for_ever() -> None:
    """Each of sixty thousand claims sixty thousand entries, which are the same ones."""
    content = bytearray(b"II*\0\x08\0\0\0" + b"\xff\xff" * 400_000)
    started = time.monotonic()
    found = tiff.directories(bytes(content))
    assert time.monotonic() - started < 10
    assert found.pages
    subs = struct.pack("<HHII", 330, 4, 60_000, 8 + 2 + 12 + 4)
    content = bytearray(b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + subs + bytes(4))
    content += b"".join(struct.pack("<I", 300_000 + 7 * number) for number in range(60_000)) + b"\xff" * 900_000
    started = time.monotonic()
    found = tiff.directories(bytes(content))
    assert time.monotonic() - started < 10
    assert not found.complete


def test_boxes_inside_boxes_are_walked_no_deeper_than_their_kind() -> None:
    """A great many in a row, and one in another without end."""
    row = isobmff.read(struct.pack(">I4s", 8, b"free") * 200_000)
    assert (row.primary, row.pictures, row.track_frames) == (None, [], 0)
    nested = b"".join(struct.pack(">I4s", 0, kind) for kind in (b"meta", b"iinf", b"moov") * 1000)
    assert isobmff.read(nested).pictures == []

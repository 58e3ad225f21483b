"""Formats are told by content."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rempart.media.sniff import HEAD_BYTES, sniff, sniff_other

FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "WEBP": "webp",
    "AVIF": "avif",
}
OTHERS = {
    b"\x1aE\xdf\xa3\x01": "matroska",
    b"RIFF\0\0\0\0AVI LIST": "avi",
    b"\0\0\0\x18ftypisom\0\0\0\0isommp42": "mp4",
    b"%PDF-1.7": "pdf",
    b"PK\x03\x04\x14": "zip",
    b"\x1f\x8b\x08": "gzip",
}


@pytest.mark.parametrize("form", FORMATS)
def test_what_pillow_writes_is_told_by_its_first_bytes(form: str, saved: Callable[..., bytes]) -> None:
    """The multi-picture format begins as the JPEG that it is."""
    head = saved(Image.new("RGB", (16, 16)), form)[:HEAD_BYTES]
    assert (sniff(head), sniff_other(head) if form != "AVIF" else None) == (FORMATS[form], None)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", "avif"),
        (b"II+\0\x08\0\0\0", "tiff"),
    ],
)
def test_the_brands_of_a_container_decide(head: bytes, name: str) -> None:
    """A still image in an ISO container says what it is in its list of brands, not only in the first."""
    assert sniff(head) == name


@pytest.mark.parametrize("head", OTHERS)
def test_well_known_files_that_are_no_pictures_get_their_name(head: bytes) -> None:
    """It helps more than "unknown"."""
    assert (sniff(head), sniff_other(head)) == (None, OTHERS[head])


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_a_format_or_none(head: bytes) -> None:
    """Nothing is raised."""
    assert sniff(head) in {None, "jpeg", "png", "gif", "bmp", "tiff", "webp", "avif", "heif"}


def test_text_is_no_picture() -> None:
    """Whatever the file is called."""
    assert sniff(b"Dear reader, this is not a picture.") is None
    assert sniff_other(b"Dear reader, this is not a picture.") is None

"""The fuzz targets of what opens untrusted files, on pictures that are nearly right."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz.media import LIMITS
from fuzz.pictures import pictures
from fuzz.strategies import jpegs, mutated, pngs
from fuzz.target import check, find
from rempart.media.decode import Picture
from rempart.media.outcome import Refused

FILES = list(pictures().values())
JPEGS = [content for name, content in pictures().items() if name.startswith(("jpeg", "mpo"))]
PNGS = [content for name, content in pictures().items() if "png" in name]
PATIENT = settings(deadline=None)  # a target has a limit of its own, in processor time
WORDS = tuple(find("media.picture").words)


@pytest.mark.parametrize("name", sorted(pictures()))
def test_every_sample_is_read_as_what_it_is(name: str) -> None:
    """Otherwise all that is made from it would be turned away at the door."""
    if name.endswith("head"):
        with pytest.raises(Refused):
            list(Picture(pictures()[name], LIMITS))
        return
    picture = Picture(pictures()[name], LIMITS)
    assert len(list(picture)) == picture.frames
    assert picture.partial is None


@given(mutated(FILES, WORDS))
@PATIENT
def test_the_first_bytes_never_mislead(content: bytes) -> None:
    """Whatever a file begins with, its format is a known one or none."""
    check(find("media.sniff"), content)


@given(jpegs(JPEGS))
@PATIENT
def test_no_order_of_segments_breaks_the_walk_over_a_jpeg(content: bytes) -> None:
    """Lengths that lie, segments twice, no end."""
    check(find("media.jpeg_header"), content)
    check(find("media.jpeg"), content)


def without_width(png: bytes) -> bytes:
    """The PNG with a width of no pixels in its header, and the checksum that fits."""
    header = png[12:16] + bytes(4) + png[20:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def spoiled(jpeg: bytes) -> bytes:
    """The JPEG with stray bytes, of which the decoder complains, and then a table with which it can do nothing more."""
    last_scan = jpeg.rfind(b"\xff\xda")
    return jpeg[:last_scan] + b"sea\xff\xc4\x00\x03\x00" + jpeg[last_scan:]


@given(mutated(FILES, WORDS) | pngs(PNGS) | jpegs(JPEGS))
@example(without_width(pictures()["apng"]))
@settings(PATIENT, max_examples=200)
def test_no_picture_is_read_beyond_its_limits(content: bytes) -> None:
    """Not more pixels or frames than allowed, and nothing raised but a refusal."""
    check(find("media.picture"), content)


@given(mutated(FILES, WORDS) | pngs(PNGS))
@example(without_width(pictures()["apng"]))
@example(spoiled(pictures()["jpeg progressive"]))
@settings(PATIENT, max_examples=60)
def test_what_a_picture_gives_passes_through_the_channel(content: bytes) -> None:
    """The parent gets the very value, the same each time."""
    check(find("media.hashed"), content)


@given(st.binary(max_size=40) | mutated([b"\0\0\0\5ready", b"\0\0\0\0", b"\xff\xff\xff\xff"]))
@PATIENT
def test_no_bytes_on_the_channel_go_wrong_unnoticed(content: bytes) -> None:
    """A frame, or an error that the pool knows."""
    check(find("media.channel"), content)


@given(mutated(list(find("media.answer").seeds()), [b"\xff", b"\xa8hashes"]))
@example(b"\x81\xa4type\xa6\xffashed")
@PATIENT
def test_a_child_that_was_taken_over_can_at_worst_crash(reply: bytes) -> None:
    """Whatever it answers is a sound value or counts as a crash."""
    check(find("media.answer"), reply)


@given(st.tuples(st.integers(0, 90), st.integers(0, 90), st.booleans(), st.binary(min_size=1, max_size=300)))
@settings(PATIENT, max_examples=50)
def test_no_pixels_have_a_hash_of_another_form(shape: tuple[int, int, bool, bytes]) -> None:
    """One pixel high, all of one colour, or noise."""
    height, width, coloured, body = shape
    check(find("hashing.pixels"), height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([coloured]) + body)

"""Containers of videos are told by content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.media.sniff import HEAD_BYTES, VIDEOS, sniff, sniff_other

PACKET = b"\x47" + bytes(187)

HEADS = [
    (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "mp4"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "mov"),
    (b"\0\0\x10\0mdat", "mov"),
    (b"\0\0\x10\0moov", "mov"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webmB\x87\x81\x02", "webm"),
    (b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroskaB\x87\x81\x04", "matroska"),
    (b"RIFF\0\0\0\0AVI LIST", "avi"),
    (b"\0\0\x01\xba!", "mpeg"),
    (b"\0\0\x01\xb3\x16", "mpeg_stream"),
    (3 * PACKET, "mpegts"),
    (4 * (bytes(4) + PACKET), "mpegts"),
    (b"FLV\x01\x05", "flv"),
    (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "asf"),
    (b"OggS\0\x02", "ogg"),
]


@pytest.mark.parametrize(("head", "name"), HEADS)
def test_a_container_is_told_by_its_first_bytes(head: bytes, name: str) -> None:
    """And is no picture."""
    assert (sniff(head), sniff_other(head)) == (None, name)
    assert name in VIDEOS


@pytest.mark.parametrize(
    "head",
    [
        2 * PACKET,
        3 * PACKET[:-1],
        b"Great wide fields of grass",
        b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1",
        b"\0\0\0\x18ftypavis\0\0\0\0avismsf1",
        b"#EXTM3U\n",
    ],
)
def test_what_is_no_video_is_not_taken_for_one(head: bytes) -> None:
    """Too few packets, packets out of step, text, pictures in the container of videos, lists of files."""
    assert (sniff(head) or sniff_other(head)) not in VIDEOS


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_a_name_or_none(head: bytes) -> None:
    """Nothing is raised."""
    assert sniff_other(head) is None or sniff_other(head)

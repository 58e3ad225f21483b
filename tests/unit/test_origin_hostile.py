"""Files made to cost time or memory, or to break a reader: each is read within its limits, and that is told."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.metadata import box, chunk, described, exif, jpeg, packet, png, segment
from fuzz.pictures import pictures
from fuzz.strategies import jpegs, mutated, pngs
from fuzz.target import check, find
from rempart.provenance.fields import FileView, Limits
from rempart.provenance.readers import gathering
from rempart.provenance.walk import _READERS, view_of

MIB = 1 << 20
PATIENT = settings(deadline=None)  # a target has a limit of its own, in processor time
WORDS = tuple(find("provenance.view").words)
FILES = [*described().values(), *pictures().values()]
SECONDS = 1.0
"""Of processor time for one file, on a slow machine; each takes less than half of that on a fast one."""


@cache
def bomb(head: bytes = b"") -> bytes:
    """Fifty kilobytes that inflate to 48 MiB."""
    return zlib.compress(head + b"A" * (48 * MIB), 9)


def packed(body: bytes) -> bytes:
    """A PNG with this packet."""
    return png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + body))


def overlapping(tag: int, kind: int, body: bytes) -> bytes:
    """A TIFF whose 400 tags all stand for the same bytes."""
    entry = struct.pack("<HHII", tag, kind, len(body), 8 + 2 + 400 * 12 + 4)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 400) + entry * 400 + bytes(4) + body


def items(count: int, *, pieces: int = 1) -> bytes:
    """A HEIF whose items all stand for the same 8 MiB."""
    names = b"".join(box(b"infe", b"\2\0\0\0" + struct.pack(">HH", one, 0) + b"Exif\0") for one in range(1, count + 1))
    table = box(b"iinf", bytes(4) + count.to_bytes(2, "big") + names)
    place = struct.pack(">HH", 0, pieces) + struct.pack(">II", 0, 6 * MIB) * pieces
    places = b"".join(one.to_bytes(2, "big") + place for one in range(1, count + 1))
    location = box(b"iloc", bytes(4) + b"\x44\0" + count.to_bytes(2, "big") + places)
    head = box(b"ftyp", b"heic\0\0\0\0")
    return head + box(b"meta", bytes(4), table, location) + box(b"mdat", bytes(8 * MIB))


def nested(kind: bytes, depth: int) -> bytes:
    """Boxes within boxes."""
    inner = b""
    for _ in range(depth):
        inner = box(kind, inner)
    return box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", inner)


START = packet().partition("</rdf:Description>")[0].encode()

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty chunks": (lambda: png(chunk(b"abCd") * MIB), "fields"),
    "chunks that are passed": (lambda: png(chunk(b"gAMA") * MIB), "parts"),
    "texts": (lambda: png(chunk(b"tEXt", b"k\0v") * MIB), "fields"),
    "packed texts": (lambda: png(chunk(b"zTXt", b"k\0\0" + bomb()) * 60), "text_bytes"),
    "packed profiles": (lambda: png(chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb()) * 60), "text_bytes"),
    "packed packets": (
        lambda: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb(START)) * 60),
        "text_bytes",
    ),
    "empty elements": (lambda: packed(START + b"<a/>" * (MIB // 2)), "parts"),
    "values": (lambda: packed(START + b"<a>b</a>" * (MIB // 4)), "fields"),
    "deep elements": (lambda: packed(START + b"<a>" * MIB), "depth"),
    "attributes": (
        lambda: packed(START + b"<a " + b" ".join(b'a%d="1"' % one for one in range(200_000)) + b"/>"),
        "parts",
    ),
    "directories": (lambda: jpeg(segment(0xE1, b"Exif\0\0" + exif([(0x8769, 4, bytes(4))] * 400)) * 900), "parts"),
    "tables": (lambda: jpeg(segment(0xDB, bytes(65 * 1000)) * 300), "parts"),
    "comments": (lambda: jpeg(segment(0xFE, b"a" * 60_000) * 900), "text_bytes"),
    "scans": (lambda: jpeg((segment(0xDA, b"") + b"ab") * (2 * MIB)), "parts"),
    "stray bytes": (lambda: jpeg(segment(0xFE, b"") + b"s\xff\xe5\0\2" * MIB), "fields"),
    "records": (
        lambda: jpeg(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 4000) * 300),
        "parts",
    ),
    "one value many times": (lambda: overlapping(0x010E, 2, b"ab" * (2 * MIB)), "text_bytes"),
    "one comment many times": (lambda: overlapping(0x9286, 7, b"\xc3" * (4 * MIB)), "text_bytes"),
    "one resource many times": (lambda: overlapping(0x8649, 1, b"8BIM\4\4\0\0\0\0\0\0" * (MIB // 3)), "parts"),
    "blocks": (lambda: b"GIF89a" + bytes(7) + b"!\xf9" + b"\1a" * (20 * MIB), "parts"),
    "blocks of a comment": (lambda: b"GIF89a" + bytes(7) + b"!\xfe" + b"\1a" * (5 * MIB), "parts"),
    "pieces of a WebP": (lambda: b"RIFF\xff\xff\xff\x7fWEBP" + b"abcd\0\0\0\0" * MIB, "fields"),
    "boxes": (lambda: box(b"ftyp", b"heic\0\0\0\0") + b"\0\0\0\x08free" * (2 * MIB), "parts"),
    "deep boxes": (lambda: nested(b"trak", 3000), "depth"),
    "one item many times": (lambda: items(10_000), "text_bytes"),
    "one piece many times": (lambda: items(1, pieces=65_535), "parts"),
}


def spent(content: bytes) -> tuple[FileView, float]:
    """What is read, and the processor time that it took."""
    started = time.process_time()
    return view_of(content), time.process_time() - started


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_whatever_there_is_too_much_of_meets_its_limit(name: str) -> None:
    """In little time, and the limit is named."""
    make, limit = HOSTILE[name]
    view, seconds = spent(make())
    assert limit in view.limits_hit
    assert seconds < SECONDS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xd8\xff" + b"\xff" * (16 * MIB), "jpeg: has no end"),
        (b"\xff\xd8\xff\0" + b"\xff\0" * (8 * MIB), "jpeg: has no end"),
        (jpeg()[:-2] + b"\xff\xd0" * (8 * MIB), "jpeg: has no end"),
        (b"\xff\xd8\xff\xd9" + b"<rdf:RDF" * (2 * MIB), "xmp: not well-formed"),
        (packed(START + b"<a b='" + b"x" * (3 * MIB)), "xmp: not well-formed"),
        (packed(START + b"<!--" * MIB), "xmp: not well-formed"),
    ],
    ids=["fill bytes", "stuffed bytes", "restarts", "beginnings of packets", "one tag", "a comment without an end"],
)
def test_long_files_that_say_nothing_are_passed_quickly(content: bytes, why: str) -> None:
    """However often they seem to begin something."""
    view, seconds = spent(content)
    assert why in view.failures
    assert seconds < SECONDS


@pytest.mark.parametrize("name", ["packed texts", "packed profiles", "one comment many times", "one item many times"])
def test_no_file_makes_the_readers_take_much_memory(name: str) -> None:
    """Beyond its own bytes."""
    content = HOSTILE[name][0]()
    tracemalloc.start()
    try:
        view_of(content)
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB
    finally:
        tracemalloc.stop()


def test_directories_in_a_circle_are_read_once() -> None:
    """Cameras write such chains too, so that it is no failure."""
    block = bytearray(exif([(0x0131, 2, b"sea\0")], second=[(0x0131, 2, b"end\0")]))
    first = int.from_bytes(block[4:8], "little")
    second = int.from_bytes(block[first + 14 : first + 18], "little")
    block[second + 14 : second + 18] = block[4:8]
    view = view_of(bytes(block))
    assert [(one.container, one.text) for one in view.fields] == [("exif.IFD0", "sea"), ("exif.IFD1", "end")]
    assert view.structure["exif.circle"] == "exif.IFD2"
    assert view.failures == ()


def test_what_a_bomb_begins_with_is_read() -> None:
    """A text is not hidden by being long."""
    view = view_of(png(chunk(b"zTXt", b"parameters\0\0" + bomb(b"a lighthouse "))))
    (field,) = view.fields
    assert (field.text or "").startswith("a lighthouse AAA")
    assert (len(field.text or ""), field.truncated, view.limits_hit) == (4 * MIB, True, ("field_bytes",))


def test_a_stream_that_breaks_off_gives_what_it_has() -> None:
    """And says that it broke."""
    stream = zlib.compress(bytes(range(256)) * 9, 0)
    view = view_of(png(chunk(b"zTXt", b"k\0\0" + stream[:500])))
    assert (len(view.fields[0].text or "") > 200, view.failures) == (True, ("zlib: stream without an end",))
    view = view_of(png(chunk(b"zTXt", b"k\0\0" + b"no stream")))
    assert (view.fields[0].text, view.fields[0].truncated, view.failures) == ("", True, ("zlib: broken stream",))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            jpeg(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\1\x1c")),
            "iptc: data set reaches beyond the end",
        ),
        (jpeg(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4")), "iptc: block reaches beyond the end"),
        (box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", bytes(4), box(b"iloc"), box(b"iinf")), ""),
        (box(b"ftyp", b"heic\0\0\0\0") + box(b"meta"), ""),
        (b"GIF89a" + bytes(7) + b"!", "gif: has no end"),
        (b"GIF89a" + bytes(7) + b"!\xff", "gif: has no end"),
        (b"RIFF\xff\0\0\0WEBPVP8X\0\0\0\0", ""),
        (b"II*\0\x08\0\0\0", "tiff: first directory lies outside"),
        (b"\xff\xd8\xff", "jpeg: has no end"),
    ],
    ids=["record", "resource", "items", "no items", "extension", "application", "header", "directory", "marker"],
)
def test_what_ends_where_a_length_should_stand_is_told(content: bytes, why: str) -> None:
    """It never breaks the reader."""
    assert view_of(content).failures == ((why,) if why else ())


def test_a_defect_of_a_reader_is_a_failure_without_a_word_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """And other readers go on."""

    def breaks(_: gathering.Gathering) -> None:
        raise ValueError("a lighthouse")

    monkeypatch.setitem(_READERS, "png", breaks)
    assert view_of(png()).failures == ("png: ValueError",)


def test_all_limits_together_hold_whatever_they_are() -> None:
    """None at all gives nothing, and says so."""
    for content in described().values():
        view = view_of(content, limits=Limits(field_bytes=0, text_bytes=0, fields=9))
        assert all(not one.data and not one.text for one in view.fields)
        assert view.limits_hit
        view = view_of(content, limits=Limits(fields=0))
        assert (view.fields, view.limits_hit) == ((), ("fields",))


@given(mutated(FILES, WORDS))
@settings(PATIENT, max_examples=300)
def test_no_change_of_a_file_breaks_its_reader(content: bytes) -> None:
    """There is a record of it within the limits."""
    check(find("provenance.view"), content)


@given(jpegs([described()["jpeg"]]) | pngs([described()["png"]]))
@settings(PATIENT, max_examples=150)
def test_no_order_of_parts_breaks_a_reader(content: bytes) -> None:
    """Segments and chunks twice, left out, in each other's place."""
    check(find("provenance.view"), content)


@given(mutated(list(find("provenance.block").seeds()), WORDS))
@settings(PATIENT, max_examples=200)
def test_no_change_of_a_block_breaks_its_reader(content: bytes) -> None:
    """Tags, packets, records, wherever they come from."""
    check(find("provenance.block"), content)


@given(mutated(list(find("provenance.text").seeds())) | st.binary(max_size=64))
@PATIENT
def test_all_bytes_have_a_text(content: bytes) -> None:
    """That can be written."""
    check(find("provenance.text"), content)

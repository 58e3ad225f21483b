"""What readers find in tags, in either byte order and wherever they stand."""

from __future__ import annotations

import struct
from itertools import product

import pytest
from tests.unit.origin_said import FAR, SAID, places_hold, said

from fuzz.metadata import (
    ASCII,
    LABEL,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Order,
    ascii_tag,
    exif,
    jpeg,
    rational,
    riff,
    segment,
    shorts,
)
from rempart.provenance.walk import view_of


@pytest.mark.parametrize("order", ["little", "big"])
def test_all_directories_of_exif_are_read_in_both_byte_orders(order: Order) -> None:
    """With the standard names, numbers in digits, fractions as they are."""
    block = exif(
        [ascii_tag(0x010F, "Pharos"), (0x0112, SHORT, shorts(6, order=order)), (0xFDE8, UNDEFINED, b"\1\2\3\4\5")],
        capture=[
            (0x829A, RATIONAL, rational(1, 125, order)),
            (0x9000, UNDEFINED, b"0232"),
            (0x9204, 10, b"".join(one.to_bytes(4, order, signed=True) for one in (-1, 3))),
            (0xA432, RATIONAL, rational(24, 1, order) + rational(70, 1, order)),
        ],
        place=[(1, ASCII, b"N\0"), (2, RATIONAL, rational(48, 1, order) * 3)],
        interoperability=[ascii_tag(1, "R98")],
        second=[(0x0103, SHORT, shorts(6, order=order))],
        thumbnail=jpeg(),
        order=order,
    )
    content = jpeg(segment(0xE1, b"Exif\0\0" + block))
    view = view_of(content)
    assert [(one.container, one.name, one.text) for one in view.fields][:-2] == [
        ("exif.IFD0", "Make", "Pharos"),
        ("exif.IFD0", "Orientation", "6"),
        ("exif.IFD0", "0xFDE8", None),
        ("exif.Exif", "ExposureTime", "1/125"),
        ("exif.Exif", "ExifVersion", "0232"),
        ("exif.Exif", "ExposureBiasValue", "-1/3"),
        ("exif.Exif", "LensSpecification", "24/1 70/1"),
        ("exif.Interop", "InteroperabilityIndex", "R98"),
        ("exif.GPS", "GPSLatitudeRef", "N"),
        ("exif.GPS", "GPSLatitude", "48/1 48/1 48/1"),
        ("exif.IFD1", "Compression", "6"),
    ]
    assert (view.structure["exif.thumbnail"], view.structure["exif.order"]) == ("4x3", order)
    places_hold(view, content)


@pytest.mark.parametrize(
    ("order", "said_so"), list(product(["little", "big"], [SAID, FAR, FAR + "\n" + SAID, "一二三"]))
)
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-16"])
def test_the_order_of_a_comment_is_told_by_its_content(order: Order, said_so: str, codec: str) -> None:
    """Whatever the file's byte order is; writers agree on none."""
    tag = (0x9286, UNDEFINED, b"UNICODE\0" + said_so.encode(codec))
    view = view_of(jpeg(segment(0xE1, b"Exif\0\0" + exif(capture=[tag], order=order))))
    assert said(view, "UserComment") == [said_so]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"ASCII\0\0\0" + SAID.encode() + bytes(9), SAID),
        (b"ASCII\0\0\0" + FAR.encode(), FAR),
        (b"JIS\0\0\0\0\0" + FAR.encode("iso2022_jp"), FAR),
        (b"JIS\0\0\0\0\0" + FAR.encode("shift_jis"), FAR),
        (bytes(8) + SAID.encode(), SAID),
        (bytes(8) + SAID.encode("utf-16-le"), SAID),
        (b"UNICODE\0" + SAID.encode(), SAID),
        (b"Unicode\0" + SAID.encode("utf-16-be"), SAID),
        (SAID.encode(), SAID),
        (LABEL.encode(), LABEL),
        (b"ASCII\0\0\0", ""),
    ],
    ids=[
        *("ascii", "utf-8 as ascii", "jis", "shift-jis as jis", "undefined", "utf-16 as undefined"),
        *("ascii as utf-16", "small letters", "no prefix", "json without a prefix", "nothing"),
    ],
)
def test_a_comment_is_read_in_every_character_set(written: bytes, expected: str) -> None:
    """Also where another one is announced than is written."""
    view = view_of(jpeg(segment(0xE1, b"Exif\0\0" + exif(capture=[(0x9286, UNDEFINED, written)]))))
    assert said(view, "UserComment") == [expected]


def test_the_comments_of_windows_and_plain_texts_are_read() -> None:
    """Windows writes UTF-16; the others are ASCII by their standard and anything by what is written."""
    view = view_of(
        jpeg(
            segment(
                0xE1,
                b"Exif\0\0"
                + exif(
                    [
                        (0x010E, ASCII, FAR.encode() + b"\0"),
                        (0x013B, ASCII, b"Ren\xe9\0"),
                        (0x9C9C, 1, SAID.encode("utf-16-le")),
                    ]
                ),
            )
        )
    )
    assert [one.text for one in view.fields] == [FAR, "René", SAID]


def test_text_in_the_name_of_the_camera_is_read_as_any_other() -> None:
    """ComfyUI keeps its graph there."""
    view = view_of(
        riff(
            (b"EXIF", b"Exif\0\0" + exif([ascii_tag(0x010F, 'workflow:{"nodes": []}'), ascii_tag(0x0110, "prompt:{}")]))
        )
    )
    assert (said(view, "Make"), said(view, "Model")) == (['workflow:{"nodes": []}'], ["prompt:{}"])


@pytest.mark.parametrize(
    ("note", "maker"),
    [(b"Apple iOS\0\0\1MM", "Apple"), (b"\1\0\1\0\3\0\1\0\0\0\0\0\0\0\0\0\0\0", "ifd"), (b"sea and towers", "unknown")],
)
def test_the_block_of_the_maker_is_told(note: bytes, maker: str) -> None:
    """By its signature, or as a directory without one."""
    view = view_of(jpeg(segment(0xE1, b"Exif\0\0" + exif(capture=[(0x927C, UNDEFINED, note)]))))
    assert view.structure["exif.makernote"] == maker
    (field,) = view.named("MakerNote")
    assert (field.container, field.data, field.text) == ("exif.MakerNote", note, None)


def test_a_tiff_is_read_with_all_its_pages() -> None:
    """Its size is that of the largest; it has an alpha channel where it says so."""
    view = view_of(
        exif(
            [(0x0100, SHORT, shorts(4)), (0x0101, SHORT, shorts(3))],
            second=[
                (0x0100, LONG, b"\x40\0\0\0"),
                (0x0101, SHORT, shorts(30)),
                (0x0152, SHORT, shorts(2)),
                ascii_tag(0x0131, "x"),
            ],
        )
    )
    assert (view.format, view.width, view.height, view.alpha) == ("tiff", 64, 30, True)
    assert said(view, "Software", "exif.IFD1") == ["x"]


def test_a_big_tiff_is_read() -> None:
    """Wider counts, wider places."""
    entry = struct.pack("<HHQQ", 0x0100, SHORT, 1, 4) + struct.pack("<HHQQ", 0x0131, ASCII, 12, 8 * 9)
    content = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + struct.pack("<Q", 2) + entry + bytes(8) + b"a lighthouse"
    view = view_of(content)
    assert (said(view, "Software"), said(view, "ImageWidth")) == (["a lighthouse"], ["4"])
    places_hold(view, content)


def test_a_value_outside_of_the_block_is_a_failure_and_the_others_are_read() -> None:
    """Blocks are often cut by whoever copies them."""
    block = exif([ascii_tag(0x010F, "Pharos"), ascii_tag(0x0131, "a longer name of a program")])
    view = view_of(jpeg(segment(0xE1, b"Exif\0\0" + block[:-10])))
    assert (said(view, "Make"), said(view, "Software")) == (["Pharos"], ["a longer name of a"])
    assert view.failures == ("exif: value reaches beyond the end",)

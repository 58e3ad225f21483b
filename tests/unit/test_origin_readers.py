"""What readers find in each container, where it stands, and what they note of its form."""

from __future__ import annotations

import csv
import io
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tests.unit.origin_said import FAR, SAID, places_hold, said

from fuzz.metadata import (
    LABEL,
    ascii_tag,
    blocks,
    box,
    chunk,
    described,
    exif,
    film,
    gif,
    heif,
    iptc,
    jpeg,
    keyed,
    packet,
    png,
    riff,
    samsung,
    segment,
    values,
)
from rempart.provenance.fields import Limits
from rempart.provenance.readers import texts
from rempart.provenance.walk import view_of


@pytest.mark.parametrize("form", sorted(described()))
def test_every_format_is_read_whole_and_says_where(form: str) -> None:
    """Without a failure, without a limit, and what is quoted stands where the record says."""
    content = described()[form]
    view = view_of(content)
    assert view.format == form
    assert (view.failures, view.limits_hit) == ((), ())
    assert (view.width, view.height) == ((640, 360) if form in {"mp4", "mov"} else (4, 3))
    assert view.size == len(content)
    assert view.fields
    places_hold(view, content)
    assert sum(one.offset >= 0 for one in view.fields) * 2 >= len(view.fields)


# PNG.


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (chunk(b"tEXt", b"parameters\0" + SAID.encode()), SAID),
        (chunk(b"tEXt", b"parameters\0phare \xe0 l'aube"), "phare à l'aube"),
        (chunk(b"tEXt", b"parameters\0" + FAR.encode()), FAR),
        (chunk(b"zTXt", b"parameters\0\0" + zlib.compress(SAID.encode())), SAID),
        (chunk(b"iTXt", b"parameters\0\0\0\0\0" + FAR.encode()), FAR),
        (chunk(b"iTXt", b"parameters\0\1\0ja\0x\0" + zlib.compress(FAR.encode())), FAR),
    ],
    ids=["plain", "latin-1", "utf-8 where latin-1 belongs", "packed", "international", "international and packed"],
)
def test_each_kind_of_text_chunk_is_read(written: bytes, expected: str) -> None:
    """In the encoding that the standard names, and in the one that programs write instead."""
    content = png(written)
    (field,) = view_of(content).fields
    assert (field.name, field.text, field.container) == ("parameters", expected, f"png.{written[4:8].decode()}")
    places_hold(view_of(content), content)


def test_the_keyword_of_a_chunk_is_its_name() -> None:
    """A label may be told by its keyword alone; one without a text is kept for that."""
    view = view_of(
        png(chunk(b"tEXt", b"AIGC\0" + LABEL.encode()), chunk(b"tEXt", b"hf-job-id\0"), chunk(b"tEXt", b"bare"))
    )
    assert [(one.name, one.text) for one in view.fields] == [("AIGC", LABEL), ("hf-job-id", ""), ("bare", "")]


def test_text_behind_the_pixels_and_behind_the_end_is_read() -> None:
    """Where viewers do not look, people hide things, and some tools write there."""
    content = png(after=chunk(b"tEXt", b"late\0sea") + b"the rest")
    view = view_of(content)
    assert said(view, "late") == ["sea"]
    assert said(view, "", "trailer") == ["the rest"]
    assert view.structure["png.after_end"] == "1"
    assert view.structure["png.trailer"] == "8"
    places_hold(view, content)


def test_padding_behind_the_end_is_no_trailer() -> None:
    """Zeros say nothing."""
    view = view_of(png(after=bytes(500)))
    assert view.fields == ()
    assert "png.trailer" not in view.structure


def test_a_wrong_checksum_is_noted_and_its_chunk_read() -> None:
    """Whoever changes a text by hand leaves one behind."""
    view = view_of(png(chunk(b"tEXt", b"parameters\0sea", checksum=1)))
    assert said(view, "parameters") == ["sea"]
    assert view.structure["png.bad_crc"] == "1"
    assert view.failures == ()
    assert "png.bad_crc" not in view_of(png(chunk(b"tEXt", b"parameters\0sea"))).structure


def test_a_png_that_was_cut_keeps_what_came_before() -> None:
    """And of the chunk in which it was cut what there is."""
    whole = png(chunk(b"tEXt", b"one\0sea"), chunk(b"tEXt", b"two\0" + b"x" * 100))
    view = view_of(whole[: whole.index(b"two") + 20])
    assert said(view, "one") == ["sea"]
    assert said(view, "two") == ["x" * 16]
    assert view.failures == ("png: ends within a chunk",)


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_the_header_of_a_png_is_told(colour: int) -> None:
    """Its size, and whether it has an alpha channel, without which there is no payload in it."""
    view = view_of(png(colour=colour))
    assert view.alpha == (colour in {4, 6})
    assert (view.structure["png.color_type"], view.structure["png.bit_depth"]) == (str(colour), "8")
    assert view_of(png(chunk(b"tRNS", b"\0\0"), colour=colour)).alpha


def test_tags_in_a_png_are_read_in_both_ways_of_writing_them() -> None:
    """As a chunk of their own, and as the digits that ImageMagick writes."""
    block = exif([ascii_tag(0x0131, "Pharos")])
    digits = f"\nexif\n{len(block) + 6}\n{(b'Exif' + bytes(2) + block).hex()}\n".encode()
    told = "\niptc\n9\n" + iptc((2, 110, b"sea")).removeprefix(b"Photoshop 3.0\0").hex()
    assert said(view_of(png(chunk(b"eXIf", block))), "Software") == ["Pharos"]
    assert said(view_of(png(chunk(b"eXIf", b"Exif\0\0" + block))), "Software") == ["Pharos"]
    packed = chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(digits))
    assert said(view_of(png(packed)), "Software") == ["Pharos"]
    assert said(view_of(png(chunk(b"tEXt", b"Raw profile type iptc\0" + told.encode()))), "Credit") == ["sea"]
    view = view_of(
        png(chunk(b"tEXt", b"Raw profile type xmp\0\nxmp\n9\n" + packet("<a>sea</a>").encode().hex().encode()))
    )
    assert said(view, "a", "xmp") == ["sea"]
    assert view_of(png(chunk(b"tEXt", b"Raw profile type exif\0sea"))).failures == ("png: bad profile",)


# JPEG.


def test_segments_are_read_in_front_of_scans_and_between_them() -> None:
    """A progressive file has many scans, and a text between two of them is as good as one in front."""
    content = jpeg(segment(0xFE, b"front\0"), between=segment(0xFE, b"between"))
    view = view_of(content)
    assert said(view, "Comment") == ["front", "between"]
    assert view.structure["jpeg.sof"] == "C2"
    assert view.structure["jpeg.dqt"] == bytes(range(64)).hex()
    places_hold(view, content)


def test_tables_are_told_in_the_order_of_their_numbers() -> None:
    """One with two bytes a value too."""
    view = view_of(jpeg(segment(0xDB, b"\1" + b"\2" * 64 + b"\x12" + b"\0\3" * 64)))
    assert view.structure["jpeg.dqt"] == ",".join((bytes(range(64)).hex(), "02" * 64, "0003" * 64))


@pytest.mark.parametrize(
    "content",
    [
        jpeg(segment(0xE5, b"AIGC" + LABEL.encode())),
        jpeg(segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0AIGC" + LABEL.encode())),
        jpeg(segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0") + b"AIGC" + LABEL.encode()),
        jpeg(segment(0xE9, b"AIGC\0" + LABEL.encode())),
    ],
    ids=["a segment of its own", "within the first segment", "between segments", "as an identifier"],
)
def test_a_bare_label_near_the_beginning_is_found(content: bytes) -> None:
    """Some services in China put it there."""
    view = view_of(content)
    assert said(view, "AIGC") == [LABEL]
    assert view.failures == ()


def test_unknown_segments_are_kept_by_their_identifier() -> None:
    """Colour profiles are not: they are long and say nothing of origin."""
    view = view_of(
        jpeg(segment(0xE4, b"Pharos\0a lamp"), segment(0xE2, b"ICC_PROFILE\0\1\1x"), segment(0xEF, b"\1\2\3"))
    )
    assert [(one.container, one.name, one.text) for one in view.fields] == [
        ("jpeg.APP4", "Pharos", "a lamp"),
        ("jpeg.APP15", "", None),
    ]


def test_a_signed_store_is_told_to_be_there() -> None:
    """Reading it is the work of another library."""
    parts = [segment(0xEB, b"JP\0\1" + number.to_bytes(4, "big") + b"\0\0\0\x20jumb" + bytes(20)) for number in (1, 2)]
    view = view_of(jpeg(*parts))
    assert len(view.named("JUMBF", container="jpeg.APP11")) == 1
    assert (view.structure["c2pa"], view.structure["jpeg.jumbf"]) == ("jpeg.APP11", "72")
    for form, container in {"png": "png.caBX", "webp": "webp.C2PA", "mp4": "bmff.uuid"}.items():
        view = view_of(described()[form])
        assert view.structure["c2pa"] == container
        assert len(view.named("C2PA", container=container)) == 1


def test_records_of_news_agencies_are_read() -> None:
    """Over two segments, in UTF-8 where they say so, else in what it looks like."""
    whole = iptc(
        (1, 90, b"\x1b%G"), (2, 110, "phare à l'aube".encode()), (2, 25, b"sea"), (2, 25, b"tower"), (2, 231, b"x")
    )
    content = jpeg(segment(0xED, whole[:60]), segment(0xED, b"Photoshop 3.0\0" + whole[60:]))
    view = view_of(content)
    assert said(view, "Credit", "iptc") == ["phare à l'aube"]
    assert said(view, "Keywords") == ["sea", "tower"]
    assert said(view, "2:231") == ["x"]
    assert said(view_of(jpeg(segment(0xED, iptc((2, 80, b"Ren\xe9"))))), "By-line") == ["René"]


def test_the_trailer_of_a_jpeg_is_told_with_its_format() -> None:
    """Phones put a whole video there."""
    tail = film()
    view = view_of(jpeg(after=tail))
    assert view.structure["jpeg.trailer"] == str(len(tail))
    assert view.structure["jpeg.trailer.format"] == "mp4"
    longer = view_of(jpeg(after=tail + bytes(200_000) + b"x"))
    assert (len(longer.fields[0].data), longer.fields[0].truncated, longer.limits_hit) == (1 << 16, False, ())


@pytest.mark.parametrize("padding", [b"", bytes(16)])
def test_the_blocks_of_samsung_are_read_by_their_names(padding: bytes) -> None:
    """They say which function of the phone made the picture."""
    content = jpeg(after=samsung(("Image_UTC_Data", b"1"), ("PEg_Info", b'{"genAIType":8}')) + padding)
    view = view_of(content)
    assert said(view, "PEg_Info", "trailer") == ['{"genAIType":8}']
    assert said(view, "Image_UTC_Data") == ["1"]
    places_hold(view, content)
    boxed = film() + box(b"sefd", samsung(("PEg_Info", b"x")))
    assert said(view_of(boxed), "PEg_Info") == ["x"]


def test_a_packet_that_was_appended_is_read() -> None:
    """Some tools just write it behind the end."""
    content = png(after=packet("<a>sea</a>").encode())
    assert said(view_of(content), "a", "xmp") == ["sea"]
    places_hold(view_of(content), content)


@pytest.mark.parametrize(("cut", "why"), [(-1, "jpeg: has no end"), (30, "jpeg: ends within a segment")])
def test_a_jpeg_that_was_cut_says_so(cut: int, why: str) -> None:
    """And keeps the text before."""
    view = view_of(jpeg(segment(0xFE, b"sea"), segment(0xFE, b"x" * 100))[:cut])
    assert said(view, "Comment")[0] == "sea"
    assert view.failures == (why,)


# WebP, GIF and boxes.


def test_a_webp_is_read_with_what_stands_behind_it() -> None:
    """Its size and alpha channel come from the header or from the pixels."""
    view = view_of(riff((b"XMP ", packet("<a>sea</a>").encode()), (b"Note", b"tower"), after=b"the rest"))
    assert (said(view, "a"), said(view, "Note"), said(view, "", "trailer")) == (["sea"], ["tower"], ["the rest"])
    assert view.alpha
    stream = io.BytesIO()
    Image.new("RGBA", (37, 21), (9, 9, 9, 9)).save(stream, "WEBP", lossless=True)
    view = view_of(stream.getvalue())
    assert (view.width, view.height, view.alpha) == (37, 21, True)
    stream = io.BytesIO()
    Image.new("RGB", (37, 21)).save(stream, "WEBP")
    view = view_of(stream.getvalue())
    assert (view.width, view.height, view.alpha) == (37, 21, False)


def test_a_gif_is_read_with_all_its_comments() -> None:
    """Long ones come in pieces; other programs' blocks have the name of the program."""
    comment = SAID.encode() * 9
    content = gif(b"!\xfe" + blocks(comment), b"!\xff\x0bPHAROS  1.0" + blocks(b"lamp"), after=b"the rest")
    view = view_of(content)
    assert said(view, "Comment") == [comment.decode()]
    assert said(view, "PHAROS  1.0") == ["lamp"]
    assert said(view, "", "trailer") == ["the rest"]


def test_the_items_of_a_heif_are_read_wherever_they_stand() -> None:
    """Tags and packet; the size is that of the primary picture, not of the thumbnail beside it."""
    content = heif(exif_block=exif([ascii_tag(0x0131, "Pharos")], order="big"), xmp=packet("<a>sea</a>").encode())
    view = view_of(content)
    assert (said(view, "Software", "exif.IFD0"), said(view, "a", "xmp")) == (["Pharos"], ["sea"])
    assert (view.width, view.height, view.alpha) == (4, 3, True)
    places_hold(view, content)


def test_an_item_that_lies_outside_of_the_file_is_a_failure() -> None:
    """It was there once."""
    content = heif(exif_block=exif([ascii_tag(0x0131, "Pharos")]))
    assert "heif: ends within a box" in view_of(content[:-20]).failures
    assert "bmff: item reaches beyond the end" in view_of(content[:-20]).failures


def test_the_texts_of_a_film_are_read() -> None:
    """As iTunes, QuickTime and 3GPP write them, and what is none of that but a text."""
    old = (
        box(b"\xa9swr", b"\0\6\x15\xc7Pharos")
        + box(b"titl", bytes(6) + b"sea\0")
        + box(b"AIGC", bytes(4) + LABEL.encode())
    )
    view = view_of(film(user_data=values((b"\xa9too", "Lamp"), (b"AIGC", LABEL)) + old + bytes(4)))
    assert said(view, "\xa9too", "bmff.ilst") == ["Lamp"]
    assert said(view, "AIGC") == [LABEL, LABEL]
    assert (said(view, "\xa9swr"), said(view, "titl")) == (["Pharos"], ["sea"])
    assert (view.width, view.height, view.failures) == (640, 360, ())
    view = view_of(film(user_data=keyed(("com.apple.quicktime.software", "Pharos"), ("AIGC", LABEL)), brand=b"qt  "))
    assert (view.format, said(view, "com.apple.quicktime.software"), said(view, "AIGC")) == ("mov", ["Pharos"], [LABEL])


def test_packets_in_boxes_are_read() -> None:
    """In a box of the file, and among the texts of a film."""
    written = packet("<a>sea</a>").encode()
    outer = box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), written)
    assert said(view_of(film(outer=outer)), "a", "xmp") == ["sea"]
    assert said(view_of(film(user_data=box(b"XMP_", written))), "a", "xmp") == ["sea"]


def test_what_other_programs_write_is_read() -> None:
    """Files of Pillow, in every format that it writes tags into."""
    image = Image.fromarray(np.zeros((21, 37, 4), np.uint8) + 90)
    tags = Image.Exif()
    tags[0x0131] = "Pharos"
    written = packet("<a>sea</a>").encode()
    for form in ("PNG", "WEBP", "AVIF", "JPEG", "TIFF"):
        stream = io.BytesIO()
        options = {} if form in {"PNG", "TIFF"} else {"xmp": written}
        picture = image.convert("RGB") if form == "JPEG" else image
        picture.save(stream, form, exif=tags, **options)
        view = view_of(stream.getvalue())
        assert (view.width, view.height, view.alpha, view.failures) == (37, 21, form != "JPEG", ()), form
        assert said(view, "Software") == ["Pharos"], form
        assert said(view, "a", "xmp") == ["sea"] * bool(options), form
        places_hold(view, stream.getvalue())
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", FAR, zip=True)
    stream = io.BytesIO()
    image.save(stream, "PNG", pnginfo=info)
    assert said(view_of(stream.getvalue()), "parameters") == [FAR]


# The view itself.


@pytest.mark.parametrize(
    ("content", "named"), [(b"", None), (b"BM" + bytes(60), "bmp"), (b"sea" * 9, None), (b"%PDF-1.7", "pdf")]
)
def test_what_is_none_of_the_formats_has_no_fields(content: bytes, named: str | None) -> None:
    """It is told apart all the same."""
    view = view_of(content)
    assert (view.format, view.fields, view.size, view.failures) == (named, (), len(content), ())


def test_a_file_that_was_not_given_whole_says_so() -> None:
    """Because the caller has only its beginning, or because it is longer than the limit."""
    content = png(chunk(b"tEXt", b"one\0sea"))
    view = view_of(content, len(content) + 1)
    assert (view.size, view.limits_hit) == (len(content) + 1, ("file_bytes",))
    view = view_of(content, limits=Limits(file_bytes=60))
    assert (view.size, len(view.content), view.limits_hit) == (len(content), 60, ("file_bytes",))
    assert said(view, "one") == ["sea"]


def test_nothing_that_a_file_says_is_in_its_repr_or_in_a_failure() -> None:
    """Prompts are offenders' texts."""
    for content in (png(chunk(b"tEXt", b"pharos\0lighthouse")), jpeg(segment(0xFE, b"lighthouse"))):
        for cut in range(len(content)):
            view = view_of(content[:cut])
            shown = f"{view!r} {view.fields!r} {view.failures!r}"
            assert "lighthouse" not in shown
            assert "pharos" not in shown


def test_text_that_is_only_mostly_utf8_keeps_its_letters() -> None:
    """One broken byte does not turn a whole prompt into Latin-1."""
    assert texts.loose(FAR.encode() + b"\xff" + SAID.encode()) == f"{FAR}\ufffd{SAID}"
    assert texts.loose(FAR.encode()[:-1], cut=True) == FAR[:-1]


# The samples.


@cache
def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def samples() -> Path:
    """The folder of files whose origin is known."""
    data = os.environ.get("REMPART_TEST_DATA")
    folder = Path(data or "", "provenance")
    if not data or not (folder / "manifest.csv").exists():
        pytest.skip("REMPART_TEST_DATA does not name a folder with samples of provenance")
    return folder


def test_the_readers_show_every_prompt_of_the_samples(samples: Path) -> None:
    """But for those in the pixels; what is quoted stands where it says, and nothing breaks a reader."""
    unseen, broken = [], []
    for row in _rows(samples):
        content = (samples / row["path"]).read_bytes()
        view = view_of(content)
        places_hold(view, content)
        broken += [row["path"] for failure in view.failures if failure.rpartition(" ")[2][:1].isupper()]
        prompt = "".join(row["expected_prompt"].split())
        plain = ["".join((one.text or "").split()) for one in view.fields]
        shown = any(prompt in one or prompt in one.encode().decode("unicode_escape", "replace") for one in plain)
        escaped = any(prompt in one.replace("\\n", "").replace('\\"', '"').replace("\\\\", "\\") for one in plain)
        if prompt and not shown and not escaped and not row["expected_strength"].startswith("pixel"):
            unseen.append(row["path"])
    assert unseen == []
    assert broken == []


def test_the_readers_find_what_cameras_wrote(samples: Path) -> None:
    """Nearly all samples of cameras name their maker, and the readers give up on nearly none."""
    cameras = [
        view_of((samples / row["path"]).read_bytes()) for row in _rows(samples) if row["path"].startswith("camera/")
    ]
    assert sum(bool(view.named("Make", container="exif")) for view in cameras) >= 0.9 * len(cameras)
    assert sum("exif.thumbnail" in view.structure for view in cameras) >= 0.7 * len(cameras)
    assert sum(bool(view.failures) for view in cameras) <= 0.05 * len(cameras)

"""Every way of writing a value into an XMP packet gives a field of the usual name; what is hostile is refused."""

from __future__ import annotations

import struct
import zlib

import pytest

from fuzz.metadata import LABEL, RDF, chunk, jpeg, packet, png, segment
from rempart.provenance.fields import DEFAULT_LIMITS, Field, FileView, Limits
from rempart.provenance.readers import xmp
from rempart.provenance.readers.gathering import Gathering
from rempart.provenance.walk import view_of

EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
DC = "xmlns:dc='http://purl.org/dc/elements/1.1/'"
LABEL_SPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
ESCAPED = LABEL.replace('"', "&quot;")


def read(written: str | bytes, limits: Limits = DEFAULT_LIMITS) -> FileView:
    """What one packet gives."""
    content = written if isinstance(written, bytes) else written.encode()
    gathering = Gathering(content, limits)
    gathering.attempt("xmp", lambda: xmp.read(gathering, content, 0))
    return gathering.view(None, len(content))


def values(view: FileView) -> list[tuple[str, str | None]]:
    """Names and texts, in their order."""
    return [(one.name, one.text) for one in view.fields]


@pytest.mark.parametrize(
    "written",
    [
        packet(attributes=f"xmlns:Iptc4xmpExt='{EXT}' Iptc4xmpExt:DigitalSourceType='{TERM}'"),
        packet(f"<i:DigitalSourceType>{TERM}</i:DigitalSourceType>", f"xmlns:i='{EXT}'"),
        packet(f"<iptcExt:DigitalSourceType rdf:resource='{TERM}'/>", f"xmlns:iptcExt='{EXT}'"),
        packet(f"<DigitalSourceType xmlns='{EXT}'>{TERM}</DigitalSourceType>"),
        packet(attributes=f"xmlns:a='{EXT.rstrip('/')}' a:DigitalSourceType='{TERM}'"),
        packet(attributes=f"xmlns:a='{EXT.replace('http:', 'HTTPS:')}' a:DigitalSourceType='{TERM}'"),
        packet(f"<a:DigitalSourceType><rdf:value>{TERM}</rdf:value></a:DigitalSourceType>", f"xmlns:a='{EXT}'"),
        packet(attributes=f"Iptc4xmpExt:DigitalSourceType='{TERM}'"),
    ],
    ids=[
        *("attribute", "element", "resource", "default name space", "no slash", "https", "qualified"),
        "undeclared prefix",
    ],
)
def test_one_value_is_the_same_however_it_is_written(written: str) -> None:
    """The prefix is the usual one of the name space, whatever the file calls it."""
    view = read(written)
    assert values(view) == [("Iptc4xmpExt:DigitalSourceType", TERM)]
    assert view.failures == ()
    assert all(one.container == "xmp" and one.data == TERM.encode() for one in view.fields)


@pytest.mark.parametrize(
    "written",
    [
        packet(attributes=f"xmlns:TC260='{LABEL_SPACE}' TC260:AIGC=\"{ESCAPED}\""),
        packet(f"<q:AIGC>{ESCAPED}</q:AIGC>", f"xmlns:q='{LABEL_SPACE}'"),
        packet(f"<q:AIGC><![CDATA[{LABEL}]]></q:AIGC>", f"xmlns:q='{LABEL_SPACE}'"),
    ],
    ids=["attribute", "element", "as characters"],
)
def test_the_chinese_label_comes_out_as_the_json_that_it_is(written: str) -> None:
    """XML's own escapes are undone."""
    assert values(read(written)) == [("TC260:AIGC", LABEL)]


def test_what_was_escaped_twice_is_left_as_text() -> None:
    """What that means, a detector may judge."""
    twice = ESCAPED.replace("&", "&amp;")
    assert values(read(packet(f"<q:AIGC>{twice}</q:AIGC>", f"xmlns:q='{LABEL_SPACE}'"))) == [("TC260:AIGC", ESCAPED)]


@pytest.mark.parametrize("kind", ["Alt", "Seq", "Bag"])
def test_each_item_of_a_list_is_a_value(kind: str) -> None:
    """Of any of the three kinds of list; the language of an item is none."""
    items = "<rdf:li xml:lang='x-default'>sea</rdf:li>\n <rdf:li>tower</rdf:li><rdf:li rdf:resource='lamp'/>"
    view = read(packet(f"<dc:subject>\n<rdf:{kind}>{items}</rdf:{kind}>\n</dc:subject>", DC))
    assert values(view) == [("dc:subject", "sea"), ("dc:subject", "tower"), ("dc:subject", "lamp")]


ACTION = "<stEvt:action>created</stEvt:action>"
AGENT = "<stEvt:softwareAgent>Pharos</stEvt:softwareAgent>"


@pytest.mark.parametrize(
    "inside",
    [
        "<rdf:li stEvt:action='created' stEvt:softwareAgent='Pharos'/>",
        f"<rdf:li rdf:parseType='Resource'>{ACTION}{AGENT}</rdf:li>",
        f"<rdf:li><rdf:Description stEvt:action='created'>{AGENT}</rdf:Description></rdf:li>",
    ],
    ids=["shorthand", "resource", "description"],
)
def test_members_of_a_structure_have_their_own_names(inside: str) -> None:
    """However deep it stands."""
    spaces = "xmlns:m='http://ns.adobe.com/xap/1.0/mm/' xmlns:stEvt='http://ns.adobe.com/xap/1.0/sType/ResourceEvent#'"
    view = read(packet(f"<m:History><rdf:Seq>{inside}</rdf:Seq></m:History>", spaces))
    assert values(view) == [("stEvt:action", "created"), ("stEvt:softwareAgent", "Pharos")]


def test_unknown_names_keep_the_prefix_of_the_file() -> None:
    """And none where there is none."""
    view = read(packet("<p:lamp>on</p:lamp><oil>low</oil>", "xmlns:p='http://pharos.example/' p:tower='1'"))
    assert values(view) == [("p:tower", "1"), ("p:lamp", "on"), ("oil", "low")]


def test_the_toolkit_is_told_and_layout_is_not() -> None:
    """Which program wrote the packet stands outside of RDF."""
    written = packet("\n  <dc:format>image/png</dc:format>\n  <dc:title> </dc:title>", DC)
    written = written.replace('"adobe:ns:meta/"', '"adobe:ns:meta/" x:xmptk="Pharos 2"')
    assert values(read(written)) == [("x:xmptk", "Pharos 2"), ("dc:format", "image/png")]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_packets_may_be_in_any_encoding_of_unicode(codec: str) -> None:
    """With a mark of its order or without, and with zeros behind it."""
    written = packet("<dc:title>灯台</dc:title>", DC).replace('begin=""', 'begin="\ufeff"').encode(codec)
    assert values(read(written + bytes(4))) == [("dc:title", "灯台")]


def test_invalid_letters_do_not_hide_the_values_around_them() -> None:
    """Some programs cut a text within a letter."""
    written = packet("<dc:title>a</dc:title><dc:source>b</dc:source>", DC).encode().replace(b">a<", b">a\xe7\x81<")
    view = read(written)
    assert [name for name, _ in values(view)] == ["dc:title", "dc:source"]
    assert all(one.offset == -1 for one in view.fields)


def test_values_stand_where_they_say() -> None:
    """Each at its own place, also when two are the same."""
    content = png(
        chunk(
            b"iTXt",
            b"XML:com.adobe.xmp\0\0\0\0\0" + packet("<dc:a>sea</dc:a><dc:a>sea</dc:a>", DC).encode(),
        )
    )
    view = view_of(content)
    raw, first, second = view.fields
    assert (raw.container, raw.name, raw.text) == ("png.iTXt", "XMP", None)
    assert content[raw.offset : raw.offset + len(raw.data)] == raw.data
    assert [content[one.offset :][:3] for one in (first, second)] == [b"sea", b"sea"]
    assert first.offset < second.offset


def test_what_was_inflated_stands_nowhere() -> None:
    """Its bytes are not those of the file."""
    packed = zlib.compress(packet("<dc:a>sea</dc:a>", DC).encode())
    view = view_of(png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)))
    assert [(one.text, one.offset) for one in view.fields if one.container == "xmp"] == [("sea", -1)]


@pytest.mark.parametrize("head", [b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xap/1.0/", b""])
def test_a_packet_in_a_jpeg_is_found_with_or_without_its_head(head: bytes) -> None:
    """Some writers forget the zero, or all of it."""
    content = jpeg(segment(0xE1, head + packet("<dc:a>sea</dc:a>", DC).encode()))
    raw, field = view_of(content).fields
    assert (raw.container, raw.name, field.text) == ("jpeg.APP1", "XMP", "sea")
    assert content[field.offset :].startswith(b"sea")


def test_an_extended_packet_is_put_together() -> None:
    """In whatever order its pieces stand in the file."""
    whole = packet(f"<dc:a>{'sea ' * 100}</dc:a>", DC).encode()
    name = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + len(whole).to_bytes(4, "big")
    pieces = [segment(0xE1, name + struct.pack(">I", at) + whole[at : at + 90]) for at in range(0, len(whole), 90)]
    view = view_of(jpeg(*reversed(pieces)))
    assert values(view) == [("dc:a", "sea " * 100)]
    assert view.failures == ()


# What is broken or hostile.


def test_what_stands_before_an_error_is_kept() -> None:
    """And the error is told, without a word of the file."""
    view = read(packet("<dc:title>sea</dc:title><dc:secret", DC))
    assert values(view) == [("dc:title", "sea")]
    assert view.failures == ("xmp: not well-formed",)


def test_what_stands_behind_the_packet_is_no_error() -> None:
    """Writers leave old bytes there."""
    view = read(packet("<dc:title>sea</dc:title>", DC) + "<old/> rest")
    assert (values(view), view.failures) == ([("dc:title", "sea")], ())


@pytest.mark.parametrize(
    "rules",
    [
        "<!DOCTYPE a [<!ENTITY b 'sea'>]>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/hostname'> %p;]>",
        "<!DOCTYPE a>",
    ],
    ids=["entity", "outside", "parameter", "empty"],
)
def test_a_packet_with_rules_of_its_own_is_refused(rules: str) -> None:
    """No entity is expanded, and nothing is fetched."""
    view = read(rules + packet("<dc:title>&b;</dc:title>", DC).partition("?>")[2].rpartition("<?")[0])
    assert (values(view), view.failures) == ([], ("xmp: has a document type",))


def test_unknown_entities_are_an_error() -> None:
    """HTML's are unknown too."""
    assert read(packet("<dc:title>&nbsp;</dc:title>", DC)).failures == ("xmp: not well-formed",)


def test_elements_may_not_stand_too_deep() -> None:
    """What is above is kept."""
    view = read(packet("<dc:a>sea</dc:a>" + "<dc:b>" * 100, DC))
    assert (values(view), view.limits_hit, view.failures) == ([("dc:a", "sea")], ("depth",), ("xmp: too deep",))


def test_a_long_value_is_cut_and_says_so() -> None:
    """Not within a letter."""
    view = read(packet(f"<dc:a>{'灯' * 100}</dc:a><dc:b>sea</dc:b>", DC), Limits(field_bytes=100))
    assert values(view) == [("dc:a", "灯" * 33), ("dc:b", "sea")]
    assert [one.truncated for one in view.fields] == [True, False]
    assert view.limits_hit == ("field_bytes",)


def test_the_number_of_values_is_limited() -> None:
    """And that is told."""
    view = read(packet("<dc:a>sea</dc:a>" * 50, DC), Limits(fields=9))
    assert (len(view.fields), view.limits_hit) == (9, ("fields",))


@pytest.mark.parametrize("written", [b"", bytes(40), b" \n", b"sea"])
def test_what_is_no_packet_is_a_failure(written: bytes) -> None:
    """Not an empty one."""
    view = read(written)
    assert view.fields == ()
    assert len(view.failures) == 1


def test_a_field_shows_nothing_of_its_value() -> None:
    """Values are offenders' texts."""
    (field,) = read(packet("<dc:a>lighthouse</dc:a>", DC)).fields
    assert isinstance(field, Field)
    assert "lighthouse" not in repr(field)


def test_rdf_alone_is_a_packet() -> None:
    """The element around it is optional."""
    assert values(read(f"<rdf:RDF {RDF}><rdf:Description {DC} dc:a='sea'/></rdf:RDF>")) == [("dc:a", "sea")]

"""Targets of the room provenance: the readers of what files say of themselves, and what tells generators by it."""

from __future__ import annotations

import re
from typing import Final

from fuzz.metadata import described, exif, packet
from fuzz.payloads import DETECT
from fuzz.pictures import pictures
from fuzz.target import Target
from rempart.provenance.fields import Field, FileView, Limits
from rempart.provenance.readers import iptc, texts, tiff, xmp
from rempart.provenance.readers.gathering import Gathering
from rempart.provenance.walk import view_of

LIMITS: Final = Limits(field_bytes=1 << 11, text_bytes=1 << 13, fields=48, depth=8)
"""Low, so that an input shows quickly what goes beyond them."""

_TOLD: Final = re.compile(r"[a-z0-9]+: [a-z -]+")
"""What a failure looks like. One that names an exception is a defect of a reader, which goes on without that part."""

_XMP_TIMES: Final = 3
"""Bytes that invalid UTF-8 may take more once it is replaced."""


def view(data: bytes) -> None:
    """Whatever the bytes are there is a record of them within the limits, and what it quotes stands where it says."""
    _holds(view_of(data, limits=LIMITS), data)


def block(data: bytes) -> None:
    """The same of the blocks that stand in files of several formats."""
    read = {b"E": tiff.exif, b"X": xmp.read, b"I": iptc.records, b"R": iptc.resources}.get(data[:1])
    if read is not None:
        gathering = Gathering(data, LIMITS)
        gathering.attempt("block", lambda: read(gathering, data[1:], 1))
        _holds(gathering.view(None, len(data)), data)


def text(data: bytes) -> None:
    """Any bytes have a text that can be written, in whatever way they are read."""
    for one in (
        texts.loose(data),
        texts.loose(data, cut=True),
        texts.utf16(data),
        texts.guessed(data, "little"),
        texts.charset_text(data),
        texts.printable(data) or "",
    ):
        assert len(one.encode()) <= _XMP_TIMES * len(data)


def _holds(seen: FileView, data: bytes) -> None:
    assert len(seen.fields) <= LIMITS.fields
    assert sum(len(one.data) for one in seen.fields) <= LIMITS.text_bytes
    assert sum(len(one.text or "") for one in seen.fields) <= LIMITS.text_bytes
    for one in seen.fields:
        _is_sound(one, data)
    for failure in seen.failures:
        assert _TOLD.fullmatch(failure), "a reader has a defect"


def _is_sound(one: Field, data: bytes) -> None:
    assert len(one.data) <= LIMITS.field_bytes
    assert one.text is None or len(one.text.encode()) <= _XMP_TIMES * LIMITS.field_bytes
    assert one.offset < 0 or data[one.offset : one.offset + len(one.data)] == one.data


def _files() -> list[bytes]:
    return [*described().values(), *pictures().values()]


def _blocks() -> list[bytes]:
    block = exif([(0x0112, 3, b"\6\0")], capture=[(0x9286, 7, b"JIS\0\0\0\0\0$BEtBf")], order="big")
    plain = b"\x1c\1\x5a\0\3\x1b%G\x1c\2\x6e\0\3sea"
    return [
        b"E" + block,
        b"X" + packet("<dc:a>sea</dc:a>", "xmlns:dc='http://purl.org/dc/elements/1.1/'").encode(),
        b"X" + packet("<dc:a>sea</dc:a>").encode("utf-16"),
        b"X<!DOCTYPE a [<!ENTITY b 'sea'>]><a>&b;</a>",
        b"I" + plain,
        b"R8BIM\4\4\0\0" + len(plain).to_bytes(4, "big") + plain,
    ]


def _texts() -> list[bytes]:
    said = "a lighthouse, 灯台\n"
    codecs = ("utf-8", "utf-16", "utf-16-be", "utf-16-le", "latin-1", "iso2022_jp", "shift_jis")
    plain = [said.encode(codec, "replace") for codec in codecs]
    return [
        *plain,
        *(prefix + one for prefix in (b"UNICODE\0", b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8)) for one in plain),
    ]


WORDS: Final = (
    *(
        b"IHDR",
        b"IEND",
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"eXIf",
        b"caBX",
        b"XML:com.adobe.xmp\0",
        b"Raw profile type exif\0",
    ),
    *(
        b"\xff\xe1",
        b"\xff\xed",
        b"\xff\xfe",
        b"\xff\xda",
        b"\xff\xd9",
        b"Exif\0\0",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"8BIM",
    ),
    *(
        b"http://ns.adobe.com/xap/1.0/\0",
        b"SEFH",
        b"SEFT",
        b"EXIF",
        b"XMP ",
        b"VP8X",
        b"!\xfe",
        b"!\xff\x0bXMP DataXMP",
    ),
    *(b"meta", b"iloc", b"iinf", b"infe", b"ipma", b"idat", b"udta", b"ilst", b"keys", b"data", b"uuid", b"\0\0\0\1"),
    *(b"<rdf:li>", b"</rdf:li>", b"rdf:resource=", b"xmlns:a=", b"&lt;", b"<![CDATA[", b"UNICODE\0", b"AIGC{"),
    *(
        b"\x87\x69\0\4\0\0\0\1",
        b"\x69\x87\4\0\1\0\0\0",
        b"\x7c\x92\7\0",
        b"\x86\x92\7\0",
        b"\xbb\x83\1\0",
        b"\x4a\1\4\0",
    ),
)
"""Pieces of which what the readers look for is made."""

TARGETS: Final = {
    "view": Target(view, _files, WORDS, longest=16384),
    "block": Target(block, _blocks, WORDS),
    "detect": DETECT,
    "text": Target(text, _texts, (b"UNICODE\0", b"JIS\0\0\0\0\0", b"\x1b$B", b"\xff\xfe"), longest=512),
}

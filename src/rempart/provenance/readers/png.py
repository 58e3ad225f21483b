"""PNG: the chunks and what stands behind them (Portable Network Graphics, third edition)."""

from __future__ import annotations

import zlib
from typing import Final

from rempart.provenance.readers import iptc, tiff, trailer, xmp
from rempart.provenance.readers.gathering import BrokenError, Gathering
from rempart.provenance.readers.texts import loose, printable

_FIRST: Final = 8
_HEAD, _CHECKSUM = 8, 4
_HEADER: Final = 13
_ALPHA_TYPES: Final = frozenset((4, 6))
_KEYWORD: Final = 80
_XMP_KEYWORD: Final = "XML:com.adobe.xmp"
_PROFILE: Final = "Raw profile type "
_EXIF: Final = b"Exif\0\0"
# Pixels, and what says nothing of where a picture is from.
_PASSED: Final = frozenset(
    (
        *(b"IDAT", b"fdAT", b"fcTL", b"acTL", b"PLTE", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"sBIT"),
        *(b"hIST", b"tIME", b"sPLT", b"cICP", b"mDCV", b"cLLI", b"oFFs", b"sTER"),
    )
)
_UNCHECKED: Final = frozenset((b"IDAT", b"fdAT"))


def read(gathering: Gathering) -> None:
    """Read the chunks, in front of the pixels, behind them, and behind the end.

    Raises:
        BrokenError: the chunks end in the middle.
    """
    content = gathering.content
    at, end = _FIRST, len(content)
    bad, after = 0, 0
    is_over = False
    while at + _HEAD <= end:
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + _HEAD]
        start, stop = at + _HEAD, at + _HEAD + size
        if is_over and not (kind.isalpha() and kind.isascii() and stop + _CHECKSUM <= end):
            break
        gathering.part()
        after += is_over
        if kind not in _PASSED:
            _chunk(gathering, kind, start, min(stop, end))
        if stop + _CHECKSUM > end:
            _checks(gathering, bad, after)
            raise BrokenError("ends within a chunk")
        if kind not in _UNCHECKED and int.from_bytes(content[stop : stop + 4], "big") != zlib.crc32(
            memoryview(content)[at + 4 : stop]
        ):
            bad += 1
        at = stop + _CHECKSUM
        is_over |= kind == b"IEND"
    _checks(gathering, bad, after)
    if not is_over:
        raise BrokenError("has no end")
    trailer.read(gathering, "png", at)


def _checks(gathering: Gathering, bad: int, after: int) -> None:
    """Note the wrong checksums, and the chunks behind the end; neither keeps anybody from reading them."""
    if bad:
        gathering.structure["png.bad_crc"] = str(bad)
    if after:
        gathering.structure["png.after_end"] = str(after)


def _chunk(gathering: Gathering, kind: bytes, start: int, stop: int) -> None:
    if kind == b"IHDR":
        _header(gathering, gathering.content[start:stop])
    elif kind == b"tRNS":
        gathering.alpha = True
    elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
        _text(gathering, kind.decode(), start, stop)
    elif kind in {b"eXIf", b"zxIf"}:
        data, cut = gathering.take(start, stop)
        skipped = len(_EXIF) if data.startswith(_EXIF) else 0
        gathering.attempt("exif", lambda: tiff.exif(gathering, data[skipped:], start + skipped, cut=cut))
    elif kind == b"caBX":
        data = gathering.head(start, stop)
        gathering.structure.setdefault("c2pa", "png.caBX")
        gathering.structure["png.caBX"] = str(stop - start)
        gathering.add("png.caBX", "C2PA", data, offset=start)
    elif kind != b"IEND":
        data = gathering.head(start, stop)
        name = loose(kind)
        gathering.add(f"png.{name}", name, data, printable(data, cut=True), offset=start)


def _header(gathering: Gathering, body: bytes) -> None:
    if len(body) < _HEADER or gathering.width:
        return
    gathering.width, gathering.height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    gathering.alpha |= body[9] in _ALPHA_TYPES
    gathering.structure |= {
        "png.bit_depth": str(body[8]),
        "png.color_type": str(body[9]),
        "png.interlace": str(body[12]),
    }


def _text(gathering: Gathering, kind: str, start: int, stop: int) -> None:
    """One text: its keyword, and what it says, inflated."""
    content = gathering.content
    zero = content.find(b"\0", start, min(stop, start + _KEYWORD))
    if zero < 0:
        zero = min(stop, start + _KEYWORD)
        if kind != "tEXt":
            gathering.fail("png", "text without a keyword")
            return
    keyword = loose(content[start:zero])
    data_start, is_packed = zero + 1, kind == "zTXt"
    if kind == "zTXt":
        data_start += 1
    elif kind == "iTXt":
        is_packed = content[zero + 1 : zero + 2] == b"\1"
        language = content.find(b"\0", zero + 3, stop)
        translated = content.find(b"\0", language + 1, stop) if language >= 0 else -1
        if translated < 0:
            gathering.fail("png", "text without its parts")
            translated = zero + 2
        data_start = translated + 1
    data, cut = gathering.take(min(data_start, stop), stop)
    written, offset = data, data_start
    if is_packed:
        written, broken = gathering.inflate(data)
        cut, offset = cut or broken, -1
    text = loose(written, cut=cut)
    if keyword.startswith(_PROFILE):
        gathering.spend(len(written))
        gathering.attempt("png", lambda: _profile(gathering, keyword[len(_PROFILE) :].strip(), written))
        return
    is_xmp = keyword == _XMP_KEYWORD
    if is_xmp and is_packed:
        gathering.spend(len(written))
    gathering.add(
        f"png.{kind}",
        "XMP" if is_xmp else keyword,
        data,
        None if is_xmp else text,
        offset=data_start,
        truncated=cut,
    )
    if is_xmp:
        gathering.attempt("xmp", lambda: xmp.read(gathering, written, offset))


def _profile(gathering: Gathering, name: str, written: bytes) -> None:
    """A block of another format, as ImageMagick writes them: its name, its length, and hexadecimal digits.

    Raises:
        BrokenError: it is something else.
    """
    lines = written.strip().split(b"\n", 2)
    if len(lines) < 3:  # noqa: PLR2004
        raise BrokenError("bad profile")
    try:
        body = bytes.fromhex(lines[2].decode("ascii"))
    except ValueError:
        raise BrokenError("bad profile") from None
    if name in {"exif", "APP1"}:
        if body.startswith(_EXIF):
            gathering.attempt("exif", lambda: tiff.exif(gathering, body[len(_EXIF) :], -1))
        elif xmp.find(body) >= 0:
            gathering.attempt("xmp", lambda: xmp.read(gathering, body[xmp.find(body) :]))
        else:
            gathering.attempt("exif", lambda: tiff.exif(gathering, body, -1))
    elif name == "xmp":
        gathering.attempt("xmp", lambda: xmp.read(gathering, body))
    elif name in {"iptc", "8bim"}:
        blocks = body.removeprefix(iptc.SIGNATURE)
        if blocks[:1] == b"\x1c":
            gathering.attempt("iptc", lambda: iptc.records(gathering, blocks))
        else:
            gathering.attempt("iptc", lambda: iptc.resources(gathering, blocks))

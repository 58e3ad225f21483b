"""WebP: the chunks of its RIFF container (RFC 9649), and what stands behind it."""

from __future__ import annotations

from typing import Final

from rempart.provenance.readers import tiff, trailer, xmp
from rempart.provenance.readers.gathering import BrokenError, Gathering
from rempart.provenance.readers.texts import loose, printable

_FIRST: Final = 12
_HEAD: Final = 8
_EXIF: Final = b"Exif\0\0"
_ALPHA, _LOSSLESS_ALPHA = 0x10, 1 << 28
_SIDE: Final = 0x3FFF
_KEYFRAME: Final = b"\x9d\x01\x2a"
_PASSED: Final = frozenset((b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"FRGM"))


def read(gathering: Gathering) -> None:
    """Read all chunks, also those that stand behind the size that the file says to have.

    Raises:
        BrokenError: the chunks end in the middle.
        ExhaustedError: there are too many.
    """
    content = gathering.content
    declared = min(8 + int.from_bytes(content[4:8], "little"), len(content))
    at = _FIRST
    while at + _HEAD <= declared:
        gathering.part()
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + _HEAD], "little")
        start, stop = at + _HEAD, at + _HEAD + size
        if kind not in _PASSED:
            _chunk(gathering, kind, start, min(stop, len(content)))
        if stop > len(content):
            raise BrokenError("ends within a chunk")
        at = stop + (size & 1)
    if at < len(content):
        trailer.read(gathering, "webp", at)


def _chunk(gathering: Gathering, kind: bytes, start: int, stop: int) -> None:
    content = gathering.content
    if kind == b"VP8X":
        gathering.alpha |= bool(content[start] & _ALPHA) if start < stop else False
        gathering.width = 1 + int.from_bytes(content[start + 4 : start + 7], "little")
        gathering.height = 1 + int.from_bytes(content[start + 7 : start + 10], "little")
        gathering.structure["webp.form"] = "extended"
    elif kind in {b"VP8 ", b"VP8L"}:
        _bitstream(gathering, kind, content[start : min(stop, start + 10)])
    elif kind == b"EXIF":
        data, cut = gathering.take(start, stop)
        skipped = len(_EXIF) if data.startswith(_EXIF) else 0
        gathering.attempt("exif", lambda: tiff.exif(gathering, data[skipped:], start + skipped, cut=cut))
    elif kind in {b"XMP ", b"XMP\0"}:
        data, cut = gathering.take(start, stop)
        gathering.add("webp.XMP", "XMP", data, offset=start, truncated=cut)
        gathering.attempt("xmp", lambda: xmp.read(gathering, data, start))
    else:
        data = gathering.head(start, stop)
        name = loose(kind).strip()
        if kind == b"C2PA":
            gathering.structure.setdefault("c2pa", "webp.C2PA")
        gathering.add(f"webp.{name}", name, data, printable(data, cut=True), offset=start)


def _bitstream(gathering: Gathering, kind: bytes, head: bytes) -> None:
    """Note the size that the first pixels tell; the one of the extended header goes before it."""
    gathering.structure.setdefault("webp.pixels", "lossless" if kind == b"VP8L" else "lossy")
    if kind == b"VP8L" and len(head) >= 5:  # noqa: PLR2004 -- a signature and 32 bits
        bits = int.from_bytes(head[1:5], "little")
        gathering.alpha |= bool(bits & _LOSSLESS_ALPHA)
        size = (1 + (bits & _SIDE), 1 + (bits >> 14 & _SIDE))
    elif head[3:6] == _KEYFRAME:
        size = (int.from_bytes(head[6:8], "little") & _SIDE, int.from_bytes(head[8:10], "little") & _SIDE)
    else:
        return
    if not gathering.width:
        gathering.width, gathering.height = size

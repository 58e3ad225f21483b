"""GIF: comments and the blocks of applications (GIF89a, sections 24 and 26), and what stands behind the end."""

from __future__ import annotations

from typing import Final

from rempart.provenance.readers import trailer, xmp
from rempart.provenance.readers.gathering import BrokenError, Gathering
from rempart.provenance.readers.texts import loose, printable

_HEAD, _DESCRIPTOR = 13, 10
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_COMMENT, _PLAIN_TEXT, _APPLICATION, _CONTROL = 0xFE, 0x01, 0xFF, 0xF9
_HAS_TABLE, _TABLE_BITS = 0x80, 0x07
_XMP: Final = b"XMP DataXMP"
_XMP_MAGIC: Final = 256
_BLOCKS_A_PART: Final = 16
_KNOWN: Final = frozenset((b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"))


def read(gathering: Gathering) -> None:
    """Read the blocks.

    Raises:
        BrokenError: they end in the middle.
        ExhaustedError: there are too many.
    """
    content = gathering.content
    if len(content) < _HEAD:
        raise BrokenError("has no header")
    gathering.width, gathering.height = (int.from_bytes(content[at : at + 2], "little") for at in (6, 8))
    at = _HEAD + _table(content[10])
    while at < len(content):
        gathering.part()
        kind = content[at]
        if kind == _TRAILER:
            trailer.read(gathering, "gif", at + 1)
            return
        if kind == _EXTENSION:
            at = _extension(gathering, at)
        elif kind == _IMAGE and at + _DESCRIPTOR <= len(content):
            at = _skip(gathering, at + _DESCRIPTOR + _table(content[at + 9]) + 1)
        else:
            break
    raise BrokenError("has no end")


def _table(flags: int) -> int:
    return 3 << (flags & _TABLE_BITS) + 1 if flags & _HAS_TABLE else 0


def _extension(gathering: Gathering, at: int) -> int:
    """Read one extension; the place behind it."""
    content = gathering.content
    label, start = content[at + 1] if at + 1 < len(content) else 0, at + 2
    if label == _APPLICATION:
        name = content[start + 1 : start + 1 + content[start]] if start < len(content) else b""
        if name == _XMP:
            return _packet(gathering, start + 1 + len(_XMP))
        if name not in _KNOWN:
            data, stop = _joined(gathering, start + 1 + len(name))
            gathering.add("gif.application", loose(name), data, printable(data))
            return stop
    elif label == _COMMENT:
        data, stop = _joined(gathering, start)
        gathering.add("gif.comment", "Comment", data, loose(data))
        return stop
    elif label == _PLAIN_TEXT:
        head = content[start] if start < len(content) else 0
        data, stop = _joined(gathering, start + 1 + head)
        gathering.add("gif.text", "PlainText", data, loose(data))
        return stop
    elif label == _CONTROL and start + 1 < len(content):
        gathering.alpha |= bool(content[start + 1] & 1)
    return _skip(gathering, start)


def _packet(gathering: Gathering, start: int) -> int:
    """XMP stands there as it is, and 258 bytes behind it lead readers that expect blocks to the end."""
    content = gathering.content
    stop = content.find(b"\x01\xff\xfe", start)
    end = stop if stop >= 0 else len(content)
    data, cut = gathering.take(start, end)
    gathering.add("gif.XMP", "XMP", data, offset=start, truncated=cut)
    gathering.attempt("xmp", lambda: xmp.read(gathering, data, start))
    return end + _XMP_MAGIC + 2 if stop >= 0 else len(content)


def _joined(gathering: Gathering, at: int) -> tuple[bytes, int]:
    """The sub-blocks from ``at`` on as one, as much as a field may have, and the place behind them."""
    content, found, most, whole = gathering.content, bytearray(), gathering.most, 0
    while at < len(content) and content[at]:
        gathering.part()
        whole += content[at]
        if len(found) < most:
            found += content[at + 1 : at + 1 + content[at]]
        at += 1 + content[at]
    if whole > most:
        gathering.cut()
    return bytes(found[:most]), at + 1


def _skip(gathering: Gathering, at: int) -> int:
    """The place behind the sub-blocks from ``at`` on. Pixels have many, so that each counts for little."""
    content, blocks = gathering.content, 0
    while at < len(content) and content[at]:
        at += 1 + content[at]
        blocks += 1
        if blocks == _BLOCKS_A_PART:
            gathering.part()
            blocks = 0
    return at + 1

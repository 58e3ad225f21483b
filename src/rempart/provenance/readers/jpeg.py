"""JPEG: the segments, between the scans too, and what stands behind the end (ITU-T T.81, JFIF, Exif, XMP part 3)."""

from __future__ import annotations

import re
from typing import Final

from rempart.provenance.readers import iptc, tiff, trailer, xmp
from rempart.provenance.readers.gathering import BrokenError, Gathering
from rempart.provenance.readers.texts import loose, printable

_SOI, _EOI, _SOS, _DQT, _COM, _DHT = 0xD8, 0xD9, 0xDA, 0xDB, 0xFE, 0xC4
_APP0, _APP1, _APP2, _APP11, _APP13, _APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEF
_FILL: Final = frozenset((0x00, 0xFF))
_NO_FRAMES: Final = frozenset((_DHT, 0xC8, 0xCC))
_BARE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
_NEXT_MARKER: Final = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")

_EXIF: Final = b"Exif\0"
_EXIF_HEAD: Final = 6
_XMP: Final = b"http://ns.adobe.com/xap/1.0/"
_XMP_MORE: Final = b"http://ns.adobe.com/xmp/extension/\0"
_GUID: Final = 32
_MORE_HEAD: Final = 40
_MOST_EXTENDED: Final = 8
_MULTIPLE: Final = b"MPF\0"
_PICTURES: Final = 0xB001
_BOX: Final = b"JP"
_LABEL: Final = b"AIGC"
_PASSED: Final = (b"ICC_PROFILE\0", b"FPXR\0", b"Adobe", b"Ducky")
_IDENTIFIER: Final = 48


def read(gathering: Gathering) -> None:
    """Read all segments up to the end of the picture, then what stands behind it.

    Raises:
        BrokenError: the segments end in the middle.
        ExhaustedError: there are too many.
    """
    walk = _Walk(gathering)
    try:
        walk.segments()
    finally:
        walk.gathered()


class _Walk:
    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._tables: dict[int, str] = {}
        self._blocks: list[bytes] = []
        self._blocks_at = -1
        self._extended: dict[bytes, list[tuple[int, bytes]]] = {}
        self._jumbf = 0

    def segments(self) -> None:
        content = self._gathering.content
        at, end = 2, len(content)
        while at + 2 <= end:
            if content[at] != 0xFF:  # noqa: PLR2004 -- every marker begins so
                at = self._stray(at)
                continue
            marker = content[at + 1]
            if marker in _FILL:
                at = self._behind_scan(at)
                continue
            self._gathering.part()
            if marker == _EOI:
                trailer.read(self._gathering, "jpeg", at + 2)
                return
            if marker in _BARE or marker == _SOI:
                at += 2
                continue
            start = at + 4
            stop = at + 2 + int.from_bytes(content[at + 2 : start], "big")
            if stop < start or stop > end:
                self._segment(marker, start, min(max(stop, start), end))
                raise BrokenError("ends within a segment")
            self._segment(marker, start, stop)
            at = self._behind_scan(stop) if marker == _SOS else stop
        self._gathering.structure["jpeg.end"] = "missing"
        raise BrokenError("has no end")

    def gathered(self) -> None:
        """Read what was spread over several segments."""
        gathering = self._gathering
        if self._tables:
            gathering.structure["jpeg.dqt"] = ",".join(self._tables[one] for one in sorted(self._tables))
        if self._jumbf:
            gathering.structure["jpeg.jumbf"] = str(self._jumbf)
        if self._blocks:
            whole = b"".join(self._blocks)
            place = self._blocks_at if len(self._blocks) == 1 else -1
            gathering.attempt("iptc", lambda: iptc.resources(gathering, whole, place))
        for pieces in self._extended.values():
            packet = b"".join(piece for _, piece in sorted(pieces))[: gathering.limits.field_bytes]
            gathering.attempt("xmp", lambda packet=packet: xmp.read(gathering, packet))  # type: ignore[misc]

    def _behind_scan(self, at: int) -> int:
        """The place of the first marker that does not belong to the scan; the end of the file where there is none."""
        found = _NEXT_MARKER.search(self._gathering.content, at)
        return found.start() if found else len(self._gathering.content)

    def _stray(self, at: int) -> int:
        """Keep bytes that belong to no segment; some tools put a label there."""
        content = self._gathering.content
        found = _NEXT_MARKER.search(content, at)
        stop = found.start() if found else len(content)
        data = self._gathering.head(at, stop)
        self._gathering.part()
        self._labelled("jpeg.stray", "", data, at)
        return stop

    def _segment(self, marker: int, start: int, stop: int) -> None:
        gathering, content = self._gathering, self._gathering.content
        if marker == _COM:
            data, cut = gathering.take(start, stop)
            gathering.add("jpeg.COM", "Comment", data, loose(data.rstrip(b"\0")), offset=start, truncated=cut)
        elif marker == _DQT:
            self._quantisation(content[start:stop])
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:  # noqa: PLR2004
            self._frame(marker, content[start:stop])
        elif marker == _APP1:
            self._app1(start, stop)
        elif marker == _APP11 and content[start : start + 2] == _BOX:
            if not self._jumbf:
                data = gathering.head(start, stop)
                gathering.structure.setdefault("c2pa", "jpeg.APP11")
                gathering.add("jpeg.APP11", "JUMBF", data, offset=start)
            self._jumbf += stop - start
        elif marker == _APP13 and content.startswith(iptc.SIGNATURE, start, stop):
            begin = start + len(iptc.SIGNATURE)
            self._blocks_at = begin
            self._blocks.append(content[begin:stop])
        elif marker == _APP2 and content.startswith(_MULTIPLE, start, stop):
            gathering.attempt("mpf", lambda: _pictures(gathering, content[start + 4 : stop]))
        elif _APP0 <= marker <= _APP15:
            self._other(marker, start, stop)

    def _app1(self, start: int, stop: int) -> None:
        gathering, content = self._gathering, self._gathering.content
        if content.startswith(_EXIF, start, stop):
            begin = start + _EXIF_HEAD
            block = content[begin:stop]
            gathering.attempt("exif", lambda: tiff.exif(gathering, block, begin))
        elif content.startswith(_XMP, start, stop) or xmp.find(content[start : min(stop, start + _IDENTIFIER)]) == 0:
            begin = start + len(_XMP) if content.startswith(_XMP, start, stop) else start
            begin += content[begin : begin + 1] == b"\0"  # which some writers forget, or all that stands in front of it
            data, cut = gathering.take(begin, stop)
            gathering.add("jpeg.APP1", "XMP", data, offset=begin, truncated=cut)
            gathering.attempt("xmp", lambda: xmp.read(gathering, data, begin))
        elif content.startswith(_XMP_MORE, start, stop):
            begin = start + len(_XMP_MORE)
            guid = content[begin : begin + _GUID]
            if guid not in self._extended and len(self._extended) >= _MOST_EXTENDED:
                gathering.hit("parts")
                return
            place = int.from_bytes(content[begin + _GUID + 4 : begin + _MORE_HEAD], "big")
            self._extended.setdefault(guid, []).append((place, content[begin + _MORE_HEAD : stop]))
        else:
            self._other(_APP1, start, stop)

    def _other(self, marker: int, start: int, stop: int) -> None:
        """Keep a segment by its identifier, with its text if it is one."""
        gathering, content = self._gathering, self._gathering.content
        if any(content.startswith(one, start, stop) for one in _PASSED):
            return
        zero = content.find(b"\0", start, min(stop, start + _IDENTIFIER))
        identifier = content[start : max(zero, start)]
        begin = zero + 1
        if zero < 0 or not identifier.isascii() or not loose(identifier).isprintable():
            identifier, begin = b"", start
        data, cut = gathering.take(begin, stop)
        if marker == _APP0 and identifier == b"JFIF":
            _jfif(gathering, data)
            data, begin = data[9:], begin + 9
            if not data.strip(b"\0"):
                return
        self._labelled(f"jpeg.APP{marker - _APP0}", loose(identifier), data, begin, cut=cut)

    def _labelled(self, container: str, name: str, data: bytes, offset: int, *, cut: bool = False) -> None:
        """Keep loose bytes; those that begin with the name of the Chinese label have that name."""
        if data.startswith(_LABEL):
            name, data, offset = _LABEL.decode(), data[len(_LABEL) :].lstrip(b"\0:= "), -1
        self._gathering.add(container, name, data, printable(data, cut=True), offset=offset, truncated=cut)

    def _quantisation(self, body: bytes) -> None:
        """Note the tables; a later one of the same number takes the place of the earlier."""
        at = 0
        while at < len(body):
            self._gathering.part()
            size = 128 if body[at] >> 4 else 64
            values = body[at + 1 : at + 1 + size]
            if len(values) < size:
                self._gathering.fail("jpeg", "short table")
                return
            self._tables[body[at] & 3] = values.hex()
            at += 1 + size

    def _frame(self, marker: int, body: bytes) -> None:
        gathering = self._gathering
        if len(body) < 6 or gathering.width:  # noqa: PLR2004 -- what is read below
            return
        gathering.height, gathering.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        gathering.structure["jpeg.sof"] = f"{marker:02X}"
        factors = body[7 : 6 + 3 * min(body[5], 4) : 3]
        gathering.structure["jpeg.sampling"] = ",".join(f"{one >> 4}x{one & 15}" for one in factors)


def _jfif(gathering: Gathering, data: bytes) -> None:
    if len(data) >= 2:  # noqa: PLR2004
        gathering.structure["jpeg.jfif"] = f"{data[0]}.{data[1]:02d}"


def _pictures(gathering: Gathering, block: bytes) -> None:
    """Note how many pictures a multi-picture file says to have (CIPA DC-007).

    Raises:
        BrokenError: its directory cannot be read.
    """
    order = "little" if block[:2] == b"II" else "big"

    def number(at: int, width: int) -> int:
        return int.from_bytes(block[at : at + width], order)  # type: ignore[arg-type]

    at = number(4, 4)
    if block[:2] not in {b"II", b"MM"} or at + 2 > len(block):
        raise BrokenError("bad directory")
    for place in range(at + 2, min(at + 2 + 12 * min(number(at, 2), 64), len(block) - 11), 12):
        if number(place, 2) == _PICTURES:
            gathering.structure["jpeg.mpf"] = str(number(place + 8, 4))

"""TIFF and Exif: directories of tags (TIFF 6.0, BigTIFF, Exif 3.0)."""

from __future__ import annotations

import struct
from typing import Final, Literal

from rempart.provenance.readers import iptc, tags, xmp
from rempart.provenance.readers.gathering import HEAD_BYTES, BrokenError, Gathering
from rempart.provenance.readers.texts import charset_text, guessed, printable, utf16

Order = Literal["big", "little"]

MOST_ENTRIES: Final = 400
"""Entries that are read of one directory."""

_MOST_DIRECTORIES: Final = 64
_MOST_NUMBERS: Final = 64
_SHORT_TEXT: Final = 64
_ORDERS: Final[dict[bytes, Order]] = {b"II": "little", b"MM": "big"}
_ASCII, _UTF8, _UNDEFINED = 2, 129, 7
_WIDTHS: Final = {
    kind: width
    for width, kinds in {
        1: (1, _ASCII, 6, _UNDEFINED, _UTF8),
        2: (3, 8),
        4: (4, 9, 11, 13),
        8: (5, 10, 12, 16, 17, 18),
    }.items()
    for kind in kinds
}
_CODES: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_RATIONALS: Final = {5: "I", 10: "i"}
_BYTES: Final = frozenset((1, 6, _UNDEFINED))

_EXIF, _GPS, _INTEROPERABILITY, _SUB = 0x8769, 0x8825, 0xA005, 0x014A
_BELOW: Final = {
    _EXIF: ("exif.Exif", tags.EXIF),
    _GPS: ("exif.GPS", tags.GPS),
    _INTEROPERABILITY: ("exif.Interop", tags.INTEROPERABILITY),
}
_XMP, _IPTC, _PHOTOSHOP, _C2PA, _MAKER_NOTE = 0x02BC, 0x83BB, 0x8649, 0xCD41, 0x927C
_WIDTH, _LENGTH, _EXTRA_SAMPLES = 0x0100, 0x0101, 0x0152
_THUMBNAIL, _THUMBNAIL_BYTES = 0x0201, 0x0202
# Where the pixels lie, how they are packed, and how their colours are meant: long, and nothing of where they are from.
_PASSED: Final = frozenset(
    (
        *(0x0111, 0x0117, 0x0120, 0x0121, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x015B, 0x012D, 0x8773, 0x935C),
        *(0xC740, 0xC741, 0xC74E, 0xC65A, 0xC65B),
    )
)


def exif(gathering: Gathering, data: bytes, offset: int, *, cut: bool = False) -> None:
    """Read an Exif block. ``offset`` is its place in the file, -1 where it was inflated or put together.

    Raises:
        BrokenError: it is none.
        ExhaustedError: there is too much in it.
    """
    _Block(gathering, data, offset, is_file=False).read()
    if cut:
        raise BrokenError("block is longer than the limit")


def read(gathering: Gathering) -> None:
    """Read a whole TIFF file.

    Raises:
        BrokenError: its first directory cannot be found.
        ExhaustedError: there is too much in it.
    """
    _Block(gathering, gathering.content, 0, is_file=True).read()


class _Block:
    def __init__(self, gathering: Gathering, data: bytes, offset: int, *, is_file: bool) -> None:
        self._gathering = gathering
        self._data = data
        self._offset = offset
        self._is_file = is_file
        self._order: Order = "big"
        self._sign = ">"
        self._is_big = False
        self._seen: set[int] = set()
        self._size = (0, 0)

    def read(self) -> None:
        if self._data[:2] not in _ORDERS:
            raise BrokenError("no byte order")
        self._order = _ORDERS[self._data[:2]]
        self._sign = "<" if self._order == "little" else ">"
        self._is_big = self._data[2:4] in {b"+\0", b"\0+"}
        self._gathering.structure["exif.order"] = self._order
        at = self._number(8, 8) if self._is_big else self._number(4, 4)
        if not 0 < at < len(self._data):
            raise BrokenError("first directory lies outside")
        number = 0
        while at:
            at = self._directory(at, f"exif.IFD{number}", tags.TIFF)
            number += 1
        if self._is_file:
            self._gathering.width, self._gathering.height = self._size

    def _directory(self, at: int, container: str, names: dict[int, str]) -> int:
        """Read one directory and those below it; the place of the next, 0 where there is none."""
        if at in self._seen:
            self._gathering.structure["exif.circle"] = container  # all that is in it was read: nothing is missing
            return 0
        if len(self._seen) >= _MOST_DIRECTORIES:
            self._gathering.hit("directories")
            return 0
        self._seen.add(at)
        wide, entry = (8, 20) if self._is_big else (2, 12)
        start, count = at + wide, self._number(at, wide)
        if not 0 < at < len(self._data) or (whole := (len(self._data) - start) // entry) <= 0:
            self._gathering.fail("exif", "directory lies outside")
            return 0
        if count > min(whole, MOST_ENTRIES):
            if count > MOST_ENTRIES:
                self._gathering.hit("entries")
            else:
                self._gathering.fail("exif", "directory reaches beyond the end")
        found: dict[int, int] = {}
        below: list[tuple[int, int]] = []
        for place in range(start, start + entry * min(count, whole, MOST_ENTRIES), entry):
            self._gathering.part()
            self._entry(place, container, names, found, below)
        self._sizes(container, found)
        for tag, target in below:
            inner, inner_names = _BELOW.get(tag, ("exif.SubIFD", tags.TIFF))
            self._directory(target, inner, inner_names)
        following = start + entry * count
        return self._number(following, 8 if self._is_big else 4) if following < len(self._data) else 0

    def _entry(
        self,
        place: int,
        container: str,
        names: dict[int, str],
        found: dict[int, int],
        below: list[tuple[int, int]],
    ) -> None:
        slot = 8 if self._is_big else 4
        tag, kind = self._number(place, 2), self._number(place + 2, 2)
        count = self._number(place + 4, slot)
        width = _WIDTHS.get(kind, 0)
        start = place + 4 + slot
        if not width or not count or tag in _PASSED:
            return
        size = width * count
        if size > slot:
            start = self._number(start, slot)
        if start >= len(self._data):
            self._gathering.fail("exif", "value lies outside")
            return
        stop = start + size
        if stop > len(self._data):
            self._gathering.fail("exif", "value reaches beyond the end")
            stop = len(self._data)
        if tag in _BELOW or tag == _SUB:
            below.extend((tag, one) for one in self._integers(kind, start, stop))
            return
        if tag in {_WIDTH, _LENGTH, _EXTRA_SAMPLES, _THUMBNAIL, _THUMBNAIL_BYTES} and kind in _CODES:
            found[tag] = next(iter(self._integers(kind, start, stop)), 0)
        self._value(tag, kind, container, names, start, stop)

    def _value(self, tag: int, kind: int, container: str, names: dict[int, str], start: int, stop: int) -> None:
        name = names.get(tag) or tags.TIFF.get(tag) or tags.EXIF.get(tag) or f"0x{tag:04X}"
        if container == "exif.GPS":
            name = tags.GPS.get(tag, f"0x{tag:04X}")
        most = self._gathering.most
        is_bulk = tag == _C2PA or (name.startswith("0x") and kind in _BYTES)
        if is_bulk:
            most = min(most, HEAD_BYTES)
        cut = stop - start > most
        if cut and (most < HEAD_BYTES or not is_bulk):
            self._gathering.cut()
        data = self._data[start : min(stop, start + most)]
        offset = self._offset + start if self._offset >= 0 else -1
        if tag == _MAKER_NOTE:
            self._maker_note(data)
            container = "exif.MakerNote"
        text = self._text(name, kind, data, cut=cut)
        self._gathering.add(container, name, data, text, offset=offset, truncated=cut and not is_bulk)
        if tag == _XMP:
            self._gathering.attempt("xmp", lambda: xmp.read(self._gathering, data, offset))
        elif tag == _IPTC:
            self._gathering.attempt("iptc", lambda: iptc.records(self._gathering, data, offset))
        elif tag == _PHOTOSHOP:
            self._gathering.attempt("iptc", lambda: iptc.resources(self._gathering, data, offset))
        elif tag == _C2PA:
            self._gathering.structure.setdefault("c2pa", container)

    def _text(self, name: str, kind: int, data: bytes, *, cut: bool) -> str | None:
        """A value as a text: numbers in decimal digits, fractions as they are, None for what is neither."""
        if name in {"XMP", "IPTC", "PhotoshopSettings", "C2PA", "MakerNote"}:
            return None
        if name in tags.CHARSET_TEXTS:
            return charset_text(data, self._order, cut=cut)
        if name in tags.WINDOWS_TEXTS:
            return utf16(data, "little").rstrip("\0")
        if kind in {_ASCII, _UTF8} or (name in tags.TEXTS and kind in _BYTES):
            return guessed(data, self._order, cut=cut)
        if kind == _UNDEFINED or (kind == 1 and len(data) > _MOST_NUMBERS):
            return printable(data, cut=cut)
        return self._numbers(kind, data)

    def _numbers(self, kind: int, data: bytes) -> str | None:
        count = min(len(data) // _WIDTHS[kind], _MOST_NUMBERS + 1)
        if count > _MOST_NUMBERS:
            return None
        if kind in _RATIONALS:
            values = struct.unpack_from(f"{self._sign}{2 * count}{_RATIONALS[kind]}", data)
            return " ".join(f"{values[at]}/{values[at + 1]}" for at in range(0, 2 * count, 2))
        return " ".join(map(str, struct.unpack_from(f"{self._sign}{count}{_CODES[kind]}", data)))

    def _integers(self, kind: int, start: int, stop: int) -> tuple[int, ...]:
        code = _CODES.get(kind, "")
        if code not in {"B", "H", "I", "Q"}:
            return ()
        count = min((stop - start) // _WIDTHS[kind], _MOST_DIRECTORIES)
        return struct.unpack_from(f"{self._sign}{count}{code}", self._data, start)

    def _maker_note(self, data: bytes) -> None:
        """Tell whose block it is by its signature; many makers write a plain directory without one."""
        for signature, maker in tags.MAKER_NOTES:
            if data.startswith(signature):
                self._gathering.structure["exif.makernote"] = maker
                return
        is_plain = any(_is_directory(data, sign) for sign in "<>")
        self._gathering.structure["exif.makernote"] = "ifd" if is_plain else "unknown"

    def _sizes(self, container: str, found: dict[int, int]) -> None:
        """Note the size of the picture, or that of the thumbnail that Exif keeps in its second directory."""
        size = (found.get(_WIDTH, 0), found.get(_LENGTH, 0))
        if self._is_file and size[0] * size[1] > self._size[0] * self._size[1]:
            self._size = size
            self._gathering.alpha = found.get(_EXTRA_SAMPLES, 0) in {1, 2}
        if container != "exif.IFD1":
            return
        at, length = found.get(_THUMBNAIL, 0), found.get(_THUMBNAIL_BYTES, 0)
        if at and length:
            size = jpeg_size(self._data[at : min(at + length, at + HEAD_BYTES)])
        if all(size):
            self._gathering.structure["exif.thumbnail"] = f"{size[0]}x{size[1]}"

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._data[at : at + width], self._order)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG's first frame header tells; (0, 0) where there is none."""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while data[at : at + 1] == b"\xff" and at + 9 <= len(data):
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # noqa: PLR2004 -- the frame headers
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + max(size, 2)
    return 0, 0


def _is_directory(data: bytes, sign: str) -> bool:
    """Whether bytes begin like a directory: a count, and entries of known types in rising order."""
    if len(data) < 14:  # noqa: PLR2004 -- a count and one entry
        return False
    count = struct.unpack_from(f"{sign}H", data)[0]
    if not 0 < count <= MOST_ENTRIES or 2 + 12 * count > len(data):
        return False
    kinds = [struct.unpack_from(f"{sign}H", data, 4 + 12 * number)[0] for number in range(count)]
    return all(kind in _WIDTHS for kind in kinds)

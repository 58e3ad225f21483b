"""HEIF, AVIF, MP4 and QuickTime: boxes, the items that hold Exif and XMP, and the texts of films (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from rempart.provenance.readers import tiff, trailer, xmp
from rempart.provenance.readers.gathering import BrokenError, ExhaustedError, Gathering
from rempart.provenance.readers.texts import loose, printable, utf16

_C2PA: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_UUID_BYTES: Final = 16
_HEAD, _LONG_HEAD = 8, 16
_FULL: Final = 4
_EXIF: Final = b"Exif\0\0"
_RDF_TYPES: Final = frozenset((b"application/rdf+xml",))
_TEXT_TYPES: Final = (b"text/", b"application/json", b"application/xml")
_ITEM_TYPES: Final = frozenset((b"Exif", b"mime", b"uri "))
_COPYRIGHT_SIGN: Final = 0xA9
_UTF8_VALUE, _UTF16_VALUE, _PICTURES = 1, 2, frozenset((13, 14, 27))
_INTEGERS: Final = frozenset((21, 22, 65, 66, 67, 74, 75, 76, 77, 78))
_SIGNED: Final = frozenset((21, 65, 66, 67, 74))
_TEXT_STARTS: Final = (0, 4, 6, 8)
_THREE_GPP: Final = frozenset((b"titl", b"dscp", b"cprt", b"perf", b"auth", b"gnre", b"albm", b"kywd"))
_QUIET: Final = frozenset((b"free", b"skip", b"mdat", b"wide", b"hdlr", b"pnot"))
_OUTER: Final = frozenset(
    (
        *(b"ftyp", b"moov", b"mdat", b"meta", b"free", b"skip", b"wide", b"uuid", b"moof", b"mfra", b"sidx", b"styp"),
        *(b"udta", b"idat", b"pdin", b"emsg", b"jumb", b"sefd", b"mpvd"),
    )
)
_VERSION_TWO: Final = 2
_ALPHA: Final = b"alpha"


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Item(NamedTuple):
    kind: bytes
    type: bytes


def read(gathering: Gathering) -> None:
    """Read all boxes of a file.

    Raises:
        BrokenError: the boxes end in the middle.
        ExhaustedError: there are too many.
    """
    _Walk(gathering).read()


class _Walk:
    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._content = gathering.content
        self._size = (0, 0)

    def read(self) -> None:
        for box in self._boxes(0, len(self._content), 0):
            self._outer(box)
        if not self._gathering.width:
            self._gathering.width, self._gathering.height = self._size

    def _outer(self, box: _Box) -> None:
        if box.kind == b"ftyp":
            self._gathering.structure["bmff.brand"] = loose(self._content[box.start : box.start + 4]).strip()
        elif box.kind == b"moov":
            self._gathering.attempt("bmff", lambda: self._movie(box, 1))
        elif box.kind == b"sefd":
            self._gathering.attempt("samsung", lambda: trailer.samsung(self._gathering, box.start, box.end))
        else:
            self._common(box, 1)

    def _common(self, box: _Box, depth: int) -> None:
        """Boxes that may stand in a file, a film or a track."""
        if box.kind == b"meta":
            self._gathering.attempt("bmff", lambda: self._meta(box, depth + 1))
        elif box.kind == b"udta":
            self._gathering.attempt("bmff", lambda: self._user_data(box, depth + 1))
        elif box.kind == b"uuid":
            self._gathering.attempt("bmff", lambda: self._uuid(box))

    def _movie(self, box: _Box, depth: int) -> None:
        for inner in self._boxes(box.start, box.end, depth):
            if inner.kind == b"trak":
                self._movie(inner, depth + 1)
            elif inner.kind == b"tkhd":
                self._grown(self._number(inner.end - 8, 4) >> 16, self._number(inner.end - 4, 4) >> 16)
            else:
                self._common(inner, depth)

    def _grown(self, width: int, height: int) -> None:
        if width * height > self._size[0] * self._size[1]:
            self._size = (width, height)

    def _uuid(self, box: _Box) -> None:
        gathering, start = self._gathering, box.start + _UUID_BYTES
        kind = self._content[box.start : start]
        if kind == _XMP:
            self._packet("bmff.uuid", start, box.end)
            return
        name = "C2PA" if kind == _C2PA else kind.hex()
        if kind == _C2PA:
            gathering.structure.setdefault("c2pa", "bmff.uuid")
        data = gathering.head(start, box.end)
        gathering.add("bmff.uuid", name, data, printable(data, cut=True), offset=start)

    def _packet(self, container: str, start: int, end: int) -> None:
        data, cut = self._gathering.take(start, end)
        self._gathering.add(container, "XMP", data, offset=start, truncated=cut)
        self._gathering.attempt("xmp", lambda: xmp.read(self._gathering, data, start))

    # Texts of films.

    def _user_data(self, box: _Box, depth: int) -> None:
        for inner in self._boxes(box.start, box.end, depth, ends_with_zero=True):
            if inner.kind == b"meta":
                self._meta(inner, depth + 1)
            elif inner.kind == b"XMP_":
                self._packet("bmff.udta", inner.start, inner.end)
            elif inner.kind == b"uuid":
                self._uuid(inner)
            elif inner.kind not in _QUIET:
                self._user_text(inner)

    def _user_text(self, box: _Box) -> None:
        """A text of QuickTime behind its length and language, one of 3GPP behind its language, or whatever it is."""
        data, cut = self._gathering.take(box.start, box.end)
        text: str | None = None
        if box.kind[0] == _COPYRIGHT_SIGN:
            size = int.from_bytes(data[:2], "big")
            text = loose(data[4 : 4 + size]).rstrip("\0")
        elif box.kind in _THREE_GPP:
            body = data[6:]
            text = (utf16(body) if body[:2] in {b"\xfe\xff", b"\xff\xfe"} else loose(body)).rstrip("\0")
        else:
            text = next(
                (found for at in _TEXT_STARTS if (found := printable(data[at:], cut=cut)) is not None),
                None,
            )
        name = loose(box.kind)
        self._gathering.add("bmff.udta", name, data, text, offset=box.start, truncated=cut)

    def _list(self, box: _Box, keys: list[str], depth: int) -> None:
        """The values of a list of items; their names stand in the list, or are numbers of keys."""
        for item in self._boxes(box.start, box.end, depth):
            number = int.from_bytes(item.kind, "big")
            name = keys[number - 1] if 0 < number <= len(keys) else loose(item.kind)
            for inner in self._boxes(item.start, item.end, depth + 1):
                if inner.kind == b"name":
                    name = loose(self._content[inner.start + _FULL : min(inner.end, inner.start + 256)])
                elif inner.kind == b"data":
                    self._value(name, inner)

    def _value(self, name: str, box: _Box) -> None:
        kind, start = self._number(box.start, 4) & 0xFFFFFF, box.start + 8
        if kind in _PICTURES:
            return
        data, cut = self._gathering.take(start, box.end)
        if kind == _UTF8_VALUE:
            text: str | None = loose(data, cut=cut)
        elif kind == _UTF16_VALUE:
            text = utf16(data)
        elif kind in _INTEGERS and len(data) <= 8:  # noqa: PLR2004
            text = str(int.from_bytes(data, "big", signed=kind in _SIGNED))
        else:
            text = printable(data, cut=cut)
        self._gathering.add("bmff.ilst", name, data, text, offset=start, truncated=cut)

    # Items of pictures.

    def _meta(self, box: _Box, depth: int) -> None:
        # QuickTime's box of that name has no version in front of its boxes.
        start = box.start if self._content[box.start + 4 : box.start + 8] == b"hdlr" else box.start + _FULL
        found = {inner.kind: inner for inner in self._boxes(start, box.end, depth)}
        keys = self._keys(found[b"keys"]) if b"keys" in found else []
        for inner in self._boxes(start, box.end, depth):
            if inner.kind == b"ilst":
                self._list(inner, keys, depth + 1)
            elif inner.kind == b"uuid":
                self._uuid(inner)
        if b"iprp" in found:
            primary = self._primary(found.get(b"pitm"))
            self._gathering.attempt("bmff", lambda: self._properties(found[b"iprp"], primary, depth + 1))
        if b"iinf" in found and b"iloc" in found:
            self._items(found, depth + 1)

    def _keys(self, box: _Box) -> list[str]:
        names, at = [], box.start + 8
        while at + 8 <= box.end:
            self._gathering.part()
            size = self._number(at, 4)
            if size < 8 or at + size > box.end:  # noqa: PLR2004
                break
            names.append(loose(self._content[at + 8 : min(at + size, at + 264)]))
            at += size
        return names

    def _primary(self, box: _Box | None) -> int:
        if box is None:
            return -1
        return self._number(box.start + _FULL, 4 if self._content[box.start : box.start + 1] != b"\0" else 2)

    def _items(self, found: dict[bytes, _Box], depth: int) -> None:
        """Read the items that are texts or tags."""
        box = found[b"iinf"]
        wide = 4 if self._number(box.start, 1) else 2
        items: dict[int, _Item] = {}
        for entry in self._boxes(box.start + _FULL + wide, box.end, depth):
            version = self._content[entry.start] if entry.start < entry.end else 0
            if entry.kind != b"infe" or version < _VERSION_TWO:
                continue
            wide = 2 if version == _VERSION_TWO else 4
            at = entry.start + _FULL + wide + 2
            kind = self._content[at : at + 4]
            if kind in _ITEM_TYPES:
                names = self._content[at + 4 : min(entry.end, at + 4 + 512)].split(b"\0")
                items[self._number(entry.start + _FULL, wide)] = _Item(kind, names[1] if len(names) > 1 else b"")
        if items:
            idat = found.get(b"idat")
            for number, place in self._locations(found[b"iloc"], idat.start if idat else -1):
                if number in items:
                    self._gathering.attempt("bmff", lambda one=items[number], place=place: self._item(one, place))  # type: ignore[misc]

    def _locations(self, box: _Box, idat: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """The number of each item, and where its pieces begin and end."""
        version = self._content[box.start] if box.start < box.end else 0
        sizes = self._number(box.start + _FULL, 2)
        offset_wide, length_wide, base_wide = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_wide = sizes & 15 if version else 0
        wide = 4 if version == _VERSION_TWO else 2
        at = box.start + 6
        count, at = self._number(at, wide), at + wide
        for _ in range(count):
            if at >= box.end:
                return
            self._gathering.part()
            item, at, method = self._number(at, wide), at + wide, 0
            if version:
                method, at = self._number(at, 2) & 15, at + 2
            base, at = self._number(at + 2, base_wide), at + 2 + base_wide
            pieces, at = self._number(at, 2), at + 2
            base += idat if method == 1 else 0
            places = []
            for _ in range(pieces):
                if at >= box.end:
                    break
                self._gathering.part()
                start = base + self._number(at + index_wide, offset_wide)
                length = self._number(at + index_wide + offset_wide, length_wide)
                places.append((start, start + length if length else len(self._content)))
                at += index_wide + offset_wide + length_wide
            if method == 0 or (method == 1 and idat >= 0):
                yield item, places

    def _item(self, item: _Item, places: list[tuple[int, int]]) -> None:
        gathering = self._gathering
        found, cut = bytearray(), False
        for start, end in places:
            if start >= len(self._content) or end > len(self._content):
                gathering.fail("bmff", "item reaches beyond the end")
            room = gathering.most - len(found)
            cut |= end - start > room
            found += self._content[start : min(end, start + max(room, 0))]
        if cut:
            gathering.cut()
        gathering.spend(len(found))
        data, offset = bytes(found), places[0][0] if len(places) == 1 else -1
        if item.kind == b"Exif":
            skipped = 4 + int.from_bytes(data[:4], "big")
            if data[skipped : skipped + 2] not in {b"II", b"MM"}:  # some writers count otherwise
                skipped = max(data.find(_EXIF) + len(_EXIF), 4) if _EXIF in data[:64] else 4
            place = offset + skipped if offset >= 0 else -1
            gathering.attempt("exif", lambda: tiff.exif(gathering, data[skipped:], place, cut=cut))
        elif item.type in _RDF_TYPES:
            gathering.add("bmff.meta", "XMP", data, offset=offset, truncated=cut)
            gathering.attempt("xmp", lambda: xmp.read(gathering, data, offset))
        elif item.kind != b"mime" or item.type.startswith(_TEXT_TYPES):
            gathering.add(
                "bmff.meta", loose(item.type or item.kind), data, printable(data), offset=offset, truncated=cut
            )

    def _properties(self, box: _Box, primary: int, depth: int) -> None:
        """Find the size of the primary picture, and whether any has an alpha plane."""
        properties: list[_Box] = []
        owners: list[_Box] = []
        for inner in self._boxes(box.start, box.end, depth):
            if inner.kind == b"ipco":
                properties = list(self._boxes(inner.start, inner.end, depth + 1))
            elif inner.kind == b"ipma":
                owners.append(inner)
        for one in properties:
            if one.kind == b"auxC" and _ALPHA in self._content[one.start : min(one.end, one.start + 256)]:
                self._gathering.alpha = True
        sizes = {
            number: (self._number(one.start + 4, 4), self._number(one.start + 8, 4))
            for number, one in enumerate(properties, 1)
            if one.kind == b"ispe"
        }
        for width, height in sizes.values():
            self._grown(width, height)
        for owner in owners:
            for number in self._owned(owner, primary):
                if number in sizes:
                    self._gathering.width, self._gathering.height = sizes[number]

    def _owned(self, box: _Box, item: int) -> list[int]:
        """Numbers of the properties that an item has."""
        version, flags = self._number(box.start, 1), self._number(box.start + 1, 3)
        item_wide, wide = 4 if version else 2, 2 if flags & 1 else 1
        at = box.start + 8
        for _ in range(self._number(box.start + 4, 4)):
            if at + item_wide >= box.end:
                break
            self._gathering.part()
            count = self._content[at + item_wide]
            start = at + item_wide + 1
            if self._number(at, item_wide) == item:
                mask = 0x7FFF if wide == 2 else 0x7F  # noqa: PLR2004 -- without the bit for essential ones
                return [self._number(start + wide * one, wide) & mask for one in range(count)]
            at = start + wide * count
        return []

    def _boxes(self, at: int, end: int, depth: int, *, ends_with_zero: bool = False) -> Iterator[_Box]:
        """The boxes from ``at`` to ``end``. What does not fit is a failure, and at the end of a file its trailer."""
        if depth > self._gathering.limits.depth:
            self._gathering.hit("depth")
            raise ExhaustedError
        while at + _HEAD <= end:
            self._gathering.part()
            size, head = self._number(at, 4), _HEAD
            if size == 1:
                size, head = self._number(at + 8, 8), _LONG_HEAD
            if size == 0 and ends_with_zero:
                return  # QuickTime closes a list of user data so
            stop = at + size if size else end
            if stop < at + head or stop > end:
                self._overrun(at, depth)
                return
            yield _Box(self._content[at + 4 : at + 8], at + head, stop)
            at = stop

    def _overrun(self, at: int, depth: int) -> None:
        if depth or at == 0:
            raise BrokenError("box reaches beyond its end")
        if self._content[at + 4 : at + 8] in _OUTER:
            raise BrokenError("ends within a box")
        trailer.read(self._gathering, "bmff", at)

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._content[at : at + width], "big")

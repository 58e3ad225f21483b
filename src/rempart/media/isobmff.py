"""Find what an HEIF or AVIF file holds: its picture items and its tracks (ISO/IEC 14496-12, ISO/IEC 23008-12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_PICTURES = frozenset((b"hvc1", b"av01", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci", b"grid", b"iovl", b"iden"))
_SUPPORTING = (b"thmb", b"auxl")
_SHOWN_TRACKS = (b"pict", b"vide")
_HIDDEN = 1


class Inside(NamedTuple):
    """What the boxes say.

    Attributes:
        primary: number of the item that is to be shown; None when there is none.
        primary_pointer: offset and width in bytes of that number; (0, 0) when there is none.
        pictures: numbers of all items that a viewer may show: no thumbnail, no mask, no tile of another, none hidden.
        track_frames: frames in all picture tracks.
        movie_at: offset of the name of the box that holds the tracks; 0 when there is none.
        track_shows_primary: whether the first of them is stored in the very bytes of the primary item.
    """

    primary: int | None
    primary_pointer: tuple[int, int]
    pictures: list[int]
    track_frames: int
    movie_at: int
    track_shows_primary: bool


class _Box(NamedTuple):
    kind: bytes
    name_at: int
    start: int
    end: int


def read(data: bytes) -> Inside:
    """Walk the boxes. Never raises: what cannot be walked is not there."""
    return _Walk(data).done()


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._primary: int | None = None
        self._pointer = (0, 0)
        self._items: dict[int, bool] = {}
        self._supporting: set[int] = set()
        self._places: dict[int, int] = {}
        self._track_frames = 0
        self._movie_at = 0
        self._track_at: int | None = None

    def done(self) -> Inside:
        for box in self._boxes(0, len(self._data)):
            if box.kind == b"meta":
                for inner in self._boxes(box.start + 4, box.end):
                    self._item_box(inner)
            elif box.kind == b"moov":
                self._movie_at = box.name_at
                for track in self._boxes(box.start, box.end):
                    if track.kind == b"trak":
                        self._track(track)
        shown = [item for item, hidden in self._items.items() if not hidden and item not in self._supporting]
        if self._primary in self._items and self._primary not in shown:
            shown.append(self._primary)
        same = self._track_at is not None and self._track_at == self._places.get(self._primary or 0)
        return Inside(self._primary, self._pointer, shown, self._track_frames, self._movie_at, same)

    def _item_box(self, box: _Box) -> None:
        version = self._number(box.start, 1)
        at = box.start + 4
        if box.kind == b"pitm":
            self._pointer = (at, 2 if version == 0 else 4)
            self._primary = self._number(*self._pointer)
        elif box.kind == b"iinf":
            for entry in self._boxes(at + (2 if version == 0 else 4), box.end):
                self._item(entry)
        elif box.kind == b"iref":
            for reference in self._boxes(at, box.end):
                self._reference(reference, 2 if version == 0 else 4)
        elif box.kind == b"iloc":
            self._locations(box, version)

    def _item(self, box: _Box) -> None:
        version, flags = self._number(box.start, 1), self._number(box.start + 1, 3)
        width = 2 if version == 2 else 4  # noqa: PLR2004 -- items of versions below 2 have no type, and are no pictures
        kind = self._data[box.start + 6 + width : box.start + 10 + width]
        if box.kind == b"infe" and kind in _PICTURES:
            self._items[self._number(box.start + 4, width)] = bool(flags & _HIDDEN)

    def _reference(self, box: _Box, width: int) -> None:
        if box.kind in _SUPPORTING:
            self._supporting.add(self._number(box.start, width))
        elif box.kind == b"dimg":
            start = box.start + width + 2
            end = min(start + width * self._number(box.start + width, 2), box.end)
            self._supporting.update(self._number(at, width) for at in range(start, end, width))

    def _locations(self, box: _Box, version: int) -> None:
        """Where items of one piece begin in the file."""
        sizes = self._number(box.start + 4, 2)
        offset_width, length_width, base_width = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_width = sizes & 15 if version else 0
        wide = 4 if version == 2 else 2  # noqa: PLR2004
        at = box.start + 6
        count, at = self._number(at, wide), at + wide
        for _ in range(count):
            item, at = self._number(at, wide), at + wide
            method = 0
            if version:
                method, at = self._number(at, 2) & 15, at + 2
            base, at = self._number(at + 2, base_width), at + 2 + base_width
            extents, at = self._number(at, 2), at + 2
            if extents == 1 and method == 0:
                self._places[item] = base + self._number(at + index_width, offset_width)
            at += extents * (index_width + offset_width + length_width)
            if at >= box.end:
                return

    def _track(self, track: _Box) -> None:
        media = self._below(track, b"mdia")
        handler = self._below(media, b"hdlr")
        table = self._below(self._below(media, b"minf"), b"stbl")
        if handler is None or table is None or self._data[handler.start + 8 : handler.start + 12] not in _SHOWN_TRACKS:
            return
        for box in self._boxes(table.start, table.end):
            if box.kind in (b"stsz", b"stz2"):
                self._track_frames += self._number(box.start + 8, 4)
            elif box.kind in (b"stco", b"co64") and self._track_at is None:
                self._track_at = self._number(box.start + 8, 4 if box.kind == b"stco" else 8)

    def _below(self, box: _Box | None, kind: bytes) -> _Box | None:
        return next((one for one in self._boxes(box.start, box.end) if one.kind == kind), None) if box else None

    def _boxes(self, at: int, end: int) -> Iterator[_Box]:
        while at + 8 <= end:
            size, head = self._number(at, 4), 8
            if size == 1:
                size, head = self._number(at + 8, 8), 16
            stop = min(at + size, end) if size else end
            if stop < at + head:
                return
            yield _Box(self._data[at + 4 : at + 8], at + 4, at + head, stop)
            at = stop

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._data[at : at + width], "big")

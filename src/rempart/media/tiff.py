"""Find the directories of a TIFF or BigTIFF: the chain of pages, and the sub-directories that pages point to.

After TIFF 6.0 and the TIFF/EP and Adobe supplements for tag 330 (SubIFDs).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

_SUB_DIRECTORIES = 330
_LONG, _IFD, _LONG8, _IFD8 = 4, 13, 16, 18
_VALUE_BYTES = {_LONG: 4, _IFD: 4, _LONG8: 8, _IFD8: 8}
# Directories may overlap, so that a small file holds millions of entries: walking ends here.
_MOST_ENTRIES = 1 << 20
_MOST_DIRECTORIES = 1 << 16

Order = Literal["big", "little"]


class Directories(NamedTuple):
    """Where the directories lie.

    Attributes:
        pages: offsets of the main chain, in order.
        subs: offsets of sub-directories and of what is chained to them.
        complete: whether all were walked.
        first_pointer: offset, width in bytes and byte order of the pointer to the first page.
    """

    pages: list[int]
    subs: list[int]
    complete: bool
    first_pointer: tuple[int, int, Order]


def directories(data: bytes) -> Directories:
    """Walk the chain and everything below it; each directory once, so that circles end. Never raises."""
    return _Walk(data).done()


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._order: Order = "little" if data[:2] == b"II" else "big"
        self._big = data[2:4] in (b"+\0", b"\0+")
        self._pointer = 8 if self._big else 4
        self._seen: set[int] = set()
        self._entries = 0
        self._below: list[int] = []
        self._complete = True

    def done(self) -> Directories:
        first = 8 if self._big else 4
        pages = self._chain(self._number(first, self._pointer))
        subs: list[int] = []
        while self._below:
            subs.extend(self._chain(self._below.pop(0)))
        return Directories(pages, subs, self._complete, (first, self._pointer, self._order))

    def _chain(self, at: int) -> list[int]:
        """The directories from one on; the last may point to where nothing is, and is then no directory but missing."""
        chain = []
        while at and at not in self._seen:
            if self._entries > _MOST_ENTRIES or len(self._seen) > _MOST_DIRECTORIES:
                self._complete = False
                break
            self._seen.add(at)
            chain.append(at)
            at = self._directory(at)
        return chain

    def _directory(self, at: int) -> int:
        """Note the sub-directories of one directory; the offset of the next."""
        width, entry = (8, 20) if self._big else (2, 12)
        start = at + width
        count = min(self._number(at, width), max(len(self._data) - start, 0) // entry)
        self._entries += count
        for place in range(start, start + count * entry, entry):
            if self._number(place, 2) == _SUB_DIRECTORIES:
                self._below.extend(self._values(place))
        return self._number(start + count * entry, self._pointer)

    def _values(self, place: int) -> list[int]:
        kind, count = self._number(place + 2, 2), self._number(place + 4, self._pointer)
        width = _VALUE_BYTES.get(kind, 0)
        at = place + 4 + self._pointer
        if width * count > self._pointer:
            at = self._number(at, self._pointer)
        if not width:
            return []
        end = min(at + width * count, len(self._data), at + width * _MOST_DIRECTORIES)
        return [self._number(one, width) for one in range(at, end, width)]

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._data[at : at + width], self._order)

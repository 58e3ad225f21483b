"""Whether a container says that it is longer than the file: then the end is missing, whatever still decodes.

Only the outermost structure is walked: boxes of an ISO file (ISO/IEC 14496-12, 4.2), the two elements of a Matroska
file (RFC 8794, 4 to 6), the chunks of a RIFF file. Formats that are mere streams do not say how long they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

Read: TypeAlias = Callable[[int, int], bytes]
"""So many bytes from an offset on, or fewer where the file ends."""

# What follows the last box may be anything, so only boxes that belong there count.
_BOXES: Final = frozenset(
    (
        *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"uuid", b"pnot", b"styp", b"sidx"),
        *(b"ssix", b"meta", b"pdin", b"udta", b"emsg", b"prft"),
    )
)
_MOST_BOXES: Final = 1_000_000
_BOX_HEAD, _LARGE_BOX_HEAD = 8, 16
_SEGMENT: Final = 0x18538067
_LONGEST_ID, _LONGEST_SIZE = 4, 8


def ends_early(form: str, read: Read, size: int) -> bool:
    """Whether a file of ``size`` bytes, in the format of that name, says that there are more."""
    if form in ("mp4", "mov"):
        return any(end > size for end in _box_ends(read, size))
    if form in ("matroska", "webm"):
        end = _segment_end(read)
        return end is not None and end > size
    if form == "avi":
        return any(end > size for end in _chunk_ends(read, size))
    return False


def _box_ends(read: Read, size: int) -> Iterator[int]:
    at = 0
    for _ in range(_MOST_BOXES):
        head = read(at, _LARGE_BOX_HEAD)
        if at >= size or len(head) < _BOX_HEAD or head[4:8] not in _BOXES:
            return
        length, least = int.from_bytes(head[:4], "big"), _BOX_HEAD
        if length == 1:
            length, least = int.from_bytes(head[8:].ljust(8, b"\xff"), "big"), _LARGE_BOX_HEAD
        if length < least:  # 0: to the end of the file
            return
        at += length
        yield at


def _chunk_ends(read: Read, size: int) -> Iterator[int]:
    at = 0
    while at < size and (head := read(at, 8))[:4] == b"RIFF":
        length = int.from_bytes(head[4:], "little")
        if not length:  # never filled in
            return
        at += 8 + length
        yield at
        at += length % 2


def _segment_end(read: Read) -> int | None:
    """Where the segment of a Matroska file ends; None when it does not say."""
    at = 0
    for _ in range(2):  # the header, then the segment
        head = read(at, _LONGEST_ID + _LONGEST_SIZE)
        id_bytes = _variable_length(head)
        size_bytes = _variable_length(head[id_bytes:])
        if not 0 < id_bytes <= _LONGEST_ID or not size_bytes or len(head) < id_bytes + size_bytes:
            return None
        bits = 7 * size_bytes
        length = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ((1 << bits) - 1)
        if length == (1 << bits) - 1:  # unknown, as in a live stream
            return None
        at += id_bytes + size_bytes + length
        if int.from_bytes(head[:id_bytes], "big") == _SEGMENT:
            return at
    return None


def _variable_length(head: bytes) -> int:
    """How many bytes a number takes whose first byte begins with that many zero bits but one; 0 when there is none."""
    return 9 - head[0].bit_length() if head and head[0] else 0

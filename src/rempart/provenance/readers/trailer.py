"""What stands behind the end of a picture: Samsung's blocks, packets that a tool has just appended, anything else."""

from __future__ import annotations

from typing import Final

from rempart.media.sniff import HEAD_BYTES as SNIFFED_BYTES
from rempart.media.sniff import sniff, sniff_other
from rempart.provenance.readers import xmp
from rempart.provenance.readers.gathering import HEAD_BYTES, BrokenError, Gathering
from rempart.provenance.readers.texts import printable

_SAMSUNG_HEAD: Final = b"SEFH"
_SAMSUNG_END: Final = b"SEFT"
_ENTRY: Final = 12
_MOST_BLOCKS: Final = 256
_PADDING: Final = 4096
_XMP_END: Final = b"</x:xmpmeta>"


def read(gathering: Gathering, reader: str, start: int) -> None:
    """Keep what stands from ``start`` to the end of the file, if it is more than padding."""
    content = gathering.content
    head = content[start : start + HEAD_BYTES]
    if not head.strip(b"\0\xff \r\n") and len(content) - start <= HEAD_BYTES:
        return
    gathering.structure[f"{reader}.trailer"] = str(len(content) - start)
    format_ = sniff(head[:SNIFFED_BYTES]) or sniff_other(head[:SNIFFED_BYTES])
    if format_:
        gathering.structure[f"{reader}.trailer.format"] = format_
    # Behind the pictures of many phones stands a whole video, so keeping only its beginning is no limit that was met.
    data = gathering.head(start, len(content))
    text = printable(data, cut=start + len(data) < len(content))
    gathering.add("trailer", "", data, text, offset=start, truncated=len(data) < len(head))
    gathering.attempt("samsung", lambda: samsung(gathering, start, len(content)))
    at = xmp.find(head)
    if at >= 0 and not format_:
        end = content.find(_XMP_END, start + at, start + at + gathering.most)
        packet, _ = gathering.take(start + at, end + len(_XMP_END) if end >= 0 else start + HEAD_BYTES)
        gathering.attempt("xmp", lambda: xmp.read(gathering, packet, start + at))


def samsung(gathering: Gathering, start: int, end: int) -> None:
    """Keep the named blocks of a Samsung trailer: a table at the very end says how far in front of it each stands.

    Raises:
        BrokenError: the table does not fit.
    """
    content = gathering.content
    tail = content[max(start, end - _PADDING) : end]
    end -= len(tail) - len(tail.rstrip(b"\0"))
    if content[end - 4 : end] != _SAMSUNG_END:
        return
    size = int.from_bytes(content[end - 8 : end - 4], "little")
    table = end - 8 - size
    if table < start or content[table : table + 4] != _SAMSUNG_HEAD:
        raise BrokenError("bad table")
    count = int.from_bytes(content[table + 8 : table + 12], "little")
    for number in range(min(count, _MOST_BLOCKS, max(size - 12, 0) // _ENTRY)):
        gathering.part()
        entry = table + 12 + number * _ENTRY
        back = int.from_bytes(content[entry + 4 : entry + 8], "little")
        length = int.from_bytes(content[entry + 8 : entry + 12], "little")
        at = table - back
        if at < start or length > back:
            raise BrokenError("block outside of the trailer")
        wide = int.from_bytes(content[at + 4 : at + 8], "little")
        if wide > length - 8:
            raise BrokenError("bad name of a block")
        name = content[at + 8 : at + 8 + min(wide, 64)].decode("ascii", "replace")
        value = gathering.head(at + 8 + wide, at + length)
        gathering.add("trailer", name, value, printable(value, cut=True), offset=at + 8 + wide)
    if count > _MOST_BLOCKS:
        gathering.hit("parts")

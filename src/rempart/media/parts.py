"""Find the pictures that a file holds beside the ones its decoder gives: further sizes, sub-directories, items, tracks.

Decoders choose: the largest size of an icon, the main directories of a TIFF, the primary item of an AVIF or its track,
but not both. A viewer may choose otherwise, so a known picture must not pass in what was left. Each such picture is
reached by changing a few bytes of the file, so that the decoder's choice falls on it.
"""

from __future__ import annotations

from typing import NamedTuple

from rempart.errors import Reason
from rempart.media import isobmff, tiff
from rempart.media.outcome import Refused

Patch = tuple[int, bytes]
"""An offset, and what is written there instead."""

_ICON, _CURSOR = b"\0\0\1\0", b"\0\0\2\0"
_ENTRIES, _ENTRY = 6, 16
_APPLE_ICON, _CHUNK_HEAD, _MOST_CHUNKS = b"icns", 8, 256
# The pictures of Apple's icons that can be decoded, the largest first, and the masks that some of them have.
_APPLE_PICTURES = (
    *(b"ic10", b"ic09", b"ic14", b"ic08", b"ic13", b"ic07", b"it32", b"icp6"),
    *(b"ic12", b"ih32", b"icp5", b"il32", b"ic11", b"icp4", b"is32"),
)
_APPLE_MASKS = {b"t8mk": b"it32", b"h8mk": b"ih32", b"l8mk": b"il32", b"s8mk": b"is32"}
_NOTHING = b"none"
_TRACK_BRANDS = frozenset((b"msf1", b"hevc", b"hevx", b"hevm", b"hevs", b"avcs", b"jpgs", b"vvic"))
_MOST_BRANDS = 1024


class Part(NamedTuple):
    """Some pictures of a file.

    Attributes:
        patches: what to change so that the decoder gives them; None when no decoder here can.
        frames: how many there are; None when the decoder is to tell.
        at_least: how many the decoder should tell at the least.
    """

    patches: tuple[Patch, ...] | None = ()
    frames: int | None = None
    at_least: int = 1

    def of(self, data: bytes) -> bytes:
        """The file as changed."""
        if not self.patches:
            return data
        changed = bytearray(data)
        for offset, replacement in self.patches:
            changed[offset : offset + len(replacement)] = replacement
        return bytes(changed)


def parts(data: bytes, format: str | None) -> list[Part]:  # noqa: A002 -- the field's word
    """All pictures of a file, what its decoder gives by itself first.

    Raises:
        Refused: it holds pictures only in a form that no decoder here reads.
    """
    if format == "tiff":
        return _tiff(data)
    if format in ("avif", "heif"):
        inside = isobmff.read(data)
        return _avif(data, inside) if format == "avif" else _heif(data, inside)
    if format is None and data[:4] in (_ICON, _CURSOR):
        return _icon(data)
    if format is None and data[:4] == _APPLE_ICON:
        return _apple_icon(data)
    return [Part()]


def _tiff(data: bytes) -> list[Part]:
    found = tiff.directories(data)
    first_at, width, order = found.first_pointer
    pages = Part(frames=len(found.pages) or None)
    subs = [Part(((first_at, offset.to_bytes(width, order)),), 1) for offset in found.subs]
    return [pages, *subs] if found.complete else [pages, *subs, Part(None, 1)]


def _avif(data: bytes, inside: isobmff.Inside) -> list[Part]:
    """The decoder takes the primary item when the brand is ``avif``, else the track, if there is one."""
    gives_track = inside.track_frames > 0 and data[8:12] != b"avif"
    primary, track = Part(((8, b"avif"),), 1), Part(((8, b"avis"),), inside.track_frames)
    found = [Part()]
    if gives_track and inside.primary is not None and not inside.track_shows_primary:
        found.append(primary)
    if not gives_track and inside.track_frames and inside.track_shows_primary:
        found = [track]
    elif not gives_track and inside.track_frames:
        found.append(track)
    at, width = inside.primary_pointer
    for item in inside.pictures:
        if item != inside.primary:
            fits = at and item < 1 << 8 * width
            found.append(Part(((8, b"avif"), (at, item.to_bytes(width, "big"))) if fits else None, 1))
    return found


def _heif(data: bytes, inside: isobmff.Inside) -> list[Part]:
    """The decoder gives the items; tracks it does not read, and may fail on them."""
    if inside.track_frames and not inside.pictures:
        raise Refused(Reason.UNSUPPORTED_FORMAT, "heif")
    changes: list[Patch] = []
    if inside.movie_at:  # the file then says that it holds items, and no tracks
        brands = range(8, min(int.from_bytes(data[:4], "big"), _MOST_BRANDS), 4)
        changes = [(inside.movie_at, b"free"), *((at, b"mif1") for at in brands if data[at : at + 4] in _TRACK_BRANDS)]
    items = Part(tuple(changes), at_least=len(inside.pictures))
    return [items, Part(None, inside.track_frames)] if inside.track_frames else [items]


def _icon(data: bytes) -> list[Part]:
    """Each size of a Windows icon or cursor, the largest first."""
    count = int.from_bytes(data[4:6], "little")
    end = _ENTRIES + _ENTRY * count
    entries = [data[at : at + _ENTRY] for at in range(_ENTRIES, end, _ENTRY)]
    if not entries or end > len(data) or any(not end <= _offset(entry) < len(data) for entry in entries):
        return [Part()]  # cut, or no icon at all: some TGA begin like one
    entries.sort(key=lambda entry: (entry[0] or 256) * (entry[1] or 256), reverse=True)
    return [Part(((4, b"\1\0"), (_ENTRIES, entry)), 1) for entry in entries]


def _offset(entry: bytes) -> int:
    return int.from_bytes(entry[12:16], "little")


def _apple_icon(data: bytes) -> list[Part]:
    """Each size of an Apple icon: the names of the others are blotted out."""
    found: list[tuple[int, bytes]] = []
    at = _CHUNK_HEAD
    while at + _CHUNK_HEAD <= len(data) and len(found) < _MOST_CHUNKS:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + _CHUNK_HEAD], "big")
        if kind in _APPLE_PICTURES or kind in _APPLE_MASKS:
            found.append((at, kind))
        if length < _CHUNK_HEAD:
            break
        at += length
    pictures = sorted((_APPLE_PICTURES.index(kind), at) for at, kind in found if kind in _APPLE_PICTURES)
    return [_one_apple_picture(found, at, _APPLE_PICTURES[rank]) for rank, at in pictures] or [Part()]


def _one_apple_picture(found: list[tuple[int, bytes]], wanted: int, kind: bytes) -> Part:
    blotted = (at for at, other in found if at != wanted and _APPLE_MASKS.get(other) != kind)
    return Part(tuple((at, _NOTHING) for at in blotted), 1)

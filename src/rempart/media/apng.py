"""Take an animated PNG apart into its pictures (PNG specification, third edition, sections 11.3.4 and 4.9).

The default image is a picture of its own when the animation does not begin with it: decoders without animation show
nothing else. All frames that are there are given, whatever number the file announces, so that announcing one frame
hides none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from rempart.media.layers import MOST_LAYERS, Disposal, Layer
from rempart.media.normalise import exif_orientation

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD, _TAIL = 8, 4
_HEADER_BYTES, _CONTROL_BYTES = 13, 26
_SEQUENCE_BYTES = 4
# As many as half a gigabyte of the smallest usual chunks has four times over; the rest is not looked at, and told.
_MOST_CHUNKS = 1 << 18
_DISPOSALS = {1: Disposal.CLEAR, 2: Disposal.RESTORE}
_PIXELS = (b"IDAT", b"fdAT")
# What the colours of every frame depend on.
_SHARED = (b"PLTE", b"tRNS")


class _Chunk(NamedTuple):
    kind: bytes
    at: int
    """Where its body begins."""
    length: int
    whole: bool
    """Whether its check sum, and so all of it, is there."""


class PngLayers:
    """The pictures of an animated PNG; see :class:`rempart.media.layers.Layered`. Other PNG have none."""

    def __init__(self, data: bytes) -> None:
        """Walk the chunks. Never raises: what cannot be walked is not there."""
        self._data = data
        self.size = (0, 0)
        self.layers: list[Layer] = []
        self.count = 0
        self.orientation = 1
        self._header = b""
        self._stopped = False
        self._shared: list[_Chunk] = []
        self._pieces: list[list[_Chunk]] = []
        if data.find(b"acTL") > 0:
            self._walk()

    def still(self, number: int) -> bytes:
        """The frame alone, as a PNG of its own size."""
        left, top, right, bottom = self.layers[number].box
        file = [_SIGNATURE, _sealed(b"IHDR", struct.pack(">II", right - left, bottom - top) + self._header[8:])]
        file.extend(self._copied(chunk, chunk.kind, 0) for chunk in self._shared)
        for chunk in self._pieces[number]:
            file.append(self._copied(chunk, b"IDAT", _SEQUENCE_BYTES if chunk.kind == b"fdAT" else 0))
            if chunk.at + chunk.length + _TAIL > len(self._data):
                return b"".join(file)
        return b"".join((*file, _sealed(b"IEND", b"")))

    def _walk(self) -> None:
        announced, animated = 0, False
        for chunk in self._chunks():
            body = self._data[chunk.at : chunk.at + min(chunk.length, _CONTROL_BYTES)]
            if chunk.kind == b"acTL":
                announced, animated = int.from_bytes(body[:4], "big"), True
            elif chunk.kind == b"fcTL" and len(body) == _CONTROL_BYTES:
                self._begin(body)
            elif chunk.kind in _PIXELS:
                self._add(chunk)
            else:
                self._note(chunk, body)
            if len(self.layers) > MOST_LAYERS:
                break
        if not animated:
            self.layers = []
        apart = sum(layer.apart for layer in self.layers)
        self.count = max(announced + apart, len(self.layers) + self._stopped)

    def _note(self, chunk: _Chunk, body: bytes) -> None:
        """Keep what holds for the whole file."""
        if chunk.kind == b"IHDR" and len(body) == _HEADER_BYTES and not self._header:
            self._header = body
            self.size = struct.unpack(">II", body[:8])
        elif chunk.kind in _SHARED:
            self._shared.append(chunk)
        elif chunk.kind == b"eXIf":
            self.orientation = exif_orientation(self._data[chunk.at : chunk.at + chunk.length])

    def _add(self, chunk: _Chunk) -> None:
        """Take up pixels: of the frame that was begun, or of a default image that is none of the frames."""
        if not self.layers and chunk.kind == b"IDAT":
            self.layers.append(Layer((0, 0, *self.size), apart=True))
            self._pieces.append([])
        if self.layers:
            self._pieces[-1].append(chunk)

    def _begin(self, control: bytes) -> None:
        """Take up a frame: sequence number, width, height, left, top, delay (two), disposal, blending."""
        _, width, height, left, top, _, _, disposal, blending = struct.unpack(">IIIIIHHBB", control)
        first = all(layer.apart for layer in self.layers)
        kept = _DISPOSALS.get(disposal, Disposal.KEEP)
        if first and kept is Disposal.RESTORE:
            kept = Disposal.CLEAR
        self.layers.append(Layer((left, top, left + width, top + height), kept, replaces=blending == 0))
        self._pieces.append([])

    def _chunks(self) -> Iterator[_Chunk]:
        data, at = self._data, len(_SIGNATURE)
        for _ in range(_MOST_CHUNKS):
            if at + _HEAD > len(data):
                return
            length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + _HEAD]
            end = at + _HEAD + length
            summed = data[end : end + _TAIL]
            yield _Chunk(kind, at + _HEAD, length, summed == _check_sum(memoryview(data)[at + 4 : end]))
            if kind == b"IEND":
                return
            at = end + _TAIL
        self._stopped = True

    def _copied(self, chunk: _Chunk, kind: bytes, skipped: int) -> bytes:
        """A chunk under another name; one that was damaged or cut stays so."""
        body = self._data[chunk.at + skipped : chunk.at + chunk.length]
        if chunk.whole:
            return _sealed(kind, body)
        length = max(chunk.length - skipped, 0)
        sealed = kind + body
        summed = bytes(_TAIL) if len(body) == length else b""
        return struct.pack(">I", length) + sealed + summed


def _sealed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + _check_sum(kind + body)


def _check_sum(content: bytes | memoryview) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")

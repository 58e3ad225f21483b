"""Take a GIF apart into its pictures (GIF89a specification, sections 18 to 27).

Decoders agree on pictures but not on how they are laid over one another. Here it is done as browsers do: a missing or
unspecified disposal keeps the picture, clearing a place makes it transparent, what lies outside of the canvas is not
shown, and a first picture that is larger than the canvas widens it.
"""

from __future__ import annotations

from rempart.media.layers import MOST_LAYERS, Disposal, Layer

_SIGNATURE, _HEAD = 6, 13
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_DESCRIPTOR = 10
_HAS_TABLE, _TABLE_BITS = 0x80, 0x07
_DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE}


class GifLayers:
    """The pictures of a GIF; see :class:`rempart.media.layers.Layered`."""

    orientation = 1

    def __init__(self, data: bytes) -> None:
        """Walk the blocks. Never raises: what cannot be walked is not there."""
        self._data = data
        flags = data[10] if len(data) >= _HEAD else 0
        self._start = _HEAD + _table_bytes(flags)
        self.layers: list[Layer] = []
        self._spans: list[tuple[bytes, int, int]] = []
        self._walk()
        self.count = len(self.layers) + (len(self.layers) == MOST_LAYERS)
        width, height = _number(data, 6), _number(data, 8)
        _, _, right, bottom = self.layers[0].box if self.layers else (0, 0, 0, 0)
        self.size = max(width, right), max(height, bottom)

    def still(self, number: int) -> bytes:
        """The picture alone, on a canvas of its own size, with the tables and the transparency it was drawn with."""
        control, start, end = self._spans[number]
        data = self._data
        size = data[start + 5 : start + 9]
        descriptor = bytes((_IMAGE, 0, 0, 0, 0)) + size + data[start + 9 : start + _DESCRIPTOR]
        head = b"GIF89a" + size + data[_SIGNATURE + 4 : self._start]
        if data[start + 9] & _HAS_TABLE:  # a table of its own: two of them confuse Pillow when one is plain grey
            head = b"GIF89a" + size + bytes(3)
        return b"".join((head, control, descriptor, data[start + _DESCRIPTOR : end], b";" if end < len(data) else b""))

    def _walk(self) -> None:
        data, at = self._data, self._start
        control, disposal = b"", Disposal.KEEP
        while at < len(data) and data[at] != _TRAILER and len(self.layers) < MOST_LAYERS:
            if data[at] == _EXTENSION:
                end = self._after_blocks(at + 2)
                if data[at + 1 : at + 2] == bytes((_GRAPHIC_CONTROL,)) and at + 8 <= len(data):
                    flags = data[at + 3]
                    disposal = _DISPOSALS.get(flags >> 2 & 7, Disposal.KEEP)
                    control = bytes((_EXTENSION, _GRAPHIC_CONTROL, 4, flags & 1, 0, 0, data[at + 6], 0))
                at = end
            elif data[at] == _IMAGE:
                if at + _DESCRIPTOR > len(data):
                    return
                left, top, width, height = (_number(data, at + 1 + 2 * part) for part in range(4))
                end = self._after_blocks(at + _DESCRIPTOR + _table_bytes(data[at + 9]) + 1)
                if width and height:
                    self.layers.append(Layer((left, top, left + width, top + height), disposal))
                    self._spans.append((control, at, end))
                control, disposal, at = b"", Disposal.KEEP, end
            else:
                at += 1  # stray bytes between blocks: decoders look for the next one

    def _after_blocks(self, at: int) -> int:
        """The offset behind a run of sub-blocks; the length of the data when it ends within them."""
        data = self._data
        while at < len(data):
            size = data[at]
            at += 1 + size
            if not size:
                return at
        return len(data)


def _table_bytes(flags: int) -> int:
    return 3 << (flags & _TABLE_BITS) + 1 if flags & _HAS_TABLE else 0


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")

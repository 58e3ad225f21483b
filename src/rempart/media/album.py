"""All pictures of an item, in one row: what its decoder gives, and what the decoder leaves."""

from __future__ import annotations

from collections.abc import Iterator

from rempart.errors import Reason
from rempart.media.animation import Animation
from rempart.media.apng import PngLayers
from rempart.media.gif import GifLayers
from rempart.media.outcome import Refused
from rempart.media.parts import Part, parts
from rempart.media.stills import Frame, Stills


class Album:
    """The pictures of a file that is no animation of layers."""

    def __init__(self, data: bytes, format: str | None, max_pixels: int) -> None:  # noqa: A002 -- the field's word
        """Open the first part that opens.

        Raises:
            Refused: none does; the reason is the first one's.
        """
        self._data = data
        self._sniffed = format
        self._max_pixels = max_pixels
        self._parts = parts(data, format)
        self._first, self._opened = self._open_first()
        self.format, self.size, self.damage = self._opened.format, self._opened.size, self._opened.damage
        self.count = sum(self._count(number) for number in range(len(self._parts)))

    def frames(self, start: int = 0) -> Iterator[Frame | None]:
        """The pictures from number ``start`` on; None for one that cannot be read."""
        begin = 0
        for number in range(len(self._parts)):
            count = self._count(number)
            if begin + count > start:
                stills = self._opened if number == self._first else self._open(number)
                for index in range(max(start - begin, 0), count):
                    frame = stills.frame(index) if stills else None
                    yield frame._replace(damage=frame.damage or stills.damage) if frame and stills else None
            begin += count

    def _count(self, number: int) -> int:
        part = self._parts[number]
        if part.frames is not None:
            return part.frames
        return max(self._opened.count, part.at_least) if number == self._first else part.at_least

    def _open_first(self) -> tuple[int, Stills]:
        refusal: Refused | None = None
        for number, part in enumerate(self._parts):
            if part.patches is not None:
                try:
                    return number, self._stills(part)
                except Refused as refused:
                    refusal = refusal or refused
        raise refusal or Refused(Reason.CORRUPT, self._sniffed)

    def _open(self, number: int) -> Stills | None:
        part = self._parts[number]
        if part.patches is None:
            return None
        try:
            return self._stills(part)
        except Refused:
            return None

    def _stills(self, part: Part) -> Stills:
        return Stills(part.of(self._data), self._sniffed, self._max_pixels, count=part.frames)


def open_album(data: bytes, format: str | None, max_pixels: int) -> Album | Animation:  # noqa: A002 -- the field's word
    """All pictures of a file, by its content.

    Args:
        data: the whole file.
        format: what the first bytes announce; None when they announce nothing that is known.
        max_pixels: the most pixels that one frame may have.

    Raises:
        Refused: it is no picture, nothing of it can be opened, or it is beyond the limit.
    """
    if format == "gif":
        layered = GifLayers(data)
        if layered.count > 1 or (layered.layers and layered.layers[0].box != (0, 0, *layered.size)):
            return Animation(layered, format, max_pixels)
    elif format == "png":
        animated = PngLayers(data)
        if animated.count > 1:
            return Animation(animated, format, max_pixels)
    return Album(data, format, max_pixels)

"""Lay the pictures of an animation over one another, as a viewer does, and give what is seen each time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from rempart.errors import Reason
from rempart.media.layers import Box, Disposal, Layer, Layered
from rempart.media.normalise import to_layer, to_plain, turn_upright
from rempart.media.outcome import Refused
from rempart.media.stills import Frame, Stills, too_large

_CLEAR = (0, 0, 0, 0)


class Animation:
    """The frames of a GIF or APNG, each composed from the layers before it.

    A layer that cannot be decoded leaves the canvas as it was and counts as a frame that is not read; those after it
    are. A layer of which a part lies outside of the canvas is a frame twice: as browsers show it, and by itself.
    """

    damage: Reason | None = None

    def __init__(self, layered: Layered, format: str, max_pixels: int) -> None:  # noqa: A002 -- the field's word
        """Take what a reader of the format found.

        Raises:
            Refused: the canvas has more pixels than the limit.
        """
        self.format = format
        self.size = layered.size
        self._layered = layered
        self._max_pixels = max_pixels
        if too_large(self.size, max_pixels):
            raise Refused(Reason.TOO_MANY_PIXELS, format, self.size)
        self.count = layered.count + sum(self._sticks_out(layer) for layer in layered.layers)

    def frames(self, start: int = 0) -> Iterator[Frame | None]:
        """What is seen, frame by frame from number ``start`` on; None for one that cannot be read."""
        number = 0
        for frame in self._composed():
            if number >= start:
                yield frame
            number += 1
        for _ in range(max(number, start), self.count):
            yield None

    def _composed(self) -> Iterator[Frame | None]:
        canvas = Image.new("RGBA", self.size, _CLEAR)
        orientation = self._layered.orientation
        for number, layer in enumerate(self._layered.layers):
            drawn = self._decoded(number)
            if drawn is None:
                yield from [None] * (1 + self._sticks_out(layer))
                continue
            picture = Image.fromarray(drawn.pixels)
            below = canvas.copy() if layer.disposal is Disposal.RESTORE else None
            place = self._shown(layer.box)
            if layer.apart:
                yield _seen(picture, drawn, orientation)
                continue
            if place is not None:
                _lay(canvas, picture, layer, place)
            yield _seen(canvas, drawn, orientation) if all(self.size) else None  # a canvas of no pixels shows nothing
            if self._sticks_out(layer):
                yield _seen(picture, drawn, orientation)
            if below is not None:
                canvas = below
            elif place is not None and layer.disposal is Disposal.CLEAR:
                canvas.paste(_CLEAR, place)

    def _decoded(self, number: int) -> Frame | None:
        try:
            stills = Stills(self._layered.still(number), self.format, self._max_pixels, convert=to_layer)
        except Refused:
            return None
        frame = stills.frame(0)
        return frame._replace(damage=frame.damage or stills.damage) if frame else None

    def _shown(self, box: Box) -> Box | None:
        """The part of a box that lies on the canvas."""
        left, top, right, bottom = box[0], box[1], min(box[2], self.size[0]), min(box[3], self.size[1])
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _sticks_out(self, layer: Layer) -> bool:
        return self._shown(layer.box) != layer.box


def _lay(canvas: Image.Image, picture: Image.Image, layer: Layer, place: Box) -> None:
    left, top, right, bottom = place
    visible = picture.crop((0, 0, right - left, bottom - top))
    if layer.replaces:
        canvas.paste(visible, place)
    else:
        canvas.alpha_composite(visible, (left, top))


def _seen(picture: Image.Image, drawn: Frame, orientation: int) -> Frame:
    pixels, notes = to_plain(picture)
    notes = [*drawn.notes, *notes]
    if orientation != 1:
        notes.append(f"exif_orientation_{orientation}")
    return Frame(np.ascontiguousarray(turn_upright(pixels, orientation)), notes, drawn.damage)

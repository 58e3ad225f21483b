"""What an animation is made of: pictures laid one after another on a canvas, each where and how the file says.

GIF and APNG say it alike, so both readers (:mod:`rempart.media.gif`, :mod:`rempart.media.apng`) end in these.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the canvas; right and bottom are outside."""

MOST_LAYERS = 1 << 16
"""Beyond it a file is not walked any further, for walking takes time; its count is then one more than was found."""


class Disposal(Enum):
    """What becomes of a layer's place once its time is over."""

    KEEP = 0
    CLEAR = 1
    RESTORE = 2


class Layer(NamedTuple):
    """One picture of an animation.

    Attributes:
        box: its place on the canvas; a part of it may lie outside.
        disposal: what becomes of that place before the next layer comes.
        replaces: whether it takes the place of what is beneath, its transparency included, instead of lying over it.
        apart: whether it is no part of the animation but shown by viewers that know of none.
    """

    box: Box
    disposal: Disposal = Disposal.KEEP
    replaces: bool = False
    apart: bool = False


class Layered(Protocol):
    """An animated file, taken apart.

    Attributes:
        size: of the canvas.
        layers: in the order of the file.
        count: how many there should be: more than there are in a file that is cut, or lies.
        orientation: EXIF orientation 1..8 of the whole.
    """

    size: tuple[int, int]
    layers: list[Layer]
    count: int
    orientation: int

    def still(self, number: int) -> bytes:
        """A layer as a file of its own, which any decoder of the format reads. Damage in it is kept."""
        ...

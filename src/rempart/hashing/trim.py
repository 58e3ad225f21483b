"""Find the picture inside uniform borders: letterboxes, padded squares, frames of one colour.

A border moves every sample of a perceptual hash, so a padded copy is as far from its original as any other picture, and
tools for data sets pad by default. The trimmed frame is hashed beside the full one, and a result says which of them
hit.

Borders are taken off until none is left, so that trimming a bordered copy ends where trimming its original does, even
if the original has a plain margin of its own.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.hashing.pdq import FloatArray, luma

Box: TypeAlias = tuple[int, int, int, int]
"""Top, bottom, left, right; bottom and right are exclusive."""

# A line belongs to the border when hardly any of it differs much from the border's colour, and its mean little. The
# slack is what JPEG leaves beside an edge: with less, copies of low quality are lost; with more, plain parts of a
# picture count as border, and drawings of one outline on different grounds become alike.
MEAN_DIFFERENCE: Final = 5.0
FAR: Final = 24
FAR_SHARE: Final = 0.02
ROUNDS: Final = 32
"""Most borders taken off, one inside the other. A few are real; JPEG's ringing makes narrow ones between them."""
SMALLEST_SHARE: Final = 1 / 8
SMALLEST_SIDE: Final = 32
LEAST_REMOVED: Final = 0.01
_BLOCK = 16


def content_box(image: npt.NDArray[np.uint8]) -> Box | None:
    """Where the picture lies inside its borders; None when it has none, or they are too thin to matter.

    A border stays on when what it surrounds is too small to be the picture: under an eighth of a side, or 32 pixels.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3).
    """
    height, width = image.shape[:2]
    least_high, least_wide = (max(SMALLEST_SIDE, side * SMALLEST_SHARE) for side in (height, width))
    top, bottom, left, right = box = (0, height, 0, width)
    for _ in range(ROUNDS):
        inner = image[top:bottom, left:right]
        top, bottom = top + _border(inner), bottom - _border(inner[::-1])
        if bottom - top < least_high:
            break
        inner = image[top:bottom, left:right].swapaxes(0, 1)
        left, right = left + _border(inner), right - _border(inner[::-1])
        if right - left < least_wide or (top, bottom, left, right) == box:
            break
        box = (top, bottom, left, right)
    top, bottom, left, right = box
    kept = min((bottom - top) / height, (right - left) / width)
    return None if kept > 1 - LEAST_REMOVED else box


def _border(image: npt.NDArray[np.uint8]) -> int:
    """How many lines from the first on have its colour."""
    lines = len(image)
    middle = image.shape[1] // 2
    colour = np.partition(luma(image[:1]), middle)[0, middle]
    start, stop = 0, 1  # one line first: most pictures have no border, and end here
    while start < lines:
        uniform = _uniform(luma(image[start:stop]), colour)
        if not uniform.all():
            return start + int(np.argmin(uniform))
        start, stop = stop, stop + _BLOCK
    return lines


def _uniform(lines: FloatArray, colour: np.float32) -> npt.NDArray[np.bool_]:
    """Which lines have this colour, as nearly as a border does after JPEG."""
    difference = np.abs(lines - colour)
    far = np.count_nonzero(difference > FAR, axis=1)
    uniform: npt.NDArray[np.bool_] = (difference.mean(axis=1) <= MEAN_DIFFERENCE) & (far <= FAR_SHARE * lines.shape[1])
    return uniform

"""Find the picture inside uniform borders: letterboxes, padded squares, frames of one colour.

A border moves every sample of a perceptual hash, so a padded copy is as far from its original as any other picture, and
tools for data sets pad by default. The trimmed frame is hashed beside the full one, and a result says which of them
hit.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.hashing.pdq import luma

Box: TypeAlias = tuple[int, int, int, int]
"""Top, bottom, left, right; bottom and right are exclusive."""

# A line belongs to the border when hardly any of it differs much from the border's colour. The slack is what JPEG's
# ringing puts beside an edge, measured on padded pictures saved at quality 50.
FAR: Final = 24
FAR_SHARE: Final = 0.02
MEAN_DIFFERENCE: Final = 6.0
ROUNDS: Final = 3
"""Borders inside borders: a letterboxed film still on a white page, and one more."""
SMALLEST_SHARE: Final = 1 / 8
SMALLEST_SIDE: Final = 32
LEAST_REMOVED: Final = 0.01
_BLOCK = 16


def content_box(image: npt.NDArray[np.uint8]) -> Box | None:
    """Where the picture lies inside its borders; None when it has none, or nothing would be left.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3).
    """
    height, width = image.shape[:2]
    top, bottom, left, right = 0, height, 0, width
    for _ in range(ROUNDS):
        before = (top, bottom, left, right)
        inner = image[top:bottom, left:right]
        top, bottom = top + _border(inner), bottom - _border(inner[::-1])
        if bottom - top < SMALLEST_SIDE:
            return None
        inner = image[top:bottom, left:right].swapaxes(0, 1)
        left, right = left + _border(inner), right - _border(inner[::-1])
        if right - left < SMALLEST_SIDE:
            return None
        if (top, bottom, left, right) == before:
            break
    kept_high, kept_wide = (bottom - top) / height, (right - left) / width
    if min(kept_high, kept_wide) < SMALLEST_SHARE or min(kept_high, kept_wide) > 1 - LEAST_REMOVED:
        return None
    return top, bottom, left, right


def _border(image: npt.NDArray[np.uint8]) -> int:
    """How many lines from the first on have one colour."""
    colour = np.float32(np.median(luma(image[:1])))
    # One line first: most pictures have no border, and end here.
    lines = int(image.shape[0])
    for start, stop in pairwise((0, *range(1, lines, _BLOCK), lines)):
        difference = np.abs(luma(image[start:stop]) - colour)
        uniform = (difference.mean(axis=1) <= MEAN_DIFFERENCE) & ((difference > FAR).mean(axis=1) <= FAR_SHARE)
        if not uniform.all():
            return start + int(np.argmin(uniform))
    return lines

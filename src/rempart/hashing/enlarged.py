"""The enlarged frame: what makes small copies of a picture meet their original.

PDQ blurs and samples at whole pixels. On a side of 150 pixels the 64 samples then lie up to half a pixel, a third of a
per cent, from where they should, and the blur is coarser than on the original: of the pictures in our tests, 7% of the
copies at half size came out more than 31 bits from their 300-pixel originals. Hashing a small picture as if it had been
enlarged first puts the samples where they belong, and all of those copies are found.

Enlarging by linear interpolation is itself a matrix, so it melts into the sampling: nothing is ever enlarged, and the
hash costs as much as the plain one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from rempart.hashing.pdq import SMALLEST_SIDE, FloatArray, downsample, sampling

ENLARGED_TO: Final = 512
"""Pixels on a side up to which a picture counts as small; from there on PDQ's sampling is fine enough."""


def is_small(image: npt.NDArray[np.uint8]) -> bool:
    """Whether a side is shorter than :data:`ENLARGED_TO`, so that the enlarged frame says more than the plain one."""
    shortest: int = min(image.shape[:2])
    return SMALLEST_SIDE <= shortest < ENLARGED_TO


def enlarged_samples(image: npt.NDArray[np.uint8]) -> FloatArray:
    """The 64 x 64 samples of a picture of shape (height, width[, 3]) whose short sides are enlarged to 512 pixels."""
    return downsample(image, _smooth)


def _smooth(length: int) -> FloatArray:
    """The sampling of a side of this length after it is enlarged: shape (64, length)."""
    if length >= ENLARGED_TO:
        return sampling(length)
    # Pixel centres of the enlarged side, in pixels of the given one; the outermost are repeated beyond the edge.
    at = (np.arange(ENLARGED_TO) + 0.5) * length / ENLARGED_TO - 0.5
    left = np.floor(at).astype(np.int64)
    share = at - left
    weights = np.zeros((ENLARGED_TO, length))
    rows = np.arange(ENLARGED_TO)
    np.add.at(weights, (rows, np.clip(left, 0, length - 1)), 1 - share)
    np.add.at(weights, (rows, np.clip(left + 1, 0, length - 1)), share)
    smooth: npt.NDArray[np.float64] = sampling(ENLARGED_TO) @ weights
    return smooth.astype(np.float32)

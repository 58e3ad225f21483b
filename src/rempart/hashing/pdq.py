"""PDQ, the perceptual hash of 256 bits, as a few matrix products.

The reference implementation (Meta, ThreatExchange, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
Algorithm", 2019) blurs the luma twice with a box filter along each axis, samples 64 x 64 points, takes a 16 x 16 corner
of a discrete cosine transform and compares each coefficient with their median. All steps before the median are linear
and separable, so for an image L of height H and width W::

    A = P(H) @ L @ P(W).T          the 64 x 64 samples
    F = D @ A @ D.T                the 16 x 16 coefficients

with P(n) of shape 64 x n depending on n alone. P is banded, since each sample sees about n/32 of the n inputs: taking
the samples in groups skips the zeros and makes large pictures several times cheaper than the dense product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.errors import UsageError

HASH_BYTES: Final = 32
SAMPLES: Final = 64
CORNER: Final = 16
SMALLEST_SIDE: Final = 5
"""Below this many pixels on a side the hash is all zeros and the quality 0, as in the reference."""

FloatArray: TypeAlias = npt.NDArray[np.float32]
Weights: TypeAlias = Callable[[int], FloatArray]

_GREY, _RGB = 2, 3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Quality: steps between samples in hundredths of the full range, over an empirical 90 (the reference's own number).
_HUNDREDTHS, _FULL_RANGE, _STEPS_A_POINT, _BEST_QUALITY = 100, 255, 90, 100
_MIDDLE = CORNER * CORNER // 2 - 1
# Small groups of samples waste little on zeros, large ones make good matrix products; measured from 64 to 4,000 pixels.
_COLUMN_GROUP = 16

TURNS: Final = (
    "rotate90",
    "rotate180",
    "rotate270",
    "flip_horizontal",
    "flip_vertical",
    "transpose",
    "transverse",
)
"""The seven ways to turn or mirror a picture, beside leaving it as it is. Quarter turns go counter-clockwise."""


class Pdq(NamedTuple):
    """A PDQ hash and how far it can be relied on.

    Attributes:
        hash: 32 bytes, in the order of the text form.
        quality: 0..100; under 50 a hash is not reliable for matching.
    """

    hash: bytes
    quality: int

    @property
    def hex(self) -> str:
        """The text form: 64 lower-case hexadecimal digits."""
        return self.hash.hex()


def pdq(image: npt.NDArray[np.uint8] | FloatArray) -> Pdq:
    """The PDQ hash of a picture.

    Args:
        image: luma of shape (height, width), or RGB of shape (height, width, 3); values 0..255, uint8 or float32.

    Raises:
        UsageError: the array has another shape.
    """
    if image.ndim not in (_GREY, _RGB) or (image.ndim == _RGB and image.shape[2] != _RGB):
        raise UsageError(f"a picture is an array (height, width) or (height, width, 3), not of shape {image.shape}")
    samples = downsample(image)
    return Pdq(to_hash(coefficients(samples)), quality(samples))


def downsample(image: npt.NDArray[np.uint8] | FloatArray, weights: Weights | None = None) -> FloatArray:
    """The 64 x 64 samples of a picture of shape (height, width) or (height, width, 3).

    Args:
        image: values 0..255.
        weights: how a side is sampled, when it is not as the reference does it: from a length to a banded matrix of
            shape (64, length). It is seldom asked twice for one length.
    """
    weights = weights or sampling
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return np.zeros((SAMPLES, SAMPLES), np.float32)
    bands = _kept_bands if max(height, width) <= _LONGEST_KEPT else _bands
    rows = np.empty((SAMPLES, width), np.float32)
    for first, last, start, stop, part in bands(weights, height, _row_group(height)):
        np.matmul(part, luma(image[start:stop]), out=rows[first:last])
    samples = np.empty((SAMPLES, SAMPLES), np.float32)
    for first, last, start, stop, part in bands(weights, width, _COLUMN_GROUP):
        np.matmul(rows[:, start:stop], part.T, out=samples[:, first:last])
    return samples


def luma(image: npt.NDArray[np.uint8] | FloatArray) -> FloatArray:
    """Grey as it is, RGB weighted 0.299, 0.587, 0.114 (ITU-R BT.601); float32, not rounded."""
    plane = np.ascontiguousarray(image, dtype=np.float32)
    return plane if plane.ndim == _GREY else np.matmul(plane, _LUMA, dtype=np.float32)


def coefficients(samples: FloatArray) -> FloatArray:
    """The 16 x 16 corner of the cosine transform of the samples, without its first row and column."""
    cosines = _cosines()
    corner = cosines @ samples @ cosines.T
    return corner.astype(np.float32, copy=False)


def to_hash(corner: FloatArray) -> bytes:
    """Which coefficients lie above their lower median, read backwards: the last coefficient is the first bit."""
    backwards = corner.ravel()[::-1]
    return np.packbits(backwards > np.partition(backwards, _MIDDLE)[_MIDDLE]).tobytes()


def turned(corner: FloatArray) -> dict[str, bytes]:
    """The hashes of the picture turned and mirrored in the seven other ways, by name (:data:`TURNS`).

    To mirror a picture is to change the sign of every second coefficient along that axis; to transpose it is to
    transpose them. No pixel is read again.
    """
    signs = np.where(np.arange(CORNER) % 2 == 0, np.float32(-1), np.float32(1))
    across, down = corner * signs, corner * signs[:, None]
    both = across * signs[:, None]
    corners = (across.T, both, down.T, across, down, corner.T, both.T)
    return dict(zip(TURNS, map(to_hash, corners), strict=True))


def quality(samples: FloatArray) -> int:
    """How much detail there is, 0..100: summed steps between neighbouring samples, each in whole hundredths."""
    steps = np.empty((2, SAMPLES - 1, SAMPLES), np.float32)
    np.subtract(samples[1:], samples[:-1], out=steps[0])
    np.subtract(samples[:, 1:].T, samples[:, :-1].T, out=steps[1])
    np.abs(steps, out=steps)
    steps *= _HUNDREDTHS
    steps /= _FULL_RANGE
    # Whole numbers below 2^24 in all: float32 adds them without loss.
    return min(int(np.floor(steps, out=steps).sum()) // _STEPS_A_POINT, _BEST_QUALITY)


def sampling(length: int) -> FloatArray:
    """P(length): 64 x length, the twice box-filtered samples as weights of the inputs."""
    if length == SAMPLES:
        return np.eye(SAMPLES, dtype=np.float32)
    window = (length + 127) // 128
    half = (window + 2) // 2
    at = np.arange(length)
    low = np.maximum(at - (window - half), 0)
    high = np.minimum(at + half - 1, length - 1)
    # Each sample averages outputs of the first pass: add up, for each of these, its share of the inputs it averaged.
    rows = ((np.arange(SAMPLES) + 0.5) * length / SAMPLES).astype(np.int64)[:, None]
    inner = low[rows] + np.arange(window)
    inside = inner <= high[rows]
    inner = np.minimum(inner, length - 1)
    share = inside / (inside.sum(axis=1, keepdims=True) * (high[inner] - low[inner] + 1))
    steps = np.zeros((SAMPLES, length + 1))
    samples = np.arange(SAMPLES)[:, None]
    np.add.at(steps, (samples, low[inner]), share)
    np.add.at(steps, (samples, high[inner] + 1), -share)
    weights = np.cumsum(steps[:, :length], axis=1)
    weights[np.abs(weights) < 1e-12] = 0.0  # noqa: PLR2004 -- what the running sum leaves of a zero
    return weights.astype(np.float32)


def _row_group(height: int) -> int:
    """How many samples to a group of rows: about as many inputs as there are samples, in a power of two."""
    return min(1 << max(1, (SAMPLES * SAMPLES // height).bit_length() - 1), SAMPLES)


def _bands(weights: Weights, length: int, group: int) -> list[tuple[int, int, int, int, FloatArray]]:
    """P(length) in groups of samples: first and last sample, first and last input, and their weights."""
    matrix = weights(length)
    bands = []
    for first in range(0, SAMPLES, group):
        part = matrix[first : first + group]
        used = np.flatnonzero(part.any(axis=0))
        start, stop = int(used[0]), int(used[-1]) + 1
        bands.append((first, first + group, start, stop, np.ascontiguousarray(part[:, start:stop])))
    return bands


# Pictures of many sizes come in any order: to keep the bands of each makes those of 300 pixels a third cheaper. What is
# kept of the longest sides has 300 kB each, which a stream of odd sizes must not pile up without end.
_kept_bands = lru_cache(maxsize=1024)(_bands)
_LONGEST_KEPT = 4096


@cache
def _cosines() -> FloatArray:
    """D: 16 x 64, rows 1 to 16 of the orthonormal type-II cosine transform."""
    row, column = np.arange(1, CORNER + 1)[:, None], np.arange(SAMPLES)[None, :]
    exact: npt.NDArray[np.float64] = np.sqrt(2 / SAMPLES) * np.cos(np.pi / (2 * SAMPLES) * row * (2 * column + 1))
    return exact.astype(np.float32)

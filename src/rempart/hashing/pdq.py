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

_GREY, _RGB = 2, 3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Quality: steps between samples in hundredths of the full range, over an empirical 90 (the reference's own number).
_GRADIENT_SCALE, _GRADIENT_DIVISOR, _BEST_QUALITY = 100.0 / 255.0, 90, 100

TURNS: Final = (
    "rotate90",
    "rotate180",
    "rotate270",
    "flip_horizontal",
    "flip_vertical",
    "transpose",
    "transverse",
)
"""The seven ways to turn or mirror a picture, beside leaving it as it is."""


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


def downsample(image: npt.NDArray[np.uint8] | FloatArray) -> FloatArray:
    """The 64 x 64 samples of a picture of shape (height, width) or (height, width, 3)."""
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return np.zeros((SAMPLES, SAMPLES), np.float32)
    rows = np.empty((SAMPLES, width), np.float32)
    for first, last, start, stop, weights in _bands(height):
        np.matmul(weights, luma(image[start:stop]), out=rows[first:last])
    return rows @ _columns(width)


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
    return to_hashes(corner.reshape(1, -1))[0]


def to_hashes(rows: FloatArray) -> list[bytes]:
    """The same for several pictures at once: rows of 256 coefficients."""
    middle = rows.shape[1] // 2 - 1
    medians = np.partition(rows, middle, axis=1)[:, middle : middle + 1]
    packed = np.packbits((rows > medians)[:, ::-1], axis=1)
    return [row.tobytes() for row in packed]


def turned(corner: FloatArray) -> dict[str, bytes]:
    """The hashes of the picture turned and mirrored in the seven other ways, by name (:data:`TURNS`).

    To mirror a picture is to change the sign of every second coefficient along that axis; to transpose it is to
    transpose them. No pixel is read again.
    """
    signs = np.where(np.arange(CORNER) % 2 == 0, np.float32(-1), np.float32(1))
    across, down = corner * signs, corner * signs[:, None]
    both = across * signs[:, None]
    stack = np.stack([across.T, both, down.T, across, down, corner.T, both.T])
    return dict(zip(TURNS, to_hashes(stack.reshape(len(TURNS), -1)), strict=True))


def quality(samples: FloatArray) -> int:
    """How much detail there is, 0..100: summed steps between neighbouring samples."""
    steps = 0
    for axis in (0, 1):
        gradient = np.diff(samples, axis=axis) * np.float32(_GRADIENT_SCALE)
        steps += int(np.abs(np.trunc(gradient)).sum())
    return min(steps // _GRADIENT_DIVISOR, _BEST_QUALITY)


@lru_cache(maxsize=512)
def _sampling(length: int) -> FloatArray:
    """P(length): 64 x length, the twice box-filtered samples as weights of the inputs."""
    if length == SAMPLES:
        return np.eye(SAMPLES, dtype=np.float32)
    window = (length + 127) // 128
    half = (window + 2) // 2
    at = np.arange(length)
    low = np.maximum(at - (window - half), 0)
    high = np.minimum(at + half - 1, length - 1)
    rows = ((np.arange(SAMPLES) + 0.5) * length / SAMPLES).astype(np.int64)
    weights = np.zeros((SAMPLES, length + 1))
    for sample, row in enumerate(rows):
        # The second pass averages outputs of the first: add up, for each, its share of the inputs it averaged.
        inner = np.arange(low[row], high[row] + 1)
        share = 1.0 / (len(inner) * (high[inner] - low[inner] + 1))
        np.add.at(weights[sample], low[inner], share)
        np.add.at(weights[sample], high[inner] + 1, -share)
    exact = np.cumsum(weights[:, :length], axis=1)
    exact[np.abs(exact) < 1e-12] = 0.0  # noqa: PLR2004 -- what the running sum leaves of a zero
    return exact.astype(np.float32)


@lru_cache(maxsize=512)
def _bands(length: int) -> list[tuple[int, int, int, int, FloatArray]]:
    """P(length) in groups of samples: first and last sample, first and last input, and their weights.

    Small groups waste little on zeros, large ones make good matrix products; the sizes are measured.
    """
    group = 4 if length >= 1000 else 8 if length >= 400 else 16 if length >= 100 else SAMPLES  # noqa: PLR2004
    weights = _sampling(length)
    bands = []
    for first in range(0, SAMPLES, group):
        part = weights[first : first + group]
        used = np.flatnonzero(part.any(axis=0))
        start, stop = int(used[0]), int(used[-1]) + 1
        bands.append((first, first + group, start, stop, np.ascontiguousarray(part[:, start:stop])))
    return bands


@lru_cache(maxsize=512)
def _columns(length: int) -> FloatArray:
    return np.ascontiguousarray(_sampling(length).T)


@cache
def _cosines() -> FloatArray:
    """D: 16 x 64, rows 1 to 16 of the orthonormal type-II cosine transform."""
    row, column = np.arange(1, CORNER + 1)[:, None], np.arange(SAMPLES)[None, :]
    exact: npt.NDArray[np.float64] = np.sqrt(2 / SAMPLES) * np.cos(np.pi / (2 * SAMPLES) * row * (2 * column + 1))
    return exact.astype(np.float32)

"""The open marks of the dwtDct scheme, as public generators put them into what they make.

The scheme is published (invisible-watermark), and so are the codes: anyone can stamp any picture. A mark is lost by
JPEG, scaling and cutting, so that none being found says nothing. What is called dwtDct computes no cosine transform: it
takes the blue difference, halves it by a Haar wavelet, and writes one bit into the largest value of each block of 4 by
4. All values are sums of four bytes, so they are compared exactly, as integers.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

_LEAST_AREA: Final = 256 * 256
_BLOCK: Final = 4
_STEP: Final = 72  # 36 in the scale of the wavelet, which halves the sums of four
# The share of bits that must agree: 44 of 48.
_AGREE, _OF = 11, 12
# Blue difference in fixed point, 14 bits after the point, as OpenCV computes it: marks are made through it.
_SHIFT: Final = 14
_RED, _GREEN, _BLUE, _DIFFERENCE = 4899, 9617, 1868, 8061
_MIDDLE, _LARGEST = 128, 255


class Mark(NamedTuple):
    """Who writes a code, and its bits."""

    name: str
    code: bytes


MARKS: Final = (
    Mark("Stable Diffusion XL (diffusers)", bytes.fromhex("b3ec907bb19e")),
    Mark("FLUX (reference code)", bytes.fromhex("2afe879cf52e")),
    Mark("Stable Diffusion 1 (reference code)", b"StableDiffusionV1"),
    Mark("InvokeAI", b"InvokeAI"),
)
"""The codes that are long enough to be told from chance; that of Stable Diffusion 2 has 32 bits and is not.

Each has zeros and ones enough that a flat picture, which gives one of them only, holds none.
"""


def marks(pixels: npt.NDArray[np.uint8]) -> list[str]:
    """The names of the marks in a picture.

    Args:
        pixels: uint8 of shape (height, width, 3), red first, not scaled or turned since it was made.
    """
    height, width = pixels.shape[:2]
    if height * width < _LEAST_AREA:
        return []
    written = _written(pixels)
    return [mark.name for mark in MARKS if _holds(written, np.unpackbits(np.frombuffer(mark.code, np.uint8)))]


def _holds(written: npt.NDArray[np.bool_], code: npt.NDArray[np.uint8]) -> bool:
    """Whether a code was written over and over: for each of its bits, the majority of the blocks that repeat it."""
    place = np.arange(written.size) % code.size
    votes = np.bincount(place, minlength=code.size)
    ones = np.bincount(place, weights=written, minlength=code.size)
    bits = 2 * ones > votes
    return int((bits == code).sum()) * _OF >= _AGREE * code.size


def _written(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The bit that each block holds, in the order of rows."""
    height, width = (side // 4 * 4 for side in pixels.shape[:2])
    difference = _blue_difference(pixels[:height, :width])
    sums = difference[0::2, 0::2] + difference[0::2, 1::2] + difference[1::2, 0::2] + difference[1::2, 1::2]
    rows, columns = (side // _BLOCK for side in sums.shape)
    whole = sums[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    blocks = whole.transpose(0, 2, 1, 3).reshape(rows * columns, _BLOCK * _BLOCK)
    largest = blocks[:, 1:].max(axis=1)  # sums of bytes are never negative; the first value is left alone
    bits: npt.NDArray[np.bool_] = largest % _STEP > _STEP // 2
    return bits


def _blue_difference(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    red, green, blue = (pixels[:, :, channel].astype(np.int32) for channel in range(3))
    half = 1 << (_SHIFT - 1)
    luma = (_RED * red + _GREEN * green + _BLUE * blue + half) >> _SHIFT
    difference = ((blue - luma) * _DIFFERENCE + (_MIDDLE << _SHIFT) + half) >> _SHIFT
    limited: npt.NDArray[np.int32] = np.clip(difference, 0, _LARGEST)
    return limited

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from rempart.hashing.enlarged import ENLARGED_TO, enlarged_samples, is_small
from rempart.hashing.isolated import frame_hashes
from rempart.hashing.pdq import coefficients, downsample, to_hash

Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]


def grey(picture: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The luma of a drawn picture."""
    return np.asarray(picture.convert("L"))


def hash_of(samples: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    """The PDQ hash that samples lead to."""
    return to_hash(coefficients(samples))


@pytest.mark.parametrize("size", [(150, 100), (301, 511), (64, 64), (37, 900)])
def test_the_samples_are_those_of_the_picture_really_enlarged(size: tuple[int, int], lighthouse: Draw) -> None:
    """Pillow's linear filter, side by side, up to 512 pixels and not beyond."""
    picture = lighthouse(size, 3).convert("F")
    target = tuple(max(side, ENLARGED_TO) for side in size)
    enlarged = np.asarray(picture.resize(target, Image.Resampling.BILINEAR), np.float32)
    wanted = downsample(enlarged)
    assert np.abs(enlarged_samples(np.asarray(picture)) - wanted).max() < 0.01  # type: ignore[arg-type]


def test_a_constant_picture_keeps_its_value() -> None:
    """The weights of each sample add up to one, at the edges too."""
    for size in ((5, 9), (100, 480), (511, 6)):
        assert np.allclose(enlarged_samples(np.full(size, 77, np.uint8)), 77, atol=1e-3)


def test_only_pictures_with_a_side_under_512_pixels_have_an_enlarged_form(lighthouse: Draw) -> None:
    """For others PDQ's own sampling is fine enough; under 5 pixels there is nothing to see."""
    for size, small in (((511, 700), True), ((512, 512), False), ((5, 5), True), ((4, 600), False)):
        assert is_small(np.zeros(size, np.uint8)) is small
    small_ones, large_ones = (
        {one.variant for one in frame_hashes(grey(lighthouse(size)), 0, with_turned=False)}
        for size in ((300, 200), (600, 520))
    )
    assert (small_ones, large_ones) == ({"full", "full-enlarged"}, {"full"})


def test_the_enlarged_form_of_a_half_size_copy_is_near_the_plain_hash_of_its_original(
    lighthouse: Draw, distance: Distance
) -> None:
    """So lists that know only the plain hash of the original are enough."""
    plain, enlarged = [], []
    for seed in range(40):
        original = lighthouse((300, 220), seed)
        half = grey(original.resize((150, 110), Image.Resampling.BICUBIC))
        known = hash_of(downsample(grey(original)))
        plain.append(distance(known, hash_of(downsample(half))))
        enlarged.append(distance(known, hash_of(enlarged_samples(half))))
    assert max(enlarged) <= 31
    assert np.median(enlarged) < np.median(plain)

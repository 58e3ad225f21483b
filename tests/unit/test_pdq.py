from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rempart.errors import UsageError
from rempart.hashing import Pdq, pdq
from rempart.hashing.pdq import CORNER, TURNS, coefficients, downsample, quality, sampling, to_hash, turned

Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]
Array = npt.NDArray[np.uint8]

# On sides of exactly 8 or 16 pixels some rows of coefficients are zero in theory: rounding decides about their bits.
SIDES = [side for side in range(5, 701) if side not in (8, 16)]
sides = st.sampled_from(SIDES)
seeds = st.integers(0, 2**32 - 1)

ZERO = Pdq(bytes(32), 0)
# How the seven other ways look when they are done to the pixels.
TURN_PIXELS: dict[str, Callable[[Array], Array]] = {
    "rotate90": np.rot90,
    "rotate180": lambda pixels: np.rot90(pixels, 2),
    "rotate270": lambda pixels: np.rot90(pixels, -1),
    "flip_horizontal": np.fliplr,
    "flip_vertical": np.flipud,
    "transpose": lambda pixels: pixels.swapaxes(0, 1),
    "transverse": lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
}


def texture(height: int, width: int, seed: int, colours: int = 3) -> Array:
    """Smooth blotches with some noise, of shape (height, width, colours)."""
    rng = np.random.default_rng(seed)
    planes = []
    for _ in range(colours):
        blotches = Image.fromarray(rng.integers(0, 256, (9, 11), dtype=np.uint8))
        plane = np.asarray(blotches.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        planes.append(np.clip(plane + rng.integers(-12, 13, (height, width)), 0, 255).astype(np.uint8))
    return np.stack(planes, axis=2)


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    """The reference implementation, packaged for Python; part of the `bench` extra."""
    return pytest.importorskip("pdqhash", reason="pdqhash is not installed: it comes with the bench extra")


def reference(peer: ModuleType, pixels: Array) -> Pdq:
    """What the reference says about an RGB array."""
    bits, detail = peer.compute(np.ascontiguousarray(pixels))
    return Pdq(np.packbits(np.asarray(bits, np.uint8)).tobytes(), detail)


def published(luma: npt.NDArray[np.float64]) -> tuple[bytes, int]:
    """PDQ step by step as its authors describe it: slow, in double precision, one sample after the other."""

    def blurred(lines: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        length = lines.shape[1]
        window = (length + 127) // 128
        half = (window + 2) // 2
        means = [lines[:, max(0, i - window + half) : i + half].mean(axis=1) for i in range(length)]
        return np.stack(means, axis=1)

    height, width = luma.shape
    for _ in range(2):
        luma = blurred(blurred(luma).T).T
    samples = np.array(
        [[luma[int((i + 0.5) * height / 64), int((j + 0.5) * width / 64)] for j in range(64)] for i in range(64)]
    )
    steps = sum(
        int(abs(one - other) * 100 / 255)
        for lines in (samples, samples.T)
        for above, below in pairwise(lines)
        for one, other in zip(above, below, strict=True)
    )
    cosines = [[np.sqrt(2 / 64) * np.cos(np.pi / 128 * (i + 1) * (2 * j + 1)) for j in range(64)] for i in range(16)]
    values = (np.array(cosines) @ samples @ np.array(cosines).T).flatten()
    median = sorted(values)[127]
    digits = "".join("1" if value > median else "0" for value in reversed(values))
    return int(digits, 2).to_bytes(32), min(steps // 90, 100)


@given(sides, sides, seeds)
def test_it_equals_the_reference_on_textures_of_all_sizes(peer: ModuleType, height: int, width: int, seed: int) -> None:
    """The same bits but where two coefficients lie within rounding of the median, and the same quality within one."""
    pixels = texture(height, width, seed)
    ours, theirs = pdq(pixels), reference(peer, pixels)
    assert (int.from_bytes(ours.hash) ^ int.from_bytes(theirs.hash)).bit_count() <= 2
    assert abs(ours.quality - theirs.quality) <= 1


def test_it_equals_the_reference_to_the_bit_on_three_hundred_textures(peer: ModuleType) -> None:
    """No difference at all, in the hash or the quality."""
    chosen = random.Random(4)
    for seed in range(300):
        pixels = texture(chosen.choice(SIDES), chosen.choice(SIDES), seed)
        assert pdq(pixels) == reference(peer, pixels), pixels.shape


def test_it_equals_the_reference_to_the_bit_on_real_pictures(peer: ModuleType, data: Path) -> None:
    """On 400 pictures and on the reference's own: 0 bits and the same quality on the same RGB array."""
    own = json.loads((data / "pdq" / "expected.json").read_text(encoding="utf-8"))["files"]
    arrays = []
    for name in own:
        with Image.open(data / "pdq" / name) as image:
            arrays.append(np.asarray(image.convert("RGB")))
    with tarfile.open(data / "images" / "base3250.tar") as archive:
        members = [member for member in archive if member.isfile()]
        for member in random.Random(5).sample(members, 400):
            with Image.open(archive.extractfile(member)) as image:
                arrays.append(np.asarray(image.convert("RGB")))
    assert len(arrays) > 425
    assert [pdq(pixels) for pixels in arrays] == [reference(peer, pixels) for pixels in arrays]


@pytest.mark.parametrize(
    ("height", "width"),
    [(5, 700), (7, 9), (33, 40), (64, 64), (65, 127), (128, 129), (200, 301), (513, 258), (640, 385)],
)
def test_it_does_what_is_published(height: int, width: int, distance: Distance) -> None:
    """Against the algorithm written out step by step, which needs no peer: equal but for a rounding."""
    pixels = texture(height, width, seed=height * width, colours=1)[:, :, 0]
    bits, detail = published(pixels.astype(np.float64))
    value = pdq(pixels)
    assert distance(value.hash, bits) <= 2
    assert abs(value.quality - detail) <= 1


@pytest.mark.parametrize(("height", "width"), [(4095, 20), (4096, 70), (4097, 33), (9000, 50), (30, 65500)])
def test_long_sides_do_not_matter(height: int, width: int, peer: ModuleType) -> None:
    """Panoramas and scrolls, upright and lying, as the reference hashes them."""
    pixels = texture(height, width, seed=height)
    assert pdq(pixels) == reference(peer, pixels)
    assert pdq(pixels.swapaxes(0, 1)) == reference(peer, pixels.swapaxes(0, 1))


@given(st.integers(5, 5000))
def test_samples_are_averages_of_the_pixels_around_them(length: int) -> None:
    """Each sample's weights are positive, add up to one and lie around the sample's place."""
    weights = sampling(length)
    assert weights.shape == (64, length)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    window = (length + 127) // 128
    for sample, row in enumerate(weights):
        used = np.flatnonzero(row)
        assert abs(used - int((sample + 0.5) * length / 64)).max() <= window


@given(st.integers(0, 4), st.integers(0, 40), seeds)
def test_less_than_five_pixels_give_the_zero_hash(side: int, other: int, seed: int) -> None:
    """With quality 0, whichever side is short, grey or coloured."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, other), dtype=np.uint8)
    assert pdq(pixels) == pdq(pixels.T) == pdq(np.dstack([pixels] * 3)) == ZERO


def test_five_pixels_are_enough() -> None:
    """The smallest picture with a hash of its own."""
    assert pdq(texture(5, 5, seed=1)).hash != ZERO.hash


@given(sides, sides, seeds)
def test_exactly_half_of_the_bits_are_set(height: int, width: int, seed: int) -> None:
    """The median rule, on any picture whose coefficients differ."""
    assert int.from_bytes(pdq(texture(height, width, seed)).hash).bit_count() == 128


@given(sides, sides, seeds)
def test_grey_is_what_equal_colours_give(height: int, width: int, seed: int) -> None:
    """One grey plane, or three equal ones, as whole numbers or floats: one hash but for a rounding."""
    plane = texture(height, width, seed, colours=1)[:, :, 0]
    grey, rgb, floats = pdq(plane), pdq(np.dstack([plane] * 3)), pdq(plane.astype(np.float32))
    assert grey == floats
    assert (int.from_bytes(grey.hash) ^ int.from_bytes(rgb.hash)).bit_count() <= 2
    assert abs(grey.quality - rgb.quality) <= 1


def test_memory_layout_does_not_matter() -> None:
    """Slices, transposed views and reversed ones hash as their copies do."""
    pixels = texture(301, 404, seed=2, colours=1)[:, :, 0]
    for view in (pixels[3:200, 10:], pixels.T, pixels[::-1, ::-1], pixels[::2, ::3]):
        assert pdq(view) == pdq(view.copy())


@pytest.mark.parametrize("shape", [(), (64,), (64, 64, 1), (64, 64, 4), (3, 64, 64), (2, 64, 64, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """With a line that names the shape and what is wanted."""
    with pytest.raises(UsageError, match=r"not of shape \("):
        pdq(np.zeros(shape, np.uint8))


def test_flat_pictures_have_no_quality() -> None:
    """One colour has quality 0, blotches have 100, and noise is rated by what is left of it at 64 samples."""
    assert pdq(np.full((300, 200), 77, np.uint8)).quality == 0
    assert pdq(texture(300, 200, seed=3)).quality == 100
    assert quality(np.tile(np.float32([0, 1]), (64, 32))) == 0  # steps below a hundredth of the range count nothing
    # 64 rows with 63 steps of one hundredth each: 4032 // 90.
    assert quality(np.tile(np.float32([0, 2.55]), (64, 32)) * np.float32(1.001)) == 44


def test_text_form_is_the_bytes_in_order() -> None:
    """64 lower-case digits."""
    value = pdq(texture(90, 120, seed=4))
    assert value.hex == value.hash.hex()
    assert len(value.hex) == 64


def apart_when_turned(pixels: Array, distance: Distance) -> list[int]:
    """How far each turned hash of a grey picture lies from the hash of the picture really turned so."""
    computed = turned(coefficients(downsample(pixels)))
    assert tuple(computed) == TURNS == tuple(TURN_PIXELS)
    return [distance(computed[name], pdq(turn(pixels)).hash) for name, turn in TURN_PIXELS.items()]


def test_turned_hashes_are_those_of_really_turned_pictures(lighthouse: Draw, distance: Distance) -> None:
    """Within 12 bits from 800 pixels up, and most of them equal."""
    apart = []
    for seed in range(24):
        size = random.Random(seed).choices(range(800, 1400), k=2)
        apart += apart_when_turned(np.asarray(lighthouse(tuple(size), seed).convert("L")), distance)
    assert max(apart) <= 12
    assert np.median(apart) <= 2


def test_turned_hashes_are_equal_where_every_pixel_is_a_sample(distance: Distance) -> None:
    """At 64 pixels nothing is averaged or left out, so nothing depends on the direction."""
    for seed in range(20):
        assert apart_when_turned(texture(64, 64, seed, colours=1)[:, :, 0], distance) == [0] * len(TURNS)


def test_turned_hashes_of_small_real_pictures_stay_within_the_radius(data: Path, distance: Distance) -> None:
    """At 300 pixels a sample lies up to a third of a per cent off its mirrored place: 97.9% were within 31 bits."""
    apart = []
    with tarfile.open(data / "images" / "base3250.tar") as archive:
        for member in [member for member in archive if member.isfile()][::20]:
            with Image.open(archive.extractfile(member)) as image:
                apart += apart_when_turned(np.asarray(image.convert("L")), distance)
    assert len(apart) == 163 * len(TURNS)
    assert np.mean(np.array(apart) <= 31) >= 0.97
    assert np.median(apart) == 0


@given(seeds)
def test_turning_back_comes_back(seed: int) -> None:
    """A half turn or a mirror done twice, or a quarter turn and its opposite, leaves the hash as it was."""
    corner = np.random.default_rng(seed).standard_normal((CORNER, CORNER)).astype(np.float32)
    signs = np.where(np.arange(CORNER) % 2 == 0, np.float32(-1), np.float32(1))
    done = {
        "rotate90": corner.T * signs[:, None],
        "rotate180": corner * signs * signs[:, None],
        "rotate270": corner.T * signs,
        "flip_horizontal": corner * signs,
        "flip_vertical": corner * signs[:, None],
        "transpose": corner.T,
        "transverse": corner.T * signs * signs[:, None],
    }
    back = {name: name for name in TURNS} | {"rotate90": "rotate270", "rotate270": "rotate90"}
    for name, once in done.items():
        assert turned(corner)[name] == to_hash(once)
        assert turned(once)[back[name]] == to_hash(corner)
    assert len({to_hash(corner), *turned(corner).values()}) == 8

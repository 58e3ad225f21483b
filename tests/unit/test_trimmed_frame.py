from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from rempart.hashing.isolated import HashOptions, hash_content
from rempart.hashing.pdq import pdq
from rempart.hashing.trim import content_box
from rempart.settings import MediaSettings

Array = npt.NDArray[np.uint8]
Distance = Callable[[bytes, bytes], int]
Copy = Callable[[Image.Image], Image.Image]

RADIUS, SURE = 31, 50
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "red": (200, 30, 30)}


def noise(height: int = 120, width: int = 160, seed: int = 0) -> Array:
    """A grey picture without any line of one colour."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def bordered(content: Array, top: int, bottom: int, left: int, right: int, shade: int = 255) -> Array:
    """The content inside a border of one shade."""
    return np.pad(content, ((top, bottom), (left, right)), constant_values=shade)


def frame(share: float, colour: str) -> Copy:
    """A copy with a border around it, as wide as this share of the shorter side."""
    return lambda image: ImageOps.expand(image, round(share * min(image.size)), COLOURS[colour])


def padded(image: Image.Image, width: int, height: int, colour: str) -> Image.Image:
    """A copy in the middle of a larger plain canvas."""
    canvas = Image.new("RGB", (max(width, image.width), max(height, image.height)), COLOURS[colour])
    canvas.paste(image, ((canvas.width - image.width) // 2, (canvas.height - image.height) // 2))
    return canvas


def letterbox(image: Image.Image) -> Image.Image:
    """A copy with black bars that bring it to 16:9."""
    return padded(image, round(image.height * 16 / 9), round(image.width * 9 / 16), "black")


def square(colour: str) -> Copy:
    """A copy padded to a square."""
    return lambda image: padded(image, max(image.size), max(image.size), colour)


def square256(image: Image.Image) -> Image.Image:
    """What tools for data sets make: padded to a square and resized to 256 pixels."""
    return square("black")(image).resize((256, 256), Image.Resampling.LANCZOS)


def nested(image: Image.Image) -> Image.Image:
    """A narrow black frame inside a white one."""
    return ImageOps.expand(ImageOps.expand(image, 12, COLOURS["black"]), 20, COLOURS["white"])


def page(image: Image.Image) -> Image.Image:
    """A letterboxed film still on a white page."""
    return ImageOps.expand(letterbox(image), 30, COLOURS["white"])


@given(st.tuples(*[st.integers(0, 60)] * 4), st.integers(0, 255), st.integers(0, 99))
def test_a_border_is_found_on_each_side_in_each_shade(sides: tuple[int, ...], shade: int, seed: int) -> None:
    """To the pixel, however wide it is on which sides; nothing when it is less than a hundredth of both lengths."""
    top, bottom, left, right = sides
    image = bordered(noise(seed=seed), *sides, shade=shade)
    height, width = image.shape
    thin = max((top + bottom) / height, (left + right) / width) < 0.01
    assert content_box(image) == (None if thin else (top, height - bottom, left, width - right))


@pytest.mark.parametrize("colour", COLOURS)
def test_a_coloured_border_is_found_in_a_coloured_picture(colour: str) -> None:
    """RGB arrays as well as grey ones."""
    content = Image.fromarray(np.dstack([noise(seed=seed) for seed in range(3)]))
    image = np.asarray(ImageOps.expand(content, 17, COLOURS[colour]))
    assert content_box(image) == (17, 137, 17, 177)


def test_borders_inside_borders_are_all_found() -> None:
    """Eight frames of eight shades, one pixel to eight pixels wide."""
    image = noise()
    for number in range(1, 9):
        image = bordered(image, *[number] * 4, shade=number * 97 % 256)
    assert content_box(image) == (36, 156, 36, 196)


@given(st.integers(33, 300), st.integers(33, 300), st.integers(0, 2**32 - 1))
def test_a_textured_picture_has_no_border(height: int, width: int, seed: int) -> None:
    """Whatever its size."""
    assert content_box(noise(height, width, seed)) is None


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 255))
def test_a_uniform_picture_has_nothing_inside(height: int, width: int, shade: int) -> None:
    """One colour from edge to edge, at any size from one pixel up."""
    assert content_box(np.full((height, width), shade, np.uint8)) is None


@pytest.mark.parametrize(("height", "width"), [(20, 200), (200, 20), (31, 31), (40, 40)])
def test_tiny_content_is_not_taken_for_the_picture(height: int, width: int) -> None:
    """A logo or a line of text on a large page, under 32 pixels or an eighth of a side: the page is the picture."""
    assert content_box(bordered(noise(height, width), *[300] * 4)) is None


def test_a_border_around_a_nearly_empty_page_is_taken_off() -> None:
    """The page with its tiny content stays, as it is in the copy without the border."""
    page = bordered(noise(40, 40), *[300] * 4)
    assert content_box(bordered(page, *[50] * 4, shade=0)) == (50, 690, 50, 690)


def test_trimming_again_finds_nothing_more() -> None:
    """So that a bordered copy of a picture with a margin of its own ends at the same frame as the picture."""
    with_margin = bordered(noise(), 9, 4, 0, 30, shade=240)
    top, bottom, left, right = content_box(with_margin) or pytest.fail("no border found")
    trimmed = with_margin[top:bottom, left:right]
    assert content_box(trimmed) is None
    again = bordered(with_margin, 25, 25, 25, 25, shade=10)
    top, bottom, left, right = content_box(again) or pytest.fail("no border found")
    assert np.array_equal(again[top:bottom, left:right], trimmed)


@pytest.mark.parametrize("copy", [frame(0.05, "white"), frame(0.1, "grey"), letterbox, square("white"), nested, page])
def test_borders_of_jpeg_copies_are_found(
    copy: Copy, lighthouse: Callable[..., Image.Image], saved: Callable[..., bytes], distance: Distance
) -> None:
    """At quality 50 the trimmed frame has the hash of the original, give or take some bits."""
    for seed in range(6):
        original = lighthouse((320, 240), seed)
        hashed = hash_content(saved(copy(original), "JPEG", quality=50), MediaSettings(), HashOptions())
        (trimmed,) = [one.hash for one in hashed.hashes if one.variant == "trimmed"]
        assert distance(trimmed, pdq(np.asarray(original)).hash) <= RADIUS


def sure_hashes(content: bytes) -> list[bytes]:
    """The hashes that can be relied on, of all frames and forms."""
    hashed = hash_content(content, MediaSettings(), HashOptions())
    return [one.hash for one in hashed.hashes if one.quality >= SURE]


class Original(NamedTuple):
    """A picture, and its hashes that can be relied on."""

    image: Image.Image
    hashes: list[bytes]


@pytest.fixture(scope="module")
def originals(data: Path) -> list[Original]:
    """Every fortieth picture of the base corpus."""
    with tarfile.open(data / "images" / "base3250.tar") as archive:
        members = [member for member in archive if member.isfile()]
        contents = [archive.extractfile(member).read() for member in members[::40]]
    return [Original(Image.open(io.BytesIO(each)).convert("RGB"), sure_hashes(each)) for each in contents]


@pytest.mark.parametrize(
    ("copy", "floors"),
    [
        (frame(0.05, "white"), (0.96, 0.92)),
        (frame(0.05, "black"), (0.96, 0.92)),
        (frame(0.1, "grey"), (0.96, 0.82)),
        (letterbox, (0.96, 0.92)),
        (square("white"), (0.96, 0.92)),
        (square256, (0.92, 0.88)),
        (nested, (0.96, 0.88)),
        (page, (0.95, 0.88)),
    ],
    ids=["white5", "black5", "grey10", "letterbox", "square", "square256", "nested", "page"],
)
def test_bordered_copies_of_real_pictures_are_found(
    copy: Copy,
    floors: tuple[float, float],
    originals: list[Original],
    saved: Callable[..., bytes],
    distance: Distance,
) -> None:
    """At JPEG quality 90 and 30; the floors lie a few per cent below what was measured on 250 pictures."""
    assert len(originals) > 80
    copies = [copy(original.image) for original in originals]
    for quality, floor in zip((90, 30), floors, strict=True):
        found = 0
        for original, made in zip(originals, copies, strict=True):
            hashes = sure_hashes(saved(made, "JPEG", quality=quality))
            found += any(distance(*pair) <= RADIUS for pair in product(original.hashes, hashes))
        assert found / len(originals) >= floor, quality


def test_no_two_real_pictures_become_alike(originals: list[Original], distance: Distance) -> None:
    """Trimming a plain background must not make strangers match."""
    for ours, theirs in combinations((original.hashes for original in originals), 2):
        assert all(distance(one, other) > RADIUS for one in ours for other in theirs)

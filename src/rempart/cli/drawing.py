"""Harmless pictures for `rempart demo`: lighthouses, drawn by program, and the copies that people make of pictures."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps

SIZE = (640, 480)
_ORIENTATION = 0x0112
_TURNED_LEFT = 6
"""EXIF orientation of a picture that is stored a quarter turn to the left of how it is shown."""

Colour = tuple[int, int, int]


class Copy(NamedTuple):
    """One way in which a known picture comes back: its name, the file's ending, and how it is made."""

    change: str
    ending: str
    make: Callable[[Image.Image], bytes]


def lighthouse(seed: int) -> Image.Image:
    """A lighthouse by the sea; every seed gives another coast, hour and weather."""
    dice = random.Random(seed)  # noqa: S311 -- a drawing, not a secret
    width, height = SIZE
    horizon = dice.randint(height // 3, 2 * height // 3)
    picture = Image.fromarray(_sky_and_sea(seed, horizon))
    pen = ImageDraw.Draw(picture)
    x, y, size = dice.randint(40, width - 120), dice.randint(20, 80), dice.randint(30, 70)
    pen.ellipse((x, y, x + size, y + size), fill=_colour(dice, 190, 255))
    for _ in range(dice.randint(2, 5)):
        _hill(pen, dice, horizon)
    for _ in range(dice.randint(2, 6)):
        _boat(pen, dice, horizon)
    _tower(pen, dice, horizon)
    return picture


def _sky_and_sea(seed: int, horizon: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Clouds above and waves below: smooth noise, so that the picture has detail everywhere, as photographs have."""
    noise = np.random.default_rng(seed)
    width, height = SIZE
    layers = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24):
        coarse = noise.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
        layers += np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC), float) * 3 / cells
    layers /= sum(3 / cells for cells in (3, 6, 12, 24))
    tint = np.where(np.arange(height)[:, None, None] < horizon, (1.0, 1.05, 1.2), (0.35, 0.6, 0.8))
    return np.clip(layers * tint, 0, 255).astype(np.uint8)


def _hill(pen: ImageDraw.ImageDraw, dice: random.Random, horizon: int) -> None:
    left, span, rise = dice.randint(-80, SIZE[0] - 60), dice.randint(80, 260), dice.randint(20, 110)
    top = (left + dice.randint(span // 4, 3 * span // 4), horizon - rise)
    pen.polygon([(left, horizon + 4), top, (left + span, horizon + 4)], fill=_colour(dice, 20, 120))


def _boat(pen: ImageDraw.ImageDraw, dice: random.Random, horizon: int) -> None:
    x, y, size = dice.randint(10, SIZE[0] - 80), dice.randint(horizon + 20, SIZE[1] - 20), dice.randint(16, 44)
    pen.polygon(
        [(x, y), (x + 2 * size, y), (x + 1.6 * size, y + size / 2), (x + 0.4 * size, y + size / 2)], fill=(60, 40, 30)
    )
    pen.polygon([(x + size, y - 3), (x + size, y - 2 * size), (x + 2 * size, y - 3)], fill=_colour(dice, 150, 255))


def _tower(pen: ImageDraw.ImageDraw, dice: random.Random, horizon: int) -> None:
    foot, base, rise = dice.randint(100, SIZE[0] - 100), dice.randint(22, 40), dice.randint(150, 280)
    bottom, stripes, paint = horizon + dice.randint(20, 60), dice.randint(4, 8), _colour(dice, 60, 220)
    pen.ellipse((foot - 3 * base, bottom - base, foot + 3 * base, bottom + base), fill=(70, 64, 58))
    for stripe in range(stripes):
        low, high = (bottom - rise * part / stripes for part in (stripe, stripe + 1))
        wide, narrow = (base * (1 - 0.5 * part / stripes) for part in (stripe, stripe + 1))
        shade = paint if stripe % 2 else (236, 232, 224)
        pen.polygon([(foot - wide, low), (foot + wide, low), (foot + narrow, high), (foot - narrow, high)], fill=shade)
    top = bottom - rise
    pen.rectangle(
        (foot - base * 0.6, top - 26, foot + base * 0.6, top), fill=(250, 226, 120), outline=(30, 30, 30), width=3
    )
    pen.polygon([(foot - base * 0.8, top - 26), (foot + base * 0.8, top - 26), (foot, top - 52)], fill=(40, 36, 40))


def _colour(dice: random.Random, low: int, high: int) -> Colour:
    return dice.randint(low, high), dice.randint(low, high), dice.randint(low, high)


def saved(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """A picture as the bytes of a file; JPEG of quality 90 when nothing else is said."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 90} if kind == "JPEG" and not options else options))
    return buffer.getvalue()


def _half_size(picture: Image.Image) -> bytes:
    return saved(picture.resize((picture.width // 2, picture.height // 2)))


def _bordered(picture: Image.Image) -> bytes:
    return saved(ImageOps.expand(picture, border=round(0.05 * picture.width), fill="white"))


def _exif_turned(picture: Image.Image) -> bytes:
    tags = Image.Exif()
    tags[_ORIENTATION] = _TURNED_LEFT
    return saved(picture.transpose(Image.Transpose.ROTATE_90), quality=90, exif=tags.tobytes())


COPIES = (
    Copy("exact copy", "jpg", saved),
    Copy("half size", "jpg", _half_size),
    Copy("JPEG quality 30", "jpg", lambda picture: saved(picture, quality=30)),
    Copy("WebP quality 60", "webp", lambda picture: saved(picture, "WEBP", quality=60)),
    Copy("rotated 90", "jpg", lambda picture: saved(picture.transpose(Image.Transpose.ROTATE_90))),
    Copy("palette PNG", "png", lambda picture: saved(picture.quantize(64), "PNG", optimize=True)),
    Copy("CMYK JPEG", "jpg", lambda picture: saved(picture.convert("CMYK"))),
    Copy("5% border", "jpg", _bordered),
    Copy("EXIF-turned", "jpg", _exif_turned),
)

"""What people do to pictures before they pass them on: each alteration makes the file of an altered copy.

Where the file format is not the point, a copy is saved as JPEG of quality 90. Shares are shares of the shorter side
unless said otherwise, and pictures are resized with Lanczos' filter.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Random: TypeAlias = np.random.Generator
Alteration: TypeAlias = Callable[[Image.Image, Random], bytes]
Colour: TypeAlias = tuple[int, int, int]

BLACK: Final = (0, 0, 0)
WHITE: Final = (255, 255, 255)
CAPTION: Final = "the lighthouse at dusk"
MARK: Final = "HARBOUR NEWS"
_ORIENTATION: Final = 0x0112
_STORED_TURNED_LEFT: Final = 6  # to be shown with a quarter turn clockwise


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """A JPEG file of the picture."""
    return saved(image, "JPEG", quality=quality)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    """A file of the picture, with the options of Pillow."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def scaled(image: Image.Image, share: float) -> Image.Image:
    """Both sides times ``share``."""
    width, height = (max(1, round(side * share)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def framed(image: Image.Image, share: float, colour: Colour) -> Image.Image:
    """With a border of this share on all four sides."""
    return ImageOps.expand(image, round(min(image.size) * share), colour)


def barred(image: Image.Image, wide: int, high: int, colour: Colour = BLACK) -> Image.Image:
    """With two equal bars that bring it to this ratio of sides: at the sides, or above and below, as it needs."""
    width = max(image.width, round(image.height * wide / high))
    height = max(image.height, round(image.width * high / wide))
    page = Image.new("RGB", (width, height), colour)
    page.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return page


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without this share of its width and of its height, half of it taken off at either edge."""
    across, down = (round(side * share) for side in image.size)
    left, top = across // 2, down // 2
    return image.crop((left, top, left + image.width - across, top + image.height - down))


def noisy(image: Image.Image, sigma: float, rng: Random) -> Image.Image:
    """With normal noise, of its own in each channel."""
    pixels = np.asarray(image)
    return Image.fromarray(np.clip(pixels + rng.normal(0, sigma, pixels.shape), 0, 255).astype(np.uint8))


def few_coloured(image: Image.Image, colours: int) -> Image.Image:
    """With a palette of so many colours, dithered."""
    return image.quantize(colours, Image.Quantize.FASTOCTREE)


def captioned(image: Image.Image) -> Image.Image:
    """With white words on a dark band over the lowest eighth."""
    high = image.height // 8
    band = Image.new("RGBA", (image.width, high), (0, 0, 0, 176))
    _write(band, CAPTION, (255, 255, 255, 255), 0.9)
    layered = image.convert("RGBA")
    layered.alpha_composite(band, (0, image.height - high))
    return layered.convert("RGB")


def headed(image: Image.Image) -> Image.Image:
    """With black words on a white band put above, a seventh as high as the picture."""
    band = Image.new("RGB", (image.width, image.height // 7), WHITE)
    _write(band, CAPTION, BLACK, 0.9)
    page = Image.new("RGB", (image.width, image.height + band.height))
    page.paste(band, (0, 0))
    page.paste(image, (0, band.height))
    return page


def watermarked(image: Image.Image) -> Image.Image:
    """With large white words, outlined in black, across the middle, aslant, half opaque."""
    layer = Image.new("RGBA", image.size)
    _write(layer, MARK, (255, 255, 255, 128), 0.9, outline=(0, 0, 0, 128))
    marked = Image.alpha_composite(image.convert("RGBA"), layer.rotate(20, Image.Resampling.BICUBIC))
    return marked.convert("RGB")


def stored_turned(image: Image.Image) -> bytes:
    """Pixels stored with a quarter turn, and the EXIF tag that says so: as shown it is what it was."""
    exif = Image.Exif()
    exif[_ORIENTATION] = _STORED_TURNED_LEFT
    return saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)


def resent(image: Image.Image) -> bytes:
    """Made smaller and compressed twice, as by two messengers."""
    once = Image.open(io.BytesIO(jpeg(scaled(image, 0.75), 60)))
    return jpeg(scaled(once, 0.75), 40)


def _write(
    image: Image.Image, words: str, colour: tuple[int, ...], share: float, outline: tuple[int, ...] | None = None
) -> None:
    """Words in Pillow's own font in the middle of the picture, over this share of its width if the height allows."""
    draw = ImageDraw.Draw(image)
    wide = ImageFont.load_default(100).getlength(words)
    size = max(4.0, min(100 * image.width * share / wide, image.height * 0.7))
    middle = (image.width / 2, image.height / 2)
    font = ImageFont.load_default(size)
    draw.text(middle, words, colour, font, anchor="mm", stroke_width=1 if outline else 0, stroke_fill=outline)


def _turn(how: Image.Transpose) -> Alteration:
    return lambda image, _: jpeg(image.transpose(how))


ALTERATIONS: Final[dict[str, Alteration]] = {
    "resized to 3/4": lambda image, _: jpeg(scaled(image, 0.75)),
    "resized to 1/2": lambda image, _: jpeg(scaled(image, 0.5)),
    "resized to 1/4": lambda image, _: jpeg(scaled(image, 0.25)),
    "JPEG 30": lambda image, _: jpeg(image, 30),
    "WebP 50": lambda image, _: saved(image, "WEBP", quality=50),
    "PNG, 64-colour palette": lambda image, _: saved(few_coloured(image, 64), "PNG"),
    "GIF": lambda image, _: saved(few_coloured(image, 256), "GIF"),
    "CMYK JPEG": lambda image, _: jpeg(image.convert("CMYK")),
    "grey": lambda image, _: jpeg(image.convert("L")),
    "Gaussian blur, radius 2": lambda image, _: jpeg(image.filter(ImageFilter.GaussianBlur(2))),
    "noise, sigma 10": lambda image, rng: jpeg(noisy(image, 10, rng)),
    "white border, 5%": lambda image, _: jpeg(framed(image, 0.05, WHITE)),
    "black border, 5%": lambda image, _: jpeg(framed(image, 0.05, BLACK)),
    "white border, 10%": lambda image, _: jpeg(framed(image, 0.1, WHITE)),
    "black border, 10%": lambda image, _: jpeg(framed(image, 0.1, BLACK)),
    "black bars to 16:9": lambda image, _: jpeg(barred(image, 16, 9)),
    "black bars to 9:16": lambda image, _: jpeg(barred(image, 9, 16)),
    "cropped by 2%": lambda image, _: jpeg(cropped(image, 0.02)),
    "cropped by 5%": lambda image, _: jpeg(cropped(image, 0.05)),
    "cropped by 10%": lambda image, _: jpeg(cropped(image, 0.1)),
    "cropped by 20%": lambda image, _: jpeg(cropped(image, 0.2)),
    "rotated by 90 degrees": _turn(Image.Transpose.ROTATE_90),
    "rotated by 180 degrees": _turn(Image.Transpose.ROTATE_180),
    "rotated by 270 degrees": _turn(Image.Transpose.ROTATE_270),
    "mirrored": _turn(Image.Transpose.FLIP_LEFT_RIGHT),
    "stored turned, with EXIF tag": lambda image, _: stored_turned(image),
    "caption over the picture": lambda image, _: jpeg(captioned(image)),
    "caption above the picture": lambda image, _: jpeg(headed(image)),
    "watermark": lambda image, _: jpeg(watermarked(image)),
    "white border 5%, 3/4, JPEG 60": lambda image, _: jpeg(scaled(framed(image, 0.05, WHITE), 0.75), 60),
    "white square of 256 pixels": lambda image, _: jpeg(barred(image, 1, 1, WHITE).resize((256, 256))),
    "cropped by 5%, 1/2": lambda image, _: jpeg(scaled(cropped(image, 0.05), 0.5)),
    "3/4, JPEG 60, 3/4, JPEG 40": lambda image, _: resent(image),
    "mirrored, 1/2, JPEG 50": lambda image, _: jpeg(scaled(ImageOps.mirror(image), 0.5), 50),
}
"""Name -> what makes the file. The last ones are combinations as they are met in practice."""

"""Small drawn pictures in every format and mode that Pillow writes: what the targets of media begin from."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image

_WIDTH, _HEIGHT = 48, 36


@cache
def pictures() -> dict[str, bytes]:
    """Files by what they are."""
    lighthouse = _lighthouse()
    turned = Image.Exif()
    turned[0x0112] = 6
    grey = lighthouse.convert("L")
    deep = Image.fromarray((np.asarray(grey, np.uint16) * 257).astype(np.uint16))
    bright = Image.fromarray(np.asarray(grey, np.float32) / 255)
    clear = lighthouse.copy()
    clear.putalpha(grey)
    found = {
        "jpeg": _saved(lighthouse, "JPEG"),
        "jpeg progressive": _saved(lighthouse, "JPEG", progressive=True),
        "jpeg grey": _saved(grey, "JPEG", restart_marker_rows=1),
        "jpeg cmyk": _saved(lighthouse.convert("CMYK"), "JPEG"),
        "jpeg turned": _saved(lighthouse, "JPEG", exif=turned, subsampling=0),
        "mpo": _moving(lighthouse, "MPO"),
        "png": _saved(lighthouse, "PNG"),
        "png palette": _saved(lighthouse.quantize(16), "PNG", transparency=3),
        "png deep": _saved(deep, "PNG"),
        "png one bit": _saved(grey.convert("1"), "PNG"),
        "png alpha": _saved(clear, "PNG", exif=turned),
        "apng": _moving(lighthouse, "PNG"),
        "gif": _moving(lighthouse.quantize(32), "GIF"),
        "tiff": _saved(lighthouse, "TIFF", exif=turned),
        "tiff lzw": _saved(lighthouse, "TIFF", compression="tiff_lzw"),
        "tiff pages": _moving(lighthouse, "TIFF"),
        "tiff deflate": _saved(deep, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": _saved(lighthouse, "TIFF", compression="jpeg"),
        "tiff fax": _saved(grey.convert("1"), "TIFF", compression="group4"),
        "tiff float": _saved(bright, "TIFF"),
        "tiff lab": _saved(Image.merge("LAB", lighthouse.split()), "TIFF"),
        "webp": _saved(clear, "WEBP"),
        "webp lossless": _saved(lighthouse, "WEBP", lossless=True, exif=turned),
        "webp moving": _moving(lighthouse, "WEBP"),
        "avif": _saved(lighthouse, "AVIF", speed=10),
        "bmp": _saved(lighthouse.quantize(16), "BMP"),
        "ico": _saved(clear, "ICO", sizes=[(16, 16), (32, 32)]),
        "icns": _icns(_saved(clear.resize((16, 16)), "PNG")),
        "jp2": _saved(lighthouse, "JPEG2000"),
        "heif head": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x0cmeta\0\0\0\0",
        "video head": b"\0\0\0\x18ftypisom\0\0\0\0mp41isom",
    }
    for form in ("DDS", "MSP", "PCX", "PPM", "QOI", "SGI", "SPIDER", "TGA", "XBM"):
        mode = {"MSP": "1", "XBM": "1", "SPIDER": "F"}.get(form, "RGB")
        found[form.lower()] = _saved(lighthouse.convert(mode), form)
    return found


def _lighthouse() -> Image.Image:
    """A striped tower by a wavy sea, a gradient for a sky."""
    down, across = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    sea = 90 + 60 * np.sin(across / 3 + down)
    sky = 120 + 2 * down + across
    plane = np.where(down > 24, sea, sky)  # noqa: PLR2004 -- the horizon
    tower = (abs(across - 30) < 5) & (down > 6) & (down < 30)  # noqa: PLR2004 -- where it stands
    red = np.where(tower, np.where(down // 4 % 2, 200, 250), plane)
    rest = np.where(tower, np.where(down // 4 % 2, 20, 245), plane)
    return Image.fromarray(np.stack([red, rest, rest + 5], axis=2).clip(0, 255).astype(np.uint8))


def _icns(png: bytes) -> bytes:
    """A set of icons with one of 16 pixels; Pillow would write all sizes up to 1,024."""
    icon = b"icp4" + (8 + len(png)).to_bytes(4, "big") + png
    return b"icns" + (8 + len(icon)).to_bytes(4, "big") + icon


def _moving(image: Image.Image, form: str) -> bytes:
    # Copies: a picture that was saved remembers settings of that format, and cannot be saved in another.
    return _saved(image.copy(), form, save_all=True, append_images=[image.rotate(90), image.rotate(180)])


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()

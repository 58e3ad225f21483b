"""Bring every kind of picture to plain 8-bit grey or RGB, and say what was done to it.

Peers hash the raw array of whatever mode their decoder returns, so a palette or CMYK copy of a known picture passes
unseen. Here the same picture in another mode becomes the same array, or very nearly.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Pixels = npt.NDArray[np.uint8]
"""uint8 of shape (height, width) for grey, (height, width, 3) for RGB."""

WHITE = 255

_PLAIN = frozenset(("RGB", "L", "RGBX"))
_NOTES = {
    "1": "one_bit",
    "P": "palette",
    "PA": "palette",
    "CMYK": "cmyk",
    "YCbCr": "ycbcr",
    "LAB": "lab",
    "HSV": "hsv",
    "I": "deep",
    "F": "deep",
}
_16_BIT = 65535
_ORIENTATION = 0x0112

# EXIF orientation -> (quarter turns counter-clockwise, then mirrored left to right).
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}


def to_plain(image: Image.Image) -> tuple[Pixels, list[str]]:
    """An opened picture as grey or RGB, alpha laid over white, in the orientation it is stored in.

    Returns:
        uint8 pixels, and the notes for what was done (see docs/formats.md).
    """
    notes = [_NOTES[image.mode]] if image.mode in _NOTES else ["deep"] if image.mode.startswith("I;") else []
    if image.mode == "LAB":
        image = _lab_to_rgb(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep_to_grey(image), notes
    if image.has_transparency_data:
        pixels, seen = _over_white(image)
        return pixels, [*notes, "alpha_over_white"] if seen else notes
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")), notes
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), notes


def to_layer(image: Image.Image) -> tuple[Pixels, list[str]]:
    """A picture that is to be laid over others: uint8 of shape (height, width, 4), RGB and how opaque it is.

    Only for modes that GIF and PNG know.
    """
    if image.mode == "I" or image.mode.startswith("I;"):
        return np.asarray(Image.fromarray(_deep_to_grey(image)).convert("RGBA")), ["deep"]
    return np.asarray(image.convert("RGBA")), [_NOTES[image.mode]] if image.mode in _NOTES else []


def inks_to_plain(inks: Pixels) -> tuple[Pixels, list[str]]:
    """The inks of a CMYK JPEG, shape (height, width, 4), as RGB; 255 is no ink, for so Adobe stores them."""
    height, width = inks.shape[:2]
    return to_plain(Image.frombytes("CMYK", (width, height), inks, "raw", "CMYK;I"))


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation 1..8 of an opened picture; 1 when it has none that is valid."""
    try:
        return _valid(image.getexif())
    except Exception:  # noqa: BLE001 -- Pillow raises many kinds on hostile EXIF; then the picture has no orientation
        return 1


def exif_orientation(block: bytes) -> int:
    """The same of a bare EXIF block, which begins with its byte order."""
    tags = Image.Exif()
    try:
        tags.load(b"Exif\0\0" + block)
        return _valid(tags)
    except Exception:  # noqa: BLE001 -- as above
        return 1


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation 1..8 (TIFF 6.0, tag 274) to pixels; a view, nothing is copied."""
    if orientation not in _TURNS:
        return pixels
    quarter_turns, mirrored = _TURNS[orientation]
    turned = np.rot90(pixels, quarter_turns)
    return turned[:, ::-1] if mirrored else turned


def _valid(tags: Image.Exif) -> int:
    value = tags.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and value in _TURNS else 1


def _over_white(image: Image.Image) -> tuple[Pixels, bool]:
    """Lay a picture with transparency over white; whether any of it was transparent."""
    grey = image.mode in ("LA", "La", "L", "1")
    layered = image.convert("RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema() == (WHITE, WHITE):
        return np.asarray(layered.convert("L" if grey else "RGB")), False
    page = Image.new("RGBA", layered.size, (WHITE, WHITE, WHITE, WHITE))
    flat = Image.alpha_composite(page, layered).convert("RGB")
    return np.asarray(flat.convert("L") if grey else flat), True


def _deep_to_grey(image: Image.Image) -> Pixels:
    """Integers or floats of more than 8 bits to 8: by the format's own white where it has one, else by the range."""
    values = np.asarray(image).astype(np.float32)
    if image.mode.startswith("I;16"):
        scale, low = WHITE / _16_BIT, 0.0
    else:
        values[~np.isfinite(values)] = 0.0
        low, high = min(float(values.min()), 0.0), float(values.max())
        white = next((top for top in (1.0, float(WHITE), float(_16_BIT)) if high <= top and low >= 0), high - low)
        scale = WHITE / white if white > 0 else 0.0
    grey: Pixels = np.clip((values - np.float32(low)) * np.float32(scale) + np.float32(0.5), 0, WHITE).astype(np.uint8)
    return grey


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    """CIE L*a*b* to sRGB through LittleCMS; Pillow's own convert does not know it."""
    profile = ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    if converted is None:
        raise io.UnsupportedOperation("LittleCMS returned no picture")
    return converted

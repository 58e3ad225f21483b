"""The same picture in another mode, orientation or format is the same array, or nearly."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from rempart.hashing import pdq
from rempart.media import normalise
from rempart.media.decode import Picture
from rempart.settings import MediaSettings

# Decoding children ignore Pillow's warnings about odd files.
pytestmark = pytest.mark.filterwarnings("ignore")

NEAR = 8
DOCUMENT = Path(__file__).parents[2] / "docs" / "formats.md"

Saved = Callable[..., bytes]
Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]
Make = Callable[[Image.Image, Saved], bytes]


def first(content: bytes) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """The pixels of the first frame, and the notes."""
    picture = Picture(content, MediaSettings())
    pixels = next(iter(picture))
    return pixels, picture.normalised


def lab(image: Image.Image) -> Image.Image:
    """The picture in CIE L*a*b*, by the textbook (sRGB, white D50 as LittleCMS takes it, adapted by plain scaling)."""
    rgb = np.asarray(image) / 255.0
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, 2, 0)
    light, green_red, blue_yellow = (116 * y - 16) * 2.55, 500 * (x - y), 200 * (y - z)
    planes = [light, green_red + 128, blue_yellow + 128]
    return Image.merge("LAB", [Image.fromarray(plane.clip(0, 255).astype(np.uint8)) for plane in planes])


def wide_rgb(image: Image.Image) -> bytes:
    """The picture as a PNG of 16 bits a channel, which Pillow reads but does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    samples = (np.asarray(image).astype(">u2") * 257).reshape(image.height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", *image.size, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def grey16(image: Image.Image) -> Image.Image:
    """Grey with 16 bits."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def grey32(image: Image.Image) -> Image.Image:
    """Grey with 32 bits, of which 16 are used."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.int32) * 257)


def grey_float(image: Image.Image, top: float) -> Image.Image:
    """Grey as floats from 0 to ``top``."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255 * top)


def grey_with_alpha(image: Image.Image) -> Image.Image:
    """Grey with an alpha channel that lets nothing through."""
    return image.convert("LA")


def palette_with_clear_colour(image: Image.Image, saved: Saved) -> bytes:
    """A palette of which one unused colour is transparent."""
    return saved(image.quantize(255), "PNG", transparency=255)


MODES: dict[str, tuple[Make, list[str]]] = {
    "L": (lambda image, saved: saved(image.convert("L"), "PNG"), []),
    "LA": (lambda image, saved: saved(grey_with_alpha(image), "PNG"), []),
    "P": (lambda image, saved: saved(image.quantize(256), "PNG"), ["palette"]),
    "P, clear colour": (palette_with_clear_colour, ["palette"]),
    "GIF": (lambda image, saved: saved(image.quantize(256), "GIF"), ["palette"]),
    "RGBA": (lambda image, saved: saved(image.convert("RGBA"), "PNG"), []),
    "RGBX": (lambda image, saved: saved(image.convert("RGBX"), "TIFF"), []),
    "CMYK": (lambda image, saved: saved(image.convert("CMYK"), "TIFF"), ["cmyk"]),
    "CMYK JPEG": (lambda image, saved: saved(image.convert("CMYK"), "JPEG"), ["cmyk"]),
    "YCbCr": (lambda image, saved: saved(image.convert("YCbCr"), "TIFF"), ["ycbcr"]),
    "LAB": (lambda image, saved: saved(lab(image), "TIFF"), ["lab"]),
    "I;16 PNG": (lambda image, saved: saved(grey16(image), "PNG"), ["deep"]),
    "I;16 TIFF": (lambda image, saved: saved(grey16(image), "TIFF"), ["deep"]),
    "I": (lambda image, saved: saved(grey32(image), "TIFF"), ["deep"]),
    "F to 1": (lambda image, saved: saved(grey_float(image, 1.0), "TIFF"), ["deep"]),
    "F to 255": (lambda image, saved: saved(grey_float(image, 255.0), "TIFF"), ["deep"]),
    "F to 10,000": (lambda image, saved: saved(grey_float(image, 1e6), "TIFF"), ["deep"]),
    "RGB of 16 bits": (lambda image, _: wide_rgb(image), []),
    "AVIF": (lambda image, saved: saved(image, "AVIF", quality=90), []),
    "WebP": (lambda image, saved: saved(image, "WEBP", quality=90), []),
    "BMP": (lambda image, saved: saved(image, "BMP"), []),
    "JPEG 2000": (lambda image, saved: saved(image, "JPEG2000"), []),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_copy_in_another_mode_has_nearly_the_hash_of_the_original(
    mode: str, lighthouse: Draw, saved: Saved, distance: Distance
) -> None:
    """Within 8 bits of the RGB original, and the note says what was done."""
    image = lighthouse()
    make, notes = MODES[mode]
    pixels, said = first(make(image, saved))
    assert pixels.dtype == np.uint8
    assert distance(pdq(pixels).hash, pdq(np.asarray(image)).hash) <= NEAR
    assert said == notes


def test_a_one_bit_copy_is_read_and_noted(lighthouse: Draw, saved: Saved) -> None:
    """Too much is lost for a near hash, so only the pixels are held to Pillow's own."""
    image = lighthouse().convert("1")
    pixels, notes = first(saved(image, "PNG"))
    assert notes == ["one_bit"]
    assert np.array_equal(pixels, np.asarray(image.convert("L")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_white(mode: str, saved: Saved) -> None:
    """Black line art on nothing is not a black picture."""
    image = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (10, 10, 20, 20))
    image.paste((0, 0, 0, 128), (20, 10, 30, 20))
    if mode == "P":
        image.paste((0, 0, 0, 255), (20, 10, 30, 20))  # a palette of two: clear and black
    content = saved(image.convert(mode) if mode != "P" else image.quantize(4), "PNG")
    pixels, notes = first(content)
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 0]
    assert "alpha_over_white" in notes
    assert (int(grey[0, 0]), int(grey[15, 15])) == (255, 0)
    assert int(grey[15, 25]) == pytest.approx(0 if mode == "P" else 127, abs=1)


def test_transparency_that_hides_nothing_is_not_noted(lighthouse: Draw, saved: Saved) -> None:
    """Only what was done is noted."""
    image = lighthouse()
    pixels, notes = first(saved(image.convert("RGBA"), "PNG"))
    assert notes == []
    assert np.array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_comes_out_upright(
    form: str, orientation: int, lighthouse: Draw, saved: Saved, distance: Distance
) -> None:
    """What Pillow's own transpose would show; the size is the one shown too."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = lighthouse()
    stored = image.transpose(undo[orientation]) if orientation in undo else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if form == "TIFF" else {"quality": 90}
    picture = Picture(saved(stored, form, exif=exif, **options), MediaSettings())
    pixels = next(iter(picture))
    assert (picture.width, picture.height) == image.size
    assert picture.normalised == ([f"exif_orientation_{orientation}"] if orientation > 1 else [])
    assert distance(pdq(pixels).hash, pdq(np.asarray(image)).hash) <= NEAR


@pytest.mark.parametrize(
    "exif", [b"garbage!!", b"Exif\0\0", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\x08\0\0\0\x01\0\x12\1"]
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_cost_the_picture(form: str, exif: bytes, lighthouse: Draw, saved: Saved) -> None:
    """The pixels are whole, so the picture is; it has no orientation."""
    image = lighthouse()
    picture = Picture(saved(image, form, exif=exif), MediaSettings())
    assert len(list(picture)) == 1
    assert (picture.partial, picture.normalised) == (None, [])


def test_deep_pictures_with_odd_values_are_read(saved: Saved) -> None:
    """Not-a-number, infinities and negative values neither raise nor warn."""
    values = np.linspace(-5, 5, 64 * 64, dtype=np.float32).reshape(64, 64)
    values[0, :3] = np.nan, np.inf, -np.inf
    pixels, notes = first(saved(Image.fromarray(values), "TIFF"))
    assert notes == ["deep"]
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)


def listed(heading: str) -> set[str]:
    """The names in the first column of the table under a heading of the document."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_document_lists_every_note_and_no_other() -> None:
    """docs/formats.md is held to the code."""
    notes = {*normalise._NOTES.values(), "alpha_over_white", "end_marker_missing"}
    assert listed("What is done to the pixels") == notes | {f"exif_orientation_{number}" for number in range(2, 9)}


def test_the_document_lists_every_limit_and_no_other() -> None:
    """And to the settings."""
    assert listed("Limits") == set(MediaSettings.__struct_fields__)

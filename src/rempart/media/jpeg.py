"""JPEG through libjpeg-turbo, straight to grey: the Y channel is the luma, so no colour is ever computed.

A small walk over the markers tells what the decoder would not: the orientation, whether more pictures follow
(multi-picture format), whether the colours are CMYK, where stray bytes lie, and whether a file that lacks its end has
every scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import numpy as np
import simplejpeg
from PIL import Image

from rempart.errors import Reason
from rempart.media.normalise import Pixels
from rempart.media.outcome import Refused

_EOI, _SOS, _APP1, _APP2 = 0xD9, 0xDA, 0xE1, 0xE2
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A marker that has a length, or the end: no stuffed or fill byte, no TEM, RST or SOI, which stand alone.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_START, _END = b"\xff\xd8", b"\xff\xd9"
_SEGMENT_HEAD = 4  # two bytes of marker, two of length
_ORIENTATION = 0x0112
_COEFFICIENTS = 64
_GREY = 128
CMYK_COMPONENTS = 4


class Header(msgspec.Struct, kw_only=True):
    """What the markers before the first scan say."""

    width: int = 0
    height: int = 0
    components: int = 0
    orientation: int = 1
    multi_picture: bool = False
    scan_offset: int = 0
    """Where the first start-of-scan marker lies; 0 when the file ends before it."""


def read_header(data: bytes) -> Header:
    """Walk the markers up to the first scan. Never raises: what is missing keeps its default."""
    header = Header()
    for marker, at, body in _segments(data):
        if marker in _FRAME_MARKERS and len(body) > 5:  # noqa: PLR2004 -- precision, height, width, count
            header.height, header.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            header.components = body[5]
        elif marker == _APP1 and body[:6] == b"Exif\x00\x00" and header.orientation == 1:
            header.orientation = _orientation(body)
        elif marker == _APP2 and body[:4] == b"MPF\x00":
            header.multi_picture = True
        elif marker == _SOS:
            header.scan_offset = at
            break
    return header


def decode(data: bytes, header: Header) -> tuple[Pixels, Reason | None, bool]:
    """Decode a JPEG: a grey or coloured one to luma, a CMYK one to its four inks.

    Accurate DCT and upsampling, as the reference hashes were made with.

    Returns:
        A uint8 array of shape (height, width, 1) for luma or (height, width, 4) for inks (255 is no ink), not yet
        turned by its orientation; None, or TRUNCATED or DAMAGED when only a part of the picture decodes (the rest is
        grey); and whether nothing but the end marker is missing.

    Raises:
        Refused: no part of the picture can be decoded (TRUNCATED when the file ends before its first scan).
        ValueError: libjpeg-turbo does not take this kind of JPEG, though another decoder may.
    """
    if not header.scan_offset:
        raise Refused(Reason.TRUNCATED, "jpeg")
    truncated = data.rfind(_END, header.scan_offset) < 0
    end_missing = truncated and _all_scans_present(data, header)
    if end_missing:
        data += _END
    pixels, warning = _strictly(data, header)
    if "extraneous bytes before marker" in warning:
        # Stray bytes between segments lose nothing. But only the first warning is told: look for more without them.
        data = _without_stray_bytes(data, header)
        pixels, _ = _strictly(data, header)
    if pixels is not None:
        return pixels, None, end_missing
    return _loosely(data, header), Reason.TRUNCATED if truncated else Reason.DAMAGED, False


def decode_scaled(data: bytes, header: Header, factor: int) -> Pixels | None:
    """Decode a plain JPEG at a fraction of its size, which libjpeg-turbo does within the cosine transform.

    Every coefficient is still read, so that damage is noticed as in :func:`decode`.

    Args:
        data: the whole file.
        header: what :func:`read_header` made of it.
        factor: 2, 4 or 8.

    Returns:
        A uint8 array of luma of shape (height / factor, width / factor), rounded up, not yet turned by its orientation.
        None for whatever is not whole and plain: a part, inks, more than one picture, stray bytes, or any complaint of
        the decoder. :func:`decode` knows what to do with those.
    """
    if not header.scan_offset or header.multi_picture or header.components == CMYK_COMPONENTS:
        return None
    if data.rfind(_END, header.scan_offset) < 0:
        return None
    height, width = -(-header.height // factor), -(-header.width // factor)
    try:
        # The decoder takes the smallest of its scales that is no smaller than this.
        pixels: Pixels = simplejpeg.decode_jpeg(
            *(data, "GRAY"), fastdct=False, fastupsample=False, min_height=height, min_width=width, min_factor=factor
        )
    except ValueError:
        return None
    return pixels[:, :, 0] if pixels.shape[:2] == (height, width) else None


def _strictly(data: bytes, header: Header) -> tuple[Pixels | None, str]:
    """The pixels, or None and the first thing that libjpeg-turbo had to complain of."""
    try:
        return _pixels(data, header, strict=True), ""
    except ValueError as error:
        return None, str(error)


def _loosely(data: bytes, header: Header) -> Pixels:
    """As much as decodes, and grey for the rest.

    Once libjpeg-turbo has complained, an error that ends its work passes for one more complaint, and what it has not
    written by then would be what the memory held before: the last picture, perhaps.
    """
    inks = CMYK_COMPONENTS if header.components == CMYK_COMPONENTS else 1
    buffer = np.full(header.height * header.width * inks, _GREY, np.uint8)
    pixels = _pixels(data, header, strict=False, buffer=buffer)
    if (buffer == _GREY).all():
        raise ValueError("nothing was decoded")
    return pixels


def _pixels(data: bytes, header: Header, *, strict: bool, buffer: Pixels | None = None) -> Pixels:
    space = "CMYK" if header.components == CMYK_COMPONENTS else "GRAY"
    pixels: Pixels = simplejpeg.decode_jpeg(
        data, colorspace=space, fastdct=False, fastupsample=False, strict=strict, buffer=buffer
    )
    return pixels


def _without_stray_bytes(data: bytes, header: Header) -> bytes:
    """The file with nothing between the segments before its first scan."""
    kept = [_START]
    for _, at, body in _segments(data):
        if at == header.scan_offset:
            break
        kept.append(data[at : at + _SEGMENT_HEAD + len(body)])
    return b"".join((*kept, data[header.scan_offset :]))


def _segments(data: bytes, at: int = len(_START)) -> Iterator[tuple[int, int, bytes]]:
    """Marker, offset and body of each segment from ``at`` on; stops at the end of the data or of the picture."""
    while (found := _MARKER.search(data, at)) is not None:
        at, marker = found.start(), found[1][0]
        end = at + 2 + int.from_bytes(data[at + 2 : at + _SEGMENT_HEAD], "big")  # the length counts its own two bytes
        if marker == _EOI or end < at + _SEGMENT_HEAD or end > len(data):
            return
        yield marker, at, data[at + _SEGMENT_HEAD : end]
        at = end


def _orientation(exif: bytes) -> int:
    """The EXIF orientation 1..8; anything else in the tag counts as 1, upright."""
    tags = Image.Exif()
    try:
        tags.load(exif)
        value = tags.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 -- Pillow raises many kinds on hostile EXIF; then the picture has no orientation
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004


def _all_scans_present(data: bytes, header: Header) -> bool:
    """Whether a progressive file holds every coefficient of every component down to its last bit (T.81, G.1.1)."""
    precision: dict[int, list[int | None]] = {}
    for marker, _, body in _segments(data, header.scan_offset):
        if marker != _SOS or len(body) < 4:  # noqa: PLR2004
            continue
        count = body[0]
        first, last, successive = body[-3], min(body[-2], _COEFFICIENTS - 1), body[-1]
        for component in body[1 : 1 + 2 * count : 2]:
            bits = precision.setdefault(component, [None] * _COEFFICIENTS)
            bits[first : last + 1] = [successive & 15] * max(0, last + 1 - first)
    return len(precision) == header.components and all(set(bits) == {0} for bits in precision.values())

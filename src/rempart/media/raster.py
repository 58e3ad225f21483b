"""The decoded pixels of one picture, for the few who need to see them (a thumbnail, a test); hashing never does."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from rempart.errors import Reason
from rempart.media.child import read_content, work
from rempart.media.decode import Picture
from rempart.media.normalise import Pixels
from rempart.media.outcome import Refused, ShortText, Size, Unscannable
from rempart.media.pool import shared_pool
from rempart.media.source import Source
from rempart.settings import MediaSettings

_HEADER_BYTES = 4096


class Raster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first frame of a picture, upright, alpha over white.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        content: height x width x channels bytes, row by row.
    """

    format: ShortText
    width: Size
    height: Size
    channels: Annotated[int, Meta(ge=1, le=3)]
    content: bytes
    frames: Size
    normalised: tuple[ShortText, ...]
    partial: Reason | None

    @property
    def pixels(self) -> Pixels:
        """A read-only uint8 array of shape (height, width) for grey or (height, width, 3) for RGB."""
        shape = (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)
        return np.frombuffer(self.content, np.uint8).reshape(shape)


class _Nothing(msgspec.Struct, frozen=True):
    """Decoding has no options."""


def decode(source: Source, settings: MediaSettings | None = None) -> Raster | Unscannable:
    """The first frame of an untrusted picture, decoded in a child process within limits.

    Args:
        source: a path, or the content as bytes.
        settings: the limits; the defaults of :class:`rempart.settings.MediaSettings` when not given.

    Raises:
        DecoderError: no child can be started.
    """
    settings = settings or MediaSettings()
    limit = 3 * settings.max_pixels + _HEADER_BYTES
    return shared_pool(__name__, settings).run("decode", source, _Nothing(), Raster, limit=limit)


@work("decode", _Nothing)
def _decode(descriptor: int, settings: MediaSettings, _: _Nothing) -> Raster:
    content = read_content(descriptor, settings.max_file_bytes)
    if content is None:
        raise Refused(Reason.TOO_LARGE)
    picture = Picture(content, settings)
    pixels = next(iter(picture))
    return Raster(
        format=picture.format,
        width=picture.width,
        height=picture.height,
        channels=1 if pixels.ndim == 2 else pixels.shape[2],  # noqa: PLR2004 -- rows and columns only: grey
        content=np.ascontiguousarray(pixels).tobytes(),
        frames=picture.frames,
        normalised=tuple(picture.normalised),
        partial=picture.partial,
    )

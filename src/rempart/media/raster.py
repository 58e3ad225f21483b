"""The decoded pixels of one picture, for the few who need to see them (a thumbnail, a test); hashing never does."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from rempart.errors import Reason
from rempart.media.child import read_content, work
from rempart.media.decode import Picture
from rempart.media.normalise import Pixels
from rempart.media.outcome import Refused, ShortText, Size, Unscannable
from rempart.media.pool import shared_pool
from rempart.media.source import Source, room_for, write, written
from rempart.settings import MediaSettings

_ANSWER_BYTES = 1 << 16
_MOST_CHANNELS: Final = 3


class Raster(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of a picture, upright, alpha over white.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        content: height x width x channels bytes, row by row, read-only.
    """

    format: str
    width: int
    height: int
    channels: int
    content: memoryview
    frames: int
    normalised: tuple[str, ...]
    partial: Reason | None

    @property
    def pixels(self) -> Pixels:
        """A read-only uint8 array of shape (height, width) for grey or (height, width, 3) for RGB."""
        shape = (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)
        return np.frombuffer(self.content, np.uint8).reshape(shape)


class _Decoded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer of the work "decode": all of a raster but its content."""

    format: ShortText
    width: Size
    height: Size
    channels: Literal[1, 3]
    frames: Size
    normalised: tuple[ShortText, ...]
    partial: Reason | None


class _Nothing(msgspec.Struct, frozen=True):
    """Decoding has no options."""


def decode(source: Source, settings: MediaSettings | None = None) -> Raster | Unscannable:
    """The first frame of an untrusted picture, decoded in a child process within limits.

    The pixels come back in memory that the child wrote to and both share, so that however many there are, none is
    copied on the way.

    Args:
        source: a path, or the content as bytes.
        settings: the limits; the defaults of :class:`rempart.settings.MediaSettings` when not given.

    Raises:
        DecoderError: no child can be started.
    """
    settings = settings or MediaSettings()
    pool = shared_pool(__name__, settings)
    with room_for(_MOST_CHANNELS * settings.max_pixels) as room:
        answer = pool.run("decode", source, _Nothing(), _Decoded, limit=_ANSWER_BYTES, room=room)
        if isinstance(answer, Unscannable):
            return answer
        content = written(room, answer.width * answer.height * answer.channels)
        if content is None:
            return Unscannable(reason=Reason.CRASH)
        return Raster(**msgspec.structs.asdict(answer), content=content)


@work("decode", _Nothing)
def _decode(descriptor: int, settings: MediaSettings, _: _Nothing, room: int) -> _Decoded:
    content = read_content(descriptor, settings.max_file_bytes)
    if content is None:
        raise Refused(Reason.TOO_LARGE)
    picture = Picture(content, settings)
    pixels = np.ascontiguousarray(next(iter(picture)))
    write(room, pixels.data)
    return _Decoded(
        format=picture.format,
        width=picture.width,
        height=picture.height,
        channels=1 if pixels.ndim == 2 else _MOST_CHANNELS,  # noqa: PLR2004 -- rows and columns only: grey
        frames=picture.frames,
        normalised=tuple(picture.normalised),
        partial=picture.partial,
    )

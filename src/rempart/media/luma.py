"""Decoded frames of a video as plain pixels: mostly the luma plane as it is, for luma is all that PDQ looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import numpy as np
from PIL import Image

from rempart.media.normalise import Pixels, to_plain

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Planar formats of 8 bits whose first plane is the luma.
_LUMA_FIRST: Final = frozenset(
    (
        *("gray", "nv12", "nv16", "nv21", "nv24", "nv42"),
        *("yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p"),
        *("yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"),
    )
)
_FULL_RANGE: Final = 2
_8_BITS: Final = 8
_QUARTER: Final = 90

# Luma in the limited range that videos use by default (ITU-R BT.601), stretched to the full one. The hash would be the
# same without, but not its quality, nor would black be black where borders are looked for.
_BLACK, _WHITE = 16, 235
_STRETCHED: Final = np.clip(np.rint((np.arange(256) - _BLACK) * (255 / (_WHITE - _BLACK))), 0, 255).astype(np.uint8)


def upright(frame: VideoFrame) -> tuple[Pixels, list[str]]:
    """A frame as grey or RGB, rotated as it is to be shown, and the notes for what was done (docs/formats.md)."""
    pixels, notes = _plain(frame)
    turns = round(frame.rotation / _QUARTER) % 4
    return (np.rot90(pixels, turns), [*notes, f"rotated_{_QUARTER * turns}"]) if turns else (pixels, notes)


def _plain(frame: VideoFrame) -> tuple[Pixels, list[str]]:
    form, plane = frame.format, frame.planes[0]
    if form.name in _LUMA_FIRST and plane.line_size >= frame.width:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        luma = rows[: frame.height, : frame.width]
        full = frame.color_range == _FULL_RANGE or form.name.startswith("yuvj")
        return luma if full else _STRETCHED[luma], []
    notes = ["deep"] if any(one.bits > _8_BITS for one in form.components) else []
    if any(one.is_alpha for one in form.components):
        pixels, more = to_plain(Image.fromarray(frame.to_ndarray(format="rgba")))
        return pixels, notes + more
    return cast("Pixels", frame.to_ndarray(format="rgb24")), notes

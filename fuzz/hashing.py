"""Targets of the room hashing: what is done with the pixels of a picture that could be read."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fuzz.target import Target
from rempart.hashing.isolated import frame_hashes
from rempart.hashing.pdq import HASH_BYTES, pdq
from rempart.hashing.trim import SMALLEST_SIDE, content_box

_LONGEST_SIDE: Final = 512
_HEAD: Final = 5


def pixels(data: bytes) -> None:
    """Pixels of any size and content have hashes of the right form, and a trimmed frame that lies inside."""
    image = _image(data)
    height, width = image.shape[:2]
    whole = pdq(image)
    assert len(whole.hash) == HASH_BYTES
    box = content_box(image)
    if box is not None:
        top, bottom, left, right = box
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        assert min(bottom - top, right - left) >= SMALLEST_SIDE
    found = list(frame_hashes(image, 0, with_turned=True))
    assert found[0].hash == whole.hash
    assert len({one.variant for one in found}) == len(found)
    for one in found:
        assert len(one.hash) == HASH_BYTES
        assert 0 <= one.quality <= 100  # noqa: PLR2004 -- the range of the quality


def _image(data: bytes) -> npt.NDArray[np.uint8]:
    """A picture whose size stands in the first bytes and whose rows repeat the others."""
    head, rest = data[:_HEAD].ljust(_HEAD, b"\1"), data[_HEAD:] or b"\0"
    height, width = (1 + int.from_bytes(head[at : at + 2], "big") % _LONGEST_SIDE for at in (0, 2))
    shape = (height, width, 3) if head[4] & 1 else (height, width)
    return np.resize(np.frombuffer(rest, np.uint8), shape)


def _seeds() -> list[bytes]:
    sizes = ((0, 0), (4, 4), (63, 63), (127, 40), (300, 200))
    body = bytes(range(256)) + b"\0" * 700
    return [high.to_bytes(2, "big") + wide.to_bytes(2, "big") + bytes([high & 1]) + body for high, wide in sizes]


TARGETS: Final = {"pixels": Target(pixels, _seeds, longest=2048)}

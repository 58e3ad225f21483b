"""The signals computed from one picture."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from rempart.errors import Reason
from rempart.hashing.pdq import HASH_BYTES
from rempart.media.outcome import Hex, ShortText, Size

FULL, TRIMMED, ENLARGED = "full", "trimmed", "-enlarged"

HashBytes: TypeAlias = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Quality: TypeAlias = Annotated[int, Meta(ge=0, le=100)]


class PictureHash(msgspec.Struct, frozen=True):
    """One PDQ hash of one frame.

    Attributes:
        hash: 32 bytes, in the order of the text form.
        quality: 0..100.
        variant: ``full`` or ``trimmed``, then ``-enlarged`` if it was, then how it was turned, as in ``full+rotate90``.
        frame: number of the frame, from 0.
    """

    hash: HashBytes
    quality: Quality
    variant: ShortText = FULL
    frame: Size = 0


class Hashed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What was computed from a picture that could be read.

    Attributes:
        width: of the first frame as shown, in pixels; ``height`` likewise.
        frames: how many frames or pages the item has; ``frames_read`` how many of them were hashed.
        normalised: what was done to bring it to plain pixels (docs/formats.md lists the notes).
        partial: TRUNCATED or DAMAGED when only a part of the picture decodes.
        unread: TOO_MANY_FRAMES or FRAMES_UNREAD when not all frames were hashed.
        hashes: the full frame first; equal hashes of later frames are left out.
    """

    format: ShortText
    width: Size
    height: Size
    frames: Size
    frames_read: Size
    normalised: tuple[ShortText, ...]
    partial: Reason | None
    unread: Reason | None = None
    hashes: Annotated[tuple[PictureHash, ...], Meta(min_length=1)]
    md5: Hex
    sha1: Hex
    sha256: Hex

    @property
    def status(self) -> str:
        """``hashed``, or ``partial`` when only a part of the picture decodes."""
        return "partial" if self.partial else "hashed"

    @property
    def reason(self) -> Reason | None:
        """Why not everything could be read, None when it could."""
        if self.partial is None and self.frames_read < self.frames:
            return self.unread or Reason.FRAMES_UNREAD
        return self.partial

    @property
    def pdq(self) -> str:
        """The hash of the full first frame, as 64 lower-case hexadecimal digits."""
        return self.hashes[0].hash.hex()

    @property
    def quality(self) -> int:
        """The quality of that hash, 0..100."""
        return self.hashes[0].quality

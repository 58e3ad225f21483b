"""The signals computed from one picture or video."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from rempart.errors import Reason
from rempart.hashing.pdq import HASH_BYTES
from rempart.media.outcome import Hex, ShortText, Size

FULL, TRIMMED, ENLARGED = "full", "trimmed", "-enlarged"
_USABLE = 50

HashBytes: TypeAlias = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Quality: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Moment: TypeAlias = Annotated[float, Meta(ge=0)]


class PictureHash(msgspec.Struct, frozen=True):
    """One PDQ hash of one frame.

    Attributes:
        hash: 32 bytes, in the order of the text form.
        quality: 0..100.
        variant: ``full`` or ``trimmed``, then ``-enlarged`` if it was, then how it was turned, as in ``full+rotate90``.
        frame: number of the frame, from 0.
        at: when a video shows it, in seconds from its beginning; None in pictures.
    """

    hash: HashBytes
    quality: Quality
    variant: ShortText = FULL
    frame: Size = 0
    at: Moment | None = None


class Hashed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What was computed from a picture or video that could be read.

    Attributes:
        width: of the first frame as shown, in pixels; ``height`` likewise.
        frames: how many frames or pages the item has, of a video how many there are to sample; ``frames_read`` how many
            of them were hashed.
        seconds: how long a video lasts; None in pictures, and where neither frames nor header tell.
        normalised: what was done to bring it to plain pixels (docs/formats.md lists the notes).
        partial: TRUNCATED or DAMAGED when only a part of the item decodes.
        unread: TOO_MANY_FRAMES, FRAMES_UNREAD or TIMEOUT when not all frames were hashed.
        hashes: the full frame first. Of a picture, equal hashes of later frames are left out; of a video, every sampled
            frame is there, in time order.
    """

    format: ShortText
    width: Size
    height: Size
    frames: Size
    frames_read: Size
    normalised: tuple[ShortText, ...]
    partial: Reason | None
    unread: Reason | None = None
    seconds: Moment | None = None
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
    def is_video(self) -> bool:
        """Whether its frames have a time."""
        return self.hashes[0].at is not None

    @property
    def pdq(self) -> str:
        """The hash that stands for the item, as 64 lower-case hexadecimal digits.

        The full first frame; of a video the first full frame of quality 50, for many begin in black, else the best one.
        """
        return self._shown.hash.hex()

    @property
    def quality(self) -> int:
        """The quality of that hash, 0..100."""
        return self._shown.quality

    @property
    def _shown(self) -> PictureHash:
        if not self.is_video:
            return self.hashes[0]
        full = [one for one in self.hashes if one.variant == FULL]
        return next((one for one in full if one.quality >= _USABLE), max(full, key=lambda one: one.quality))

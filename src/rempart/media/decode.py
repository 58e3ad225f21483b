"""Open a picture's bytes and give its frames, one by one. Runs inside a decoding child, or in a benchmark.

JPEG goes to libjpeg-turbo, in grey unless it is CMYK, everything else to Pillow; both end in the same plain arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from time import monotonic

from rempart.errors import Reason
from rempart.media import jpeg
from rempart.media.album import Album, open_album
from rempart.media.animation import Animation
from rempart.media.normalise import Pixels, inks_to_plain, turn_upright
from rempart.media.outcome import Refused
from rempart.media.sniff import HEAD_BYTES, sniff, sniff_other
from rempart.media.stills import HAS_HEIF, Frame
from rempart.settings import MediaSettings

_TAIL_BYTES = 4096


class Picture:
    """An opened picture. Iterating gives the pixels of each frame that can be read, upright and plain.

    Attributes:
        format: lower-case name of the format found in the content.
        width: of the first frame, in pixels, as shown (after orientation).
        height: the same.
        frames: how many frames or pages the item says it has.
        frames_read: how many have been given.
        number: of the frame given last, from 0; frames that cannot be read have numbers too.
        normalised: what was done to bring the frames to plain grey or RGB, each thing once.
        partial: TRUNCATED or DAMAGED when only a part of a frame decodes.
    """

    def __init__(self, data: bytes, settings: MediaSettings) -> None:
        """Read the header.

        Raises:
            Refused: it is no picture, or one beyond the limits.
        """
        if not data:
            raise Refused(Reason.EMPTY)
        self._data = data
        self._settings = settings
        self._deadline = monotonic() + settings.wall_seconds / 2
        self.frames = 1
        self.frames_read = 0
        self.number = 0
        self.normalised: list[str] = []
        self.partial: Reason | None = None
        format_ = sniff(data[:HEAD_BYTES])
        if format_ == "heif" and not HAS_HEIF:
            raise Refused(Reason.MISSING_EXTRA, format_)
        if format_ is None and (other := sniff_other(data[:HEAD_BYTES])):
            raise Refused(Reason.UNSUPPORTED_FORMAT, other)
        self._jpeg = jpeg.read_header(data) if format_ == "jpeg" else None
        self._album: Album | Animation | None = None
        if self._jpeg is not None:
            self.format, self.width, self.height = "jpeg", self._jpeg.width, self._jpeg.height
            if self.width * self.height > settings.max_pixels:
                raise Refused(Reason.TOO_MANY_PIXELS, "jpeg", (self.width, self.height))
        if self._jpeg is None or self._jpeg.multi_picture:
            self._open_album(format_)

    def __iter__(self) -> Iterator[Pixels]:
        """Give the frames; those that cannot be read are left out, and ``unread`` tells of them.

        Once half of the time for a file has gone by no further frame is begun, for a time-out would lose the hashes of
        all; what the caller does with a frame counts.

        Raises:
            Refused: nothing at all decodes.
        """
        for number, frame in enumerate(islice(self._all(), self._settings.max_frames)):
            if frame is not None:
                self.number = number
                yield self._taken(frame)
            if monotonic() > self._deadline:
                break
        if not self.frames_read:
            raise Refused(self.partial or Reason.CORRUPT, self.format, (self.width, self.height))

    @property
    def unread(self) -> Reason | None:
        """Why not all frames were given, None when they were."""
        if self.frames_read == self.frames:
            return None
        return Reason.TOO_MANY_FRAMES if self.frames_read == self._settings.max_frames else Reason.FRAMES_UNREAD

    def _all(self) -> Iterator[Frame | None]:
        first = self._fast()
        if first is not None:
            yield first
            if self.frames == 1:
                return
        album = self._album or self._open_album("jpeg")
        yield from album.frames(start=0 if first is None else 1)

    def _taken(self, frame: Frame) -> Pixels:
        if not self.frames_read:
            self.height, self.width = frame.pixels.shape[:2]
        self.frames_read += 1
        self.partial = self.partial or frame.damage
        notes = frame.notes
        if self.frames_read == self.frames and not self.partial and self._lacks_end_marker():
            notes = [*notes, "end_marker_missing"]
        self.normalised.extend(note for note in notes if note not in self.normalised)
        return frame.pixels

    def _fast(self) -> Frame | None:
        """The first frame of a JPEG; None for other formats and rare kinds of JPEG, which Pillow is asked for."""
        header = self._jpeg
        if header is None:
            return None
        try:
            pixels, damage, end_missing = jpeg.decode(self._data, header)
        except ValueError:
            return None
        inks = header.components == jpeg.CMYK_COMPONENTS
        plain, notes = inks_to_plain(pixels) if inks else (pixels[:, :, 0], [])
        if header.orientation != 1:
            notes.append(f"exif_orientation_{header.orientation}")
        if end_missing:
            notes.append("end_marker_missing")
        return Frame(turn_upright(plain, header.orientation), notes, damage)

    def _lacks_end_marker(self) -> bool:
        """Whether a PNG or GIF, decoded whole, is without what such a file ends with."""
        tail = self._data[-_TAIL_BYTES:]
        return (self.format == "png" and b"IEND" not in tail) or (
            self.format == "gif" and not tail.rstrip(b"\0").endswith(b";")
        )

    def _open_album(self, format_: str | None) -> Album | Animation:
        self._album = album = open_album(self._data, format_, self._settings.max_pixels)
        self.format, (self.width, self.height) = album.format, album.size
        self.frames, self.partial = album.count, album.damage
        return album

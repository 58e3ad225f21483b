"""Open a video and give frames of it, sampled by time. Runs inside a decoding child, or in a benchmark.

FFmpeg, through PyAV, reads from a descriptor that is open already, and can open nothing else: the demuxer is the one
that the first bytes ask for, and none of those allowed reads from a network or follows a list of other files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rempart.errors import Reason
from rempart.media.decode import Picture
from rempart.media.extent import ends_early
from rempart.media.luma import upright
from rempart.media.normalise import Pixels
from rempart.media.outcome import Refused
from rempart.media.sniff import HEAD_BYTES, VIDEOS, sniff, sniff_other
from rempart.media.timeline import Timeline
from rempart.settings import MediaSettings

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_DEMUXERS: Final = {name: name for name in VIDEOS} | {"mp4": "mov", "webm": "matroska", "mpeg_stream": "mpegvideo"}
_BUFFER_BYTES: Final = 1 << 18
_MICROSECONDS: Final = 1_000_000
_COVERS: Final = 8

# What a header says of the length is not exact.
_SLACK_SECONDS, _SLACK_SHARE = 1.0, 0.02


class Sample(NamedTuple):
    """A frame: upright plain pixels, and when it is shown, in seconds from the beginning; a cover has no time."""

    pixels: Pixels
    at: float | None


class Video:
    """An opened video. Iterating gives the first frame of each interval, then the pictures on its cover.

    Only the first video stream is read; if there are more, ``unread`` says so.

    Attributes:
        format: lower-case name of the container found in the content.
        width: of the first frame, in pixels, as shown (after rotation); ``height`` likewise.
        frames_read: how many frames and covers have been given.
        seconds: how long it lasts: by its frames when all were seen, else as its header says; None if it does not.
        normalised: what was done to bring the frames to plain grey or RGB, each thing once.
        partial: TRUNCATED or DAMAGED when only a part of it decodes.
        unread: why not all frames were given; None when they were.
    """

    def __init__(self, descriptor: int, settings: MediaSettings) -> None:
        """Read the header.

        Raises:
            Refused: it is no video, holds none, or is beyond the limits.
        """
        self._settings = settings
        self._deadline = time.monotonic() + settings.video_seconds
        self.format = _format(descriptor)
        self.frames_read = 0
        self.normalised: list[str] = []
        size = os.fstat(descriptor).st_size
        early = ends_early(self.format, lambda at, count: os.pread(descriptor, count, at), size)
        self.partial: Reason | None = Reason.TRUNCATED if early else None
        self.unread: Reason | None = None
        self._covers: list[bytes] = []
        self._last_end = 0.0
        self._container = self._open(descriptor)
        streams = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if not streams:
            raise Refused(self.partial or Reason.NO_VIDEO, self.format)
        self._stream = stream = streams[0]
        self._others = len(streams) - 1
        context = stream.codec_context
        if context is None:
            raise Refused(self.partial or Reason.UNSUPPORTED_FORMAT, self.format)
        self.width, self.height = context.width, context.height
        if self.width * self.height > settings.max_pixels:
            raise Refused(Reason.TOO_MANY_PIXELS, self.format, (self.width, self.height))
        context.thread_count = 1  # there is a child for each core
        context.options = {"max_pixels": str(settings.max_pixels)}
        self.seconds = _told_seconds(self._container, stream)
        self._timeline = Timeline(
            interval=settings.video_interval,
            unit=stream.time_base,
            start=stream.start_time,
            rate=stream.average_rate or stream.guessed_rate,
        )

    def __iter__(self) -> Iterator[Sample]:
        """Give the frames.

        Raises:
            Refused: nothing at all decodes.
        """
        for frame, at in self._sampled():
            pixels, notes = upright(frame)
            if not self.frames_read:
                self.height, self.width = pixels.shape[:2]
            self.normalised.extend(note for note in notes if note not in self.normalised)
            self.frames_read += 1
            yield Sample(pixels, at)
        if not self.frames_read:
            broken = Reason.TRUNCATED if self.partial is Reason.TRUNCATED else Reason.CORRUPT
            raise Refused(self.unread or broken, self.format, (self.width, self.height))
        if self.unread is None:
            self._look_whether_whole()
        if self._others:
            self.unread = self.unread or Reason.FRAMES_UNREAD
        yield from self._cover_pictures()

    @property
    def frames(self) -> int:
        """How many frames there are to sample; an estimate, and more than were read, when not all were."""
        if self.unread is None:
            return self.frames_read
        told = int((self.seconds or 0.0) / self._settings.video_interval)
        return max(self.frames_read + 1, told)

    def _open(self, descriptor: int) -> InputContainer:
        try:
            import av  # noqa: PLC0415 -- an optional extra, which only videos need
        except ImportError:
            raise Refused(Reason.MISSING_EXTRA, self.format) from None
        try:
            return av.open(
                _File(descriptor),
                "r",
                format=_DEMUXERS[self.format],
                options={"max_pixels": str(self._settings.max_pixels)},
                metadata_errors="replace",
                buffer_size=_BUFFER_BYTES,
                io_open=_open_nothing,
            )
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 -- FFmpeg's errors are of a dozen kinds; to the batch it is one unreadable file
            raise Refused(self.partial or Reason.CORRUPT, self.format) from None

    def _sampled(self) -> Iterator[tuple[VideoFrame, float]]:
        """The first frame of each interval, and its time."""
        last = None
        for frame in self._decoded():
            at = self._timeline.time(frame)
            slot = self._timeline.slot(at)
            if slot == last:
                continue
            if frame.width * frame.height > self._settings.max_pixels:
                self.unread = Reason.FRAMES_UNREAD
                continue
            if self.frames_read == self._settings.max_video_frames:
                self.unread = Reason.TOO_MANY_FRAMES
                return
            last = slot
            yield frame, at

    def _decoded(self) -> Iterator[VideoFrame]:
        context = self._stream.codec_context
        for packet in self._packets():
            needless = packet is not None and self._timeline.needless(packet)
            context.skip_frame = "NONREF" if needless else "DEFAULT"
            try:
                frames = context.decode(packet)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 -- as above; what follows may decode again
                self.partial = self.partial or Reason.DAMAGED
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self.partial = self.partial or Reason.DAMAGED
                yield frame
            if self._too_late():
                return

    def _packets(self) -> Iterator[Packet[Any] | None]:
        """The packets of the stream, and last None, which asks the decoder for what it still holds."""
        try:
            for packet in self._container.demux():
                stream = packet.stream
                if packet.size and stream.type in ("audio", "video") and packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._last_end = max(self._last_end, end)
                if packet.size and stream is self._stream:
                    if packet.is_corrupt:
                        self.partial = self.partial or Reason.TRUNCATED
                    yield packet
                elif packet.size and _is_cover(stream):
                    self._covers.append(bytes(packet))
                if self._too_late():
                    return
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 -- as above
            self.partial = self.partial or Reason.DAMAGED
        yield None

    def _too_late(self) -> bool:
        if time.monotonic() <= self._deadline:
            return False
        self.unread = Reason.TIMEOUT
        return True

    def _look_whether_whole(self) -> None:
        """Compare what came, once nothing more comes, with what the header told."""
        told = self._container.duration
        if told is not None and self.partial is None:
            missing = (told + max(0, self._container.start_time or 0)) / _MICROSECONDS - self._last_end
            if missing > _SLACK_SECONDS + _SLACK_SHARE * told / _MICROSECONDS:
                self.partial = Reason.TRUNCATED
        self.seconds = self._timeline.end

    def _cover_pictures(self) -> Iterator[Sample]:
        if len(self._covers) > _COVERS:
            self.unread = self.unread or Reason.FRAMES_UNREAD
        for content in self._covers[:_COVERS]:
            try:
                picture = Picture(content, self._settings)
                for pixels in picture:
                    self.frames_read += 1
                    yield Sample(pixels, None)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 -- as above
                self.unread = self.unread or Reason.FRAMES_UNREAD
            else:
                self.unread = self.unread or picture.unread or picture.partial


class _File:
    """What PyAV reads from: a descriptor, and a place in it of its own."""

    name = ""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._at = 0

    def read(self, size: int) -> bytes:
        part = os.pread(self._descriptor, size, self._at)
        self._at += len(part)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at


def _format(descriptor: int) -> str:
    head = os.pread(descriptor, HEAD_BYTES, 0)
    if not head:
        raise Refused(Reason.EMPTY)
    format_ = sniff(head) or sniff_other(head)
    if format_ not in VIDEOS:
        raise Refused(Reason.UNSUPPORTED_FORMAT if format_ else Reason.UNKNOWN_FORMAT, format_)
    return format_


def _open_nothing(*_: Any) -> None:  # noqa: ANN401 -- what FFmpeg asks with is of no interest
    """A file that names other files does not get them."""
    raise PermissionError


def _is_cover(stream: Any) -> bool:  # noqa: ANN401 -- streams of any kind have a disposition
    from av.stream import Disposition  # noqa: PLC0415

    return bool(stream.disposition & Disposition.attached_pic)


def _told_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        told = float(stream.duration * stream.time_base)
    else:
        told = (container.duration or 0) / _MICROSECONDS
    return told if told > 0 else None

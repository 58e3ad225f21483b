"""Clips that tests draw and encode themselves, through PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from tests.conftest import _lighthouse

from rempart.hashing import Hashed, PictureHash
from rempart.hashing.isolated import HashOptions
from rempart.hashing.video import hash_open_video
from rempart.media.source import opened
from rempart.settings import MediaSettings

SIZE = (160, 120)
RATE = 10
SECONDS = 4

Picture = npt.NDArray[np.uint8]


@cache
def _scene(second: int) -> Picture:
    return np.asarray(_lighthouse((SIZE[0] + 64, SIZE[1]), second + 1))


def drawn(number: int, rate: int = RATE) -> Picture:
    """What a clip shows in a frame: another lighthouse in each second, and the camera moves two pixels a frame."""
    left = number % rate * 2
    return np.ascontiguousarray(_scene(number // rate)[:, left : left + SIZE[0]])


def clip(
    container: str = "mp4",
    codec: str = "libx264",
    *,
    seconds: int = SECONDS,
    rate: int = RATE,
    pixels: str = "yuv420p",
    shown: Iterable[Picture] | None = None,
    moments: Iterator[int] | None = None,
    options: dict[str, str] | None = None,
    streams: int = 1,
    path: Path | None = None,
    **muxing: str,
) -> bytes:
    """Encode a clip.

    Args:
        container: as FFmpeg calls it.
        codec: the same.
        seconds: how long it is, if it shows what :func:`drawn` draws.
        rate: frames a second.
        pixels: their kind, as FFmpeg calls it.
        shown: other pictures to show, RGB.
        moments: the time stamp of each frame, in milliseconds.
        options: of the codec.
        streams: how many times over.
        path: where to write it; some ways of writing want to read it again.
        **muxing: options of the container.
    """
    memory = io.BytesIO()
    with av.open(str(path) if path else memory, "w", format=container, options=muxing) as box:
        made: list[Any] = [box.add_stream(codec, rate=rate, options=options or {}) for _ in range(streams)]
        for picture in shown or (drawn(number, rate) for number in range(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if moments:
                frame.pts, frame.time_base = next(moments), Fraction(1, 1000)
            for stream in made:
                if not stream.codec_context.is_open:
                    _set_up(stream, frame, pixels, exact=moments is not None)
            for stream in made:
                box.mux(stream.encode(frame))
        for stream in made:
            box.mux(stream.encode())
    return path.read_bytes() if path else memory.getvalue()


def _set_up(stream: Any, frame: av.VideoFrame, pixels: str, *, exact: bool) -> None:  # noqa: ANN401 -- of any codec
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
    stream.codec_context.thread_count = 1
    if exact:
        stream.codec_context.time_base = Fraction(1, 1000)
    stream.codec_context.open()


def sound(cover: bytes | None = None) -> bytes:
    """A second of silence in an MP4, with a JPEG as its cover perhaps."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as box:
        stream = box.add_stream("aac", rate=44_100)
        picture = add_cover(box) if cover else None
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.float32), format="fltp", layout="mono")
        frame.rate = 44_100
        box.mux(stream.encode(frame))
        if cover:
            box.mux(cover_packet(picture, cover))
        box.mux(stream.encode())
    return memory.getvalue()


def covered(source: bytes, cover: bytes) -> bytes:
    """An MP4 with a JPEG as its cover."""
    memory = io.BytesIO()
    with av.open(io.BytesIO(source)) as given, av.open(memory, "w", format="mp4") as box:
        copy = box.add_stream_from_template(given.streams.video[0])
        box.mux(cover_packet(add_cover(box), cover))
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                box.mux(packet)
    return memory.getvalue()


def add_cover(box: Any) -> Any:  # noqa: ANN401 -- PyAV's own
    """A stream for a picture that belongs to the whole file."""
    stream = box.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = *SIZE, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


def cover_packet(stream: Any, cover: bytes) -> Any:  # noqa: ANN401 -- PyAV's own
    """The picture, to be written."""
    packet = av.Packet(cover)
    packet.stream, packet.pts, packet.dts = stream, 0, 0
    return packet


def here(content: bytes, **limits: float) -> Hashed:
    """Hash a clip in this process, which is quicker than to start another child for other limits."""
    with opened(content) as file:
        assert isinstance(file, int)
        return hash_open_video(file, MediaSettings(**limits), HashOptions())


def full(hashed: Hashed) -> list[PictureHash]:
    """The hashes of the full frames."""
    return [one for one in hashed.hashes if one.variant == "full"]


def times(hashed: Hashed) -> list[float | None]:
    """When the sampled frames are shown."""
    return [one.at for one in full(hashed)]

"""Targets of the room media: what opens untrusted files, and the channel to the decoding children."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import socket
import time
from functools import cache
from typing import Final

import msgspec
import numpy as np
from PIL import Image

from fuzz.pictures import pictures
from fuzz.target import Target
from rempart.errors import Reason
from rempart.hashing.hashed import Hashed
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.media import Unscannable, jpeg, wire
from rempart.media.decode import Picture
from rempart.media.normalise import Pixels
from rempart.media.outcome import Refused
from rempart.media.pool import Pool
from rempart.media.sniff import HEAD_BYTES, sniff, sniff_other
from rempart.settings import MediaSettings

LIMITS: Final = MediaSettings(workers=1, max_pixels=1 << 16, max_frames=4)
"""Low, so that an input shows quickly what goes beyond them."""

_ANSWER_BYTES: Final = 1 << 14
_PICTURES: Final = frozenset({"jpeg", "png", "gif", "bmp", "tiff", "webp", "avif", "heif"})
_PARTIAL: Final = (None, Reason.TRUNCATED, Reason.DAMAGED)
_GREY, _RGB = 2, 3
_FRAME_BYTES: Final = 1024
_SECONDS: Final = 5.0


def sniffed(data: bytes) -> None:
    """A format has one of the known names, whatever the first bytes are."""
    head = data[:HEAD_BYTES]
    assert sniff(head) in {None, *_PICTURES}
    assert sniff_other(head) not in _PICTURES


def jpeg_header(data: bytes) -> None:
    """The walk over the markers ends, and what it says lies inside the file."""
    header = jpeg.read_header(data)
    assert max(header.width, header.height) < 1 << 16
    assert header.orientation in range(1, 9)
    if header.scan_offset:
        assert data[header.scan_offset : header.scan_offset + 2] == b"\xff\xda"


def jpeg_decoded(data: bytes) -> None:
    """A JPEG never has more pixels than its header told the limits of."""
    header = jpeg.read_header(data)
    if header.width * header.height > LIMITS.max_pixels:
        return
    try:
        pixels, damage, end_missing = jpeg.decode(data, header)
    except (Refused, ValueError):
        return
    assert pixels.shape[:2] == (header.height, header.width)
    assert damage in _PARTIAL
    assert not (damage and end_missing)


def picture(data: bytes) -> None:
    """Frames are plain pixels within the limits; what is not whole says so; nothing but a refusal is raised."""
    try:
        opened = Picture(data, LIMITS)
        for pixels in opened:
            _is_plain(pixels)
    except Refused as refused:
        _is_told(refused.as_outcome())
        return
    assert 1 <= opened.frames_read <= min(opened.frames, LIMITS.max_frames)
    assert (opened.unread is None) == (opened.frames_read == opened.frames)
    assert opened.partial in _PARTIAL


def hashed(data: bytes) -> None:
    """The hashes of a picture pass through the channel as they are, and come of nothing but its own bytes."""
    first, *others = (_outcome(data, left) for left in (0, 0x55, 0xAA))
    assert [first, first] == others, "what was left in the memory is hashed too"
    _is_told(first)


def channel(data: bytes) -> None:
    """Whatever comes through the channel is taken apart into frames until a known error; what was sent is received."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        inbox, seen = wire.Inbox(ours), b""
        with contextlib.suppress(EOFError, wire.FrameError):
            while True:
                number = data[len(seen) + 4 : len(seen) + 8]
                frame = inbox.next(int.from_bytes(number, "big"), _FRAME_BYTES, time.monotonic() + _SECONDS)
                assert len(frame) <= _FRAME_BYTES
                seen += len(frame).to_bytes(4, "big") + number + frame
        assert data.startswith(seen)
        wire.send(ours, 1, data)
        assert wire.Inbox(theirs).next(1, len(data), time.monotonic() + _SECONDS) == data
        wire.send(ours, 2, data, ours.fileno())
        number, body, (descriptor,) = wire.receive_with_files(theirs, len(data), 1)
        os.close(descriptor)
        assert (number, body) == (2, data)


def answer(data: bytes) -> None:
    """What a decoding child answers is a sound value, or a crash of it; never an error here."""
    outcome = _pool(_Child(data)).run_open("hash", 0, HashOptions(), Hashed, limit=len(data))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=Hashed | Unscannable) == outcome


class _Child:
    """Stands in for a decoding child that was taken over by what it decoded."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply

    def ask(self, *_: object) -> tuple[list[bytes], float]:
        """The answer, and how long it took."""
        return [self._reply], 0.0


def _pool(child: _Child) -> Pool:
    pool = Pool(__name__, LIMITS)
    pool._idle = queue.LifoQueue()
    pool._idle.put(child)  # type: ignore[arg-type]
    return pool


def _outcome(data: bytes, left: int = 0) -> Hashed | Unscannable:
    """What comes of hashing a file in memory in which earlier pictures have left this value."""
    _fill(data, left)
    try:
        return hash_content(data, LIMITS, HashOptions(turned=True))
    except Refused as refused:
        return refused.as_outcome()


def _fill(data: bytes, value: int) -> None:
    """Leave a value in the memory that the pixels of a picture of this size are likely to get."""
    with contextlib.suppress(Exception):
        width, height = Image.open(io.BytesIO(data)).size
        if width * height <= LIMITS.max_pixels:
            for channels in (1, 3, 4):
                _ = [np.full(width * height * channels, value, np.uint8) for _ in range(8)]


def _is_told(outcome: Hashed | Unscannable) -> None:
    """Whether the parent gets this answer as it is; what it cannot decode would count as a crash."""
    reply = msgspec.msgpack.encode(outcome)
    assert len(reply) <= _ANSWER_BYTES * LIMITS.max_frames
    assert msgspec.msgpack.decode(reply, type=Hashed | Unscannable) == outcome


def _is_plain(pixels: Pixels) -> None:
    assert pixels.dtype == "uint8"
    assert pixels.ndim == _GREY or (pixels.ndim == _RGB and pixels.shape[2] == _RGB)
    assert 1 <= pixels.shape[0] * pixels.shape[1] <= LIMITS.max_pixels


def _files() -> list[bytes]:
    return list(pictures().values())


def _jpegs() -> list[bytes]:
    return [content for name, content in pictures().items() if name.startswith(("jpeg", "mpo"))]


@cache
def _frames() -> list[bytes]:
    return [len(body).to_bytes(4, "big") + body for body in (b"", b"ready", b"x" * 100)]


@cache
def _answers() -> list[bytes]:
    return [msgspec.msgpack.encode(_outcome(content)) for content in pictures().values()]


_MARKERS = tuple(bytes([0xFF, marker]) for marker in (0xC0, 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE1, 0xE2))
_CHUNKS = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"iCCP", b"zTXt"),
    *(b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"EXIF", b"ftyp", b"avif", b"heic", b"meta", b"iloc"),
    *(b"!\xf9\x04", b"II*\0", b"MM\0*", b"Exif\0\0", b"MPF\0", b"\x01\x12"),
)

TARGETS: Final = {
    "sniff": Target(sniffed, _files, _CHUNKS, longest=HEAD_BYTES),
    "jpeg_header": Target(jpeg_header, _jpegs, _MARKERS),
    "jpeg": Target(jpeg_decoded, _jpegs, _MARKERS),
    "picture": Target(picture, _files, (*_MARKERS, *_CHUNKS), longest=16384, seconds=5.0),
    "hashed": Target(hashed, _files, (*_MARKERS, *_CHUNKS), longest=16384, seconds=5.0),
    "channel": Target(channel, _frames, longest=4096),
    "answer": Target(answer, _answers, (b"Hashed", b"Unscannable", b"reason", b"hashes", b"format"), longest=8192),
}

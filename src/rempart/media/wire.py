"""The channel between a process and its decoding children: length-prefixed frames over a Unix socket.

A frame is four bytes of length and four of a number, most significant first, and as many bytes of msgpack as it says.
An answer has the number of its request, so that one nobody asked for is never taken for another's. The file travels
beside its request as an open descriptor, so a child needs no path, and never more than it was handed.
"""

from __future__ import annotations

import array
import math
import select
import socket
import struct
import time

import msgspec

REQUEST_LIMIT = 1 << 16
LARGEST_NUMBER = (1 << 32) - 1
_HEAD = struct.Struct(">II")
_READ_BYTES = 1 << 16


class Request(msgspec.Struct, frozen=True):
    """Do the work of this name on the file that comes along, within so many seconds."""

    work: str
    seconds: float
    options: msgspec.Raw = msgspec.Raw(b"\x80")  # msgpack's empty map


class FrameError(Exception):
    """The other side announced more than was agreed, or answered something else than was asked."""


def send(channel: socket.socket, number: int, body: bytes, *descriptors: int) -> None:
    """Send one frame, and open descriptors with its first byte."""
    frame = _HEAD.pack(len(body), number) + body
    sent = socket.send_fds(channel, [frame], descriptors) if descriptors else channel.send(frame)
    if sent < len(frame):
        channel.sendall(frame[sent:])


def receive_with_files(channel: socket.socket, limit: int, most: int) -> tuple[int, bytes, list[int]]:
    """The number and body of one frame, and the descriptors that came with it, ``most`` of them at the most.

    Nothing beyond the frame is read, so that the descriptors of the next one stay in the channel.

    Raises:
        EOFError: the other side has closed the channel, perhaps in the middle of a frame.
        FrameError: the frame announces more than ``limit`` bytes.
    """
    head, descriptors = b"", array.array("i")
    while len(head) < _HEAD.size:
        part, received, _, _ = socket.recv_fds(channel, _HEAD.size - len(head), most)
        if not part:
            raise EOFError
        head += part
        descriptors.extend(received)
    length, number = _HEAD.unpack(head)
    if length > limit:
        raise FrameError
    body = bytearray(length)
    view = memoryview(body)
    while view:
        count = channel.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return number, bytes(body), descriptors.tolist()


class Inbox:
    """The frames that come over a channel, read many at a time; at most one and a little more is held in memory."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._held = bytearray()
        self._part = memoryview(bytearray(_READ_BYTES))
        # Asked for no event, a poll still wakes at the end of the other side, and only then.
        self._end = select.poll()
        self._end.register(channel, 0)

    def doze(self, seconds: float) -> None:
        """Wait while frames pile up in the channel; only the end of the other side wakes us before the time.

        To be woken for each frame costs both sides more than a small picture's frame is worth.
        """
        self._end.poll(math.ceil(seconds * 1000))

    def next(self, number: int, limit: int, deadline: float) -> bytes:
        """The body of the next frame, of at most ``limit`` bytes, whole by ``deadline`` on the monotonic clock.

        Raises:
            TimeoutError: it did not come in time; what did come is kept.
            EOFError: the other side has closed the channel, perhaps in the middle of a frame.
            FrameError: the frame announces more than ``limit`` bytes, or has not this number.
        """
        self._hold(_HEAD.size, deadline)
        length, told = _HEAD.unpack_from(self._held)
        if length > limit or told != number:
            raise FrameError
        end = _HEAD.size + length
        self._hold(end, deadline)
        body = bytes(memoryview(self._held)[_HEAD.size : end])
        del self._held[:end]
        return body

    def _hold(self, count: int, deadline: float) -> None:
        while len(self._held) < count:
            self._channel.settimeout(max(0.001, deadline - time.monotonic()))
            received = self._channel.recv_into(self._part)
            if not received:
                raise EOFError
            self._held += self._part[:received]

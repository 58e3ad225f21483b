"""The channel between a process and its decoding children: length-prefixed frames over a Unix socket.

A frame is four bytes of length, most significant first, and that many bytes of msgpack. The file travels beside its
request as an open descriptor, so a child needs no path, and never more than it was handed.
"""

from __future__ import annotations

import array
import socket
import time

import msgspec

REQUEST_LIMIT = 1 << 16
_LENGTH_BYTES = 4


class Request(msgspec.Struct, frozen=True):
    """Do the work of this name on the file that comes along."""

    work: str
    options: msgspec.Raw = msgspec.Raw(b"\x80")  # msgpack's empty map


class FrameTooLongError(Exception):
    """The other side announced more than was agreed."""


def send(channel: socket.socket, body: bytes, descriptor: int | None = None) -> None:
    """Send one frame, and an open descriptor with its first byte."""
    frame = len(body).to_bytes(_LENGTH_BYTES, "big") + body
    sent = socket.send_fds(channel, [frame], [descriptor]) if descriptor is not None else channel.send(frame)
    if sent < len(frame):
        channel.sendall(frame[sent:])


def receive(channel: socket.socket, limit: int, seconds: float) -> bytes:
    """One frame of at most ``limit`` bytes, whole within ``seconds``.

    Raises:
        TimeoutError: it did not come in time.
        EOFError: the other side has closed the channel, perhaps in the middle of a frame.
        FrameTooLongError: the frame announces more than ``limit`` bytes.
    """
    deadline = time.monotonic() + seconds
    length = int.from_bytes(_exactly(channel, _LENGTH_BYTES, deadline), "big")
    return _body(channel, length, limit, deadline)


def receive_with_file(channel: socket.socket, limit: int) -> tuple[bytes, int]:
    """One frame and the descriptor that came with it; errors as for :func:`receive`."""
    head, descriptors = b"", array.array("i")
    while len(head) < _LENGTH_BYTES:
        part, received, _, _ = socket.recv_fds(channel, _LENGTH_BYTES - len(head), 1)
        if not part:
            raise EOFError
        head += part
        descriptors.extend(received)
    (descriptor,) = descriptors  # the parent sends exactly one; anything else ends this child
    return _body(channel, int.from_bytes(head, "big"), limit), descriptor


def _body(channel: socket.socket, length: int, limit: int, deadline: float | None = None) -> bytes:
    if length > limit:
        raise FrameTooLongError
    return bytes(_exactly(channel, length, deadline))


def _exactly(channel: socket.socket, count: int, deadline: float | None) -> bytearray:
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        if deadline is not None:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
        received = channel.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return buffer

"""A decoding child: takes one file at a time, does the named work on it, answers, and cannot do much else.

Started by :mod:`rempart.media.pool` as ``python -m rempart.media.child MODULE CHANNEL SETTINGS``; importing MODULE
registers the work it knows. Nothing that comes over the channel is unpickled or executed: a request is a name and
options.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

import msgspec

from rempart.errors import Reason
from rempart.media import wire
from rempart.media.outcome import Refused, Unscannable
from rempart.settings import MIB, MediaSettings

READY = b"ready"
_STDERR_BYTES = MIB
_OPEN_FILES = 32
_DESCRIPTORS = 2  # the file, and for some work one to write to

F = TypeVar("F", bound=Callable[..., msgspec.Struct])

_jobs: dict[str, tuple[Callable[..., msgspec.Struct], msgspec.msgpack.Decoder[msgspec.Struct]]] = {}


def work(name: str, options: type[msgspec.Struct]) -> Callable[[F], F]:
    """Register a function as the work of that name.

    It is called with the open descriptor of the file, the limits, its options decoded to the given Struct, and a
    descriptor to write to if the parent sent one. It returns a Struct; raising :class:`Refused` says why the file
    cannot be read.
    """
    decoder = msgspec.msgpack.Decoder(options)

    def register(function: F) -> F:
        _jobs[name] = (function, decoder)
        return function

    return register


def answer(request: wire.Request, descriptors: list[int], settings: MediaSettings) -> msgspec.Struct:
    """Do one request; whatever goes wrong with the file becomes an :class:`Unscannable`."""
    function, decoder = _jobs[request.work]
    options = decoder.decode(request.options)
    descriptor, *room = descriptors
    try:
        return function(descriptor, settings, options, *room)
    except Refused as refused:
        return refused.as_outcome()
    except MemoryError:
        return Unscannable(reason=Reason.OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001 -- decoders raise whatever they like; to the batch it is one unreadable file
        return Unscannable(reason=Reason.CORRUPT)


def read_content(descriptor: int, limit: int) -> bytes | None:
    """The whole file, or None when it has more than ``limit`` bytes."""
    size = os.fstat(descriptor).st_size
    if size > limit:
        return None
    content = os.pread(descriptor, limit + 1, 0) if size == 0 else os.pread(descriptor, size, 0)
    if len(content) in (0, size):
        return content
    parts = [content]  # a single read may give less than asked (a network file system, or more than 2 GiB)
    at = len(content)
    while at <= limit and (part := os.pread(descriptor, MIB, at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts) if at <= limit else None


def main() -> None:
    """Serve requests until the channel is closed."""
    module, channel_number, encoded = sys.argv[1:]
    settings = msgspec.json.decode(encoded, type=MediaSettings)
    warnings.simplefilter("ignore")
    channel = socket.socket(fileno=int(channel_number))
    import_module(module)
    _confine(settings)
    wire.send(channel, 0, READY)
    encode = msgspec.msgpack.Encoder().encode
    requests = msgspec.msgpack.Decoder(wire.Request)
    stderr = sys.stderr.fileno()
    gc.freeze()  # what was imported stays: no need to look through it again and again
    while True:
        try:
            number, body, descriptors = wire.receive_with_files(channel, wire.REQUEST_LIMIT, _DESCRIPTORS)
        except EOFError:
            return
        request = requests.decode(body)
        # Should the parent die meanwhile, nobody would end a decoder that spins: the alarm's default action does.
        signal.setitimer(signal.ITIMER_REAL, 2 * request.seconds)
        try:
            reply = encode(answer(request, descriptors, settings))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if os.fstat(stderr).st_size:
            os.ftruncate(stderr, 0)
        wire.send(channel, number, reply)


def _confine(settings: MediaSettings) -> None:
    """Give up what decoding does not need, once everything is imported."""
    limits = {
        resource.RLIMIT_AS: settings.memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: _STDERR_BYTES,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


if __name__ == "__main__":
    # Under `-m` this file is the module `__main__`; the work registers itself in `rempart.media.child`.
    import_module("rempart.media.child").main()

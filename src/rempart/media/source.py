"""What is screened, opened with care: a path or bytes become one open descriptor of a regular file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import TypeAlias

from rempart.errors import Reason
from rempart.media.outcome import Unscannable

Source: TypeAlias = str | bytes | bytearray | memoryview | os.PathLike[str] | os.PathLike[bytes]
"""Bytes-like objects are content; strings and path objects are paths."""


@contextlib.contextmanager
def opened(source: Source) -> Iterator[int | Unscannable]:
    """An open descriptor for the content, closed afterwards; or the reason why there is none.

    A pipe or device is never read: opening one could wait for ever, or do something.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        descriptor = _in_memory(source)
    else:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would hang.
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            yield Unscannable(reason=_reason(error))
            return
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        yield descriptor if regular else Unscannable(reason=Reason.NOT_A_FILE)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def room_for(size: int) -> Iterator[int]:
    """A descriptor of nameless memory to which a child may write up to ``size`` bytes, and which it cannot resize.

    Nothing is taken of it before it is written to. :func:`written` reads it.
    """
    descriptor = os.memfd_create("rempart", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        yield descriptor
    finally:
        os.close(descriptor)


def written(room: int, size: int) -> memoryview | None:
    """The first ``size`` bytes that a child wrote, without a copy, sealed so that nobody can change them any more.

    None when there is less room, or when the child still holds it open for writing.
    """
    if not 0 < size <= os.fstat(room).st_size:
        return None
    try:
        fcntl.fcntl(room, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
    except OSError:
        return None
    return memoryview(mmap.mmap(room, size, prot=mmap.PROT_READ))


def write(room: int, content: memoryview) -> None:
    """Write from the beginning; in a child, for which :func:`written` reads.

    Raises:
        ValueError: there is less room.
    """
    # A child may write no large files, and this would count as one: a mapping does not.
    with mmap.mmap(room, content.nbytes) as view:
        view[:] = content.cast("B")


def _reason(error: OSError | ValueError) -> Reason:
    if isinstance(error, ValueError):  # a path with a NUL character: no file can be called so
        return Reason.MISSING
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return Reason.MISSING
    if error.errno in (errno.ENXIO, errno.ENODEV, errno.EISDIR):
        return Reason.NOT_A_FILE
    return Reason.UNREADABLE


def _in_memory(content: bytes | bytearray | memoryview) -> int:
    """A file that has no name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("rempart", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    view = memoryview(content).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor

"""Snapshots: arrays in one immutable file that every process maps and shares, written whole or not at all.

The file, all numbers in the byte order of the machine that wrote it::

    page 0    magic, version, byte order mark, length of the header
              the header in msgpack: name, type and shape of each part; the writer's own facts; two digests
              zeros; the last 32 bytes are the SHA-256 of the page before them
    page 1..  the parts one after the other, each from the begin of a page of 4,096 bytes

Nothing in it is executed, and nothing says where a part lies but the order and size of those before it. Opening checks
page 0, the length of the file and the parts marked as tables, by which readers find their way in the rest; that takes
milliseconds whatever the size. :meth:`Snapshot.verify` reads every byte.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from rempart.errors import SnapshotError

MAGIC = b"rempart\x1a"
VERSION = 1
PAGE = 4096

_ORDER_MARK = 0x01020304
_FRONT = struct.Struct("=8sIII")
_DIGEST_BYTES = sha256().digest_size
_HEADER_ROOM = PAGE - _FRONT.size - _DIGEST_BYTES
_BLOCK = 16 << 20
_UNFINISHED = ".new"

Array = npt.NDArray[Any]
S = TypeVar("S", bound=msgspec.Struct)

_Digest = Annotated[bytes, Meta(min_length=_DIGEST_BYTES, max_length=_DIGEST_BYTES)]


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """One array of the file."""

    name: Annotated[str, Meta(max_length=32)]
    dtype: Literal["uint8", "int16", "uint32", "int64", "uint64"]
    shape: Annotated[tuple[Annotated[int, Meta(ge=0, lt=1 << 40)], ...], Meta(min_length=1, max_length=3)]
    table: bool

    @property
    def size(self) -> int:
        """Length in bytes."""
        return np.dtype(self.dtype).itemsize * prod(self.shape)


class _Header(msgspec.Struct, frozen=True):
    parts: Annotated[tuple[_Part, ...], Meta(max_length=32)]
    facts: Annotated[bytes, Meta(max_length=1024)]
    tables: _Digest
    content: _Digest


class Snapshot:
    """An opened snapshot.

    The map lives as long as anything refers to one of its arrays, also when the file was replaced meanwhile. The file
    itself must not be changed in place: to truncate a mapped file ends the processes that read it.

    Attributes:
        path: where it was opened.
        arrays: the parts by name, read-only.
    """

    def __init__(self, path: Path) -> None:
        """Open and check the front of the file.

        Raises:
            SnapshotError: there is no such file, or it is truncated, damaged, from another kind of machine or newer.
        """
        self.path = path
        try:
            # Without O_NONBLOCK, opening a pipe that nobody writes to would hang.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise SnapshotError(f"the snapshot {path} cannot be read: {_why(error)}") from None
        try:
            self._header = _read_header(path, descriptor)
            self._map = mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        except OSError as error:
            raise SnapshotError(f"the snapshot {path} cannot be mapped: {_why(error)}") from None
        finally:
            os.close(descriptor)
        self.arrays: Mapping[str, Array] = {
            part.name: np.frombuffer(self._map, part.dtype, prod(part.shape), start).reshape(part.shape)
            for part, start in _layout(self._header.parts)
        }
        tables = sha256()
        for part in self._header.parts:
            if part.table:
                tables.update(self.arrays[part.name].data)
        if tables.digest() != self._header.tables:
            raise self.damaged("its tables do not fit their digest")

    def facts(self, kind: type[S]) -> S:
        """What the writer noted.

        Raises:
            SnapshotError: it is the snapshot of something else.
        """
        try:
            return msgspec.msgpack.decode(self._header.facts, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SnapshotError(f"{self.path} is a snapshot of something else, or of another rempart") from None

    def __len__(self) -> int:
        """The size of the file in bytes."""
        return len(self._map)

    def verify(self) -> None:
        """Read every byte and compare with the digest made when the file was written; about a second for 1.5 GB.

        Raises:
            SnapshotError: a byte has changed since.
        """
        content = sha256()
        with memoryview(self._map) as view:
            for start in range(PAGE, len(view), _BLOCK):
                content.update(view[start : start + _BLOCK])
        if content.digest() != self._header.content:
            raise self.damaged("its content does not fit its digest")

    def damaged(self, how: str) -> SnapshotError:
        """The error to raise when something in the file cannot be."""
        return _damaged(self.path, how)


class SnapshotWriter:
    """Writes a snapshot, part after part, each in as many blocks as one likes; use :func:`written`."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor
        self._content = sha256()
        self._tables = sha256()
        self._parts: list[_Part] = []
        self._at = PAGE

    def begin(self, name: str, dtype: str, row: tuple[int, ...] = (), *, table: bool = False) -> None:
        """Begin a part whose rows have this type and shape; ``table`` has its digest checked at every opening."""
        self._put(bytes(-self._at % PAGE))
        self._parts.append(msgspec.convert((name, dtype, (0, *row), table), _Part))

    def write(self, rows: Array) -> None:
        """Append rows to the part that was begun last."""
        part = self._parts[-1]
        if rows.dtype != part.dtype or rows.shape[1:] != part.shape[1:]:
            raise ValueError(f"the rows of {part.name} are {part.dtype} of shape {part.shape[1:]}")
        self._parts[-1] = msgspec.structs.replace(part, shape=(part.shape[0] + len(rows), *part.shape[1:]))
        view = memoryview(np.ascontiguousarray(rows).data).cast("B") if rows.size else memoryview(b"")
        if part.table:
            self._tables.update(view)
        self._put(view)

    def add(self, name: str, rows: Array, *, table: bool = False) -> None:
        """Write a whole part at once."""
        self.begin(name, rows.dtype.name, rows.shape[1:], table=table)
        self.write(rows)

    def map(self, name: str) -> Array:
        """What has been written of a part, of one row at least, mapped from the unfinished file; read-only."""
        part, start = next(each for each in _layout(self._parts) if each[0].name == name)
        return np.asarray(np.memmap(self._file, part.dtype, "r", start, part.shape))

    def finish(self, facts: msgspec.Struct) -> None:
        """Write the header: from here on the file is a snapshot."""
        header = _Header(
            parts=tuple(self._parts),
            facts=msgspec.msgpack.encode(facts),
            tables=self._tables.digest(),
            content=self._content.digest(),
        )
        body = msgspec.msgpack.encode(header)
        if len(body) > _HEADER_ROOM:
            raise ValueError("the facts and parts of a snapshot do not fit its first page")
        front = _FRONT.pack(MAGIC, VERSION, _ORDER_MARK, len(body)) + body
        front = front.ljust(PAGE - _DIGEST_BYTES, b"\0")
        os.pwrite(self._descriptor, front + sha256(front).digest(), 0)

    def _put(self, content: bytes | memoryview) -> None:
        view = memoryview(content)
        for start in range(0, len(view), _BLOCK):
            block = view[start : start + _BLOCK]
            self._content.update(block)
            while block:
                done = os.pwrite(self._descriptor, block, self._at)
                self._at += done
                block = block[done:]


@contextmanager
def written(path: Path) -> Iterator[SnapshotWriter]:
    """Write the snapshot ``path``: it appears, or replaces the one that was there, when the block ends without error.

    The caller ends the block with :meth:`SnapshotWriter.finish`. What was written is on the disk, and read back and
    compared, before the name changes hands; whoever has mapped the old file keeps it.

    Raises:
        SnapshotError: the disk is full or fails, the folder cannot be written, or another process writes this snapshot.
    """
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SnapshotError(f"the snapshot {path} cannot be written: {_why(error)}") from None
    try:
        _lock(path, unfinished, descriptor)
        with _removed_on_failure(path, unfinished):
            os.ftruncate(descriptor, 0)  # what a crash has left
            os.ftruncate(descriptor, PAGE)
            yield SnapshotWriter(unfinished, descriptor)
            os.fsync(descriptor)
            Snapshot(unfinished).verify()
            unfinished.rename(path)
            sync_folder(path.parent)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have a change of names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path, unfinished: Path, descriptor: int) -> None:
    """Make this process the only writer; the lock goes with the descriptor, however the process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(descriptor), unfinished.stat())
    except OSError:
        ours = False
    # Between our opening and our locking the other one may have finished: then this is the good file, under its name.
    if not ours:
        raise SnapshotError(f"another process is writing the snapshot {path}; try again when it has ended")


@contextmanager
def _removed_on_failure(path: Path, unfinished: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise SnapshotError(
            f"the snapshot {path} cannot be written: {_why(error)}; what was there before is unchanged"
        ) from None
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _read_header(path: Path, descriptor: int) -> _Header:
    """The header, if it is whole and the file is as long as it says."""
    facts = os.fstat(descriptor)
    front = os.pread(descriptor, PAGE, 0) if stat.S_ISREG(facts.st_mode) else b""
    if len(front) < PAGE:
        raise _damaged(path, "it ends before its header does" if front else "it is empty or not a file")
    magic, version, order, length = _FRONT.unpack_from(front)
    if magic != MAGIC:
        raise SnapshotError(f"{path} is not a snapshot of rempart")
    if order != _ORDER_MARK:
        if order == int.from_bytes(_ORDER_MARK.to_bytes(4, "little"), "big"):
            raise SnapshotError(f"the snapshot {path} was written on a machine of other byte order; build it here anew")
        raise _damaged(path, "its byte order mark is wrong")
    if version != VERSION:
        raise SnapshotError(
            f"the snapshot {path} has format {version}, and this rempart reads format {VERSION}; build it anew"
        )
    if sha256(front[:-_DIGEST_BYTES]).digest() != front[-_DIGEST_BYTES:] or length > _HEADER_ROOM:
        raise _damaged(path, "its header does not fit its digest")
    try:
        header = msgspec.msgpack.decode(front[_FRONT.size : _FRONT.size + length], type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged(path, "its header cannot be read") from None
    if len({part.name for part in header.parts}) < len(header.parts):
        raise _damaged(path, "it names a part twice")
    end = max([PAGE, *(start + part.size for part, start in _layout(header.parts))])
    if facts.st_size != end:
        raise _damaged(path, f"it has {facts.st_size} bytes instead of {end}")
    return header


def _layout(parts: list[_Part] | tuple[_Part, ...]) -> Iterator[tuple[_Part, int]]:
    """Each part with where it begins."""
    at = PAGE
    for part in parts:
        yield part, at
        at += part.size + -part.size % PAGE


def _damaged(path: Path, how: str) -> SnapshotError:
    return SnapshotError(f"the snapshot {path} is damaged ({how}); delete it and build it anew")


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

"""The journal beside a snapshot: what was added and removed since it was written, on the disk before it counts.

An index file ``known.index`` of generation 7 has the journals ``known.index.journal-7`` and, if a compaction was ended
before its time, later ones; read in order, they lead from the snapshot to the present. A record is its kind, length and
checksums, then its content. What a crash leaves of the last record was never acknowledged and is dropped; a bad record
before the end is damage, and is refused.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rempart.errors import SnapshotError
from rempart.matching.permutation import WORDS, Words, permutation_digest
from rempart.matching.segment import Ids
from rempart.matching.snapshot import sync_folder

MAGIC = b"rempartJ"
VERSION = 1

_ORDER_MARK = 0x01020304
_FRONT = struct.Struct("=8sII16s")
_HEAD = struct.Struct("=IQI")  # kind, rows, checksum of the content; then the checksum of these
_SUM = struct.Struct("=I")
_ID_BYTES, _HASH_BYTES = 8, 8 * WORDS
_MOST_ROWS = 1 << 32


class Kind(IntEnum):
    """What a record does."""

    ADD = 1
    REMOVE = 2


_KINDS = frozenset(Kind)


class Change(NamedTuple):
    """Hashes that are added with their ids, or ids that are removed (then there are no hashes)."""

    kind: Kind
    ids: Ids
    words: Words


class Journal:
    """One journal file, open for appending."""

    def __init__(self, path: Path) -> None:
        """Make the file, or go on where its last whole record ends.

        Raises:
            SnapshotError: it cannot be opened or is damaged.
        """
        self.path = path
        self._end = _FRONT.size
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SnapshotError(f"the journal {path} cannot be written: {error.strerror}") from None
        try:
            for _, end in _records(path):
                self._end = end
            os.ftruncate(self._descriptor, self._end if self._begun() else 0)
            if not self._begun():
                os.pwrite(self._descriptor, _front(), 0)
                os.fsync(self._descriptor)
                sync_folder(path.parent)
        except OSError as error:
            self.close()
            raise SnapshotError(f"the journal {path} cannot be written: {error.strerror}") from None
        except SnapshotError:
            self.close()
            raise

    def append(self, change: Change) -> None:
        """Have a change on the disk when this returns; or not at all, if it raises.

        Raises:
            SnapshotError: the disk is full or fails.
        """
        content = change.ids.tobytes() + change.words.tobytes()
        head = _HEAD.pack(change.kind, len(change.ids), zlib.crc32(content))
        record = memoryview(head + _SUM.pack(zlib.crc32(head)) + content)
        at = self._end
        try:
            while record:
                done = os.pwrite(self._descriptor, record, at)
                at, record = at + done, record[done:]
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._cut()
            raise SnapshotError(f"the journal {self.path} cannot be written: {error.strerror}") from None
        except BaseException:  # interrupted: half a record must not stand before the next one
            self._cut()
            raise
        self._end = at

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _cut(self) -> None:
        """Take away what an append has left behind the last whole record."""
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError as error:
            raise SnapshotError(
                f"the journal {self.path} cannot be mended after a failed write: {error.strerror}; open the index anew"
            ) from None

    def _begun(self) -> bool:
        return os.fstat(self._descriptor).st_size >= _FRONT.size


def read_journal(path: Path) -> Iterator[Change]:
    """The changes in a journal, in order.

    Raises:
        FileNotFoundError: there is no such journal (any more).
        SnapshotError: it cannot be read or is damaged.
    """
    for change, _ in _records(path):
        yield change


def _records(path: Path) -> Iterator[tuple[Change, int]]:
    """Each change with where its record ends."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SnapshotError(f"the journal {path} cannot be read: {error.strerror}") from None
    if len(content) < _FRONT.size and _front().startswith(content):
        return  # the process ended while it was made
    if content[: _FRONT.size] != _front():
        raise SnapshotError(f"{path} is no journal, or was made by another rempart or another kind of machine")
    at = _FRONT.size
    while at < len(content):
        record = _record(content, at)
        if record is None:
            if _is_torn(content, at):
                return
            raise SnapshotError(f"the journal {path} is damaged at byte {at}; build the index anew")
        change, at = record
        yield change, at


def _record(content: bytes, at: int) -> tuple[Change, int] | None:
    """The record that begins here and where it ends; None if it is not whole and sound."""
    body = at + _HEAD.size + _SUM.size
    if len(content) < body:
        return None
    head = content[at : at + _HEAD.size]
    kind, rows, checksum = _HEAD.unpack(head)
    if _SUM.unpack_from(content, at + _HEAD.size)[0] != zlib.crc32(head) or kind not in _KINDS or rows > _MOST_ROWS:
        return None
    hashed = rows if kind == Kind.ADD else 0
    middle = body + rows * _ID_BYTES
    end = middle + hashed * _HASH_BYTES
    if len(content) < end or zlib.crc32(content[body:end]) != checksum:
        return None
    ids = np.frombuffer(content, np.int64, rows, body)
    words = np.frombuffer(content, np.uint64, hashed * WORDS, middle) if hashed else np.empty(0, np.uint64)
    return Change(Kind(kind), ids, words.reshape(-1, WORDS)), end


def _is_torn(content: bytes, at: int) -> bool:
    """Whether what begins here is the rest of an append that a crash cut short: no sound record can follow it."""
    body = at + _HEAD.size + _SUM.size
    if len(content) < body or not any(content[at:]):
        return True
    head = content[at : at + _HEAD.size]
    if _SUM.unpack_from(content, at + _HEAD.size)[0] != zlib.crc32(head):
        return False
    kind, rows, _ = _HEAD.unpack(head)
    row_bytes = _ID_BYTES + (_HASH_BYTES if kind == Kind.ADD else 0)
    return body + int(rows) * row_bytes >= len(content)


def _front() -> bytes:
    return _FRONT.pack(MAGIC, VERSION, _ORDER_MARK, permutation_digest()[:16])

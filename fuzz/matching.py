"""Targets of the room matching: hashes and ids in any form, and the files of an index."""

from __future__ import annotations

import zlib
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import numpy as np

from fuzz.target import Target, file_of, text_of
from rempart.errors import InvalidHashError, SnapshotError
from rempart.matching import HashIndex
from rempart.matching import journal as journals
from rempart.matching import snapshot as snapshots
from rempart.matching.journal import Change, Kind, read_journal
from rempart.matching.permutation import WORDS

_BYTES: Final = 32
_FEW: Final = 24
_WIDEST: Final = 63
_TOLD: Final = 8
"""So many characters of a hash in a message would tell something of it."""


def hashes(data: bytes) -> None:
    """A hash in any form is indexed and found again, or refused without being quoted."""
    given = [_form(part) for part in data.split(b"\n")[:_FEW]]
    for one in (given, *([form] for form in given)):
        try:
            index = HashIndex.build(one)
        except InvalidHashError as error:
            _is_silent(str(error), one)
            continue
        assert len(index) + index.dropped == len(one)
        for at, form in enumerate(one):
            hits = index.query(form, 0)
            assert index.dropped or at in {hit.id for hit in hits}


def ids(data: bytes) -> None:
    """Ids are whole numbers from 0 to 2**63 - 1, one a hash, or are refused."""
    given = _numbers(data)
    rows = [number.to_bytes(_BYTES, "big") for number in range(1, len(given) + 1)]
    try:
        index = HashIndex.build(rows, given)
    except InvalidHashError:
        return
    found = {hit.id for row in rows for hit in index.query(row, 0)}
    assert found == {int(one) for one in given}
    assert all(0 <= one < 1 << 63 for one in found)


def near(data: bytes) -> None:
    """The index answers as comparing with each hash does."""
    rows = np.frombuffer(data[: len(data) // _BYTES * _BYTES], np.uint8).reshape(-1, _BYTES)
    if not len(rows):
        return
    radius = data[-1] % 64
    hits = HashIndex.build(rows).query_many(rows, radius)
    distances = np.bitwise_count(rows[:, None] ^ rows[None]).sum(axis=2, dtype=np.int64)
    indexed = rows.any(axis=1)
    for at, apart in enumerate(distances):
        wanted = [(distance, row) for row, distance in enumerate(apart) if distance <= radius and indexed[row]]
        first, last = hits.offsets[at : at + 2]
        found = zip(hits.distances[first:last].tolist(), hits.ids[first:last].tolist(), strict=True)
        assert list(found) == sorted(wanted)


def snapshot(data: bytes) -> None:
    """A snapshot is refused or answers by what is in it; also one with digests that fit what was done to it."""
    for content in (data, _sealed(data)):
        try:
            index = HashIndex.open(file_of("snapshot", content))
            index.verify()
            hits = index.query_many([bytes(_BYTES), b"\x0f" * _BYTES], _WIDEST)
        except SnapshotError:
            continue
        held = [number for _, numbers in index.blocks() for number in numbers.tolist()]
        assert len(held) == len(index)
        assert set(hits.ids.tolist()) <= set(held)
        assert min(held, default=0) >= 0 or not len(hits.ids)
        assert (hits.distances <= _WIDEST).all()


def journal(data: bytes) -> None:
    """A journal is refused or read; cut off anywhere, it gives the first of the same changes and no others."""
    for content in (data, _checked(data)):
        try:
            changes = list(read_journal(file_of("journal", content)))
        except SnapshotError:
            continue
        for change in changes:
            assert len(change.words) == (len(change.ids) if change.kind is Kind.ADD else 0)
        for cut in {*range(0, len(content), 1 + len(content) // 16)}:
            fewer = list(read_journal(file_of("journal", content[:cut])))
            assert list(map(_bytes_of, fewer)) == list(map(_bytes_of, changes[: len(fewer)]))


def _sealed(data: bytes) -> bytes:
    """The file with the digests that fit its content, as far as it has a header at all."""
    page, head, size = snapshots.PAGE, snapshots._FRONT.size, snapshots._DIGEST_BYTES
    front, content = data[:page].ljust(page, b"\0"), data[page:]
    body = front[head:-size]
    try:
        length = snapshots._FRONT.unpack_from(front)[3]
        header = msgspec.msgpack.decode(body[:length], type=snapshots._Header)
        body = msgspec.msgpack.encode(msgspec.structs.replace(header, content=sha256(content).digest()))
        front = snapshots._FRONT.pack(snapshots.MAGIC, snapshots.VERSION, snapshots._ORDER_MARK, len(body)) + body
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # then only the digest of the front is made to fit
    front = front[: page - size].ljust(page - size, b"\0")
    return front + sha256(front).digest() + content


def _checked(data: bytes) -> bytes:
    """A journal with checksums that fit, whose records are made of the bytes: kind, rows, content."""
    written = [journals._front()]
    at = 0
    while at + 2 <= len(data):
        kind, rows = data[at], data[at + 1] % 8
        end = at + 2 + rows * (8 + (_BYTES if kind == Kind.ADD else 0))
        content = data[at + 2 : end]
        head = journals._HEAD.pack(kind % 4, rows, zlib.crc32(content))
        written.append(head + journals._SUM.pack(zlib.crc32(head)) + content)
        at = end
    return b"".join(written)


def _bytes_of(change: Change) -> tuple[Kind, bytes, bytes]:
    return change.kind, change.ids.tobytes(), change.words.tobytes()


def _is_silent(message: str, given: list[Any]) -> None:
    """Whether a message quotes none of the hashes."""
    said = [one if isinstance(one, str) else bytes(one).hex() for one in given if isinstance(one, str | bytes)]
    assert not any(len(one) > _TOLD and one in message for one in said), "a message quotes a hash"


def _form(part: bytes) -> Any:  # noqa: ANN401 -- any form is the point
    """A value that somebody may take for a hash; the first byte says of which type."""
    kind, rest = part[:1], part[1:]
    if kind == b"s":
        return text_of(rest)
    if kind == b"a":
        return np.frombuffer(rest, np.uint8)
    if kind == b"w" and len(rest) % 4 == 0:
        return np.frombuffer(rest, np.float32)
    return {b"n": None, b"i": len(rest), b"l": list(rest)}.get(kind, rest)


def _numbers(data: bytes) -> list[Any]:
    """Numbers of several kinds, written in tens."""
    found: list[Any] = []
    for part in data.split()[:_FEW]:
        try:
            found.append(float(part) if b"." in part else int(part[:30]))
        except ValueError:
            found.append(text_of(part))
    return found


def _forms() -> list[bytes]:
    digits = b"0f" * _BYTES
    return [b"\n".join((b"s" + digits, b"b" + b"\x81" * _BYTES, b"a" + b"\x18" * _BYTES)), b"s" + digits, b"n", b"i12"]


def _rows() -> list[bytes]:
    return [bytes(_BYTES) * 2, b"\x0f" * _BYTES + b"\x0f" * 31 + b"\x0e", bytes(range(256)) * 2 + b"\x1f"]


@cache
def _snapshots() -> list[bytes]:
    rows = [bytes([at]) * _BYTES for at in range(1, 6)]
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / "empty", Path(folder) / "few"]
        for path, some in zip(paths, ([], rows), strict=True):
            HashIndex.build(some).save(path)
        return [path.read_bytes() for path in paths]


@cache
def _journals() -> list[bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        written = journals.Journal(path)
        for number in range(3):
            words = np.full((number + 1, WORDS), number, np.uint64)
            written.append(Change(Kind.ADD, np.arange(number + 1, dtype=np.int64), words))
        written.append(Change(Kind.REMOVE, np.array([1], np.int64), np.empty((0, WORDS), np.uint64)))
        written.close()
        return [path.read_bytes(), path.read_bytes()[:40], b"", bytes([1, 1]) + bytes(40) + bytes([2, 2]) + bytes(16)]


TARGETS: Final = {
    "hashes": Target(hashes, _forms, (b"0f" * _BYTES, b"\n", b" ", b"\xd9\xa0"), longest=1024),
    "ids": Target(ids, lambda: [b"1 2 3", b"9223372036854775807 0", b"-1", b"1.5 nan.", b"18446744073709551616 x"]),
    "near": Target(near, _rows, longest=2048),
    "snapshot": Target(snapshot, _snapshots, (b"words", b"ids", b"starts", b"entries", b"uint8"), longest=16384),
    "journal": Target(journal, _journals, longest=1024),
}

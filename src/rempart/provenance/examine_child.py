"""The part of an examination that reads untrusted bytes: done in a child process, within limits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from rempart.errors import Reason
from rempart.hashing.digests import digest_file
from rempart.media.child import work
from rempart.media.outcome import Hex
from rempart.provenance import camera, detectors, pixels
from rempart.provenance.c2pa_claims import may_hold_claims
from rempart.provenance.combine import FAILURE
from rempart.provenance.evidence import Evidence, Location, Strength
from rempart.provenance.fields import DEFAULT_LIMITS, FileView, Limits
from rempart.provenance.walk import view_of
from rempart.settings import MIB, MediaSettings

EXAMINE: Final = "origin"
DIGEST: Final = "origin.digest"
WALK: Final = "walk"
"""Name of the reader in records of what could not be read."""
_READ: Final = frozenset(("png", "jpeg", "webp", "tiff", "gif", "heif", "avif", "mp4", "mov", "bmp"))
"""Formats whose fields are read, and BMP, which has none."""


class ExamineOptions(msgspec.Struct, frozen=True):
    """How far to read one file, and whether to look at its pixels and for open marks in them."""

    limits: Limits = DEFAULT_LIMITS
    pixels: bool = True
    marks: bool = False


class Examined(msgspec.Struct, frozen=True, tag=True):
    """What the child found.

    Attributes:
        sha256: empty of a file that is larger than what was read of it: :class:`Sha256` asks for that.
        claims: whether signed claims may be in it, so that it is worth asking for them.
    """

    sha256: Hex
    size: int
    format: str | None
    width: int
    height: int
    evidence: tuple[Evidence, ...]
    limits_hit: tuple[str, ...]
    claims: bool
    unread: Reason | None = None
    """Why nothing can be said of it: it is empty, or of a format whose fields nobody here reads."""


class Sha256(msgspec.Struct, frozen=True, tag=True):
    """The digest of all bytes of a file."""

    sha256: Hex
    size: int


@work(EXAMINE, ExamineOptions)
def examine_open(descriptor: int, _settings: MediaSettings, options: ExamineOptions) -> Examined:
    """Read everything that an open file says of its origin, signed claims excepted."""
    size = os.fstat(descriptor).st_size
    content = _beginning(descriptor, options.limits.file_bytes)
    whole = len(content) >= size
    view = view_of(content, max(size, len(content)), options.limits)
    return Examined(
        sha256=hashlib.sha256(content).hexdigest() if whole else "",
        size=max(size, len(content)),
        format=view.format,
        width=view.width,
        height=view.height,
        evidence=tuple(map(_sendable, read(view, options))),
        limits_hit=view.limits_hit,
        claims=may_hold_claims(content),
        unread=_unread(view),
    )


@work(DIGEST, ExamineOptions)
def digest_open(descriptor: int, _settings: MediaSettings, _options: ExamineOptions) -> Sha256:
    """The digest of an open file of any size."""
    return Sha256(digest_file(descriptor).sha256, os.fstat(descriptor).st_size)


def read(view: FileView, options: ExamineOptions) -> Iterable[Evidence]:
    """All evidence in a file, reader by reader; one that fails leaves a record of that, and the others go on."""
    for failure in view.failures:
        yield failed(WALK, failure, view.format)
    readers: list[tuple[str, Callable[[], list[Evidence]]]] = [
        ("detectors", lambda: detectors.detect(view, options.limits)),
        ("camera", lambda: camera.evidence(view)),
    ]
    if options.pixels and pixels.worth_looking(view, marks=options.marks):
        readers.append(("pixels", lambda: pixels.evidence(view.content, view, options.limits, marks=options.marks)))
    for name, reader in readers:
        try:
            yield from reader()
        except MemoryError:
            raise  # it is about the child, which says so itself
        except Exception as error:  # noqa: BLE001 -- whatever it is: what was found besides is worth reporting
            yield failed(WALK, f"{name}: {type(error).__name__}", view.format)


def _sendable(one: Evidence) -> Evidence:
    """The record itself; of half characters, as JSON may write them, which no encoding holds, a record without them."""
    try:
        msgspec.msgpack.encode(one)
    except UnicodeEncodeError:
        return msgspec.convert(_whole(msgspec.to_builtins(one)), Evidence)
    return one


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _whole(part) for key, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list | tuple) else value


def _unread(view: FileView) -> Reason | None:
    if not view.size:
        return Reason.EMPTY
    if view.format is None:
        return Reason.UNKNOWN_FORMAT
    return None if view.format in _READ else Reason.UNSUPPORTED_FORMAT


def failed(reader: str, why: str, container: str | None, caveat: str = "reader_failed") -> Evidence:
    """The record that a reader gave up; ``why`` is in words of our own, never a text from the file."""
    return Evidence(
        kind=FAILURE,
        claim="none",
        strength=Strength.NONE,
        caveat=caveat,
        location=Location(container=container or "file"),
        excerpt=why,
        reader=reader,
    )


def _beginning(descriptor: int, most: int) -> bytes:
    """The first bytes of a file, all of them if it has no more."""
    parts = []
    at = 0
    while at < most and (part := os.pread(descriptor, min(most - at, 16 * MIB), at)):
        parts.append(part)
        at += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

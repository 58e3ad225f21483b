"""Cryptographic digests of a file's bytes: what older hash lists hold, and what proves that two files are the same."""

from __future__ import annotations

import hashlib
import os
from typing import Final, NamedTuple

DIGEST_KINDS: Final = {"md5": 16, "sha1": 20, "sha256": 32}
"""Kind of digest -> its length in bytes."""

_PART_BYTES = 1 << 20


class Digests(NamedTuple):
    """The three digests of one file, as lower-case hexadecimal digits."""

    md5: str
    sha1: str
    sha256: str


def digest(content: bytes) -> Digests:
    """The digests of bytes in memory."""
    return Digests(
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )


def digest_file(descriptor: int) -> Digests:
    """The digests of an open file of any size, read part by part from its beginning."""
    engines = (
        hashlib.md5(usedforsecurity=False),
        hashlib.sha1(usedforsecurity=False),
        hashlib.sha256(),
    )
    at = 0
    while part := os.pread(descriptor, _PART_BYTES, at):
        at += len(part)
        for engine in engines:
            engine.update(part)
    return Digests(*(engine.hexdigest() for engine in engines))

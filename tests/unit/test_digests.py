from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.hashing import DIGEST_KINDS, Digests, digest
from rempart.hashing.digests import digest_file

PART = 1 << 20  # what is read of a file at a time

KNOWN = {
    b"": (
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    b"abc": (
        "900150983cd24fb0d6963f7d28e17f72",
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
}
"""Test vectors of RFC 1321 and FIPS 180."""


@contextmanager
def descriptor_of(content: bytes) -> Iterator[int]:
    """An open file with this content, somewhere in the middle of it."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(len(content) // 2)
        yield file.fileno()


@pytest.mark.parametrize("content", KNOWN)
def test_published_test_vectors_are_met(content: bytes) -> None:
    """From memory and from a file."""
    assert digest(content) == KNOWN[content]
    with descriptor_of(content) as descriptor:
        assert digest_file(descriptor) == KNOWN[content]


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 3 * PART + 12345])
def test_a_file_in_parts_has_the_digests_of_the_whole(size: int) -> None:
    """Around the size of a part and over several, wherever the file's position was."""
    content = bytes(range(251)) * (size // 251 + 1)
    with descriptor_of(content[:size]) as descriptor:
        assert digest_file(descriptor) == digest(content[:size])


@given(st.binary(max_size=300))
def test_each_digest_is_that_of_its_name(content: bytes) -> None:
    """Named as Python names them, with the length that is documented."""
    digests = digest(content)
    assert Digests._fields == tuple(DIGEST_KINDS)
    for kind, length in DIGEST_KINDS.items():
        value = getattr(digests, kind)
        assert value == hashlib.new(kind, content, usedforsecurity=False).hexdigest()
        assert len(bytes.fromhex(value)) == length

"""Signals of a picture or video: PDQ of full, trimmed and turned frames, and the digests of the file."""

from __future__ import annotations

from rempart.hashing.digests import DIGEST_KINDS, Digests, digest
from rempart.hashing.hashed import Hashed, PictureHash
from rempart.hashing.isolated import hash_image, hash_images
from rempart.hashing.items import hash_items
from rempart.hashing.pdq import HASH_BYTES, Pdq, pdq
from rempart.hashing.video import hash_video
from rempart.media import Unscannable

__all__ = [
    "DIGEST_KINDS",
    "HASH_BYTES",
    "Digests",
    "Hashed",
    "Pdq",
    "PictureHash",
    "Unscannable",
    "digest",
    "hash_image",
    "hash_images",
    "hash_items",
    "hash_video",
    "pdq",
]

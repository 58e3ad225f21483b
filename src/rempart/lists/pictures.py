"""From a hashed picture or video to what is banked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rempart.lists.entries import Content
from rempart.lists.hashfile import HashValue
from rempart.matching.video import to_bank
from rempart.store.tables import HashKind

if TYPE_CHECKING:
    from rempart.hashing import Hashed, PictureHash


def content_of(item: Hashed, quality_floor: int) -> Content:
    """The digests of a picture or video, and those of its perceptual hashes that say enough of it to be compared.

    Hashes of pictures with little detail look like those of many others: they would match what they should not, so
    below the floor a picture is known by its digests alone. The all-zero hash is never banked. Of a video, each
    distinct frame is banked once, with the time when it is first shown.

    Args:
        item: the hashed picture or video.
        quality_floor: the least quality, 0..100, at which perceptual hashes are banked.
    """
    if item.is_video:
        frames: dict[bytes, PictureHash] = {}
        for one in to_bank(item.hashes):
            if says_enough(one, quality_floor):
                frames.setdefault(one.hash, one)
        near = [
            HashValue(HashKind.VPDQ, one.hash, one.quality, one.variant, round(1000 * (one.at or 0)))
            for one in frames.values()
        ]
    else:
        near = [
            HashValue(HashKind.PDQ, one.hash, one.quality, one.variant)
            for one in item.hashes
            if says_enough(one, quality_floor)
        ]
    digests = [
        HashValue(HashKind.MD5, bytes.fromhex(item.md5)),
        HashValue(HashKind.SHA1, bytes.fromhex(item.sha1)),
        HashValue(HashKind.SHA256, bytes.fromhex(item.sha256)),
    ]
    return Content((*near, *digests))


def says_enough(one: PictureHash, quality_floor: int) -> bool:
    """Whether a hash has enough detail behind it to be banked."""
    return one.quality >= quality_floor and any(one.hash)

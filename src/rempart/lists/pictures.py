"""From a hashed picture to what is banked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rempart.lists.entries import Content
from rempart.lists.hashfile import HashValue
from rempart.store.tables import HashKind

if TYPE_CHECKING:
    from rempart.hashing import Hashed


def content_of(picture: Hashed, quality_floor: int) -> Content:
    """The digests of a picture, and those of its PDQ hashes that say enough of it to be compared.

    Hashes of pictures with little detail look like those of many others: they would match what they should not, so
    below the floor a picture is known by its digests alone. The all-zero hash is never banked.

    Args:
        picture: the hashed picture.
        quality_floor: the least quality, 0..100, at which PDQ hashes are banked.
    """
    near = [
        HashValue(HashKind.PDQ, each.hash, each.quality, each.variant)
        for each in picture.hashes
        if each.quality >= quality_floor and any(each.hash)
    ]
    digests = [
        HashValue(HashKind.MD5, bytes.fromhex(picture.md5)),
        HashValue(HashKind.SHA1, bytes.fromhex(picture.sha1)),
        HashValue(HashKind.SHA256, bytes.fromhex(picture.sha256)),
    ]
    return Content((*near, *digests))

"""Read all that a file says beside its pixels: told apart by its first bytes, read within limits, never raising."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rempart.media.sniff import HEAD_BYTES, sniff, sniff_other
from rempart.provenance.fields import DEFAULT_LIMITS, FileView, Limits
from rempart.provenance.readers import bmff, gif, jpeg, png, tiff, webp
from rempart.provenance.readers.gathering import Gathering

_READERS: Final[dict[str, Callable[[Gathering], None]]] = {
    "png": png.read,
    "jpeg": jpeg.read,
    "webp": webp.read,
    "tiff": tiff.read,
    "gif": gif.read,
    "heif": bmff.read,
    "avif": bmff.read,
    "mp4": bmff.read,
    "mov": bmff.read,
}


def view_of(content: bytes, size: int | None = None, limits: Limits = DEFAULT_LIMITS) -> FileView:
    """Everything that the readers find in a file.

    Args:
        content: the file, or its beginning.
        size: bytes of the whole file, where ``content`` is only its beginning.
        limits: how much of it is read.

    Returns:
        A record that tells also what could not be read, and which limits were met. Nothing is ever raised, whatever
        the bytes are.
    """
    whole = len(content) if size is None else max(size, len(content))
    head = content[:HEAD_BYTES]
    format_ = sniff(head) or sniff_other(head)
    gathering = Gathering(content[: limits.file_bytes], limits)
    if whole > len(gathering.content):
        gathering.hit("file_bytes")
    reader = _READERS.get(format_ or "")
    if reader is not None:
        gathering.attempt(format_ or "", lambda: reader(gathering))
    return gathering.view(format_, whole)

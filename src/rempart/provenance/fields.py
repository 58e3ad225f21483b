"""A file as detectors see it: its format, its texts, and where each stands. Made of bytes alone, within limits."""

from __future__ import annotations

from typing import Final

import msgspec

from rempart.settings import MIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one file is read; what is beyond is named in ``limits_hit``, never passed over."""

    file_bytes: int = 64 * MIB
    field_bytes: int = 4 * MIB
    text_bytes: int = 16 * MIB
    """Of all fields together, inflated."""
    fields: int = 4096
    depth: int = 64
    """Of JSON, XML and boxes within boxes."""
    pixels: int = 40_000_000


DEFAULT_LIMITS: Final = Limits()


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of metadata.

    Attributes:
        container: where it stands: ``png.tEXt``, ``png.zTXt``, ``png.iTXt``, ``png.eXIf``, ``png.caBX``, ``jpeg.COM``,
            ``jpeg.APPn``, ``exif.IFD0``, ``exif.Exif``, ``exif.GPS``, ``exif.IFD1``, ``exif.MakerNote``, ``xmp``,
            ``iptc``, ``webp.XMP``, ``bmff.<box>``, ``trailer``.
        name: the keyword, the tag's standard name (``Make``, ``UserComment``), or ``prefix:Name`` in XMP with the
            usual prefix of its name space, whatever the file calls it.
        text: what it says, decoded; None where it is no text.
        data: its bytes, not inflated; of a text cut short only what was kept.
        offset: of ``data`` in the file, -1 where it was inflated out of something.
        truncated: whether a limit cut it short.
    """

    container: str
    name: str
    data: bytes
    text: str | None = None
    offset: int = -1
    truncated: bool = False

    def __repr__(self) -> str:
        return f"<Field {self.container} {len(self.data)} bytes>"


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read of one file without looking at its pixels.

    Attributes:
        format: by its first bytes: ``png jpeg webp tiff gif heif avif mp4 mov``, which are read; another name of
            :mod:`rempart.media.sniff`, of which nothing is read; or None.
        content: its bytes, up to the limit.
        width: as its header says; 0 where that was not found. ``height`` likewise.
        alpha: whether the header says that it has an alpha channel.
        structure: facts of the container that camera checks need: ``jpeg.dqt`` (tables in hexadecimal digits),
            ``exif.thumbnail`` ("WxH" of an IFD1 picture), ``jpeg.mpf``, ``png.trailer`` and the like.
        limits_hit: names of the limits that were met, such as ``field_bytes`` or ``fields``.
        failures: readers that gave up, with why in a word: ``png: bad length``.
    """

    format: str | None
    content: bytes
    size: int
    width: int = 0
    height: int = 0
    alpha: bool = False
    fields: tuple[Field, ...] = ()
    structure: dict[str, str] = {}
    limits_hit: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<FileView {self.format} {self.size} bytes, {len(self.fields)} fields>"

    def named(self, *names: str, container: str = "") -> list[Field]:
        """The fields of these names, in file order, in containers that begin so."""
        return [one for one in self.fields if one.name in names and one.container.startswith(container)]

"""Tell a file's format from its first bytes. Names are never looked at: a name is whatever the sender typed."""

from __future__ import annotations

HEAD_BYTES = 64

_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)

# Not pictures, or none that are decoded here, yet worth naming: "it is a video" helps a reader more than "unknown".
_OTHER_MAGIC = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpeg"),
    (b"FLV\x01", "flv"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"OggS", "ogg"),
    (b"%PDF-", "pdf"),
    (b"%!PS", "postscript"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b", "gzip"),
)

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


def sniff(head: bytes) -> str | None:
    """The picture format that ``head``, the first :data:`HEAD_BYTES` bytes of a file, announces.

    One of jpeg, png, gif, bmp, tiff, webp, avif, heif; None when it is none of these (Pillow may know it yet).
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIF_BRANDS:
            return "heif"
    return None


def sniff_other(head: bytes) -> str | None:
    """The name of a well-known format that is not decoded as a picture; None when nothing is recognised."""
    for magic, name in _OTHER_MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] == b"ftyp":
        return "mp4"
    return None


def _brands(head: bytes) -> frozenset[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3), as far as ``head`` reaches."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return frozenset([head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))])

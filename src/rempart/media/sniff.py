"""Tell a file's format from its first bytes. Names are never looked at: a name is whatever the sender typed."""

from __future__ import annotations

HEAD_BYTES = 1024

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
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpeg_stream"),
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

VIDEOS = frozenset(("mp4", "mov", "matroska", "webm", "avi", "mpeg", "mpeg_stream", "mpegts", "flv", "asf", "ogg"))
"""Names that :func:`sniff_other` gives to containers of moving pictures; each may also hold nothing but sound."""

_EBML, _EBML_NAME_BYTES = b"\x1aE\xdf\xa3", 64
# A QuickTime file older than the brands begins with one of these boxes.
_QUICKTIME_BOXES = frozenset((b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"))
# Packets of a transport stream begin with this byte, every 188 bytes, or 192 with a time code before each.
_SYNC, _PACKETS, _LEAST_PACKETS = 0x47, ((188, 0), (192, 4)), 3

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
    if head.startswith(_EBML):
        return "webm" if b"webm" in head[:_EBML_NAME_BYTES] else "matroska"
    if head[4:8] == b"ftyp":
        return "mov" if head[8:12] == b"qt  " else "mp4"
    if head[4:8] in _QUICKTIME_BOXES:
        return "mov"
    return "mpegts" if any(_synchronous(head[start::step]) for step, start in _PACKETS) else None


def _synchronous(starts: bytes) -> bool:
    """Whether every packet of a transport stream begins as it must."""
    return len(starts) >= _LEAST_PACKETS and starts.count(_SYNC) == len(starts)


def _brands(head: bytes) -> frozenset[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3), as far as ``head`` reaches."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return frozenset([head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))])

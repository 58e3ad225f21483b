"""Files that say something of themselves, put together byte by byte: containers, tags, packets, boxes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, Literal

Order = Literal["big", "little"]
Tag = tuple[int, int, bytes]
"""A number, a type, and the bytes of the values in the order of the file."""

ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
_UNIT: Final = {1: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, 10: 8}
_EXIF_POINTER, _GPS_POINTER, _INTEROPERABILITY_POINTER = 0x8769, 0x8825, 0xA005
_INLINE: Final = 4

RDF: Final = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
LABEL: Final = '{"Label": "1", "ContentProducer": "lighthouse", "ProduceID": "7"}'


def chunk(kind: bytes, body: bytes = b"", *, checksum: int | None = None) -> bytes:
    """A chunk of a PNG, with the checksum that fits or another."""
    told = zlib.crc32(kind + body) if checksum is None else checksum
    return len(body).to_bytes(4, "big") + kind + body + told.to_bytes(4, "big")


def png(*chunks: bytes, after: bytes = b"", colour: int = 2) -> bytes:
    """A PNG of four by three pixels with these chunks in front of them."""
    header = struct.pack(">IIBBBBB", 4, 3, 8, colour, 0, 0, 0)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    pixels = zlib.compress((b"\0" + b"\x80" * 4 * channels) * 3)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND"), after)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def jpeg(*segments: bytes, between: bytes = b"", after: bytes = b"") -> bytes:
    """The frame of a JPEG of four by three pixels, with two scans, these segments in front and some between them."""
    table = segment(0xDB, b"\0" + bytes(range(64)))
    frame = segment(0xC2, bytes((8, 0, 3, 0, 4, 1, 1, 0x11, 0)))
    scan = segment(0xDA, b"\1\1\0\0\0\0") + b"\x12\xff\0\x34\xff\xd0\x56"
    return b"\xff\xd8" + b"".join(segments) + table + frame + scan + between + scan + b"\xff\xd9" + after


def riff(*chunks: tuple[bytes, bytes], after: bytes = b"") -> bytes:
    """A WebP of four by three pixels, extended, with these chunks behind its own."""
    extended = (b"VP8X", b"\x10\0\0\0\3\0\0\2\0\0")
    body = b"".join(
        name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) & 1) for name, data in (extended, *chunks)
    )
    return b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body + after


def blocks(data: bytes) -> bytes:
    """Data in the sub-blocks of a GIF, with the empty one at the end."""
    pieces = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def gif(*extensions: bytes, after: bytes = b"") -> bytes:
    """A GIF of four by three pixels."""
    picture = b",\0\0\0\0\4\0\3\0\0\2" + blocks(b"\x84\x51\5")
    return b"GIF89a\4\0\3\0\x80\0\0" + b"\0\0\0\xff\xff\xff" + b"".join(extensions) + picture + b";" + after


def box(kind: bytes, *bodies: bytes) -> bytes:
    """A box of an ISO base media file."""
    body = b"".join(bodies)
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def ascii_tag(number: int, text: str) -> Tag:
    """A tag that is a text."""
    return number, ASCII, text.encode() + b"\0"


def exif(
    main: Iterable[Tag] = (),
    *,
    capture: Sequence[Tag] = (),
    place: Sequence[Tag] = (),
    interoperability: Sequence[Tag] = (),
    second: Sequence[Tag] = (),
    thumbnail: bytes = b"",
    order: Order = "little",
) -> bytes:
    """A block of Exif with its directories."""
    out = bytearray((b"II*\0" if order == "little" else b"MM\0*") + bytes(4))
    tags = list(main)

    def number(value: int, width: int) -> bytes:
        return value.to_bytes(width, order)

    def directory(entries: Sequence[Tag], following: int = 0) -> int:
        at, head = len(out), 2 + 12 * len(entries) + 4
        out.extend(bytes(head))
        written = number(len(entries), 2)
        for tag, kind, value in entries:
            written += number(tag, 2) + number(kind, 2) + number(len(value) // _UNIT[kind], 4)
            if len(value) <= _INLINE:
                written += value.ljust(_INLINE, b"\0")
            else:
                written += number(len(out), 4)
                out.extend(value + b"\0" * (len(value) & 1))
        out[at : at + head] = written + number(following, 4)
        return at

    inner = list(capture)
    if interoperability:
        inner.append((_INTEROPERABILITY_POINTER, LONG, number(directory(interoperability), 4)))
    if inner:
        tags.append((_EXIF_POINTER, LONG, number(directory(inner), 4)))
    if place:
        tags.append((_GPS_POINTER, LONG, number(directory(place), 4)))
    following = 0
    if second or thumbnail:
        extra: list[Tag] = []
        if thumbnail:
            extra = [(0x0201, LONG, number(len(out), 4)), (0x0202, LONG, number(len(thumbnail), 4))]
            out.extend(thumbnail)
        following = directory([*second, *extra])
    out[4:8] = number(directory(tags, following), 4)
    return bytes(out)


def shorts(*values: int, order: Order = "little") -> bytes:
    """Values of type SHORT."""
    return b"".join(value.to_bytes(2, order) for value in values)


def rational(above: int, below: int, order: Order = "little") -> bytes:
    """A value of type RATIONAL."""
    return above.to_bytes(4, order) + below.to_bytes(4, order)


def packet(inside: str = "", attributes: str = "") -> str:
    """An XMP packet with these elements in its description, and these attributes on it."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}><rdf:Description rdf:about="" {attributes}>{inside}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def samsung(*named: tuple[str, bytes]) -> bytes:
    """A Samsung trailer with these blocks."""
    body, places = b"", []
    for name, value in named:
        one = struct.pack("<HHI", 0, 0x0D91, len(name)) + name.encode() + value
        places.append((len(body), len(one)))
        body += one
    table = b"SEFH" + struct.pack("<II", 107, len(named))
    table += b"".join(struct.pack("<HHII", 0, 0x0D91, len(body) - at, size) for at, size in places)
    return body + table + len(table).to_bytes(4, "little") + b"SEFT"


def iptc(*sets: tuple[int, int, bytes]) -> bytes:
    """A Photoshop resource with IPTC records of (record, data set, value)."""
    body = b"".join(
        bytes((0x1C, record, number)) + len(value).to_bytes(2, "big") + value for record, number, value in sets
    )
    return b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + len(body).to_bytes(4, "big") + body + b"\0" * (len(body) & 1)


def heif(*, exif_block: bytes = b"", xmp: bytes = b"", brand: bytes = b"heic") -> bytes:
    """The boxes of a HEIF whose primary picture, which is not there, has four by three pixels."""
    kinds = [(b"hvc1", b"", b"pixels")]
    if exif_block:
        kinds.append((b"Exif", b"", b"\0\0\0\6Exif\0\0" + exif_block))
    if xmp:
        kinds.append((b"mime", b"application/rdf+xml\0", xmp))
    names = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind + b"\0" + content)
        for number, (kind, content, _) in enumerate(kinds, 1)
    )
    items = box(b"iinf", bytes(4) + len(kinds).to_bytes(2, "big") + names)
    sizes = box(b"ispe", bytes(4) + struct.pack(">II", 4, 3))
    thumb = box(b"ispe", bytes(4) + struct.pack(">II", 2, 1))
    alpha = box(b"auxC", bytes(4) + b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
    owners = box(b"ipma", bytes(4) + struct.pack(">IHBB", 1, 1, 1, 0x82))
    properties = box(b"iprp", box(b"ipco", thumb, sizes, alpha), owners)
    first = box(b"ftyp", brand + b"\0\0\0\0mif1" + brand)

    def meta(start: int) -> bytes:
        places = b""
        for number, (_, _, data) in enumerate(kinds, 1):
            places += struct.pack(">HHHII", number, 0, 1, start, len(data))
            start += len(data)
        table = box(b"iloc", b"\0\0\0\0\x44\0" + len(kinds).to_bytes(2, "big") + places)
        primary = box(b"pitm", bytes(4) + b"\0\1")
        return box(b"meta", bytes(4) + box(b"hdlr", bytes(24)) + primary + items + table + properties)

    start = len(first) + len(meta(0)) + 8
    return first + meta(start) + box(b"mdat", b"".join(data for _, _, data in kinds))


def film(*, user_data: bytes = b"", outer: bytes = b"", brand: bytes = b"isom") -> bytes:
    """The boxes of a film of 640 by 360 pixels without a picture."""
    size = struct.pack(">II", 640 << 16, 360 << 16)
    track = box(b"trak", box(b"tkhd", bytes(76) + size))
    return box(b"ftyp", brand + bytes(4)) + outer + box(b"moov", track, box(b"udta", user_data)) + box(b"mdat", b"x")


def values(*named: tuple[bytes, str]) -> bytes:
    """The list of items that a film has, as iTunes writes it."""
    items = (box(name, box(b"data", struct.pack(">II", 1, 0) + text.encode())) for name, text in named)
    return box(b"meta", bytes(4), box(b"hdlr", bytes(24)), box(b"ilst", *items))


def keyed(*named: tuple[str, str]) -> bytes:
    """The same with names that stand in a table, as QuickTime writes it."""
    names = b"".join((8 + len(name)).to_bytes(4, "big") + b"mdta" + name.encode() for name, _ in named)
    keys = box(b"keys", bytes(4) + len(named).to_bytes(4, "big") + names)
    items = (
        box(number.to_bytes(4, "big"), box(b"data", struct.pack(">II", 1, 0) + text.encode()))
        for number, (_, text) in enumerate(named, 1)
    )
    return box(b"meta", box(b"hdlr", bytes(24)), keys, box(b"ilst", *items))


@cache
def described() -> dict[str, bytes]:
    """Small files of every format that say something of themselves."""
    labelled = packet(
        "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>a lighthouse</rdf:li></rdf:Alt></dc:title>",
        f"xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:T='http://www.tc260.org.cn/ns/AIGC/1.0/' T:AIGC='{LABEL}'",
    ).encode()
    comment = b"UNICODE\0" + "a lighthouse at dusk\nSteps: 20, Sampler: Euler".encode("utf-16-be")
    block = exif(
        [ascii_tag(0x010F, "Pharos"), ascii_tag(0x0110, "Lens 1"), (0x9C9C, 1, "a lighthouse\0".encode("utf-16-le"))],
        capture=[
            (0x829A, RATIONAL, rational(1, 125)),
            (0x927C, UNDEFINED, b"Nikon\0" + bytes(20)),
            (0x9286, 7, comment),
        ],
        place=[(1, ASCII, b"N\0")],
        interoperability=[ascii_tag(1, "R98")],
        thumbnail=jpeg(),
    )
    extended = segment(
        0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">II", len(labelled), 0) + labelled
    )
    return {
        "png": png(
            chunk(b"tEXt", b"parameters\0a lighthouse"),
            chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b'{"3": {"class_type": "KSampler"}}')),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + labelled),
            chunk(b"iTXt", b"Comment\0\1\0en\0Note\0" + zlib.compress("phare à l'aube".encode())),
            chunk(b"eXIf", block),
            chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n9\n" + block.hex().encode())),
            chunk(b"caBX", b"jumb"),
            after=chunk(b"tEXt", b"late\0a lighthouse") + b"sea",
        ),
        "jpeg": jpeg(
            segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0"),
            segment(0xE1, b"Exif\0\0" + block),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + labelled),
            extended,
            segment(0xE2, b"MPF\0" + exif([(0xB001, LONG, b"\2\0\0\0")])),
            segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x10jumb"),
            segment(0xED, iptc((1, 90, b"\x1b%G"), (2, 110, b"a lighthouse"))),
            segment(0xFE, b"a lighthouse"),
            between=segment(0xFE, b"between"),
            after=samsung(("PEg_Info", b'{"genAIType":8}')),
        ),
        "webp": riff((b"EXIF", block), (b"XMP ", labelled), (b"C2PA", b"jumb"), after=labelled),
        "tiff": exif(
            [(0x0100, SHORT, b"\4\0"), (0x0101, SHORT, b"\3\0"), (0x02BC, 1, labelled), ascii_tag(0x0131, "Pharos")]
        ),
        "gif": gif(
            b"!\xfe" + blocks(b"a lighthouse"),
            b"!\xff\x0bXMP DataXMP" + labelled + b"\1" + bytes(range(255, -1, -1)) + b"\0",
            b"!\xff\x0bNETSCAPE2.0" + blocks(b"\1\0\0"),
        ),
        "heif": heif(exif_block=block, xmp=labelled),
        "avif": heif(exif_block=block, brand=b"avif"),
        "mp4": film(
            user_data=values((b"\xa9too", "Pharos"), (b"AIGC", LABEL)) + box(b"\xa9cmt", b"\0\3\0\0sea"),
            outer=box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481"), b"jumb"),
        ),
        "mov": film(user_data=keyed(("com.apple.quicktime.software", "Pharos"), ("AIGC", LABEL)), brand=b"qt  "),
    }

"""HEIC files as phones write them, made here from real HEVC: which of their pictures are hashed, and how."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, Unscannable, hash_image, pdq
from rempart.settings import MediaSettings

pytest.importorskip("pi_heif", reason="the heif extra is not installed")
av = pytest.importorskip("av", reason="the video extra is not installed: it makes the HEVC of these files")

Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]

SIZE = (256, 192)
LIMITS = MediaSettings(workers=1)
CLOSE = 12
VPS, SPS, PPS, FIRST_PICTURE, LAST_PICTURE = 32, 33, 34, 16, 21


class Item(NamedTuple):
    """A picture in a HEIF file."""

    picture: Image.Image
    kind: bytes = b"hvc1"
    hidden: bool = False
    thumbnail_of: int = 0
    mask_of: int = 0
    tiles: tuple[int, ...] = ()
    """Numbers of the items that a grid is laid of, in rows of two."""
    turns: int = 0
    """Quarter turns counter-clockwise before it is shown."""


def box(kind: bytes, *content: bytes) -> bytes:
    """An ISO base media box."""
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """One with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def hevc(picture: Image.Image) -> tuple[bytes, bytes]:
    """The configuration (hvcC) and the one picture of an HEVC stream."""
    codec = av.CodecContext.create("libx265", "w")
    codec.width, codec.height = picture.size
    codec.pix_fmt, codec.time_base = "yuv420p", Fraction(1)
    codec.options = {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=none:keyint=1"}
    frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
    stream = b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
    units = [unit.lstrip(b"\1").rstrip(b"\0") for unit in stream.split(b"\0\0\1") if unit.strip(b"\0\1")]
    kinds = {kind: [unit for unit in units if unit[0] >> 1 == kind] for kind in (VPS, SPS, PPS)}
    profile = kinds[SPS][0].replace(b"\0\0\3", b"\0\0")[3:15]
    head = b"\1" + profile + bytes.fromhex("f000fcfdf8f800000f03")
    arrays = (bytes((0x80 | kind, 0, 1)) + struct.pack(">H", len(kinds[kind][0])) + kinds[kind][0] for kind in kinds)
    pictures = [unit for unit in units if FIRST_PICTURE <= unit[0] >> 1 <= LAST_PICTURE]
    return b"".join((head, *arrays)), b"".join(struct.pack(">I", len(unit)) + unit for unit in pictures)


def references(items: Sequence[Item]) -> bytes:
    """Which items are thumbnails, masks and tiles of which."""
    found = []
    for number, item in enumerate(items, 1):
        for kind, targets in ((b"thmb", [item.thumbnail_of]), (b"auxl", [item.mask_of]), (b"dimg", item.tiles)):
            if any(targets):
                found.append(box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets)))
    return full(b"iref", *found) if found else b""


def heic(items: Sequence[Item], primary: int = 1, brand: bytes = b"heic", tail: bytes = b"") -> bytes:
    """A HEIF file of these items, numbered from 1."""
    entries, contents, properties, uses = [], [], [], []
    for number, item in enumerate(items, 1):
        entries.append(full(b"infe", struct.pack(">HH", number, 0), item.kind, b"\0", version=2, flags=item.hidden))
        used = [full(b"ispe", struct.pack(">II", *item.picture.size))]
        if item.tiles:
            contents.append(struct.pack(">BBBBHH", 0, 0, len(item.tiles) // 2 - 1, 1, *item.picture.size))
        else:
            configuration, content = hevc(item.picture)
            used.append(box(b"hvcC", configuration))
            contents.append(content)
        if item.turns:
            used.append(box(b"irot", bytes((item.turns,))))
        if item.mask_of:
            used.append(full(b"auxC", b"urn:com:apple:photo:2020:aux:hdrgainmap\0"))
        uses.append(
            struct.pack(">HB", number, len(used)) + bytes(range(len(properties) + 1, len(properties) + 1 + len(used)))
        )
        properties += used
    head = box(b"ftyp", brand, bytes(4), *sorted({b"mif1", b"heic", brand}))

    def meta(start: int) -> bytes:
        places, at = [], start
        for number, content in enumerate(contents, 1):
            places.append(struct.pack(">HHHII", number, 0, 1, at, len(content)))
            at += len(content)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", primary)),
            full(b"iloc", b"\x44\0", struct.pack(">H", len(items)), *places),
            full(b"iinf", struct.pack(">H", len(items)), *entries),
            references(items),
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", struct.pack(">I", len(uses)), *uses)),
        )

    start = len(head) + len(meta(0)) + 8
    return b"".join((head, meta(start), box(b"mdat", *contents), tail))


def track(frames: int) -> bytes:
    """A picture track of so many frames, which lie nowhere."""
    table = box(b"stbl", full(b"stsz", struct.pack(">II", 1, frames)), full(b"stco", struct.pack(">II", 1, 99)))
    return box(b"moov", box(b"trak", box(b"mdia", full(b"hdlr", bytes(4), b"pict", bytes(13)), box(b"minf", table))))


def hashed(content: bytes) -> Hashed:
    """The hashes of a file that can be read."""
    outcome = hash_image(content, settings=LIMITS)
    assert isinstance(outcome, Hashed), outcome
    return outcome


def places(item: Hashed, pictures: Sequence[Image.Image], distance: Distance) -> list[list[int]]:
    """The frames that look like each picture."""
    wanted = [pdq(np.asarray(picture.convert("RGB")))[0] for picture in pictures]
    full_frames = [one for one in item.hashes if one.variant == "full"]
    return [[one.frame for one in full_frames if distance(one.hash, hash_) <= CLOSE] for hash_ in wanted]


def test_a_heic_picture_is_hashed_as_it_was_drawn(lighthouse: Draw, distance: Distance) -> None:
    """With its size and name."""
    picture = lighthouse(SIZE)
    item = hashed(heic([Item(picture)]))
    assert (item.format, item.width, item.height, item.frames, item.reason) == ("heif", *SIZE, 1, None)
    assert places(item, [picture], distance) == [[0]]


@pytest.mark.parametrize("primary", [1, 2, 3])
def test_all_pictures_of_a_heic_are_hashed_the_primary_one_first(
    primary: int, lighthouse: Draw, distance: Distance
) -> None:
    """Wherever in the file it lies; none is read twice and none is left out."""
    pictures = [lighthouse(SIZE, seed) for seed in range(3)]
    item = hashed(heic([Item(picture) for picture in pictures], primary))
    assert (item.frames, item.frames_read, item.reason) == (3, 3, None)
    first = pictures.pop(primary - 1)
    assert places(item, [first, *pictures], distance) == [[0], [1], [2]]


def test_thumbnails_gain_maps_and_hidden_items_are_no_pictures(lighthouse: Draw) -> None:
    """Phones add them; viewers show none."""
    thumbnail, mask, hidden = (lighthouse((64, 64), seed) for seed in (1, 2, 3))
    items = [Item(lighthouse(SIZE)), Item(thumbnail, thumbnail_of=1), Item(mask, mask_of=1), Item(hidden, hidden=True)]
    item = hashed(heic(items))
    assert (item.frames, item.frames_read, item.reason) == (1, 1, None)


def test_a_picture_in_tiles_is_one(lighthouse: Draw, distance: Distance) -> None:
    """So phones store theirs."""
    picture = lighthouse((256, 256))
    tiles = [picture.crop((x, y, x + 128, y + 128)) for y in (0, 128) for x in (0, 128)]
    items = [*(Item(tile, hidden=True) for tile in tiles), Item(picture, kind=b"grid", tiles=(1, 2, 3, 4))]
    item = hashed(heic(items, primary=5))
    assert (item.frames, item.width, item.reason) == (1, 256, None)
    assert places(item, [picture], distance) == [[0]]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_heic_is_hashed_upright(turns: int, lighthouse: Draw, distance: Distance) -> None:
    """As a phone held sideways notes it."""
    picture = lighthouse(SIZE)
    stored = Image.fromarray(np.rot90(np.asarray(picture), -turns).copy())
    item = hashed(heic([Item(stored, turns=turns)]))
    assert (item.width, item.height) == SIZE
    assert places(item, [picture], distance) == [[0]]


def test_a_broken_picture_of_a_heic_hides_no_other(lighthouse: Draw, distance: Distance) -> None:
    """Nor does one of a kind that is not decoded."""
    pictures = [lighthouse(SIZE, seed) for seed in range(3)]
    for kind in (b"jpeg", b"av01", b"xxxx"):
        item = hashed(heic([Item(pictures[0]), Item(pictures[1], kind=kind), Item(pictures[2])]))
        found = places(item, pictures, distance)
        assert (bool(found[0]), found[1], bool(found[2])) == (True, [], True)
        assert item.reason is (None if kind == b"xxxx" else Reason.FRAMES_UNREAD)


def test_a_track_beside_the_pictures_is_not_read_and_told(lighthouse: Draw) -> None:
    """A HEIF sequence: its stills are hashed, and it is never clear."""
    item = hashed(heic([Item(lighthouse(SIZE))], brand=b"msf1", tail=track(180)))
    assert (item.frames, item.frames_read, item.reason) == (181, 1, Reason.FRAMES_UNREAD)


def test_a_track_without_pictures_is_of_a_format_that_is_not_read() -> None:
    """Not corrupt."""
    outcome = hash_image(box(b"ftyp", b"hevc", bytes(4), b"msf1") + track(9), settings=LIMITS)
    assert isinstance(outcome, Unscannable)
    assert (outcome.reason, outcome.format) == (Reason.UNSUPPORTED_FORMAT, "heif")


def test_a_heic_cut_at_any_sixteenth_is_never_whole(lighthouse: Draw) -> None:
    """In the middle of a picture, or between two."""
    content = heic([Item(lighthouse(SIZE, seed)) for seed in range(3)])
    assert hashed(content).reason is None
    outcomes = [hash_image(content[: len(content) * part // 16], settings=LIMITS) for part in range(1, 16)]
    assert all(outcome.reason is not None for outcome in outcomes)

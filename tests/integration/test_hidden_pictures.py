"""Pictures that a decoder leaves: other sizes of icons, directories of TIFF, items and tracks of AVIF."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, hash_image, pdq
from rempart.settings import MediaSettings

Saved = Callable[..., bytes]
Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]

SIZE = (200, 152)
LIMITS = MediaSettings(workers=1)
# JPEG and AVIF change a few bits.
CLOSE = 12


def hashed(content: bytes) -> Hashed:
    """The hashes of a file that can be read, by a decoding child."""
    outcome = hash_image(content, settings=LIMITS)
    assert isinstance(outcome, Hashed), outcome
    return outcome


def found_at(item: Hashed, picture: Image.Image, distance: Distance) -> list[int]:
    """The frames of an item that look like a picture."""
    wanted, _ = pdq(np.asarray(picture.convert("RGB")))
    return [one.frame for one in item.hashes if one.variant == "full" and distance(one.hash, wanted) <= CLOSE]


@pytest.mark.parametrize("order", [(256, 64, 32, 16), (16, 32, 64, 256)])
@pytest.mark.parametrize("kind", [b"\1", b"\2"])
def test_all_sizes_of_an_icon_or_cursor_are_hashed_the_largest_first(
    order: tuple[int, ...], kind: bytes, lighthouse: Draw, saved: Saved, distance: Distance
) -> None:
    """A browser's tab shows a small one, a folder a large one: either may be the known picture."""
    pictures = {edge: lighthouse((edge, edge), edge) for edge in order}
    body, entries = b"", b""
    for edge, picture in pictures.items():
        bitmap = saved(picture, "DIB")
        mask = bytes((edge + 31) // 32 * 4 * edge)
        bitmap = bitmap[:8] + struct.pack("<I", 2 * edge) + bitmap[12:] + mask
        place = struct.pack("<HHII", 1, 24, len(bitmap), 6 + 16 * len(order) + len(body))
        entries += bytes((edge % 256, edge % 256, 0, 0)) + place
        body += bitmap
    item = hashed(b"\0\0" + kind + b"\0" + struct.pack("<H", len(order)) + entries + body)
    assert (item.frames, item.frames_read, item.width, item.reason) == (4, 4, 256, None)
    wanted = [pdq(np.asarray(pictures[edge]))[0] for edge in sorted(order, reverse=True)]
    assert all(
        any(one.frame == number and distance(one.hash, hash_) <= CLOSE for one in item.hashes)
        for number, hash_ in enumerate(wanted)
    )


def test_all_sizes_of_an_apple_icon_are_hashed(lighthouse: Draw, saved: Saved, distance: Distance) -> None:
    """Old kinds with their masks among them."""
    large, small, old = lighthouse((256, 256), 1), lighthouse((128, 128), 2), lighthouse((32, 32), 3)
    planes = b"".join(plane.tobytes() for plane in old.split())
    packed = b"".join(bytes((127,)) + planes[at : at + 128] for at in range(0, len(planes), 128))
    chunks = (
        (b"ic07", saved(small, "PNG")),
        (b"il32", packed),
        (b"l8mk", b"\xff" * 1024),
        (b"ic08", saved(large, "PNG")),
    )
    body = b"".join(kind + struct.pack(">I", 8 + len(content)) + content for kind, content in chunks)
    item = hashed(b"icns" + struct.pack(">I", 8 + len(body)) + body)
    assert (item.frames, item.frames_read, item.width) == (3, 3, 256)
    assert [found_at(item, picture, distance) for picture in (large, small, old)] == [[0], [1], [2]]


def test_the_picture_in_a_sub_directory_of_a_tiff_is_hashed(lighthouse: Draw, distance: Distance) -> None:
    """Camera files keep the picture there and a preview in front; so may who wants to hide one."""
    shown_, hidden, deeper = (lighthouse(SIZE, seed) for seed in (1, 2, 3))
    item = hashed(tiff([(shown_, [1]), (hidden, [2]), (deeper, [])], chained=1))
    assert (item.frames, item.frames_read, item.reason) == (3, 3, None)
    assert [found_at(item, picture, distance) for picture in (shown_, hidden, deeper)] == [[0], [1], [2]]


def test_directories_that_point_in_circles_are_each_read_once(lighthouse: Draw) -> None:
    """Of pages and of sub-directories."""
    pictures = [(lighthouse(SIZE, seed), [0, 1, 2]) for seed in range(3)]
    item = hashed(tiff(pictures, chained=3, circle=True))
    assert (item.frames, item.frames_read, item.reason) == (3, 3, None)


def test_ten_thousand_pages_are_counted_and_the_first_of_them_read(lighthouse: Draw) -> None:
    """Too many frames, never clear, and soon told."""
    item = hashed(tiff([(lighthouse((16, 16)), [])] * 10_000, chained=10_000))
    assert (item.frames, item.frames_read, item.reason) == (10_000, LIMITS.max_frames, Reason.TOO_MANY_FRAMES)


def test_a_page_that_cannot_be_read_hides_none_behind_it(lighthouse: Draw, distance: Distance) -> None:
    """Its compression is unknown."""
    pictures = [lighthouse(SIZE, seed) for seed in range(4)]
    item = hashed(tiff([(picture, []) for picture in pictures], chained=4, unknown=1))
    assert (item.frames, item.frames_read, item.reason) == (4, 3, Reason.FRAMES_UNREAD)
    assert [bool(found_at(item, picture, distance)) for picture in pictures] == [True, False, True, True]


def tiff(
    pictures: Sequence[tuple[Image.Image, list[int]]], chained: int, *, circle: bool = False, unknown: int | None = None
) -> bytes:
    """A TIFF whose first ``chained`` pictures are pages; each names those that are its sub-directories."""
    length = 2 + 12 * 10 + 4
    bodies = [picture.convert("L").tobytes() for picture, _ in pictures]
    starts, at = [], 8
    for (_, subs), body in zip(pictures, bodies, strict=True):
        starts.append(at)
        at += length + 4 * len(subs) + len(body)
    out = [struct.pack("<2sHI", b"II", 42, 8)]
    for number, ((picture, subs), body) in enumerate(zip(pictures, bodies, strict=True)):
        list_at = starts[number] + length
        where = list_at if len(subs) != 1 else starts[subs[0]]
        compression = 9999 if number == unknown else 1
        tags = [(256, picture.width), (257, picture.height), (258, 8), (259, compression), (262, 1)]
        tags += [(273, list_at + 4 * len(subs)), (277, 1), (278, picture.height), (279, len(body))]
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        entries += struct.pack("<HHII", 330 if subs else 65000, 13 if subs else 4, len(subs) or 1, where)
        following = starts[number + 1] if number + 1 < chained else 8 * (circle and number + 1 == chained)
        out.append(struct.pack("<H", 10) + entries + struct.pack("<I", following))
        out += [struct.pack(f"<{len(subs)}I", *(starts[sub] for sub in subs)), body]
    return b"".join(out)


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"mif1"])
def test_the_still_and_the_track_of_an_avif_are_both_hashed(
    brand: bytes, lighthouse: Draw, saved: Saved, distance: Distance
) -> None:
    """A decoder takes one of them, by the brand: the other would be a hiding place."""
    pictures = [lighthouse(SIZE, seed) for seed in range(3)]
    moving = saved(pictures[0], "AVIF", save_all=True, append_images=pictures[1:], quality=80)
    item = hashed(moving[:8] + brand + moving[12:])
    assert (item.frames, item.frames_read, item.reason) == (3, 3, None)
    # The primary item now lies elsewhere than the first frame of the track.
    at = moving.index(b"iloc") + 18
    offset, size = struct.unpack(">II", moving[at : at + 8])
    still = struct.pack(">II", len(moving), size)
    item = hashed(moving[:8] + brand + moving[12:at] + still + moving[at + 8 :] + moving[offset : offset + size])
    assert (item.frames, item.frames_read, item.reason) == (4, 4, None)
    assert [bool(found_at(item, picture, distance)) for picture in pictures] == [True] * 3


def test_a_gain_map_leaves_a_phone_photo_as_it_is(lighthouse: Draw, saved: Saved, distance: Distance) -> None:
    """A second picture that only says how bright the first is: Ultra HDR, and phones that do not call it so."""
    photo, brightness = lighthouse((800, 600), 1), Image.linear_gradient("L").resize((200, 150))
    plain = saved(photo, "MPO", save_all=True, append_images=[brightness], quality=90)
    note = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><d hdrgm:Version="1.0"/></x:xmpmeta>'
    told = plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(note)) + note + plain[2:]
    for content in (plain, told):
        item = hashed(content)
        assert (item.reason, item.frames == item.frames_read) == (None, True)
        assert 0 in found_at(item, photo, distance)

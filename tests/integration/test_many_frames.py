"""Known pictures among other frames, pages, sizes and items: each is found, in its place, as a viewer shows it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, Unscannable, hash_image, pdq
from rempart.media.decode import Picture
from rempart.settings import MediaSettings

# Decoding children ignore Pillow's warnings about odd files; here pixels are also looked at in this very process.
pytestmark = pytest.mark.filterwarnings("ignore")

Saved = Callable[..., bytes]
Draw = Callable[..., Image.Image]
Distance = Callable[[bytes, bytes], int]
Canvas = npt.NDArray[np.uint8]

SIZE = (200, 152)
KEEP, CLEAR, RESTORE = 1, 2, 3
LIMITS = MediaSettings(workers=1)
# JPEG, WebP and AVIF change a few bits.
CLOSE = 12


class Cel(NamedTuple):
    """A picture of an animation, where it lies, and what becomes of its place."""

    picture: Image.Image
    at: tuple[int, int] = (0, 0)
    disposal: int = KEEP
    replaces: bool = False


def hashed(content: bytes, limits: MediaSettings = LIMITS) -> Hashed:
    """The hashes of a file that can be read, by a decoding child."""
    outcome = hash_image(content, settings=limits)
    assert isinstance(outcome, Hashed), outcome
    return outcome


def found_at(item: Hashed, picture: Image.Image, distance: Distance) -> list[int]:
    """The frames of an item that look like a picture."""
    wanted, _ = pdq(np.asarray(picture.convert("RGB")))
    return [one.frame for one in item.hashes if one.variant == "full" and distance(one.hash, wanted) <= CLOSE]


def shown(content: bytes) -> list[Canvas]:
    """The pixels of each frame, in RGB."""
    return [np.asarray(Image.fromarray(frame).convert("RGB")) for frame in Picture(content, LIMITS)]


def composed(size: tuple[int, int], cels: Sequence[Cel]) -> list[Canvas]:
    """What a browser shows: written down anew, on floats, for a canvas that is transparent at first."""
    colour = np.zeros((size[1], size[0], 3))
    opaque = np.zeros((size[1], size[0], 1))
    frames = []
    for cel in cels:
        before = colour.copy(), opaque.copy()
        layer = np.asarray(cel.picture.convert("RGBA")).astype(float)
        rows = slice(cel.at[1], min(cel.at[1] + layer.shape[0], size[1]))
        columns = slice(cel.at[0], min(cel.at[0] + layer.shape[1], size[0]))
        layer = layer[: rows.stop - rows.start, : columns.stop - columns.start]
        alpha, beneath = layer[:, :, 3:] / 255, 0.0 if cel.replaces else opaque[rows, columns]
        total = alpha + beneath * (1 - alpha)
        mixed = layer[:, :, :3] * alpha + colour[rows, columns] * beneath * (1 - alpha)
        colour[rows, columns] = np.divide(mixed, total, out=np.zeros_like(mixed), where=total > 0)
        opaque[rows, columns] = total
        frames.append(np.round(colour * opaque + 255 * (1 - opaque)).astype(np.uint8))
        if cel.disposal == RESTORE:
            colour, opaque = before
        elif cel.disposal == CLEAR:
            opaque[rows, columns] = 0
    return frames


def gif(size: tuple[int, int], cels: Sequence[Cel], delay: int = 0) -> bytes:
    """An animated GIF of exactly these pictures, each with a table of colours of its own; colour 255 is transparent."""
    blocks = [b"GIF89a" + struct.pack("<HHBBB", *size, 0, 0, 0)]
    for cel in cels:
        image = cel.picture.convert("RGB").quantize(255)
        if cel.picture.mode == "RGBA":
            image.paste(255, mask=cel.picture.getchannel("A").point(lambda alpha: 255 * (alpha < 128)))
        stream = io.BytesIO()
        image.save(stream, "GIF", interlace=0, optimize=False)
        single = stream.getvalue()
        table = 3 << (single[10] & 7) + 1
        at = single.index(b",\0\0\0\0", 13 + table)
        colours = single[13 : 13 + table].ljust(768, b"\0")
        blocks.append(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, cel.disposal << 2 | 1, delay, 255, 0))
        blocks.append(struct.pack("<BHHHHB", 0x2C, *cel.at, *image.size, 0x87) + colours + single[at + 10 : -1])
    return b"".join((*blocks, b";"))


def with_table(picture: Image.Image) -> Image.Image:
    """The picture in the colours that the GIF above gives it."""
    return picture.convert("RGB").quantize(255).convert("RGB")


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pixels_of(picture: Image.Image) -> bytes:
    """The compressed pixels of a PNG, in RGBA."""
    stream = io.BytesIO()
    picture.convert("RGBA").save(stream, "PNG")
    single, at, found = stream.getvalue(), 8, b""
    while at < len(single):
        length = int.from_bytes(single[at : at + 4], "big")
        if single[at + 4 : at + 8] == b"IDAT":
            found += single[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def apng(
    size: tuple[int, int], cels: Sequence[Cel], default: Image.Image | None = None, announced: int | None = None
) -> bytes:
    """An animated PNG; its default image is the first frame unless another is given."""
    count = len(cels) if announced is None else announced
    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", count, 0)),
    ]
    if default is not None:
        chunks.append(chunk(b"IDAT", pixels_of(default)))
    sequence = 0
    for number, cel in enumerate(cels):
        place = struct.pack(">IIIII", sequence, *cel.picture.size, *cel.at)
        operations = bytes((cel.disposal - 1, not cel.replaces))
        chunks.append(chunk(b"fcTL", place + struct.pack(">HH", 0, 100) + operations))
        sequence += 1
        if number or default is not None:
            chunks.append(chunk(b"fdAT", struct.pack(">I", sequence) + pixels_of(cel.picture)))
            sequence += 1
        else:
            chunks.append(chunk(b"IDAT", pixels_of(cel.picture)))
    return b"".join((b"\x89PNG\r\n\x1a\n", *chunks, chunk(b"IEND", b"")))


def half_clear(picture: Image.Image) -> Image.Image:
    """The picture with a soft hole in its middle."""
    hole = Image.radial_gradient("L").resize(picture.size)
    result = picture.convert("RGBA")
    result.putalpha(hole)
    return result


def hard_hole(picture: Image.Image) -> Image.Image:
    """The picture with a hole whose edge is hard."""
    result = half_clear(picture)
    result.putalpha(result.getchannel("A").point(lambda alpha: 255 * (alpha >= 128)))
    return result


def cels_of(lighthouse: Draw, kind: Callable[[Image.Image], Image.Image]) -> list[Cel]:
    """Every disposal, with whole, partial and holed pictures between."""
    small = [lighthouse((90, 70), seed) for seed in range(10, 17)]
    return [
        Cel(lighthouse(SIZE, 1)),
        Cel(kind(small[0]), (20, 30), RESTORE),
        Cel(kind(small[1]), (60, 40), CLEAR),
        Cel(small[2], (0, 82), KEEP),
        Cel(kind(small[3]), (110, 82), CLEAR),
        Cel(kind(lighthouse(SIZE, 2)), (0, 0), RESTORE),
        Cel(kind(small[4]), (50, 20), KEEP),
        Cel(small[5], (10, 5), CLEAR),
        Cel(kind(small[6]), (90, 60), KEEP),
    ]


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("GIF", {}),
        ("GIF", {"duration": 0, "disposal": 2}),
        ("PNG", {}),
        ("WEBP", {"quality": 90}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 80}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"big_tiff": True}),
        ("MPO", {"quality": 90}),
    ],
)
def test_every_frame_is_found_by_its_own_picture_and_in_its_place(
    form: str, options: dict[str, object], lighthouse: Draw, saved: Saved, distance: Distance
) -> None:
    """Whatever the others show."""
    # Pillow writes wrong offsets into an MPO of more than three.
    pictures = [lighthouse(SIZE, seed) for seed in range(3 if form == "MPO" else 5)]
    item = hashed(saved(pictures[0], form, save_all=True, append_images=pictures[1:], **options))
    assert (item.frames, item.frames_read, item.reason) == (len(pictures), len(pictures), None)
    assert [found_at(item, picture, distance) for picture in pictures] == [[number] for number in range(len(pictures))]


def test_pictures_of_a_gif_are_laid_over_one_another_as_browsers_do(lighthouse: Draw) -> None:
    """Keeping, clearing and restoring; holes; places."""
    cels = cels_of(lighthouse, hard_hole)
    expected = []
    for cel in cels:
        coloured = with_table(cel.picture)
        if cel.picture.mode == "RGBA":
            coloured.putalpha(cel.picture.getchannel("A"))
        expected.append(cel._replace(picture=coloured))
    seen = shown(gif(SIZE, cels))
    assert len(seen) == len(cels)
    for ours, theirs in zip(seen, composed(SIZE, expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_pictures_of_an_apng_are_laid_over_one_another_as_browsers_do(lighthouse: Draw) -> None:
    """With half transparent pictures too, over and instead of what is beneath."""
    cels = cels_of(lighthouse, half_clear)
    cels = [cel._replace(replaces=number % 3 == 1) for number, cel in enumerate(cels)]
    for ours, theirs in zip(shown(apng(SIZE, cels)), composed(SIZE, cels), strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_a_picture_cut_into_pieces_over_several_frames_is_found_once_it_is_whole(
    lighthouse: Draw, distance: Distance
) -> None:
    """The pieces have no disposal, after one that does: a reader that goes on clearing would never see the whole."""
    known = lighthouse(SIZE, 7)
    pieces = [known.crop((left, 0, right, SIZE[1])) for left, right in pairwise((0, 70, 140, 200))]
    dot = Cel(Image.new("RGB", (1, 1)), disposal=CLEAR)
    cels = [dot, *(Cel(piece, (left, 0), 0) for piece, left in zip(pieces, (0, 70, 140), strict=True))]
    assert found_at(hashed(gif(SIZE, cels)), known, distance) == [3]


@pytest.mark.parametrize("make", [gif, apng])
def test_a_damaged_frame_hides_none_behind_it(make: Callable[..., bytes], lighthouse: Draw, distance: Distance) -> None:
    """The item is not clear either."""
    pictures = [lighthouse(SIZE, seed) for seed in range(4)]
    content = bytearray(make(SIZE, [Cel(picture) for picture in pictures]))
    if make is gif:
        starts = [at for at in range(len(content)) if content.startswith(b"\x2c\0\0\0\0\xc8\0\x98\0\x87", at)]
        content[starts[2] + 10 + 768] = 99  # no such size of codes
    else:
        at = content.index(b"fdAT", content.index(b"fdAT") + 4)
        content[at + 8 : at + 16] = bytes(8)
    item = hashed(bytes(content))
    assert (item.frames, item.frames_read, item.partial) == (4, 4, Reason.DAMAGED)
    assert [found_at(item, picture, distance) for picture in pictures] == [[0], [1], [], [3]]


def test_frames_without_pixels_are_left_out_and_told(lighthouse: Draw, distance: Distance) -> None:
    """The first that decodes stands for the item; where none does, nothing can be said but the digests."""
    pictures = [lighthouse(SIZE, seed) for seed in range(3)]
    content = apng(SIZE, [Cel(picture) for picture in pictures])
    item = hashed(content.replace(b"IDAT", b"prVt"))
    assert (item.frames, item.frames_read, item.reason) == (3, 2, Reason.FRAMES_UNREAD)
    assert [bool(found_at(item, picture, distance)) for picture in pictures] == [False, True, True]
    outcome = hash_image(content.replace(b"IDAT", b"prVt").replace(b"fdAT", b"prVt"), settings=LIMITS)
    assert isinstance(outcome, Unscannable)
    assert (outcome.reason, outcome.format, outcome.sha256 is not None) == (Reason.CORRUPT, "png", True)


def test_frames_keep_their_numbers_when_one_before_them_is_left_out(lighthouse: Draw) -> None:
    """A reviewer is shown the frame that matched."""
    content = apng(SIZE, [Cel(lighthouse(SIZE, seed)) for seed in range(3)])
    picture = Picture(content.replace(b"IDAT", b"prVt"), LIMITS)
    assert [picture.number for _ in picture] == [1, 2]


def test_a_default_image_that_the_animation_leaves_out_is_hashed(lighthouse: Draw, distance: Distance) -> None:
    """Viewers without animation show nothing else; and it is no ground for the frames."""
    known = lighthouse(SIZE, 3)
    cels = [Cel(lighthouse((90, 70), 4), (30, 20)), Cel(lighthouse((90, 70), 5), (80, 60))]
    content = apng(SIZE, cels, default=known)
    item = hashed(content)
    assert (item.frames, item.frames_read, item.reason) == (3, 3, None)
    assert found_at(item, known, distance) == [0]
    np.testing.assert_array_equal(shown(content)[1], composed(SIZE, cels)[0])


@pytest.mark.parametrize("announced", [1, 2, 10**9])
def test_frames_that_an_apng_does_not_announce_are_read_and_those_that_are_missing_are_told(
    announced: int, lighthouse: Draw, distance: Distance
) -> None:
    """One number in the header hides nothing, and a thousand million frames that are not there take no time."""
    pictures = [lighthouse(SIZE, seed) for seed in range(3)]
    item = hashed(apng(SIZE, [Cel(picture) for picture in pictures], announced=announced))
    assert [found_at(item, picture, distance) for picture in pictures] == [[0], [1], [2]]
    assert (item.frames, item.reason) == ((3, None) if announced < 3 else (announced, Reason.FRAMES_UNREAD))


def test_a_frame_outside_of_the_canvas_is_hashed_by_itself(lighthouse: Draw, distance: Distance) -> None:
    """Browsers show nothing of it, other viewers widen the canvas; and what follows is not changed by it."""
    base, hidden, last = (lighthouse(SIZE, seed) for seed in (1, 2, 3))
    item = hashed(gif(SIZE, [Cel(base), Cel(hidden, (190, 140)), Cel(last)]))
    assert (item.frames, item.frames_read) == (4, 4)
    assert (found_at(item, hidden, distance), found_at(item, last, distance)) == ([2], [3])


def test_a_canvas_that_is_too_small_for_the_first_picture_is_widened(lighthouse: Draw, distance: Distance) -> None:
    """As browsers do."""
    known = lighthouse(SIZE, 1)
    item = hashed(gif((1, 1), [Cel(known), Cel(lighthouse(SIZE, 2))]))
    assert (item.width, item.height) == SIZE
    assert found_at(item, known, distance) == [0]

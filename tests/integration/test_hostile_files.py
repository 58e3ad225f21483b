"""Files made to exhaust, confuse or crash a decoder: each ends in a verdict, in bounded time, and the batch goes on."""

from __future__ import annotations

import os
import random
import resource
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rempart.errors import Reason
from rempart.hashing import Hashed, Unscannable, hash_image, hash_images, pdq
from rempart.settings import MIB, MediaSettings

Saved = Callable[..., bytes]
Draw = Callable[..., Image.Image]

LIMITS = MediaSettings(workers=2)
SMALL = (96, 72)
LONG = "REMPART_LONG_TESTS"
FLIPS = 2000 if os.environ.get(LONG) else 60
FORMS = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "MPO": ("MPO", {"several": True}),
    "PNG": ("PNG", {}),
    "APNG": ("PNG", {"several": True}),
    "GIF": ("GIF", {"several": True}),
    "WebP": ("WEBP", {}),
    "moving WebP": ("WEBP", {"several": True}),
    "AVIF": ("AVIF", {"speed": 10}),
    "moving AVIF": ("AVIF", {"several": True, "speed": 10}),
    "TIFF": ("TIFF", {"several": True}),
    "TIFF, LZW": ("TIFF", {"several": True, "compression": "tiff_lzw"}),
    "TIFF, JPEG": ("TIFF", {"compression": "jpeg"}),
    "BMP": ("BMP", {}),
    "JPEG 2000": ("JPEG2000", {}),
    "ICO": ("ICO", {}),
    "TGA": ("TGA", {"compression": "tga_rle"}),
    "PCX": ("PCX", {}),
    "SGI": ("SGI", {}),
    "DDS": ("DDS", {}),
    "PPM": ("PPM", {}),
    "QOI": ("QOI", {}),
}


def file_of(name: str, lighthouse: Draw, saved: Saved) -> bytes:
    """A small file of a format."""
    if name == "ICNS":
        sizes = ((b"ic07", saved(lighthouse((128, 128)), "PNG")), (b"icp6", saved(lighthouse((64, 64), 1), "PNG")))
        body = b"".join(kind + struct.pack(">I", 8 + len(content)) + content for kind, content in sizes)
        return b"icns" + struct.pack(">I", 8 + len(body)) + body
    form, options = FORMS[name]
    options = dict(options)
    if options.pop("several", False):
        options |= {"save_all": True, "append_images": [lighthouse(SMALL, 1), lighthouse(SMALL, 2)]}
    return saved(lighthouse(SMALL), form, **options)


def told(contents: Iterable[bytes], limits: MediaSettings = LIMITS) -> list[Hashed | Unscannable]:
    """What comes of each, in order: every one has an outcome and its digests."""
    contents = list(contents)
    outcomes = [outcome for _, outcome in hash_images(contents, settings=limits)]
    assert len(outcomes) == len(contents)
    assert all(outcome.sha256 for outcome, content in zip(outcomes, contents, strict=True) if content)
    return outcomes


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colours: int, pixels: bytes, *before: bytes) -> bytes:
    """A PNG of any size that it likes to say."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def packed_zeros(count: int) -> bytes:
    """So many bytes of zero, packed a thousand times smaller."""
    packer, block = zlib.compressobj(9), bytes(1 << 20)
    return b"".join([*(packer.compress(block) for _ in range(count >> 20)), packer.flush()])


def bombs() -> dict[str, tuple[bytes, frozenset[Reason | None]]]:
    """Files that unpack to far more than they are, with the reasons that may be given."""
    too_many = frozenset((Reason.TOO_MANY_PIXELS,))
    refused = frozenset(
        (Reason.DAMAGED, Reason.CORRUPT, Reason.TOO_MANY_PIXELS, Reason.UNKNOWN_FORMAT, Reason.TRUNCATED)
    )
    profile = b"p\0\0" + packed_zeros(64 * MIB)
    pages = b"".join(struct.pack("<HI", 0, 8) for _ in range(4))
    return {
        "623 megapixels that are all there": (png(24_960, 24_960, 1, 0, packed_zeros(3121 * 24_960)), too_many),
        "3,600 megapixels in a header": (png(60_000, 60_000, 8, 2, packed_zeros(1 << 20)), too_many),
        "a GIF of 44 bytes": (
            b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;".ljust(44, b"\0"),
            too_many,
        ),
        "a BMP header": (
            b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 65_000, 65_000, 1, 24, 0, 0, 0, 0, 0, 0),
            too_many,
        ),
        "an ICC profile of 64 MiB": (png(8, 8, 8, 0, packed_zeros(1 << 20), chunk(b"iCCP", profile)), refused),
        "a text of 64 MiB": (png(8, 8, 8, 0, packed_zeros(1 << 20), chunk(b"zTXt", profile)), refused),
        "a TIFF that is its own next page": (b"II*\0\x08\0\0\0" + pages, refused),
        "a TGA header": (
            struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65_535, 65_535, 24, 0),
            too_many | refused,
        ),
        "a PPM header": (b"P6 100000 100000 255\n", too_many | refused),
        "a QOI header": (b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 4, 0) + bytes(99), too_many | refused),
        "a JPEG header": (
            b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0"
            + bytes(99)
            + b"\xff\xd9",
            too_many,
        ),
        "a WebP header": (
            b"RIFF"
            + struct.pack("<I", 40)
            + b"WEBPVP8X"
            + struct.pack("<II", 10, 2)
            + b"\xff\x3f\0\xff\x3f\0"
            + bytes(20),
            refused,
        ),
        "a GIF of a hundred thousand empty frames": (gif_of_dots(100_000), frozenset((Reason.TOO_MANY_FRAMES,))),
        "an APNG of 4,000 megapixels a frame": (vast_frames(), refused | {Reason.FRAMES_UNREAD}),
    }


def gif_of_dots(count: int) -> bytes:
    """As many frames as fit into little, each of one pixel."""
    dot = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0" + b"\0\0\0\xff\xff\xff" + dot * count + b";"


def vast_frames() -> bytes:
    """A small animation whose second frame says that it is vast."""
    control = struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 0, 1, 0, 0)
    vast = struct.pack(">IIIIIHHBB", 1, 65_000, 65_000, 0, 0, 0, 1, 0, 0)
    first = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", control)
    second = chunk(b"fcTL", vast) + chunk(b"fdAT", struct.pack(">I", 2) + packed_zeros(8 * MIB))
    whole = png(8, 8, 8, 0, zlib.compress(bytes(72)), first)
    return whole[:-12] + second + whole[-12:]


def test_bombs_cost_little_and_the_pictures_between_them_are_hashed(lighthouse: Draw, saved: Saved) -> None:
    """Every bomb has its reason, none costs more than a large photo, nor memory of the process that asks."""
    good = saved(lighthouse(SMALL), "PNG")
    told([good])
    made = bombs()
    batch = [content for bomb, _ in made.values() for content in (bomb, good)]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = told(batch)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert time.monotonic() - started < 2 * LIMITS.wall_seconds
    reasons = {name: outcome.reason for name, outcome in zip(made, outcomes[::2], strict=True)}
    assert {name: reason for name, reason in reasons.items() if reason not in made[name][1]} == {}
    assert all(isinstance(outcome, Hashed) and outcome.reason is None for outcome in outcomes[1::2])


def test_bombs_of_others_are_told_apart_from_pictures(data: Path) -> None:
    """Dimensions, text and hidden payload: the picture around the last is whole and is hashed."""
    folder = data / "provenance" / "other"
    names = ("bomb-dimensions-60000.png", "bomb-zTXt-48MiB.png", "bomb-stealth-64MiB.png")
    outcomes = told((folder / name).read_bytes() for name in names)
    assert [outcome.reason for outcome in outcomes][:1] == [Reason.TOO_MANY_PIXELS]
    assert outcomes[1].reason in (Reason.DAMAGED, Reason.CORRUPT)
    assert isinstance(outcomes[2], Hashed)


@pytest.mark.parametrize("name", [*FORMS, "ICNS"])
def test_a_file_cut_at_any_sixteenth_has_a_verdict_and_is_not_whole(name: str, lighthouse: Draw, saved: Saved) -> None:
    """Partial, unread or unscannable."""
    content = file_of(name, lighthouse, saved)
    whole, *cut = told([content, *(content[: len(content) * part // 16] for part in range(1, 16))])
    assert whole.reason is None
    assert all(outcome.reason is not None for outcome in cut)


@pytest.mark.parametrize("name", [*FORMS, "ICNS"])
def test_flipped_bits_end_in_pixels_or_a_reason(name: str, lighthouse: Draw, saved: Saved) -> None:
    """Sixty files with up to eight bits wrong, always the same ones: no child is lost, none takes long."""
    content = file_of(name, lighthouse, saved)
    source = random.Random(name)
    spoilt = []
    for _ in range(FLIPS):
        changed = bytearray(content)
        for _ in range(source.randint(1, 8)):
            # Headers lie in front: half of the flips go there.
            at = source.randrange(len(content) if source.random() < 0.5 else min(len(content), 200))
            changed[at] ^= 1 << source.randrange(8)
        spoilt.append(bytes(changed))
    reasons = Counter(outcome.reason for outcome in told(spoilt))
    assert not reasons.keys() & {Reason.CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY}, reasons


def test_a_picture_that_takes_too_long_costs_its_file_only_and_keeps_its_digests(
    lighthouse: Draw, saved: Saved
) -> None:
    """They are made by another child."""
    slow = png(14_000, 14_000, 8, 0, packed_zeros(14_001 * 14_000))
    good = saved(lighthouse(SMALL), "PNG")
    limits = MediaSettings(workers=1, wall_seconds=0.3)
    hash_image(good, settings=limits)
    outcomes = told([slow, good], limits)
    assert [outcome.reason for outcome in outcomes] == [Reason.TIMEOUT, None]


def test_frames_for_which_no_time_is_left_are_told_and_the_others_hashed(saved: Saved) -> None:
    """A time-out would lose them all."""
    pixels = zlib.compress(bytes(2001 * 2000), 1)
    frames = []
    for number in range(250):
        frames.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * number, 2000, 2000, 0, 0, 0, 1, 0, 0)))
        frames.append(chunk(b"fdAT", struct.pack(">I", 2 * number + 1) + pixels))
    picture = Image.radial_gradient("L").resize((2000, 2000))
    still = saved(picture, "PNG")
    slow = still[:33] + chunk(b"acTL", struct.pack(">II", 250, 0)) + still[33:-12] + b"".join(frames) + still[-12:]
    outcome = hash_image(slow, settings=MediaSettings(workers=1, wall_seconds=4))
    assert isinstance(outcome, Hashed)
    assert (outcome.reason, outcome.frames) == (Reason.FRAMES_UNREAD, 251)
    assert 0 < outcome.frames_read < 251
    assert outcome.pdq == pdq(np.asarray(picture)).hex


@pytest.mark.skipif(not os.environ.get(LONG), reason=f"{LONG} is not set: this fetches 65 MB and takes two minutes")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("package", "least"), [("pillow==13.0.0", 1000), ("pillow_heif==1.8.1", 70)])
def test_the_hostile_files_of_other_projects_all_have_a_verdict(package: str, least: int, tmp_path: Path) -> None:
    """The crashes, time-outs and bombs that Pillow and pillow_heif collected over the years."""
    command = ("pip", "download", "--quiet", "--no-deps", "--no-binary", package.partition("==")[0])
    got = subprocess.run(
        [sys.executable, "-m", *command, "--dest", str(tmp_path), package],
        capture_output=True,
        timeout=300,
        check=False,
    )
    archives = list(tmp_path.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"the package registry does not answer ({got.returncode})")
    contents = []
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            folders = member.name.lower().split("/")
            if member.isfile() and "images" in folders and "tests" in folders and (file := archive.extractfile(member)):
                contents.append(file.read())
    assert len(contents) >= least
    # One has 200 megapixels, for which a busy machine takes longer than the default allows.
    outcomes = told(contents, MediaSettings(workers=2, wall_seconds=60))
    reasons = Counter(outcome.reason for outcome in outcomes)
    assert reasons[Reason.TIMEOUT] == 0
    assert reasons[Reason.CRASH] <= 1  # a HEIC whose metadata are of a kind that pi_heif 1.4 does not survive
    assert reasons[None] > len(contents) // 2

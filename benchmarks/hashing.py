"""Hashing: rempart beside pdqhash and threatexchange, in one run, on one thread, with a check that the hashes agree.

Every round runs all contestants one after the other, and a ratio is the median of the ratios within a round, because
machines drift. Real pictures are read from $REMPART_TEST_DATA; without it drawn ones take their place.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import io
import statistics
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pdqhash
import simplejpeg
from PIL import Image
from threatexchange.signal_type.pdq.pdq_hasher import pdq_from_bytes

from rempart.hashing import digest, hash_image, pdq
from rempart.hashing.enlarged import enlarged_samples
from rempart.hashing.pdq import Pdq, coefficients, downsample, quality, to_hash, turned
from rempart.hashing.trim import content_box
from rempart.media.decode import Picture
from rempart.settings import MediaSettings

Array = npt.NDArray[np.uint8]

# Height, width, and how many times quicker than the peer to be.
CURVE = (
    *((64, 64, None), (96, 96, 2), (128, 128, 2), (192, 192, 2), (256, 256, 2), (384, 384, 2)),
    *((512, 512, 5), (768, 768, 5), (1004, 1600, 5), (3024, 4032, 5)),
)
PEER_TIMES, DECODE_TIMES, ISOLATED_TIMES = 4, 2, 2.5
CLOSE_BITS, CLOSE_SHARE, MOST_BITS = 2, 0.99, 8
ROUND_SECONDS = 0.02
SETTINGS = MediaSettings()


def main() -> int:
    """Run all parts; 1 if any hashes disagree."""
    parser = argparse.ArgumentParser(
        description="Compare hashing with pdqhash and threatexchange on one thread, and check that the hashes agree.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/hashing.py --rounds 7 --sample 500",
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each comparison (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=None, help="real pictures to compare (default: all)")
    options = parser.parse_args()
    if options.rounds < 1 or (options.sample is not None and options.sample < 1):
        parser.error("--rounds and --sample are at least 1")

    content, name = large_jpeg()
    print(f"one thread, medians of {options.rounds} rounds; the large JPEG is {name}, {len(content) / 1e3:.0f} kB\n")
    agree = arrays(options.rounds)
    files(content, options.rounds)
    parts(content, options.rounds)
    agree &= agreement(options.sample)
    print("\nall hashes agree" if agree else "\nHASHES DISAGREE")
    return 0 if agree else 1


def arrays(rounds: int) -> bool:
    """PDQ of arrays over the whole range of sizes."""
    print("PDQ of an array, us: ours from luma, ours from RGB, pdqhash from the RGB of that luma")
    print(f"{'':>11}{'luma':>9}{'RGB':>9}{'pdqhash':>9}{'x':>7}  bits apart")
    agree = True
    for height, width, target in CURVE:
        rgb = np.asarray(drawn(height, width))
        grey = (rgb @ np.float32([0.299, 0.587, 0.114])).round().astype(np.uint8)
        triple = np.dstack([grey] * 3)
        ours, colour, theirs = compare(
            rounds, lambda g=grey: pdq(g), lambda c=rgb: pdq(c), lambda c=triple: pdqhash.compute(c)
        )
        apart = max(bits(pdq(grey), peer(triple)), bits(pdq(triple), peer(triple)), bits(pdq(rgb), peer(rgb)))
        agree &= apart == 0
        times = ratio(theirs, ours)
        line = f"{height:5} x {width:<4}{median(ours):8.0f}{median(colour):9.0f}{median(theirs):9.0f}{times:7.1f}"
        print(f"{line}{apart:6}{' ' * 6}{verdict(times, target, least=True)}")
    return agree


def files(content: bytes, rounds: int) -> None:
    """From the bytes of a JPEG to its hash, in this process and in a child, beside decoding alone."""
    ours, theirs, decode, isolated = compare(
        rounds,
        lambda: from_bytes(content),
        lambda: pdq_from_bytes(content),
        lambda: simplejpeg.decode_jpeg(content, colorspace="GRAY"),
        lambda: hash_image(content),
    )
    print("\nthe large JPEG, ms")
    for name, times in (
        ("grey decode alone", decode),
        ("bytes to PDQ", ours),
        ("bytes to PDQ, threatexchange", theirs),
        ("hash_image: child process, all variants, digests", isolated),
    ):
        print(f"  {name:50}{median(times) / 1e3:7.2f}")
    for name, value, target, least in (
        ("threatexchange / ours", ratio(theirs, ours), PEER_TIMES, True),
        ("ours / grey decode", ratio(ours, decode), DECODE_TIMES, False),
        ("hash_image / grey decode", ratio(isolated, decode), ISOLATED_TIMES, False),
    ):
        print(f"  {name:50}{value:7.2f} x  {verdict(value, target, least=least)}")


def parts(content: bytes, rounds: int) -> None:
    """What each part of the work costs, on the large picture and on a small one."""
    print("\nthe parts, us")
    print(f"  {'':50}{'large':>9}{'300x225':>9}")
    small = Image.open(io.BytesIO(content)).resize((300, 225))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=90)
    columns = []
    for data in (content, stream.getvalue()):
        grey = next(iter(Picture(data, SETTINGS)))
        samples = downsample(grey)
        corner = coefficients(samples)
        work: dict[str, Callable[[], object]] = {
            "grey decode": lambda d=data: next(iter(Picture(d, SETTINGS))),
            "samples": lambda g=grey: downsample(g),
            "samples of the enlarged frame (small ones only)": lambda g=grey: enlarged_samples(g),
            "coefficients": lambda s=samples: coefficients(s),
            "hash": lambda c=corner: to_hash(c),
            "quality": lambda s=samples: quality(s),
            "seven turned hashes": lambda c=corner: turned(c),
            "search for borders, none found": lambda g=grey: content_box(g),
            "MD5, SHA-1 and SHA-256": lambda d=data: digest(d),
        }
        columns.append(dict(zip(work, map(median, compare(rounds, *work.values())), strict=True)))
    for name, value in columns[0].items():
        print(f"  {name:50}{value:9.1f}{columns[1][name]:9.1f}")


def agreement(sample: int | None) -> bool:
    """How far our hashes of real pictures lie from pdqhash on what Pillow decodes."""
    from_array, from_jpeg, qualities = Counter[int](), Counter[int](), 0
    for content in real_jpegs(sample):
        with Image.open(io.BytesIO(content)) as image:
            rgb = np.asarray(image.convert("RGB"))
        reference, ours = peer(rgb), pdq(rgb)
        from_array[bits(ours, reference)] += 1
        qualities += ours.quality != reference.quality
        from_jpeg[bits(from_bytes(content), reference)] += 1
    total = from_array.total()
    if not total:
        print("\nno agreement on real pictures: REMPART_TEST_DATA names no folder with images/base3250.tar")
        return True
    close = sum(count for apart, count in from_jpeg.items() if apart <= CLOSE_BITS) / total
    print(f"\n{total:,} real pictures beside pdqhash on Pillow's RGB array")
    print(f"  same array: {from_array[0]:,} at 0 bits, most {max(from_array)}; other quality: {qualities}")
    print(f"  grey JPEG path: {from_jpeg[0]:,} at 0 bits, {close:.2%} within {CLOSE_BITS}, most {max(from_jpeg)}")
    return max(from_array) == qualities == 0 and close >= CLOSE_SHARE and max(from_jpeg) <= MOST_BITS


def from_bytes(content: bytes) -> Pdq:
    """The hash of a file's content, decoded in this process."""
    return pdq(next(iter(Picture(content, SETTINGS))))


def peer(rgb: Array) -> Pdq:
    """What pdqhash says, in our form."""
    vector, detail = pdqhash.compute(rgb)
    return Pdq(np.packbits(np.asarray(vector, np.uint8)).tobytes(), detail)


def bits(one: Pdq, other: Pdq) -> int:
    """In how many bits two hashes differ."""
    return (int.from_bytes(one.hash) ^ int.from_bytes(other.hash)).bit_count()


def compare(rounds: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Microseconds for one call of each function in each round; every round runs them all."""
    repeats = []
    for function in functions:
        function()  # warm caches, start children
        start = time.perf_counter()
        function()
        repeats.append(max(1, round(ROUND_SECONDS / (time.perf_counter() - start))))
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, count, spent in zip(functions, repeats, times, strict=True):
            start = time.perf_counter()
            for _ in range(count):
                function()
            spent.append((time.perf_counter() - start) / count * 1e6)
    return times


def median(times: list[float]) -> float:
    """The median time."""
    return statistics.median(times)


def ratio(over: list[float], under: list[float]) -> float:
    """The median of the ratios within a round."""
    return statistics.median(one / other for one, other in zip(over, under, strict=True))


def verdict(value: float, target: float | None, *, least: bool) -> str:
    """The target and whether it was met; a busy machine may miss one."""
    if target is None:
        return "no target"
    met = value >= target if least else value <= target
    return f"target {'>=' if least else '<='} {target:g}: {'met' if met else 'MISSED'}"


def drawn(height: int, width: int) -> Image.Image:
    """Coloured blotches with some noise, the same each time."""
    rng = np.random.default_rng(height * width)
    blotches = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(blotches.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray(np.clip(smooth + rng.integers(-9, 10, (height, width, 1)), 0, 255).astype(np.uint8))


def data_file(path: str) -> Path | None:
    """A file of the data folder, if there is one."""
    folder = os.environ.get("REMPART_TEST_DATA", "")
    file = Path(folder, path)
    return file if folder and file.is_file() else None


def large_jpeg() -> tuple[bytes, str]:
    """A JPEG of 1.6 megapixels and what it is."""
    file = data_file("pdq/bridge-mods/aaa-orig.jpg")
    if file is not None:
        return file.read_bytes(), f"{file.name}, 1600 x 1004"
    stream = io.BytesIO()
    drawn(1004, 1600).save(stream, "JPEG", quality=90)
    return stream.getvalue(), "a drawn one, 1600 x 1004"


def real_jpegs(sample: int | None) -> Iterator[bytes]:
    """The pictures of the base corpus, or so many of them from all over it."""
    file = data_file("images/base3250.tar")
    if file is None:
        return
    with tarfile.open(file) as archive:
        members = [member for member in archive if member.isfile()]
        step = max(1, len(members) // sample) if sample else 1
        for member in members[::step][:sample]:
            yield archive.extractfile(member).read()


if __name__ == "__main__":
    sys.exit(main())

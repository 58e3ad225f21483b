"""Videos: how much faster than real time they are hashed, whether the hashes are the reference's, and what is found.

Needs the clips of $REMPART_TEST_DATA and the extra `video`. The peer `vpdq` is measured where it is installed; its rule
is applied in any case, to the reference's hashes of the same clips.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rempart.hashing import Hashed
from rempart.hashing.isolated import HashOptions
from rempart.hashing.video import hash_open_video
from rempart.matching.video import FrameIndex, FrameRows, VideoRule, to_bank
from rempart.settings import MediaSettings

REAL_TIME, CLOSE_BITS, CLOSE_SHARE, FLOOR, RADIUS, PERCENT = 3.0, 10, 0.95, 50, 31, 80
EVERY_FRAME = 0.001
# Clips of one original, by the beginning of their names; the padded test clip and the doorknob stand alone.
FAMILIES = ("chair", "pattern", "doorknob", "test")


class Reference(NamedTuple):
    """The reference's frames of a clip: uint8 of shape (n, 32), quality and time of each."""

    hashes: npt.NDArray[np.uint8]
    qualities: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]


def main() -> int:
    """Run all parts; 1 if hashes disagree, a stranger matches, or it is slower than it must be."""
    parser = argparse.ArgumentParser(
        description="Hash the sample clips a frame a second on one core, compare with the reference, match all pairs.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/video.py --rounds 5",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each clip (default: %(default)s)")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    folder = Path(os.environ.get("REMPART_TEST_DATA", ""), "video")
    clips = sorted(folder.glob("*.mp4"))
    if not clips:
        parser.error("REMPART_TEST_DATA does not name the folder of outside data")
    references = {clip.stem: reference(folder / "expected" / f"{clip.stem}.txt") for clip in clips}
    sampled, quick = speed(clips, options.rounds)
    close = agreement(sampled, references)
    calm = recall(clips, sampled, references)
    return 0 if quick and close and calm else 1


def speed(clips: list[Path], rounds: int) -> tuple[dict[str, Hashed], bool]:
    """Seconds of video hashed in a second of one core: decoding, hashing and the digests of the file."""
    print(f"hashing, a frame a second, one core, median of {rounds} rounds")
    print(f"{'clip':32}{'size':>12}{'frames':>8}{'ms':>8}{'x real time':>13}")
    found, seconds, spent = {}, 0.0, 0.0
    for clip in clips:
        timings = []
        for _ in range(rounds):
            started = time.process_time()
            hashed = hashed_at(clip, 1.0)
            timings.append(time.process_time() - started)
        median = statistics.median(timings)
        length = hashed.seconds or 0.0
        size = f"{hashed.width}x{hashed.height}"
        print(f"{clip.stem:32}{size:>12}{hashed.frames_read:>8}{1000 * median:>8.0f}{length / median:>13.1f}")
        found[clip.stem] = hashed
        seconds, spent = seconds + length, spent + median
    quick = seconds / spent >= REAL_TIME
    print(f"all: {seconds / spent:.1f} times real time; at least {REAL_TIME:.0f} {'reached' if quick else 'MISSED'}")
    print(f"peer vpdq: {peer()}\n")
    return found, quick


def peer() -> str:
    """Whether the peer can be measured here."""
    try:
        import vpdq  # noqa: PLC0415 -- seldom there
    except ImportError:
        return "not installed (no wheel; building it needs cmake and the headers of seven FFmpeg libraries)"
    return f"version {vpdq.__version__} is installed, and not measured yet"


def agreement(sampled: dict[str, Hashed], references: dict[str, Reference]) -> bool:
    """Whether the frames have the reference's hashes, within 10 bits on 95% of those with enough detail."""
    distances = []
    for name, hashed in sampled.items():
        given = references[name]
        for one in hashed.hashes:
            row = int(np.abs(given.times - one.at).argmin())
            if one.variant == "full" and given.qualities[row] >= FLOOR:
                distances.append(int(np.bitwise_count(given.hashes[row] ^ np.frombuffer(one.hash, np.uint8)).sum()))
    within = sum(distance <= CLOSE_BITS for distance in distances) / len(distances)
    print(f"beside the reference, {len(distances)} frames of quality {FLOOR} or more: {within:.1%} within", end=" ")
    print(f"{CLOSE_BITS} bits, median {statistics.median(distances):g}, most {max(distances)}\n")
    return within >= CLOSE_SHARE


def recall(clips: list[Path], sampled: dict[str, Hashed], references: dict[str, Reference]) -> bool:
    """Which pairs of different clips match, asked a frame a second, with banked ones sampled more and more densely."""
    names = [clip.stem for clip in clips]
    pairs = [(one, other) for one in names for other in names if one != other]
    kin = {(one, other) for one, other in pairs if family(one) == family(other)}
    print(f"matching all {len(pairs)} pairs of clips: {len(kin)} are edits of one original, the others strangers")
    print(f"{'rule and banked frames':48}{'edits found':>12}{'strangers':>12}{'us a look-up':>14}")
    row("vPDQ's rule, the reference's frame a second", {p for p in pairs if usual(*(references[n] for n in p))}, kin)
    strangers = 0
    for interval, told in [(1.0, "a frame a second"), (0.1, "ten frames a second"), (EVERY_FRAME, "every frame")]:
        banked = sampled if interval == 1.0 else {clip.stem: hashed_at(clip, interval) for clip in clips}
        index = indexed([banked[name] for name in names])
        started = time.perf_counter()
        hits = {name: index.find(sampled[name].hashes, VideoRule()) for name in names}
        each = 1e6 * (time.perf_counter() - started) / len(names)
        found = {(name, names[hit.entry]) for name in names for hit in hits[name]} & set(pairs)
        row(f"ours, {told}", found, kin, each)
        strangers += len(found - kin)
    return not strangers


def row(told: str, found: set[tuple[str, str]], kin: set[tuple[str, str]], micros: float | None = None) -> None:
    """A line of the table."""
    print(
        f"{told:48}{len(found & kin):>9}/{len(kin)}{len(found - kin):>12}{'' if micros is None else f'{micros:14.0f}'}"
    )


def family(name: str) -> str:
    """Which original a clip was made from."""
    return next(each for each in FAMILIES if name.startswith(each))


def indexed(videos: list[Hashed]) -> FrameIndex:
    """The clips as a bank holds them."""
    frames = [(number, one) for number, video in enumerate(videos) for one in to_bank(video.hashes)]
    rows = FrameRows(
        np.frombuffer(b"".join(one.hash for _, one in frames), np.uint8).reshape(-1, 32),
        np.array([number for number, _ in frames], np.int64),
        np.array([one.quality for _, one in frames], np.int16),
        np.array([round(1000 * (one.at or 0)) for _, one in frames], np.int64),
    )
    return FrameIndex(rows, radius=RADIUS, quality_floor=FLOOR)


def usual(asked: Reference, banked: Reference) -> bool:
    """The rule as the peer has it: 80% of the asked frames, one a second, are in the entry."""
    one, other = (every_second(each) for each in (asked, banked))
    apart = np.bitwise_count(one[:, None, :] ^ other[None, :, :]).sum(axis=2, dtype=np.uint16)
    return bool(100 * (apart <= RADIUS).any(axis=1).mean() >= PERCENT)


def every_second(given: Reference) -> npt.NDArray[np.uint8]:
    """The distinct hashes of the first frame of each second, where there is enough detail."""
    _, first = np.unique((given.times + 1e-3) // 1, return_index=True)
    return np.unique(given.hashes[first][given.qualities[first] >= FLOOR], axis=0)


def hashed_at(clip: Path, interval: float) -> Hashed:
    """A clip with a frame of each interval."""
    descriptor = os.open(clip, os.O_RDONLY)
    try:
        return hash_open_video(descriptor, MediaSettings(video_interval=interval), HashOptions())
    finally:
        os.close(descriptor)


def reference(file: Path) -> Reference:
    """Number, quality, hash and time of each frame, as the reference prints them."""
    lines = [line.split(",") for line in file.read_text(encoding="ascii").splitlines()]
    hashes = np.frombuffer(bytes.fromhex("".join(line[2] for line in lines)), np.uint8).reshape(-1, 32)
    return Reference(hashes, np.array([int(line[1]) for line in lines]), np.array([float(line[3]) for line in lines]))


if __name__ == "__main__":
    sys.exit(main())

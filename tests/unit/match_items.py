"""Hashed pictures and videos, and banks of them, made of random hashes for tests of the match rules."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from rempart.errors import Reason
from rempart.hashing import Digests, Hashed, PictureHash
from rempart.matching import Bank, DigestRows, FrameRows, Kind, Matcher, PdqRows, VideoRule

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KNOWN = random.Random(1).randbytes(32)
OTHER = random.Random(2).randbytes(32)
NO_DIGESTS = Digests("0" * 32, "0" * 40, "0" * 64)


def flipped(value: bytes, bits: int, seed: int = 0) -> bytes:
    """A hash at exactly this distance."""
    number = int.from_bytes(value, "big")
    for bit in random.Random(seed).sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32, "big")


def item(
    *hashes: PictureHash,
    digests: Digests = NO_DIGESTS,
    frames: int = 1,
    frames_read: int | None = None,
    partial: Reason | None = None,
) -> Hashed:
    """A hashed picture with these hashes."""
    return Hashed(
        format="png",
        width=100,
        height=100,
        frames=frames,
        frames_read=frames if frames_read is None else frames_read,
        normalised=(),
        partial=partial,
        hashes=hashes,
        **digests._asdict(),
    )


def full(value: bytes, quality: int = 100, variant: str = "full", frame: int = 0) -> PictureHash:
    """One hash of a picture."""
    return PictureHash(value, quality, variant, frame)


def bank(
    *hashes: bytes,
    name: str = "KNOWN",
    kind: Kind = Kind.BLOCKING,
    radius: int = 31,
    floor: int = 50,
    turned: bool = False,
    qualities: Sequence[int] | None = None,
    sha256: str | None = None,
    max_age_seconds: int | None = None,
    refreshed_at: datetime = NOW,
    videos: Sequence[Sequence[bytes]] = (),
    rule: VideoRule = VideoRule(),  # noqa: B008 -- it is frozen
) -> Bank:
    """A bank with an entry for each hash, numbered from 1, one more for a digest, and videos numbered from 100."""
    rows = PdqRows.of([value.hex() for value in hashes])
    if qualities is not None:
        rows = rows._replace(qualities=np.array(qualities, np.int16))
    digests = {}
    if sha256 is not None:
        values = np.frombuffer(bytes.fromhex(sha256), np.uint8).reshape(1, -1)
        digests["sha256"] = DigestRows(values, np.array([len(hashes) + 1], np.int64))
    frames = [(frame, 100 + number) for number, video in enumerate(videos) for frame in video]
    return Bank(
        name,
        kind=kind,
        radius=radius,
        quality_floor=floor,
        turned=turned,
        refreshed_at=refreshed_at,
        max_age_seconds=max_age_seconds,
        pdq=rows,
        digests=digests,
        frames=FrameRows(
            np.frombuffer(b"".join(frame for frame, _ in frames), np.uint8).reshape(-1, 32),
            np.array([entry for _, entry in frames], np.int64),
            np.full(len(frames), -1, np.int16),
        ),
        video_rule=rule,
    )


def allowing(
    *hashes: bytes, sha256: str | None = None, videos: Sequence[Sequence[bytes]] = (), floor: int = 50
) -> Bank:
    """An allowing bank."""
    return bank(*hashes, name="FINE", kind=Kind.ALLOWING, sha256=sha256, videos=videos, floor=floor)


def shots(count: int, seed: int) -> list[bytes]:
    """Frames of a clip, all unlike each other and those of other seeds."""
    return [random.Random(1000 * seed + number).randbytes(32) for number in range(count)]


def video(*frames: bytes, digests: Digests = NO_DIGESTS, quality: int = 100, unread: int = 0) -> Hashed:
    """A video with a frame a second."""
    hashes = [PictureHash(value, quality, "full", number, float(number)) for number, value in enumerate(frames)]
    return item(*hashes, digests=digests, frames=len(frames) + unread, frames_read=len(frames))


def matcher(*banks: Bank) -> Matcher:
    """A matcher at a fixed moment."""
    return Matcher(banks, clock=lambda: NOW)


CLIP, HARMLESS = shots(10, 1), shots(60, 2)

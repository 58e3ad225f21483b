"""From an untrusted video to the hashes of its frames, in a decoding child: pixels never leave it, hashes do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from rempart.errors import Reason
from rempart.hashing.digests import Digests, digest_file
from rempart.hashing.hashed import FULL, TRIMMED, Hashed, PictureHash
from rempart.hashing.isolated import FileDigests, HashOptions
from rempart.hashing.pdq import coefficients, downsample, quality, to_hash, turned
from rempart.hashing.trim import content_box
from rempart.media import Source, Unscannable, shared_pool
from rempart.media.child import work
from rempart.media.outcome import Refused
from rempart.media.source import opened
from rempart.media.video import Video
from rempart.settings import MIB, MediaSettings

_DIED = frozenset((Reason.CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY))
# A child stops by itself in time; it is ended when it has not answered this much later.
_GRACE_SECONDS: Final = 10.0
_SLOWEST_DISK: Final = 50 * MIB
"""Bytes a second at which digests are made at the slowest, before a child counts as hanging."""
_ANSWER_BYTES = 1 << 16
_ANSWER_BYTES_PER_FRAME = 256
_FORMS_TURNED = 8
_DECIMALS = 3  # times are told to the millisecond


def hash_video(source: Source, *, turned: bool = False, settings: MediaSettings | None = None) -> Hashed | Unscannable:
    """Hash an untrusted video in a child process, within limits: a frame each ``video_interval`` seconds.

    Needs the extra ``video``.

    Args:
        source: a path, or the content as bytes.
        turned: also hash each frame as turned and mirrored in the seven other ways.
        settings: the limits; the defaults of :class:`rempart.settings.MediaSettings` when not given.

    Returns:
        The hashes of every sampled frame in time order, equal ones included, and the digests; or why it is
        unscannable, with the digests whenever the bytes could be read. When a limit was met, or the video is damaged,
        it holds what was hashed until then, and ``reason`` says which.

    Raises:
        DecoderError: no child can be started.
    """
    settings = settings or MediaSettings()
    with opened(source) as file:
        if isinstance(file, Unscannable):
            return file
        pool = shared_pool(__name__, settings)
        digesting = _GRACE_SECONDS + os.fstat(file).st_size / _SLOWEST_DISK
        outcome = pool.run_open(
            "video",
            file,
            HashOptions(turned),
            Hashed,
            limit=_answer_limit(settings, with_turned=turned),
            seconds=settings.video_seconds + digesting,
        )
        if isinstance(outcome, Unscannable) and outcome.reason in _DIED and outcome.sha256 is None:
            digests = pool.run_open("digests", file, HashOptions(), FileDigests, limit=_ANSWER_BYTES, seconds=digesting)
            if isinstance(digests, FileDigests):
                return msgspec.structs.replace(outcome, **msgspec.structs.asdict(digests))
        return outcome


def hash_open_video(descriptor: int, settings: MediaSettings, options: HashOptions) -> Hashed:
    """Hash a video in this very process. For content that is trusted, and for measuring; else :func:`hash_video`.

    Raises:
        Refused: it cannot be read.
    """
    video = Video(descriptor, settings)
    hashes: list[PictureHash] = []
    for number, sample in enumerate(video):
        at = None if sample.at is None else round(sample.at, _DECIMALS)
        hashes.extend(_frame_hashes(sample.pixels, number, at, with_turned=options.turned))
    return Hashed(
        format=video.format,
        width=video.width,
        height=video.height,
        frames=video.frames,
        frames_read=video.frames_read,
        seconds=None if video.seconds is None else round(video.seconds, _DECIMALS),
        normalised=tuple(video.normalised),
        partial=video.partial,
        unread=video.unread,
        hashes=tuple(hashes),
        **digest_file(descriptor)._asdict(),
    )


def _frame_hashes(
    pixels: npt.NDArray[np.uint8], number: int, at: float | None, *, with_turned: bool
) -> Iterator[PictureHash]:
    """The hashes of a frame: full, trimmed if it has borders, each turned if asked for."""
    frames = {FULL: pixels}
    if (box := content_box(pixels)) is not None:
        top, bottom, left, right = box
        frames[TRIMMED] = pixels[top:bottom, left:right]
    for variant, frame in frames.items():
        samples = downsample(frame)
        detail, corner = quality(samples), coefficients(samples)
        yield PictureHash(to_hash(corner), detail, variant, number, at)
        if with_turned:
            for turn, value in turned(corner).items():
                yield PictureHash(value, detail, f"{variant}+{turn}", number, at)


def _answer_limit(settings: MediaSettings, *, with_turned: bool) -> int:
    forms = _FORMS_TURNED if with_turned else 1
    return _ANSWER_BYTES + (settings.max_video_frames + settings.max_frames) * forms * _ANSWER_BYTES_PER_FRAME


@work("video", HashOptions)
def _video(descriptor: int, settings: MediaSettings, options: HashOptions) -> Hashed | Unscannable:
    if os.fstat(descriptor).st_size > settings.max_video_bytes:
        return _with_digests(Unscannable(reason=Reason.TOO_LARGE), digest_file(descriptor))
    try:
        return hash_open_video(descriptor, settings, options)
    except Refused as refused:
        return _with_digests(refused.as_outcome(), digest_file(descriptor))
    except MemoryError:
        raise  # about the machine, not the file: another child makes the digests
    except Exception:  # noqa: BLE001 -- whatever a decoder raises, the digests of the bytes are good
        return _with_digests(Unscannable(reason=Reason.CORRUPT), digest_file(descriptor))


def _with_digests(outcome: Unscannable, digests: Digests) -> Unscannable:
    return msgspec.structs.replace(outcome, **digests._asdict())

"""From an untrusted video to the hashes of its frames, in a decoding child: pixels never leave it, hashes do."""

from __future__ import annotations

import os
from functools import partial
from typing import Final

import msgspec

from rempart.hashing.digests import digest_file
from rempart.hashing.hashed import Hashed, PictureHash
from rempart.hashing.isolated import DIED, FileDigests, HashOptions, frame_hashes, hashed_or_digests, too_large
from rempart.media import Source, Unscannable, shared_pool
from rempart.media.child import work
from rempart.media.source import opened
from rempart.media.video import Video
from rempart.settings import MIB, MediaSettings

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
        if isinstance(outcome, Unscannable) and outcome.reason in DIED and outcome.sha256 is None:
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
        hashes.extend(frame_hashes(sample.pixels, number, at, with_turned=options.turned, with_enlarged=False))
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


def _answer_limit(settings: MediaSettings, *, with_turned: bool) -> int:
    forms = _FORMS_TURNED if with_turned else 1
    return _ANSWER_BYTES + (settings.max_video_frames + settings.max_frames) * forms * _ANSWER_BYTES_PER_FRAME


@work("video", HashOptions)
def _video(descriptor: int, settings: MediaSettings, options: HashOptions) -> Hashed | Unscannable:
    if os.fstat(descriptor).st_size > settings.max_video_bytes:
        return too_large(descriptor)
    make = partial(hash_open_video, descriptor, settings, options)
    return hashed_or_digests(make, partial(digest_file, descriptor))

"""Items of any kind to hashes: pictures go their way, and what turns out to be a video goes its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rempart.errors import Reason
from rempart.hashing.hashed import Hashed
from rempart.hashing.isolated import hash_images
from rempart.hashing.video import hash_video
from rempart.media import Source, Unscannable
from rempart.media.sniff import VIDEOS
from rempart.settings import MediaSettings

S = TypeVar("S", bound=Source)

# A file that is too large for a picture, or that a child did not survive, has not said its format. It may be a video.
_PERHAPS = frozenset((Reason.TOO_LARGE, Reason.TIMEOUT, Reason.OUT_OF_MEMORY, Reason.CRASH))
_NO_VIDEO_FORMAT = frozenset((Reason.UNKNOWN_FORMAT, Reason.UNSUPPORTED_FORMAT))


def hash_items(
    sources: Iterable[S], *, turned: bool = False, settings: MediaSettings | None = None
) -> Iterator[tuple[S, Hashed | Unscannable]]:
    """Hash many pictures and videos on all the pool's children; results come in the order of the sources.

    Args:
        sources: paths, or contents as bytes; taken only a few ahead of what is given.
        turned: as for :func:`rempart.hash_image`, for pictures and for the frames of videos.
        settings: the limits; the defaults of :class:`rempart.settings.MediaSettings` when not given.

    Raises:
        DecoderError: no child can be started.
    """
    return hash_images(
        sources, turned=turned, settings=settings, otherwise=perhaps_video(turned=turned, settings=settings)
    )


def perhaps_video(
    *, turned: bool = False, settings: MediaSettings | None = None
) -> Callable[[Source, Unscannable], Hashed | Unscannable]:
    """What to ask of a source that could not be read as a picture: whether it is a video, and then its hashes."""

    def otherwise(source: Source, outcome: Unscannable) -> Hashed | Unscannable:
        perhaps = outcome.format is None and outcome.reason in _PERHAPS
        if outcome.format not in VIDEOS and not perhaps:
            return outcome
        video = hash_video(source, turned=turned, settings=settings)
        if perhaps and isinstance(video, Unscannable) and video.reason in _NO_VIDEO_FORMAT:
            return outcome
        return video

    return otherwise

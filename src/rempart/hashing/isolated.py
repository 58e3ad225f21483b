"""From an untrusted file to its hashes, in a decoding child: the pixels never leave it, the hashes do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from rempart.errors import Reason
from rempart.hashing.digests import Digests, digest, digest_file
from rempart.hashing.enlarged import enlarged_samples, is_small
from rempart.hashing.hashed import ENLARGED, FULL, TRIMMED, Hashed, PictureHash
from rempart.hashing.pdq import FloatArray, coefficients, downsample, quality, to_hash, turned
from rempart.hashing.trim import content_box
from rempart.media import Pool, Source, Unscannable, shared_pool
from rempart.media.child import read_content, work
from rempart.media.decode import Picture
from rempart.media.order import in_batches
from rempart.media.outcome import Hex, Refused
from rempart.settings import MediaSettings

S = TypeVar("S", bound=Source)
T = TypeVar("T")

_ANSWER_BYTES_PER_FRAME = 1 << 12
_ANSWER_BYTES = 1 << 12

# What a file may do to its child; its digests are then made by another one, which does not decode.
DIED = frozenset((Reason.CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY))


class HashOptions(msgspec.Struct, frozen=True):
    """Which variants to make beside the full and the trimmed frame."""

    turned: bool = False


class FileDigests(msgspec.Struct, frozen=True, tag=True):
    """The answer of the work "digests"."""

    md5: Hex
    sha1: Hex
    sha256: Hex


def hash_image(source: Source, *, turned: bool = False, settings: MediaSettings | None = None) -> Hashed | Unscannable:
    """Hash an untrusted picture in a child process, within limits.

    Args:
        source: a path, or the content as bytes.
        turned: also hash the picture as turned and mirrored in the seven other ways.
        settings: the limits; the defaults of :class:`rempart.settings.MediaSettings` when not given.

    Returns:
        The hashes and digests; or why it is unscannable, with the digests whenever the bytes could be read.

    Raises:
        DecoderError: no child can be started.
    """
    pool = shared_pool(__name__, settings or MediaSettings())
    return hash_batch(pool, HashOptions(turned), [source])[0]


def hash_images(
    sources: Iterable[S],
    *,
    turned: bool = False,
    settings: MediaSettings | None = None,
    otherwise: Callable[[S, Unscannable], Hashed | Unscannable] | None = None,
) -> Iterator[tuple[S, Hashed | Unscannable]]:
    """Hash many pictures on all the pool's children; results come in the order of the sources, as they are ready.

    Args:
        sources: paths, or contents as bytes; taken only a few ahead of what is given.
        turned: as for :func:`hash_image`.
        settings: as for :func:`hash_image`.
        otherwise: called with each source that is unscannable and why, in a thread of the pool while others go on;
            what it returns is the result. So a video finds its way to the work that opens videos.

    Raises:
        DecoderError: no child can be started.
    """
    pool = shared_pool(__name__, settings or MediaSettings())

    def retry(source: S, outcome: Hashed | Unscannable) -> Callable[[], Hashed | Unscannable] | None:
        if otherwise is None or isinstance(outcome, Hashed):
            return None
        return partial(otherwise, source, outcome)

    return in_batches(
        partial(hash_batch, pool, HashOptions(turned)),
        sources,
        pool.size,
        size=partial(pool.batch_size, "hash"),
        retry=retry,
    )


def hash_batch(pool: Pool, options: HashOptions, sources: Sequence[S]) -> list[Hashed | Unscannable]:
    """Hash a few pictures, one after the other in one child of a pool that knows the work of this module."""
    limit = answer_limit(pool.settings)
    return with_digests(pool, sources, pool.run_many("hash", sources, options, Hashed, limit=limit))


def answer_limit(settings: MediaSettings) -> int:
    """The most bytes that the hashes of one picture may have."""
    return _ANSWER_BYTES + settings.max_frames * _ANSWER_BYTES_PER_FRAME


def with_digests(pool: Pool, sources: Sequence[S], outcomes: Sequence[T | Unscannable]) -> list[T | Unscannable]:
    """The outcomes of sources, with the digests of those that a child did not survive made by another."""
    return [
        _digested(pool, source, outcome) if isinstance(outcome, Unscannable) and outcome.reason in DIED else outcome
        for source, outcome in zip(sources, outcomes, strict=True)
    ]


def _digested(pool: Pool, source: Source, outcome: Unscannable) -> Unscannable:
    digests = pool.run("digests", source, HashOptions(), FileDigests, limit=_ANSWER_BYTES)
    if isinstance(digests, Unscannable):
        return outcome
    return _with_digests(outcome, Digests(digests.md5, digests.sha1, digests.sha256))


def hash_content(content: bytes, settings: MediaSettings, options: HashOptions) -> Hashed:
    """Hash a picture in this very process. For content that is trusted, and for measuring; else :func:`hash_image`.

    Raises:
        Refused: it cannot be read.
    """
    picture = Picture(content, settings)
    hashes: dict[tuple[bytes, str], PictureHash] = {}
    for pixels in picture:
        for one in frame_hashes(pixels, picture.number, with_turned=options.turned):
            hashes.setdefault((one.hash, one.variant), one)
    return Hashed(
        format=picture.format,
        width=picture.width,
        height=picture.height,
        frames=picture.frames,
        frames_read=picture.frames_read,
        normalised=tuple(picture.normalised),
        partial=picture.partial,
        unread=picture.unread,
        hashes=tuple(hashes.values()),
        **digest(content)._asdict(),
    )


def frame_hashes(
    pixels: npt.NDArray[np.uint8],
    number: int,
    at: float | None = None,
    *,
    with_turned: bool,
    with_enlarged: bool = True,
) -> Iterator[PictureHash]:
    """The hashes of a frame: full, trimmed if it has borders, both enlarged if small, each turned if asked for.

    Args:
        pixels: grey, as :class:`rempart.media.decode.Picture` gives them.
        number: of the frame, from 0.
        at: of a video, when it is shown, in seconds.
        with_turned: whether to hash it in the seven other ways round too.
        with_enlarged: whether to enlarge a small one too, as is done for pictures and not for frames of videos.
    """
    frames = {FULL: pixels}
    if (box := content_box(pixels)) is not None:
        top, bottom, left, right = box
        frames[TRIMMED] = pixels[top:bottom, left:right]
    for variant, frame in frames.items():
        samples = downsample(frame)
        detail = quality(samples)
        yield from form_hashes(samples, detail, variant, number, at, with_turned=with_turned)
        if with_enlarged and is_small(frame):
            larger = enlarged_samples(frame)
            yield from form_hashes(larger, detail, variant + ENLARGED, number, at, with_turned=with_turned)


def form_hashes(
    samples: FloatArray,
    detail: int,
    variant: str,
    number: int,
    at: float | None = None,
    *,
    with_turned: bool,
) -> Iterator[PictureHash]:
    """The hash of one form of a frame, given its samples and quality; also of its turns if asked for."""
    corner = coefficients(samples)
    yield PictureHash(to_hash(corner), detail, variant, number, at)
    if with_turned:
        for turn, value in turned(corner).items():
            yield PictureHash(value, detail, f"{variant}+{turn}", number, at)


@work("hash", HashOptions)
def hash_file(descriptor: int, settings: MediaSettings, options: HashOptions) -> Hashed | Unscannable:
    """Hash an open file; done in a child. Whatever is wrong with it, the digests of its bytes are made."""
    content = read_content(descriptor, settings.max_file_bytes)
    if content is None:
        return too_large(descriptor)
    return hashed_or_digests(partial(hash_content, content, settings, options), partial(digest, content))


def too_large(descriptor: int) -> Unscannable:
    """What to say of an open file beyond the limit: only its digests can be compared."""
    return _with_digests(Unscannable(reason=Reason.TOO_LARGE), digest_file(descriptor))


def hashed_or_digests(make: Callable[[], Hashed], digests: Callable[[], Digests]) -> Hashed | Unscannable:
    """What ``make`` gives; if it fails, why, with the digests: whatever a decoder raises, those of the bytes are good.

    Raises:
        MemoryError: it is about the machine, not the file, so another child makes the digests.
    """
    try:
        return make()
    except Refused as refused:
        return _with_digests(refused.as_outcome(), digests())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- decoders raise whatever they like
        return _with_digests(Unscannable(reason=Reason.CORRUPT), digests())


@work("digests", HashOptions)
def _digests(descriptor: int, _settings: MediaSettings, _options: HashOptions) -> FileDigests:
    return FileDigests(*digest_file(descriptor))


def _with_digests(outcome: Unscannable, digests: Digests) -> Unscannable:
    return msgspec.structs.replace(outcome, **digests._asdict())

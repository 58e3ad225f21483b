"""From an untrusted file to its hashes, in a decoding child: the pixels never leave it, the hashes do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from rempart.media import Source, Unscannable, shared_pool
from rempart.media.child import read_content, work
from rempart.media.decode import Picture
from rempart.media.outcome import Hex, Refused
from rempart.media.pool import in_order
from rempart.media.source import opened
from rempart.settings import MediaSettings

S = TypeVar("S", bound=Source)

_ANSWER_BYTES_PER_FRAME = 1 << 12
_ANSWER_BYTES = 1 << 12

# What a file may do to its child; its digests are then made by another one, which does not decode.
_DIED = frozenset((Reason.CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY))


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
    settings = settings or MediaSettings()
    pool = shared_pool(__name__, settings)
    limit = _ANSWER_BYTES + settings.max_frames * _ANSWER_BYTES_PER_FRAME
    with opened(source) as file:
        if isinstance(file, Unscannable):
            return file
        outcome = pool.run_open("hash", file, HashOptions(turned), Hashed, limit=limit)
        if isinstance(outcome, Unscannable) and outcome.reason in _DIED:
            digests = pool.run_open("digests", file, HashOptions(), FileDigests, limit=limit)
            if isinstance(digests, FileDigests):
                return _with_digests(outcome, Digests(digests.md5, digests.sha1, digests.sha256))
        return outcome


def hash_images(
    sources: Iterable[S], *, turned: bool = False, settings: MediaSettings | None = None
) -> Iterator[tuple[S, Hashed | Unscannable]]:
    """Hash many pictures on all the pool's children; results come in the order of the sources, as they are ready."""
    settings = settings or MediaSettings()
    workers = shared_pool(__name__, settings).size
    return in_order(partial(hash_image, turned=turned, settings=settings), sources, workers)


def hash_content(content: bytes, settings: MediaSettings, options: HashOptions) -> Hashed:
    """Hash a picture in this very process. For content that is trusted, and for measuring; else :func:`hash_image`.

    Raises:
        Refused: it cannot be read.
    """
    picture = Picture(content, settings)
    hashes: dict[tuple[bytes, str], PictureHash] = {}
    for number, pixels in enumerate(picture):
        for one in frame_hashes(pixels, number, with_turned=options.turned):
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


def frame_hashes(pixels: npt.NDArray[np.uint8], number: int, *, with_turned: bool) -> Iterator[PictureHash]:
    """The hashes of a frame: full, trimmed if it has borders, both enlarged if small, each turned if asked for."""
    frames = {FULL: pixels}
    box = content_box(pixels)
    if box is not None:
        top, bottom, left, right = box
        frames[TRIMMED] = pixels[top:bottom, left:right]
    for variant, frame in frames.items():
        samples = downsample(frame)
        detail = quality(samples)
        yield from _forms(samples, detail, variant, number, with_turned=with_turned)
        if is_small(frame):
            yield from _forms(enlarged_samples(frame), detail, variant + ENLARGED, number, with_turned=with_turned)


def _forms(samples: FloatArray, detail: int, variant: str, number: int, *, with_turned: bool) -> Iterator[PictureHash]:
    corner = coefficients(samples)
    yield PictureHash(to_hash(corner), detail, variant, number)
    if with_turned:
        for turn, value in turned(corner).items():
            yield PictureHash(value, detail, f"{variant}+{turn}", number)


@work("hash", HashOptions)
def _hash(descriptor: int, settings: MediaSettings, options: HashOptions) -> Hashed | Unscannable:
    content = read_content(descriptor, settings.max_file_bytes)
    if content is None:
        return _with_digests(Unscannable(reason=Reason.TOO_LARGE), digest_file(descriptor))
    try:
        return hash_content(content, settings, options)
    except Refused as refused:
        return _with_digests(refused.as_outcome(), digest(content))
    except MemoryError:
        raise  # about the machine, not the file: another child makes the digests
    except Exception:  # noqa: BLE001 -- whatever a decoder raises, the digests of the bytes are good
        return _with_digests(Unscannable(reason=Reason.CORRUPT), digest(content))


@work("digests", HashOptions)
def _digests(descriptor: int, _settings: MediaSettings, _options: HashOptions) -> FileDigests:
    return FileDigests(*digest_file(descriptor))


def _with_digests(outcome: Unscannable, digests: Digests) -> Unscannable:
    return msgspec.structs.replace(outcome, **digests._asdict())

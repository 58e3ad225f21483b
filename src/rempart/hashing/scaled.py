"""A rough look at large JPEGs: decoded at a quarter or an eighth of their size, hashed nearly as they would be.

Most of what a large JPEG costs is the cosine transform of pixels that PDQ then averages away. libjpeg-turbo can leave
them out. The hash comes out a few bits off, so it may only say which pictures are worth to be hashed exactly; how far
off, and how many copies that loses, is in docs/hashing.md.

The pool's module of :mod:`rempart.matching.prefilter`: it knows the work of :mod:`rempart.hashing.isolated` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from rempart.hashing import isolated
from rempart.hashing.digests import digest
from rempart.hashing.enlarged import enlarged_samples, is_small
from rempart.hashing.hashed import FULL, Hashed, PictureHash
from rempart.hashing.isolated import HashOptions
from rempart.hashing.pdq import downsample, quality
from rempart.hashing.trim import content_box
from rempart.media import Pool, Source, Unscannable, jpeg
from rempart.media.child import read_content, work
from rempart.media.normalise import Pixels, turn_upright
from rempart.media.outcome import Hex, Size
from rempart.media.sniff import HEAD_BYTES, sniff
from rempart.settings import MediaSettings

S = TypeVar("S", bound=Source)

FACTORS: Final = (8, 4)
"""To decode at a half gains no more than a tenth."""
SMALLEST_SCALED: Final = 240
"""Pixels that the shorter side must keep; with fewer, hashes drift further."""

LEAST_QUALITY: Final = 70
"""Quality that a rough hash must have. Hashes of less, which the exact ones may come to, drift without bound."""

_FIRST_QUARTER_TURN = 5  # EXIF orientations 5 to 8 swap the sides


class Approximate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a rough look at a picture gave. The digests are exact, the hashes are not.

    Attributes:
        width: of the picture as shown, in pixels; ``height`` likewise.
        factor: at what part of its size it was decoded: 4 or 8.
        hashes: approximations of the full frame and, if asked for, of its turns; they have no place in a bank.
    """

    width: Size
    height: Size
    factor: int
    hashes: Annotated[tuple[PictureHash, ...], Meta(min_length=1)]
    md5: Hex
    sha1: Hex
    sha256: Hex

    @property
    def quality(self) -> int:
        """The approximate quality of the full frame, 0..100."""
        return self.hashes[0].quality


class Look(msgspec.Struct, frozen=True, tag=True):
    """The answer of the work "look": a rough look where that is worth it, else the exact hashes at once."""

    found: Approximate | Hashed


def look_batch(pool: Pool, options: HashOptions, sources: Sequence[S]) -> list[Approximate | Hashed | Unscannable]:
    """Look at a few pictures, one after the other in one child of a pool of this module."""
    answers = pool.run_many("look", sources, options, Look, limit=isolated.answer_limit(pool.settings))
    outcomes = isolated.with_digests(pool, sources, answers)
    return [outcome.found if isinstance(outcome, Look) else outcome for outcome in outcomes]


def approximate(content: bytes, settings: MediaSettings, *, with_turned: bool) -> Approximate | None:
    """A rough look at a picture in this very process.

    None where there is nothing to gain or too much to lose: no whole and plain JPEG of one picture, a side under 960
    pixels, too little detail, or a border, of which the exact search may take off more or less.
    """
    header = jpeg.read_header(content)
    factor = _factor(header)
    if factor is None or header.width * header.height > settings.max_pixels:
        return None
    pixels = jpeg.decode_scaled(content, header, factor)
    if pixels is None:
        return None
    pixels = turn_upright(pixels, header.orientation)
    if content_box(pixels) is not None:
        return None
    hashes = _hashes(pixels, with_turned=with_turned)
    if hashes[0].quality < LEAST_QUALITY:
        return None
    return Approximate(
        width=header.width if header.orientation < _FIRST_QUARTER_TURN else header.height,
        height=header.height if header.orientation < _FIRST_QUARTER_TURN else header.width,
        factor=factor,
        hashes=hashes,
        **digest(content)._asdict(),
    )


def _factor(header: jpeg.Header) -> int | None:
    """The strongest scale that keeps enough; None for pictures that are too small."""
    shorter = min(header.width, header.height)
    return next((factor for factor in FACTORS if shorter >= factor * SMALLEST_SCALED), None)


def _hashes(frame: Pixels, *, with_turned: bool) -> tuple[PictureHash, ...]:
    # The picture itself is large: what its samples would be, those of the small one enlarged are nearest to.
    samples = enlarged_samples(frame) if is_small(frame) else downsample(frame)
    return tuple(isolated.form_hashes(samples, quality(samples), FULL, 0, with_turned=with_turned))


@work("look", HashOptions)
def _look(descriptor: int, settings: MediaSettings, options: HashOptions) -> Look | Unscannable:
    content = read_content(descriptor, settings.max_file_bytes)
    if content is not None and sniff(content[:HEAD_BYTES]) == "jpeg":
        rough = approximate(content, settings, with_turned=options.turned)
        if rough is not None:
            return Look(rough)
    exact = isolated.hash_file(descriptor, settings, options)
    return Look(exact) if isinstance(exact, Hashed) else exact

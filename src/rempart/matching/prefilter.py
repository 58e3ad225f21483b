"""Matching with a rough look first: whoever asks for it gets large JPEGs compared sooner, and is told so.

A picture whose approximate hashes lie far from everything that blocks is called clear without an exact hash. Its
verdict then says ``prefiltered``, for a copy that hides behind the drift of a rough hash is lost; docs/hashing.md tells
how many are. Everything else is hashed exactly and matched by the rules of :mod:`rempart.matching.matcher`: what comes
near anything, by digest or by hash; what is no plain large JPEG; what has a border or little detail; and all, once a
list is stale.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

from rempart.clock import Clock, utc_now
from rempart.errors import Reason, UsageError
from rempart.hashing import DIGEST_KINDS, Hashed, Unscannable
from rempart.hashing.isolated import HashOptions, hash_batch, hash_content
from rempart.hashing.scaled import LEAST_QUALITY, Approximate, look_batch
from rempart.matching import specimen
from rempart.matching.bank import Bank, PdqRows
from rempart.matching.index import MAX_RADIUS
from rempart.matching.matcher import Matcher
from rempart.matching.verdict import Outcome, Verdict
from rempart.media import Source, shared_pool
from rempart.media.order import in_batches
from rempart.settings import MediaSettings

S = TypeVar("S", bound=Source)

DEFAULT_MARGIN: Final = 8
"""Bits beyond a bank's radius within which a rough hash asks for an exact one."""

_MODULE = "rempart.hashing.scaled"
# Rough and exact quality differ by less than this where the rough one is at least LEAST_QUALITY.
_QUALITY_DRIFT = 20


class Prefilter:
    """A matcher that looks roughly first. Give it only to who asked for it."""

    def __init__(
        self,
        matcher: Matcher,
        *,
        margin: int = DEFAULT_MARGIN,
        settings: MediaSettings | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Widen the banks.

        Args:
            matcher: what gives the verdict on everything that is not far from all its blocking banks.
            margin: how many bits farther than a bank's radius a rough hash must be to be called far.
            settings: the limits for reading a file.
            clock: tells whether a list has grown stale.

        Raises:
            UsageError: the margin is negative, or with it a radius exceeds 63 bits, beyond which nothing is searched.
            NothingToCompareError: no blocking bank holds anything.
        """
        matcher.check()
        blocking = [bank for bank in matcher.banks if bank.blocks]
        widest = max(bank.radius for bank in blocking)
        if margin < 0 or widest + margin > MAX_RADIUS:
            raise UsageError(f"the margin is {margin}, but must lie within 0 and {MAX_RADIUS - widest} bits")
        settings = settings or MediaSettings()
        self._matcher = matcher
        self._clock = clock
        self._pool = shared_pool(_MODULE, settings)
        self._options = HashOptions(turned=matcher.wants_turned)
        self._banks = matcher.banks
        self._wide = [_widened(bank, margin) for bank in (*blocking, _specimen_bank(settings))]
        self._least_quality = max(LEAST_QUALITY, *(bank.quality_floor + _QUALITY_DRIFT for bank in blocking))

    def match_images(
        self, sources: Iterable[S], *, otherwise: Callable[[S, Unscannable], Hashed | Unscannable] | None = None
    ) -> Iterator[tuple[S, Verdict]]:
        """The verdicts on many pictures, in the order of the sources.

        Args:
            sources: paths, or contents as bytes; taken only a few ahead of what is given.
            otherwise: as for :func:`rempart.hashing.hash_images`.

        Raises:
            DecoderError: no child can be started.
        """

        def retry(
            source: S, outcome: Approximate | Hashed | Unscannable
        ) -> Callable[[], Approximate | Hashed | Unscannable] | None:
            if otherwise is None or not isinstance(outcome, Unscannable):
                return None
            return partial(otherwise, source, outcome)

        outcomes = in_batches(
            self._hash, sources, self._pool.size, size=partial(self._pool.batch_size, "look"), retry=retry
        )
        for source, outcome in outcomes:
            yield source, self._far(outcome) if isinstance(outcome, Approximate) else self._matcher.match(outcome)

    def is_far(self, look: Approximate) -> bool:
        """Whether a picture may be called clear by this rough look at it."""
        if look.quality < self._least_quality:
            return False
        now = self._clock()
        if any(bank.is_stale(now) for bank in self._wide):
            return False
        if any(bank.exact(kind, bytes.fromhex(getattr(look, kind))) for bank in self._banks for kind in DIGEST_KINDS):
            return False
        return not any(len(bank.near_many([one.hash for one in look.hashes]).ids) for bank in self._wide)

    def _hash(self, sources: Sequence[S]) -> list[Approximate | Hashed | Unscannable]:
        """Look at each; hash exactly what is not far."""
        outcomes = look_batch(self._pool, self._options, sources)
        near = [at for at, one in enumerate(outcomes) if isinstance(one, Approximate) and not self.is_far(one)]
        exact = hash_batch(self._pool, self._options, [sources[at] for at in near])
        for at, outcome in zip(near, exact, strict=True):
            outcomes[at] = outcome
        return outcomes

    def _far(self, look: Approximate) -> Verdict:
        return Verdict(
            verdict=Outcome.CLEAR,
            reasons=(Reason.PREFILTERED,),
            quality=look.quality,
            lists_as_of=self._matcher.lists_as_of,
        )


def _widened(bank: Bank, margin: int) -> Bank:
    """The same bank, searched farther around."""
    wide = copy.copy(bank)
    wide.radius += margin
    return wide


def _specimen_bank(settings: MediaSettings) -> Bank:
    """The specimen and its turned copies as a bank, for copies of it must be caught too."""
    picture = hash_content(specimen.picture(), settings, HashOptions(turned=True))
    return Bank("SPECIMEN", pdq=PdqRows.of([one.hash.hex() for one in picture.hashes]))

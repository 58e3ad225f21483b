"""What a scorer is, and what it answers: ratings without the text that they are of."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

VIOLATION = "violation"
"""Probability that the text goes against the policy that the scorer judges by; remote scorers give it."""
MINOR = "minor"
"""Probability that the text is of people under age, whatever else it says; the local scorer gives it."""

MAX_CHARACTERS = 8_000
"""Length up to which a text is rated."""

Unavailability: TypeAlias = Literal["network", "timeout", "status", "answer", "too_long", "error"]


class Scores(msgspec.Struct, frozen=True, tag="scores", tag_field="result"):
    """A rating."""

    model: str
    digest: str
    """SHA-256, hexadecimal: of the weights where they are ours to read, else of all that is asked but the text."""
    probabilities: dict[str, float]
    """By concept, 0 to 1."""
    seconds: float


class ScorerUnavailable(msgspec.Struct, frozen=True, tag="unavailable", tag_field="result"):
    """No rating, and why.

    ``network``: the host cannot be reached or broke off; ``timeout``: it took too long; ``status``: it answered with
    an HTTP status other than 200; ``answer``: the answer was not understood; ``too_long``: the text is longer than
    :data:`MAX_CHARACTERS`; ``error``: rating failed on this side.
    """

    model: str
    reason: Unavailability
    seconds: float = 0.0


ScoreResult: TypeAlias = Scores | ScorerUnavailable


class Scorer(Protocol):
    """Rates texts; threads may share it."""

    @property
    def model(self) -> str:
        """Name of what rates."""
        ...

    @property
    def digest(self) -> str:
        """See :attr:`Scores.digest`."""
        ...

    def score(self, text: str) -> ScoreResult:
        """Rate one text within the scorer's time; never raises, whatever the text is."""
        ...

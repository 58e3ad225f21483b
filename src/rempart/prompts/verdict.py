"""What the screen answers: values that can be stored and shown, because they never hold the prompt's text."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from rempart.errors import Reason

ADULT_AGE = 18
"""Years from which a person is an adult."""

_YEARS = {"years": 1.0, "months": 1 / 12, "weeks": 1 / 52, "days": 1 / 365}


class Answer(StrEnum):
    """What to do with the prompt, from the mildest to the strictest."""

    ALLOW = "allow"
    REVIEW = "review"
    REFUSE = "refuse"


class ConceptHit(msgspec.Struct, frozen=True):
    """A word of a pack, found in the prompt."""

    concept: str
    """Class of the term, such as ``minor.explicit``."""
    term: str
    """Id of the term in its pack."""
    start: int
    """Raw index of the first character."""
    end: int
    """Raw index just behind the last character."""
    view: str
    """Reading of the prompt in which it was found; ``exact`` is the folded text itself."""

    def __repr__(self) -> str:
        """The concept and the place; the term could repeat the prompt."""
        return f"<{self.concept} at {self.start}:{self.end}>"


class AgeHit(msgspec.Struct, frozen=True):
    """An age said in the prompt, whatever it is the age of."""

    value: int
    unit: str
    """``years``, ``months``, ``weeks`` or ``days``."""
    start: int
    """Raw index of the first character."""
    end: int
    """Raw index just behind the last character."""

    @property
    def under_adult(self) -> bool:
        """Whether it is below :data:`ADULT_AGE`."""
        return self.value * _YEARS[self.unit] < ADULT_AGE


class PromptVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one prompt, with all that led to it; spans index the prompt as it was given."""

    verdict: Answer
    rules: tuple[str, ...] = ()
    """Ids of all rules that fired, the strictest first."""
    reasons: tuple[Reason, ...] = ()
    concepts: tuple[ConceptHit, ...] = ()
    """In the order of the prompt."""
    ages: tuple[AgeHit, ...] = ()
    context: tuple[str, ...] = ()
    """Calming contexts; none are told apart yet."""
    specimen: bool = False
    packs_digest: str
    """SHA-256 of the packs in use, in hexadecimal digits."""

    def __repr__(self) -> str:
        """The verdict, the rules and counts; nothing that could repeat the prompt."""
        rules = ", ".join(self.rules) or "no rule"
        return f"<PromptVerdict {self.verdict}: {rules}; {len(self.concepts)} concepts, {len(self.ages)} ages>"

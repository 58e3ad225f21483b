"""What the screen answers: values that can be stored and shown, because they never hold the prompt's text."""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from importlib.metadata import version
from typing import Any

import msgspec

from rempart.errors import Reason
from rempart.prompts.ratings import ScoreResult

NEUTRAL_MESSAGE = "This request cannot be processed."
"""What the person who wrote a refused prompt is shown: always the same, so that it teaches nothing."""

LEAST_STRENGTH = 0.4
"""Hits of weaker readings are recorded and are no evidence: common words of another language, for one."""

ADULT_AGE = 18
"""Years from which a person is an adult."""

_KEY_BYTES = 16
_MINORS = frozenset({"minor.explicit", "minor.role", "minor.ambiguous"})
_YEARS = {"years": 1.0, "months": 1 / 12, "weeks": 1 / 52, "days": 1 / 365, "grade": 1.0}


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
    strength: float = 1.0
    """How strong an evidence that reading is."""
    language: str = ""
    """Language of the pack."""
    negative: bool = False
    """Whether it stands in text that says what the picture shall not show."""
    field: str = "prompt"
    """The field that the span is of: ``prompt``, ``negative``, ``style`` or ``name``."""

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
    governs: str = ""
    """What it is the age of: ``person``, ``animal``, ``thing``, or "" when nothing says."""
    cancelled: bool = False
    """Whether it is the age of something that is no person, and so no evidence."""
    negative: bool = False
    """Whether it stands in text that says what the picture shall not show."""
    field: str = "prompt"
    """The field that the span is of."""

    @property
    def years(self) -> float:
        """The age in years; that of a school grade is an estimate."""
        return self.value * _YEARS.get(self.unit, 1.0)

    @property
    def under_adult(self) -> bool:
        """Whether it is below :data:`ADULT_AGE`."""
        return self.years < ADULT_AGE


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
    """Calming contexts that were found, such as ``context.medical``."""
    obfuscation: tuple[str, ...] = ()
    """Kinds of disguise in use."""
    has_reference_image: bool = False
    """Whether the request comes with a picture, which no text screen can judge."""
    scorers: tuple[ScoreResult, ...] = ()
    """What optional scorers said."""
    specimen: bool = False
    packs_digest: str
    """SHA-256 of the packs in use, in hexadecimal digits."""
    rules_digest: str = ""
    """SHA-256 of the rules in use."""

    @property
    def names_minor(self) -> bool:
        """Whether the positive text has a word or an age of a minor, words also used of adults included."""
        return any(
            hit.concept in _MINORS and not hit.negative and hit.strength >= LEAST_STRENGTH for hit in self.concepts
        ) or any(age.under_adult and not age.cancelled and not age.negative for age in self.ages)

    def record(self, prompt: str, key: bytes) -> dict[str, Any]:
        """What may be stored of the decision: all of the verdict, and a keyed hash in the place of the text.

        Args:
            prompt: the prompt that was screened.
            key: secret of the operator, at least 16 bytes. The same prompt gives the same hash under it; without it
                nobody can test which prompt it was.

        Raises:
            ValueError: the key is too short.
        """
        if len(key) < _KEY_BYTES:
            raise ValueError(f"the key of prompt hashes has at least {_KEY_BYTES} bytes")
        raw = prompt.encode("utf-8", "surrogatepass")
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins | {
            "prompt_hmac_sha256": hmac.new(key, raw, hashlib.sha256).hexdigest(),
            "rempart": version("rempart"),
        }

    def __repr__(self) -> str:
        """The verdict, the rules and counts; nothing that could repeat the prompt."""
        rules = ", ".join(self.rules) or "no rule"
        return f"<PromptVerdict {self.verdict}: {rules}; {len(self.concepts)} concepts, {len(self.ages)} ages>"

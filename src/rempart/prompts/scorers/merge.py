"""What ratings do to a verdict: they raise it or leave it, and never lower it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from rempart.errors import Reason
from rempart.prompts.ratings import MINOR, VIOLATION, ScoreResult, ScorerUnavailable, Scores
from rempart.prompts.verdict import Answer
from rempart.settings import ScorerSettings

SECOND_SIGNAL = "sexual.explicit"
"""The concept that the packs must have found in the prompt before a weak rating of the other concept counts."""

_RANK = {answer: rank for rank, answer in enumerate((Answer.ALLOW, Answer.REVIEW, Answer.REFUSE))}


class Merged(msgspec.Struct, frozen=True):
    """A verdict after the scorers."""

    verdict: Answer
    reasons: tuple[Reason, ...] = ()
    """What the scorers add to the verdict's own."""
    notes: tuple[ScoreResult, ...] = ()
    """All results, those without effect too, to be recorded."""


def merge(
    verdict: Answer, rated: Iterable[tuple[ScorerSettings, ScoreResult]], concepts: Collection[str] = ()
) -> Merged:
    """Let ratings raise a verdict.

    Args:
        verdict: what the rules say.
        rated: each scorer's settings, which are its policy, with its result.
        concepts: classes that the packs found in the positive text.

    Returns:
        A verdict at least as strict. A rating of :data:`VIOLATION` does what the scorer's settings say; a rating of
        :data:`MINOR` is weak and leads to a review, only beside :data:`SECOND_SIGNAL`.
    """
    reasons: list[Reason] = []
    notes = []
    for settings, result in rated:
        notes.append(result)
        said, reason = _effect(settings, result, concepts)
        if reason is not None and reason not in reasons:
            reasons.append(reason)
        verdict = max(verdict, said, key=_RANK.__getitem__)
    return Merged(verdict, tuple(reasons), tuple(notes))


def _effect(settings: ScorerSettings, result: ScoreResult, concepts: Collection[str]) -> tuple[Answer, Reason | None]:
    """The least verdict that one result asks for, and the reason it gives."""
    if isinstance(result, ScorerUnavailable):
        mildest = Answer.REVIEW if settings.when_unavailable == "review" else Answer.ALLOW
        return mildest, Reason.SCORER_UNAVAILABLE
    if _reaches(result, VIOLATION, settings.threshold):
        return Answer(settings.when_violation), Reason.SCORER
    if SECOND_SIGNAL in concepts and _reaches(result, MINOR, settings.threshold):
        return Answer.REVIEW, Reason.SCORER
    return Answer.ALLOW, None


def _reaches(scores: Scores, concept: str, threshold: float) -> bool:
    return scores.probabilities.get(concept, 0.0) >= threshold

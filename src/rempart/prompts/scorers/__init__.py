"""Scorers: a second opinion on prompts, off by default, that can raise a verdict and never soften one."""

from __future__ import annotations

from rempart.prompts.ratings import Scorer, ScoreResult, ScorerUnavailable, Scores
from rempart.prompts.scorers.merge import Merged, merge
from rempart.prompts.scorers.panel import Panel, open_scorer
from rempart.settings import ScorerSettings

__all__ = [
    "Merged",
    "Panel",
    "ScoreResult",
    "Scorer",
    "ScorerSettings",
    "ScorerUnavailable",
    "Scores",
    "merge",
    "open_scorer",
]

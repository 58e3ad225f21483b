"""Scorers: a second opinion on prompts, off by default, that can raise a verdict and never soften one."""

from __future__ import annotations

from rempart.prompts.scorers.merge import Merged, merge
from rempart.prompts.scorers.panel import Panel, open_scorer
from rempart.prompts.scorers.result import Scorer, ScoreResult, ScorerUnavailable, Scores
from rempart.prompts.scorers.settings import ScorerSettings

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

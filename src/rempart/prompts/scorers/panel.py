"""All scorers that are configured, as the screen asks them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib import import_module

from rempart.prompts.ratings import Scorer
from rempart.prompts.scorers.merge import SECOND_SIGNAL, Merged, merge
from rempart.prompts.verdict import Answer
from rempart.settings import ScorerSettings

# Imported when configured: the one needs numpy, the other a network client, and most installations neither.
_LOCAL = ("rempart.prompts.scorers.local", "LocalScorer")
_REMOTE = ("rempart.prompts.scorers.remote", "RemoteScorer")


def open_scorer(settings: ScorerSettings) -> Scorer:
    """Make the scorer that the settings describe.

    Raises:
        ConfigError: a setting is missing or does not fit, or a file that it names cannot be used.
    """
    module, name = _LOCAL if settings.kind == "local" else _REMOTE
    scorer: Scorer = getattr(import_module(module), name)(settings)
    return scorer


class Panel:
    """Asks every configured scorer about a prompt, in their order; threads may share it."""

    def __init__(self, settings: Iterable[ScorerSettings] = ()) -> None:
        """Open the scorers.

        Raises:
            ConfigError: one cannot be opened, so nothing is screened.
        """
        self._scorers = tuple((each, open_scorer(each)) for each in settings)

    def __bool__(self) -> bool:
        """Whether any scorer is configured."""
        return bool(self._scorers)

    def judge(self, verdict: Answer, text: str, concepts: Collection[str] = ()) -> Merged:
        """Ask those scorers whose rating could still change the verdict, and merge what they say.

        Args:
            verdict: what the rules say; a refusal is final and nobody is asked.
            text: the positive text.
            concepts: classes that the packs found in it.
        """
        if verdict is Answer.REFUSE:
            return Merged(verdict)
        return merge(
            verdict,
            [
                (settings, scorer.score(text))
                for settings, scorer in self._scorers
                if settings.kind != "local" or SECOND_SIGNAL in concepts
            ],
            concepts,
        )

"""The local scorer: whether a text is rather of people under age than of grown-ups or of things.

It compares the text's sentence vector with those of three sets of plain phrases; words that no pack knows can come near
them too. It knows nothing of what else the text says, reads English only, and is a weak signal.
"""

from __future__ import annotations

import time

import numpy as np

from rempart.errors import ConfigError
from rempart.prompts.ratings import MAX_CHARACTERS, MINOR, ScoreResult, ScorerUnavailable, Scores
from rempart.prompts.scorers import minilm
from rempart.settings import ScorerSettings

_UNDER_AGE = (
    *("a child", "a photo of a child", "a group of children", "a school pupil", "a boy in primary school"),
    *("a girl in primary school", "a kindergarten class", "a teenager", "a toddler", "a baby"),
)
_GROWN_UP = (
    *("an adult", "a photo of an adult", "a group of adults", "an office worker", "a man at work", "a woman at work"),
    *("a business meeting", "a retired person", "a man", "a woman", "people in a street", "a portrait of a lady"),
    *("an old sailor", "a soldier and a king"),
)
_THINGS = (
    *("a landscape", "a city street with cars", "an animal", "a dog and a cat", "a bowl of fruit", "a robot"),
    *("a wooden chair in a room", "an abstract pattern", "a house by the sea", "a vase of flowers", "a train"),
    *("a book with a title", "a bird in a tree", "a drawing of a machine"),
)
# Without the third set, a text of no people at all lies as near to the first as to the second.
_SETS = (_UNDER_AGE, _GROWN_UP, _THINGS)

_VERSION = 1
"""Of the phrases and the sharpness: the name of the model in the record carries it."""
_SHARPNESS = 20.0
"""How much a cosine counts, as in a softmax of temperature 1/20."""


class LocalScorer:
    """Rates the age side of English texts on this machine, without a network."""

    def __init__(self, settings: ScorerSettings) -> None:
        """Load the model and place the phrases.

        Raises:
            ConfigError: the model is not installed or not the known one, or a setting is of remote scorers.
        """
        fixed = (settings.url, settings.model, settings.key_file, settings.ca_file, settings.policy_file)
        if any(fixed) or settings.private:
            raise ConfigError("the local scorer has no url, model or files: it asks nobody")
        self._seconds = settings.seconds
        self._model = minilm.MiniLM()
        self._sets = tuple(
            np.stack([self._model.embed(self._model.windows(phrase)[0]) for phrase in phrases]) for phrases in _SETS
        )
        self.model = f"{minilm.NAME}/{_VERSION}"
        self.digest = minilm.WEIGHTS_SHA256

    def score(self, text: str) -> ScoreResult:
        """Rate one text: the highest of its windows; see :class:`~rempart.prompts.ratings.Scorer`."""
        start = time.monotonic()
        try:
            if len(text) > MAX_CHARACTERS:
                return ScorerUnavailable(self.model, "too_long")
            highest = 0.0
            for window in self._model.windows(text.encode("utf-8", "replace").decode()):
                highest = max(highest, self._under_age(window))
                if time.monotonic() - start > self._seconds:
                    return ScorerUnavailable(self.model, "timeout", time.monotonic() - start)
            return Scores(self.model, self.digest, {MINOR: highest}, time.monotonic() - start)
        except Exception:  # noqa: BLE001 -- a scorer must not stop the screen; the error may quote the prompt
            return ScorerUnavailable(self.model, "error", time.monotonic() - start)

    def _under_age(self, window: list[int]) -> float:
        """The first set's share of the nearness to all three."""
        vector = self._model.embed(window)
        near = [float(np.exp(_SHARPNESS * (phrases @ vector)).mean()) for phrases in self._sets]
        return near[0] / sum(near)

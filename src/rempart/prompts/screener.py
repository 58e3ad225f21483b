"""The screen: one prompt in, one verdict out."""

from __future__ import annotations

from pathlib import Path

from rempart.errors import Reason
from rempart.prompts.ages import find_ages
from rempart.prompts.fold import fold
from rempart.prompts.lexicon import load_lexicon
from rempart.prompts.rules import AGE_UNDER_18, RULES, fired
from rempart.prompts.specimen import SPECIMEN_TOKEN
from rempart.prompts.tokens import tokenize
from rempart.prompts.verdict import Answer, PromptVerdict

MAX_CHARACTERS = 8_000
"""Length up to which a prompt is screened; a longer one is refused."""


class PromptScreener:
    """Screens prompts of image generators; make one and keep it, it may be shared by threads."""

    def __init__(self, packs: str | Path = "en") -> None:
        """Load the packs.

        Args:
            packs: name of a shipped set of packs (``en``, or ``canary`` for tests), or path of a folder of packs.

        Raises:
            PackError: the packs cannot be used, so nothing can be screened.
        """
        self.lexicon = load_lexicon(packs)

    def screen(self, prompt: str, negative: str = "") -> PromptVerdict:
        """Screen one prompt; never fails on a text, and never allows one that it could not screen.

        Args:
            prompt: what the picture shall show, as it was typed.
            negative: what it shall not show. Its words are no evidence against the prompt.

        Returns:
            The verdict, with spans that index ``prompt``.

        Raises:
            TypeError: an argument is not a ``str``.
        """
        if not isinstance(prompt, str) or not isinstance(negative, str):
            raise TypeError("a prompt is a str, and so is a negative prompt")
        try:
            return self._screen(prompt, negative)
        except Exception:  # noqa: BLE001 -- fail closed; the error is not told, because it may quote the prompt
            return self._refused(Reason.ERROR)

    def _screen(self, prompt: str, negative: str) -> PromptVerdict:
        if len(prompt) > MAX_CHARACTERS or len(negative) > MAX_CHARACTERS:
            return self._refused(Reason.TOO_LONG)
        folded = fold(prompt)
        tokens = tokenize(folded.text)
        hits = self.lexicon.find(tokens, folded)
        ages = find_ages(tokens, folded)
        concepts = {hit.concept for hit in hits}
        if any(age.under_adult for age in ages):
            concepts.add(AGE_UNDER_18)
        rules = fired(RULES, concepts)
        answer = rules[0].verdict if rules else Answer.ALLOW
        reasons = (Reason.CONCEPTS_JOINED,) if rules else ()
        specimen = SPECIMEN_TOKEN in tokens.words
        if specimen:
            answer = Answer.REFUSE
            reasons = (*reasons, Reason.SPECIMEN)
        return PromptVerdict(
            verdict=answer,
            rules=tuple(rule.id for rule in rules),
            reasons=reasons,
            concepts=hits,
            ages=ages,
            specimen=specimen,
            packs_digest=self.lexicon.digest,
        )

    def _refused(self, reason: Reason) -> PromptVerdict:
        return PromptVerdict(verdict=Answer.REFUSE, reasons=(reason,), packs_digest=self.lexicon.digest)

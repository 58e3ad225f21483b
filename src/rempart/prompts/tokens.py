"""Tokens: the words and numbers of a folded text."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A run of letters or a run of digits. Everything else separates, hyphens, underscores and apostrophes too, and so does
# the seam of digits and letters: a possessive, an elision, a tag_with_underscores and "12yo" show their words.
_TOKEN = re.compile(r"[^\W\d_]+|\d+")

# What may stand between the words of one expression: nothing, white space, dashes, underscores, apostrophes.
_JOINT = re.compile(r"[\s_'’\-‐–—]*")  # noqa: RUF001 -- the typographic ones are meant


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words of a folded text, in order, with their spans in it."""

    text: str
    words: list[str]
    spans: list[tuple[int, int]]

    def joined(self, first: int, last: int) -> bool:
        """Whether the words number ``first`` to ``last`` form one expression: no comma, stop or bracket between."""
        return all(
            _JOINT.fullmatch(self.text, self.spans[at][1], self.spans[at + 1][0]) is not None
            for at in range(first, last)
        )


def tokenize(text: str) -> Tokens:
    """The tokens of ``text``, which is folded; takes linear time."""
    spans = [found.span() for found in _TOKEN.finditer(text)]
    return Tokens(text, [text[start:end] for start, end in spans], spans)

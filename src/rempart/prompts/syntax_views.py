"""Views: readings of one prompt, each with the way back to the raw characters."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import chain, islice

from rempart.prompts.syntax_segments import Segment, Span, find_segments, phrase_ends

_UNBRACKETED = re.compile(r"[^()\[\]{}<>\\]+")


class View:
    """A reading of the prompt: its text, and where each character of it came from."""

    __slots__ = ("_gap", "_origins", "_pieces", "_raw", "text")

    def __init__(self, text: str, raw: str | None = None, pieces: list[Span] | None = None, gap: int = 0) -> None:
        """Describe ``text``.

        Args:
            text: the text of the view.
            raw: the prompt, when their indices are not the same.
            pieces: spans of the prompt that make up the text; None stands for all that is not a bracket.
            gap: characters that stand between two pieces in the text, 0 or 1.
        """
        self.text = text
        self._raw = raw
        self._pieces = pieces
        self._gap = gap
        self._origins: list[int] | None = None

    @property
    def origins(self) -> list[int] | None:
        """The raw index of each character; None when every index equals the raw one.

        A gap has the index of the first raw character that it stands for.
        """
        if self._origins is None and self._raw is not None:
            pieces = self._pieces
            if pieces is None:
                pieces = [piece.span() for piece in _UNBRACKETED.finditer(self._raw)]
            found = chain.from_iterable([range(start, end + self._gap) for start, end in pieces])
            self._origins = list(islice(found, len(self.text)))
        return self._origins

    def span(self, start: int, end: int) -> Span:
        """The raw span ``[start, end)`` of a span of the view that is not empty."""
        origins = self.origins
        return (start, end) if origins is None else (origins[start], origins[end - 1] + 1)

    @classmethod
    def of(cls, raw: str, pieces: list[Span], gap: str = "") -> View:
        """The view that puts ``pieces`` of ``raw`` together, with ``gap`` (a character or nothing) between."""
        if not pieces:
            return NOTHING
        return cls(gap.join([raw[start:end] for start, end in pieces]), raw, pieces, len(gap))

    def __repr__(self) -> str:
        """The length alone: a view holds the prompt."""
        return f"<View of {len(self.text)} characters>"


NOTHING = View("")
"""The view of nothing."""


class Scanned:
    """What the scanner made of a prompt."""

    __slots__ = ("_negated", "_phrases", "joined", "literal", "negative", "options", "removed", "spaced")

    def __init__(
        self,
        raw: str,
        joined: View,
        spaced: View,
        *,
        negative: View = NOTHING,
        options: View = NOTHING,
        removed: tuple[Span, ...] = (),
        negated: tuple[Span, ...] = (),
    ) -> None:
        """Hold the views of ``raw``; ``negated`` are the raw spans of its negative parts."""
        self._negated = negated
        self._phrases: list[int] | None = None
        self.literal = joined if joined.text == raw else View(raw)
        """The prompt as it was typed. Here, what marks part is no expression: ``lantern (fish:0)`` is a lantern."""
        self.joined = joined
        """The positive text as the model reads it: marks and comments leave no trace, and what they part grows
        together."""
        self.spaced = spaced
        """The positive text with a space where marks stood, names and comments included. It is the same object as
        ``joined`` when both have the same words."""
        self.negative = negative
        """What the picture shall not show. Under ``auto`` the same text stands in the positive views as well."""
        self.options = options
        """Positive text too, and mostly empty: the options of a choice put together with the letters that they touch
        (``[a|b]c`` gives ``ac`` and ``bc``), and comments without their marks; a mark between them."""
        self.removed = removed
        """Raw spans of the comments."""

    def phrase(self, index: int) -> int:
        """The number of the phrase in which a raw index lies; two places with one number are in one segment."""
        if self._phrases is None:
            self._phrases = phrase_ends(self.literal.text, self._negated)
        return bisect_right(self._phrases, index)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The phrases of the prompt, and the names, links and parameters in it; worked out anew at each call.

        Those of the kind ``text`` follow one another from the first character to the last; the others lie inside them.
        Under ``auto``, text that only some front-ends read as negative is ``negative`` here too.
        """
        return find_segments(self.literal.text, self._negated)

    def __repr__(self) -> str:
        """The length alone: it holds the prompt."""
        return f"<Scanned prompt of {len(self.literal.text)} characters>"

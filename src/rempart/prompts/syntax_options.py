"""Options of a choice inside a word: ``[li|be]ght`` shows the model another word at each step."""

from __future__ import annotations

import re

from rempart.prompts.syntax_segments import Span

MAX_OPTIONS = 64
"""Options that are put together with their neighbours in one prompt; the rest is left to the other views."""

_LONGEST = 24  # letters of a neighbour, and characters of an option

# The innermost brackets that hold a choice. A bracket ends every run, so that each character is looked at once.
_CHOICE = re.compile(r"(?:[\[{](?=[^()\[\]{}|:]*[|:])|\((?=[^()\[\]{}|]*\|))([^()\[\]{}]*)[)\]}]")
_BAR, _COLON = re.compile(r"\|"), re.compile(r":")
_LETTERS_BEFORE = re.compile(r"[^\W_]+\Z")
_LETTERS_BEHIND = re.compile(r"[^\W_]+")
_COUNT = re.compile(r"\s*(?:[\d-]*\$\$|\d*\.?\d+::)")
_STEP = re.compile(r"\s*[\d.]+\s*")


def options_with_neighbours(raw: str) -> list[Span]:
    """Pieces of ``raw`` that give each option together with the letters that touch its choice.

    After the pieces of each option comes one more, of one character: the bracket that opened the choice, to part them.
    """
    found: list[Span] = []
    options = 0
    for choice in _CHOICE.finditer(raw):
        opening, behind = choice.span()
        if not raw[max(0, opening - 1) : opening].isalnum() and not raw[behind : behind + 1].isalnum():
            continue
        before = _LETTERS_BEFORE.search(raw, max(0, opening - _LONGEST), opening)
        after = _LETTERS_BEHIND.match(raw, behind, behind + _LONGEST)
        at = choice.start(1)
        parting = _BAR if "|" in choice[1] else _COLON
        for end in (*(mark.start() for mark in parting.finditer(raw, at, behind - 1)), behind - 1):
            start = count.end() if (count := _COUNT.match(raw, at, end)) else at
            at = end + 1
            if end - start > _LONGEST or (parting is _COLON and _STEP.fullmatch(raw, start, end)):
                continue
            spans = (before.span() if before else (0, 0), (start, end), after.span() if after else (0, 0))
            found += [span for span in spans if span[0] < span[1]]
            found.append((opening, opening + 1))
            options += 1
            if options == MAX_OPTIONS:
                return found
    return found

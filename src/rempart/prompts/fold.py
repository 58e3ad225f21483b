"""Folding: one spelling for what a reader sees as the same text, with the way back to the raw characters.

Source of the steps: Unicode's NFKC_Casefold (UAX #31 and UAX #44), the stream-safe limit of 30 combining marks
(UAX #15, section 13) and the property Default_Ignorable_Code_Point (DerivedCoreProperties.txt).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

MAX_MARKS = 30
"""Code points that may follow the first one of a cluster, decomposed; what is beyond is cut."""

MAX_UNFOLDED = 4
"""Letters to which one sign may unfold. The few that hold more are units, formulas and honorifics in one sign, no
spelling of a word; they stay as they are, so that the folded text is at most this many times as long as the raw one."""

_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")

# Default_Ignorable_Code_Point, and the interlinear annotation marks, which are as invisible.
_IGNORABLE_RANGES = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x200B, 0x200F),  # zero-width space, joiners, marks of direction
    (0x202A, 0x202E),  # embeddings and overrides of direction
    (0x2060, 0x206F),  # word joiner, invisible operators, isolates of direction
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF0, 0xFFFB),  # unassigned ignorables, interlinear annotation
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical format controls
    (0xE0000, 0xE0FFF),  # tag characters, supplementary variation selectors
)
_IGNORABLE = frozenset(chr(code) for low, high in _IGNORABLE_RANGES for code in range(low, high + 1))

# Hangul vowels and final consonants have no combining class, yet NFKC joins them to what stands before.
_HANGUL_TAIL = frozenset(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))

# Latin, Greek and Cyrillic letters, ASCII digits, marks and the space lie below this.
_DECORATED_BELOW = 0x0530


@dataclass(frozen=True, slots=True)
class Folded:
    """Folded text, and where each of its characters came from."""

    text: str
    pieces: tuple[list[int], list[int], list[int]] | None
    """Pieces of the text that came from one raw span each, in order: the folded index where a piece begins, the raw
    index of its first character, the raw index just behind its last. None when every folded index equals the raw one.
    """

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The raw span ``[start, end)`` of a folded span that is not empty."""
        if self.pieces is None:
            return start, end
        begins, firsts, lasts = self.pieces
        return firsts[bisect_right(begins, start) - 1], lasts[bisect_right(begins, end - 1) - 1]


def fold(raw: str) -> Folded:
    """Fold ``raw``: never raises, takes linear time, and folding the result changes nothing.

    Default-ignorable code points and controls other than white space leave no trace (a space in their place would cut
    words in two). Then come NFKC and case folding. Then the combining marks that compose with nothing are dropped from
    Latin, Greek and Cyrillic text, where they are mostly decoration: strike-through, stacks. Lone surrogates stay.
    """
    if raw.isascii() and not _ASCII_CONTROLS.search(raw):
        return Folded(raw.lower(), None)
    facts = [_facts(char) for char in raw]
    if not any(fact.tail or len(fact.folded) != 1 for fact in facts):
        return Folded("".join([fact.folded for fact in facts]), None)
    texts: list[str] = []
    begins: list[int] = []
    firsts: list[int] = []
    lasts: list[int] = []
    begin = 0
    for cluster, first, last in _clusters(raw, facts):
        text = _facts(cluster).folded if len(cluster) == 1 else _settle(cluster)
        texts.append(text)
        begins.append(begin)
        firsts.append(first)
        lasts.append(last)
        begin += len(text)
    return Folded("".join(texts), (begins, firsts, lasts))


class _Facts(NamedTuple):
    size: int
    """Code points of the full decomposition; 0 for what leaves no trace."""
    tail: bool
    """Whether it joins the cluster before it."""
    folded: str
    """What it folds to when it stands alone."""


def _clusters(raw: str, facts: list[_Facts]) -> Iterator[tuple[str, int, int]]:
    """The pieces of ``raw`` that can be folded one by one, each with its raw span.

    A cluster is one code point and the marks behind it. No cluster but the first begins with something that composes
    backwards, so the folded clusters, put together, need no folding again.
    """
    cluster, first, last, room = "", 0, 0, 0
    for index, (char, (size, tail, _)) in enumerate(zip(raw, facts, strict=True)):
        if size == 0:
            continue
        if tail and cluster:
            last = index + 1
            if size <= room:
                cluster += char
                room -= size
            continue
        if cluster:
            yield cluster, first, last
        cluster, first, last, room = char, index, index + 1, MAX_MARKS + 1 - size
    if cluster:
        yield cluster, first, last


@lru_cache(maxsize=1 << 16)
def _facts(char: str) -> _Facts:
    if char in _IGNORABLE or (unicodedata.category(char) == "Cc" and not char.isspace()):
        return _Facts(0, tail=False, folded="")
    decomposed = unicodedata.normalize("NFKD", char)
    if len(decomposed) > MAX_UNFOLDED:
        return _Facts(MAX_MARKS + 1, tail=False, folded=char)  # as large as that, it takes up no marks
    head = decomposed[0]
    tail = unicodedata.category(head).startswith("M") or head in _HANGUL_TAIL
    return _Facts(len(decomposed), tail, _settle(char))


@lru_cache(maxsize=1 << 14)
def _settle(cluster: str) -> str:
    """Fold one cluster: NFKC and case folding until neither changes it, then drop the decoration."""
    text = unicodedata.normalize("NFKC", cluster)
    while (again := unicodedata.normalize("NFKC", text.casefold())) != text:
        text = again
    if len(text) == 1 or text.isascii():
        return text
    kept: list[str] = []
    decorated = False
    for char in text:
        if unicodedata.category(char).startswith("M"):
            if not decorated:
                kept.append(char)
            continue
        decorated = ord(char) < _DECORATED_BELOW
        kept.append(char)
    return "".join(kept)

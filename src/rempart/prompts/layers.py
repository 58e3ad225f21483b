"""Layers: a text with a disguise of the whole text undone, whose places lead back to the text as it was given."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

from rempart.prompts.fold import Folded, fold
from rempart.prompts.letters import LOOK, LOOK_SIGNS, TURNED, TURNED_SIGNS
from rempart.prompts.tokens import Tokens, tokenize

BUDGET = 4
"""All layers together have at most this many times the characters of the text."""

_CODE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});|(?:%[0-9a-fA-F]{2})+")
_FEWEST_CODES = 2

_LATIN = re.compile("[A-Za-z]")
# Letters of the scripts of which whole words may look like Latin ones.
_NATIVE = re.compile("[\u0370-\u06ff]")
_WORD = re.compile(r"[^\W\d_]+")
_SIGNS = re.compile(r"[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Layer:
    """A text to read."""

    raw: str
    folded: Folded
    tokens: Tokens
    view: str = ""
    """The disguise that was undone; empty for the text as it was given."""
    strength: float = 1.0
    signals: frozenset[str] = frozenset()
    above: str = ""
    """The text in which letters were replaced, if they were, with as many characters."""
    origins: tuple[list[int], list[int]] | None = None
    """For each character of ``raw``, begin and end in the text as it was given; None when they are the same."""

    def place(self, start: int, end: int, base: Folded) -> tuple[int, int] | None:
        """Where a span of the folded text lies in ``base``, the one as it was given; None if nothing of it is there."""
        if not self.view:
            return start, end
        first, last = self.folded.span(start, end)
        if self.origins is not None:
            first, last = self.origins[0][first], self.origins[1][last - 1]
        return _folded_span(base, first, last)

    def within(self, first: int, last: int) -> tuple[int, int] | None:
        """Where a span of ``raw`` lies in the folded text; None when nothing of it is there."""
        return _folded_span(self.folded, first, last)

    def replaced(self, start: int, end: int) -> bool:
        """Whether a letter in this span of the folded text was replaced."""
        first, last = self.folded.span(start, end)
        return self.raw[first:last] != self.above[first:last]

    def cuts(self) -> list[int]:
        """Where folding removed characters without a trace: indices in the folded text, in order."""
        if self.folded.pieces is None:
            return []
        begins, firsts, lasts = self.folded.pieces
        return [at for at, first, last in zip(begins[1:], firsts[1:], lasts, strict=False) if first > last]


def _folded_span(folded: Folded, first: int, last: int) -> tuple[int, int] | None:
    if folded.pieces is None:
        return first, last
    begins, firsts, lasts = folded.pieces
    head, tail = bisect_right(lasts, first), bisect_left(firsts, last)
    if head >= tail:
        return None
    return begins[head], begins[tail] if tail < len(begins) else len(folded.text)


def layers(layer: Layer) -> Iterator[Layer]:
    """The layers that lie under ``layer``: none under most."""
    raw = layer.raw
    if layer.view in {"", "codes"}:
        if not raw.isascii():
            if not LOOK_SIGNS.isdisjoint(raw):
                yield from _alike(layer)
            if not TURNED_SIGNS.isdisjoint(raw):
                yield _below(layer, raw.translate(TURNED), "turned", 0.95, frozenset({"turned"}))
        if not layer.view and ("&" in raw or "%" in raw):
            yield from _decoded(layer)


def _below(layer: Layer, raw: str, view: str, strength: float, signals: frozenset[str]) -> Layer:
    """A layer with as many characters as ``layer``, each in the place of one."""
    folded = fold(raw)
    return Layer(raw, folded, tokenize(folded.text), view, strength, signals, layer.raw, layer.origins)


def _alike(layer: Layer) -> Iterator[Layer]:
    """The text with look-alikes replaced.

    Words wholly of another script are replaced only if no letter of such a script is left over anywhere: where one is,
    people write in it.
    """
    raw = layer.raw
    replaced = raw.translate(LOOK)
    mixed = any(_LATIN.search(word) and _NATIVE.search(word) for word in _WORD.findall(raw))
    if _NATIVE.search(replaced):
        replaced = _WORD.sub(_unless_native, raw)
        replaced = _SIGNS.sub(lambda found: found[0].translate(LOOK), replaced)
    if replaced != raw:
        signals = {"look-alikes"} | ({"mixed-scripts"} if mixed else set())
        yield _below(layer, replaced, "look-alike", 0.95, frozenset(signals))


def _unless_native(found: re.Match[str]) -> str:
    word = found[0]
    return word if _NATIVE.search(word) and not _LATIN.search(word) else word.translate(LOOK)


def _decoded(layer: Layer) -> Iterator[Layer]:
    """The text with entities and percent codes decoded once."""
    raw = layer.raw
    codes = list(_CODE.finditer(raw))
    if sum(1 if code[0][0] == "&" else len(code[0]) // 3 for code in codes) < _FEWEST_CODES:
        return
    parts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    for code in codes:
        first, last = code.span()
        char = unescape(code[0]) if code[0][0] == "&" else unquote(code[0], errors="replace")
        if char == code[0]:
            continue
        parts += (raw[at:first], char)
        begins += (*range(at, first), *[first] * len(char))
        ends += (*range(at + 1, first + 1), *[last] * len(char))
        at = last
    parts.append(raw[at:])
    begins += range(at, len(raw))
    ends += range(at + 1, len(raw) + 1)
    text = "".join(parts)
    folded = fold(text)
    yield Layer(text, folded, tokenize(folded.text), "codes", 0.9, frozenset({"codes"}), origins=(begins, ends))

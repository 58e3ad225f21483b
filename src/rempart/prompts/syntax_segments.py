"""Segments: the phrases of a prompt with their weights, and the names, links and parameters in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import islice, pairwise
from typing import NamedTuple

Span = tuple[int, int]
"""Where something begins, and just behind where it ends."""

NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
"""A weight or a step."""

TAG = r"(?i:lora|lyco|lycoris|hypernet|hypernetwork)\s*:(?P<name>[^<>]*)>"
"""A network that is loaded by its name, behind the opening angle bracket; the name has its weights behind it."""

_MAX_STRENGTHS = 3  # weights for the model, for the text encoder, and for what comes

ROUND, SQUARE, CURLY = 1.1, 1 / 1.1, 1.05
"""What brackets do to the weight of what they hold, after A1111 and NovelAI."""

MAX_BRACKETS = 1000
"""Brackets and bars up to which weights are worked out; beyond, all text is taken for plain."""

HEAVIEST = 1000.0
"""Weights are cut to this size; no front-end does anything sensible far below it."""

_BREAKS = re.compile(
    rf"""[,;|\n\r\u3001\u3002\uff0c\uff1b\uff01\uff1f\uff61]+ | [.!?](?=\s) | \#\#\# | \b(?:BREAK|AND)\b
    | ::(?!\s*{NUMBER}\s*\])(?:{NUMBER}(?![\w.]))? | (?<!\S)(?=--[a-z])""",
    re.VERBOSE,
)
_NAMED = re.compile(
    rf"""
      <(?P<lora>{TAG})
    | (?i:embedding|embed):(?P<embedding>[^\s,()\[\]{{}}<>|:]+)
    | (?P<wildcard>__[^\W_](?:[^\s_,()\[\]{{}}<>|]|_(?!_))*__)
    | (?P<url>(?:https?|ftp)://[^\s,<>()\[\]{{}}|\\"]+)
    | (?P<parameter>(?<!\S)--(?!no\b)[a-z]+)
    """,
    re.VERBOSE,
)
_KINDS = ("lora", "embedding", "wildcard", "url", "parameter")
_WEIGHTS = re.compile(rf"\\.|(?P<open>[(\[{{])|(?P<at>:\s*(?P<to>{NUMBER})\s*)?(?P<close>[)\]}}])|[|:]+", re.DOTALL)
_PART = re.compile(rf"(?P<before>(?<![\w.]){NUMBER})?::(?!\s*{NUMBER}\s*\])(?P<after>{NUMBER}(?![\w.]))?")
_STRENGTH = re.compile(rf"\s*({NUMBER})\s*")
_WORD = re.compile(r"[^\W_]")


class Segment(NamedTuple):
    """A part of a prompt, by its raw span."""

    start: int
    end: int
    weight: float = 1.0
    """The strongest weight of any of its text, for what brackets and numbers say; 1 is none."""
    negative: bool = False
    kind: str = "text"
    """``text``, ``lora``, ``embedding``, ``wildcard``, ``url`` or ``parameter``."""


def find_segments(raw: str, negated: tuple[Span, ...]) -> tuple[Segment, ...]:
    """The segments of ``raw``, by their beginning; takes linear time.

    Args:
        raw: the prompt as it was typed.
        negated: raw spans of its negative parts, in order, none inside another.
    """
    if not raw:
        return ()
    starts = [0, *phrase_ends(raw, negated)]
    phrases = list(pairwise([*starts, len(raw)]))
    weights: list[float | None] = [None] * len(phrases)
    for start, end, weight in _stretches(raw):
        for at in range(bisect_right(starts, start) - 1, len(phrases)):
            first, last = max(start, starts[at]), min(end, phrases[at][1])
            if first >= last:
                break
            if _WORD.search(raw, first, last):
                known = weights[at]
                weights[at] = weight if known is None else max(known, weight)
    negatives = [start for start, _ in negated]
    parts = _parts(raw)
    part_starts = [start for start, _, _ in parts]
    found: list[Segment] = []
    for (start, end), known in zip(phrases, weights, strict=True):
        weight = 1.0 if known is None else known
        part = bisect_right(part_starts, start) - 1
        if part >= 0 and start < parts[part][1]:
            weight = _cut(weight * parts[part][2])
        within = bisect_right(negatives, start) - 1
        found.append(Segment(start, end, weight, within >= 0 and start < negated[within][1]))
    for name in _NAMED.finditer(raw):
        kind = next(kind for kind in _KINDS if name[kind] is not None)
        start, end = tag_name(raw, *name.span("name")) if kind == "lora" else name.span(kind)
        strength = _STRENGTH.match(raw, end + 1) if kind == "lora" else None
        phrase = found[bisect_right(starts, start) - 1]
        weight = _cut(float(strength[1])) if strength else phrase.weight
        found.append(Segment(start, end, weight, phrase.negative, kind))
    return tuple(sorted(found, key=lambda segment: segment.start))


def tag_name(raw: str, start: int, end: int) -> Span:
    """The name in a tag without the weights behind it; any other text behind it counts as name."""
    for _ in range(_MAX_STRENGTHS):
        colon = raw.rfind(":", start, end)
        if colon < 0 or not _STRENGTH.fullmatch(raw, colon + 1, end):
            break
        end = colon
    return start, end


def phrase_ends(raw: str, negated: tuple[Span, ...]) -> list[int]:
    """Where the phrases of ``raw`` end and others begin, each behind the mark that ends it, in order."""
    ends = {found.end() for found in _BREAKS.finditer(raw)}
    ends.update(index for span in negated for index in span)
    ends -= {0, len(raw)}
    return sorted(ends)


def _stretches(raw: str) -> list[tuple[int, int, float]]:
    """The text between brackets, with the weight that all brackets around it give together."""
    tokens = list(islice(_WEIGHTS.finditer(raw), MAX_BRACKETS + 1))
    if len(tokens) > MAX_BRACKETS:
        return []
    factors = _factors(tokens)
    found: list[tuple[int, int, float]] = []
    running = [1.0]
    start = 0
    for at, token in enumerate(tokens):
        found.append((start, token.start(), running[-1]))
        start = token.end()
        if at in factors:
            running.append(_cut(running[-1] * factors[at]))
        elif token["close"] and len(running) > 1:
            running.pop()
    return [*found, (start, len(raw), running[-1])]


def _factors(tokens: list[re.Match[str]]) -> dict[int, float]:
    """What each opening bracket does to the weight, by its number among the tokens."""
    factors: dict[int, float] = {}
    opened: list[tuple[int, str]] = []
    choices: set[int] = set()
    for at, token in enumerate(tokens):
        if bracket := token["open"]:
            factors[at] = {"(": ROUND, "[": SQUARE, "{": CURLY}[bracket]
            opened.append((at, bracket))
        elif token["close"] and opened:
            opening, bracket = opened.pop()
            if bracket == "(" and token["to"]:
                factors[opening] = float(token["to"])
            elif bracket != "(" and (opening in choices or token["to"]):
                factors[opening] = 1.0  # a choice or a schedule: the options have their own weights
        elif opened and token[0][0] in "|:":
            choices.add(opened[-1][0])
    return factors


def _parts(raw: str) -> list[tuple[int, int, float]]:
    """What the numbers beside ``::`` weigh: the text behind one (NovelAI), or before one (Midjourney)."""
    found: list[tuple[int, int, float]] = []
    start, weight = 0, 1.0
    for mark in _PART.finditer(raw):
        factor = float(mark["after"]) if mark["after"] else weight
        found.append((start, mark.start(), _cut(factor)))
        start, weight = mark.end(), float(mark["before"]) if mark["before"] else 1.0
    return [*found, (start, len(raw), _cut(weight))] if found else []


def _cut(weight: float) -> float:
    return max(-HEAVIEST, min(HEAVIEST, weight))

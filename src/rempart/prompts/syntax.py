"""Syntax: what the marks of the front-ends make of a prompt before the model reads it.

Front-ends give brackets, colons, bars and comments a meaning of their own, so that what is typed is not what the model
sees: ``(wo)(rd)`` is one word for it. The scanner knows the forms of all front-ends at once and takes their marks out
in two ways, with nothing and with a space in their place; docs/prompt-syntax.md lists the forms. It is tolerant:
brackets need not match, no text is an error, and what is no form stays as it is.

Own grammar, written from the documentation of the front-ends and from what they do to prompts.
"""

from __future__ import annotations

import re
from itertools import pairwise

from rempart.prompts.syntax_left_out import find_comments, find_negatives
from rempart.prompts.syntax_options import options_with_neighbours
from rempart.prompts.syntax_segments import NUMBER, TAG, Segment, Span, tag_name
from rempart.prompts.syntax_views import Scanned, View

__all__ = ["SYNTAXES", "Scanned", "Segment", "View", "scan"]

SYNTAXES = (
    "auto",
    "plain",
    "a1111",
    "comfyui",
    "novelai",
    "midjourney",
    "invokeai",
    "dynamicprompts",
    "fooocus",
    "horde",
)
"""Names of the front-ends. To name one settles only what that front-end leaves out: comments and negative parts."""

# Nothing but these can be a mark. Colons and dashes are common in prose, so they are looked at more closely.
_MARK = re.compile(r"[()\[\]{}<>\\+#/]")
# Marks that do more than to stand for nothing; without one of them, a table of characters does all the work.
_MORE = re.compile(
    r"[/+#]|:\s*[+-]?\.?\d|::|<\s*[a-zA-Z]+\s*:|[(\[{][:|]|[:|][)\]}]|\$\$|\)\.(?:and|blend|or)\(|\)\d*\.\d|--"
)
_WITHOUT = dict.fromkeys(map(ord, "()[]{}<>\\"))
_APART = dict.fromkeys(_WITHOUT, " ")
_BRACKET = re.compile(r"[()\[\]{}<>\\]")
_GLUE = re.compile(r"(?:[^\W_]|[^\x00-\x7f])[()\[\]{}<>\\]++(?:[^\W_]|[^\x00-\x7f])")

_NEAR_MARK = re.compile(r":\s*[+-]?\.?\d|::|--[\s,]|--\Z|(?<!\S)--[a-z]")

# Parameters of Midjourney that take a number. All others stay: for another front-end they are words like any.
_PARAMETERS = (
    "ar|aspect|v|version|niji|s|stylize|c|chaos|weird|seed|sameseed|stop"
    "|iw|sw|cw|ow|q|quality|repeat|r|exp|w|h|width|height"
)

# What is taken out. It begins with one class of characters, so that prose is passed over at the speed of C, and no
# alternative can begin again inside a run that it has looked through before, so that any text takes linear time.
_SYNTAX = re.compile(
    rf"""
    [()\[\]{{}}<>\\:|+-](?:
      # <lora:name:0.8>
      (?<=<){TAG}
      # the rest of a link, and rows of colons; they stay
    | (?<=:)(?P<kept>//[^\s<>()\[\]{{}}|\\"]+|::+)
      # (a:1.2)  [a:b:9]  [a::9]
    | (?<=:)(?P<weight>(?:(?<!\d:)|(?=\s*[+-]?\d*\.)):?\s*{NUMBER}\s*)(?:\\?[)\]])+
      # a:1.2 at the end of a phrase
    | (?<=[^\W\d_]:|[)"'\]\s]:)(?P<bare>{NUMBER}(?=\s*(?:[,;|\n]|AND\b|BREAK\b|\Z)))
      # 1.5::a::  a::2
    | (?<=:)(?P<part>:(?:{NUMBER}(?![\w.]))?)
      # an empty option before a closing bracket: [a|]
    | (?<=[:|])(?<![:|][:|])[:|]*+(?=[)\]}}])
      # a++
    | (?<=\+)(?:\++|(?<=[\w)"']\+)(?=[\s,)\]}}]|\Z))
      # a--
    | (?<=[\w)"']-)-+(?=[\s,)\]}}]|\Z)
      # --ar 16:9 where its value ends the prompt, or another one follows
    | (?:(?<=\s-)|(?<=\A-))-(?:{_PARAMETERS})\s+[\d.:/]+(?=\s*(?:,|--|\Z))
      # brackets and escapes, and behind them: {{2$$a|b}}  [|a]  ("a", "b").blend(.5, .5)  (a b)1.3
    | (?<=[()\[\]{{}}<>\\])[()\[\]{{}}<>\\]*+(?:
          (?<=\{{)\s*[\d-]*\$\$
        | (?<=[(\[{{])[:|]++(?!\s*[+-]?[\d.])
        | (?<=\))\.(?:and|blend|or)\([\d.,\s+-]*\)
        | (?<=\))\d*\.\d+
      )?
    )
    """,
    re.VERBOSE,
)

_NUMBER_BEFORE = re.compile(r"(?:(?<![\w.])\d+|(?<![\d.])[+-]\d+|(?<![\d.])[+-]?\d*\.\d+)\Z")
_NUMBER_ROOM = 12  # characters in which a number before "::" is looked for
_SHORTEST_AGE = 2  # digits; a longer whole number beside "::" may be an age, so the spaced view keeps it

# A whole number behind one of these is an age for all front-ends that know no such weight.
_LEADS = (
    *("age", "aged", "ages", "alter", "âge", "edad", "edades", "età", "idade", "idades", "leeftijd", "wiek"),
    *("возраст", "возраста", "yaş", "年齢", "年龄", "나이"),
)
_LEAD_ROOM = 16  # characters before a colon in which such a word is looked for


def scan(raw: str, syntax: str = "auto") -> Scanned:
    """Read the marks of ``raw``: never fails on a text, and takes linear time.

    Args:
        raw: the prompt as it was typed.
        syntax: one of :data:`SYNTAXES`. With ``auto``, text that only some front-ends read as negative stands in the
            positive views too, because all others show it to the model.

    Raises:
        ValueError: there is no such syntax.
    """
    if syntax not in SYNTAXES:
        raise ValueError(f"no such prompt syntax; there are {', '.join(SYNTAXES)}")
    if not _MARK.search(raw) and not ((":" in raw or "--" in raw) and _NEAR_MARK.search(raw)):
        view = View(raw)
        return Scanned(raw, view, view)
    if syntax != "invokeai" and not _MORE.search(raw):
        joined = View(raw.translate(_WITHOUT), raw)
        spaced = View(raw.translate(_APART)) if _GLUE.search(raw) else joined
        return Scanned(raw, joined, spaced, options=View.of(raw, options_with_neighbours(raw)))
    comments = find_comments(raw, syntax)
    marked, negated = find_negatives(raw, syntax)
    pieces: list[Span] = []
    named: list[Span] = []  # what only the spaced view shows
    options: list[Span] = []
    at = 0
    for start, end, shown in sorted([*((*span, True) for span in comments), *((*span, False) for span in marked)]):
        if start >= at:
            _split(raw, at, start, pieces, named)
            at = end
            if shown:
                _comment(raw, start, end, named, options)
    _split(raw, at, len(raw), pieces, named)
    negative: list[Span] = []
    for start, end in negated:
        _split(raw, start, end, negative, negative)
    joined = View.of(raw, pieces)
    return Scanned(
        raw,
        joined,
        View.of(raw, sorted(pieces + named), " ") if named or _glued(raw, pieces) else joined,
        negative=View.of(raw, sorted(negative), " "),
        options=View.of(raw, options + options_with_neighbours(raw)),
        removed=tuple(comments),
        negated=tuple(negated),
    )


def _comment(raw: str, start: int, end: int, named: list[Span], options: list[Span]) -> None:
    """Show what a comment holds to the spaced view, and what its marks part as one to the options."""
    first, last = (start + 2, end - 2) if raw.startswith("/*", start) else (start + 1, end)
    if not _BRACKET.search(raw, first, last):
        named.append((first, last))
        return
    _split(raw, first, last, named, named)
    _split(raw, first, last, options, options)
    options.append((start, start + 1))


def _split(raw: str, start: int, end: int, pieces: list[Span], named: list[Span]) -> None:
    """Take a part of ``raw`` to pieces.

    Args:
        raw: the prompt.
        start: where the part begins.
        end: where it ends.
        pieces: gets what is left of it without its marks.
        named: gets what else the spaced view shows.
    """
    at = start
    weighted = False  # inside of 1.5::a::
    for mark in _SYNTAX.finditer(raw, start, end):
        first, last = mark.span()
        kind = mark.lastgroup
        if kind == "kept":
            continue
        if kind == "name":
            named.append(tag_name(raw, *mark.span("name")))
        elif kind == "part":
            first, weighted = _part(raw, at, mark, named, weighted=weighted)
        elif kind and _is_age(raw, first, mark[kind]):
            first = mark.end(kind)
        if first > at:
            pieces.append((at, first))
        at = last
    if at < end:
        pieces.append((at, end))


def _part(raw: str, at: int, mark: re.Match[str], named: list[Span], *, weighted: bool) -> tuple[int, bool]:
    """Read a "::" with its numbers.

    Args:
        raw: the prompt.
        at: where the piece before it begins.
        mark: the "::" and the number behind it.
        named: gets what only the spaced view shows.
        weighted: whether an earlier ``1.5::`` waits for its end.

    Returns:
        Where the piece before it ends, and whether a weighted part begins here.
    """
    first = mark.start()
    number = _NUMBER_BEFORE.search(raw, max(at, first - _NUMBER_ROOM), first)
    if _may_be_age(mark["part"][1:]):
        named.append((first + 2, mark.end()))
    if not number and not weighted:
        return first + 2, False  # "a:: b" are two prompts, so what stands between them stays
    named.append((first, first + 2))  # NovelAI reads one prompt, with a weight on a part of it; Midjourney reads two
    if number and _may_be_age(number[0]):
        named.append(number.span())
    return number.start() if number else first, number is not None


def _is_age(raw: str, colon: int, number: str) -> bool:
    """Whether the number behind a colon says an age: ``(age: 7)``, ``aged:7``."""
    if "." in number:
        return False
    before = raw[max(0, colon - _LEAD_ROOM) : colon].rstrip().casefold()
    if not before.endswith(_LEADS):
        return False
    lead = max((lead for lead in _LEADS if before.endswith(lead)), key=len)
    return not before.removesuffix(lead)[-1:].isalpha()


def _may_be_age(number: str) -> bool:
    return len(number) >= _SHORTEST_AGE and number.isdecimal()


def _glued(raw: str, pieces: list[Span]) -> bool:
    """Whether letters or digits that marks part touch each other once these are gone."""
    return any(_is_wordlike(raw[before[1] - 1]) and _is_wordlike(raw[behind[0]]) for before, behind in pairwise(pieces))


def _is_wordlike(char: str) -> bool:
    return char.isalnum() or not char.isascii()

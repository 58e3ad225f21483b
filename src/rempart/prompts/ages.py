"""Ages said in English, in digits or in words: "7-year-old", "aged seven", "age of 7", "7 yo", "18 months old".

What the age is the age of (a person, a whisky) is not told apart yet: every age counts.
"""

from __future__ import annotations

import re

from rempart.prompts.fold import Folded
from rempart.prompts.tokens import Tokens
from rempart.prompts.verdict import AgeHit

_UNITS = {
    word: unit
    for unit, words in {
        "years": ("year", "years", "yr", "yrs", "y"),
        "months": ("month", "months", "mo", "mos", "mth", "mths"),
        "weeks": ("week", "weeks", "wk", "wks"),
        "days": ("day", "days"),
    }.items()
    for word in words
}
_LEADS = frozenset({"age", "aged", "ages"})
_ANCHORS = _LEADS | {"old", "olds", "yo", "y"}

_DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEEN_WORDS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ONES = {word: value for value, word in enumerate(_DIGIT_WORDS)}
_SMALL = _ONES | {word: value for value, word in enumerate(_TEEN_WORDS, start=10)}
_TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS, start=2)}
_LARGE = frozenset({"hundred", "thousand", "million", "billion"})
_HYPHENS = frozenset("-\u2010")
_GROUP = 3  # digits between two commas of a long number
_MAX_DIGITS = 3  # longer numbers are no ages of persons, and int() of a very long one is slow

# "age 7", "age: 7", "age = 7", "age (7)" but not "golden age, 7 ships".
_LEAD_GAP = re.compile(r"\s*(?:[^\s,;.!?]{1,3}\s*)?")


def find_ages(tokens: Tokens, folded: Folded) -> tuple[AgeHit, ...]:
    """The ages below 1,000 in ``tokens``, in order, with their raw spans; takes linear time."""
    if _ANCHORS.isdisjoint(tokens.words):
        return ()
    hits: list[AgeHit] = []
    at = 0
    while at < len(tokens.words):
        first = _behind_lead(tokens, at)
        number = _number(tokens, first)
        if number is None:
            at += 1
            continue
        value, last = number
        unit, last = _unit(tokens.words, last, led=first > at)
        if value is not None and unit:
            start, end = folded.span(tokens.spans[at][0], tokens.spans[last][1])
            hits.append(AgeHit(value, unit, start, end))
        at = last + 1
    return tuple(hits)


def _behind_lead(tokens: Tokens, at: int) -> int:
    """Where the number of "aged N", "age N" or "age of N" would be; ``at`` itself when no such word is there."""
    words = tokens.words
    if words[at] not in _LEADS:
        return at
    first = at + 2 if words[at + 1 : at + 2] == ["of"] else at + 1
    if first >= len(words) or not _LEAD_GAP.fullmatch(tokens.text, tokens.spans[first - 1][1], tokens.spans[first][0]):
        return at
    return first


def _number(tokens: Tokens, at: int) -> tuple[int | None, int] | None:
    """The number that begins at ``at``, and its last token; its value is None when it is too large for an age."""
    words = tokens.words
    value: int | None = None
    if words[at].isdecimal():
        value, last = _digits(tokens, at)
    elif small := _small(tokens, at):
        value, last = small
    elif words[at] in _LARGE:
        last = at
    else:
        return None
    large = words[at] in _LARGE
    while words[last + 1 : last + 2] and words[last + 1] in _LARGE:
        last += 1
        large = True
    if large:
        # "a hundred and two"; without "and" the next number is one of its own: "a hundred seven-year-olds".
        rest = _small(tokens, last + 2) if words[last + 1 : last + 2] == ["and"] else None
        return None, rest[1] if rest else last
    if words[last + 1 : last + 4] == ["and", "a", "half"]:
        last += 3
    return value, last


def _digits(tokens: Tokens, at: int) -> tuple[int | None, int]:
    words, last = tokens.words, at
    digits = words[at]
    while _between(tokens, last) == "," and words[last + 1].isdecimal() and len(words[last + 1]) == _GROUP:
        last += 1
        digits += words[last]
    if _between(tokens, last) == "." and words[last + 1].isdecimal():
        last += 1  # a fraction makes nobody older
    digits = digits.lstrip("0") or "0"
    return (int(digits) if len(digits) <= _MAX_DIGITS else None), last


def _small(tokens: Tokens, at: int) -> tuple[int, int] | None:
    """A number below a hundred in words, and its last token."""
    words = tokens.words
    word = words[at] if at < len(words) else ""
    if word in _SMALL:
        return _SMALL[word], at
    if word not in _TENS:
        return None
    # "twenty seven-year-olds" are twenty of them, aged seven; "twenty-seven-year-olds" are not.
    counted = (_between(tokens, at) or "").isspace() and _between(tokens, at + 1) in _HYPHENS
    if not counted and at + 1 < len(words) and words[at + 1] in _ONES:
        return _TENS[word] + _ONES[words[at + 1]], at + 1
    return _TENS[word], at


def _between(tokens: Tokens, at: int) -> str | None:
    """The text between a token and the next, None behind the last one."""
    if at + 1 >= len(tokens.words):
        return None
    return tokens.text[tokens.spans[at][1] : tokens.spans[at + 1][0]]


def _unit(words: list[str], last: int, *, led: bool) -> tuple[str, int]:
    """The unit behind the number whose last token is ``last``, and the last token of the age; "" when it is no age."""
    following = words[last + 1 : last + 4]
    head = following[0] if following else ""
    if head == "yo":
        return "years", last + 1
    if following[:2] == ["y", "o"]:
        return "years", last + 2
    unit = _UNITS.get(head, "")
    if unit and following[1:2] in (["old"], ["olds"]):
        return unit, last + 2
    if unit and following[1:] == ["of", "age"]:
        return unit, last + 3
    if led:
        return (unit, last + 1) if unit else ("years", last)
    return "", last

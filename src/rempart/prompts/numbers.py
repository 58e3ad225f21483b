"""Numbers of a prompt, in digits or in words, as far as they can be ages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from rempart.prompts.age_tables import AgeTables
from rempart.prompts.phrases import ALL_LANGUAGES, Found
from rempart.prompts.tokens import Tokens

_HYPHENS = frozenset("-\u2010")
_DASHES = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2212~/")
_GROUP = 3  # digits between two commas of a long number
_BEFORE, _BEHIND = 6, 8  # tokens around a number, one of which must belong to an age
_MAX_DIGITS = 3  # longer numbers are no ages of persons, and int() of a very long one is slow
_ADULT = 18

# Roman numerals that are no other word.
_NUMERALS = "iii iv . vi vii viii ix . xi xii xiii xiv xv xvi xvii xviii xix xx xxi"
_ROMAN = {numeral: value for value, numeral in enumerate(_NUMERALS.split(), start=3) if numeral != "."}

_Kind = Literal["count", "fraction", "roman", "ordinal", "whole"]


class Numbers(NamedTuple):
    """A number and where it stands, or the numbers of a range."""

    first: int
    last: int
    value: int | None
    """The lowest of a range; None when it is too large for an age."""
    languages: int
    kind: _Kind = "count"
    """``whole`` is a word that is an age by itself, with its unit."""
    unit: str = ""


def read_numbers(tokens: Tokens, tables: AgeTables) -> Iterator[Numbers]:
    """The numbers of ``tokens`` that may be ages, in order, those of a range together; takes linear time."""
    words, starts = tokens.words, tables.number_words
    held: Numbers | None = None
    at = 0
    while at < len(words):
        word = words[at]
        number = None
        if word in starts or word in _ROMAN or word.isdecimal():
            around = words[max(0, at - _BEFORE) : at + _BEHIND]
            if not tables.triggers.isdisjoint(around) or tokens.text.startswith("+", tokens.spans[at][1]):
                number = _number(tokens, at, tables)
        if number is None:
            at += 1
            continue
        at = number.last + 1
        if held and _ranged(tokens, held, number, tables):
            if held.value is not None and number.value is not None:
                number = number._replace(value=min(held.value, number.value))
            held = number._replace(first=held.first)
            continue
        if held:
            yield held
        held = number
    if held:
        yield held


def _ranged(tokens: Tokens, one: Numbers, other: Numbers, tables: AgeTables) -> bool:
    """Whether two numbers are the ends of a range: "8-12", "8 to 12", "between 8 and 12"."""
    if one.kind in {"ordinal", "whole"}:
        return False
    if other.first == one.last + 1:
        return _gap(tokens, one.last).strip(" ") in _DASHES
    link = tables.ranges.after(tokens, one.last, one.languages & other.languages)
    if link is None and (link := tables.ands.after(tokens, one.last, one.languages & other.languages)):
        link = link if tables.between.before(tokens, one.first, link.languages) else None
    if link is None or link.last + 1 != other.first:
        return False
    unit = tables.sure.after(tokens, other.last) or tables.units.after(tokens, other.last)
    return bool(link.languages & (unit.languages if unit else ALL_LANGUAGES))


def _number(tokens: Tokens, at: int, tables: AgeTables) -> Numbers | None:
    word = tokens.words[at]
    if compound := tables.compounds.get(word):
        value, unit, languages = compound
        return Numbers(at, at, value, languages, "whole", unit)
    if pupil := tables.grade_words.starting(tokens, at):
        return Numbers(at, pupil.last, pupil.value, pupil.languages, "whole", "grade")
    if word.isdecimal():
        number = _digits(tokens, at, tables)
    elif word in _ROMAN:
        return Numbers(at, at, _ROMAN[word], ALL_LANGUAGES, "roman")
    elif found := tables.numbers.starting(tokens, at):
        number = Numbers(at, found.last, found.value, found.languages)
        if found.last > at and _gap(tokens, at).isspace() and _gap(tokens, found.last) in _HYPHENS:
            # "twenty seven-year-olds" are twenty of them, aged seven; "twenty-seven-year-olds" are not.
            alone = tables.numbers.starting(Tokens(word, [word], [(0, len(word))]), 0)
            return Numbers(at, at, alone.value, alone.languages) if alone else number
    elif large := tables.large.starting(tokens, at):
        return _with_rest(tokens, large.last, Numbers(at, large.last, None, large.languages), tables)
    elif ordinal := tables.ordinals.starting(tokens, at):
        return Numbers(at, ordinal.last, ordinal.value, ordinal.languages, "ordinal")
    else:
        return None
    if large := tables.large.after(tokens, number.last):
        return _with_rest(tokens, large.last, number._replace(value=None, languages=large.languages), tables)
    half = tables.halves.after(tokens, number.last, number.languages)
    return number._replace(last=half.last) if half else number


def _with_rest(tokens: Tokens, last: int, number: Numbers, tables: AgeTables) -> Numbers:
    """``number``, which ends with hundreds or more at ``last``, with what is added to it: "a hundred and two"."""
    while large := tables.large.after(tokens, last):
        last = large.last
    joiner = tables.large_joiners.after(tokens, last, number.languages)
    # Where a language joins them with a word, a number without it is one of its own: "a hundred seven-year-olds".
    if joiner or not number.languages & tables.joining:
        rest = tables.numbers.after(tokens, (joiner.last if joiner else last), number.languages)
        last = rest.last if rest else last
    return number._replace(last=last)


def _digits(tokens: Tokens, at: int, tables: AgeTables) -> Numbers:
    words, last = tokens.words, at
    kind: _Kind = "count"
    digits = words[at]
    while _gap(tokens, last) == "," and words[last + 1].isdecimal() and len(words[last + 1]) == _GROUP:
        last += 1
        digits += words[last]
    if last == at and len(digits) == 1:
        last, digits = _spaced(tokens, at, tables)
    gap = _gap(tokens, last)
    if gap == "." and words[last + 1].isdecimal():
        last += 1  # a fraction makes nobody older
        kind = "fraction"
    elif mark := _ordinal_mark(tokens, last, gap, tables):
        last = mark.last
        kind = "ordinal"
    digits = digits.lstrip("0") or "0"
    return Numbers(at, last, int(digits) if len(digits) <= _MAX_DIGITS else None, ALL_LANGUAGES, kind)


def _ordinal_mark(tokens: Tokens, last: int, gap: str, tables: AgeTables) -> Found[None] | None:
    """What makes "5th" of the digits that end at ``last``; Russian sets it off with a hyphen."""
    if gap and (gap != "-" or tokens.words[last + 1].isascii()):
        return None
    return tables.ordinal_marks.after(tokens, last)


def _spaced(tokens: Tokens, at: int, tables: AgeTables) -> tuple[int, str]:
    """Digits that were set apart, as tokenised prompts have them: "1 2 years old"; their last token, and all of them.

    "2 5-year-olds" are two, aged five: where the digits could be that, and would make an adult together, they stay
    apart.
    """
    words, last = tokens.words, at
    while last - at + 1 < _MAX_DIGITS and _gap(tokens, last) == " " and _is_digit(words[last + 1]):
        last += 1
    digits = "".join(words[at : last + 1])
    if last == at or int(digits) < _ADULT:
        return last, digits
    unit = tables.units.after(tokens, last) or tables.sure.after(tokens, last)
    if unit is None or _gap(tokens, last) in _HYPHENS or "olds" in words[unit.first : unit.last + 2]:
        return at, words[at]
    return last, digits


def _is_digit(word: str) -> bool:
    return len(word) == 1 and word.isdecimal()


def _gap(tokens: Tokens, at: int) -> str:
    """The text between a token and the next; a line break behind the last one, which joins with nothing."""
    if at + 1 >= len(tokens.words):
        return "\n"
    return tokens.text[tokens.spans[at][1] : tokens.spans[at + 1][0]]

"""Ages said in a prompt, in digits or in words: "7-year-old", "aged seven", "12 ans", "zwölfjährig", "5th grader".

Every language is read at once, because the language of a short prompt is anybody's guess; the words of one expression
must share a language, though. What is not certain counts as an age of nobody in particular.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rempart.prompts.age_tables import AgeTables, age_tables
from rempart.prompts.cjk_ages import find_cjk_ages
from rempart.prompts.fold import Folded
from rempart.prompts.governs import Governs
from rempart.prompts.numbers import Numbers, read_numbers
from rempart.prompts.phrases import ALL_LANGUAGES, Found
from rempart.prompts.tokens import Tokens
from rempart.prompts.verdict import AgeHit

MAX_NUMBERS = 50
"""Numbers next to words of age that are looked at in one text; the rest of it counts as one age of 0 years."""

_MAX_GLUE = 3  # words such as "of about" that may stand between "age" and its number
_SCHOOL_NEAR = 4  # tokens within which a word of school, or a person, makes a school class of "grade 5"
_LEAST_LETTERS = 3  # shorter limits are prepositions, which limit much besides ages
_PERSONAL_UNITS = frozenset({"years", "months"})
_LEAST_DECIMAL = 3  # "(aged:1.2)" is the weight of a word, not an age

# "age: 7", "age = 7", "age (7)" but not "golden age. 7 ships".
_LEAD_GAP = re.compile(r"\s*(?:[^\s,;.!?]{1,3}\s*)?")

# Behind a number: a percentage, a temperature, an amount, a time, a ratio, a decimal.
_OTHER_NUMBER = re.compile(r"\s?[%°$€£]|[:/][^\s]|\.\d")


class _Age(NamedTuple):
    """An age, in tokens."""

    first: int
    last: int
    value: int
    unit: str
    languages: int


class _Limit(NamedTuple):
    """What makes an age of "under 18" or "over 18"."""

    first: int
    last: int
    under: bool
    languages: int
    bare: bool = True
    """Whether it makes an age of a number without a unit."""


def find_ages(tokens: Tokens, folded: Folded) -> tuple[AgeHit, ...]:
    """The ages below 1,000 in ``tokens``, in order, with their raw spans; takes linear time and never raises.

    The age of a thing or an animal is among them, ``cancelled``. School classes have the unit ``grade``, and as value
    the years that their pupils have at least. Of a range the value is the lowest; under 18 is 17. Behind
    :data:`MAX_NUMBERS` the rest of the text is one age of 0 years.
    """
    tables = age_tables()
    hits: list[AgeHit] = []
    if tables.may_say_age(tokens):
        governs = Governs(tokens, tables)
        for age in _Reader(tokens, tables, governs).ages():
            category, cancelled = governs.of(age.first, age.last, age.languages)
            start, end = folded.span(tokens.spans[age.first][0], tokens.spans[age.last][1])
            hits.append(AgeHit(age.value, age.unit, start, end, category, cancelled))
    if not folded.text.isascii() and (others := find_cjk_ages(folded)):
        hits = sorted((*hits, *others), key=lambda hit: hit.start)
    return tuple(hits)


class _Reader:
    """Reads the ages of one text."""

    def __init__(self, tokens: Tokens, tables: AgeTables, governs: Governs) -> None:
        self._tokens = tokens
        self._tables = tables
        self._governs = governs

    def ages(self) -> Iterator[_Age]:
        """The ages, in order; they do not overlap."""
        free = 0  # the first token that no age has taken yet
        for count, numbers in enumerate(read_numbers(self._tokens, self._tables)):
            if count == MAX_NUMBERS:
                yield _Age(max(free, numbers.first), len(self._tokens.words) - 1, 0, "years", 0)
                return
            age = self._school_class(numbers) or self._age(numbers)
            if age and numbers.first >= free:
                yield age._replace(first=max(age.first, free))
                free = age.last + 1

    def _age(self, numbers: Numbers) -> _Age | None:
        tables, first, last, value = self._tables, numbers.first, numbers.last, numbers.value
        if value is None or numbers.kind == "ordinal":
            return None
        lead = self._lead(numbers)
        start = lead.first if lead else first
        limit = self._limit(start, last)
        if numbers.kind == "whole":
            return _limited(_Age(first, last, value, numbers.unit, numbers.languages), limit)
        spoken = numbers.languages
        sure = tables.sure.after(self._tokens, last, spoken)
        found = sure or tables.units.after(self._tokens, last, spoken)
        if found is None:
            return self._without_unit(numbers, lead, limit)
        limit = limit or self._limit_behind(start, found.last)
        end = found.last if sure else self._end(first, found, lead, limit)
        return None if end is None else _limited(_Age(start, end, value, found.value, found.languages), limit)

    def _end(self, first: int, unit: Found[str], lead: Found[None] | None, limit: _Limit | None) -> int | None:
        """The last token of the age that a number from ``first`` on and its unit are; None for a stretch of time."""
        tokens, tables, languages = self._tokens, self._tables, unit.languages
        if old := tables.old.after(tokens, unit.last, languages):
            return old.last
        if lead:
            return unit.last
        before = limit.first if limit else first
        if tables.span_after.after(tokens, unit.last, languages):
            return None
        if tables.span_before.before(tokens, before, languages):
            return None
        if tables.bare.starting(tokens, unit.first, languages):
            following = tokens.words[unit.last + 1 : unit.last + 2]
            decade = not tokens.words[first].isdecimal() and "".join(following).isdecimal()  # "dos anos 80"
            return None if decade else unit.last
        if tables.alone.starting(tokens, unit.first, languages) and self._stands_alone(unit.last):
            return unit.last
        if limit and limit.under and unit.value == "years":
            return unit.last
        beside = unit.value in _PERSONAL_UNITS and self._governs.person_beside(first, unit.last, languages)
        return unit.last if beside else None

    def _without_unit(self, numbers: Numbers, lead: Found[None] | None, limit: _Limit | None) -> _Age | None:
        """The age of "aged 7", "under 18", "just turned 12", "a child of 12"."""
        value, first, last = numbers.value or 0, numbers.first, numbers.last
        if numbers.kind == "roman":
            return None
        if lead:
            weight = numbers.kind == "fraction" and value < _LEAST_DECIMAL
            pronoun = value == 1 and not self._tokens.words[last].isdecimal() and self._governs.joined(last)
            age = _Age(lead.first, last, value, "years", lead.languages)
            return None if weight or pronoun else _limited(age, limit)
        if not self._tables.may_be_bare(value) or not self._stands_alone(last):
            return None
        if (
            limit
            and limit.bare
            and limit.languages & numbers.languages
            and (limit.first == first or self._governs.joined(first - 1))
        ):
            return _limited(_Age(first, last, value, "years", limit.languages & numbers.languages), limit)
        if turned := self._tables.turns.before(self._tokens, first, numbers.languages):
            return _Age(first, last, value, "years", turned.languages)
        return _Age(first, last, value, "years", numbers.languages) if self._governs.person_of(first) else None

    def _lead(self, numbers: Numbers) -> Found[None] | None:
        """The "age of" before a number."""
        tokens, at = self._tokens, numbers.first
        for _ in range(_MAX_GLUE + 1):
            if at == 0 or not _LEAD_GAP.fullmatch(tokens.text, tokens.spans[at - 1][1], tokens.spans[at][0]):
                return None
            if lead := self._tables.leads.before(tokens, at, numbers.languages):
                return lead
            glue = self._tables.glue.before(tokens, at)
            if glue is None:
                return None
            at = glue.first
        return None

    def _limit(self, first: int, last: int) -> _Limit | None:
        """The "under" before or the "and older" behind the tokens ``first`` to ``last``."""
        return self._limit_before(first) or self._limit_behind(first, last)

    def _limit_before(self, first: int) -> _Limit | None:
        for _ in range(_MAX_GLUE):
            for phrases, under in ((self._tables.under, True), (self._tables.over, False)):
                if found := phrases.before(self._tokens, first):
                    negated = self._tables.nots.before(self._tokens, found.first, found.languages) is not None
                    bare = len(self._tokens.words[found.last]) >= _LEAST_LETTERS
                    return _Limit(found.first, found.last, under != negated, found.languages, bare)
            glue = self._tables.glue.before(self._tokens, first)
            if glue is None:
                return None
            first = glue.first
        return None

    def _limit_behind(self, first: int, last: int) -> _Limit | None:
        end = self._tokens.spans[last][1]
        if self._tokens.text[end : end + 1] == "+":
            return _Limit(first, last, under=False, languages=ALL_LANGUAGES)
        for phrases, under in ((self._tables.under_after, True), (self._tables.over_after, False)):
            if found := phrases.after(self._tokens, last):
                return _Limit(first, found.last, under, found.languages)
        return None

    def _stands_alone(self, last: int) -> bool:
        """Whether the number that ends with ``last`` counts nothing that follows and measures nothing else."""
        tokens = self._tokens
        if _OTHER_NUMBER.match(tokens.text, tokens.spans[last][1]):
            return False
        if not self._governs.joined(last):
            return True
        word = tokens.words[last + 1]
        nouns = self._tables.nouns()
        return word == "s" or word in nouns.stops or word in nouns.persons or self._limit_behind(last, last) is not None

    def _school_class(self, numbers: Numbers) -> _Age | None:
        """The class at school of "third grade", "grade 5", "5. Klasse"."""
        tokens, tables, first, last, value = self._tokens, self._tables, numbers.first, numbers.last, numbers.value
        if value is None or numbers.kind not in {"count", "ordinal"}:
            return None
        found = tables.grades.after(self._tokens, last, numbers.languages)
        if found and not found.value.ahead:
            last = found.last
        elif found := tables.grades.before(self._tokens, first, numbers.languages):
            first = found.first
        else:
            return None
        grade, languages = found.value, found.languages
        if not grade.least <= value <= grade.most:
            return None
        if grade.sure == "never" or (grade.sure == "ordinal" and numbers.kind != "ordinal"):
            around = tokens.words[max(0, first - _SCHOOL_NEAR) : last + 1 + _SCHOOL_NEAR]
            if tables.nouns(languages).schools.isdisjoint(around):
                return None
        return _Age(first, last, value + grade.offset, "grade", languages)


def _limited(age: _Age, limit: _Limit | None) -> _Age:
    """``age`` with the limit that was set to it; who is under 18 may be 17."""
    if limit is None:
        return age
    value = max(0, age.value - 1) if limit.under else age.value
    return age._replace(first=min(age.first, limit.first), last=max(age.last, limit.last), value=value)

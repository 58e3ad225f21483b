"""What an age is the age of: a person, an animal, a thing, or nothing that is certain.

Only what is certain cancels an age. A word that is in no table could be the person, so an age next to one stays.
"""

from __future__ import annotations

import re

from rempart.prompts.age_tables import AgeTables, Nouns
from rempart.prompts.tokens import Tokens

_REACH = 6  # tokens of the noun phrase behind an age
_BACK = 8  # tokens of the clause before an age
_MAX_COPULAS = 3

_JOINED = re.compile(r"[ \t_'\u2019\-\u2010\u2011]*")
_COMMA = re.compile(r"[ \t]*[,:(\u2013\u2014][ \t]*")


class Governs:
    """Answers for the ages of one text."""

    def __init__(self, tokens: Tokens, tables: AgeTables) -> None:
        """Take the text, and the tables that name persons and things."""
        self._tokens = tokens
        self._tables = tables
        self._unknown: dict[int, tuple[int, int]] = {}
        """The first and the last token that is no known word or a person, for each set of languages that was asked."""

    def of(self, first: int, last: int, languages: int) -> tuple[str, bool]:
        """What the age from token ``first`` to ``last`` is the age of, and whether that cancels it."""
        nouns = self._tables.nouns(languages)
        words = self._tokens.words
        if not nouns.persons.isdisjoint(words[first : last + 1]):
            return "person", False  # "menor de 12": the limit is a word for a person
        before = first - 1
        while before >= 0 and first - before <= _MAX_COPULAS and words[before] in nouns.copulas and self.joined(before):
            before -= 1
        if self.joined(before):
            if words[before] in nouns.persons:
                return "person", False
            certain = words[before] in nouns.known or words[before] in self._tables.number_words
        else:
            certain = True
        category = self._behind(last, nouns)
        if category != "person" and (not certain or not category or before < first - 1):
            category = self._before(before, first, last, languages)
        return category, category in {"thing", "animal"}

    def person_beside(self, first: int, last: int, languages: int) -> bool:
        """Whether a person stands right before the token ``first``, a comma or "of" between, or behind ``last``."""
        words, bearers = self._tokens.words, self._tables.nouns(languages).bearers
        if self.joined(last) and words[last + 1] in bearers:
            return True
        near = self.joined(first - 1) or self._comma(first - 1)
        return near and (words[first - 1] in bearers or self.person_of(first))

    def person_of(self, first: int) -> bool:
        """Whether the token ``first`` is the number of "a child of 12"; a parent of 12 has that many."""
        words, nouns = self._tokens.words, self._tables.nouns()
        return (
            self.joined(first - 2)
            and self.joined(first - 1)
            and words[first - 1] in nouns.of
            and words[first - 2] in nouns.bearers
        )

    def joined(self, at: int) -> bool:
        """Whether nothing but blanks, hyphens and apostrophes stands between the token ``at`` and the next."""
        spans = self._tokens.spans
        if not 0 <= at < len(spans) - 1:
            return False
        return _JOINED.fullmatch(self._tokens.text, spans[at][1], spans[at + 1][0]) is not None

    def _behind(self, last: int, nouns: Nouns) -> str:
        """What the noun phrase behind the age is about; its last noun decides, and a person before all others."""
        words, category = self._tokens.words, ""
        for at in range(last, last + _REACH):
            if not self.joined(at):
                return category
            word = words[at + 1]
            if word in nouns.persons:
                return "person"
            if word in nouns.things:
                category = "thing"
            elif word in nouns.animals:
                category = "animal"
            elif word in nouns.stops:
                # "a 12 year old dog and redhead" may both be 12; "… and a redhead" are not.
                coupled = word in nouns.joins and self.joined(at + 1) and words[at + 2] not in nouns.stops
                return "" if coupled else category
            elif word not in nouns.modifiers:
                return ""
        return ""

    def _before(self, at: int, first: int, last: int, languages: int) -> str:
        """What the words before the age are about: a person, or a thing if nothing else could be meant.

        For that every word of the clause must be known, and none a person; across a comma, every word of the text,
        because in a list of tags any of them may be the one that is so old.
        """
        words, nouns = self._tokens.words, self._tables.nouns(languages)
        across = not self.joined(at)
        if across and not self._comma(at):
            return ""
        owned = words[at] in nouns.of and self.joined(at - 1)
        at -= owned
        if words[at] in nouns.persons:
            return "person"
        while words[at] in nouns.modifiers and self.joined(at - 1):
            at -= 1
        category = "thing" if words[at] in nouns.things else "animal" if words[at] in nouns.animals else ""
        if not category:
            return ""
        if across:
            return category if self._nothing_else(first, last, languages) else ""
        reach = 1 if owned else _BACK
        for back in range(at, at - reach, -1):
            if not self.joined(back - 1):
                return category
            if words[back - 1] not in nouns.known:
                return ""
        return category if owned else ""

    def _nothing_else(self, first: int, last: int, languages: int) -> bool:
        """Whether every word of the text but those from ``first`` to ``last`` is known and no person."""
        if languages not in self._unknown:
            known = self._tables.nouns(languages).known
            places = [at for at, word in enumerate(self._tokens.words) if word not in known]
            self._unknown[languages] = (places[0], places[-1]) if places else (first, last)
        lowest, highest = self._unknown[languages]
        return first <= lowest and highest <= last

    def _comma(self, at: int) -> bool:
        """Whether one comma, or what does its work, stands between the token ``at`` and the next."""
        spans = self._tokens.spans
        return at >= 0 and _COMMA.fullmatch(self._tokens.text, spans[at][1], spans[at + 1][0]) is not None

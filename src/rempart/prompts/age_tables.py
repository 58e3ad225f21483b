"""The words that ages are said with: one data file a language, read once and put together for look-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from rempart.errors import PackError
from rempart.prompts.phrases import ALL_LANGUAGES, Phrases
from rempart.prompts.tokens import Tokens

FOLDER = Path(__file__).with_name("tables") / "ages"

_BARE_LOWEST, _BARE_HIGHEST = 10, 21

# Letters as they are typed where the keyboard has no others; German also writes a second letter for the dots.
_PLAIN = str.maketrans("àáâãäåąçćèéêëęğìíîïıñńòóôõöśşùúûüźżłё", "aaaaaaacceeeeegiiiiinnooooossuuuuzzl\u0435")
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_SPECIAL = frozenset(map(chr, _PLAIN))

_Words = tuple[str, ...]
_Units = dict[Literal["years", "months", "weeks", "days"], _Words]


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words for a class at school, and how old its pupils are at least."""

    words: _Words
    least: int
    most: int
    offset: int
    """Years to add to the number of the class."""
    sure: Literal["always", "ordinal", "never"]
    """Whether a number with the word is a class even where nothing else speaks of school or of a person."""
    ahead: bool = False
    """Whether the word stands only before its number."""


class AgeLanguage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data file of one language; every entry is folded, with one space between words."""

    language: str
    numbers: dict[str, int]
    large: _Words
    large_joiners: _Words
    """What joins a number to the hundreds before it."""
    halves: _Words
    units: _Units
    bare: _Words
    """Units that make an age of a number without another word."""
    alone: _Words
    """Units that do so where nothing is counted or measured by them: not "30 Jahre Frieden"."""
    old: _Words
    """What makes an age of a number and a unit."""
    sure: _Units
    """Words that are unit and "old" in one."""
    stems: dict[str, int]
    endings: _Units
    """A stem and an ending make one word that is number, unit and "old"."""
    leads: _Words
    """What stands before the number of an age."""
    glue: _Words
    """What may stand between that, or a limit, and the number."""
    turns: _Words
    """Verbs that are followed by an age or by another number."""
    ranges: _Words
    ands: _Words
    between: _Words
    under: _Words
    over: _Words
    nots: _Words
    under_after: _Words
    over_after: _Words
    span_before: _Words
    """What makes a stretch of time of the number and unit behind it."""
    span_after: _Words
    ordinals: dict[str, int]
    ordinal_marks: _Words
    grades: tuple[Grade, ...]
    grade_words: dict[str, int]
    """Expressions for the pupils of one class, with their age."""
    schools: _Words
    persons: _Words
    pronouns: _Words
    parents: _Words
    """Persons of whom "of 3" tells how many others there are."""
    things: _Words
    animals: _Words
    modifiers: _Words
    stops: _Words
    """Words that end the noun phrase behind an age: articles, prepositions, verbs."""
    copulas: _Words
    of: _Words
    hints: _Words
    """Ages whose words are too common to look closer at every text that has one of them."""


class Nouns:
    """What an age can be the age of, and the words around it, in some languages."""

    def __init__(self, languages: Iterable[AgeLanguage]) -> None:
        """Put the words of ``languages`` together."""

        def merge(name: str) -> frozenset[str]:
            return frozenset(form for data in chosen for form in _forms(getattr(data, name)))

        chosen = tuple(languages)
        self.nouns = merge("persons")
        self.persons = self.nouns | merge("pronouns")
        self.bearers = self.nouns - merge("parents")
        """Persons who are themselves as old as the number next to them says."""
        self.schools = merge("schools") | self.nouns
        self.things, self.animals = merge("things"), merge("animals")
        self.modifiers = merge("modifiers") - self.things
        self.stops, self.copulas, self.of = merge("stops"), merge("copulas"), merge("of")
        self.joins = merge("ands") | merge("ranges")
        known = self.things | self.animals | self.modifiers | self.stops | self.copulas | self.of
        self.known = known - self.persons
        """The words that are no person, and behind which none can hide."""


class AgeTables:
    """All languages together."""

    def __init__(self, languages: Iterable[AgeLanguage]) -> None:
        """Put the data of ``languages`` together."""
        self._languages = tuple(languages)
        self._nouns: dict[int, Nouns] = {}
        rows = [(data, 1 << place) for place, data in enumerate(self._languages)]

        def merge(name: str) -> Phrases[None]:
            return Phrases((form, None, bit) for data, bit in rows for form in _forms(getattr(data, name)))

        def values(name: str) -> Phrases[int]:
            return Phrases(entry for data, bit in rows for entry in _entries(getattr(data, name), bit))

        def units(name: str) -> Phrases[str]:
            return Phrases(
                (form, unit, bit)
                for data, bit in rows
                for unit, texts in getattr(data, name).items()
                for form in _forms(texts)
            )

        self.numbers, self.ordinals, self.grade_words = values("numbers"), values("ordinals"), values("grade_words")
        self.large, self.large_joiners, self.halves = merge("large"), merge("large_joiners"), merge("halves")
        self.joining = sum(bit for data, bit in rows if data.large_joiners)
        """The languages that join a number to the hundreds before it with a word."""
        self.units, self.sure = units("units"), units("sure")
        self.bare, self.alone, self.old = merge("bare"), merge("alone"), merge("old")
        self.leads, self.glue, self.turns = merge("leads"), merge("glue"), merge("turns")
        self.ranges, self.ands, self.between = merge("ranges"), merge("ands"), merge("between")
        self.under, self.over, self.nots = merge("under"), merge("over"), merge("nots")
        self.under_after, self.over_after = merge("under_after"), merge("over_after")
        self.span_before, self.span_after = merge("span_before"), merge("span_after")
        self.ordinal_marks = merge("ordinal_marks")
        self.grades = Phrases(
            (form, grade, bit) for data, bit in rows for grade in data.grades for form in _forms(grade.words)
        )
        self.compounds: dict[str, tuple[int, str, int]] = {
            stem + ending: (value, unit, bit)
            for data, bit in rows
            for unit, texts in data.endings.items()
            for ending in tuple(_forms(texts))
            for stem, value, _ in _entries(data.stems, bit)
        }
        words = (self.numbers.firsts, self.large.firsts, self.ordinals.firsts, self.grade_words.firsts, self.compounds)
        self.number_words = frozenset().union(*words)
        """The words that a number can begin with, digits and Roman numerals apart."""

        years = Phrases(
            (form, None, 0)
            for data in self._languages
            for unit in ("years", "months")
            for form in _forms(data.units[unit])
        )
        telling = (years, self.bare, self.old, self.sure, self.leads, self.grades)
        hinted = {word for data in self._languages for hint in data.hints for word in hint.split(" ")}
        wholes = self.grade_words.telling, self.compounds
        self._anchors = frozenset().union(*wholes, *(phrases.telling for phrases in telling)) - hinted
        self._hints = tuple(hint for data in self._languages for hint in data.hints)
        common = {form for data in self._languages for form in (*data.stops, *data.glue, *data.ranges)}
        bare = {
            form
            for data in self._languages
            for text, value in data.numbers.items()
            if self.may_be_bare(value)
            for form in spellings(text)
        }
        self._limits = frozenset(bare - common).union(str(value) for value in range(_BARE_LOWEST, _BARE_HIGHEST + 1))

        limits = (self.under, self.over, self.under_after, self.over_after)
        others = (self.units, self.turns, *limits)
        self.triggers = self._anchors.union(hinted, self.nouns().of, *(phrases.telling for phrases in others))
        """One of these words stands near every number that is an age."""

    def may_say_age(self, tokens: Tokens) -> bool:
        """Whether a text in words with spaces can hold an age; quick, and true of few texts that hold none."""
        return not (
            self._anchors.isdisjoint(tokens.words)
            and self._limits.isdisjoint(tokens.words)
            and not any(hint in tokens.text for hint in self._hints)
        )

    @staticmethod
    def may_be_bare(value: int) -> bool:
        """Whether a number of this size next to a limit, without a unit, is taken for an age: "under 18"."""
        return _BARE_LOWEST <= value <= _BARE_HIGHEST

    def nouns(self, languages: int = ALL_LANGUAGES) -> Nouns:
        """The nouns of some languages."""
        if languages not in self._nouns:
            chosen = (data for place, data in enumerate(self._languages) if languages >> place & 1)
            self._nouns[languages] = Nouns(chosen)
        return self._nouns[languages]


def spellings(text: str) -> set[str]:
    """``text``, and how it is typed without the letters of its language."""
    if text.isascii() or _SPECIAL.isdisjoint(text):
        return {text}
    return {text, text.translate(_PLAIN), text.translate(_GERMAN).translate(_PLAIN)}


def _forms(texts: Iterable[str]) -> Iterable[str]:
    return (form for text in texts for form in spellings(text))


def _entries(values: Mapping[str, int], bit: int) -> Iterable[tuple[str, int, int]]:
    return ((form, value, bit) for text, value in values.items() for form in spellings(text))


@cache
def age_tables() -> AgeTables:
    """The shipped tables; they are read when this is first called.

    Raises:
        PackError: a table is missing or broken, so ages cannot be read and nothing can be screened.
    """
    return AgeTables(read_languages(FOLDER))


def read_languages(folder: Path) -> list[AgeLanguage]:
    """The data files of a folder.

    Raises:
        PackError: there is none, or one is broken.
    """
    try:
        files = sorted(folder.glob("*.json"))
        languages = [msgspec.json.decode(file.read_bytes(), type=AgeLanguage) for file in files]
    except (OSError, ValueError) as error:
        raise PackError(f"a table of ages is broken ({type(error).__name__}); install rempart again") from None
    if not languages:
        raise PackError("the tables of ages are missing; install rempart again")
    return languages

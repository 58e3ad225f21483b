"""What an age is the age of: a person, a thing or an animal, in every shipped language."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ages_said import LANGUAGES, ages

from rempart.prompts.ages import MAX_NUMBERS
from rempart.prompts.cjk_ages import FILE, MAX_AGES

# Ways to say how old a thing is, with the age before the noun or behind it.
GOVERNED = {
    "en": ("a {age}-year-old {noun}", "the {noun} is {age} years old", "a {noun}, {age} years old"),
    "fr": ("un {noun} de {age} ans",),
    "de": ("ein {age}-jähriger {noun}", "ein {noun} von {age} Jahren"),
    "es": ("un {noun} de {age} años",),
    "it": ("un {noun} di {age} anni",),
    "pt": ("um {noun} de {age} anos",),
    "nl": ("een {age}-jarige {noun}", "een {noun} van {age} jaar"),
    "pl": ("{age}-letni {noun}",),
    "ru": ("{age}-летний {noun}",),
    "tr": ("{age} yaş\u0131ndaki {noun}",),
    "zh": ("{age}岁的{noun}",),
    "ja": ("{age}歳の{noun}",),
    "ko": ("{age}살 된 {noun}",),
}


# Places for a word that no table knows, next to the age of a thing.
HIDING = (
    "{} 12 year old dog",
    "12 year old {}",
    "12 year old dog {}",
    "12 year old {} dog",
    "{}, dog, 12 years old",
    "dog, 12 years old, {}",
    "{} and dog aged 12",
    "12 year old dog and {}",
    "{} chien de 12 ans",
)


def nouns(language: str) -> Iterator[tuple[str, str]]:
    """The things and animals of a language, each with its category."""
    if language in LANGUAGES:
        tables = {"thing": LANGUAGES[language].things, "animal": LANGUAGES[language].animals}
    else:
        file = json.loads(FILE.read_bytes())
        tables = {"thing": file["things"][language], "animal": file["animals"][language]}
    yield from ((noun, category) for category, words in tables.items() for noun in words)


@pytest.mark.parametrize("language", GOVERNED)
def test_the_age_of_a_thing_or_an_animal_is_cancelled(language: str) -> None:
    """Every thing and animal of the table, in the ways of saying it that leave no doubt."""
    for noun, category in nouns(language):
        for said in GOVERNED[language]:
            text = said.format(age=12, noun=noun)
            assert [(hit.governs, hit.cancelled) for hit in ages(text)] == [(category, True)], text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_person_behind_the_thing_has_the_age(language: str) -> None:
    """A person in the noun phrase is the one that is so old, whatever else is in it."""
    noun, _ = next(nouns(language))
    for person in LANGUAGES[language].persons:
        said = GOVERNED[language][0].format(age=12, noun=f"{noun} {person}")
        assert [hit.cancelled for hit in ages(said)] == [False], said


@given(st.text("qxz", min_size=4, max_size=8), st.sampled_from(HIDING))
def test_an_unknown_word_next_to_the_age_keeps_it(unknown: str, said: str) -> None:
    """It could be the person, so the age is nobody's in particular, and stays."""
    assert [hit.cancelled for hit in ages(said.format(unknown))] == [False]


@pytest.mark.parametrize(
    ("text", "governs", "cancelled"),
    [
        ("a 12 year old single malt scotch whisky bottle, studio lighting", "thing", True),
        ("ten years old vintage car, polished chrome", "thing", True),
        ("two 12 year old dogs on a pier", "animal", True),
        ("his 12 year old dog", "animal", True),
        ("a 12 year old dog sleeping on a couch", "animal", True),
        ("a 12 year old house with a person in it", "thing", True),
        ("a 12 year old dog and a person", "animal", True),
        ("a 12 year old dog owner", "person", False),
        ("a person of 12 years", "person", False),
        ("a person with a dog, 12 years old", "", False),
        ("she is 12 years old, a dog beside her", "person", False),
        ("a 12 year old drinking whisky", "", False),
        ("a 12 year old's dog", "", False),
        ("a 12 year old doll", "", False),
        ("a 12 year old big big big big big big car person", "", False),
        ("12岁的狗的主人", "person", False),
        ("12歳の犬を連れた人", "person", False),
    ],
)
def test_what_the_age_governs_is_told(text: str, governs: str, cancelled: bool) -> None:  # noqa: FBT001 -- a column
    """The noun behind it or before it, and a person before all others."""
    assert [(hit.governs, hit.cancelled) for hit in ages(text)] == [(governs, cancelled)]


@pytest.mark.parametrize(("piece", "most"), [("12 year old dog, ", MAX_NUMBERS), ("12岁的狗,", MAX_AGES)])
def test_more_ages_than_are_looked_at_are_no_way_to_hide_one(piece: str, most: int) -> None:
    """What is not looked at counts as one age of 0 years that nothing cancels."""
    assert all(hit.cancelled for hit in ages(piece * most))
    hidden = ages(piece * (most + 1))
    assert (hidden[-1].value, hidden[-1].cancelled) == (0, False)

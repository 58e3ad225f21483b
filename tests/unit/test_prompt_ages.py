"""Ages said in a prompt, in every shipped language, and what they are the ages of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import PackError
from rempart.prompts import AgeHit
from rempart.prompts.age_tables import FOLDER, AgeTables, read_languages, spellings
from rempart.prompts.ages import MAX_NUMBERS, find_ages
from rempart.prompts.cjk_ages import FILE, MAX_AGES
from rempart.prompts.fold import fold
from rempart.prompts.tokens import tokenize

LANGUAGES = {data.language: data for data in read_languages(FOLDER)}

# Ways to say how old somebody is; every number of the language must be understood in each.
SAID = {
    "en": ("{} years old", "aged {}", "{}-year-old", "{} years of age", "age: {}"),
    "fr": ("{} ans", "âgée de {} ans", "{} ans d'âge", "age de {} ans"),
    "de": ("{} Jahre alt", "im Alter von {} Jahren", "{} jährige", "{} jaehriger"),
    "es": ("{} años", "edad de {} años", "de {} años de edad", "{} anos"),
    "it": ("{} anni", "all'età di {} anni", "{} anni di età"),
    "pt": ("{} anos", "{} anos de idade", "idade de {} anos"),
    "nl": ("{} jaar oud", "{} jaar", "{}-jarige", "leeftijd: {}"),
    "pl": ("{} lat", "w wieku {} lat", "{}-letnia"),
    "ru": ("{} лет", "в возрасте {} лет", "{}-летний", "{} года"),
    "tr": ("{} yaş\u0131nda", "{} yaş\u0131ndaki", "{} yasinda", "yaş: {}"),
    "zh": ("{}岁", "{}歲的人", "年龄：{}岁"),  # noqa: RUF001 -- the colon of that language is meant
    "ja": ("{}歳", "{}才の人", "年齢は{}歳"),
    "ko": ("{}살", "{} 살의 사람", "만 {}세"),
}

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

NEUTRAL = ("dusk", "sunset", "harbour", "watercolour", "fog")

PIECES = (
    "age",
    "aged",
    "of",
    "7",
    "17",
    ",",
    ".",
    "year",
    "years",
    "old",
    "yo",
    "y",
    "o",
    "and",
    "hundred",
    "ten",
    "a",
)


def ages(text: str) -> tuple[AgeHit, ...]:
    """The ages in a text."""
    folded = fold(text)
    return find_ages(tokenize(folded.text), folded)


def nouns(language: str) -> Iterator[tuple[str, str]]:
    """The things and animals of a language, each with its category."""
    if language in LANGUAGES:
        tables = {"thing": LANGUAGES[language].things, "animal": LANGUAGES[language].animals}
    else:
        file = json.loads(FILE.read_bytes())
        tables = {"thing": file["things"][language], "animal": file["animals"][language]}
    yield from ((noun, category) for category, words in tables.items() for noun in words)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("a 7-year-old oak", 7, "years"),
        ("a 7 year old oak", 7, "years"),
        ("oaks, 7 years old", 7, "years"),
        ("two 7-year-olds", 7, "years"),
        ("a 7yr old oak", 7, "years"),
        ("a 7-yr-old oak", 7, "years"),
        ("oak 7yo", 7, "years"),
        ("oak 7 y/o", 7, "years"),
        ("oak, 7 y.o.", 7, "years"),
        ("oak aged 7", 7, "years"),
        ("oak, age 7", 7, "years"),
        ("oak (age: 7)", 7, "years"),
        ("an oak at the age of 7", 7, "years"),
        ("aged seven years", 7, "years"),
        ("7 years of age", 7, "years"),
        ("seven_years_old", 7, "years"),
        ("SEVENTEEN YEARS OLD", 17, "years"),
        ("a twenty-one year old oak", 21, "years"),
        ("a thirty year old oak", 30, "years"),
        ("18 months old", 18, "months"),
        ("aged 18 months", 18, "months"),
        ("three weeks old", 3, "weeks"),
        ("two days old", 2, "days"),
        ("two and a half years old", 2, "years"),
        ("a twenty seven year old oak", 27, "years"),
        ("twenty seven-year-olds", 7, "years"),
        ("a hundred seven-year-olds", 7, "years"),
        ("5,000 and a 7 year old oak", 7, "years"),
        ("aged   \n   7", 7, "years"),
        ("18.5 years old", 18, "years"),
        ("12,13 years old", 13, "years"),
        ("007 years old", 7, "years"),
        ("\uff17 years old", 7, "years"),
        ("\u0667 years old", 7, "years"),
        ("7 ye\u200bars o\u00adld", 7, "years"),
        ("1 2 years old", 12, "years"),
        ("1 0 yo", 10, "years"),
        ("2 5 year olds", 5, "years"),
        ("2 5 year old", 25, "years"),
        ("between 8 and 12 years old", 8, "years"),
        ("8-12 year olds", 8, "years"),
        ("8 to 12 years old", 8, "years"),
        ("ages 8 and up", 8, "years"),
        ("12yearold", 12, "years"),
        ("tenyearold", 10, "years"),
        ("XII years old", 12, "years"),
        ("just turned 12", 12, "years"),
        ("a person of 12", 12, "years"),
        ("a person, 12 years", 12, "years"),
        ("third grade", 8, "grade"),
        ("a 5th grader", 10, "grade"),
        ("a grade 5 classroom", 10, "grade"),
        ("a year 7 pupil", 11, "grade"),
        ("élève de sixième", 11, "grade"),
        ("une personne d'un an", 1, "years"),
        ("3 mois d'âge", 3, "months"),
        ("quatre-vingt-dix-sept ans", 97, "years"),
        ("Drittklässlerin", 8, "grade"),
        ("Schüler der 5. Klasse", 10, "grade"),
        ("6-monatiges", 6, "months"),
        ("zwischen acht und zwölf Jahren", 8, "years"),
        ("quinceañera", 15, "years"),
        ("quattordicenne", 14, "years"),
        ("dwudziestopięcioletni", 25, "years"),
        ("uczeń 3 klasy", 9, "grade"),
        ("третьеклассник", 9, "grade"),
        ("двенадцатилетняя", 12, "years"),
        ("on iki yaş\u0131nda", 12, "years"),
        ("十二歲", 12, "years"),
        ("三四岁", 3, "years"),
        ("十几岁", 10, "years"),
        ("小学3年生", 8, "grade"),
        ("中学2年生", 13, "grade"),
        ("大学3年生", 21, "grade"),
        ("三年级", 8, "grade"),
        ("8到12岁", 8, "years"),
        ("생후 6개월", 6, "months"),
        ("生後3ヶ月", 3, "months"),
        ("열두 살", 12, "years"),
        ("십오 세", 15, "years"),
        ("초등학교 3학년", 8, "grade"),
    ],
)
def test_an_age_is_found_however_it_is_written(text: str, value: int, unit: str) -> None:
    """Digits, words, hyphens, short forms, ranges and school classes all give the number and its unit."""
    assert [(hit.value, hit.unit) for hit in ages(text)] == [(value, unit)]


@pytest.mark.parametrize(
    "text",
    [
        "7 oaks",
        "the old oak",
        "age of sail",
        "the golden age, 7 ships",
        "year 7",
        "a 7 year plan",
        "5,000 years old",
        "a hundred and two years old",
        "two hundred and two years old",
        "ten thousand years old",
        "1234 years old",
        "old",
        "aged",
        "age of",
        "y o",
        "12 years of experience",
        "after 3 years",
        "a 10-year anniversary",
        "more than five years",
        "five or six hundred years old",
        "your age one is ready",
        "age of empires 2",
        "aged care",
        "(aged:1.2)",
        "first class train",
        "a grade 8 bolt",
        "turned 15 degrees",
        "under 18 degrees",
        "over 18 lighthouses",
        "tipped over on a couch",
        "a parent of 12",
        "12 lighthouses",
        "il y a 12 ans",
        "die Nummer 85 an",
        "des dix phares",
        "30 Jahre Frieden",
        "od 10 do 18",
        "12 ans d'expérience",
        "seit 12 Jahren",
        "hace 12 años",
        "12 anni fa",
        "os dos anos 80",
        "12 jaar geleden",
        "12 lat temu",
        "5 лет назад",
        "летний день, 12 деревьев",
        "21세기",
        "이 세 사람",
        "오세아니아",
        "十二才能",
    ],
)
def test_what_is_no_age_is_not_taken_for_one(text: str) -> None:
    """Other numbers, stretches of time, other senses of the words, and ages that no person has."""
    assert ages(text) == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("under 18", 17),
        ("below 18 years of age", 17),
        ("younger than 13", 12),
        ("no older than 18", 17),
        ("not over 18", 17),
        ("over 18", 18),
        ("older than 18", 18),
        ("at least 18", 18),
        ("18+", 18),
        ("18 or older", 18),
        ("minimum age 18", 18),
        ("not under 18", 18),
        ("no one under 18", 18),
        ("over 12 years old", 12),
        ("moins de 18 ans", 17),
        ("plus de 18 ans", 18),
        ("unter 18", 17),
        ("über 18", 18),
        ("menor de 18 años", 17),
        ("mayor de 18 años", 18),
        ("sotto i 18 anni", 17),
        ("menor de 18 anos", 17),
        ("jonger dan 18", 17),
        ("poniżej 18 lat", 17),
        ("младше 18 лет", 17),
        ("18 yaş\u0131ndan küçük", 17),
        ("18 yaş\u0131ndan büyük", 18),
        ("未满18岁", 17),
        ("18岁以上", 18),
        ("18歳未満", 17),
        ("18세 미만", 17),
    ],
)
def test_a_limit_says_on_which_side_the_age_is(text: str, value: int) -> None:
    """Who is under 18 may be 17; who is over 18, or not under it, is an adult."""
    assert [hit.value for hit in ages(text)] == [value]


@pytest.mark.parametrize("language", SAID)
def test_every_number_is_understood_in_digits(language: str) -> None:
    """One to ninety-nine, in every way of saying it."""
    for said in SAID[language]:
        for value in range(1, 100):
            assert [hit.value for hit in ages(said.format(value))] == [value], said.format(value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_is_understood_in_words(language: str) -> None:
    """Every number word of the table, also as it is typed without accents."""
    for word, value in LANGUAGES[language].numbers.items():
        for form in spellings(word):
            assert [hit.value for hit in ages(SAID[language][0].format(form))] == [value], form


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_that_is_a_whole_age_is_understood(language: str) -> None:
    """Number, unit and "old" in one word, as German and the Slavic languages have them."""
    data = LANGUAGES[language]
    for stem, value in data.stems.items():
        for unit, endings in data.endings.items():
            for ending in endings:
                assert [(hit.value, hit.unit) for hit in ages(stem + ending)] == [(value, unit)], stem + ending


@given(
    st.sampled_from([said for ways in SAID.values() for said in ways]),
    st.integers(1, 99),
    st.sampled_from(NEUTRAL),
    st.sampled_from(NEUTRAL),
)
def test_neutral_text_around_an_age_changes_nothing(said: str, value: int, before: str, behind: str) -> None:
    """The age is found wherever it stands, it stays, and its span is where it stands."""
    raw = f"{before}, {said.format(value)}, {behind}"
    (hit,) = ages(raw)
    assert hit.value == value
    assert not hit.cancelled
    assert str(value) in raw[hit.start : hit.end] in said.format(value)


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


@pytest.mark.parametrize("text", ["17 years old", "215 months old", "900 weeks old", "999 days old", "0 years old"])
def test_an_age_below_eighteen_years_is_under_age(text: str) -> None:
    """Whatever the unit, the age is compared with eighteen years."""
    assert [hit.under_adult for hit in ages(text)] == [True]


@pytest.mark.parametrize("text", ["18 years old", "216 months old", "936 weeks old", "forty years old"])
def test_an_age_from_eighteen_years_is_adult(text: str) -> None:
    """The eighteenth birthday is the line, to the day."""
    assert [hit.under_adult for hit in ages(text)] == [False]


def test_the_span_is_that_of_the_whole_expression_in_the_raw_text() -> None:
    """The span covers number and words, as they were typed."""
    raw = "an o\u00adak, \uff17 YEARS o\u200bld, and an elm aged nine, \uff11\uff12歳"
    assert [raw[hit.start : hit.end] for hit in ages(raw)] == ["\uff17 YEARS o\u200bld", "aged nine", "\uff11\uff12歳"]


@given(st.lists(st.sampled_from(PIECES)))
def test_no_order_of_these_words_breaks_it(words: list[str]) -> None:
    """Spans are inside the text, in order, and do not overlap."""
    text = " ".join(words)
    before = 0
    for hit in ages(text):
        assert before <= hit.start < hit.end <= len(text)
        before = hit.end


@given(st.text("歳岁살세才年生级月大十二百열두이0 12.-至から未满的の犬人,", max_size=30))
def test_no_order_of_these_signs_breaks_it(text: str) -> None:
    """Spans are inside the text, in order, and do not overlap."""
    before = 0
    for hit in ages(text):
        assert before <= hit.start < hit.end <= len(text)
        before = hit.end


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    """Whatever the text, spans are inside it and not empty."""
    assert all(0 <= hit.start < hit.end <= len(text) for hit in ages(text))


@pytest.mark.parametrize(
    "piece",
    [
        "7,000,",
        "hundred and ",
        "hundred and ten ",
        "twenty ",
        "aged" + " " * 500,
        "age of ",
        "7 ",
        "aged ",
        "777",
        "ten year ",
        "12 years ",
        "under 18 ",
        "12 year old car ",
        "whisky, 12 years old, ",
        "de 12 ans ",
        "十二歳",
        "歳",
        "1 2 3 岁",
        "열두 살 ",
        "生後",
        "十",
    ],
)
def test_hostile_numbers_cost_linear_time(piece: str) -> None:
    """Eight thousand characters of half-made ages take milliseconds; quadratic time would be many seconds."""
    text = (piece * 8_000)[:7_990] + " years old"
    began = time.perf_counter()
    ages(text)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(("piece", "most"), [("12 year old dog, ", MAX_NUMBERS), ("12岁的狗,", MAX_AGES)])
def test_more_ages_than_are_looked_at_are_no_way_to_hide_one(piece: str, most: int) -> None:
    """What is not looked at counts as one age of 0 years that nothing cancels."""
    assert all(hit.cancelled for hit in ages(piece * most))
    hidden = ages(piece * (most + 1))
    assert (hidden[-1].value, hidden[-1].cancelled) == (0, False)


def test_the_tables_hold_folded_words_that_contradict_nothing() -> None:
    """What is looked up in folded text is folded, and a number word says one number in all languages."""
    for file in (*FOLDER.glob("*.json"), FILE):
        text = file.read_text(encoding="utf-8")
        assert fold(text).text == text, file.name
    numbers: dict[str, int] = {}
    for data in LANGUAGES.values():
        for word, value in data.numbers.items():
            assert {numbers.setdefault(form, value) for form in spellings(word)} == {value}, word
        assert {*data.persons, *data.pronouns}.isdisjoint({*data.things, *data.animals}), data.language


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"language": 1}', b"\xff"])
def test_broken_tables_stop_the_start(tmp_path: Path, content: bytes | None) -> None:
    """Without its tables the screen would be blind to ages, so it does not start."""
    if content is not None:
        (tmp_path / "en.json").write_bytes(content)
    with pytest.raises(PackError, match="install rempart again"):
        read_languages(tmp_path)


def test_the_tables_are_read_quickly() -> None:
    """All languages together take some tens of milliseconds; the limit leaves room for a busy machine."""
    began = time.perf_counter()
    AgeTables(read_languages(FOLDER))
    assert time.perf_counter() - began < 2

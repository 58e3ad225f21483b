"""Every number and word of the age tables, in every shipped language, and texts that would break their reading."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ages_said import LANGUAGES, ages

from rempart.errors import PackError
from rempart.prompts.age_tables import FOLDER, AgeTables, read_languages, spellings
from rempart.prompts.cjk_ages import FILE
from rempart.prompts.fold import fold

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

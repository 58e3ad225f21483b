"""Ages said in a prompt."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.prompts import AgeHit
from rempart.prompts.ages import find_ages
from rempart.prompts.fold import fold
from rempart.prompts.tokens import tokenize

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
    ],
)
def test_an_age_is_found_however_it_is_written(text: str, value: int, unit: str) -> None:
    """Digits, words, hyphens, short forms, months and invisible characters all give the number and its unit."""
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
    ],
)
def test_what_is_no_age_is_not_taken_for_one(text: str) -> None:
    """Other numbers, other senses of the words, and ages that no person has."""
    assert ages(text) == ()


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
    raw = "an o\u00adak, \uff17 YEARS o\u200bld, and an elm aged nine"
    assert [raw[hit.start : hit.end] for hit in ages(raw)] == ["\uff17 YEARS o\u200bld", "aged nine"]


@given(st.lists(st.sampled_from(PIECES)))
def test_no_order_of_these_words_breaks_it(words: list[str]) -> None:
    """Spans are inside the text, in order, and do not overlap."""
    text = " ".join(words)
    before = 0
    for hit in ages(text):
        assert before <= hit.start < hit.end <= len(text)
        before = hit.end


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
    ],
)
def test_hostile_numbers_cost_linear_time(piece: str) -> None:
    """Eight thousand characters of half-made ages are read in well under a tenth of a second."""
    text = (piece * 8_000)[:7_990] + " years old"
    began = time.perf_counter()
    ages(text)
    assert time.perf_counter() - began < 0.1

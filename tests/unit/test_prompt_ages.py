"""Ages said in a prompt, and what looks like one and is none."""

from __future__ import annotations

import pytest
from tests.unit.ages_said import ages


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

"""Folding: one spelling for what looks the same, and the way back."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.prompts.fold import MAX_MARKS, MAX_UNFOLDED, fold
from rempart.prompts.tokens import tokenize

# Everything that a str can hold, lone surrogates too, with the troublesome characters often.
TROUBLE = (
    "aA1 \t\n\x00\x1f\x7f\u00ad\u034f\u0301\u0323\u0336\u0344\u0345\u0390\u0958\u1100\u1161\u11a8\u1160\u200b\u202e"
    "\u3099\u30ab\uff76\uff9e\uff21\ufb01\ufdfa\ufe0f\ufe70\ufeff\uffa0\ud800\udfff\U0001d400\U000e0061\u0130\u1e9e\u13a0\uab70"
)
TEXTS = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from(TROUBLE)), max_size=80)


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("Light HOUSE\n", "light house\n"),
        ("\uff2c\uff49\uff47\uff48\uff54", "light"),
        ("\U0001d40b\U0001d422\U0001d420\U0001d421\U0001d42d", "light"),
        ("li\u200bg\u00adh\u2060t", "light"),
        ("\u202elight\u202c", "light"),
        ("l\ufe0fi\U000e0067g\U000e0100ht\u3164", "light"),
        ("li\x00g\x08ht\x7f", "light"),
        ("l\u0336i\u0336g\u0336ht", "light"),
        ("stra\u00dfe \ufb01sh \u0130", "strasse fish i"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b\u2003c\x1fd", "a b c\x1fd"),
        ("\ud800light\udfff", "\ud800light\udfff"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("\uff76\uff9e", "\u30ac"),
    ],
)
def test_folding_gives_the_one_spelling(raw: str, folded: str) -> None:
    """Width, style, case and invisible characters make no difference; white space and surrogates stay."""
    assert fold(raw).text == folded


@given(TEXTS)
def test_folding_twice_is_folding_once(raw: str) -> None:
    """Folding never raises and is idempotent."""
    folded = fold(raw).text
    assert fold(folded).text == folded


@given(TEXTS)
def test_folding_makes_no_text_much_longer(raw: str) -> None:
    """The folded text is at most four times as long, so that no sign buys work out of proportion."""
    assert len(fold(raw).text) <= MAX_UNFOLDED * len(raw)


@given(TEXTS)
def test_spans_lie_in_the_raw_text_in_order_and_hold_what_was_folded(raw: str) -> None:
    """Every span is inside the raw text, none goes back, and the raw piece of a word folds to the word again."""
    folded = fold(raw)
    before = (0, 0)
    for at in range(len(folded.text)):
        start, end = folded.span(at, at + 1)
        assert 0 <= start < end <= len(raw)
        assert (start, end) >= before
        before = (start, end)
    for start, end in tokenize(folded.text).spans:
        first, last = folded.span(start, end)
        assert folded.text[start:end] in fold(raw[first:last]).text


@given(TEXTS)
def test_the_quick_way_agrees_with_the_full_way(raw: str) -> None:
    """A text folds the same whether or not something behind it sends all of it the full way."""
    alone = fold(raw)
    full = fold(raw + " \u00ad")
    assert full.text == alone.text + " "
    assert [full.span(at, at + 1) for at in range(len(alone.text))] == [
        alone.span(at, at + 1) for at in range(len(alone.text))
    ]


def test_each_code_point_folds_to_what_unicode_says() -> None:
    """What remains of each single code point is its NFKC case folding; the large blocks of one kind are left out."""
    for code in (*range(0x3400), *range(0xA000, 0xAC40), *range(0xF900, 0x12000), *range(0x1D000, 0x20000)):
        char = chr(code)
        folded = fold(char).text
        if not folded:
            assert unicodedata.category(char) in {"Cc", "Cf", "Cn", "Lo", "Mn"}
            continue
        if len(unicodedata.normalize("NFKD", char)) > MAX_UNFOLDED:
            assert folded == char, hex(code)
            assert unicodedata.category(char) == "So" or code in {0xFDFA, 0xFDFB}, "a unit, a formula, an honorific"
            continue
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
        assert folded in {plain, "".join(c for c in plain if not unicodedata.combining(c))}, hex(code)
        assert fold(folded).text == folded, hex(code)


def test_a_heap_of_marks_is_cut() -> None:
    """Of more than 30 marks behind one letter only 30 are looked at, and the span covers them all."""
    assert len(fold("\u30ab" + "\u0323" * 500).text) == 1 + MAX_MARKS
    assert fold("a" + "\u0336" * 500 + "b").text == "ab"
    assert fold("a" + "\u0336" * 500 + "b").span(0, 2) == (0, 502)


@pytest.mark.parametrize("piece", ["a", "\u0301", "\u200b", "a\u200b", "\u0344", "\u1161", "\ud800"])
def test_folding_takes_linear_time(piece: str) -> None:
    """Sixteen times the text takes nowhere near the 256 times that a quadratic step would take."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            fold(text)
            best = min(best, time.perf_counter() - began)
        return best

    seconds(1_000)
    assert seconds(160_000) < 100 * max(seconds(10_000), 1e-4)

"""However a canary prompt is typed, it stays refused; and nothing turns a neutral prompt into a refused one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.prompts import Answer, PromptScreener

SCREENER = PromptScreener("canary")


def forms(concept: str) -> list[str]:
    """The canary forms of a class."""
    terms = [term for pack in SCREENER.lexicon.packs for term in pack.terms]
    return [form for term in terms if term.concept == concept for form in term.forms]


FIRST, SECOND = forms("minor.explicit"), forms("sexual.explicit")
NEUTRAL = ("a", "red", "bicycle", "on", "the", "beach", "at", "dusk", "oil", "painting", "chair", "by", "ship")
INVISIBLE = (
    "\u200b\u200c\u200d\u2060\u00ad\ufeff\u202e\u2066\u034f\ufe0f\ufe00\U000e0062\U000e0101\u3164\uffa0\u115f\x00\x08"
)


def shifted(text: str, lower: int, upper: int) -> str:
    """ASCII letters moved to the alphabets that begin at these code points."""
    return text.translate({ord("a") + at: lower + at for at in range(26)} | {65 + at: upper + at for at in range(26)})


def fullwidth(text: str, _: random.Random) -> str:
    """Full-width letters."""
    return shifted(text, 0xFF41, 0xFF21)


def bold(text: str, _: random.Random) -> str:
    """Mathematical bold letters."""
    return shifted(text, 0x1D41A, 0x1D400)


def circled(text: str, _: random.Random) -> str:
    """Circled letters."""
    return shifted(text, 0x24D0, 0x24B6)


def invisible(text: str, draw: random.Random) -> str:
    """Invisible characters behind any letter."""
    return "".join(char + "".join(draw.choices(INVISIBLE, k=draw.randrange(4))) for char in text)


def struck(text: str, _: random.Random) -> str:
    """Strike-through marks on all letters."""
    return "".join(char + "\u0336" if char.isalnum() else char for char in text)


def stacked(text: str, draw: random.Random) -> str:
    """Forty marks on one letter, which compose with none."""
    at = draw.randrange(len(text)) + 1
    return text[:at] + "\u0334" * 40 + text[at:]


def cased(text: str, draw: random.Random) -> str:
    """Capitals anywhere."""
    return "".join(draw.choice((char.upper(), char)) for char in text)


def spaced(text: str, draw: random.Random) -> str:
    """More and other white space between words."""
    return "".join("".join(draw.choices(" \t\n\u00a0\u2003\u3000", k=3)) if char == " " else char for char in text)


def separated(text: str, draw: random.Random) -> str:
    """Underscores and dashes between words."""
    return "".join(draw.choice("_-\u2013 ") if char == " " else char for char in text)


CHANGES = (fullwidth, bold, circled, invisible, struck, stacked, cased, spaced, separated)


@st.composite
def prompts(draw: st.DrawFn, *concepts: list[str]) -> str:
    """Neutral words with one form of each concept among them."""
    words = ["a", *draw(st.lists(st.sampled_from(NEUTRAL), max_size=8))]
    for concept in concepts:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(concept)))
    return " ".join(words)


@pytest.mark.parametrize("change", CHANGES)
@given(data=st.data(), draw=st.randoms(use_true_random=False))
def test_a_refused_prompt_stays_refused(
    change: Callable[[str, random.Random], str], data: st.DataObject, draw: random.Random
) -> None:
    """The change leaves the verdict, and the same terms are found inside the changed text."""
    prompt = data.draw(prompts(FIRST, SECOND))
    changed = change(prompt, draw)
    before, after = SCREENER.screen(prompt), SCREENER.screen(changed)
    assert before.verdict == after.verdict == Answer.REFUSE
    assert [hit.term for hit in after.concepts] == [hit.term for hit in before.concepts]
    assert all(0 <= hit.start < hit.end <= len(changed) for hit in after.concepts)


@given(data=st.data(), draw=st.randoms(use_true_random=False))
def test_changes_may_be_heaped(data: st.DataObject, draw: random.Random) -> None:
    """Any three changes one after the other leave the verdict."""
    changed = data.draw(prompts(FIRST, SECOND))
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=3, max_size=3)):
        changed = change(changed, draw)
    assert SCREENER.screen(changed).verdict == Answer.REFUSE


@pytest.mark.parametrize("concepts", [(), (FIRST,), (SECOND,)], ids=["none", "first", "second"])
@given(data=st.data(), draw=st.randoms(use_true_random=False))
def test_a_prompt_without_both_concepts_is_allowed_however_it_is_typed(
    concepts: tuple[list[str], ...], data: st.DataObject, draw: random.Random
) -> None:
    """One concept alone, or none, is allowed before and after any change."""
    prompt = data.draw(prompts(*concepts))
    assert SCREENER.screen(prompt).verdict == Answer.ALLOW
    assert SCREENER.screen(data.draw(st.sampled_from(CHANGES))(prompt, draw)).verdict == Answer.ALLOW


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.text(max_size=20))
def test_no_text_breaks_the_screen(prompt: str, negative: str) -> None:
    """Any text at all gets an answer, and it is not an error."""
    assert SCREENER.screen(prompt, negative).reasons == ()

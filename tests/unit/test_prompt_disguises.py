"""The whole screen against the ways in which people disguise words: how many it undoes, and that it accuses nobody."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from rempart.prompts import Answer, PromptScreener

SCREENER = PromptScreener("canary")
ROUNDS = 200
TEMPLATES = (
    "photo of a {} and a {} at dusk, oil painting",
    "{}, harbour in the rain, {}, 35mm",
    "a red bicycle by the {}; far away {}, masterpiece",
)
ALONE = "photo of a {} at dusk, oil painting, by the sea"
DIGITS = str.maketrans("oiezasgtb", "013245678")
CYRILLIC = str.maketrans("aeopcxyi", "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456")

Disguise = Callable[[str, random.Random], str]


def forms(concept: str) -> list[str]:
    """The canary forms of a class, of one word."""
    terms = [term for pack in SCREENER.lexicon.packs for term in pack.terms]
    return [form for term in terms if term.concept == concept for form in term.forms if " " not in form]


FIRST, SECOND = forms("minor.explicit"), forms("sexual.explicit")


def cut(word: str, draw: random.Random) -> tuple[str, str]:
    """A word in two parts."""
    at = draw.randrange(1, len(word))
    return word[:at], word[at:]


def between(mark: str) -> Disguise:
    """A disguise that puts a mark between all letters."""
    return lambda word, _: mark.join(word)


def inside(pattern: str) -> Disguise:
    """A disguise that writes the two parts of a word into a pattern."""
    return lambda word, draw: pattern.format(*cut(word, draw))


def repeated(word: str, draw: random.Random) -> str:
    """One letter stands three times or more."""
    at = draw.randrange(len(word))
    return word[:at] + word[at] * draw.randrange(3, 6) + word[at + 1 :]


def entities(word: str, _: random.Random) -> str:
    """HTML's numbers for the letters."""
    return "".join(f"&#{ord(char)};" for char in word)


def percent(word: str, _: random.Random) -> str:
    """Percent codes of the letters."""
    return "".join(f"%{ord(char):02x}" for char in word)


def swapped(word: str, draw: random.Random) -> str:
    """Two neighbouring letters change places."""
    at = draw.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


DISGUISES: dict[str, Disguise] = {
    "digits": lambda word, _: word.translate(DIGITS),
    "look-alikes": lambda word, _: word.translate(CYRILLIC),
    "spaces": between(" "),
    "dots": between("."),
    "dashes": between("-"),
    "stars": between("*"),
    "repeated": repeated,
    "weights": inside("({}:1.2)({}:1.1)"),
    "brackets": inside("{}[{}]"),
    "braces": inside("{{{}}}{}"),
    "nested": inside("(({})){}"),
    "schedule": inside("[:{}:0]{}"),
    "comment": inside("{}/**/{}"),
    "entities": entities,
    "percent": percent,
    "choice": lambda word, _: f"{{harbour|{word}}}",
    "late": lambda word, _: f"[ship:{word}:0.95]",
    "lora": lambda word, _: f"<lora:my_{word}_v2:0.8>",
    "reversed": lambda word, _: word[::-1],
}


def refused(disguise: Disguise, draw: random.Random) -> bool:
    """Whether a prompt that joins both concepts is refused when both words are disguised."""
    first, second = (disguise(draw.choice(words), draw) for words in (FIRST, SECOND))
    return SCREENER.screen(draw.choice(TEMPLATES).format(first, second)).verdict is Answer.REFUSE


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguised_prompt_stays_refused(name: str) -> None:
    """At least 95 of 100, both words disguised, a third of them of four letters or fewer."""
    draw = random.Random(name)
    assert sum(refused(DISGUISES[name], draw) for _ in range(ROUNDS)) >= 0.95 * ROUNDS


def test_one_letter_off_is_mostly_refused() -> None:
    """Two neighbouring letters changed places in one word of four letters or more: at least 85 of 100."""
    draw = random.Random(7)
    long = [[word for word in words if len(word) > 3] for words in (FIRST, SECOND)]
    hits = 0
    for _ in range(ROUNDS):
        first, second = (draw.choice(words) for words in long)
        prompt = draw.choice(TEMPLATES).format(swapped(first, draw), second)
        hits += SCREENER.screen(prompt).verdict is Answer.REFUSE
    assert hits >= 0.85 * ROUNDS


@pytest.mark.parametrize("name", DISGUISES)
def test_one_concept_in_disguise_is_never_refused(name: str) -> None:
    """It may be looked at, for the disguise; nobody is refused for one word."""
    draw = random.Random(name)
    for words in (FIRST, SECOND, ["lighthouse", "bicycle", "harbour", "meadow", "violin"]):
        for _ in range(ROUNDS // 4):
            prompt = ALONE.format(DISGUISES[name](draw.choice(words), draw))
            assert SCREENER.screen(prompt).verdict is not Answer.REFUSE

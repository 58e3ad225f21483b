from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import PackError
from rempart.prompts.condition_parser import parse
from rempart.prompts.conditions import AGE, Evidence, Mark

CONCEPTS = ("bird.owl", "bird.wren", "sea.oar", "sea.mast")

marks = st.lists(
    st.builds(
        Mark,
        concept=st.sampled_from((*CONCEPTS, AGE)),
        token=st.integers(0, 30),
        segment=st.integers(0, 3),
        value=st.integers(0, 40).map(float),
        negative=st.booleans(),
    ),
    max_size=8,
)


def holds(condition: str, *found: Mark, obfuscations: int = 0) -> bool:
    """Whether a condition is true of these marks."""
    kinds = frozenset(str(kind) for kind in range(obfuscations))
    return bool(parse(condition, "a test")(Evidence(found, kinds)))


def at(concept: str, token: int = 0, segment: int = 0, *, negative: bool = False, strength: float = 1.0) -> Mark:
    """A mark at this place."""
    return Mark(concept, token, segment, negative=negative, strength=strength)


OWL, OAR = at("bird.owl"), at("sea.oar", token=9, segment=1)


def test_a_concept_holds_for_its_own_hits_and_a_family_for_all_of_its_classes() -> None:
    """Whole classes: `bird.ow` is no prefix of `bird.owl`."""
    assert holds("bird.owl", OWL)
    assert not holds("bird.wren", OWL)
    assert holds("bird.*", OWL)
    assert not holds("sea.*", OWL)
    assert not holds("bird.ow", OWL)


def test_and_or_and_not_mean_what_they_say_and_and_binds_tighter() -> None:
    """`a or b and c` is `a or (b and c)`; `not` takes the next part alone."""
    assert holds("bird.owl and sea.oar", OWL, OAR)
    assert not holds("bird.owl and sea.oar", OWL)
    assert holds("bird.owl or bird.wren and sea.oar", OWL)
    assert not holds("(bird.owl or bird.wren) and sea.oar", OWL)
    assert holds("not bird.wren and bird.owl", OWL)
    assert not holds("not (bird.wren or bird.owl)", OWL)


def test_words_of_the_negative_text_are_no_evidence_unless_asked_for() -> None:
    """They say what shall not be in the picture."""
    shunned = at("bird.owl", negative=True)
    assert not holds("bird.owl", shunned)
    assert holds("bird.owl[negative]", shunned)
    assert not holds("bird.owl[negative]", OWL)
    assert holds("bird.owl[any]", shunned)
    assert holds("bird.owl[any]", OWL)


def test_tests_of_strength_field_and_view_choose_among_the_hits() -> None:
    """All tests in a bracket must pass."""
    weak = Mark("bird.owl", 0, 0, strength=0.4, field="style", view="near")
    assert not holds("bird.owl[strength >= 0.85]", weak)
    assert holds("bird.owl[strength >= 0.4, field = style]", weak)
    assert not holds("bird.owl[view = exact]", weak)
    assert holds("bird.owl[view = near, any]", weak)


def test_ages_are_compared_in_years() -> None:
    """Ages in the negative text do not count."""
    seven = Mark(AGE, 0, 0, 7.0)
    assert holds("age < 18", seven)
    assert not holds("age >= 18", seven)
    assert holds("age = 7", seven)
    assert not holds("age < 18", Mark(AGE, 0, 0, 7.0, negative=True))


def test_within_wants_one_of_each_close_together() -> None:
    """In tokens, in one segment, or anywhere; the nearest pair decides."""
    far, near = at("sea.oar", 40, 5), at("sea.oar", 5, 0)
    assert not holds("(bird.owl and sea.oar) within 12 tokens", OWL, far)
    assert holds("(bird.owl and sea.oar) within 12 tokens", OWL, far, near)
    assert holds("(bird.owl and sea.oar) within 40 tokens", OWL, far)
    assert not holds("(bird.owl and sea.oar) within segment", OWL, far)
    assert holds("(bird.owl and sea.oar) within segment", OWL, near)
    assert holds("(bird.owl and sea.oar) within prompt", OWL, far)


def test_a_mark_of_another_segment_between_two_of_one_does_not_keep_them_apart() -> None:
    """Texts of one field number their tokens each from the beginning, so their marks lie among each other."""
    assert holds("(bird.owl and sea.oar) within segment", OWL, at("bird.owl", 3, 1), at("sea.oar", 5, 0))
    assert holds("(bird.owl and sea.oar) within segment", OWL, at("bird.owl", 0, 1), at("sea.oar", 0, 0))


def test_count_and_obfuscation_compare_numbers() -> None:
    """Two hits; two kinds of disguise."""
    assert holds("count(bird.*) >= 2", OWL, at("bird.wren", 3))
    assert not holds("count(bird.*) >= 2", OWL)
    assert holds("count(bird.*) = 0", OAR)
    assert holds("obfuscation >= 2", obfuscations=2)
    assert not holds("obfuscation >= 2", obfuscations=1)


@given(marks, st.integers(0, 30))
def test_within_agrees_with_trying_every_pair(found: list[Mark], tokens: int) -> None:
    """The two fingers miss nothing and invent nothing."""
    first = [mark for mark in found if mark.concept == "bird.owl" and not mark.negative]
    second = [mark for mark in found if mark.concept == "sea.oar" and not mark.negative]
    wanted = any(abs(a.token - b.token) <= tokens for a in first for b in second)
    assert wanted is holds(f"(bird.owl and sea.oar) within {tokens} tokens", *found)
    wanted = any(a.segment == b.segment for a in first for b in second)
    assert wanted is holds("(bird.owl and sea.oar) within segment", *found)


@given(marks)
def test_de_morgan(found: list[Mark]) -> None:
    """A law that any logic must keep."""
    assert holds("not (bird.owl and sea.oar)", *found) is holds("not bird.owl or not sea.oar", *found)
    assert holds("not (bird.owl or sea.oar)", *found) is holds("not bird.owl and not sea.oar", *found)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("", "a concept such as minor.explicit where it ends"),
        ("bird", "a concept"),
        ("bird.owl and", "it ends"),
        ("bird.owl sea.oar", "an end"),
        ("(bird.owl", r"`\)`"),
        ("bird.owl within 3 tokens", "joined by `and`"),
        ("(bird.owl and sea.oar) within tokens", "a number"),
        ("age 18", "one of <"),
        ("bird.owl[strange]", "negative, any, strength, field or view"),
        ("bird.owl; sea.oar", "character 9"),
        ("not " * 100 + "bird.owl", "nested too deeply"),
        ("(" * 100 + "bird.owl" + ")" * 100, "nested too deeply"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(wrong: str, told: str) -> None:
    """The message says what is wanted, and where."""
    with pytest.raises(PackError, match=f"^mine.toml, rule 'x': .*{told}"):
        parse(wrong, "mine.toml, rule 'x'")


@given(st.text(alphabet="abcdnorti.*()[]<>=,0123 "))
def test_any_text_parses_or_is_a_pack_error(text: str) -> None:
    """Never another exception: an operator's file must not crash the start."""
    with contextlib.suppress(PackError):
        parse(text, "here")

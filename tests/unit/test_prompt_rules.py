from __future__ import annotations

from pathlib import Path

import pytest

from rempart.errors import PackError
from rempart.prompts.conditions import AGE, Evidence, Mark
from rempart.prompts.rules import FLOOR, Rules, strictest
from rempart.prompts.verdict import Answer

A, B = "minor.explicit", "sexual.explicit"
"""Names of classes, not words: the two that the floor joins."""


def overlay(folder: Path, text: str) -> Path:
    """An operator's file."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fired(rules: Rules, *found: Mark) -> list[tuple[str, Answer]]:
    """Ids and verdicts of the rules that fire."""
    return [(rule.id, rule.verdict) for rule in rules.fired(Evidence(found))]


def mark(concept: str, token: int = 0, **facts: float | bool) -> Mark:
    """A mark in the first segment."""
    return Mark(concept, token, 0, **facts)  # type: ignore[arg-type]


def test_the_floor_comes_first_and_fires_at_any_distance() -> None:
    """A class or an age on one side, a class on the other."""
    rules = Rules()
    assert rules.rules[0] is FLOOR
    assert ("floor", "refuse") in fired(rules, mark(A), mark(B, 5000))
    assert ("floor", "refuse") in fired(rules, mark(AGE, value=17.0), mark(B, 5000))
    assert fired(rules, mark(AGE, value=18.0), mark(B)) == []


@pytest.mark.parametrize(
    "concept", [A, B, "minor.ambiguous", "minor.role", "sexual.nudity", "sexual.weak", "context.art"]
)
def test_one_class_alone_fires_no_rule(concept: str) -> None:
    """However often it stands there."""
    assert fired(Rules(), mark(concept), mark(concept, 1), mark(concept, 2)) == []


def test_no_context_or_overlay_takes_the_floor_away(tmp_path: Path) -> None:
    """Neither by context nor by lowering it, nor by a rule of the same name."""
    contexts = [mark(f"context.{name}") for name in ("medical", "childcare", "art", "education", "family")]
    assert ("floor", "refuse") in fired(Rules(), mark(A), mark(B), *contexts)
    for text in (
        'version = "1"\nlower = [{rule = "floor", to = "review"}]',
        'version = "1"\n[[rule]]\nid = "floor"\nverdict = "allow"\nwhen = "minor.explicit"\ntext = "x"',
    ):
        with pytest.raises(PackError, match="floor"):
            Rules([overlay(tmp_path, text)])


@pytest.mark.parametrize("context", ["medical", "childcare", "art"])
def test_nudity_is_refused_and_drops_to_review_in_a_calming_context(context: str) -> None:
    """Never to a silent allow."""
    rules = Rules()
    assert fired(rules, mark(A), mark("sexual.nudity")) == [("nudity", "refuse")]
    assert fired(rules, mark(A), mark("sexual.nudity"), mark(f"context.{context}")) == [("nudity-context", "review")]


def test_a_word_also_used_of_adults_is_refused_and_drops_to_review_beside_an_adult() -> None:
    """The screen marks those that an adult noun or age governs as a class of their own."""
    assert fired(Rules(), mark("minor.ambiguous"), mark(B)) == [("ambiguous", "refuse")]
    assert fired(Rules(), mark("minor.ambiguous_adult"), mark(B)) == [("ambiguous-adult", "review")]


def test_excluding_adults_from_a_sexual_prompt_goes_to_review() -> None:
    """The swap trick; excluding them from any other prompt is nobody's business."""
    assert fired(Rules(), mark(B), mark("adult.explicit", negative=True)) == [("swap", "review")]
    assert fired(Rules(), mark("adult.explicit", negative=True)) == []
    assert fired(Rules(), mark(B), mark("adult.explicit")) == []


def test_an_overlay_adds_rules_and_lowers_some_within_limits(tmp_path: Path) -> None:
    """And the digest tells that the rules are others."""
    plain = Rules()
    changed = Rules(
        [
            overlay(
                tmp_path,
                'version = "1"\nlower = [{rule = "ambiguous", to = "review"}, {rule = "swap", to = "allow"}]\n'
                '[[rule]]\nid = "owls"\nverdict = "review"\nwhen = "bird.owl"\ntext = "An owl."\n',
            )
        ]
    )
    assert fired(changed, mark("bird.owl")) == [("owls", "review")]
    assert ("ambiguous", "review") in fired(changed, mark("minor.ambiguous"), mark(B))
    assert fired(changed, mark(B), mark("adult.explicit", negative=True)) == [("swap", "allow")]
    assert changed.digest != plain.digest == Rules().digest


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('lower = [{rule = "nudity", to = "allow"}]', "to review, not to allow"),
        ('lower = [{rule = "ambiguous", to = "allow"}]', "to review, not to allow"),
        ('lower = [{rule = "swap", to = "refuse"}]', "add a rule of your own"),
        ('lower = [{rule = "none", to = "review"}]', "no rule 'none'"),
        ('[[rule]]\nid = "x"\nverdict = "maybe"\nwhen = "bird.owl"\ntext = "x"', "verdict"),
        ('[[rule]]\nid = "x"\nverdict = "allow"\nwhen = "bird.owl and"\ntext = "x"', "rule 'x'"),
        ('[[rule]]\nid = "x"\nverdict = "allow"\ntext = "x"', "when"),
        ("surprise = 1", "surprise"),
        ("= 1", "not valid TOML"),
    ],
)
def test_a_broken_overlay_stops_the_start_and_names_the_file(tmp_path: Path, text: str, told: str) -> None:
    """A rule that does not load must not be a rule that silently is not there."""
    path = overlay(tmp_path, 'version = "1"\n' + text)
    with pytest.raises(PackError, match=told) as caught:
        Rules([path])
    assert "mine.toml" in str(caught.value)
    with pytest.raises(PackError, match="cannot be read"):
        Rules([tmp_path / "none.toml"])


def test_the_strictest_verdict_wins_and_none_at_all_allows() -> None:
    """Refuse over review over allow."""
    assert strictest([Answer.ALLOW, Answer.REFUSE, Answer.REVIEW]) is Answer.REFUSE
    assert strictest([]) is Answer.ALLOW

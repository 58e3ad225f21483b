"""Rules: which evidence together calls for which verdict.

The floor is part of the program. The other rules stand in ``default_rules.toml``; an operator may add rules in overlay
files, and lower some of those that are shipped, within limits that the program keeps.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from rempart.errors import PackError
from rempart.prompts.condition_parser import parse
from rempart.prompts.conditions import Condition, Evidence
from rempart.prompts.verdict import Answer

FLOOR_ID: Final = "floor"
_DEFAULT = Path(__file__).with_name("default_rules.toml")
_STRENGTH = {Answer.ALLOW: 0, Answer.REVIEW: 1, Answer.REFUSE: 2}
# What an overlay may lower these to at the most; it may lower any other shipped rule as far as it likes.
_NEVER_ALLOWED = frozenset(("ambiguous", "ambiguous-adult", "nudity", "nudity-context"))


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule.

    Attributes:
        when: its condition, in the language of :mod:`rempart.prompts.condition_parser`.
        text: one sentence for the operator; the person who wrote the prompt is never shown it.
    """

    id: str
    verdict: Answer
    when: str
    text: str


FLOOR: Final = Rule(
    id=FLOOR_ID,
    verdict=Answer.REFUSE,
    when="(minor.explicit or age < 18) and sexual.explicit",
    text="A word or an age of a minor stands with an explicit sexual word, at any distance.",
)
"""The rule that nothing switches off: no pack, overlay, scorer or context."""


class _Lower(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: str
    to: Answer


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    rule: tuple[Rule, ...] = ()
    lower: tuple[_Lower, ...] = ()


class Rules:
    """The floor, the shipped rules and those of overlays, parsed and ready.

    Attributes:
        rules: the strictest first, the floor before all others.
        digest: SHA-256 of all of them, in hexadecimal digits.
    """

    def __init__(self, overlays: Iterable[Path] = ()) -> None:
        """Read the shipped rules, then the overlays in order.

        Raises:
            PackError: a file is broken, names a rule twice, or lowers what may not be lowered; nothing is screened.
        """
        rules = {FLOOR.id: FLOOR}
        conditions: dict[str, Condition] = {FLOOR.id: parse(FLOOR.when, "the floor")}
        for number, path in enumerate((_DEFAULT, *overlays)):
            content = _read(path)
            for rule in content.rule:
                if rule.id in rules:
                    raise PackError(f"{path}: there is a rule {rule.id!r} already; give yours another id")
                rules[rule.id] = rule
                conditions[rule.id] = parse(rule.when, f"{path}, rule {rule.id!r}")
            for one in content.lower if number else ():
                rules[one.rule] = _lowered(rules, one, path)
        self.rules = tuple(sorted(rules.values(), key=lambda rule: -_STRENGTH[rule.verdict]))
        self._conditions = conditions
        self.digest = hashlib.sha256(msgspec.json.encode(self.rules)).hexdigest()

    def fired(self, evidence: Evidence) -> tuple[Rule, ...]:
        """The rules whose conditions hold, the strictest first."""
        return tuple(rule for rule in self.rules if self._conditions[rule.id](evidence))


def strictest(answers: Iterable[Answer]) -> Answer:
    """The strictest of several verdicts; allow when there is none."""
    return max(answers, key=_STRENGTH.__getitem__, default=Answer.ALLOW)


def _lowered(rules: dict[str, Rule], lower: _Lower, path: Path) -> Rule:
    rule = rules.get(lower.rule)
    if rule is None:
        raise PackError(f"{path}: there is no rule {lower.rule!r} to lower; there are {', '.join(rules)}")
    if rule.id == FLOOR_ID:
        raise PackError(f"{path}: the floor cannot be lowered")
    if rule.id in _NEVER_ALLOWED and lower.to is Answer.ALLOW:
        raise PackError(f"{path}: rule {rule.id!r} can be lowered to review, not to allow")
    if _STRENGTH[lower.to] > _STRENGTH[rule.verdict]:
        raise PackError(f"{path}: rule {rule.id!r} would be raised by this; add a rule of your own instead")
    return msgspec.structs.replace(rule, verdict=lower.to)


def _read(path: Path) -> _File:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(content, _File)
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.ValidationError as error:
        raise PackError(f"{path}: {error}; docs/prompt-rules.md describes the file") from None
    except (ValueError, RecursionError) as error:  # tomllib's own, and of numbers and depths beyond its reach
        raise PackError(f"{path}: not valid TOML: {error}") from None

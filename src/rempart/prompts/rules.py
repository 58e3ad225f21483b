"""Rules: which concepts may not stand together in one prompt."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from rempart.prompts.verdict import Answer

AGE_UNDER_18 = "age.under_18"
"""The concept that an age below 18 stands for in rules."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Fires when every group has at least one of its concepts in the positive text, at any distance."""

    id: str
    groups: tuple[frozenset[str], ...]
    verdict: Answer
    explanation: str
    """One sentence for the operator; the person who wrote the prompt is never shown it."""


_MINOR = frozenset({"minor.explicit", AGE_UNDER_18})
_EXPLICIT = frozenset({"sexual.explicit"})

FLOOR = Rule(
    id="floor",
    groups=(_MINOR, _EXPLICIT),
    verdict=Answer.REFUSE,
    explanation="A word or an age of the first concept stands with an explicit word of the second.",
)
"""The rule that nothing switches off: no pack, setting or context."""

RULES = (
    FLOOR,
    Rule(
        id="ambiguous",
        groups=(frozenset({"minor.ambiguous"}), _EXPLICIT),
        verdict=Answer.REVIEW,
        explanation="A word that is also used of adults stands with an explicit word of the second concept.",
    ),
    Rule(
        id="weak",
        groups=(_MINOR, frozenset({"sexual.nudity", "sexual.anatomy", "sexual.suggestive", "sexual.harm"})),
        verdict=Answer.REVIEW,
        explanation="A word or an age of the first concept stands with a weaker word of the second.",
    ),
)
"""The default rules, the strictest first."""


def fired(rules: tuple[Rule, ...], concepts: Collection[str]) -> tuple[Rule, ...]:
    """The rules that ``concepts`` fire, in the order of ``rules``."""
    found = frozenset(concepts)
    return tuple(rule for rule in rules if all(group & found for group in rule.groups))

"""The text form of conditions.

The grammar, from the loosest to the tightest::

    condition  = all { "or" all }
    all        = part { "and" part }
    part       = "not" part | evidence [ "within" range ]
    evidence   = "(" condition ")" | concept [ "[" test { "," test } "]" ] | "age" op number
               | "count" "(" condition ")" op number | "obfuscation" op number
    concept    = class, such as minor.explicit, or a whole family, minor.*
    range      = number "tokens" | "segment" | "prompt"
    test       = "negative" | "any" | "strength" op number | "field" "=" name | "view" "=" name
    op         = "<" | "<=" | ">" | ">=" | "="

A concept stands for its hits in the positive text; ``[negative]`` asks for those in the negative text, ``[any]`` for
both. ``(a and b) within 12 tokens`` wants one hit of each that lie so close together. There are no functions, no
regular expressions and no loops: a condition takes time linear in the number of hits.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Final

from rempart.errors import PackError
from rempart.prompts.conditions import (
    AGE,
    Age,
    And,
    Concept,
    Condition,
    Count,
    Mark,
    Not,
    Obfuscation,
    Or,
    Test,
    Within,
)

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][\w-]*(?:\.(?:[\w-]+|\*))?)|(?P<number>\d+(?:\.\d+)?)|(?P<sign><=|>=|[<>=()\[\],]))"
)
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_NESTING = 32
_FARTHEST = 1_000_000  # tokens; no prompt is as long


def parse(text: str, place: str) -> Condition:
    """Parse a condition.

    Args:
        text: the condition.
        place: where it stands, for the message.

    Raises:
        PackError: it is not a condition; the message says where.
    """
    return _Parser(text, place).parse()


class _Parser:
    """Recursive descent over the grammar in the docstring of the module."""

    def __init__(self, text: str, place: str) -> None:
        self._place = place
        self._tokens = list(self._split(text))
        self._at = 0
        self._depth = 0

    def parse(self) -> Condition:
        condition = self._any()
        if self._at < len(self._tokens):
            raise self._wanted("an end")
        return condition

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise PackError(
                    f"{self._place}: character {at + 1} of the condition belongs to no word, number or sign"
                )
            yield str(found.lastgroup), found[str(found.lastgroup)]
            at = found.end()

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._part()]
        while self._take("and"):
            parts.append(self._part())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _part(self) -> Condition:
        self._depth += 1
        if self._depth > _NESTING:
            raise PackError(f"{self._place}: the condition is nested too deeply")
        try:
            if self._take("not"):
                return Not(self._part())
            condition = self._evidence()
            return self._range(condition) if self._take("within") else condition
        finally:
            self._depth -= 1

    def _range(self, condition: Condition) -> Condition:
        if self._take("prompt"):
            return condition
        if not isinstance(condition, And):
            raise PackError(f"{self._place}: `within` follows a bracket of parts that are joined by `and`")
        if self._take("segment"):
            return Within(condition, None)
        tokens = self._number()
        self._expect("tokens")
        return Within(condition, int(min(tokens, _FARTHEST)))

    def _evidence(self) -> Condition:
        if self._take("("):
            condition = self._any()
            self._expect(")")
            return condition
        if self._take(AGE):
            return Age(self._operator(), self._number())
        if self._take("obfuscation"):
            return Obfuscation(self._operator(), self._number())
        if self._take("count"):
            self._expect("(")
            inner = self._any()
            self._expect(")")
            return Count(inner, self._operator(), self._number())
        return self._concept()

    def _concept(self) -> Condition:
        kind, word = self._peek()
        if kind != "word" or "." not in word:
            raise self._wanted("a concept such as minor.explicit")
        self._at += 1
        tests: list[Test] = []
        polarity: Test | None = _is_positive
        if self._take("["):
            while True:
                if self._take("negative"):
                    polarity = _is_negative
                elif self._take("any"):
                    polarity = None
                else:
                    tests.append(self._test())
                if not self._take(","):
                    break
            self._expect("]")
        return Concept(word, (*((polarity,) if polarity else ()), *tests))

    def _test(self) -> Test:
        if self._take("strength"):
            compare, number = self._operator(), self._number()
            return lambda mark: compare(mark.strength, number)
        for name in ("field", "view"):
            if self._take(name):
                self._expect("=")
                kind, wanted = self._peek()
                if kind != "word":
                    raise self._wanted("a name")
                self._at += 1
                return _named(name, wanted)
        raise self._wanted("negative, any, strength, field or view")

    def _operator(self) -> Callable[[float, float], bool]:
        _, sign = self._peek()
        if sign not in _COMPARE:
            raise self._wanted("one of < <= > >= =")
        self._at += 1
        return _COMPARE[sign]

    def _number(self) -> float:
        kind, number = self._peek()
        if kind != "number":
            raise self._wanted("a number")
        self._at += 1
        return float(number)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, word: str) -> bool:
        taken = self._peek()[1] == word
        self._at += taken
        return taken

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._wanted(f"`{word}`")

    def _wanted(self, wanted: str) -> PackError:
        found = self._peek()[1]
        return PackError(
            f"{self._place}: the condition wants {wanted} where {f'`{found}` stands' if found else 'it ends'}"
        )


def _named(attribute: str, wanted: str) -> Test:
    return lambda mark: bool(getattr(mark, attribute) == wanted)


def _is_positive(mark: Mark) -> bool:
    return not mark.negative


def _is_negative(mark: Mark) -> bool:
    return mark.negative

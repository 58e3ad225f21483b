"""Conditions: the small closed language in which rules say when they fire.

:mod:`rempart.prompts.condition_parser` has the grammar. There are no functions, no regular expressions and no loops: a
condition takes time linear in the number of hits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

AGE: Final = "age"
PROMPT: Final = "prompt"
"""The field that a person types; other fields are named by whoever screens them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One piece of evidence, placed in the prompt.

    Attributes:
        concept: class of the hit, or :data:`AGE`.
        token: number of the token where it begins.
        segment: number of the segment it lies in; fields do not share numbers.
        value: of an age, in years.
        strength: of the reading in which it was found.
        negative: whether it stands in negative text.
        field: where it stands.
        view: reading in which it was found.
    """

    concept: str
    token: int
    segment: int
    value: float = 0.0
    strength: float = 1.0
    negative: bool = False
    field: str = PROMPT
    view: str = "exact"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was found in one prompt."""

    marks: Sequence[Mark]
    obfuscations: frozenset[str] = frozenset()


Marks: TypeAlias = list[Mark]
Test: TypeAlias = Callable[[Mark], bool]
Condition: TypeAlias = Callable[[Evidence], Marks]
"""Gives the marks that make it true, none when it is false."""
_SAID = [Mark("", 0, 0)]
"""What a condition gives that is true without any hit."""


@dataclass(frozen=True, slots=True)
class Concept:
    """Hits of one class, or of a whole family ``minor.*``, that pass every test."""

    name: str
    tests: tuple[Test, ...]

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        family = self.name[:-1] if self.name.endswith(".*") else None
        return [
            mark
            for mark in evidence.marks
            if (mark.concept == self.name or (family is not None and mark.concept.startswith(family)))
            and all(test(mark) for test in self.tests)
        ]


@dataclass(frozen=True, slots=True)
class Age:
    """Ages in positive text."""

    compare: Callable[[float, float], bool]
    years: float

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        return [
            mark
            for mark in evidence.marks
            if mark.concept == AGE and not mark.negative and self.compare(mark.value, self.years)
        ]


@dataclass(frozen=True, slots=True)
class Count:
    """How many marks another condition has."""

    inner: Condition
    compare: Callable[[float, float], bool]
    number: float

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        found = self.inner(evidence)
        return (found or _SAID) if self.compare(len(found), self.number) else []


@dataclass(frozen=True, slots=True)
class Obfuscation:
    """How many kinds of disguise were seen."""

    compare: Callable[[float, float], bool]
    number: float

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        return _SAID if self.compare(len(evidence.obfuscations), self.number) else []


@dataclass(frozen=True, slots=True)
class Not:
    """What is not there."""

    inner: Condition

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        return [] if self.inner(evidence) else _SAID


@dataclass(frozen=True, slots=True)
class Or:
    """Any of its parts."""

    parts: tuple[Condition, ...]

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        return [mark for part in self.parts for mark in part(evidence)]


@dataclass(frozen=True, slots=True)
class And:
    """All of its parts."""

    parts: tuple[Condition, ...]

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        found = self.find_each(evidence)
        return [mark for marks in found for mark in marks] if found else []

    def find_each(self, evidence: Evidence) -> list[Marks]:
        """The marks of each part; nothing at all as soon as one has none."""
        found = []
        for part in self.parts:
            marks = part(evidence)
            if not marks:
                return []
            found.append(marks)
        return found


@dataclass(frozen=True, slots=True)
class Within:
    """All parts of an ``and``, close together."""

    inner: And
    tokens: int | None
    """None: within one segment."""

    def __call__(self, evidence: Evidence) -> Marks:
        """Evaluate; see :data:`Condition`."""
        found = self.inner.find_each(evidence)
        placed = sorted(
            ((mark, part) for part, marks in enumerate(found) for mark in marks if mark.concept),
            key=lambda pair: self._place(pair[0]),
        )
        wanted = {part for part, marks in enumerate(found) if any(mark.concept for mark in marks)}
        if not wanted:
            return []
        # The shortest stretch of the prompt that holds a mark of every part, found with two fingers.
        first = 0
        held: dict[int, int] = {}
        for last, (mark, part) in enumerate(placed):
            held[part] = held.get(part, 0) + 1
            while not self._near(placed[first][0], mark):
                held[placed[first][1]] -= 1
                first += 1
            if all(held.get(part, 0) > 0 for part in wanted):
                return [one for one, _ in placed[first : last + 1]]
        return []

    def _place(self, mark: Mark) -> tuple[str, int, int]:
        """What to sort by: texts of one field, as a graph has them, number their tokens each from the beginning."""
        return mark.field, mark.segment if self.tokens is None else 0, mark.token

    def _near(self, one: Mark, other: Mark) -> bool:
        if one.field != other.field:
            return False
        return one.segment == other.segment if self.tokens is None else other.token - one.token <= self.tokens

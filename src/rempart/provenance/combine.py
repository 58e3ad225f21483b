"""All evidence of one file brought to one summary, by nine rules. The order of the records never matters.

1. Nothing is averaged: the summary points to the records that decided.
2. Of records that say the same, the best vouched for gives the support; unsigned records of one writer count once.
3. AI against capture is a conflict, whoever vouches; but a capture among what a picture was made from, where the
   picture is declared to be AI-made, makes an AI composite. So does a claim of a composite that is as well vouched for
   as the capture, for a composite contains one.
4. A capture is declared only where somebody vouches for it: a signer on a list or pinned, or camera fields that fit
   each other. Other unsigned camera fields and labels are told as ``other_declared``; a capture that a key of nobody's
   signed declares nothing. Both still contradict AI.
5. A broken claim is a finding, and declares nothing.
6. Any cue that a real picture may have been the starting point makes an AI composite of what is called AI-generated.
7. A reader that failed or met a limit makes the summary incomplete.
8. Origin raises a priority or leaves it. No evidence takes a raise away.
9. NCMEC's field is suggested, to a person, only for AI-made with good support.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from rempart.provenance.evidence import Chain, Declared, Evidence, PriorityEffect, Strength, Summary

UNSIGNED: Final = "unsigned"
UNNAMED: Final = "unnamed"
"""Who a summary is by when nobody signed, or the signer gives no name."""

FAILURE: Final = "reader.failure"
"""Kind of the record that a reader gave up."""

RAISING_ONLY: Final = frozenset(("lora", "prompt_refused", "prompt_review"))
"""Cues that raise and say nothing of the starting point; every other cue says that it may have been a real picture."""

_INGREDIENT, _ACTIVE = "c2pa.ingredient", "c2pa.manifest"
_NOTHING: Final = "none"
_SIGNED: Final = frozenset((Strength.SIGNED_TRUSTED, Strength.SIGNED_INTACT))
_VOUCHED: Final = frozenset((Chain.OFFICIAL, Chain.INTERIM, Chain.PRIVATE, Chain.PINNED))
_CLAIMED: Final = frozenset((*_SIGNED, Strength.SIGNED_BROKEN))
_SUGGESTED: Final = frozenset((*_SIGNED, Strength.UNSIGNED_STRUCTURED))
_RANKS: Final = {strength: rank for rank, strength in enumerate(Strength)}


class _Says(StrEnum):
    """The direction of a claim."""

    AI = "ai"
    COMPOSITE = "composite"
    CAPTURE = "capture"
    SCREEN = "screen"
    OTHER = "other"


_DIRECTIONS: Final = {
    "trainedAlgorithmicMedia": _Says.AI,
    "generator_present": _Says.AI,
    "compositeWithTrainedAlgorithmicMedia": _Says.COMPOSITE,
    "compositeSynthetic": _Says.COMPOSITE,
    "digitalCapture": _Says.CAPTURE,
    "computationalCapture": _Says.CAPTURE,
    "compositeCapture": _Says.CAPTURE,
    "negativeFilm": _Says.CAPTURE,
    "positiveFilm": _Says.CAPTURE,
    "print": _Says.CAPTURE,
    "capture_fields_present": _Says.CAPTURE,
    "screenCapture": _Says.SCREEN,
}


class _Record(NamedTuple):
    """A record, and its place in the report."""

    place: int
    evidence: Evidence

    @property
    def order(self) -> tuple[int, bytes]:
        """The best vouched for first; among equals by content, so that the order in the file does not matter."""
        return _RANKS[self.evidence.strength], msgspec.json.encode(self.evidence)


def summarise(evidence: Sequence[Evidence], complete: bool = True) -> Summary:  # noqa: FBT001, FBT002 -- it reads well
    """What all evidence of one file together declares, by the nine rules.

    Args:
        evidence: the records of the report.
        complete: whether all readers that this file calls for were there and came to their end.
    """
    records = sorted((_Record(place, one) for place, one in enumerate(evidence)), key=lambda record: record.order)
    said = {direction: [one for one in records if _direction(one.evidence) is direction] for direction in _Says}
    made, capture = sorted(said[_Says.AI] + said[_Says.COMPOSITE], key=_order), said[_Says.CAPTURE]
    cued = [one for one in records if one.evidence.cues]
    basis = [one for one in cued if not RAISING_ONLY.issuperset(one.evidence.cues)]
    declared, deciding = _decided(said, made, basis)
    if declared is Declared.NONE:
        deciding = [one for one in records if one.evidence.strength in _CLAIMED]  # shown, for they declare nothing
    shown = _one_a_writer(deciding)
    support = shown[0].evidence.strength if shown else Strength.NONE
    if declared is Declared.NONE and not deciding and any(one.evidence.kind == FAILURE for one in records):
        declared = Declared.UNREADABLE
    raised = bool(cued or said[_Says.COMPOSITE] or any(map(_vouched, capture))) or declared in {
        Declared.AI_COMPOSITE,
        Declared.CONFLICT,
    }
    return Summary(
        declared=declared,
        support=support,
        by="" if declared in {Declared.NONE, Declared.UNREADABLE} else _by(shown[0].evidence),
        because=tuple(dict.fromkeys(one.place for one in (*shown, *cued))),
        priority_effect=PriorityEffect.RAISE if raised else PriorityEffect.NONE,
        real_basis=bool(basis or said[_Says.COMPOSITE]) or declared is Declared.AI_COMPOSITE,
        complete=complete and not any(one.evidence.kind == FAILURE or one.evidence.limits_hit for one in records),
        suggests_generative_ai=declared in {Declared.AI_GENERATED, Declared.AI_COMPOSITE} and support in _SUGGESTED,
    )


def _decided(
    said: dict[_Says, list[_Record]], made: list[_Record], basis: list[_Record]
) -> tuple[Declared, list[_Record]]:
    """What is declared, and the records that say so: the one that gives the support first."""
    capture, screen = said[_Says.CAPTURE], said[_Says.SCREEN]
    if made and capture:
        both = made + capture
        if _captured_before(made, capture) or _explained(said[_Says.COMPOSITE], capture):
            return Declared.AI_COMPOSITE, both
        return Declared.CONFLICT, sorted(both, key=_order)
    if made and not _stronger(screen, made):
        composite = bool(said[_Says.COMPOSITE] or basis)
        return (Declared.AI_COMPOSITE if composite else Declared.AI_GENERATED), made
    vouched = [one for one in capture if _declares_capture(one)]
    if vouched and not _stronger(screen, vouched):
        return Declared.CAPTURE, vouched
    if screen:
        return Declared.SCREEN_CAPTURE, screen
    other = said[_Says.OTHER] + [one for one in capture if not _signed(one.evidence)]
    return (Declared.OTHER_DECLARED if other else Declared.NONE), sorted(other, key=_order)


def _direction(one: Evidence) -> _Says | None:
    """The direction of a record; none of what is broken, or claims nothing."""
    if one.claim == _NOTHING or one.strength in {Strength.SIGNED_BROKEN, Strength.NONE}:
        return None
    return _DIRECTIONS.get(one.claim, _Says.OTHER)


def _order(record: _Record) -> tuple[int, bytes]:
    return record.order


def _signed(one: Evidence) -> bool:
    return one.strength in _SIGNED


def _vouched(record: _Record) -> bool:
    """Whether a capture is signed by somebody who is on a list or pinned."""
    one = record.evidence
    trusted = one.integrity is not None and one.integrity.chain in _VOUCHED
    return one.strength is Strength.SIGNED_TRUSTED or (one.strength is Strength.SIGNED_INTACT and trusted)


def _declares_capture(record: _Record) -> bool:
    """Whether a claim of capture is enough to declare one."""
    one = record.evidence
    fields = one.claim == "capture_fields_present" and one.strength is Strength.UNSIGNED_STRUCTURED
    return _vouched(record) or fields


def _captured_before(made: Iterable[_Record], capture: Iterable[_Record]) -> bool:
    """Whether a capture is among what the picture was made from, and the picture itself is declared to be AI-made."""
    return any(one.evidence.kind == _ACTIVE for one in made) and any(
        one.evidence.kind == _INGREDIENT for one in capture
    )


def _explained(composite: Sequence[_Record], capture: Sequence[_Record]) -> bool:
    """Whether a composite is claimed, as well vouched for as any capture."""
    return bool(composite) and not _stronger(capture, composite)


def _stronger(these: Sequence[_Record], those: Sequence[_Record]) -> bool:
    """Whether the best of these is better vouched for than the best of those."""
    return bool(these) and _RANKS[these[0].evidence.strength] < _RANKS[those[0].evidence.strength]


def _one_a_writer(records: Iterable[_Record]) -> list[_Record]:
    """Signed records all, and of each unsigned writer the best: writing a thing twice makes it no truer."""
    kept: dict[object, _Record] = {}
    for record in records:
        one = record.evidence
        writer = (_DIRECTIONS.get(one.claim), one.generator.casefold() or one.kind.partition(".")[0])
        kept.setdefault(record.place if _signed(one) else writer, record)
    return list(kept.values())


def _by(one: Evidence) -> str:
    if not _signed(one):
        return UNSIGNED
    return one.signer or UNNAMED

"""A prompt with what was found in it marked, safe to show on a terminal."""

from __future__ import annotations

from rempart.cli.output import display
from rempart.prompts import PromptVerdict
from rempart.prompts.conditions import PROMPT

_AROUND = 24
"""Characters shown on each side of a marked span."""


def marked(prompt: str, verdict: PromptVerdict) -> str:
    """The spans that were found, each in square brackets in its surroundings; empty when nothing was found."""
    spans = sorted(
        [(hit.start, hit.end) for hit in verdict.concepts if hit.field == PROMPT]
        + [(age.start, age.end) for age in verdict.ages]
    )
    pieces: list[str] = []
    shown = 0
    for start, end in spans:
        if start < shown:  # overlaps the span before it, which shows it already
            continue
        if start - shown > 2 * _AROUND:
            pieces.append(display(prompt[shown : shown + _AROUND]) if shown else "")
            pieces.append(f"…{display(prompt[start - _AROUND : start])}")
        else:
            pieces.append(display(prompt[shown:start]))
        pieces.append(f"[{display(prompt[start:end])}]")
        shown = end
    if spans:
        tail = prompt[shown:]
        pieces.append(display(tail[:_AROUND]) + ("…" if len(tail) > _AROUND else ""))
    return "".join(pieces)

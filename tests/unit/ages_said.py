"""Finds ages in a text, for tests of how they are said and of what they are the ages of."""

from __future__ import annotations

from rempart.prompts import AgeHit
from rempart.prompts.age_tables import FOLDER, read_languages
from rempart.prompts.ages import find_ages
from rempart.prompts.fold import fold
from rempart.prompts.tokens import tokenize

LANGUAGES = {data.language: data for data in read_languages(FOLDER)}


def ages(text: str) -> tuple[AgeHit, ...]:
    """The ages in a text."""
    folded = fold(text)
    return find_ages(tokenize(folded.text), folded)

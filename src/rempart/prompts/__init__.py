"""Prompts: refuse what must not be generated, and say why, without refusing innocent people."""

from __future__ import annotations

from rempart.prompts.lexicon import Lexicon, load_lexicon, shipped_sets
from rempart.prompts.pack import Pack, PackHeader, Term, read_pack
from rempart.prompts.screener import MAX_CHARACTERS, PromptScreener
from rempart.prompts.specimen import SPECIMEN_TOKEN
from rempart.prompts.verdict import AgeHit, Answer, ConceptHit, PromptVerdict

__all__ = [
    "MAX_CHARACTERS",
    "SPECIMEN_TOKEN",
    "AgeHit",
    "Answer",
    "ConceptHit",
    "Lexicon",
    "Pack",
    "PackHeader",
    "PromptScreener",
    "PromptVerdict",
    "Term",
    "load_lexicon",
    "read_pack",
    "shipped_sets",
]

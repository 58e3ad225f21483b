"""Matching: which known hashes lie near a given one, and what verdict that makes."""

from __future__ import annotations

from rempart.matching.bank import Bank, DigestRows, Harm, Kind, PdqRows
from rempart.matching.index import HashIndex, Hit
from rempart.matching.matcher import Matcher
from rempart.matching.verdict import Match, Outcome, Verdict

__all__ = [
    "Bank",
    "DigestRows",
    "Harm",
    "HashIndex",
    "Hit",
    "Kind",
    "Match",
    "Matcher",
    "Outcome",
    "PdqRows",
    "Verdict",
]

"""Matching: which known hashes lie near a given one, and what verdict that makes."""

from __future__ import annotations

from rempart.matching.bank import Bank, Harm, Kind, PdqRows
from rempart.matching.digest_table import DigestRows
from rempart.matching.flood import FloodRule, Sighting
from rempart.matching.index import HashIndex, Hit
from rempart.matching.matcher import Matcher
from rempart.matching.verdict import Match, Outcome, Verdict
from rempart.matching.video import FrameRows, VideoRule

__all__ = [
    "Bank",
    "DigestRows",
    "FloodRule",
    "FrameRows",
    "Harm",
    "HashIndex",
    "Hit",
    "Kind",
    "Match",
    "Matcher",
    "Outcome",
    "PdqRows",
    "Sighting",
    "Verdict",
    "VideoRule",
]

"""rempart: keep sexual abuse imagery of children from being generated, spread and trained on.

Everything here is imported on first use, so that ``import rempart`` and ``rempart --help`` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rempart.errors import Reason, RempartError
    from rempart.hashing import Hashed, Pdq, Unscannable, hash_image, hash_video, pdq
    from rempart.matching import Bank, HashIndex, Hit, Match, Matcher, Verdict
    from rempart.prompts import PromptScreener, PromptVerdict
    from rempart.provenance.examine import examine
    from rempart.provenance.report import ProvenanceReport

__version__ = "0.4.0"

_HOMES = {
    "Bank": "rempart.matching",
    "HashIndex": "rempart.matching",
    "Hashed": "rempart.hashing",
    "Hit": "rempart.matching",
    "Match": "rempart.matching",
    "Matcher": "rempart.matching",
    "Pdq": "rempart.hashing",
    "PromptScreener": "rempart.prompts",
    "PromptVerdict": "rempart.prompts",
    "ProvenanceReport": "rempart.provenance.report",
    "Reason": "rempart.errors",
    "RempartError": "rempart.errors",
    "Unscannable": "rempart.hashing",
    "Verdict": "rempart.matching",
    "examine": "rempart.provenance.examine",
    "hash_image": "rempart.hashing",
    "hash_video": "rempart.hashing",
    "pdq": "rempart.hashing",
}

__all__ = [
    "Bank",
    "HashIndex",
    "Hashed",
    "Hit",
    "Match",
    "Matcher",
    "Pdq",
    "PromptScreener",
    "PromptVerdict",
    "ProvenanceReport",
    "Reason",
    "RempartError",
    "Unscannable",
    "Verdict",
    "examine",
    "hash_image",
    "hash_video",
    "pdq",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- PEP 562: the type is that of whatever is asked for
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""All sentences about origin that a person is shown, fixed and in two languages; facts from files are quoted in them.

None of them says what a picture is, or how likely that is: they say what stands in the file, and who vouches for it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from rempart.provenance.evidence import Declared, Evidence, SignedAt, Strength

Language = Literal["en", "fr"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

FILE_UNREAD: Final = "file_unread"
"""Caveat of the record that stands for a file that could not be examined; its excerpt says why."""
_OTHER: Final = "other"
_FACT_CHARACTERS: Final = 120
_LAST_ASCII: Final = 0x7F

_Said: TypeAlias = dict[str, dict[str, str]]


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables of sentences.toml; each entry has a text in every language."""

    sentence: _Said
    claim: _Said
    support: _Said
    declared: _Said
    word: _Said


@cache
def _words() -> _Words:
    return msgspec.toml.decode(files("rempart.provenance").joinpath("sentences.toml").read_bytes(), type=_Words)


def sentence(caveat: str, lang: Language = "en", **facts: str) -> str:
    """The sentence of that name, with facts quoted in it, escaped and cut short.

    Args:
        caveat: its name; a name that this version does not know gives the sentence ``other``.
        lang: one of :data:`LANGUAGES`.
        facts: what it quotes: ``claim``, ``generator``, ``signer``, ``list``, ``where`` and the like. What is missing
            is said to be not named.
    """
    said = _words().sentence
    quoted = {name: shown(fact) for name, fact in facts.items() if fact}
    return said.get(caveat, said[_OTHER])[lang].format_map(_Facts(_words().word["unnamed"][lang], quoted))


def sentence_of(evidence: Evidence, lang: Language = "en") -> str:
    """The sentence for one record."""
    told = sentence(
        evidence.caveat,
        lang,
        claim=claim_words(evidence.claim, lang),
        generator=evidence.generator,
        signer=evidence.signer,
        list=evidence.integrity.chain_name if evidence.integrity else "",
        where=f"{evidence.location.container} {evidence.location.field}".strip(),
        why=evidence.excerpt if evidence.caveat == FILE_UNREAD else "",
    )
    if evidence.integrity is not None and evidence.integrity.time is SignedAt.EXPIRED_NO_STAMP:
        told = f"{told} {_words().sentence['expired'][lang]}"
    if evidence.kind == "c2pa.ingredient":
        return _words().sentence["of_ingredient"][lang].format(sentence=told)
    return told


def claim_words(claim: str, lang: Language = "en") -> str:
    """A claim in words, with its term; one that this version does not know as it stands."""
    known = _words().claim.get(claim)
    if known is None:
        return claim
    return known[lang] if claim in {"none", "generator_present"} else f"{known[lang]} ({claim})"


def support_words(strength: Strength, lang: Language = "en") -> str:
    """Who vouches, in words."""
    return _words().support[strength][lang]


def declared_words(declared: Declared, lang: Language = "en") -> str:
    """What is declared, in a word or two."""
    return _words().declared[declared][lang]


def by_words(by: str, lang: Language = "en") -> str:
    """Who a summary is by, in words: a signer is quoted."""
    return _words().word[by][lang] if by in _words().word else shown(by)


def shown(text: str, limit: int = _FACT_CHARACTERS) -> str:
    r"""Text from a file as it may be printed: cut short, with everything that is no plain character as ``\u202e``.

    So neither a terminal nor the eye can be led astray: no escape sequence, no line break, no change of direction.
    """
    cut = text[:limit]
    plain = cut if cut.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in cut)
    return plain if len(text) <= limit else f"{plain}…"


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode() if ord(char) > _LAST_ASCII else f"\\x{ord(char):02x}"


class _Facts(dict[str, str]):
    """The facts of a sentence; one that is not there is said to be not named."""

    def __init__(self, missing: str, facts: dict[str, str]) -> None:
        super().__init__(facts)
        self._missing = missing

    def __missing__(self, _name: str) -> str:
        return self._missing

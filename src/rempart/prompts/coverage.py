"""How far the shipped packs reach: of each language against English, and of English against WordNet's hyponyms.

WordNet (Princeton; Fellbaum 1998) is read where Debian's package ``wordnet-base`` puts it, and only by the script and
the test that measure; its nouns are walked from named synsets, one concept at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rempart.errors import PackError, UnavailableError
from rempart.prompts.pack import SHIPPED, Pack, as_looked_up, read_bytes

WORDNET: Final = Path("/usr/share/wordnet")
"""Where ``wordnet-base`` keeps its files."""

ROOTS: Final[Mapping[str, tuple[str, ...]]] = {
    "minor": ("09622049", "09918248", "10084295", "10285313", "10559288"),
    "sexual": ("00844254", "14456138", "00747215", "05514081", "07487955", "00774107"),
}
"""Offsets in WordNet 3.0's ``data.noun`` of the synsets whose hyponyms are a concept's vocabulary."""

_OTHER = ".other"


class LanguageCoverage(NamedTuple):
    """One pack, and how many of the English meanings it can say."""

    pack: str
    language: str
    concept: str
    version: str
    digest: str
    terms: int
    forms: int
    covered: float
    """Share of the ids of the English pack of the concept that it has a form for, 0 to 1."""


class Exclusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lemmas of a synset that are left out on purpose."""

    synset: str
    """Offset in ``data.noun``: the words themselves need not be written down."""
    reason: str
    lemmas: tuple[int, ...] = ()
    """Numbers of the lemmas in the synset, from 1; empty for all."""


class WordNetCoverage(NamedTuple):
    """How many lemmas below the roots of a concept are in its English pack, excluded, or neither."""

    concept: str
    lemmas: int
    packed: int
    excluded: int
    missing: tuple[str, ...]
    """Synset and number of each lemma that is neither, ``09917593.2``."""

    @property
    def covered(self) -> float:
        """Share of lemmas that are in the pack or excluded with a reason, 0 to 1."""
        return (self.packed + self.excluded) / self.lemmas


def language_coverage(packs: Sequence[Pack]) -> tuple[LanguageCoverage, ...]:
    """One row a pack; terms for other senses (``.other``) need no translation and do not count."""
    english = {pack.header.concept: _meanings(pack) for pack in packs if pack.header.language == "en"}
    rows = []
    for pack in packs:
        header = pack.header
        wanted = english.get(header.concept, frozenset())
        covered = len(wanted & pack.ids) / len(wanted) if wanted else 1.0
        counts = (len(pack.terms), pack.forms)
        rows.append(
            LanguageCoverage(
                header.pack, header.language, header.concept, header.version, pack.digest, *counts, covered
            )
        )
    return tuple(rows)


def wordnet_coverage(pack: Pack, folder: Path = WORDNET) -> WordNetCoverage:
    """Compare an English pack with the hyponyms of its concept's synsets.

    Raises:
        UnavailableError: WordNet is not there; the message says how to install it.
        PackError: the list of exclusions is broken, or names a synset that is not below the roots.
    """
    concept = pack.header.concept
    synsets = _hyponyms(_nouns(folder), ROOTS[concept])
    excluded = {exclusion.synset: exclusion for exclusion in exclusions(concept)}
    if unknown := excluded.keys() - synsets.keys():
        raise PackError(f"exclusions of {concept}: {len(unknown)} synsets are not below the roots; take them out")
    known = {form for term in pack.terms for form in (*term.forms, *term.exceptions)}
    packed = left_out = 0
    missing: list[str] = []
    for offset, lemmas in synsets.items():
        for number, lemma in enumerate(lemmas, start=1):
            if as_looked_up(lemma.replace("_", " "), "en") in known:
                packed += 1
            elif offset in excluded and (not excluded[offset].lemmas or number in excluded[offset].lemmas):
                left_out += 1
            else:
                missing.append(f"{offset}.{number}")
    return WordNetCoverage(concept, packed + left_out + len(missing), packed, left_out, tuple(missing))


def exclusions(concept: str) -> tuple[Exclusion, ...]:
    """What of WordNet is left out of the English pack of a concept, and why.

    Raises:
        PackError: the file is missing or broken.
    """
    path = SHIPPED / "excluded" / f"{concept}.jsonl"
    try:
        lines = read_bytes(path).decode().splitlines()
        return tuple(msgspec.json.decode(line, type=Exclusion) for line in lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackError(f"{path}: {error}") from None


def _meanings(pack: Pack) -> frozenset[str]:
    return frozenset(term.id for term in pack.terms if not term.concept.endswith(_OTHER))


class _Synset(NamedTuple):
    lemmas: tuple[str, ...]
    hyponyms: tuple[str, ...]


def _nouns(folder: Path) -> dict[str, _Synset]:
    """The noun synsets by offset; the format is that of wndb(5WN)."""
    try:
        text = (folder / "data.noun").read_text(encoding="latin-1")
    except OSError:
        raise UnavailableError(f"{folder}: WordNet is not there; install Debian's package wordnet-base") from None
    return dict(_synset(line) for line in text.splitlines() if not line.startswith("  "))


def _synset(line: str) -> tuple[str, _Synset]:
    fields = line.partition(" | ")[0].split(" ")
    words = int(fields[3], 16)
    at = 4 + 2 * words
    pointers = [fields[at + 1 + 4 * number :][:4] for number in range(int(fields[at]))]
    below = tuple(target for kind, target, part, _ in pointers if kind in {"~", "~i"} and part == "n")
    return fields[0], _Synset(tuple(fields[4:at:2]), below)


def _hyponyms(nouns: Mapping[str, _Synset], roots: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Lemmas of the roots and all that lies below them, each synset once."""

    def walk(offset: str) -> Iterator[str]:
        yield offset
        for below in nouns[offset].hyponyms:
            yield from walk(below)

    return {offset: nouns[offset].lemmas for root in roots for offset in walk(root)}

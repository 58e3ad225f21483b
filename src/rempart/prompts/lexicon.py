"""Packs and the lexicon made of them: which words stand for which concept.

A pack is a file of JSON lines, one concept and one language a file: first a header, then one term a line. A term has
forms: folded words, or several words with a space between. The lexicon looks whole words up, never parts of words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rempart.errors import PackError
from rempart.prompts.fold import Folded, fold
from rempart.prompts.tokens import Tokens, tokenize
from rempart.prompts.verdict import ConceptHit

SHIPPED = Path(__file__).with_name("packs")
"""The folder of the packs that come with rempart, one folder a set."""

_FLOOR_CLASSES = ("minor.explicit", "sexual.explicit")

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
_Text = Annotated[str, Meta(min_length=1)]


class PackHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a pack."""

    pack: _Name
    version: _Text
    concept: _Name
    language: _Name
    """BCP 47 tag in lower case."""
    source: _Text
    licence: _Text


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a pack: a meaning, with all forms that express it."""

    id: _Name
    concept: Annotated[str, Meta(pattern=r"^[a-z0-9_-]+\.[a-z0-9_]+$")] = msgspec.field(name="class")
    """The class, which begins with the concept of the pack: ``minor.explicit``."""
    strength: Annotated[float, Meta(gt=0, le=1)]
    forms: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    note: str = ""
    """Why a form is in this class, where that is not plain."""


class Pack(msgspec.Struct, frozen=True):
    """A pack as it was read."""

    header: PackHeader
    terms: tuple[Term, ...]
    digest: str
    """SHA-256 of the header and the terms in canonical JSON, in hexadecimal digits."""

    @property
    def forms(self) -> int:
        """How many forms all terms have together."""
        return sum(len(term.forms) for term in self.terms)


class Lexicon:
    """Packs, made ready for look-up."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        """Make a lexicon of packs that passed :func:`read_pack`."""
        self.packs = tuple(packs)
        names = sorted(f"{pack.header.pack} {pack.digest}\n" for pack in packs)
        self.digest = hashlib.sha256("".join(names).encode()).hexdigest()
        self._entries: dict[tuple[str, ...], list[tuple[str, Term]]] = {}
        lengths: dict[str, set[int]] = {}
        for pack in packs:
            for term in pack.terms:
                for form in term.forms:
                    words = tuple(form.split(" "))
                    self._entries.setdefault(words, []).append((pack.header.concept, term))
                    lengths.setdefault(words[0], set()).add(len(words))
        # First word of a form -> how many words the forms that begin with it have, the longest first.
        self._lengths = {head: tuple(sorted(found, reverse=True)) for head, found in lengths.items()}

    def find(self, tokens: Tokens, folded: Folded) -> tuple[ConceptHit, ...]:
        """The hits in the order of the text, the longer first; takes linear time.

        A hit that lies inside a longer one of the same concept is dropped: the longer expression is what was said.
        Hits that only overlap both stay, and hits of different concepts never hide each other.
        """
        if self._lengths.keys().isdisjoint(tokens.words):
            return ()
        hits: list[ConceptHit] = []
        longest: dict[str, tuple[int, int]] = {}
        for first, last in self._expressions(tokens):
            start, end = folded.span(tokens.spans[first][0], tokens.spans[last][1])
            for concept, term in self._entries[tuple(tokens.words[first : last + 1])]:
                # Expressions come by their beginning, the longer first: only an earlier one can contain this one.
                cover = longest.get(concept, (-1, -1))
                if last < cover[1] or (last == cover[1] and first > cover[0]):
                    continue
                longest[concept] = (first, last)
                hits.append(ConceptHit(term.concept, term.id, start, end, "exact"))
        return tuple(hits)

    def _expressions(self, tokens: Tokens) -> Iterator[tuple[int, int]]:
        """First and last token of every form in the text."""
        words, lengths, entries = tokens.words, self._lengths, self._entries
        for first, word in enumerate(words):
            for length in lengths.get(word, ()):
                last = first + length - 1
                if last < len(words) and tuple(words[first : last + 1]) in entries and tokens.joined(first, last):
                    yield first, last


def load_lexicon(packs: str | Path) -> Lexicon:
    """The lexicon of a set of packs.

    Args:
        packs: name of a shipped set (:func:`shipped_sets`), or path of a folder that holds ``*.jsonl`` packs.

    Raises:
        PackError: a pack is broken, two have the same name, none is there, or the floor has nothing to stand on.
    """
    folder = _folder(packs)
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise PackError(f"{folder}: no packs are there; a pack is a file that ends in .jsonl")
    found: dict[str, Pack] = {}
    for path in paths:
        pack = read_pack(path)
        if pack.header.pack in found:
            raise PackError(f"{path}:1: another pack of this folder has the same name; give each its own")
        found[pack.header.pack] = pack
    classes = {term.concept for pack in found.values() for term in pack.terms}
    missing = [name for name in _FLOOR_CLASSES if name not in classes]
    if missing:
        raise PackError(f"{folder}: no term has the class {' or '.join(missing)}; the floor needs both")
    return Lexicon(tuple(found.values()))


def shipped_sets() -> tuple[str, ...]:
    """Names of the sets of packs that come with rempart."""
    return tuple(sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()))


def read_pack(path: Path) -> Pack:
    """Read and check one pack; a byte order mark and CRLF line ends are accepted.

    Raises:
        PackError: it cannot be read or anything in it is wrong; the message names file and line, never the text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        lines = raw.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise PackError(f"{path}:{number}: not UTF-8") from None
    header = _decode(lines[0], PackHeader, f"{path}:1")
    terms: list[Term] = []
    ids: set[str] = set()
    forms: set[str] = set()
    for number, line in enumerate(lines[1:], start=2):
        place = f"{path}:{number}"
        term = _decode(line, Term, place)
        _check(term, header, place)
        if term.id in ids:
            raise PackError(f"{place}: the id is that of an earlier term")
        if len({*term.forms}) < len(term.forms) or not forms.isdisjoint(term.forms):
            raise PackError(f"{place}: a form stands twice in this pack")
        ids.add(term.id)
        forms.update(term.forms)
        terms.append(term)
    canonical = b"\n".join(msgspec.json.encode(part, order="sorted") for part in (header, *terms))
    return Pack(header, tuple(terms), hashlib.sha256(canonical).hexdigest())


def _folder(packs: str | Path) -> Path:
    if isinstance(packs, str) and packs in shipped_sets():
        return SHIPPED / packs
    folder = Path(packs)
    if not folder.is_dir():
        raise PackError(f"{folder}: no such folder of packs; shipped are {', '.join(shipped_sets())}")
    return folder


def _check(term: Term, header: PackHeader, place: str) -> None:
    if term.concept.partition(".")[0] != header.concept:
        raise PackError(f"{place}: the class does not begin with the concept of the pack; one concept a file")
    for at, form in enumerate(term.forms, start=1):
        folded = fold(form).text
        words = tokenize(folded).words
        if folded != form or not words or " ".join(words) != form:
            raise PackError(
                f"{place}: form {at} is not written as it is looked up: folded words of letters or of digits, "
                "one space between"
            )


def _decode(line: str, kind: type[Any], place: str) -> Any:  # noqa: ANN401 -- an instance of ``kind``
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        # The message of an unknown key quotes it; all others name only what the format itself names.
        said = "it has an unknown key" if "unknown field" in str(error) else str(error)
        raise PackError(f"{place}: {said}") from None

"""Packs: files of terms, one concept and one language a file, read strictly.

A pack is a file of JSON lines: first a header, then one term a line. A folder of packs may hold ``digests.json``, which
names each of its packs with the digest it must have; the folders that come with rempart do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from rempart.errors import PackError
from rempart.prompts.fold import fold
from rempart.prompts.tokens import tokenize

SHIPPED: Final = Path(__file__).with_name("packs")
"""The folder of the packs that come with rempart, one folder a language, and ``canary``."""

DIGESTS: Final = "digests.json"
"""File of a folder of packs that says which packs must be there, with which digests."""

UNSPACED: Final = frozenset({"zh", "ja", "ko"})
"""Languages whose words are not parted by spaces, or carry particles: their forms are looked for inside words."""

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
_Text = Annotated[str, Meta(min_length=1)]
_Forms = tuple[_Text, ...]

_SEAM = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
_ASCII_FORM = re.compile(r"(?:[a-z]+|[0-9]+)(?: (?:[a-z]+|[0-9]+))*")


class PackHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first line of a pack."""

    pack: _Name
    version: _Text
    concept: _Name
    language: _Name
    """BCP 47 tag in lower case."""
    source: _Text
    licence: _Text
    reviewer: str = ""
    """Who reviewed the pack as a native speaker; empty while nobody has."""


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a pack: a meaning, with all forms that express it."""

    id: _Name
    """The English lemma, the same in the packs of all languages."""
    concept: Annotated[str, Meta(pattern=r"^[a-z0-9_-]+\.[a-z0-9_]+$")] = msgspec.field(name="class")
    """The class, which begins with the concept of the pack: ``minor.explicit``."""
    forms: Annotated[_Forms, Meta(min_length=1)]
    strength: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """How sure it is that who writes a form means the term; below 0.85 it needs a second signal."""
    also: tuple[_Name, ...] = ()
    """Ids of other terms that the language expresses by the same forms."""
    exceptions: _Forms = ()
    """Expressions that hold a form of this concept and mean something else; no form counts inside them."""
    shared: Mapping[str, tuple[_Name, ...]] = {}
    """Forms that are common words of other languages with another meaning, and those languages."""
    note: str = ""
    """Why a form is in this class, where that is not plain."""
    source: str = ""
    """Where the term comes from, if not from where the header says."""


class Pack(msgspec.Struct, frozen=True):
    """A pack as it was read."""

    header: PackHeader
    terms: tuple[Term, ...]
    digest: str
    """SHA-256 of the header and the terms in canonical JSON, in hexadecimal digits."""

    def __repr__(self) -> str:
        """The name and counts; private packs have words that nobody should see in a log."""
        return f"<Pack {self.header.pack}: {len(self.terms)} terms, {self.forms} forms>"

    @property
    def forms(self) -> int:
        """How many forms all terms have together."""
        return sum(len(term.forms) for term in self.terms)

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the meanings that it has a form for."""
        return frozenset(name for term in self.terms for name in (term.id, *term.also))


def read_pack(path: Path) -> Pack:
    """Read and check one pack; a byte order mark and CRLF line ends are accepted.

    Raises:
        PackError: it cannot be read or anything in it is wrong; the message names file and line, never the text.
    """
    return parse_pack(read_bytes(path), str(path))


def read_folder(folder: Path) -> tuple[Pack, ...]:
    """The packs of a folder, sorted by file name, and checked against its ``digests.json`` if it has one.

    Raises:
        PackError: a pack is broken, two have the same name, none is there, or they are not what ``digests.json`` says.
    """
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise PackError(f"{folder}: no packs are there; a pack is a file that ends in .jsonl")
    recorded = _recorded(folder)
    packs: dict[str, Pack] = {}
    for path in paths:
        # What ships has been checked form by form when its digests were recorded.
        pack = parse_pack(read_bytes(path), str(path), check=folder.parent != SHIPPED or recorded is None)
        name = pack.header.pack
        if name in packs:
            raise PackError(f"{path}:1: another pack of this folder has the same name; give each its own")
        if recorded is not None and recorded.pop(name, None) != pack.digest:
            raise PackError(f"{path}: its digest is not the one in {DIGESTS}; restore the file, or record it anew")
        packs[name] = pack
    if recorded:
        raise PackError(f"{folder / DIGESTS}: {len(recorded)} packs that it names are missing; restore them")
    return tuple(packs.values())


def record_digests(folder: Path) -> None:
    """Check the packs of a folder form by form and write its ``digests.json``, which pins what is there now.

    Raises:
        PackError: a pack is broken.
    """
    digests = {}
    for path in sorted(folder.glob("*.jsonl")):
        pack = read_pack(path)
        digests[pack.header.pack] = pack.digest
    (folder / DIGESTS).write_bytes(msgspec.json.format(msgspec.json.encode(digests), indent=2) + b"\n")


def parse_pack(raw: bytes, place: str, *, check: bool = True) -> Pack:
    """Parse the bytes of a pack.

    Args:
        raw: the content of the file.
        place: what messages call it.
        check: whether to see if each form is written as it is looked up.

    Raises:
        PackError: anything in it is wrong.
    """
    try:
        lines = raw.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise PackError(f"{place}:{number}: not UTF-8") from None
    header = _decode(lines[0], PackHeader, f"{place}:1")
    terms: list[Term] = []
    ids: set[str] = set()
    forms: set[str] = set()
    for number, line in enumerate(lines[1:], start=2):
        at = f"{place}:{number}"
        term = _decode(line, Term, at)
        if term.concept.partition(".")[0] != header.concept:
            raise PackError(f"{at}: the class does not begin with the concept of the pack; one concept a file")
        if check:
            _check_forms(term, header.language, at)
        if term.id in ids:
            raise PackError(f"{at}: the id is that of an earlier term")
        new = {*term.forms, *term.exceptions}
        if len(new) < len(term.forms) + len(term.exceptions) or not forms.isdisjoint(new):
            raise PackError(f"{at}: a form or exception stands twice in this pack")
        if not term.shared.keys() <= set(term.forms):
            raise PackError(f"{at}: a shared form is not among the forms")
        ids.add(term.id)
        forms |= new
        terms.append(term)
    canonical = b"\n".join(msgspec.json.encode(part, order="sorted") for part in (header, *terms))
    return Pack(header, tuple(terms), hashlib.sha256(canonical).hexdigest())


def read_bytes(path: Path) -> bytes:
    """The content of a file that the start depends on.

    Raises:
        PackError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror}") from None


def as_looked_up(text: str, language: str) -> str:
    """How a form must be written: folded, in words of letters or of digits with one space between.

    Languages without spaces keep runs of letters and digits together.
    """
    folded = fold(text).text
    return " ".join(folded.split()) if language in UNSPACED else " ".join(tokenize(folded).words)


def spread(form: str) -> str:
    """The form with a space at each seam of digits and letters, as the words of a text come: ``1girl`` -> ``1 girl``.

    A form that is written with such a seam stands only for texts that write it together.
    """
    return _SEAM.sub(" ", form)


def _check_forms(term: Term, language: str, place: str) -> None:
    for at, form in enumerate((*term.forms, *term.exceptions), start=1):
        if _ASCII_FORM.fullmatch(form):
            continue
        written = form if language in UNSPACED else spread(form)
        if as_looked_up(form, language) != written or not tokenize(form).words:
            raise PackError(
                f"{place}: form {at} is not written as it is looked up: folded words of letters or of digits, "
                "one space between"
            )


def _recorded(folder: Path) -> dict[str, str] | None:
    path = folder / DIGESTS
    if not path.exists():
        return None
    recorded: dict[str, str] = _decode(read_bytes(path), dict[str, str], str(path))
    return recorded


def _decode(line: str | bytes, kind: Any, place: str) -> Any:  # noqa: ANN401 -- a type, and an instance of it
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The message of an unknown key quotes it; all others name only what the format itself names.
        said = "it has an unknown key" if "unknown field" in str(error) else str(error)
        raise PackError(f"{place}: {said}") from None

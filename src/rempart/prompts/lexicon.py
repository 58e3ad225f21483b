"""The lexicon: packs made ready for look-up.

It looks whole words up, never parts of words, in all languages at once: short prompts do not show their language.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rempart.errors import PackError
from rempart.prompts.fold import Folded
from rempart.prompts.pack import DIGESTS, SHIPPED, UNSPACED, Pack, read_bytes, read_folder, spread
from rempart.prompts.private import HashedPack, read_private
from rempart.prompts.tokens import Tokens
from rempart.prompts.unspaced import UnspacedForms
from rempart.prompts.verdict import ConceptHit
from rempart.settings import PrivatePacks

ALL: Final = "all"
"""Name of the set of all languages that come with rempart."""

CANARY: Final = "canary"
"""Name of the set of neutral words that stand in for the concepts in tests."""

FOREIGN_STRENGTH: Final = 0.3
"""Strength of a form that is a common word of another language, in a text that speaks that language."""

_HAN = re.compile("[\u3400-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")

_FLOOR_CLASSES = ("minor.explicit", "sexual.explicit")


class Meaning(NamedTuple):
    """What a form stands for: a class, in one or more languages."""

    concept: str
    """The class."""
    term: str
    language: str
    """Languages in which the form has this meaning, with commas between."""
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A meaning of a form, or an expression in which forms of a concept do not count."""

    concept: str
    meaning: Meaning | None
    elsewhere: tuple[str, ...] = ()
    """Languages in which the form is a common word of another meaning."""


class Lexicon:
    """Packs, made ready for look-up; threads may share it."""

    def __init__(self, packs: Sequence[Pack], hashed: Sequence[HashedPack] = ()) -> None:
        """Make a lexicon of packs that have been read."""
        self.packs = tuple(packs)
        self.hashed = tuple(hashed)
        every: list[Pack | HashedPack] = [*packs, *hashed]
        named = sorted(f"{pack.header.pack} {pack.digest}\n" for pack in every)
        self.digest = hashlib.sha256("".join(named).encode()).hexdigest()
        self._entries = _entries(packs)
        spaced: set[str] = set()
        unspaced: set[str] = set()
        for pack in packs:
            kept = unspaced if pack.header.language in UNSPACED else spaced
            for term in pack.terms:
                kept.update(term.forms, term.exceptions)
        self._glued = frozenset(spread(form) for form in spaced if form[0].isdigit() and " " not in form)
        lengths: dict[str, set[int]] = {}
        self._seconds: dict[str, set[str]] = {}
        """First word of a form -> the words behind it: most texts that hold the one hold none of the others."""
        for form in spaced:
            head, gap, rest = spread(form).partition(" ")
            lengths.setdefault(head, set()).add(rest.count(" ") + 2 if gap else 1)
            if gap:
                self._seconds.setdefault(head, set()).add(rest.partition(" ")[0])
        # First word of a form -> how many words the forms that begin with it have, the longest first.
        self._lengths = {head: tuple(sorted(found, reverse=True)) for head, found in lengths.items()}
        self._unspaced = UnspacedForms(unspaced)

    def __repr__(self) -> str:
        """Counts only."""
        return f"<Lexicon of {len(self.packs) + len(self.hashed)} packs, {len(self._entries)} forms>"

    def find(self, tokens: Tokens, folded: Folded) -> tuple[ConceptHit, ...]:
        """The hits in the order of the text, the longer first; takes linear time.

        A hit that lies inside a longer one of the same concept, or inside one of its exceptions, is dropped: the
        longer expression is what was said. Hits that only overlap both stay, and hits of different concepts never
        hide each other.
        """
        places = list(self._expressions(tokens))
        if unspaced := list(self._unspaced.find(tokens.text)):
            places = sorted({*places, *unspaced}, key=lambda place: (place[0], -place[1]))
        hits: list[ConceptHit] = []
        cover: dict[str, tuple[int, int]] = {}
        votes: dict[str, int] | None = None
        for start, end, form in places:
            for entry in self._entries[form]:
                # Places come by their beginning, the longer first: only an earlier one can contain this one.
                first, last = cover.get(entry.concept, (-1, -1))
                if end < last or (end == last and start > first):
                    continue
                cover[entry.concept] = (start, end)
                if entry.meaning is None:
                    continue
                concept, term, language, strength = entry.meaning
                if entry.elsewhere:
                    votes = self._heard(tokens) if votes is None else votes
                    if _foreign(entry.meaning, entry.elsewhere, votes):
                        strength = min(strength, FOREIGN_STRENGTH)
                hits.append(ConceptHit(concept, term, *folded.span(start, end), "exact", strength, language))
        for hashed in self.hashed:
            hits.extend(hashed.find(tokens, folded))
        if self.hashed:
            hits.sort(key=lambda hit: hit.start)
        return tuple(hits)

    def lookup(self, form: str) -> tuple[Meaning, ...]:
        """What a folded word, or words with one space between, stands for; empty when it is in no pack."""
        return tuple(entry.meaning for entry in self._entries.get(form, ()) if entry.meaning is not None)

    def forms_of(self, classes: Collection[str]) -> Iterator[str]:
        """The forms that stand for one of these classes, but not those of hashed packs, which nobody can tell."""
        for form, entries in self._entries.items():
            for entry in entries:
                if entry.meaning is not None and entry.meaning.concept in classes:
                    yield form
                    break

    def _expressions(self, tokens: Tokens) -> Iterator[tuple[int, int, str]]:
        """Start, end and spelling of every form in the words of the text."""
        words, lengths, entries, spans = tokens.words, self._lengths, self._entries, tokens.spans
        if lengths.keys().isdisjoint(words):
            return
        for first, word in enumerate(words):
            if word not in lengths:
                continue
            followed = first + 1 < len(words) and words[first + 1] in self._seconds.get(word, ())
            for length in lengths[word]:
                if length == 1:
                    yield *spans[first], word
                    continue
                if not followed:
                    continue
                last = first + length - 1
                if last < len(words):
                    form = " ".join(words[first : last + 1])
                    if form in entries and tokens.joined(first, last) and self._together(form, first, tokens):
                        yield spans[first][0], spans[last][1], form

    def _together(self, form: str, first: int, tokens: Tokens) -> bool:
        """False for a tag such as ``1girl`` when the text has its parts apart."""
        return form not in self._glued or tokens.spans[first][1] == tokens.spans[first + 1][0]

    def _heard(self, tokens: Tokens) -> dict[str, int]:
        """How many words of the text are known to be of each language: function words, and forms of no other.

        Chinese characters speak for Chinese, and beside kana for Japanese.
        """
        votes: dict[str, int] = {}
        if _HAN.search(tokens.text):
            votes["ja" if _KANA.search(tokens.text) else "zh"] = 1
        function_words = _function_words()
        for word in set(tokens.words):
            if any(entry.elsewhere for entry in self._entries.get(word, ())):
                continue  # the doubtful words themselves have no vote
            languages = function_words.get(word) or self._only_language(word)
            for language in languages:
                votes[language] = votes.get(language, 0) + 1
        return votes

    def _only_language(self, word: str) -> tuple[str, ...]:
        languages = {meaning.language for meaning in self.lookup(word)}
        return tuple(languages) if len(languages) == 1 and "," not in next(iter(languages)) else ()


def _entries(packs: Sequence[Pack]) -> dict[str, list[_Entry]]:
    """What each form stands for; languages in which it stands for the same class share one entry."""
    entries: dict[str, list[_Entry]] = {}
    for pack in packs:
        concept, language = pack.header.concept, pack.header.language
        for term in pack.terms:
            for written in term.forms:
                form = written if language in UNSPACED else spread(written)
                elsewhere = tuple(term.shared.get(written, ()))
                new = _Entry(concept, Meaning(term.concept, term.id, language, term.strength), elsewhere)
                found = entries.get(form)
                if found is None:
                    entries[form] = [new]
                else:
                    _add(found, new)
            for form in term.exceptions:
                found = entries.setdefault(form, [])
                if all(entry.concept != concept for entry in found):
                    found.append(_Entry(concept, None))
    return entries


def _add(entries: list[_Entry], new: _Entry) -> None:
    for at, old in enumerate(entries):
        if old.meaning and new.meaning and old.meaning.concept == new.meaning.concept:
            languages = f"{old.meaning.language},{new.meaning.language}"
            strength = max(old.meaning.strength, new.meaning.strength)
            # It is foreign only to a text that speaks none of its own languages.
            elsewhere = tuple({*old.elsewhere, *new.elsewhere}) if old.elsewhere and new.elsewhere else ()
            meaning = old.meaning._replace(language=languages, strength=strength)
            entries[at] = _Entry(old.concept, meaning, elsewhere)
            return
        if old.meaning is None and old.concept == new.concept:
            entries[at] = new
            return
    entries.append(new)


def _foreign(meaning: Meaning, elsewhere: Sequence[str], votes: Mapping[str, int]) -> bool:
    """Whether the text speaks a language in which the form means something else, more than one of its own."""
    own = max(votes.get(language, 0) for language in meaning.language.split(","))
    return any(votes.get(language, 0) > own for language in elsewhere)


@cache
def _function_words() -> dict[str, tuple[str, ...]]:
    """Function words, and the languages that each belongs to."""
    path = SHIPPED / "function_words.json"
    try:
        words = msgspec.json.decode(read_bytes(path), type=dict[str, tuple[str, ...]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PackError(f"{path}: is damaged; install rempart again") from None
    languages: dict[str, list[str]] = {}
    for language, found in words.items():
        for word in found:
            languages.setdefault(word, []).append(language)
    return {word: tuple(found) for word, found in languages.items()}


def load_lexicon(packs: str | Path = ALL, private: PrivatePacks | None = None) -> Lexicon:
    """The lexicon of a set of packs, and of an operator's own.

    Args:
        packs: name of a shipped set (:func:`shipped_sets`), or path of a folder that holds ``*.jsonl`` packs.
        private: sealed or hashed packs that are added.

    Raises:
        PackError: a pack is broken, two have the same name, none is there, or the floor has nothing to stand on.
    """
    if packs == ALL:
        found = [pack for name in _languages() for pack in read_folder(SHIPPED / name)]
    else:
        found = [*read_folder(_folder(packs))]
    open_packs, hashed = read_private(private) if private else ((), ())
    found += open_packs
    names = [pack.header.pack for pack in found] + [pack.header.pack for pack in hashed]
    if len({*names}) < len(names):
        raise PackError("a private pack has the name of another pack; give each its own")
    classes = {term.concept for pack in found for term in pack.terms}
    missing = [name for name in _FLOOR_CLASSES if name not in classes]
    if missing:
        raise PackError(f"{packs}: no term has the class {' or '.join(missing)}; the floor needs both")
    return Lexicon(found, hashed)


def shipped_sets() -> tuple[str, ...]:
    """Names of the sets of packs that come with rempart: all languages, the canaries, each language."""
    return (ALL, CANARY, *_languages())


def _languages() -> tuple[str, ...]:
    """Languages that come with rempart, English first: it names the terms."""
    names = sorted(path.parent.name for path in SHIPPED.glob(f"*/{DIGESTS}") if path.parent.name != CANARY)
    return tuple(sorted(names, key=lambda name: name != "en"))


def _folder(packs: str | Path) -> Path:
    if isinstance(packs, str) and packs in shipped_sets():
        return SHIPPED / packs
    folder = Path(packs)
    if not folder.is_dir():
        raise PackError(f"{folder}: no such folder of packs; shipped are {', '.join(shipped_sets())}")
    return folder

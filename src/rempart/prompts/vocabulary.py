"""The vocabulary: the words of a lexicon, arranged so that a disguised one is found by a few look-ups.

Everything that depends on one token alone is worked out here, once for each token: prompts repeat their words, so a
token that was seen before costs one look-up for all its disguises together.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Container, Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from rempart.prompts.letters import LOOK, plain, romanised, spelled_out
from rempart.prompts.near import near, without_a_letter

SHORTEST = 3
"""Letters of the shortest word that is looked for in a disguise; in scripts without spaces it is one fewer."""

LONGEST_TOKEN = 40
"""Letters of the longest token whose disguises are all worked out; what is longer is only searched for long words."""

UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]")
"""A letter of a script that is written without spaces, or in which a word may be two letters long."""

_KEPT_TOKENS = 1 << 15  # tokens whose disguises are remembered
_ORDINARY = Path(__file__).with_name("tables") / "ordinary.bin"

_LONG = 6  # letters from which a word is looked for inside a longer token
_ROMANISED = 5  # letters from which a word of another script is looked for in Latin letters
_REPEATED = re.compile(r"([^\W\d_])\1+")
_TRIPLED = re.compile(r"([^\W\d_])\1\1")

# Look-alikes among plain letters and digits share one key.
_MERGED = str.maketrans("i1!|0", "llllo")

# Words that people glue to others, for tokens that are glued from nothing but these and words of the vocabulary.
_GLUE = (
    "a", "an", "and", "another", "any", "are", "art", "at", "background", "beach", "beautiful", "best", "big",
    "black", "blue", "bright", "by", "close", "color", "colour", "cute", "dark", "digital", "dusk", "for", "from",
    "good", "great", "green", "have", "her", "high", "his", "hot", "house", "image", "in", "is", "it", "its", "light",
    "like", "look", "many", "me", "more", "my", "near", "new", "nice", "night", "no", "of", "oil", "old", "on", "one",
    "or", "our", "over", "painting", "photo", "pic", "picture", "portrait", "pretty", "real", "red", "scene", "show",
    "some", "style", "sunset", "that", "the", "their", "there", "this", "three", "to", "two", "under", "up", "very",
    "view", "we", "white", "wild", "with", "yellow", "you", "your",
)  # fmt: skip
_GLUE_BY_LETTER = {letter: tuple(words) for letter, words in groupby(_GLUE, lambda word: word[0])}


class Disguise(NamedTuple):
    """A form that a token may stand for."""

    form: str
    view: str
    strength: float


class Vocabulary:
    """Words and expressions, ready to be found in disguise; build it once, threads may share it."""

    def __init__(self, forms: Iterable[str], ordinary: Container[str] | None = None) -> None:
        """Arrange the forms.

        Args:
            forms: folded words, or several with one space between.
            ordinary: words, and pairs of words with a space between, that are never read as a disguise; by default
                those that come with rempart.
        """
        self.forms = frozenset(forms)
        self.ordinary = _shipped_ordinary() if ordinary is None else ordinary
        expressions = [tuple(form.split(" ")) for form in self.forms if " " in form]
        self.singles = frozenset(form for form in self.forms if " " not in form)
        """Every word that stands alone."""
        self.parts = self.singles.union(*expressions)
        """Every word that stands alone or in an expression."""
        self.expressions: dict[str, list[tuple[str, ...]]] = {}
        for words in expressions:
            for word in set(words):
                self.expressions.setdefault(word, []).append(words)
        disguised = [word for word in self.parts if len(word) >= SHORTEST or UNSPACED.match(word)]
        self._closed = {"".join(words): " ".join(words) for words in expressions}
        self.whole = frozenset(disguised).union(self._closed)
        """What letters that were set apart may add up to: words, and expressions without their spaces."""
        self._pieces = self.whole.union(_GLUE)
        self._lengths = _lengths(self.whole)
        self._longest = max(map(len, self.whole), default=0)
        self.unspaced = _lengths((word for word in self.whole if UNSPACED.match(word)), SHORTEST - 1)
        """First two letters of words of scripts without spaces -> how long these words are."""
        self._long = _lengths(word for word in self.whole if len(word) >= _LONG)
        foreign = [word for word in disguised if not word.isascii()]
        common = [word for word in disguised if word.isascii()]
        alike = [*merged(" ".join(common)).split(), *merged(" ".join(foreign)).split()]
        self._merged = _grouped(alike, [*common, *foreign])
        self._backwards = {word[::-1]: word for word in disguised}
        self._shortened = without_a_letter(disguised)
        # Two letters that together look like one: "rn" for "m", "vv" for "w".
        paired = [word for word in disguised if "m" in word or "w" in word]
        self._paired = _grouped([word.replace("m", "rn").replace("w", "vv") for word in paired], paired)
        doubled = [word for word in self.whole if _REPEATED.search(word)]
        self._squeezed = _grouped(map(squeezed, doubled), doubled)
        self._accentless = _grouped([*map(plain, foreign), *map(spelled_out, foreign)], [*foreign, *foreign])
        self._romanised = _grouped(map(romanised, foreign), foreign)
        self._respelt = frozenset(self._closed).union(self._backwards, self._paired, self._romanised)
        self._innocent: set[str] = set()
        self._known: dict[str, tuple[Disguise, ...]] = {}

    def disguises(self, words: Iterable[str]) -> dict[str, tuple[Disguise, ...]]:
        """Those of ``words`` that may be disguised words of the vocabulary, with what they may stand for."""
        fresh = set(words)
        fresh -= self._innocent
        return {word: found for word in fresh if (found := self._known.get(word) or self._look(word))}

    def spell(self, letters: str) -> str:
        """The form that these letters are, spaces put back; empty if they are none."""
        return self._closed.get(letters) or (letters if letters in self.whole else "")

    def alike(self, letters: str) -> list[str]:
        """The words that these letters are once look-alikes among plain letters and digits are one."""
        return self._merged.get(merged(letters), "").split()

    def inside(self, letters: str, *, long: bool = False) -> Iterator[tuple[int, int]]:
        """Begin and end of every word in these letters, of the long ones only if told; takes linear time."""
        lengths, whole = self._long if long else self._lengths, self.whole
        known: dict[str, tuple[int, ...]] = {}  # letters that come again and again are looked at once
        for first in range(len(letters) - SHORTEST + 1):
            possible = lengths.get(letters[first : first + SHORTEST])
            if possible is None:
                continue
            ahead = letters[first : first + self._longest]
            ends = known.get(ahead)
            if ends is None:
                ends = tuple(size for size in possible if size <= len(ahead) and ahead[:size] in whole)
                known[ahead] = ends
            for size in ends:
                yield first, first + size

    def _look(self, token: str) -> tuple[Disguise, ...]:
        found = () if token in self.parts else tuple(self._disguises(token))
        if found and token in self.ordinary:
            found = ()
        if len(token) <= LONGEST_TOKEN:
            if len(self._innocent) + len(self._known) > _KEPT_TOKENS:
                self._innocent = set()
                self._known = {}
            if found:
                self._known[token] = found
            else:
                self._innocent.add(token)
        return found

    def _disguises(self, token: str) -> list[Disguise]:
        """Every form that ``token`` may stand for."""
        bare = token if token.isascii() else plain(token)
        found: list[Disguise] = []
        if bare in self._accentless:
            found += [Disguise(word, "accents", 1.0) for word in self._accentless[bare].split() if word != token]
        if bare != token and bare in self.parts:
            found.append(Disguise(bare, "accents", 1.0))
        size = len(bare)
        if size < SHORTEST:
            return found
        # As typed: two letters that only differ by an accent are no repeated letter, but the spelling of many a word.
        if _REPEATED.search(token):
            found += self._repeated(bare)
        if size > _LONG:
            inside = [bare[first:last] for first, last in self.inside(bare, long=True) if last - first < size]
            found += [Disguise(self.spell(word), "glued", 0.6) for word in inside]
        if size > LONGEST_TOKEN:
            return found
        if bare in self._respelt or not bare.isascii():
            found += self._respelled(bare)
        found += [Disguise(self.spell(word), "glued", 0.6) for word in self._glued(bare)]
        strength = 0.4 if size > SHORTEST else 0.3
        found += [Disguise(word, "one-edit", strength) for word in near(bare, self.parts, self._shortened)]
        return found

    def _respelled(self, token: str) -> Iterator[Disguise]:
        """The forms that are spelled like ``token`` when they are run together, turned round or written by sound."""
        if token in self._closed:
            yield Disguise(self._closed[token], "run-together", 0.9)
        if token in self._backwards:
            yield Disguise(self._backwards[token], "reversed", 0.7)
        for word in self._paired.get(token, "").split():
            yield Disguise(word, "look-alike", 0.7)
        if token.isascii():
            if len(token) >= _ROMANISED:
                yield from (Disguise(word, "romanised", 0.6) for word in self._romanised.get(token, "").split())
            return
        latin = romanised(token)
        if len(latin) >= SHORTEST and latin in self.parts:
            yield Disguise(latin, "romanised", 0.6)

    def _repeated(self, token: str) -> Iterator[Disguise]:
        """The forms that ``token`` is once none of its letters stands more often in a row than in the form."""
        strength = 0.9 if _TRIPLED.search(token) else 0.85
        once = squeezed(token)
        if once in self.whole:
            yield Disguise(self.spell(once), "repeated", strength)
        for word in self._squeezed.get(once, "").split():
            if word != token and all(few <= many for few, many in zip(_runs(word), _runs(token), strict=True)):
                yield Disguise(self.spell(word), "repeated", strength)

    def _glued(self, token: str) -> list[str]:
        """The words in ``token`` if it is glued from nothing but them and the words that people glue to others."""
        size = len(token)
        heads, ends = [token[:at] for at in range(1, size)], [token[at:] for at in range(1, size)]
        if self._pieces.isdisjoint(ends) or self._pieces.isdisjoint(heads):
            return []
        ways: dict[int, list[int]] = {0: []}  # where a piece ends -> where the pieces that end there begin
        for first in range(size):
            for last in self._piece_ends(token, first) if first in ways else ():
                ways.setdefault(last, []).append(first)
        found: list[str] = []
        behind = [size] if size in ways else []
        for last in behind:
            for first in ways[last]:
                if token[first:last] in self.whole:
                    found.append(token[first:last])
                if first not in behind:
                    behind.append(first)
        return found

    def _piece_ends(self, token: str, first: int) -> Iterator[int]:
        """Where the words that begin at ``first`` end, those that are the whole token left out."""
        for word in _GLUE_BY_LETTER.get(token[first], ()):
            if token.startswith(word, first):
                yield first + len(word)
        for length in self._lengths.get(token[first : first + SHORTEST], b""):
            if length < len(token) and token[first : first + length] in self.whole:
                yield first + length


def merged(text: str) -> str:
    """Text in which letters and digits that look alike are one letter."""
    if not text.isascii():
        text = plain(text.translate(LOOK))
    return text.translate(_MERGED)


def squeezed(text: str) -> str:
    """Text in which no letter stands twice in a row."""
    return _REPEATED.sub(r"\1", text)


def _runs(text: str) -> list[int]:
    """How often each letter of ``text`` stands in a row."""
    return [len(list(run)) for _, run in groupby(text)]


def _grouped(keys: Iterable[str], words: Iterable[str]) -> dict[str, str]:
    """The words by their keys, with spaces between the words of one key; strings spare the garbage collector."""
    found: dict[str, str] = {}
    for key, word in zip(keys, words, strict=True):
        found[key] = f"{found[key]} {word}" if key in found else word
    return found


def _lengths(words: Iterable[str], letters: int = SHORTEST) -> dict[str, bytes]:
    """The lengths of the words that begin with the same few letters, the longest first."""
    masks: dict[str, int] = {}
    for word in words:
        if len(word) <= LONGEST_TOKEN:
            head = word[:letters]
            masks[head] = masks.get(head, 0) | 1 << len(word)
    lengths = {mask: bytes(n for n in range(LONGEST_TOKEN, 0, -1) if mask >> n & 1) for mask in set(masks.values())}
    return {head: lengths[mask] for head, mask in masks.items()}


class Fingerprints:
    """A set of words of which only CRC-32 checksums are kept: it answers, but cannot be read.

    It takes a word that is not in it for one that is once in 2**32 divided by its size.
    """

    def __init__(self, checksums: Iterable[int]) -> None:
        self._checksums = frozenset(checksums)

    def __contains__(self, word: object) -> bool:
        """Whether the word is in the set."""
        return isinstance(word, str) and checksum(word) in self._checksums


def checksum(word: str) -> int:
    """The checksum by which a word is remembered."""
    return crc32(word.encode("utf-8", "surrogatepass"))


@cache
def _shipped_ordinary() -> Fingerprints:
    raw = _ORDINARY.read_bytes()
    return Fingerprints(struct.unpack(f"<{len(raw) // 4}I", raw))

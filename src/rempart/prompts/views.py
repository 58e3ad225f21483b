"""Views: what a disguised prompt says, each reading labelled with how strong an evidence it is.

A view undoes one kind of disguise. Views of single tokens come from :mod:`rempart.prompts.vocabulary`; those of the
text are here: letters set apart, signs for letters, words split in two, capitals as seams. What disguises a whole text
(codes, look-alikes, letters upside down) gives a layer: a second text that is read like the first.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from operator import add

from rempart.prompts.fold import Folded, fold
from rempart.prompts.layers import BUDGET, Layer, layers
from rempart.prompts.reading import Reading, expressions
from rempart.prompts.tokens import Tokens
from rempart.prompts.vocabulary import LONGEST_TOKEN, SHORTEST, UNSPACED, Vocabulary

OBFUSCATIONS = frozenset(
    {"brackets", "codes", "invisible", "letter-run", "look-alikes", "mixed-scripts", "signs", "turned"}
)
"""Ways of writing that innocent prompts seldom use."""

_SIGNALLED_RUN = 4  # single letters in a row from which they are a signal

# Single letters and digits with up to three signs or spaces between two of them.
_RUN = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){2,}")

# Signs and digits that are typed for letters.
_SIGN_LETTERS = {
    "@": "a", "$": "s", "|": "l", "+": "t", "!": "i", "\u00a1": "i", "\u20ac": "e", "\u00a3": "l", "\u00a2": "c",
    "\u00a5": "y", "\u00a7": "s", "0": "o", "1": "i", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t",
    "8": "b", "9": "g",
}  # fmt: skip
_AS_LETTERS = str.maketrans(_SIGN_LETTERS)
_AS_OTHER_LETTERS = str.maketrans(_SIGN_LETTERS | {"6": "b", "9": "q", "|": "i"})
_SIGNS = "".join(sign for sign in _SIGN_LETTERS if not sign.isdigit())
_ANY_SIGN = re.compile(rf"[{_SIGNS}\d]")
_SIGNED = re.compile(rf"[^\W\d_][{_SIGNS}\d]|[{_SIGNS}\d][^\W\d_]")
_SIGNED_WORD = re.compile(rf"(?:[^\W_]|[{_SIGNS}])+")
_INNER_SIGN = re.compile(rf"[^\W\d_][{_SIGNS}\d]+[^\W\d_]")

_ANY_BRACKET = re.compile(r"[(\[{]")
_BRACKET = re.compile(r"[^\W\d_][()\[\]{}]{1,3}[^\W\d_]")

# One sign or line break inside a word; a comma or a stop with a space behind it ends one.
_SPLIT = re.compile(r"[^\w,;:!?]|_|\r\n|[-\u2010]\r?\n")
_APOSTROPHES = ("'", "\u2019", "`", "\u00b4")
_ENDINGS = frozenset({"s", "t", "d", "m", "ll", "re", "ve"})  # "the heron's", "don't", "we'll"

_LOWER, _UPPER = "a-z\u00df-\u00f6\u00f8-\u00ff\u03b1-\u03c9\u0430-\u044f", "A-Z\u00c0-\u00de\u0391-\u03a9\u0410-\u042f"
_SEAM = re.compile(rf"(?<=[{_LOWER}])(?=[{_UPPER}])")
_ANY_SEAM = re.compile(rf"{_SEAM.pattern}|(?<=[{_UPPER}][{_UPPER}])(?=[{_LOWER}])")
_INNER_CAPITAL = re.compile(rf"[{_UPPER}](?<=[{_LOWER}{_UPPER}].)")
_WORD = re.compile(r"[^\W\d_]+")

_UNSPACED_GAP = re.compile(r"[^\w,\u3001\u3002\uff0c.!?;:\n]{1,3}|_")


def readings(
    folded: Folded, tokens: Tokens, vocabulary: Vocabulary, raw: str
) -> tuple[list[Reading], frozenset[str], bool]:
    """What a text says in disguise; takes linear time and never raises.

    Args:
        folded: the folded text.
        tokens: its tokens.
        vocabulary: the forms to look for.
        raw: the text that was folded.

    Returns:
        The readings, all of which are forms of the vocabulary and none of which stands there undisguised, in the order
        of the text; the :data:`OBFUSCATIONS` in use; whether the text was so crowded with disguises that only some were
        undone.
    """
    base = Layer(raw, folded, tokens)
    best: dict[tuple[str, int, int], Reading] = {}

    def keep(reading: Reading) -> None:
        key = reading[:3]
        if key not in best or best[key].strength < reading.strength:
            best[key] = reading

    signals: set[str] = set()
    over = False
    spent = 0
    allowed = BUDGET * len(raw)
    queue = [base]
    for layer in queue:
        signals.update(layer.signals)
        found = list(_read(layer, vocabulary, signals))
        if found and vocabulary.expressions:
            found.extend(expressions(found, layer.tokens, vocabulary))
        for reading in found:
            placed = layer.place(reading.start, reading.end, base.folded)
            if placed is None or (tokens.text[placed[0] : placed[1]] == reading.word and layer is not base):
                continue
            weaker = layer if layer.strength < reading.strength else reading
            keep(Reading(reading.word, *placed, weaker.view, weaker.strength))
        for further in layers(layer):
            spent += len(further.raw)
            if spent > allowed:
                over = True
                break
            queue.append(further)
    kept = [reading for reading in best.values() if reading.word in vocabulary.forms]
    kept.sort(key=lambda reading: (reading.start, reading.end, -reading.strength))
    return kept, frozenset(signals), over


def _read(layer: Layer, vocabulary: Vocabulary, signals: set[str]) -> Iterator[Reading]:
    """All readings of one layer; spans index its folded text."""
    tokens = layer.tokens
    words, text = tokens.words, tokens.text
    if layer.view:
        yield from _plainly(layer, vocabulary)
    known = vocabulary.disguises(words)
    if known:
        for word, (start, end) in zip(words, tokens.spans, strict=True):
            for disguise in known.get(word, ()):
                yield Reading(disguise.form, start, end, disguise.view, disguise.strength)
    if not vocabulary.whole.isdisjoint(map(add, words, words[1:])):
        yield from _split(tokens, vocabulary)
    if list(map(len, words)).count(1) >= SHORTEST:
        yield from _set_apart(text, vocabulary, signals)
    if _ANY_SIGN.search(text) and _SIGNED.search(text):
        yield from _signed(text, vocabulary, signals)
    yield from _read_raw(layer, vocabulary, signals)


def _read_raw(layer: Layer, vocabulary: Vocabulary, signals: set[str]) -> Iterator[Reading]:
    """Readings that need more than the tokens: capitals, brackets, removed characters, scripts without spaces."""
    if _INNER_CAPITAL.search(layer.raw):
        yield from _seams(layer, vocabulary)
    if "I" in layer.raw:
        yield from _capitals(layer, vocabulary)
    if _ANY_BRACKET.search(layer.raw) and _BRACKET.search(layer.raw):
        signals.add("brackets")
    if not layer.raw.isascii() or layer.folded.pieces is not None:
        cuts = layer.cuts()
        if cuts:
            yield from _cut(layer.tokens, cuts, vocabulary, signals)
        if UNSPACED.search(layer.tokens.text):
            yield from _unspaced(layer.tokens, vocabulary)


def _plainly(layer: Layer, vocabulary: Vocabulary) -> Iterator[Reading]:
    """The words that stand plainly in a layer, and those that do so once letters that look alike are one."""
    forms: dict[str, list[str]] = {}
    for word, (start, end) in zip(layer.tokens.words, layer.tokens.spans, strict=True):
        if word not in forms:
            forms[word] = _forms(word, layer.view, vocabulary)
        for form in forms[word]:
            if form == word or layer.view == "turned" or layer.replaced(start, end):
                yield Reading(form, start, end, layer.view, layer.strength)


def _forms(word: str, view: str, vocabulary: Vocabulary) -> list[str]:
    if len(word) < SHORTEST:
        return []
    if view == "turned":
        return [form for form in (word, word[::-1]) if form in vocabulary.parts]
    if word in vocabulary.parts:
        return [word]
    return vocabulary.alike(word) if view == "look-alike" else []


def _split(tokens: Tokens, vocabulary: Vocabulary) -> Iterator[Reading]:
    """Words cut in two by one sign, space or line break; neither possessives nor what is written in two words."""
    words, spans, text = tokens.words, tokens.spans, tokens.text
    for at, (first, second) in enumerate(pairwise(words)):
        form = vocabulary.spell(first + second)
        if not form or " " in form or first in vocabulary.singles or second in vocabulary.singles:
            continue
        start, end = spans[at][1], spans[at + 1][0]
        gap = text[start:end]
        if not _SPLIT.fullmatch(gap) or f"{first} {second}" in vocabulary.ordinary:
            continue
        if (second in _ENDINGS and gap in _APOSTROPHES) or text[spans[at][0] - 1 : spans[at][0]] in _APOSTROPHES:
            continue
        yield Reading(form, spans[at][0], spans[at + 1][1], "split", 0.7)


def _set_apart(text: str, vocabulary: Vocabulary, signals: set[str]) -> Iterator[Reading]:
    """Words whose letters are set apart: by spaces, stops, dashes, stars."""
    for run in _RUN.finditer(text):
        places = [at for at, sign in enumerate(run[0], run.start()) if sign.isalnum()]
        letters = "".join(filter(str.isalnum, run[0]))
        if len(letters) >= _SIGNALLED_RUN and not letters.isdigit():
            signals.add("letter-run")
        if not letters.isalpha():
            letters = letters.translate(_AS_LETTERS)
        for first, last in vocabulary.inside(letters):
            # Three letters in the midst of many may be anything.
            alone = last - first > SHORTEST or last - first == len(letters.lstrip("ai"))
            strength = 0.9 if alone else 0.7
            form = vocabulary.spell(letters[first:last])
            yield Reading(form, places[first], places[last - 1] + 1, "letter-run", strength)


def _signed(text: str, vocabulary: Vocabulary, signals: set[str]) -> Iterator[Reading]:
    """Words with digits or signs in the place of letters."""
    if _INNER_SIGN.search(text):
        signals.add("signs")
    forms: dict[str, list[tuple[str, str]]] = {}
    for found in _SIGNED_WORD.finditer(text):
        whole = found[0]
        if whole.isalpha() or not SHORTEST <= len(whole) <= LONGEST_TOKEN:
            continue
        if whole not in forms:
            forms[whole] = list(_unsigned(whole, vocabulary))
        for form, word in forms[whole]:
            start = found.start() + whole.index(word)
            yield Reading(form, start, start + len(word), "signs", 0.85)


def _unsigned(whole: str, vocabulary: Vocabulary) -> Iterator[tuple[str, str]]:
    """The forms that a word with signs stands for, each with the part that is the form."""
    # What stands at the ends may be punctuation or a number.
    whole = whole.rstrip("!")
    for word in {whole, whole.rstrip(_SIGNS), whole.lstrip("0123456789"), whole.strip(_SIGNS)}:
        if len(word) >= SHORTEST and _SIGNED.search(word):
            letters = {word.translate(_AS_LETTERS), word.translate(_AS_OTHER_LETTERS)}
            yield from ((form, word) for each in letters for form in vocabulary.alike(each))


def _seams(layer: Layer, vocabulary: Vocabulary) -> Iterator[Reading]:
    """Words glued to their neighbours, where capitals show the seams."""
    for found in _WORD.finditer(layer.raw):
        word = found[0]
        if not _ANY_SEAM.search(word):
            continue
        any_seam = [0, *(cut.start() for cut in _ANY_SEAM.finditer(word)), len(word)]
        rising = [at for at in any_seam if at in {0, len(word)} or _SEAM.match(word, at)]
        spans = {*pairwise(any_seam), *pairwise(rising)}
        for first, last in spans:
            if last - first < SHORTEST:
                continue
            form = fold(word[first:last]).text
            span = layer.within(found.start() + first, found.start() + last)
            if form in vocabulary.parts and span:
                yield Reading(form, *span, "seam", 0.9)


def _capitals(layer: Layer, vocabulary: Vocabulary) -> Iterator[Reading]:
    """Words with a capital I in the place of a small L."""
    for found in _WORD.finditer(layer.raw):
        word = found[0]
        if "I" not in word or word.isupper() or len(word) < SHORTEST:
            continue
        form = fold(word.replace("I", "l")).text
        span = layer.within(*found.span())
        if form in vocabulary.parts and span and layer.tokens.text[slice(*span)] not in vocabulary.ordinary:
            # A name may begin with a capital I; inside a word it has no business.
            yield Reading(form, *span, "look-alike", 0.95 if "I" in word[1:] else 0.7)


def _cut(tokens: Tokens, cuts: list[int], vocabulary: Vocabulary, signals: set[str]) -> Iterator[Reading]:
    """Words that only invisible characters kept apart; ``cuts`` says where these were."""
    for start, end in tokens.spans:
        inner = cuts[bisect_right(cuts, start) : bisect_left(cuts, end)]
        if not inner:
            continue
        signals.add("invisible")
        ends = [start, *inner, end]
        for first, last in pairwise(ends):
            word = tokens.text[first:last]
            if len(word) >= SHORTEST and word in vocabulary.parts:
                yield Reading(word, first, last, "invisible", 0.9)


def _unspaced(tokens: Tokens, vocabulary: Vocabulary) -> Iterator[Reading]:
    """Words of scripts without spaces, with signs or spaces between their letters."""
    words, spans, text = tokens.words, tokens.spans, tokens.text
    first = 0
    for last in range(1, len(words) + 1):
        if (
            last < len(words)
            and UNSPACED.match(words[last])
            and _UNSPACED_GAP.fullmatch(text, spans[last - 1][1], spans[last][0])
        ):
            continue
        if last - first > 1:
            yield from _across(tokens, first, last, vocabulary)
        first = last


def _across(tokens: Tokens, first: int, last: int, vocabulary: Vocabulary) -> Iterator[Reading]:
    """Words that begin in one and end in another of the tokens from ``first`` to before ``last``."""
    letters = "".join(tokens.words[first:last])
    places = [at for start, end in tokens.spans[first:last] for at in range(start, end)]
    for at in range(len(letters) - 1):
        for length in vocabulary.unspaced.get(letters[at : at + 2], b""):
            word = letters[at : at + length]
            if word not in vocabulary.whole:
                continue
            start, end = places[at], places[at + len(word) - 1] + 1
            if end - start > len(word):
                yield Reading(vocabulary.spell(word), start, end, "letter-run", 0.9)

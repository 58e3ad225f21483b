"""A reading: a form of the vocabulary that a part of the prompt may stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rempart.prompts.tokens import Tokens
from rempart.prompts.vocabulary import Vocabulary

# What may stand between the words of an expression, besides white space.
_JOINT_CHARS = frozenset("_'\u2019-\u2010\u2013\u2014")
_BACKWARDS = frozenset({"reversed", "turned"})


class Reading(NamedTuple):
    """A form that was found in disguise; the span indexes the folded text."""

    word: str
    start: int
    end: int
    view: str
    strength: float


def expressions(found: Iterable[Reading], tokens: Tokens, vocabulary: Vocabulary) -> Iterator[Reading]:
    """Expressions of which at least one word is disguised; the weakest word gives view and strength.

    Args:
        found: readings of single words.
        tokens: the words that stand undisguised in the text.
        vocabulary: the expressions.
    """
    disguised = [reading for reading in found if reading.word in vocabulary.expressions]
    if not disguised:
        return
    pieces = [
        Reading(word, start, end, "exact", 1.0)
        for word, (start, end) in zip(tokens.words, tokens.spans, strict=True)
        if word in vocabulary.expressions
    ]
    pieces += disguised
    ahead: dict[tuple[str, int], Reading] = {}
    behind: dict[tuple[str, int], Reading] = {}
    for piece in sorted(pieces, key=lambda piece: piece.strength):
        ahead[piece.word, piece.start] = behind[piece.word, piece.end] = piece
    for reading in disguised:
        for form in vocabulary.expressions[reading.word]:
            for words in (form, form[::-1]) if reading.view in _BACKWARDS else (form,):
                yield from _around(reading, words, form, tokens.text, ahead, behind)


def _around(
    reading: Reading,
    words: tuple[str, ...],
    form: tuple[str, ...],
    text: str,
    ahead: dict[tuple[str, int], Reading],
    behind: dict[tuple[str, int], Reading],
) -> Iterator[Reading]:
    """The expression, for every place that the reading may have in it."""
    for at, word in enumerate(words):
        if word != reading.word:
            continue
        whole = [reading]
        for other in words[at + 1 :]:
            following = ahead.get((other, _joint_end(text, whole[-1].end)))
            if following is None:
                break
            whole.append(following)
        for other in reversed(words[:at]):
            before = behind.get((other, _joint_start(text, whole[0].start)))
            if before is None:
                break
            whole.insert(0, before)
        if len(whole) == len(words):
            weakest = min(whole, key=lambda piece: piece.strength)
            yield Reading(" ".join(form), whole[0].start, whole[-1].end, weakest.view, weakest.strength)


def _joint_end(text: str, start: int) -> int:
    """Where the joint that begins at ``start`` ends."""
    while start < len(text) and (text[start].isspace() or text[start] in _JOINT_CHARS):
        start += 1
    return start


def _joint_start(text: str, end: int) -> int:
    """Where the joint that ends at ``end`` begins."""
    while end and (text[end - 1].isspace() or text[end - 1] in _JOINT_CHARS):
        end -= 1
    return end

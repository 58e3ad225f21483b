"""Expressions of one or more words, found in tokens by their first word or by their last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from rempart.prompts.tokens import Tokens

ALL_LANGUAGES = -1
"""The languages of what is written alike in all of them, such as digits. Sets of languages are bits of an integer."""

# What may stand between the words of one expression: white space and up to three signs, such as " = (" or "/".
_GAP = re.compile(r"\s*(?:[^\s,;!?]{1,3}\s*)?")

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """An expression that was found: its first and last token, what it stands for, its languages."""

    first: int
    last: int
    value: T
    languages: int


_Entry = tuple[list[str], T, int]


class Phrases(Generic[T]):
    """Expressions, what each stands for, and its languages."""

    def __init__(self, entries: Iterable[tuple[str, T, int]]) -> None:
        """Take expressions with one space between words; one of several languages stands for the same in all."""
        merged: dict[str, tuple[T, int]] = {}
        for text, value, bit in entries:
            kept = merged.get(text)
            merged[text] = (value, bit) if kept is None else (kept[0], kept[1] | bit)
        self._entries: list[_Entry[T]] = [(text.split(" "), value, bits) for text, (value, bits) in merged.items()]
        self._entries.sort(key=lambda entry: -len(entry[0]))
        self._by_first: dict[str, list[_Entry[T]]] = {}
        for entry in self._entries:
            self._by_first.setdefault(entry[0][0], []).append(entry)

    @cached_property
    def _by_last(self) -> dict[str, list[_Entry[T]]]:
        found: dict[str, list[_Entry[T]]] = {}
        for entry in self._entries:
            found.setdefault(entry[0][-1], []).append(entry)
        return found

    @property
    def firsts(self) -> Iterable[str]:
        """The words that expressions begin with."""
        return self._by_first

    @property
    def telling(self) -> Iterable[str]:
        """The longest word of each expression, which is the one that is seldom in other texts."""
        return (max(words, key=len) for words, _, _ in self._entries)

    def starting(self, tokens: Tokens, at: int, languages: int = ALL_LANGUAGES) -> Found[T] | None:
        """The longest expression of one of ``languages`` whose first token is ``at``."""
        words = tokens.words
        for expression, value, bits in self._by_first.get(words[at], ()):
            last = at + len(expression) - 1
            if bits & languages and words[at : last + 1] == expression and near(tokens, at, last):
                return Found(at, last, value, bits & languages)
        return None

    def after(self, tokens: Tokens, last: int, languages: int = ALL_LANGUAGES) -> Found[T] | None:
        """The longest expression of one of ``languages`` right behind the token ``last``."""
        at = last + 1
        if at >= len(tokens.words) or tokens.words[at] not in self._by_first or not near(tokens, last, at):
            return None
        return self.starting(tokens, at, languages)

    def before(self, tokens: Tokens, first: int, languages: int = ALL_LANGUAGES) -> Found[T] | None:
        """The longest expression of one of ``languages`` right before the token ``first``."""
        words, at = tokens.words, first - 1
        if at < 0:
            return None
        for expression, value, bits in self._by_last.get(words[at], ()):
            begin = first - len(expression)
            if bits & languages and begin >= 0 and words[begin:first] == expression and near(tokens, begin, first):
                return Found(begin, at, value, bits & languages)
        return None


def near(tokens: Tokens, first: int, last: int) -> bool:
    """Whether the tokens ``first`` to ``last`` have no comma or end of a sentence between them, and few other signs."""
    spans = tokens.spans
    return all(_GAP.fullmatch(tokens.text, spans[at][1], spans[at + 1][0]) for at in range(first, last))

"""Look-up in text without spaces: forms of Chinese, Japanese and Korean, the longest first at each character."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")


class UnspacedForms:
    """Forms that may stand anywhere in a run of characters, found in linear time."""

    def __init__(self, forms: Iterable[str]) -> None:
        """Arrange the forms by their first character."""
        lengths: dict[str, set[int]] = {}
        for form in forms:
            lengths.setdefault(form[0], set()).add(len(form))
        self._lengths = {head: tuple(sorted(found, reverse=True)) for head, found in lengths.items()}
        self._forms = frozenset(forms)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Start, end and spelling of every form in ``text``, by their beginning, the longer first.

        A form that begins in Hangul begins a word, because Korean parts words by spaces and adds particles behind
        them; a form that begins with a Latin letter or a digit does not begin inside a word or number.
        """
        if text.isascii() or not self._lengths or not _UNSPACED.search(text):
            return
        lengths, forms = self._lengths, self._forms
        for start, char in enumerate(text):
            for length in lengths.get(char, ()):
                end = start + length
                if end <= len(text) and text[start:end] in forms and not _inside(text, start):
                    yield start, end, text[start:end]


def _inside(text: str, start: int) -> bool:
    if not start:
        return False
    char, before = text[start], text[start - 1]
    if _HANGUL.match(char):
        return bool(_HANGUL.match(before))
    return char.isascii() and before.isascii() and before.isalnum()

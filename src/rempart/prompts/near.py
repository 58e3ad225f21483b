"""Words one edit away: two letters swapped, one dropped, one put in, one replaced.

What would have to be guessed is looked up instead (the symmetric-delete idea of SymSpell): the index holds each word
without each of its letters, so no alphabet is tried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

SWAPPED = 3
"""Letters of the shortest word that is recognised with two neighbours swapped."""

DROPPED = 4
"""Letters of the shortest word that is recognised without one of its letters."""

ADDED = 5
"""Letters of the shortest word that is recognised with one more."""

REPLACED = 7
"""Letters of the shortest word that is recognised with another letter in place of one."""


def without_a_letter(words: Iterable[str]) -> dict[str, str]:
    """Each word without one of its letters, for all its letters, and the word; of two that collide the last stays."""
    return {word[:at] + word[at + 1 :]: word for word in words if len(word) >= DROPPED for at in range(len(word))}


def near(token: str, words: frozenset[str], shortened: Mapping[str, str]) -> Iterator[str]:
    """Those of ``words`` that one edit makes of ``token``.

    Args:
        token: what was typed; it is none of ``words``.
        words: the words.
        shortened: :func:`without_a_letter` of them.
    """
    size = len(token)
    if token in shortened:
        yield shortened[token]
    if size < SWAPPED:
        return
    shorter = [token[:at] + token[at + 1 :] for at in range(size)]
    if size > ADDED and not words.isdisjoint(shorter):
        yield from words.intersection(shorter)
    # Whatever else one edit makes, it shares with the token what is left when one letter of each goes.
    if size >= DROPPED and shortened.keys().isdisjoint(shorter):
        return
    for at in range(size - 1):
        swapped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
        if swapped in words:
            yield swapped
    if size < REPLACED:
        return
    for at, short in enumerate(shorter):
        other = shortened.get(short, "")
        if len(other) == size and other[:at] + other[at + 1 :] == short:
            yield other

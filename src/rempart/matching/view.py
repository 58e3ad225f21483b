"""One state of an index: filed hashes, what was added since, and which ids of the filed ones are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from rempart.matching.journal import Change, Kind
from rempart.matching.permutation import WORDS, Words
from rempart.matching.segment import Ids, Rows, Segment

_SMALLEST_ROOM = 64


@dataclass(frozen=True, eq=False)
class View:
    """A state that never changes: whoever has begun to read it may finish, whatever is added or removed meanwhile.

    Attributes:
        segment: the filed hashes.
        gone: ids whose filed hashes do not count, ascending.
        added_words: hashes that are in no bucket yet, of shape (k, 4); ``added_ids`` their ids.
    """

    segment: Segment
    gone: Ids
    added_words: Words
    added_ids: Ids
    _room: _Room = field(repr=False)

    @classmethod
    def of(cls, segment: Segment) -> Self:
        """A state with nothing added or removed."""
        room = _Room(0)
        return cls(segment, np.empty(0, np.int64), room.words, room.ids, room)

    def after(self, change: Change) -> View:
        """The state after one more change. Only ever called on the newest state, by one thread at a time."""
        if change.kind is Kind.ADD:
            room = self._room.with_more(len(self.added_ids), change)
            end = len(self.added_ids) + len(change.ids)
            return View(self.segment, self.gone, room.words[:end], room.ids[:end], room)
        kept = np.flatnonzero(~np.isin(self.added_ids, change.ids))
        gone = np.union1d(self.gone, change.ids)
        if len(kept) == len(self.added_ids):
            return View(self.segment, gone, self.added_words, self.added_ids, self._room)
        words, ids = self.added_words[kept], self.added_ids[kept]
        return View(self.segment, gone, words, ids, _Room.holding(words, ids))

    def after_all(self, changes: Iterable[Change]) -> View:
        """The state after several changes, in order."""
        view: View = self
        for change in changes:
            view = view.after(change)
        return view

    def is_gone(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which of these ids of filed hashes do not count any more."""
        if not len(self.gone):
            return np.zeros(len(ids), np.bool_)
        place = np.minimum(np.searchsorted(self.gone, ids), len(self.gone) - 1)
        found: npt.NDArray[np.bool_] = self.gone[place] == ids
        return found

    def blocks(self) -> Iterator[Rows]:
        """All hashes that count, some at a time."""
        for words, ids in self.segment.blocks():
            kept = ~self.is_gone(ids)
            yield (words, ids) if kept.all() else (words[kept], ids[kept])
        if len(self.added_ids):
            yield self.added_words, self.added_ids

    def rows(self) -> Rows:
        """The same at once."""
        blocks = [(self.added_words[:0], self.added_ids[:0]), *self.blocks()]
        return np.concatenate([words for words, _ in blocks]), np.concatenate([ids for _, ids in blocks])

    @cached_property
    def _length(self) -> int:
        filed = len(self.segment)
        if len(self.gone):
            filed -= sum(int(self.is_gone(ids).sum()) for _, ids in self.segment.blocks())
        return filed + len(self.added_ids)

    def __len__(self) -> int:
        return self._length

    @property
    def pending(self) -> int:
        """How many added hashes and removed ids there are."""
        return len(self.added_ids) + len(self.gone)

    @property
    def nbytes(self) -> int:
        """Size of all arrays in bytes."""
        return self.segment.nbytes + self.gone.nbytes + self.added_words.nbytes + self.added_ids.nbytes


class _Room:
    """Arrays with room at their end, so that adding one hash to many does not copy these.

    What lies before the end that a state knows never changes; a newer state only writes behind it.
    """

    def __init__(self, rows: int) -> None:
        self.words = np.empty((rows, WORDS), np.uint64)
        self.ids = np.empty(rows, np.int64)

    @classmethod
    def holding(cls, words: Words, ids: Ids) -> Self:
        room = cls(0)
        room.words, room.ids = words, ids
        return room

    def with_more(self, end: int, change: Change) -> _Room:
        """Room that holds the change behind ``end``: this one if it is long enough, else one of twice the length."""
        room = self
        more = end + len(change.ids)
        if more > len(self.ids):
            room = _Room(max(_SMALLEST_ROOM, 2 * more))
            room.words[:end], room.ids[:end] = self.words[:end], self.ids[:end]
        room.words[end:more], room.ids[end:more] = change.words, change.ids
        return room

"""Where readers put what they find, and the limits under which they do so."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from rempart.provenance.fields import Field, FileView, Limits

MOST_PARTS: Final = 60_000
"""Chunks, segments, boxes, directory entries and XML elements that are looked at in one file."""

HEAD_BYTES: Final = 64 << 10
"""So much is kept of what is only told to be there: signed stores, trailers, blocks that nobody here understands."""

_NAME_CHARACTERS: Final = 200
_INFLATED_AT_ONCE: Final = 64 << 10


class BrokenError(Exception):
    """A container cannot be read on. Its message is a few fixed words and quotes nothing of the file."""


class ExhaustedError(Exception):
    """A limit is met, and noted already; whoever catches it goes on elsewhere, or ends."""


class Gathering:
    """What was read of one file so far.

    Attributes:
        content: the bytes of the file, up to the limit.
        width: as a header says, 0 until then; ``height`` and ``alpha`` likewise.
        structure: see :class:`rempart.provenance.fields.FileView`.
    """

    def __init__(self, content: bytes, limits: Limits) -> None:
        self.content = content
        self.limits = limits
        self.width = 0
        self.height = 0
        self.alpha = False
        self.structure: dict[str, str] = {}
        self._fields: list[Field] = []
        self._left = limits.text_bytes
        self._parts = MOST_PARTS
        # Dictionaries keep the order in which things were first seen, and each once.
        self._hit: dict[str, None] = {}
        self._failures: dict[str, None] = {}

    @property
    def most(self) -> int:
        """Bytes that the next field may have."""
        return max(min(self.limits.field_bytes, self._left), 0)

    def part(self, count: int = 1) -> None:
        """Count more elements of a container.

        Raises:
            ExhaustedError: the file has too many.
        """
        self._parts -= count
        if self._parts < 0:
            self.hit("parts")
            raise ExhaustedError

    def spend(self, count: int) -> None:
        """Count bytes that were inflated or put together to be read and are not kept as they are."""
        self._left -= count

    def hit(self, limit: str) -> None:
        """Note that a limit was met."""
        self._hit[limit] = None

    def fail(self, reader: str, why: str) -> None:
        """Note that something could not be read, in words that quote nothing of the file."""
        self._failures[f"{reader}: {why}"] = None

    def attempt(self, reader: str, read: Callable[[], None]) -> None:
        """Read a part of the file; if that fails it is noted, and the other parts are read all the same."""
        try:
            read()
        except BrokenError as broken:
            self.fail(reader, str(broken))
        except ExhaustedError:
            pass
        except Exception as error:  # noqa: BLE001 -- a reader may have a defect; a report without its part is partial
            self.fail(reader, type(error).__name__)

    def take(self, start: int, end: int) -> tuple[bytes, bool]:
        """The bytes of the file from ``start`` to ``end``, as many as a field may have, and whether that cut them."""
        end = min(end, len(self.content))
        if end - start > self.most:
            self.cut()
            return self.content[start : start + self.most], True
        return self.content[start:end], False

    def head(self, start: int, end: int) -> bytes:
        """The beginning of what is only told to be there; that there is more is no limit that was met."""
        end = min(end, start + HEAD_BYTES, len(self.content))
        if end - start > self.most:
            self.cut()
            end = start + self.most
        return self.content[start:end]

    def inflate(self, packed: bytes) -> tuple[bytes, bool]:
        """What a zlib stream holds, as much as a field may have, and whether anything of it is missing."""
        most, found = self.most, bytearray()
        engine = zlib.decompressobj()
        try:
            for at in range(0, len(packed), _INFLATED_AT_ONCE):
                if len(found) >= most:
                    break
                found += engine.decompress(packed[at : at + _INFLATED_AT_ONCE], most - len(found))
                while engine.unconsumed_tail and len(found) < most:
                    found += engine.decompress(engine.unconsumed_tail, most - len(found))
        except zlib.error:
            self.fail("zlib", "broken stream")
            return bytes(found), True
        if engine.eof:
            return bytes(found), False
        if len(found) >= most:
            self.cut()
        else:
            self.fail("zlib", "stream without an end")
        return bytes(found), True

    def add(
        self,
        container: str,
        name: str,
        data: bytes,
        text: str | None = None,
        *,
        offset: int = -1,
        truncated: bool = False,
    ) -> None:
        """Keep a field, whose parts are those of the record.

        What no longer fits into the limit of all fields together is left out, and that is noted.

        Raises:
            ExhaustedError: the file has too many fields.
        """
        if len(self._fields) >= self.limits.fields:
            self.hit("fields")
            raise ExhaustedError
        cost = max(len(data), len(text) if text else 0)
        if cost > self._left:
            self.hit("text_bytes")
            return
        self._left -= cost
        shown = name[:_NAME_CHARACTERS]
        self._fields.append(
            Field(container=container, name=shown, data=data, text=text, offset=offset, truncated=truncated)
        )

    def view(self, format: str | None, size: int) -> FileView:  # noqa: A002 -- the record's word
        """All that was gathered, as a record."""
        return FileView(
            format=format,
            content=self.content,
            size=size,
            width=self.width,
            height=self.height,
            alpha=self.alpha,
            fields=tuple(self._fields),
            structure=self.structure,
            limits_hit=tuple(self._hit),
            failures=tuple(self._failures),
        )

    def cut(self) -> None:
        """Note that a field is longer than :attr:`most`, by the limit that says so."""
        self.hit("field_bytes" if self._left >= self.limits.field_bytes else "text_bytes")

"""What comes of trying to open an untrusted file when it cannot be opened."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rempart.errors import Reason

Hex = Annotated[str, Meta(max_length=64, pattern="^[0-9a-f]*$")]
ShortText = Annotated[str, Meta(max_length=32)]
Size = Annotated[int, Meta(ge=0, lt=1 << 40)]


class Unscannable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An item that could not be read far enough to be compared by how it looks.

    It is never "clear". Its digests are there whenever its bytes could be read, for they can still be compared.
    """

    reason: Reason
    format: ShortText | None = None
    width: Size | None = None
    height: Size | None = None
    md5: Hex | None = None
    sha1: Hex | None = None
    sha256: Hex | None = None

    @property
    def status(self) -> str:
        """Always ``unscannable``; beside ``Hashed.status``, so that either can be asked."""
        return "unscannable"


class Refused(Exception):  # noqa: N818 -- not an error of ours: the file is refused, and says so by its reason
    """Raised inside a decoding child when a file cannot be opened; it becomes an :class:`Unscannable`."""

    def __init__(
        self,
        reason: Reason,
        format: str | None = None,  # noqa: A002 -- the field's word
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.format = format
        self.size = size

    def as_outcome(self) -> Unscannable:
        """The value that stands for this refusal."""
        width, height = self.size or (None, None)
        return Unscannable(reason=self.reason, format=self.format, width=width, height=height)

"""Long lists in pages: each page names the cursor of the next, which stays right whatever comes or goes meanwhile."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Final, TypeAlias

from litestar.params import PathParameter, QueryParameter

from rempart.web.problems import Code, Problem

DEFAULT: Final = 100
MOST: Final = 1000
LARGEST_NUMBER: Final = 2**63 - 1

Cursor: TypeAlias = Annotated[
    str | None, QueryParameter(max_length=512, description="`next` of the page before; nothing for the first page.")
]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=MOST, description="The most items of one page.")]
Number: TypeAlias = Annotated[int, PathParameter(ge=0, le=LARGEST_NUMBER)]


def cursor_after(last: int | str) -> str:
    """The cursor of the page behind an item."""
    return urlsafe_b64encode(str(last).encode()).decode().rstrip("=")


def number_in(cursor: str | None) -> int | None:
    """The number of the item that a cursor stands behind; None for the first page.

    Raises:
        Problem: it is no cursor of ours.
    """
    text = text_in(cursor)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > LARGEST_NUMBER:
        raise _wrong()
    return int(text)


def text_in(cursor: str | None) -> str | None:
    """As :func:`number_in`, of items that are known by name."""
    if cursor is None:
        return None
    try:
        return urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        raise _wrong() from None


def _wrong() -> Problem:
    return Problem(Code.INVALID, "The cursor is not one that this service gave.")

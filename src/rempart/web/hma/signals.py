"""HMA's words for kinds of hash and of content, and how a hash is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from rempart.lists import HashValue
from rempart.store.tables import HashKind
from rempart.web.problems import Code, Problem


class ContentType(StrEnum):
    """What HMA calls the kind of a file."""

    PHOTO = "photo"
    VIDEO = "video"


class SignalType(NamedTuple):
    """A kind of hash as clients of HMA call it.

    Attributes:
        kind: what it is here.
        contents: the kinds of file that it is computed of.
        usual: whether it is computed when the client does not say which; the others are ours.
    """

    name: str
    kind: HashKind
    contents: frozenset[ContentType]
    usual: bool


_BOTH: Final = frozenset(ContentType)
TYPES: Final[Mapping[str, SignalType]] = {
    one.name: one
    for one in (
        SignalType("pdq", HashKind.PDQ, frozenset((ContentType.PHOTO,)), usual=True),
        SignalType("video_md5", HashKind.MD5, frozenset((ContentType.VIDEO,)), usual=True),
        SignalType("md5", HashKind.MD5, _BOTH, usual=False),
        SignalType("sha1", HashKind.SHA1, _BOTH, usual=False),
        SignalType("sha256", HashKind.SHA256, _BOTH, usual=False),
    )
}
VPDQ: Final = "vpdq"
"""What hits of a video by its looks are called in answers; it is too long to be asked for."""

NO_DISTANCE: Final = "-"
_NAME: Final = re.compile("[A-Za-z0-9_]{1,32}")
"""What looks like the name of a type, and may therefore be repeated."""


def usual_type(content: ContentType) -> SignalType:
    """The type that HMA has for a kind of file."""
    return next(one for one in TYPES.values() if one.usual and content in one.contents)


def known_type(name: str) -> SignalType:
    """The type of this name.

    Raises:
        Problem: there is none.
    """
    found = TYPES.get(name)
    if found is None:
        shown = f" {name}" if _NAME.fullmatch(name) else ""
        raise Problem(Code.INVALID, f"No such signal type{shown}; there are {', '.join(TYPES)}.")
    return found


def known_content(name: str) -> ContentType:
    """The kind of file of this name.

    Raises:
        Problem: there is none.
    """
    try:
        return ContentType(name)
    except ValueError:
        raise Problem(Code.INVALID, "No such content type; there are photo and video.") from None


def wanted_types(text: str | None, content: ContentType) -> Sequence[SignalType]:
    """The types that a client asked for, separated by commas; HMA's own of the kind of file if it did not say.

    Raises:
        Problem: it names none, one that is not known, or one that is not computed of such files.
    """
    if text is None:
        return (usual_type(content),)
    types = [known_type(name) for name in text.split(",") if name]
    if not types:
        raise Problem(Code.INVALID, "types names no signal type.")
    for one in types:
        if content not in one.contents:
            raise Problem(Code.INVALID, f"The signal type {one.name} is not computed of a {content}.")
    return types


def parsed(one: SignalType, text: str) -> bytes:
    """A hash from its hexadecimal digits, of either case.

    Raises:
        Problem: it is none of this type, or the all-zero PDQ hash.
    """
    if len(text) != 2 * one.kind.length or re.fullmatch("[0-9a-fA-F]+", text) is None:
        raise Problem(Code.INVALID_HASH, f"Invalid {one.name} signal: it has {2 * one.kind.length} hexadecimal digits.")
    value = bytes.fromhex(text)
    if one.kind is HashKind.PDQ and not any(value):
        raise Problem(Code.INVALID_HASH, f"Invalid {one.name} signal: a hash of zeros says nothing.")
    return value


def shown_signals(hashes: Sequence[HashValue]) -> dict[str, str]:
    """One hash of each kind that an entry holds, by HMA's names: of PDQ hashes that of the whole picture."""
    names = {HashKind.PDQ: "pdq", HashKind.MD5: "md5", HashKind.SHA1: "sha1", HashKind.SHA256: "sha256"}
    if not any(one.kind is HashKind.PDQ for one in hashes):
        names[HashKind.MD5] = "video_md5"
    ordered = sorted(hashes, key=lambda one: one.variant not in (None, "full"))
    return {names[one.kind]: one.value.hex() for one in reversed(ordered) if one.kind in names}

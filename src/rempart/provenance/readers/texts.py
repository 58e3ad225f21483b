"""Turn the bytes of a field into text. What writers do is told by the content more surely than by the standard."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

Order = Literal["big", "little"]

_SAMPLE_UNITS: Final = 512
_UNFINISHED: Final = 4
_PREFIX: Final = 8
_LEAST_TOLD: Final = 8
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CODECS: Final = {"big": "utf-16-be", "little": "utf-16-le"}


def loose(data: bytes, *, cut: bool = False) -> str:
    """UTF-8 where it is that, with its errors replaced where it is mostly that, else Latin-1; any bytes have a text.

    PNG's and Exif's plain texts are Latin-1 or ASCII by their standards and UTF-8 by what many programs write; text of
    the one is hardly ever valid as the other. ``cut`` says that the last character may have lost some of its bytes.
    """
    for spare in range(_UNFINISHED if cut else 1):
        try:
            return data[: len(data) - spare].decode()
        except UnicodeDecodeError:
            continue
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    return text if good >= bad else data.decode("latin-1")


def utf16(data: bytes, order: Order = "big") -> str:
    """UTF-16 in the byte order that makes more sense; ``order`` only decides where both make as much.

    Exif says the order of the file, many programs write big-endian whatever that is, some little-endian.
    """
    if len(data) >= _LEAST_TOLD and _is_plain_ascii(data):
        return data.decode("ascii")  # announced as UTF-16, yet written as it is
    data = data[: len(data) & ~1]
    if data[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        return data[2:].decode(_CODECS["big" if data[:1] == b"\xfe" else "little"], "replace")
    sample = data[: 2 * _SAMPLE_UNITS]
    # A writing needs few of the 256 rows of Unicode, while the places in a row are used evenly.
    rows = {"big": -len(set(sample[0::2])), "little": -len(set(sample[1::2]))}
    scores = {one: (rows[one], _sense(sample.decode(codec, "replace"))) for one, codec in _CODECS.items()}
    if scores["big"] != scores["little"]:
        order = "big" if scores["big"] > scores["little"] else "little"
    return data.decode(_CODECS[order], "replace")


def guessed(data: bytes, order: Order = "big", *, cut: bool = False) -> str:
    """A text of which nothing is announced: UTF-16 if it has its zeros, else as :func:`loose`."""
    if data[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        return utf16(data, order).rstrip("\0")
    sample = data[: 2 * _SAMPLE_UNITS].rstrip(b"\0")
    zeros = sample.count(0)
    if zeros * 3 > len(sample) and min(sample[0::2].count(0), sample[1::2].count(0)) * 8 <= zeros:
        return utf16(data, order).rstrip("\0")
    return loose(data.rstrip(b"\0"), cut=cut)


def charset_text(data: bytes, order: Order = "big", *, cut: bool = False) -> str:
    """A text behind the name of its character set in eight bytes, as Exif's UserComment (Exif 2.32, table 9)."""
    prefix, rest = data[:_PREFIX].upper(), data[_PREFIX:]
    if prefix == b"UNICODE\0":
        return utf16(rest, order).rstrip("\0")
    if prefix == b"ASCII\0\0\0":
        return guessed(rest, order, cut=cut)
    if prefix == b"JIS\0\0\0\0\0":
        return _japanese(rest.rstrip(b"\0"))
    if not prefix.strip(b"\0 "):
        return guessed(rest, order, cut=cut)
    return guessed(data, order, cut=cut)


def printable(data: bytes, *, cut: bool = False) -> str | None:
    """The text of bytes that need not be one: UTF-8 without control characters, or None."""
    stripped = data.rstrip(b"\0")
    if not stripped or _CONTROLS.search(stripped):
        return None
    for spare in range(_UNFINISHED if cut else 1):
        try:
            return stripped[: len(stripped) - spare].decode()
        except UnicodeDecodeError:
            continue
    return None


def _japanese(data: bytes) -> str:
    for codec in ("iso2022_jp_2", "euc_jp", "shift_jis"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return loose(data)


def _is_plain_ascii(data: bytes) -> bool:
    return data.isascii() and not _CONTROLS.search(data.rstrip(b"\0")) and b"\0" not in data.rstrip(b"\0")


def _sense(text: str) -> int:
    """How much a text looks like one: plain letters count most, what no writing has counts against it."""
    score = 0
    for character in text:
        if " " <= character <= "~" or character in "\t\n\r":
            score += 2
        elif unicodedata.category(character)[0] in "LNPSZM" and character != "\ufffd":
            score += 1
        elif character != "\0":
            score -= 4
    return score

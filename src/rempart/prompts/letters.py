"""Letters that stand for Latin ones: with accents, of the same look, of the same sound, turned upside down.

The look-alikes are Unicode's (UTS #39), the sounds those of AnyAscii; ``scripts/build_confusables.py`` makes the table.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

_TABLE = Path(__file__).with_name("tables") / "letters.json"

# Letters that Unicode does not decompose, as people without them on the keyboard type them.
_UNDECOMPOSED = {
    "\u00f0": "d",  # eth
    "\u00f8": "o",  # o with stroke
    "\u0111": "d",  # d with stroke
    "\u0127": "h",  # h with stroke
    "\u0131": "i",  # dotless i
    "\u0142": "l",  # l with stroke
    "\u0167": "t",  # t with stroke
    "\u00e6": "ae",
    "\u0153": "oe",
    "\u00fe": "th",
}

# Latin, Greek and Cyrillic: elsewhere a mark is a part of the letter.
_ACCENTED_BELOW = 0x0530


class _Plain(dict[int, str]):
    """What each code point is without its accents; filled as they come, for :meth:`str.translate`."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        parts = unicodedata.normalize("NFD", char)
        if len(parts) > 1 and ord(parts[0]) < _ACCENTED_BELOW:
            plain = "".join(part for part in parts if not unicodedata.category(part).startswith("M"))
        elif code < _ACCENTED_BELOW and unicodedata.category(char) == "Mn":
            plain = ""
        else:
            plain = char
        self[code] = plain
        return plain


_PLAIN = _Plain({ord(char): plain for char, plain in _UNDECOMPOSED.items()})
_UMLAUTS = str.maketrans({"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue"})


def plain(text: str) -> str:
    """Folded text without the accents of Latin, Greek and Cyrillic letters."""
    return text.translate(_PLAIN)


def spelled_out(word: str) -> str:
    """A folded word with German umlauts in two letters, as on a keyboard that has none."""
    return word.translate(_UMLAUTS)


def romanised(text: str) -> str:
    """Folded text with the letters of other alphabets, of kana and of Hangul replaced by the Latin ones of their sound.

    Every letter goes by itself, as people do it who have no other keyboard. Ideographs stay: their sounds are shared
    by too many.
    """
    if _HANGUL.search(text):
        text = unicodedata.normalize("NFD", text)
    return text.translate(_SOUND)


_MAPS: dict[str, dict[str, str]] = json.loads(_TABLE.read_text(encoding="ascii"))
_SOUND = str.maketrans(_MAPS["sound"])
_HANGUL = re.compile("[\uac00-\ud7a3]")

LOOK = str.maketrans(_MAPS["look"])
"""For :meth:`str.translate` on text that is not folded: what looks like a Latin letter, one letter each."""

LOOK_SIGNS = frozenset(_MAPS["look"])

TURNED = str.maketrans(_MAPS["turned"])
"""For :meth:`str.translate` on text that is not folded: letters upside down, one letter each."""

# Letters that are turned ones in one alphabet and upright ones in another say nothing by themselves.
TURNED_SIGNS = frozenset(sign for sign in _MAPS["turned"] if not sign.isascii()) - set(
    "\u0131\u0253\u039b\u03bb\u05df\u2229"
)

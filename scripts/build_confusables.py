"""Builds ``src/rempart/prompts/tables/letters.json``: which Latin letter each other letter or sign stands for.

Usage: python scripts/build_confusables.py

Run at release time, in an environment with the packages ``confusable-homoglyphs``, which carries Unicode's table of
confusable characters (UTS #39), and ``anyascii``. The result has three maps:

- ``look``: characters that look like the letter upright, among them small capitals, boxed and circled letters and
  regional indicators, which are found by their Unicode names;
- ``turned``: letters turned upside down;
- ``sound``: letters of other scripts, in the Latin letters that are closest in sound.
"""

from __future__ import annotations

import json
import re
import string
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path

from anyascii import anyascii

TARGET = Path(__file__).parents[1] / "src" / "rempart" / "prompts" / "tables" / "letters.json"

# Unicode's own prototypes: "m" is written "rn" and capital I is "l".
PROTOTYPES = {letter: letter.lower() for letter in string.ascii_letters} | {"rn": "m", "I": "l"}

NAMED = re.compile(
    r"LATIN LETTER SMALL CAPITAL ([A-Z])"
    r"|(?:NEGATIVE )?(?:CIRCLED|SQUARED) LATIN CAPITAL LETTER ([A-Z])|CROSSED NEGATIVE SQUARED LATIN CAPITAL LETTER (P)"
    r"|REGIONAL INDICATOR SYMBOL LETTER ([A-Z])"
)
TURNED = re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER (?:TURNED|REVERSED) ([A-Z])|LATIN SMALL LETTER REVERSED OPEN (E)")

# What upside-down writing uses where Unicode has no turned letter, and ASCII letters that turn into each other.
TURNED_BY_HAND = {
    "\u0254": "c", "\u01dd": "e", "\u025f": "f", "\u0183": "g", "\u0253": "g", "\u1d09": "i", "\u0131": "i",
    "\u027e": "j", "\u05df": "l", "\ua781": "l", "\u026f": "m", "\u0265": "h", "\u2132": "f", "\u214e": "f",
    "\u0500": "p", "\u0501": "p", "\u2229": "u", "\u2534": "t", "\u039b": "v", "\u03bb": "v", "\u2144": "y",
    "\u2142": "g", "\u2143": "l", "\u2200": "a", "\u0279": "r", "\u0287": "t", "\u028c": "v", "\u028d": "w",
    "\u028e": "y", "\u029e": "k", "\u0250": "a",
    "b": "q", "d": "p", "n": "u", "p": "d", "q": "b", "u": "n", "m": "w", "w": "m",
}  # fmt: skip

ALPHABETS = (
    (0x0370, 0x03FF),  # Greek
    (0x0400, 0x052F),  # Cyrillic
    (0x0531, 0x0587),  # Armenian
    (0x05D0, 0x05EA),  # Hebrew
    (0x0620, 0x064A),  # Arabic
    (0x0904, 0x0939),  # Devanagari
    (0x0E01, 0x0E3A),  # Thai
    (0x10D0, 0x10FA),  # Georgian
    (0x1100, 0x1112),  # Hangul, in parts: initial consonants
    (0x1161, 0x1175),  # vowels
    (0x11A8, 0x11C2),  # final consonants
    (0x3041, 0x3096),  # Hiragana
    (0x30A1, 0x30FA),  # Katakana
)

# Letters that Unicode does not list but that stand for each other in practice.
LOOK_BY_HAND = {"\u043f": "n", "\u0448": "w", "\u044c": "b", "\u044f": "r", "\u03b5": "e", "\u0454": "e"}


# Letters of living Latin alphabets: they lose their strokes as others lose their accents, and disguise nothing.
NATIVE = frozenset("\u00f0\u00f8\u0111\u0127\u0131\u0142\u0167\u00d0\u00d8\u0110\u0126\u0141\u0166\u01fe\u01ff")


def lookalikes(table: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """Every character that UTS #39, a name or the hand-made list takes for one Latin letter."""
    found: dict[str, str] = {}
    for prototype, entries in table.items():
        letter = PROTOTYPES.get(prototype) or PROTOTYPES.get(_unmarked(prototype))
        for entry in entries if letter else ():
            char = entry["c"].strip("\u200e")  # the table sets marks of direction around right-to-left letters
            if len(char) == 1 and not char.isascii():
                found.setdefault(char, letter or "")
    for code in range(0x80, 0x20000):
        char = chr(code)
        name = NAMED.fullmatch(unicodedata.name(char, ""))
        if name:
            found[char] = next(filter(None, name.groups())).lower()
    # A small letter without a look of its own is read as its capital looks.
    for char in [char for char in found if char.isupper() and len(char.lower()) == 1]:
        found.setdefault(char.lower(), found[char])
    found.update(LOOK_BY_HAND)
    # Accented letters are no look-alikes: they lose their accents elsewhere.
    return {char: letter for char, letter in sorted(found.items()) if char not in NATIVE and not _plain(char).isascii()}


def turned() -> dict[str, str]:
    """Every character that is a Latin letter upside down."""
    found: dict[str, str] = {}
    for code in range(0x80, 0x20000):
        name = TURNED.fullmatch(unicodedata.name(chr(code), ""))
        if name:
            found[chr(code)] = next(filter(None, name.groups())).lower()
    return dict(sorted((found | TURNED_BY_HAND).items()))


def sound() -> dict[str, str]:
    """The letters of the alphabets and syllabaries in ``ALPHABETS``, romanised; what has no sound is left out."""
    found: dict[str, str] = {}
    for first, last in ALPHABETS:
        for char in map(chr, range(first, last + 1)):
            if unicodedata.normalize("NFKC", char.casefold()) == char:
                found[char] = "".join(filter(str.isalpha, anyascii(char))).lower()
    return found


def _unmarked(prototype: str) -> str:
    """A letter with marks over or through it, as Unicode writes that of the stroked d, without them."""
    plain = "".join(char for char in prototype if not unicodedata.category(char).startswith("M"))
    return plain if len(plain) == 1 else ""


def _plain(char: str) -> str:
    return _unmarked(unicodedata.normalize("NFKD", char))


def main() -> int:
    """Write the table; says how many characters it has."""
    table = json.loads((files("confusable_homoglyphs") / "confusables.json").read_text(encoding="utf-8"))
    maps = {"look": lookalikes(table), "turned": turned(), "sound": sound()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in maps.items())
    TARGET.write_text("{\n" + lines + "\n}\n", encoding="ascii")
    sys.stdout.write(f"{TARGET.name}: " + ", ".join(f"{len(found)} {name}" for name, found in maps.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

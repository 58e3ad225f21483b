"""Builds ``src/rempart/prompts/tables/ordinary.bin``: ordinary words that look like a disguise of another word.

Usage: python scripts/build_ordinary.py PACK.jsonl ...

Run at release time, after the packs changed, in an environment with rempart and the package ``wordfreq`` (its data is
CC-BY-SA). Give the packs whose forms go into the vocabulary, not those of tests; terms of a class ``.other`` do not.
Both halves of a form that are ordinary words by themselves are kept as a pair. Only checksums are kept (little-endian,
32 bits each, sorted): nothing of the frequency list goes into rempart, and no file has words of two concepts side by
side.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from wordfreq import get_frequency_dict

from rempart.prompts.fold import fold
from rempart.prompts.tokens import tokenize
from rempart.prompts.vocabulary import Vocabulary, checksum

TARGET = Path(__file__).parents[1] / "src" / "rempart" / "prompts" / "tables" / "ordinary.bin"
LANGUAGES = ("en", "fr", "de", "es", "it", "pt", "nl", "pl", "ru", "tr", "zh", "ja", "ko")
WORDS = 30_000  # of each language, the most frequent
HALVES = 5_000
HALF = 3  # letters of the shortest half of a compound, very frequent words aside
VERY = 300
UNACCENTED = 0.1  # a form without its accents that is rarer than this share of the form is the form, typed without them


def ordinary(forms: Iterable[str]) -> set[str]:
    """The ordinary words, and pairs of them, that are a disguise of a form and no form themselves."""
    vocabulary = Vocabulary(forms, frozenset())
    frequency: Counter[str] = Counter()
    words: set[str] = set()
    halves: dict[str, set[str]] = {}
    for language in LANGUAGES:
        found = sorted(get_frequency_dict(language).items(), key=lambda entry: -entry[1])
        words.update(word for text, _ in found[:WORDS] for word in tokenize(fold(text).text).words)
        halves[language] = {text for text, _ in found[:HALVES] if len(text) >= HALF}
        halves[language].update(text for text, _ in found[:VERY] if len(text) == HALF - 1 or text == "a")
        for text, share in found:
            frequency[text] = max(frequency[text], share)
    collisions = {
        word
        for word in words - vocabulary.parts
        for disguises in vocabulary.disguises([word]).values()
        if not any(each.view == "accents" and frequency[word] < UNACCENTED * frequency[each.form] for each in disguises)
    }
    pairs = {
        f"{form[:at]} {form[at:]}"
        for form in vocabulary.whole
        for at in range(1, len(form))
        if any(form[:at] in common and form[at:] in common for common in halves.values())
    }
    return collisions | pairs


def main(paths: list[str]) -> int:
    """Write the list; says how long it is."""
    forms: set[str] = set()
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8-sig").splitlines()[1:]:
            term = msgspec.json.decode(line)
            if not term["class"].endswith(".other"):
                forms.update(term["forms"])
    found = ordinary(forms)
    checksums = sorted({checksum(word) for word in found})
    TARGET.write_bytes(struct.pack(f"<{len(checksums)}I", *checksums))
    sys.stdout.write(f"{TARGET.name}: {len(found)} of {len(forms)} forms\n")
    return 0 if forms else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

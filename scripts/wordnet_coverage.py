"""Reports how much of WordNet's vocabulary of a concept its English pack has, or leaves out with a written reason.

    apt-get install wordnet-base
    python scripts/wordnet_coverage.py

One concept at a time; of what is missing it prints synset and number of the lemma, which `wn` or `data.noun` resolve.
"""

from __future__ import annotations

import sys

from rempart.errors import RempartError
from rempart.prompts.coverage import ROOTS, wordnet_coverage
from rempart.prompts.lexicon import load_lexicon

ENOUGH = 0.95


def main() -> int:
    """Print one line a concept; 1 when a concept is covered too little, 2 when nothing could be measured."""
    try:
        rows = [wordnet_coverage(pack) for pack in load_lexicon("en").packs if pack.header.concept in ROOTS]
    except RempartError as error:
        sys.stderr.write(f"wordnet_coverage: {error}\n")
        return 2
    for row in rows:
        counts = f"{row.lemmas} lemmas, {row.packed} in the pack, {row.excluded} excluded"
        sys.stdout.write(f"{row.concept}: {counts}, {row.covered:.1%}\n")
        sys.stdout.writelines(f"  missing: {lemma}\n" for lemma in row.missing)
    return int(min(row.covered for row in rows) < ENOUGH)


if __name__ == "__main__":
    sys.exit(main())

"""Recall over altered copies: rempart beside plain PDQ as threatexchange computes it and looks it up.

Each original is banked as `rempart bank add` does it, each altered copy goes from its bytes through decoding, hashing
and matching. That runs in this process instead of in decoding children, which only call the same functions.
"""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import io
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from alterations import ALTERATIONS
from corpus import SEED, Original, base_corpus, read_originals
from PIL import Image
from threatexchange.signal_type.pdq.pdq_index import PDQIndex
from threatexchange.signal_type.pdq.signal import PdqSignal

from rempart.cli.progress import progress
from rempart.hashing import Hashed
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.lists import content_of
from rempart.matching import Bank, Matcher, Outcome, PdqRows
from rempart.matching.bank import DEFAULT_QUALITY_FLOOR
from rempart.settings import MediaSettings
from rempart.store.tables import HashKind

PEER = "threatexchange"
CONTESTANTS = {
    "default": "rempart",
    "turned": "rempart, `--turned`",
    "plain_list": "rempart, plain list",
    PEER: "plain PDQ",
}
"""Key in JSON -> heading in the table."""


class Answer(NamedTuple):
    """What one contestant said of a copy: the entries it hit, and whether it says that it could not compare."""

    entries: Collection[int]
    unscannable: bool = False

    def found(self, entry: int) -> bool:
        """Whether the original is among them."""
        return entry in self.entries

    def wrong(self, entry: int) -> bool:
        """Whether another original is among them."""
        return any(other != entry for other in self.entries)


@dataclass
class Tally:
    """The results for one alteration; contestants by their keys."""

    copies: int = 0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CONTESTANTS, 0))
    wrong: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CONTESTANTS, 0))
    only_peer: int = 0
    """Copies that plain PDQ finds and rempart, with its default variants, does not."""
    unscannable: int = 0
    """Copies that rempart, with its default variants, calls unscannable, not clear."""

    def add(self, entry: int, answers: dict[str, Answer]) -> None:
        """Count one copy."""
        self.copies += 1
        for key, answer in answers.items():
            self.found[key] += answer.found(entry)
            self.wrong[key] += answer.wrong(entry)
        self.only_peer += answers[PEER].found(entry) and not answers["default"].found(entry)
        self.unscannable += answers["default"].unscannable


class Ours:
    """The originals in three banks, and what matching says of copies."""

    def __init__(self, originals: Sequence[Original], plain: PdqRows) -> None:
        """Bank the originals, entries numbered from 1; ``plain`` has the hashes of the peer."""
        rows = banked([hashed(original.content) for original in originals])
        self._matchers = {
            "default": Matcher([Bank("VARIANTS", pdq=rows)]),
            "turned": Matcher([Bank("TURNED", pdq=rows, turned=True)]),
            "plain_list": Matcher([Bank("PLAIN", pdq=plain)]),
        }

    def ask(self, content: bytes) -> dict[str, Answer]:
        """Each bank's answer. The turned hashes are made once; a bank without them leaves them aside."""
        item = hashed(content, turned=True)
        verdicts = {key: matcher.match(item) for key, matcher in self._matchers.items()}
        return {
            key: Answer({match.entry for match in verdict.matches}, verdict.verdict is Outcome.UNSCANNABLE)
            for key, verdict in verdicts.items()
        }


class Peer:
    """Plain PDQ: one hash a picture, none under quality 50, in the peer's own index."""

    def __init__(self, originals: Sequence[Original]) -> None:
        """Hash and index the originals, entries numbered from 1."""
        hashes = ((PdqSignal.hash_from_bytes(original.content), at) for at, original in enumerate(originals, 1))
        self._hashes = [(text, entry) for text, entry in hashes if text]
        self._index = PDQIndex(self._hashes)

    def rows(self) -> PdqRows:
        """Its hashes as a list that an exchange would give."""
        texts, entries = zip(*self._hashes, strict=True)
        return PdqRows.of(texts, entries)

    def ask(self, content: bytes) -> Answer:
        """Its answer; nothing when the quality is too low."""
        text = PdqSignal.hash_from_bytes(content)
        return Answer({hit.metadata for hit in self._index.query(text)} if text else ())


def hashed(content: bytes, *, turned: bool = False) -> Hashed:
    """The hashes of a file, as a decoding child makes them."""
    return hash_content(content, MediaSettings(), HashOptions(turned))


def banked(pictures: Sequence[Hashed]) -> PdqRows:
    """The PDQ rows that `rempart bank add` puts into a bank, entries numbered from 1."""
    rows = [
        (value.value, entry, value.quality)
        for entry, picture in enumerate(pictures, 1)
        for value in content_of(picture, DEFAULT_QUALITY_FLOOR).hashes
        if value.kind is HashKind.PDQ
    ]
    values, entries, qualities = zip(*rows, strict=True)
    table = np.frombuffer(b"".join(values), np.uint8).reshape(-1, HashKind.PDQ.length)
    return PdqRows(table, np.array(entries, np.int64), np.array(qualities, np.int16))


def measure(originals: Sequence[Original]) -> dict[str, Tally]:
    """Every alteration of every original, asked of all contestants."""
    peer = Peer(originals)
    ours = Ours(originals, peer.rows())
    tallies = {name: Tally() for name in ALTERATIONS}
    with progress("altering and matching", len(originals)) as advance:
        for entry, original in enumerate(originals, 1):
            for name, copy in copies(original, entry):
                tallies[name].add(entry, {**ours.ask(copy), PEER: peer.ask(copy)})
            advance(1)
    return tallies


def copies(original: Original, entry: int) -> Iterator[tuple[str, bytes]]:
    """The files of all altered copies of one picture, the same ones in every run."""
    image = Image.open(io.BytesIO(original.content)).convert("RGB")
    for number, (name, alter) in enumerate(ALTERATIONS.items()):
        yield name, alter(image, np.random.default_rng((SEED, entry, number)))


def as_json(tallies: dict[str, Tally]) -> str:
    """The counts, one row an alteration."""
    rows = [
        {
            "alteration": name,
            "copies": tally.copies,
            "only_threatexchange": tally.only_peer,
            "unscannable": tally.unscannable,
        }
        | {key: {"found": tally.found[key], "wrong": tally.wrong[key]} for key in CONTESTANTS}
        for name, tally in tallies.items()
    ]
    return json.dumps({"originals": rows[0]["copies"], "seed": SEED, "rows": rows}, indent=1)


def as_markdown(tallies: dict[str, Tally]) -> str:
    """A table of shares found, and the rest of the counts in words."""
    lines = [
        f"| copy | {' | '.join(CONTESTANTS.values())} | only plain PDQ |",
        f"|---|{'---|' * (len(CONTESTANTS) + 1)}",
    ]
    for name, tally in tallies.items():
        shares = (f"{100 * tally.found[key] / tally.copies:.1f}%" for key in CONTESTANTS)
        lines.append(f"| {name} | {' | '.join(shares)} | {tally.only_peer} |")
    total, unscannable = (sum(getattr(t, what) for t in tallies.values()) for what in ("copies", "unscannable"))
    wrong = ", ".join(f"{head} {sum(t.wrong[key] for t in tallies.values())}" for key, head in CONTESTANTS.items())
    return "\n".join(
        (
            *lines,
            "",
            f"Of {total:,} copies, those that hit another original: {wrong}. Unscannable, not clear: {unscannable}.",
        )
    )


def falls_short(tally: Tally) -> bool:
    """Whether plain PDQ does better, or a wrong original is hit."""
    return tally.found["default"] < tally.found[PEER] or any(
        tally.wrong[key] > tally.wrong[PEER] for key in CONTESTANTS
    )


def main() -> int:
    """Print the table; 1 if plain PDQ does better anywhere, 2 without the outside data."""
    parser = argparse.ArgumentParser(
        description="Share of altered copies that are found within 31 bits, beside plain PDQ of threatexchange.",
        epilog="example: REMPART_TEST_DATA=../shared/data python benchmarks/recall.py --pictures 100 --format json",
    )
    parser.add_argument("--pictures", type=int, default=1000, help="originals to alter (default: %(default)s)")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown", help="(default: %(default)s)")
    options = parser.parse_args()
    if options.pictures < 1:
        parser.error("--pictures is at least 1")
    archive = base_corpus()
    if archive is None:
        print("set REMPART_TEST_DATA to the folder that holds images/base3250.tar", file=sys.stderr)
        return 2
    tallies = measure(read_originals(archive, options.pictures))
    print(as_json(tallies) if options.format == "json" else as_markdown(tallies))
    short = [name for name, tally in tallies.items() if falls_short(tally)]
    if short:
        print(f"REMPART FALLS SHORT OF PLAIN PDQ: {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())

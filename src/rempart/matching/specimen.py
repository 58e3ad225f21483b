"""The specimen: a harmless drawing that every matcher catches, like the EICAR file of virus scanners.

It proves that a whole path works, from upload to report, without any real match. It is a constant, not a row of a bank:
it cannot be deleted by mistake, it is in no listing, and it does not count as something to compare with. The picture
lies beside this file; ``rempart doctor --specimen FILE`` writes a copy of it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from rempart.hashing import Hashed, Unscannable
from rempart.matching.bank import DEFAULT_RADIUS, Harm
from rempart.matching.verdict import Match

BANK: Final = "SPECIMEN"
ENTRY: Final = 0
"""Entries of banks are numbered from 1, so this is none of them."""

# PDQ of specimen.png as it is and in the seven turned forms, so that a turned copy is caught without turned variants.
_HASHES: Final = tuple(
    int(digits, 16)
    for digits in (
        "ba8ed13d3b6caa82d5b49594381e6a36c6e581e91d6b5c3b2ab1a6c1d15b6634",
        "9cc6b66c330d11cdb338fb4ab189939d9cccdf196939b0e4e272107e9232bf41",
        "cfdbfb976e39002884e13f3e6d4bc09c93902b62483ef6917fe40c6b840ecc9e",
        "89931cc666589b67e66d51e0e4d83937c9917533346c1a4eb7273ad4466715ab",
        "cfdb04686e39ffd784e1c0c16d4b3f619390d49d483e096e7fe4f194840e3361",
        "9a882ec22b6c557dd1946a6b381e95c9c6857e361d6ba3c42a31593ed15b99cb",
        "dcc64993b30dee32b3380cb5b18d6c629ccc20e669f94f1be272ef81933240fe",
        "c993e33966584498e66dae1fe4d8c6c8c9998a4c3c6ce5b1b727452bc667ea14",
    )
)


def picture() -> bytes:
    """The specimen as a PNG file."""
    return files(__package__).joinpath("specimen.png").read_bytes()


def find(item: Hashed | Unscannable) -> Match | None:
    """The hit of an item on the specimen, None when it is something else."""
    if isinstance(item, Unscannable):
        return None
    distance, variant, frame = min(
        ((int.from_bytes(one.hash, "big") ^ known).bit_count(), one.variant, one.frame)
        for one in item.hashes
        for known in _HASHES
    )
    if distance > DEFAULT_RADIUS:
        return None
    return Match(bank=BANK, entry=ENTRY, kind="pdq", distance=distance, variant=variant, frame=frame, harm=Harm.OTHER)

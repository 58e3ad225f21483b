"""A bank as matching sees it: what to look in, how near is near, and whether a hit blocks or allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rempart.clock import utc_now
from rempart.errors import BankError
from rempart.ids import check_bank_name
from rempart.matching.index import HashIndex, Hit

DEFAULT_RADIUS: Final = 31
DEFAULT_QUALITY_FLOOR: Final = 50
LARGEST_RADIUS: Final = 31
UNKNOWN_QUALITY: Final = -1

Ids = npt.NDArray[np.int64]


class Kind(StrEnum):
    """What a hit in the bank does."""

    BLOCKING = "blocking"
    ALLOWING = "allowing"


class Harm(StrEnum):
    """What the bank's entries are."""

    CSAM = "csam"
    EXPLOITATIVE = "exploitative"
    NCII_ADULT = "ncii_adult"
    OTHER = "other"


class PdqRows(NamedTuple):
    """PDQ hashes of entries, one a row.

    Attributes:
        hashes: uint8 of shape (n, 32).
        entries: int64 of shape (n,): the entry of each hash; an entry may have several.
        qualities: int16 of shape (n,): 0..100, or -1 where it is not known, which counts as 100.
    """

    hashes: npt.NDArray[np.uint8]
    entries: Ids
    qualities: npt.NDArray[np.int16]

    @classmethod
    def of(cls, hashes: Sequence[str], entries: Sequence[int] | None = None) -> Self:
        """Rows from hexadecimal hashes of unknown quality; the entries are numbered from 1 when not given."""
        rows = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 32)
        numbers = np.arange(1, len(rows) + 1) if entries is None else np.asarray(entries)
        return cls(rows, numbers.astype(np.int64), np.full(len(rows), UNKNOWN_QUALITY, np.int16))


class DigestRows(NamedTuple):
    """Digests of one kind: uint8 of shape (n, 16, 20 or 32), and the entry of each."""

    values: npt.NDArray[np.uint8]
    entries: Ids


class Bank:
    """A named set of entries to compare with, ready to be searched.

    ``len(bank)`` is the number of hashes that can be compared; an empty bank compares nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: Kind = Kind.BLOCKING,
        harm: Harm = Harm.OTHER,
        radius: int = DEFAULT_RADIUS,
        quality_floor: int = DEFAULT_QUALITY_FLOOR,
        turned: bool = False,
        refreshed_at: datetime | None = None,
        max_age_seconds: int | None = None,
        pdq: PdqRows | None = None,
        digests: Mapping[str, DigestRows] | None = None,
    ) -> None:
        """Build the indexes.

        Args:
            name: ``[A-Z_][A-Z0-9_]*``.
            kind: whether a hit blocks or allows.
            harm: what its entries are.
            radius: the largest distance in bits that still is a match, 0..31.
            quality_floor: hashes of lower quality, asked or banked, are not compared by nearness.
            turned: also compare pictures as turned and mirrored.
            refreshed_at: when its content last changed; now by default.
            max_age_seconds: how old that may be before the bank can call nothing clear; None for ever.
            pdq: perceptual hashes.
            digests: exact digests by kind, ``md5``, ``sha1`` or ``sha256``.

        Raises:
            BankError: the name, radius or quality floor cannot be used.
        """
        if not 0 <= radius <= LARGEST_RADIUS:
            raise BankError(f"the radius is {radius}, but must lie within 0 and {LARGEST_RADIUS} bits")
        if not 0 <= quality_floor <= 100:  # noqa: PLR2004 -- quality is a percentage
            raise BankError(f"the quality floor is {quality_floor}, but must lie within 0 and 100")
        self.name = check_bank_name(name)
        self.kind = kind
        self.harm = harm
        self.radius = radius
        self.quality_floor = quality_floor
        self.turned = turned
        self.refreshed_at = refreshed_at or utc_now()
        self.max_age = None if max_age_seconds is None else timedelta(seconds=max_age_seconds)
        rows = pdq or PdqRows.of(())
        usable = (rows.qualities == UNKNOWN_QUALITY) | (rows.qualities >= quality_floor)
        self._index = HashIndex.build(rows.hashes[usable], rows.entries[usable])
        self._digests = {kind: _DigestTable(rows) for kind, rows in (digests or {}).items()}

    def __len__(self) -> int:
        return len(self._index) + sum(map(len, self._digests.values()))

    def __repr__(self) -> str:
        return f"<Bank {self.name} {self.kind} {len(self)} hashes>"

    @property
    def blocks(self) -> bool:
        """Whether a hit here is a match."""
        return self.kind is Kind.BLOCKING

    @property
    def looks_near(self) -> bool:
        """Whether it holds perceptual hashes at all."""
        return len(self._index) > 0

    def is_stale(self, now: datetime) -> bool:
        """Whether its content is older than its maximum age."""
        return self.max_age is not None and now - self.refreshed_at > self.max_age

    def near(self, hash_: bytes) -> list[Hit]:
        """The entries within the bank's radius of a PDQ hash of 32 bytes, nearest first."""
        return self._index.query(hash_, self.radius)

    def exact(self, kind: str, digest: bytes) -> list[int]:
        """The entries that hold this digest of this kind."""
        table = self._digests.get(kind)
        return table.find(digest) if table is not None else []


class _DigestTable:
    """Exact look-up by binary search over the first eight bytes: compact, and quick to build from arrays."""

    def __init__(self, rows: DigestRows) -> None:
        keys = np.ascontiguousarray(rows.values[:, :8]).view(">u8").ravel().astype(np.uint64)
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._values = rows.values[order]
        self._entries = rows.entries[order]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, digest: bytes) -> list[int]:
        key = np.uint64(int.from_bytes(digest[:8], "big"))
        first, last = (int(self._keys.searchsorted(key, side)) for side in ("left", "right"))
        wanted = np.frombuffer(digest, np.uint8)
        same = (self._values[first:last] == wanted).all(axis=1)
        return sorted({int(entry) for entry in self._entries[first:last][same]})

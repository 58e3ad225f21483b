"""A matcher of some of the banks, and what a bank says it holds."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from rempart.errors import NothingToCompareError
from rempart.hashing import Hashed, PictureHash
from rempart.matching import Bank, DigestRows, FrameRows, Matcher, PdqRows, Sighting
from rempart.matching.bank import PDQ, VPDQ

KNOWN = secrets.token_bytes(32)


def bank(name: str, number: int) -> Bank:
    """A bank that holds one hash."""
    return Bank(name, id=number, pdq=PdqRows.of([KNOWN.hex()], [number]))


def picture(hash_: bytes) -> Hashed:
    """A picture of this hash."""
    return Hashed(
        format="png",
        width=64,
        height=64,
        frames=1,
        frames_read=1,
        normalised=(),
        partial=None,
        hashes=(PictureHash(hash_, 100),),
        md5="",
        sha1="",
        sha256="",
    )


def test_a_narrowed_matcher_compares_with_its_own_banks_only() -> None:
    """And whoever asks the whole one goes on with all."""
    whole = Matcher([bank("ONE", 1), bank("TWO", 2)])
    narrowed = whole.narrowed(lambda bank: bank.id == 2)
    assert [match.bank for match in narrowed.match(picture(KNOWN)).matches] == ["TWO"]
    assert [match.bank for match in whole.match(picture(KNOWN)).matches] == ["ONE", "TWO"]
    with pytest.raises(NothingToCompareError):
        whole.narrowed(lambda _: False).match(picture(KNOWN))


def test_a_narrowed_matcher_knows_what_is_in_quarantine_and_tells_whom_the_whole_one_tells() -> None:
    """Else a key that is limited to banks would not see a flood, nor add to it."""
    told: list[Sighting] = []
    whole = Matcher([bank("ONE", 1), bank("TWO", 2)], quarantined={2}, watch=told.append)
    [match] = whole.narrowed(lambda bank: bank.id == 2).match(picture(KNOWN)).matches
    assert match.quarantined
    whole.narrowed(lambda bank: bank.id == 1).match(picture(KNOWN))
    assert [sighting.entry for sighting in told] == [1]


def test_a_bank_tells_of_which_kinds_it_holds_hashes() -> None:
    """An empty table of digests is none."""
    nothing = DigestRows(np.empty((0, 20), np.uint8), np.empty(0, np.int64))
    something = DigestRows(np.full((1, 16), 10, np.uint8), np.array([1]))
    frames = FrameRows(np.frombuffer(KNOWN, np.uint8).reshape(1, 32), np.array([1]), np.array([100], np.int16))
    kinds = (PDQ, VPDQ, "md5", "sha1", "sha256")
    one = Bank("ONE", pdq=PdqRows.of([KNOWN.hex()]), digests={"md5": something, "sha1": nothing})
    assert [kind for kind in kinds if one.holds(kind)] == [PDQ, "md5"]
    assert [kind for kind in kinds if Bank("TWO", frames=frames).holds(kind)] == [VPDQ]
    assert not any(Bank("THREE").holds(kind) for kind in kinds)

"""What a quarantine marks, and what it never changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.match_items import CLIP, KNOWN, NOW, OTHER, allowing, bank, flipped, full, item, matcher, video

from rempart.errors import Reason
from rempart.hashing import PictureHash, digest
from rempart.matching import Bank, Kind, Matcher, Outcome, Sighting, Verdict


class Watch:
    """Puts an entry into quarantine at its third picture, copies or not, and remembers what it was told."""

    def __init__(self, *quarantined: int) -> None:
        self.quarantined = set(quarantined)
        self.told: list[Sighting] = []

    def __contains__(self, entry: object) -> bool:
        return entry in self.quarantined

    def see(self, sighting: Sighting) -> None:
        """Take note."""
        self.told.append(sighting)
        if sum(told.entry == sighting.entry for told in self.told) == 3:
            self.quarantined.add(sighting.entry)


def watched(watch: Watch, *banks: Bank) -> Matcher:
    """A matcher at a fixed moment, with a watch."""
    return Matcher(banks, quarantined=watch, watch=watch.see, clock=lambda: NOW)


def test_near_matches_of_an_entry_in_quarantine_stay_matches_and_are_marked() -> None:
    """With a reason by which a policy sends them to a person, while no other hit stands."""
    watch = Watch(1)
    verdict = watched(watch, bank(KNOWN, OTHER)).match(item(full(flipped(KNOWN, 9))))
    assert (verdict.verdict, verdict.reasons) == (Outcome.MATCH, (Reason.NEAR_MATCH, Reason.QUARANTINED))
    assert [hit.quarantined for hit in verdict.matches] == [True]
    both = watched(watch, bank(KNOWN, OTHER)).match(item(full(KNOWN), full(OTHER, frame=1), frames=2))
    assert both.reasons == (Reason.NEAR_MATCH,)
    assert {hit.entry: hit.quarantined for hit in both.matches} == {1: True, 2: False}
    clip = watched(Watch(100), bank(videos=[CLIP])).match(video(*CLIP))
    assert clip.reasons == (Reason.NEAR_MATCH, Reason.QUARANTINED)


def test_exact_matches_never_are_in_quarantine_nor_counted() -> None:
    """Entry 1 is known by a digest; the very file says nothing of what its looks are near to."""
    digests = digest(b"the very file")
    watch = Watch(1, 2)
    verdict = watched(watch, bank(KNOWN, sha256=digests.sha256)).match(item(full(KNOWN), digests=digests))
    assert verdict.reasons == (Reason.EXACT_MATCH, Reason.NEAR_MATCH)
    assert {hit.kind: hit.quarantined for hit in verdict.matches} == {"sha256": False, "pdq": True}
    other = Watch()
    watched(other, bank(KNOWN, sha256=digests.sha256)).match(item(full(KNOWN), digests=digests))
    assert other.told == []


def test_the_watch_is_told_once_of_each_entry_that_a_picture_comes_near() -> None:
    """By the nearest hash, whatever the frame; not of allowing entries, cancelled hits or entries in quarantine."""
    near, nearer = flipped(KNOWN, 9), flipped(KNOWN, 2)
    watch = Watch(2)
    known = bank(KNOWN, flipped(KNOWN, 1), radius=20)
    watched(watch, known, allowing(OTHER)).match(
        item(full(near), full(nearer, frame=1), full(OTHER, frame=2), frames=3)
    )
    assert watch.told == [Sighting(1, nearer, 20)]
    watched(watch, known, allowing(near)).match(item(full(near)))
    assert len(watch.told) == 1


def test_an_entry_goes_into_quarantine_with_the_picture_that_is_one_too_many() -> None:
    """That picture's verdict says so already."""
    watching = watched(Watch(), bank(KNOWN))
    reasons = [watching.match(item(full(flipped(KNOWN, 9, seed)))).reasons for seed in range(4)]
    assert [Reason.QUARANTINED in each for each in reasons] == [False, False, True, True]


HASHES = st.sampled_from([KNOWN, OTHER]).flatmap(
    lambda value: st.tuples(st.just(value), st.integers(0, 40), st.integers(0, 5)).map(lambda one: flipped(*one))
)


@given(
    asked=st.lists(HASHES, min_size=1, max_size=4),
    quarantined=st.sets(st.integers(1, 3)),
    exact=st.booleans(),
    allowed=st.booleans(),
    is_video=st.booleans(),
)
def test_quarantine_never_changes_a_verdict_nor_an_exact_hit(
    *, asked: list[bytes], quarantined: set[int], exact: bool, allowed: bool, is_video: bool
) -> None:
    """It only marks and gives a reason: nothing becomes clear by it."""
    digests = digest(b"file")
    banks = [bank(KNOWN, OTHER, sha256=digests.sha256 if exact else None)]
    if allowed:
        banks.append(allowing(flipped(KNOWN, 20, seed=1)))
    hashes = [PictureHash(v, 100, "full", n, float(n) if is_video else None) for n, v in enumerate(asked)]
    one = item(*hashes, digests=digests, frames=len(hashes))
    plain, marked = matcher(*banks).match(one), watched(Watch(*quarantined), *banks).match(one)

    def without(verdict: Verdict) -> list[tuple[object, ...]]:
        return [(hit.bank, hit.entry, hit.kind, hit.distance, hit.cancelled) for hit in verdict.matches]

    assert (marked.verdict, without(marked)) == (plain.verdict, without(plain))
    assert set(marked.reasons) - {Reason.QUARANTINED} == set(plain.reasons)
    for hit in marked.matches:
        near = hit.kind == "pdq" and hit.action is Kind.BLOCKING
        assert hit.quarantined == (near and hit.entry in quarantined)
    standing = [hit for hit in marked.matches if hit.action is Kind.BLOCKING and not hit.cancelled]
    assert (Reason.QUARANTINED in marked.reasons) == (bool(standing) and all(hit.quarantined for hit in standing))

"""How pictures are judged against banks of pictures and digests."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.match_items import CLIP, KNOWN, NOW, OTHER, allowing, bank, flipped, full, item, matcher, video

from rempart.errors import BankError, NothingToCompareError, Reason
from rempart.hashing import Hashed, Unscannable, digest, hash_image
from rempart.matching import Bank, DigestRows, HashIndex, Outcome, PdqRows, VideoRule, specimen


@pytest.mark.parametrize("banks", [(), (bank(),), (allowing(KNOWN),)])
def test_without_anything_to_compare_with_nothing_is_called_clear(banks: tuple[Bank, ...]) -> None:
    """No bank, an empty one, or only allowing ones: that is an error, not an answer."""
    with pytest.raises(NothingToCompareError):
        matcher(*banks).match(item(full(OTHER)))
    with pytest.raises(NothingToCompareError):
        matcher(*banks).check()


@pytest.mark.parametrize(
    ("distance", "radius", "outcome"), [(0, 31, "match"), (31, 31, "match"), (32, 31, "clear"), (6, 5, "clear")]
)
def test_a_picture_within_the_banks_radius_matches_and_one_beyond_is_clear(
    distance: int, radius: int, outcome: str
) -> None:
    """The radius is inclusive."""
    verdict = matcher(bank(KNOWN, radius=radius)).match(item(full(flipped(KNOWN, distance))))
    assert verdict.verdict == outcome
    assert [hit.distance for hit in verdict.matches] == ([distance] if outcome == "match" else [])
    assert verdict.reasons == ((Reason.NEAR_MATCH,) if outcome == "match" else ())
    assert verdict.lists_as_of == NOW


def test_each_entry_is_reported_once_at_its_smallest_distance_with_the_variant_that_hit() -> None:
    """Several frames and variants may hit the same entry."""
    hashes = (full(flipped(KNOWN, 20)), full(flipped(KNOWN, 4), variant="trimmed"), full(flipped(KNOWN, 9), frame=3))
    (hit,) = matcher(bank(KNOWN, OTHER)).match(item(*hashes, frames=4)).matches
    assert (hit.bank, hit.entry, hit.kind, hit.distance, hit.variant, hit.frame) == ("KNOWN", 1, "pdq", 4, "trimmed", 0)


def test_a_digest_matches_whatever_the_decoder_said() -> None:
    """A file that cannot be decoded, is too flat, or is partial can still be a known one."""
    content = b"a video, say"
    known = bank(sha256=digest(content).sha256)
    for outcome in (
        Unscannable(reason=Reason.UNSUPPORTED_FORMAT, **digest(content)._asdict()),
        item(full(OTHER, quality=0), digests=digest(content)),
        item(full(OTHER), digests=digest(content), partial=Reason.TRUNCATED),
    ):
        verdict = matcher(known).match(outcome)
        assert (verdict.verdict, verdict.reasons) == (Outcome.MATCH, (Reason.EXACT_MATCH,))
        assert (verdict.matches[0].kind, verdict.matches[0].variant) == ("sha256", "file")


def test_the_digest_of_an_empty_file_matches_nothing() -> None:
    """Lists do hold it, and every empty file would be taken for a known one."""
    verdict = matcher(bank(sha256=hashlib.sha256().hexdigest())).match(hash_image(b""))
    assert (verdict.verdict, verdict.reasons) == (Outcome.UNSCANNABLE, (Reason.EMPTY,))


def test_below_the_quality_floor_a_picture_is_unscannable_not_clear() -> None:
    """And its hash is not compared: flat pictures all look alike."""
    verdict = matcher(bank(KNOWN)).match(item(full(KNOWN, quality=49)))
    assert (verdict.verdict, verdict.reasons, verdict.quality) == (Outcome.UNSCANNABLE, (Reason.LOW_QUALITY,), 49)
    assert matcher(bank(KNOWN)).match(item(full(KNOWN, quality=50))).verdict is Outcome.MATCH
    assert matcher(bank(KNOWN, floor=49)).match(item(full(KNOWN, quality=49))).verdict is Outcome.MATCH


def test_the_floor_does_not_matter_to_a_bank_of_digests() -> None:
    """It compares no perceptual hash."""
    verdict = matcher(bank(sha256=digest(b"x").sha256)).match(item(full(KNOWN, quality=0)))
    assert verdict.verdict is Outcome.CLEAR


def test_a_banked_hash_of_known_low_quality_is_not_compared_and_one_of_unknown_quality_is() -> None:
    """Unknown counts as 100: most lists do not say."""
    known = bank(KNOWN, OTHER, qualities=[20, -1])
    assert matcher(known).match(item(full(KNOWN))).verdict is Outcome.CLEAR
    assert matcher(known).match(item(full(OTHER))).verdict is Outcome.MATCH


def test_the_zero_hash_neither_matches_nor_is_matched() -> None:
    """It is what a picture without any detail gives."""
    zero = bytes(32)
    known = bank(zero, KNOWN)
    assert len(known) == 1
    assert matcher(known).match(item(full(zero, quality=100))).verdict is Outcome.UNSCANNABLE
    assert matcher(known).match(item(full(flipped(zero, 3)))).verdict is Outcome.CLEAR


def test_a_partial_file_is_a_match_when_it_hits_and_unscannable_when_it_does_not() -> None:
    """Never clear: the part that is missing was not seen."""
    hit = matcher(bank(KNOWN)).match(item(full(KNOWN), partial=Reason.TRUNCATED))
    assert (hit.verdict, hit.partial) == (Outcome.MATCH, True)
    miss = matcher(bank(KNOWN)).match(item(full(OTHER), partial=Reason.TRUNCATED))
    assert (miss.verdict, miss.partial, miss.reasons) == (Outcome.UNSCANNABLE, True, (Reason.TRUNCATED,))


def test_frames_that_were_not_read_make_an_item_unscannable_unless_another_frame_matches() -> None:
    """The unread ones may be anything."""
    hit = matcher(bank(KNOWN)).match(item(full(OTHER), full(KNOWN, frame=1), frames=9, frames_read=2))
    assert hit.verdict is Outcome.MATCH
    miss = matcher(bank(KNOWN)).match(item(full(OTHER), frames=9, frames_read=2))
    assert miss.verdict is Outcome.UNSCANNABLE
    assert miss.reasons[0] in (Reason.FRAMES_UNREAD, Reason.TOO_MANY_FRAMES)


def test_flat_frames_of_an_animation_do_not_hinder_when_another_frame_was_compared() -> None:
    """A fade to black is in every second clip."""
    verdict = matcher(bank(KNOWN)).match(item(full(OTHER), full(OTHER, quality=3, frame=1), frames=2))
    assert verdict.verdict is Outcome.CLEAR


def test_turned_hashes_are_compared_only_by_banks_that_ask_for_it() -> None:
    """The switch is each bank's own."""
    picture = item(full(OTHER), full(KNOWN, variant="full+rotate90"))
    plain, asking = bank(KNOWN), bank(KNOWN, name="TURNED", turned=True)
    assert matcher(plain).match(picture).verdict is Outcome.CLEAR
    verdict = matcher(plain, asking).match(picture)
    assert [(hit.bank, hit.variant) for hit in verdict.matches] == [("TURNED", "full+rotate90")]
    assert (matcher(plain).wants_turned, matcher(plain, asking).wants_turned) == (False, True)


def test_a_list_older_than_its_maximum_age_turns_clear_into_unscannable_and_leaves_a_match() -> None:
    """What was added to it since may be this very picture."""
    stale = bank(KNOWN, max_age_seconds=3600, refreshed_at=NOW - timedelta(hours=2))
    fresh = bank(KNOWN, max_age_seconds=3600, refreshed_at=NOW - timedelta(minutes=59), name="FRESH")
    assert matcher(fresh).match(item(full(OTHER))).verdict is Outcome.CLEAR
    verdict = matcher(fresh, stale).match(item(full(OTHER)))
    assert (verdict.verdict, verdict.reasons) == (Outcome.UNSCANNABLE, (Reason.STALE_LIST,))
    assert verdict.lists_as_of == NOW - timedelta(hours=2)
    assert matcher(stale).match(item(full(KNOWN))).verdict is Outcome.MATCH


@pytest.mark.parametrize(
    ("block", "allow", "outcome"), [(10, 9, "clear"), (10, 10, "match"), (10, 11, "match"), (0, 0, "match")]
)
def test_an_allowing_hit_cancels_a_near_match_only_when_it_is_strictly_nearer(
    block: int, allow: int, outcome: str
) -> None:
    """In doubt the match stands; the result shows both hits."""
    picture = flipped(KNOWN, block)
    fine = flipped(picture, allow, seed=5)
    verdict = matcher(bank(KNOWN), allowing(fine)).match(item(full(picture)))
    assert verdict.verdict == outcome
    assert [(hit.bank, hit.distance, hit.cancelled) for hit in verdict.matches] == [
        ("KNOWN", block, outcome == "clear"),
        ("FINE", allow, False),
    ]
    assert (Reason.ALLOWED in verdict.reasons) == (outcome == "clear")


def test_an_allowed_digest_cancels_every_near_match_but_never_a_blocking_digest() -> None:
    """The very file was looked at and found harmless; unless that very file is also banked."""
    digests = digest(b"a harmless file")
    near = matcher(bank(KNOWN), allowing(sha256=digests.sha256)).match(item(full(KNOWN), digests=digests))
    assert near.verdict is Outcome.CLEAR
    exact = matcher(bank(KNOWN, sha256=digests.sha256), allowing(sha256=digests.sha256))
    assert exact.match(item(full(KNOWN), digests=digests)).verdict is Outcome.MATCH


def test_an_allowing_hit_on_one_frame_or_form_does_not_cancel_a_hit_on_another() -> None:
    """A known picture cannot hide behind a harmless one in the same file."""
    both = matcher(bank(KNOWN), allowing(OTHER))
    assert both.match(item(full(OTHER), full(flipped(KNOWN, 3), frame=1), frames=2)).verdict is Outcome.MATCH
    assert both.match(item(full(OTHER), full(flipped(KNOWN, 3), variant="trimmed"))).verdict is Outcome.MATCH
    same = matcher(bank(KNOWN, turned=True), allowing(OTHER))
    assert same.match(item(full(OTHER), full(flipped(KNOWN, 3), variant="full+rotate90"))).verdict is Outcome.CLEAR


def test_a_hit_that_stands_is_shown_before_a_cancelled_one_of_the_same_entry() -> None:
    """What decides the verdict must be visible in it."""
    picture = item(full(flipped(KNOWN, 2)), full(flipped(KNOWN, 8, seed=9), frame=1), frames=2)
    verdict = matcher(bank(KNOWN), allowing(flipped(KNOWN, 2))).match(picture)
    assert verdict.verdict is Outcome.MATCH
    assert [(hit.bank, hit.frame, hit.cancelled) for hit in verdict.matches] == [
        ("KNOWN", 1, False),
        ("FINE", 0, False),
    ]


def test_matches_are_listed_blocking_first_exact_first_then_nearest() -> None:
    """The reader's eye falls on what weighs most."""
    digests = digest(b"file")
    known = bank(flipped(KNOWN, 9), flipped(KNOWN, 3), sha256=digests.sha256)
    hits = matcher(allowing(flipped(KNOWN, 20)), known).match(item(full(KNOWN), digests=digests)).matches
    assert [(hit.action, hit.kind, hit.distance) for hit in hits] == [
        ("blocking", "sha256", 0),
        ("blocking", "pdq", 3),
        ("blocking", "pdq", 9),
        ("allowing", "pdq", 20),
    ]


@given(st.lists(st.binary(min_size=20, max_size=20), max_size=40), st.binary(min_size=20, max_size=20), st.data())
def test_digest_look_up_finds_exactly_the_entries_that_hold_the_digest(
    values: list[bytes], other: bytes, data: st.DataObject
) -> None:
    """Equal to a plain comparison, with shared prefixes and repeated digests."""
    values += [value[:12] + other[:8] for value in values[:5]]
    entries = [data.draw(st.integers(1, 9)) for _ in values]
    rows = DigestRows(np.frombuffer(b"".join(values), np.uint8).reshape(-1, 20), np.array(entries, np.int64))
    looked = Bank("B", digests={"sha1": rows})
    for wanted in (other, *values):
        assert looked.exact("sha1", wanted) == sorted({e for e, v in zip(entries, values, strict=True) if v == wanted})


@pytest.mark.parametrize(
    "wrong",
    [
        {"radius": 64},
        {"radius": -1},
        {"quality_floor": 101},
        {"name": "lower"},
        {"video_rule": VideoRule(query_percent=None, banked_percent=None, run_seconds=None)},
    ],
)
def test_a_bank_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    """Before anything is compared with it."""
    with pytest.raises(BankError):
        Bank(**({"name": "B"} | wrong))  # type: ignore[arg-type]


def test_the_specimen_is_caught_by_every_matcher_even_without_a_bank() -> None:
    """As it is and turned; with the flag that keeps it out of real reports."""
    picture = hash_image(specimen.picture(), turned=True)
    assert isinstance(picture, Hashed)
    for one in picture.hashes:
        verdict = matcher().match(item(one))
        assert (verdict.verdict, verdict.specimen, verdict.reasons) == (Outcome.MATCH, True, (Reason.SPECIMEN,))
        assert verdict.matches[0].entry == specimen.ENTRY
        assert verdict.matches[0].distance == 0
    distances = [
        (int.from_bytes(a.hash, "big") ^ int.from_bytes(b.hash, "big")).bit_count() for a, b in pairwise(picture.hashes)
    ]
    assert min(distances) > 62, "each turned form needs its own constant"


def test_the_specimen_does_not_hide_a_real_match() -> None:
    """Both are in the result."""
    picture = hash_image(specimen.picture())
    assert isinstance(picture, Hashed)
    verdict = matcher(bank(picture.hashes[0].hash)).match(picture)
    assert verdict.reasons == (Reason.SPECIMEN, Reason.NEAR_MATCH)
    assert [hit.bank for hit in verdict.matches] == ["SPECIMEN", "KNOWN"]


def test_a_slow_bank_finds_what_lies_as_far_as_its_radius() -> None:
    """Up to 63 bits in pictures; in frames of videos never beyond 31."""
    slow = bank(KNOWN, radius=63, videos=[CLIP])
    assert (slow.slow, bank(KNOWN).slow) == (True, False)
    assert matcher(slow).match(item(full(flipped(KNOWN, 63)))).verdict is Outcome.MATCH
    assert matcher(slow).match(item(full(flipped(KNOWN, 64)))).verdict is Outcome.CLEAR
    assert matcher(slow).match(video(*(flipped(frame, 31) for frame in CLIP))).verdict is Outcome.MATCH
    assert matcher(slow).match(video(*(flipped(frame, 32) for frame in CLIP))).verdict is Outcome.CLEAR


def test_a_bank_can_stand_on_an_index_that_was_made_before() -> None:
    """As a snapshot that processes share; but not on two sets of hashes."""
    index = HashIndex.build([KNOWN, OTHER], [7, 9])
    mapped = Bank("MAPPED", index=index, refreshed_at=NOW, id=3)
    assert (len(mapped), mapped.id, mapped.looks_near) == (2, 3, True)
    (hit,) = matcher(mapped).match(item(full(flipped(OTHER, 2)))).matches
    assert (hit.entry, hit.distance) == (9, 2)
    with pytest.raises(BankError, match="not of both"):
        Bank("MAPPED", index=index, pdq=PdqRows.of([KNOWN.hex()]))

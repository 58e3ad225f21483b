from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import BankError, NothingToCompareError, Reason
from rempart.hashing import Digests, Hashed, PictureHash, Unscannable, digest, hash_image
from rempart.matching import (
    Bank,
    DigestRows,
    FrameRows,
    HashIndex,
    Kind,
    Matcher,
    Outcome,
    PdqRows,
    Sighting,
    Verdict,
    VideoRule,
    specimen,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KNOWN = random.Random(1).randbytes(32)
OTHER = random.Random(2).randbytes(32)
NO_DIGESTS = Digests("0" * 32, "0" * 40, "0" * 64)


def flipped(value: bytes, bits: int, seed: int = 0) -> bytes:
    """A hash at exactly this distance."""
    number = int.from_bytes(value, "big")
    for bit in random.Random(seed).sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32, "big")


def item(
    *hashes: PictureHash,
    digests: Digests = NO_DIGESTS,
    frames: int = 1,
    frames_read: int | None = None,
    partial: Reason | None = None,
) -> Hashed:
    """A hashed picture with these hashes."""
    return Hashed(
        format="png",
        width=100,
        height=100,
        frames=frames,
        frames_read=frames if frames_read is None else frames_read,
        normalised=(),
        partial=partial,
        hashes=hashes,
        **digests._asdict(),
    )


def full(value: bytes, quality: int = 100, variant: str = "full", frame: int = 0) -> PictureHash:
    """One hash of a picture."""
    return PictureHash(value, quality, variant, frame)


def bank(
    *hashes: bytes,
    name: str = "KNOWN",
    kind: Kind = Kind.BLOCKING,
    radius: int = 31,
    floor: int = 50,
    turned: bool = False,
    qualities: Sequence[int] | None = None,
    sha256: str | None = None,
    max_age_seconds: int | None = None,
    refreshed_at: datetime = NOW,
    videos: Sequence[Sequence[bytes]] = (),
    rule: VideoRule = VideoRule(),  # noqa: B008 -- it is frozen
) -> Bank:
    """A bank with an entry for each hash, numbered from 1, one more for a digest, and videos numbered from 100."""
    rows = PdqRows.of([value.hex() for value in hashes])
    if qualities is not None:
        rows = rows._replace(qualities=np.array(qualities, np.int16))
    digests = {}
    if sha256 is not None:
        values = np.frombuffer(bytes.fromhex(sha256), np.uint8).reshape(1, -1)
        digests["sha256"] = DigestRows(values, np.array([len(hashes) + 1], np.int64))
    frames = [(frame, 100 + number) for number, video in enumerate(videos) for frame in video]
    return Bank(
        name,
        kind=kind,
        radius=radius,
        quality_floor=floor,
        turned=turned,
        refreshed_at=refreshed_at,
        max_age_seconds=max_age_seconds,
        pdq=rows,
        digests=digests,
        frames=FrameRows(
            np.frombuffer(b"".join(frame for frame, _ in frames), np.uint8).reshape(-1, 32),
            np.array([entry for _, entry in frames], np.int64),
            np.full(len(frames), -1, np.int16),
        ),
        video_rule=rule,
    )


def allowing(
    *hashes: bytes, sha256: str | None = None, videos: Sequence[Sequence[bytes]] = (), floor: int = 50
) -> Bank:
    """An allowing bank."""
    return bank(*hashes, name="FINE", kind=Kind.ALLOWING, sha256=sha256, videos=videos, floor=floor)


def shots(count: int, seed: int) -> list[bytes]:
    """Frames of a clip, all unlike each other and those of other seeds."""
    return [random.Random(1000 * seed + number).randbytes(32) for number in range(count)]


def video(*frames: bytes, digests: Digests = NO_DIGESTS, quality: int = 100, unread: int = 0) -> Hashed:
    """A video with a frame a second."""
    hashes = [PictureHash(value, quality, "full", number, float(number)) for number, value in enumerate(frames)]
    return item(*hashes, digests=digests, frames=len(frames) + unread, frames_read=len(frames))


def matcher(*banks: Bank) -> Matcher:
    """A matcher at a fixed moment."""
    return Matcher(banks, clock=lambda: NOW)


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


CLIP, HARMLESS = shots(10, 1), shots(60, 2)


def test_a_video_in_a_banked_video_is_a_match_that_tells_the_shares_and_the_run() -> None:
    """Found by the whole, so the entry is shown once; the frame is where the run begins."""
    asked = video(*HARMLESS[:30], *(flipped(frame, 5) for frame in CLIP), *HARMLESS[30:])
    verdict = matcher(bank(videos=[shots(9, 3), CLIP])).match(asked)
    (hit,) = verdict.matches
    assert (verdict.verdict, verdict.reasons) == (Outcome.MATCH, (Reason.NEAR_MATCH,))
    assert (hit.entry, hit.kind, hit.variant, hit.frame, hit.distance) == (101, "vpdq", "video", 30, 5)
    assert hit.query_percent == pytest.approx(100 * 10 / 70)
    assert (hit.banked_percent, hit.run_seconds) == (100.0, 10.0)
    assert matcher(bank(videos=[CLIP])).match(video(*HARMLESS)).verdict is Outcome.CLEAR


def test_the_rule_of_the_bank_decides_which_videos_match() -> None:
    """A clip in a long upload, by one direction and not by the other."""
    asked = video(*CLIP[:4], *HARMLESS)
    for rule, outcome in (
        (VideoRule(query_percent=80, banked_percent=None, run_seconds=None), Outcome.CLEAR),
        (VideoRule(query_percent=None, banked_percent=40, run_seconds=None), Outcome.MATCH),
        (VideoRule(query_percent=None, banked_percent=41, run_seconds=None), Outcome.CLEAR),
        (VideoRule(query_percent=None, banked_percent=None, run_seconds=4.0), Outcome.MATCH),
    ):
        assert matcher(bank(videos=[CLIP], rule=rule)).match(asked).verdict is outcome


def test_a_frame_of_a_video_is_compared_with_banked_pictures() -> None:
    """And cancelled by an allowing picture on the same frame alone."""
    asked = video(*HARMLESS[:5], flipped(KNOWN, 6), *HARMLESS[5:9])
    (hit,) = matcher(bank(KNOWN)).match(asked).matches
    assert (hit.kind, hit.frame, hit.distance, hit.query_percent) == ("pdq", 5, 6, None)
    assert matcher(bank(KNOWN), allowing(flipped(KNOWN, 6))).match(asked).verdict is Outcome.CLEAR
    assert matcher(bank(KNOWN), allowing(HARMLESS[0])).match(asked).verdict is Outcome.MATCH


def test_a_picture_is_not_compared_with_the_frames_of_banked_videos() -> None:
    """An end card of a banked video is in thousands of innocent ones, and in pictures of it."""
    verdict = matcher(bank(videos=[CLIP])).match(item(full(CLIP[3])))
    assert verdict.verdict is Outcome.CLEAR


def test_a_bank_of_videos_alone_is_something_to_compare_with() -> None:
    """And a video of which nothing can be compared is unscannable, like one whose end was not read."""
    known = matcher(bank(videos=[CLIP]))
    known.check()
    assert known.match(video(*HARMLESS, quality=10)).reasons == (Reason.LOW_QUALITY,)
    assert known.match(video(*HARMLESS, unread=1)).verdict is Outcome.UNSCANNABLE
    assert known.match(video(*CLIP, unread=1)).verdict is Outcome.MATCH


def test_the_cover_of_a_video_does_not_stand_for_its_frames() -> None:
    """It is compared with banked pictures, but a video of which only the cover says anything was not looked at."""
    flat = [PictureHash(frame, 10, "full", number, float(number)) for number, frame in enumerate(CLIP)]
    covered = item(*flat, full(OTHER, frame=len(CLIP)), frames=len(CLIP) + 1)
    assert matcher(bank(KNOWN)).match(covered).reasons == (Reason.LOW_QUALITY,)
    assert matcher(bank(OTHER)).match(covered).verdict is Outcome.MATCH


def test_an_allowed_video_that_is_all_of_the_asked_one_cancels_what_shares_only_an_opening() -> None:
    """Both hold the same studio's opening; the asked video is the harmless one, encoded anew."""
    opening = shots(7, 4)
    blocked, fine = [*opening, *CLIP], [*opening, *HARMLESS]
    asked = video(*(flipped(frame, 4) for frame in fine))
    assert matcher(bank(videos=[blocked])).match(asked).verdict is Outcome.MATCH
    verdict = matcher(bank(videos=[blocked]), allowing(videos=[fine])).match(asked)
    assert (verdict.verdict, verdict.reasons) == (Outcome.CLEAR, (Reason.ALLOWED,))
    assert [(hit.bank, hit.cancelled) for hit in verdict.matches] == [("KNOWN", True), ("FINE", False)]
    assert matcher(bank(videos=[blocked]), allowing(videos=[fine])).match(video(*blocked)).verdict is Outcome.MATCH


def test_a_known_clip_does_not_hide_in_a_long_harmless_video() -> None:
    """Though the allowed video holds far more of the asked one."""
    asked = video(*HARMLESS, *CLIP)
    verdict = matcher(bank(videos=[CLIP]), allowing(videos=[HARMLESS])).match(asked)
    assert verdict.verdict is Outcome.MATCH
    assert [hit.cancelled for hit in verdict.matches] == [False, False]


@pytest.mark.parametrize(("blocked", "allowed", "outcome"), [(6, 5, "clear"), (6, 6, "match"), (6, 7, "match")])
def test_of_two_videos_that_hold_all_of_the_asked_one_the_strictly_nearer_decides(
    blocked: int, allowed: int, outcome: str
) -> None:
    """In doubt the match stands."""
    known, fine = ([flipped(frame, bits, seed=bits) for frame in CLIP] for bits in (blocked, allowed))
    assert matcher(bank(videos=[known]), allowing(videos=[fine])).match(video(*CLIP)).verdict == outcome


def test_frames_that_an_allowing_bank_does_not_look_at_are_not_allowed_by_it() -> None:
    """Its floor is higher, so of a hit on weak frames it cannot say anything."""
    weak = [PictureHash(frame, 60, "full", number, float(number)) for number, frame in enumerate(CLIP)]
    good = [PictureHash(frame, 100, "full", number, float(number)) for number, frame in enumerate(HARMLESS, len(CLIP))]
    asked = item(*weak, *good, frames=len(CLIP) + len(HARMLESS))
    fine = [*CLIP, *HARMLESS]
    blocking = bank(videos=[[flipped(frame, 3) for frame in CLIP]])
    assert matcher(blocking, allowing(videos=[fine])).match(asked).verdict is Outcome.CLEAR
    assert matcher(blocking, allowing(videos=[fine], floor=90)).match(asked).verdict is Outcome.MATCH


def test_an_allowed_digest_cancels_a_video_and_an_allowed_video_no_digest() -> None:
    """As for pictures."""
    digests = digest(b"a harmless film")
    asked = video(*CLIP, digests=digests)
    near = matcher(bank(videos=[CLIP]), allowing(sha256=digests.sha256))
    assert near.match(asked).verdict is Outcome.CLEAR
    exact = matcher(bank(sha256=digests.sha256), allowing(videos=[CLIP]))
    assert exact.match(asked).verdict is Outcome.MATCH


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

"""How videos are judged against banked videos and pictures."""

from __future__ import annotations

import pytest
from tests.unit.match_items import (
    CLIP,
    HARMLESS,
    KNOWN,
    OTHER,
    allowing,
    bank,
    flipped,
    full,
    item,
    matcher,
    shots,
    video,
)

from rempart.errors import Reason
from rempart.hashing import PictureHash, digest
from rempart.matching import Outcome, VideoRule


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

"""Videos on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rempart.cli.match import _matches_cell
from rempart.hashing import Hashed, hash_video
from rempart.settings import MediaSettings

pytest.importorskip("av", reason="PyAV is not installed: the extra `video`")

from tests.integration.video_clips import SECONDS, SIZE, clip, full

COMMAND = [str(Path(sys.executable).with_name("rempart"))]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A clip with no ending in its name that would tell what it is."""
    path = tmp_path / "clip"
    path.write_bytes(clip())
    return path


def rempart(*arguments: object) -> list[dict[str, Any]]:
    """The rows that a command writes."""
    result = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, timeout=120, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_video_has_one_row_like_a_picture_with_its_length(video: Path) -> None:
    """Its PDQ is that of its first frame that shows something."""
    (row,) = rempart("hash", video)
    hashed = hash_video(video, settings=MediaSettings(workers=1))
    assert isinstance(hashed, Hashed)
    assert (row["status"], row["format"], row["width"], row["height"]) == ("hashed", "mp4", *SIZE)
    assert (row["frames"], row["frames_read"], row["seconds"], row["reason"]) == (SECONDS, SECONDS, SECONDS, None)
    assert (row["pdq"], row["quality"], row["sha256"]) == (hashed.pdq, hashed.quality, hashed.sha256)
    assert "hashes" not in row


def test_all_hashes_of_a_video_say_when_each_frame_is_shown(video: Path) -> None:
    """Turned ones as well, as for pictures."""
    (row,) = rempart("hash", "--all-hashes", video)
    shown = [one for one in row["hashes"] if one["variant"] == "full"]
    assert [(one["frame"], one["at"]) for one in shown] == [(number, number) for number in range(SECONDS)]
    hashed = hash_video(video, settings=MediaSettings(workers=1))
    assert isinstance(hashed, Hashed)
    assert [one["pdq"] for one in shown] == [one.hash.hex() for one in full(hashed)]
    assert any(one["variant"] == "full+rotate90" for one in row["hashes"])


def test_a_match_of_a_video_is_shown_by_what_it_shares_with_the_entry() -> None:
    """Beside its digests, on one line."""
    match = {"bank": "KNOWN", "entry": 12, "action": "blocking", "cancelled": False}
    shares = {"query_percent": 4.9, "banked_percent": 100.0, "run_seconds": 21.0}
    row = {"matches": [match | {"kind": "md5"}, match | {"kind": "vpdq", "distance": 6, "variant": "video"} | shares]}
    assert _matches_cell(row) == "KNOWN 12: md5, vpdq 6, 5% in it, 100% of it, run 21 s"


def test_videos_are_banked_more_densely_than_they_are_asked_about() -> None:
    """As far in time, with ten frames for one; never less densely."""
    media = MediaSettings().for_banking()
    assert (media.video_interval, media.max_video_frames) == (0.1, 100_000)
    coarse = MediaSettings(video_interval=0.05).for_banking()
    assert (coarse.video_interval, coarse.max_video_frames) == (0.05, 10_000)

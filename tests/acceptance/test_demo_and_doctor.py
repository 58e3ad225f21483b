from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rempart.cli.drawing import COPIES, SIZE, lighthouse
from rempart.hashing import pdq

CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
DEMANDED = {"half size", "JPEG quality 30", "rotated 90", "palette PNG", "CMYK JPEG", "5% border", "EXIF-turned"}


def rempart(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command, with a home of its own but for compiled code, which takes seconds to make."""
    return subprocess.run(
        [Path(sys.executable).with_name("rempart"), *arguments],
        env={"HOME": str(home), "XDG_CACHE_HOME": CACHE, "PATH": os.environ["PATH"], "COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the demo says in JSON."""
    done = rempart("demo", "--format", "json", home=tmp_path_factory.mktemp("home"))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_demo_finds_every_altered_copy_and_no_unrelated_picture(shown: dict[str, Any]) -> None:
    """Each kind of copy that people make, within the radius."""
    verdicts = {row["change"]: row for row in shown["pictures"] if row["change"] != "unrelated"}
    assert set(verdicts) >= DEMANDED
    assert all(row["verdict"] == "match" and 0 <= row["distance"] <= 31 for row in verdicts.values())
    unrelated = [row for row in shown["pictures"] if row["change"] == "unrelated"]
    assert len(unrelated) >= 3
    assert all(row["verdict"] == "clear" and row["distance"] is None for row in unrelated)


def test_the_demo_screens_canaries_innocent_prompts_and_the_specimen(shown: dict[str, Any]) -> None:
    """Both concepts are refused, also in disguise; one of them and innocent prompts are allowed."""
    verdicts = {row["name"]: row["verdict"] for row in shown["prompts"]}
    assert len(verdicts) >= 6
    assert verdicts["canary: both concepts"] == verdicts["canary: disguised"] == verdicts["specimen token"] == "refuse"
    assert all(verdict == "allow" for name, verdict in verdicts.items() if name.startswith("innocent"))


def test_the_demo_says_that_all_is_well_and_how_long_it_took(shown: dict[str, Any]) -> None:
    """Programs read `ok`; people read the time."""
    assert set(shown) == {"ok", "seconds", "pictures", "prompts"}
    assert shown["ok"] is True
    assert 0 < shown["seconds"] < 60


def test_the_demo_shows_two_tables_and_where_to_go_next_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """In a folder of its own that is gone afterwards; the user's data folder is not touched."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = rempart("demo", home=tmp_path, TMPDIR=str(scratch))
    assert done.returncode == 0
    assert "Pictures:" in done.stdout
    assert "Prompts:" in done.stdout
    assert "rempart bank create" in done.stderr
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / ".local/share/rempart").exists()


def test_a_demo_that_goes_wrong_ends_with_exit_code_5(tmp_path: Path) -> None:
    """Here no picture may have so many pixels, so none is found."""
    done = rempart("demo", home=tmp_path, REMPART__MEDIA__MAX_PIXELS="1000")
    assert done.returncode == 5
    assert "NOT everything" in done.stderr


def test_drawn_lighthouses_are_rich_in_detail_and_far_from_one_another() -> None:
    """Else the demo would prove little."""
    hashes = [pdq(np.asarray(lighthouse(seed))) for seed in range(1, 12)]
    assert {one.quality for one in hashes} == {100}
    numbers = [int.from_bytes(one.hash, "big") for one in hashes]
    assert min((a ^ b).bit_count() for i, a in enumerate(numbers) for b in numbers[:i]) > 80
    assert lighthouse(1).size == SIZE
    assert len({copy.change for copy in COPIES}) == len(COPIES)


def test_the_doctor_finds_this_installation_well(tmp_path: Path) -> None:
    """Every check by name, none of them broken."""
    done = rempart("doctor", home=tmp_path)
    rows = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {"decoders", "HEIC", "specimen picture", "specimen prompt", "search", "database"} <= set(rows)
    assert {name: row["detail"] for name, row in rows.items() if row["state"] == "broken"} == {}
    assert done.returncode == 0


def test_the_doctor_names_what_is_broken_and_still_looks_at_the_rest(tmp_path: Path) -> None:
    """A wrong setting and a data folder that is a file: exit code 4."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = rempart("doctor", home=tmp_path, REMPART__DATA_DIR=str(tmp_path / "file"), REMPART__MEDIA__WORKERS="-1")
    rows = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 4
    assert "workers" in rows["settings"]["detail"]
    assert {name for name, row in rows.items() if row["state"] == "broken"} == {"settings", "database"}


def test_the_doctor_hands_out_the_specimen_and_match_catches_it(tmp_path: Path) -> None:
    """With a bank that holds something else, for the specimen does not count as one."""
    specimen = tmp_path / "specimen.png"
    assert rempart("doctor", "--specimen", str(specimen), home=tmp_path).returncode == 0
    assert rempart("match", str(specimen), home=tmp_path).returncode == 2
    rempart("bank", "create", "OTHER", home=tmp_path)
    rempart("bank", "add-hash", "OTHER", "0123456789abcdef" * 2, home=tmp_path)
    done = rempart("match", str(specimen), home=tmp_path)
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, row["verdict"], row["specimen"], row["reasons"]) == (1, "match", True, ["specimen"])

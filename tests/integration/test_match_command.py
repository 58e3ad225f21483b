"""`rempart match` as a person and as a program use it: verdicts, fields, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Draw = Callable[..., Image.Image]

FIELDS = {"path", "verdict", "reasons", "matches", "quality", "partial", "lists_as_of", "specimen"}


class Desk:
    """A folder with a home of its own, and commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The real command."""
        return subprocess.run(
            [Path(sys.executable).with_name("rempart"), *arguments],
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]} | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def match(self, *arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and rows."""
        done = self.run("match", *arguments)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory, lighthouse: Draw) -> Path:
    """A bank of one lighthouse, and files: a copy of it, a turned copy, another lighthouse, and a text."""
    folder = tmp_path_factory.mktemp("laid")
    desk = Desk(folder)
    known = lighthouse((640, 480), 1)
    known.save(folder / "known.png")
    known.resize((320, 240)).save(folder / "copy.jpg", quality=60)
    known.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", quality=90)
    lighthouse((640, 480), 2).save(folder / "other.png")
    (folder / "note.jpg").write_text("Dear reader, this is not a picture.", encoding="utf-8")
    assert desk.run("bank", "create", "KNOWN").returncode == 0
    assert desk.run("bank", "add", "KNOWN", "known.png").returncode == 0
    return folder


@pytest.fixture
def desk(laid: Path, tmp_path: Path) -> Desk:
    """The same, for each test a copy."""
    return Desk(shutil.copytree(laid, tmp_path / "desk"))


def test_a_copy_is_a_match_with_all_the_fields_and_exit_code_1(desk: Desk) -> None:
    """The hit names bank, entry, kind, distance and variant; the list's age is told."""
    code, (row,) = desk.match("copy.jpg")
    assert (code, row["verdict"], row["reasons"]) == (1, "match", ["near_match"])
    assert set(row) == FIELDS
    (hit,) = row["matches"]
    assert {"bank", "entry", "kind", "distance", "variant"} <= set(hit)
    assert (hit["bank"], hit["entry"], hit["kind"]) == ("KNOWN", 1, "pdq")
    assert 0 <= hit["distance"] <= 31
    assert row["lists_as_of"].endswith("Z")


def test_the_exit_code_says_what_weighs_most(desk: Desk) -> None:
    """0 all clear, 3 something unscannable, 1 something found, 2 nothing usable."""
    assert desk.match("other.png")[0] == 0
    assert desk.match("other.png", "note.jpg")[0] == 3
    assert desk.match("other.png", "note.jpg", "known.png")[0] == 1
    assert desk.match("nowhere.jpg")[0] == 2
    assert desk.match("other.png", "nowhere.jpg")[0] == 3


def test_rows_come_in_the_order_of_the_input_and_the_summary_accounts_for_all(desk: Desk) -> None:
    """A folder is read in the order of names; every item has a verdict."""
    done = desk.run("match", desk.folder)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    names = [Path(row["path"]).name for row in rows if Path(row["path"]).parent == desk.folder]
    assert names == sorted(names)
    verdicts = {Path(row["path"]).name: row["verdict"] for row in rows}
    assert verdicts["copy.jpg"] == verdicts["known.png"] == "match"
    assert (verdicts["other.png"], verdicts["turned.jpg"], verdicts["note.jpg"]) == ("clear", "clear", "unscannable")
    assert f"given {len(rows)}" in done.stderr


def test_a_turned_copy_is_found_by_a_bank_that_asks_for_it(desk: Desk) -> None:
    """And the variant says how it is turned."""
    assert desk.match("turned.jpg")[0] == 0
    desk.run("bank", "create", "TURNED", "--turned")
    desk.run("bank", "add", "TURNED", "known.png")
    code, (row,) = desk.match("turned.jpg")
    assert (code, row["matches"][0]["bank"]) == (1, "TURNED")
    assert "rotate" in row["matches"][0]["variant"]


def test_an_allowing_bank_shows_both_hits_and_clears_a_near_one(desk: Desk) -> None:
    """The very file was looked at and found harmless."""
    desk.run("bank", "create", "FINE", "--allowing")
    desk.run("bank", "add", "FINE", "copy.jpg")
    code, (row,) = desk.match("copy.jpg")
    assert (code, row["verdict"], row["reasons"]) == (0, "clear", ["allowed"])
    assert {(hit["bank"], hit["cancelled"]) for hit in row["matches"]} == {("KNOWN", True), ("FINE", False)}


def test_an_old_list_calls_nothing_clear(desk: Desk) -> None:
    """A bank of the past week that nobody refreshed: clear becomes unscannable, a match stays."""
    desk.run("bank", "create", "FEED", "--max-age", "1s")
    desk.run("bank", "add-hash", "FEED", "0123456789abcdef" * 2)
    deadline = 50
    while (found := desk.match("other.png"))[1][0]["verdict"] == "clear" and deadline:
        deadline -= 1
    code, (row,) = found
    assert (code, row["verdict"], row["reasons"]) == (3, "unscannable", ["stale_list"])
    assert desk.match("copy.jpg")[0] == 1


def test_without_a_bank_nothing_is_compared_and_the_line_says_what_to_do(tmp_path: Path) -> None:
    """Exit code 2: an empty answer would look like a clear one."""
    done = Desk(tmp_path).run("match", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "rempart bank add" in done.stderr


def test_a_person_reads_an_entry_a_line(desk: Desk) -> None:
    """Digests and nearness of one entry stand together."""
    done = desk.run("match", "--format", "table", "known.png", COLUMNS="200")
    assert "KNOWN 1: md5, sha1, sha256, pdq 0 full" in done.stdout


def test_a_prefiltered_clear_says_so(desk: Desk, lighthouse: Draw) -> None:
    """Large JPEGs that are far from every entry; what is near is looked at as usual."""
    lighthouse((3000, 2000), 5).save(desk.folder / "large.jpg", quality=90)
    code, rows = desk.match("--prefilter", "large.jpg", "copy.jpg", "note.jpg")
    assert code == 1
    assert [(row["verdict"], row["reasons"]) for row in rows] == [
        ("clear", ["prefiltered"]),
        ("match", ["near_match"]),
        ("unscannable", ["unknown_format"]),
    ]

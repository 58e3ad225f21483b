from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "recall.py"
ORIGINALS = 20

Rows = dict[str, dict[str, Any]]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program as it is run by hand."""
    command = [sys.executable, PROGRAM, *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture(scope="module")
def rows(data: Path) -> Rows:
    """A small run: alteration -> its counts."""
    if find_spec("threatexchange") is None:
        pytest.skip("threatexchange is not installed: it comes with the bench extra")
    done = run("--pictures", str(ORIGINALS), "--format", "json", REMPART_TEST_DATA=str(data))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["originals"] == ORIGINALS
    return {row["alteration"]: row for row in result["rows"]}


def test_no_copy_that_plain_pdq_finds_is_lost(rows: Rows) -> None:
    """Of any alteration; and one copy of each original was altered."""
    assert {name: row["only_threatexchange"] for name, row in rows.items() if row["only_threatexchange"]} == {}
    assert {row["copies"] for row in rows.values()} == {ORIGINALS}


def test_no_copy_hits_another_original(rows: Rows) -> None:
    """Whatever was done to it, and whichever variants are compared."""
    wrong = {name: row[key] for name, row in rows.items() for key in ("default", "turned") if row[key]["wrong"]}
    assert wrong == {}


def test_copies_of_another_size_format_or_colour_mode_are_all_found(rows: Rows) -> None:
    """By their hashes as they are stored, and from a list of plain hashes too."""
    names = ["resized to 3/4", "resized to 1/2", "JPEG 30", "WebP 50", "GIF", "CMYK JPEG", "grey"]
    names += ["PNG, 64-colour palette", "stored turned, with EXIF tag", "3/4, JPEG 60, 3/4, JPEG 40"]
    for key in ("default", "plain_list"):
        assert {name: rows[name][key]["found"] for name in names} == dict.fromkeys(names, ORIGINALS)


def test_bordered_copies_are_nearly_all_found(rows: Rows) -> None:
    """Plain PDQ finds none of them."""
    for name, row in rows.items():
        if "border" in name or "bars" in name:
            assert row["default"]["found"] >= 0.9 * ORIGINALS, name


def test_turned_copies_are_found_when_asked_for_and_not_otherwise(rows: Rows) -> None:
    """Else the columns of the table would say nothing."""
    for name in ("rotated by 90 degrees", "rotated by 180 degrees", "rotated by 270 degrees", "mirrored"):
        assert rows[name]["turned"]["found"] >= 0.9 * ORIGINALS, name
        assert rows[name]["default"]["found"] <= 0.1 * ORIGINALS, name


def test_without_the_outside_data_the_program_says_so() -> None:
    """Exit code 2, and what to set."""
    if find_spec("threatexchange") is None:
        pytest.skip("threatexchange is not installed: it comes with the bench extra")
    done = run(REMPART_TEST_DATA="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "REMPART_TEST_DATA" in done.stderr

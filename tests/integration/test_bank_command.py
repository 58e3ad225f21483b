from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.stores import Place

from rempart.cli.main import run
from rempart.errors import ExitCode
from rempart.lists import change_bank

MD5, SHA1, PDQ = "9e107d9d372bb6826bd81d3542a419d6", "2f" * 20, "0f" * 32

Bank = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def bank(stores: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Bank:
    """A function that runs `rempart bank` on a database of its own: exit code, result rows, standard error."""
    for name, value in stores.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = run(["bank", *arguments])
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


def test_a_bank_is_made_listed_and_deleted(bank: Bank) -> None:
    """The rows say everything that was set."""
    assert bank("list") == (0, [], "there are no banks yet; make one with `rempart bank create NAME`\n")
    code, [made], err = bank("create", "A", "--radius", "20", "--quality-floor", "60", "--turned", "--max-age", "36h")
    assert (code, err) == (ExitCode.CLEAN, "")
    for moment in ("created_at", "refreshed_at"):
        assert made[moment].endswith("Z")
    expected = {"name": "A", "kind": "blocking", "harm": "csam", "radius": 20, "quality_floor": 60, "turned": True}
    assert made.items() >= (expected | {"max_age_seconds": 36 * 3600, "entries": 0, "pdq": 0, "sha256": 0}).items()
    assert bank("list")[1] == [made]
    assert bank("delete", "A", "--yes") == (0, [{"bank": "A", "status": "deleted", "entries": 0}], "")
    assert bank("list")[1] == []


def test_a_slow_bank_is_marked_in_every_list(bank: Bank, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever waits for it shall see why."""
    assert bank("create", "A", "--radius", "40", "--allow-slow")[1][0]["slow"] is True
    assert bank("create", "B", "--radius", "31", "--allow-slow")[1][0]["slow"] is False
    assert [row["slow"] for row in bank("list")[1]] == [True, False]
    assert run(["bank", "list", "--format", "table"]) == ExitCode.CLEAN
    assert capfd.readouterr().out.count("(slow)") == 1
    assert run(["bank", "show", "A", "--format", "table"]) == ExitCode.CLEAN
    assert "radius 40 (slow)" in capfd.readouterr().out


def test_a_bank_that_is_switched_off_is_marked_in_the_list(
    bank: Bank, stores: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wonders why nothing matches shall see it."""
    monkeypatch.setenv("COLUMNS", "160")
    for name, ratio in (("ON", 1.0), ("OFF", 0.0), ("PART", 0.25)):
        bank("create", name)
        with stores.open() as store:
            change_bank(store, name, enabled_ratio=ratio)
    assert {row["name"]: row["enabled_ratio"] for row in bank("list")[1]} == {"ON": 1, "OFF": 0, "PART": 0.25}
    assert run(["bank", "list", "--format", "table"]) == ExitCode.CLEAN
    table = capfd.readouterr().out
    assert table.count("switched off") == table.count("in 0.25 of HMA's look-ups") == 1


def test_the_rule_for_videos_is_set_when_a_bank_is_made(bank: Bank, capfd: pytest.CaptureFixture[str]) -> None:
    """Each direction has its default, another value, or is off."""
    rows = [
        bank("create", "A")[1][0],
        bank("create", "B", "--video-query", "off", "--video-banked", "30", "--video-run", "2.5")[1][0],
    ]
    fields = ("video_query_percent", "video_banked_percent", "video_run_seconds")
    assert [[row[field] for field in fields] for row in rows] == [[80, 80, 5.0], [None, 30, 2.5]]
    assert bank("list")[1] == rows
    assert run(["bank", "list", "--format", "table"]) == ExitCode.CLEAN
    shown = " ".join(capfd.readouterr().out.replace("│", " ").split())
    assert shown.count("videos ") == 1


def test_the_harm_of_a_bank_is_the_gravest_unless_it_allows(bank: Bank) -> None:
    """What nobody has said must not be handled lightly."""
    harms = [bank("create", *arguments)[1][0]["harm"] for arguments in (["A"], ["B", "--allowing"])]
    assert harms == ["csam", "other"]
    _, [row], _ = bank("create", "C", "--allowing", "--harm", "ncii_adult")
    assert (row["kind"], row["harm"]) == ("allowing", "ncii_adult")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["create", "my-bank"], "for example MY_BANK"),
        (["create", "B", "--radius", "32"], "compared with every hash of the bank, one by one"),
        (["create", "B", "--radius", "64", "--allow-slow"], "choose 0 to 31, or up to 63"),
        (["create", "B", "--video-query", "0"], "1<=x<=100"),
        (["create", "B", "--video-run", "-3"], "0<x<=86400"),
        (["create", "B", "--video-run", "nan"], "more than 0 seconds"),
        (["create", "B", *("--video-query", "off", "--video-banked", "off", "--video-run", "off")], "at least one"),
        (["add-hash", "A", f"vpdq:{PDQ}"], "the prefix is none of"),
        (["add-hash", "A", PDQ, "--kind", "vpdq"], "vpdq"),
        (["create", "B", "--max-age", "7"], "such as 12h or 7d"),
        (["create", "B", "--max-age", "0d"], "such as 12h or 7d"),
        (["create", "B", "--max-age", "999999w"], "ten years"),
        (["create", "A"], "there is a bank A already"),
        (["show", "AB"], "did you mean A?"),
        (["add", "AB", "."], "did you mean A?"),
        (["add-hash", "A"], "give either hashes or --file"),
        (["add-hash", "A", "123"], "3 characters"),
        (["add-hash", "A", MD5, "--quality", "101"], "101"),
        (["add-hash", "A", MD5, "--note", "two\nlines"], "one line"),
        (["add-hash", "A", "--file", "no-such-file"], "No such file"),
        (["remove", "A", "1"], "no entry 1; nothing was removed"),
        (["remove", "A", str(2**64)], "range"),
        (["delete", "A"], "--yes"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_use_ends_with_2_and_says_what_would_do(bank: Bank, arguments: list[str], problem: str) -> None:
    """And changes nothing. Nobody sits at a terminal here, so nothing is asked either."""
    before = bank("create", "A")[1]
    code, rows, err = bank(*arguments)
    assert (code, rows) == (ExitCode.USAGE, [])
    assert problem in err
    assert "Traceback" not in err
    assert bank("list")[1] == before


def test_hashes_given_together_are_one_entry(bank: Bank) -> None:
    """Shown with counts; the hashes themselves only when asked for."""
    bank("create", "A")
    code, [row], err = bank("add-hash", "A", MD5.upper(), f"sha1:{SHA1}", PDQ, "--quality", "80", "--note", "seen")
    assert (code, row, err) == (0, {"bank": "A", "status": "added", "entry": 1, "hashes_added": 3}, "")
    _, [entry], _ = bank("show", "A")
    expected = {"bank": "A", "entry": 1, "pdq": 1, "vpdq": 0, "md5": 1, "sha1": 1, "sha256": 0, "note": "seen"}
    assert {key: value for key, value in entry.items() if key != "created_at"} == expected
    _, [entry], _ = bank("show", "A", "--hashes")
    found = [(each["kind"], each["value"], each["quality"]) for each in entry["hashes"]]
    assert found == [("pdq", PDQ, 80), ("md5", MD5, None), ("sha1", SHA1, None)]
    assert bank("add-hash", "A", PDQ)[1][0]["status"] == "already_banked"


def test_an_empty_bank_says_how_to_fill_it(bank: Bank) -> None:
    """On standard error: the result is empty."""
    bank("create", "A")
    code, rows, err = bank("show", "A")
    assert (code, rows) == (0, [])
    assert "rempart bank add A PATH" in err


def test_a_file_is_imported_once_with_all_its_counts(bank: Bank, tmp_path: Path) -> None:
    """The same file again adds nothing."""
    bank("create", "A")
    file = tmp_path / "list.txt"
    file.write_bytes(f"\ufeff# March\r\n{MD5}\r\n\r\n{MD5.upper()}\r\nsha256:{PDQ}\r\n{PDQ}".encode())
    row = {"bank": "A", "status": "imported", "added": 3, "repeated": 1, "already_banked": 0, "bad": 0}
    assert bank("add-hash", "A", "--file", str(file)) == (0, [row], "")
    row |= {"added": 0, "already_banked": 3}
    code, [again], _ = bank("add-hash", "A", "--file", str(file))
    assert (code, again["added"], again["repeated"] + again["already_banked"]) == (0, 0, 4)
    _, [listed], _ = bank("list")
    assert [listed[kind] for kind in ("entries", "pdq", "md5", "sha1", "sha256")] == [3, 1, 1, 0, 1]


def test_a_file_with_bad_lines_is_refused_whole_unless_they_are_skipped(bank: Bank, tmp_path: Path) -> None:
    """Either way they are counted and named by number."""
    bank("create", "A")
    file = tmp_path / "list.txt"
    file.write_text(f"{MD5}\nlighthouse\n{SHA1},1\n{SHA1}\n")
    code, rows, err = bank("add-hash", "A", "--file", str(file))
    assert (code, rows) == (ExitCode.USAGE, [])
    assert err.startswith("rempart: 2 bad lines (line 2: 10 characters, where a hash has")
    assert "line 3: more than one value" in err
    assert "lighthouse" not in err
    assert err.count("\n") == 1
    assert bank("show", "A")[1] == []
    code, [row], err = bank("add-hash", "A", "--file", str(file), "--skip-bad")
    assert (code, row["added"], row["bad"]) == (0, 2, 2)
    assert err.startswith("left out: 2 bad lines (line 2: ")


def test_a_list_comes_through_standard_input(bank: Bank) -> None:
    """Through a pipe, whose length nobody knows."""
    bank("create", "A")
    command = [Path(sys.executable).with_name("rempart"), "bank", "add-hash", "A", "--file", "-"]
    done = subprocess.run(command, input=f"{MD5}\n{SHA1}\n".encode(), capture_output=True, check=True)
    assert (json.loads(done.stdout)["added"], done.stderr) == (2, b"")


@pytest.mark.parametrize("as_file", [True, False])
def test_sha256_taken_for_pdq_is_warned_about(bank: Bank, tmp_path: Path, *, as_file: bool) -> None:
    """With what to do; and not when the kind was said."""
    bank("create", "A")
    digests = [hashlib.sha256(bytes([number])).hexdigest() for number in range(20)]
    file = tmp_path / "list.txt"
    file.write_text("\n".join(digests))
    given = ["--file", str(file)] if as_file else digests
    code, _, err = bank("add-hash", "A", *given)
    assert code == ExitCode.CLEAN
    assert err.startswith("warning: this looks like SHA-256, not PDQ")
    assert "--kind sha256" in err
    assert bank("add-hash", "A", *given, "--kind", "sha256")[2] == ""
    assert bank("add-hash", "A", *given, "--kind", "pdq")[2] == ""
    _, [row], _ = bank("list")
    assert (row["pdq"], row["sha256"]) == (20, 20)


def test_entries_are_removed_by_number(bank: Bank) -> None:
    """One row for each."""
    bank("create", "A")
    for number in range(4):
        bank("add-hash", "A", f"md5:{number:032}")
    code, rows, err = bank("remove", "A", "3", "1")
    assert (code, err) == (0, "")
    assert rows == [{"bank": "A", "entry": number, "status": "removed"} for number in (3, 1)]
    assert [row["entry"] for row in bank("show", "A")[1]] == [2, 4]


def test_the_list_is_the_same_in_every_form(
    bank: Bank, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON, CSV and table of the same two banks."""
    monkeypatch.setenv("COLUMNS", "160")
    rows = [bank("create", "A", "--max-age", "7d")[1][0], bank("create", "B", "--turned")[1][0]]

    def listed(form: str) -> str:
        assert run(["bank", "list", "--format", form]) == ExitCode.CLEAN
        return capfd.readouterr().out

    assert json.loads(listed("json")) == rows
    table = list(csv.DictReader(io.StringIO(listed("csv"))))
    assert [(row["name"], row["max_age_seconds"], row["turned"]) for row in table] == [
        ("A", "604800", "no"),
        ("B", "", "yes"),
    ]
    assert set(table[0]) == set(rows[0])
    shown = listed("table")
    assert "max age 7d" in shown
    assert "turned" in shown


def answer(command: list[str], keys: bytes) -> tuple[int, str]:
    """Run a command on a terminal of its own and type ``keys``: the exit code, and what was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)  # noqa: S606 -- the command under test
    os.write(terminal, keys)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other end is gone
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_at_a_terminal_deleting_asks_first(bank: Bank) -> None:
    """No means no; yes deletes."""
    bank("create", "A")
    bank("add-hash", "A", MD5)
    command = [str(Path(sys.executable).with_name("rempart")), "bank", "delete", "A"]
    code, shown = answer(command, b"n\n")
    assert code == ExitCode.CLEAN
    assert "Delete the bank A with its 1 entries?" in shown
    assert "nothing was deleted" in shown
    assert len(bank("list")[1]) == 1
    code, shown = answer(command, b"y\n")
    assert code == ExitCode.CLEAN
    assert "deleted" in shown
    assert bank("list")[1] == []


def test_pictures_are_banked_and_each_of_the_rest_is_listed_with_its_reason(
    bank: Bank, tmp_path: Path, lighthouse: Callable[..., Image.Image]
) -> None:
    """Of a folder and single files: pictures, one twice, one without detail, a text and one that is not there."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    lighthouse(seed=1).save(folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    Image.new("RGB", (64, 64), (200, 200, 200)).save(folder / "c.png")
    (folder / "d.jpg").write_text("a letter, not a picture")
    bank("create", "A")
    code, rows, err = bank("add", "A", str(folder), str(tmp_path / "gone.png"))
    assert code == ExitCode.UNSCANNABLE
    assert [Path(row["path"]).name for row in rows] == ["a.png", "b.png", "c.png", "d.jpg", "gone.png"]
    assert [(row["status"], row["entry"], row["reason"]) for row in rows] == [
        ("added", 1, None),
        ("already_banked", 1, None),
        ("added", 2, None),
        ("unscannable", None, "unknown_format"),
        ("unscannable", None, "missing"),
    ]
    assert rows[0]["hashes_added"] >= 4
    assert rows[0]["sha256"] == hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()
    assert (rows[2]["hashes_added"], rows[2]["remark"]) == (
        3,
        "too little detail for PDQ (the floor is 50): banked by its digests only",
    )
    assert "given 5 · added 2 · already_banked 1 · unscannable 2 (missing 1, unknown_format 1)" in err
    _, shown, _ = bank("show", "A")
    assert [(row["entry"], row["pdq"] > 0, row["sha256"]) for row in shown] == [(1, True, 1), (2, False, 1)]


def test_a_video_is_banked_by_its_frames_and_digests(
    bank: Bank, tmp_path: Path, lighthouse: Callable[..., Image.Image]
) -> None:
    """One entry; a second time it is known."""
    av = pytest.importorskip("av", reason="the extra video is not installed")
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        for seed in (1, 2, 3, 4):
            frame = av.VideoFrame.from_image(lighthouse(seed=seed)).reformat(format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    bank("create", "A")
    code, [row], _ = bank("add", "A", str(tmp_path / "clip.mkv"))
    assert (code, row["status"], row["entry"], row["reason"]) == (ExitCode.CLEAN, "added", 1, None)
    _, [entry], _ = bank("show", "A", "--hashes")
    assert (entry["pdq"], entry["vpdq"], entry["sha256"]) == (0, 4, 1)
    frames = [each for each in entry["hashes"] if each["kind"] == "vpdq"]
    assert [frame["at_ms"] for frame in frames] == [0, 1000, 2000, 3000]
    assert bank("add", "A", str(tmp_path / "clip.mkv"))[1][0]["status"] == "already_banked"


def test_banking_nothing_that_exists_ends_with_2(bank: Bank, tmp_path: Path) -> None:
    """A slip in a path must not look like a finished job."""
    bank("create", "A")
    assert bank("add", "A", str(tmp_path / "gone.png"))[0] == ExitCode.USAGE
    (tmp_path / "empty").mkdir()
    code, _, err = bank("add", "A", str(tmp_path / "empty"))
    assert code == ExitCode.USAGE
    assert "no usable input" in err

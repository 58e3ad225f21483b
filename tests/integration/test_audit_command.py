from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stores import Place

from rempart.audit import Act, FaultKind, length, verify
from rempart.cli.main import run
from rempart.errors import ExitCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def rempart(stores: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command and gives its exit code, its rows and what it says to the person."""
    for name, value in stores.environ.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str | Path) -> tuple[int, list[dict[str, Any]], str]:
        code = run([str(argument) for argument in arguments])
        out, errors = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], errors

    return command


def tamper(stores: Place, sql: str) -> None:
    """Change the database behind the program's back."""
    with stores.open() as store, store.write() as connection:
        connection.exec_driver_sql(sql)


def test_a_log_that_is_whole_is_exit_code_0_also_when_nothing_was_recorded_yet(rempart: Run) -> None:
    """And the person is told what only a checkpoint shows."""
    assert rempart("audit", "verify")[:2] == (ExitCode.CLEAN, [])
    rempart("bank", "create", "A")
    code, rows, errors = rempart("audit", "verify")
    assert (code, rows) == (ExitCode.CLEAN, [])
    assert "rows 2 · faults 0" in errors
    assert "--checkpoint" in errors


def test_a_fault_is_exit_code_1_and_a_row(rempart: Run, stores: Place) -> None:
    """With what it means."""
    for name in "ABC":
        rempart("bank", "create", name)
    tamper(stores, "UPDATE audit_log SET actor = 'cli:eve' WHERE sequence = 3")
    code, rows, errors = rempart("audit", "verify")
    assert code == ExitCode.FOUND
    assert rows == [{"fault": "edited", "first": 3, "last": 3, "meaning": FaultKind.EDITED.meaning}]
    assert "faults 1" in errors


def test_a_cut_end_is_found_against_a_checkpoint_outside(rempart: Run, stores: Place, tmp_path: Path) -> None:
    """Which is a small file for its owner, and has what it says."""
    for name in "ABC":
        rempart("bank", "create", name)
    file = tmp_path / "outside"
    code, [row], _ = rempart("audit", "checkpoint", file)
    assert code == ExitCode.CLEAN
    assert json.loads(file.read_bytes()) == row
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (row["sequence"], len(row["digest"])) == (5, 64)
    assert rempart("audit", "verify", "--checkpoint", file)[0] == ExitCode.CLEAN
    tamper(stores, "DELETE FROM audit_log WHERE sequence > 4")
    tamper(stores, "UPDATE audit_head SET sequence = 4, digest = (SELECT digest FROM audit_log WHERE sequence = 4)")
    assert rempart("audit", "verify")[0] == ExitCode.CLEAN
    code, rows, _ = rempart("audit", "verify", "--checkpoint", file)
    assert (code, [(row["fault"], row["first"], row["last"]) for row in rows]) == (ExitCode.FOUND, [("cut", 5, 5)])
    code, rows, errors = rempart("audit", "checkpoint", file)
    assert (code, rows) == (ExitCode.USAGE, [])
    assert "does not agree" in errors
    assert json.loads(file.read_bytes()) == row


def test_a_checkpoint_in_the_data_folder_is_refused_however_it_is_called(
    rempart: Run, stores: Place, tmp_path: Path
) -> None:
    """There it would change together with the log; nothing is recorded either."""
    rempart("bank", "create", "A")
    inside, link, door = stores.folder / "deep", tmp_path / "link", tmp_path / "door"
    inside.mkdir()
    link.symlink_to(inside)
    door.symlink_to(stores.folder / "file")
    for path in (stores.folder / "file", inside / "file", link / "file", link / ".." / "file", door):
        code, rows, errors = rempart("audit", "checkpoint", path)
        assert (code, rows) == (ExitCode.USAGE, []), path
        assert "data folder" in errors
    with stores.open() as store:
        assert length(store) == 2
    assert sorted(path.name for path in inside.iterdir()) == []


def test_a_file_that_is_no_checkpoint_is_refused_and_left_as_it_is(rempart: Run, tmp_path: Path) -> None:
    """Whether it is to be read or to be replaced."""
    file = tmp_path / "file"
    for content in (b"", b"{}", b"not json", b"[" * 5000, b'{"format":"another"}', bytes(10_000), b"\xff\xfe"):
        file.write_bytes(content)
        for arguments in (("verify", "--checkpoint", file), ("checkpoint", file)):
            code, rows, errors = rempart("audit", *arguments)
            assert (code, rows) == (ExitCode.USAGE, [])
            assert "not a checkpoint" in errors
        assert file.read_bytes() == content
    assert rempart("audit", "verify", "--checkpoint", tmp_path / "missing")[0] == ExitCode.USAGE


def test_a_checkpoint_that_cannot_be_written_leaves_no_row_and_no_file(
    rempart: Run, stores: Place, tmp_path: Path
) -> None:
    """Its folder is not there."""
    code, rows, errors = rempart("audit", "checkpoint", tmp_path / "nowhere" / "file")
    assert (code, rows) == (ExitCode.UNAVAILABLE, [])
    assert "cannot be written" in errors
    with stores.open() as store:
        assert length(store) == 0


def test_an_export_has_every_row_and_ends_with_that_it_was_made(rempart: Run, stores: Place) -> None:
    """Or every row from one on."""
    for name in "ABC":
        rempart("bank", "create", name, "--max-age", "7d")
    _, rows, _ = rempart("audit", "export")
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["act"] for row in rows] == ["audit_started", *["bank_created"] * 3, "audit_exported"]
    assert {tuple(row) for row in rows} == {("sequence", "at", "actor", "act", "subject", "details", "digest")}
    assert (rows[1]["subject"], rows[1]["details"]["max_age_seconds"]) == ("bank:1", 604_800)
    _, rows, _ = rempart("audit", "export", "--from", "5")
    assert [(row["sequence"], row["act"], row["details"]) for row in rows] == [
        (5, Act.AUDIT_EXPORTED, {"first": 1}),
        (6, Act.AUDIT_EXPORTED, {"first": 5}),
    ]
    with stores.open() as store:
        assert verify(store) == []
    assert rempart("audit", "export", "--from", "0")[0] == ExitCode.USAGE


def test_a_row_that_cannot_be_read_is_exported_as_such(rempart: Run, stores: Place) -> None:
    """The others are evidence all the same."""
    rempart("bank", "create", "A")
    tamper(stores, "UPDATE audit_log SET details = '{\n}' WHERE sequence = 2")
    code, rows, _ = rempart("audit", "export")
    assert code == ExitCode.CLEAN
    assert rows[1] == {"sequence": 2, "unreadable": True}
    assert [row["sequence"] for row in rows] == [1, 2, 3]


def outside(folder: Path, rows: list[dict[str, Any]]) -> tuple[int, str]:
    """What the program in the document says of exported rows."""
    program = folder / "verify_audit.py"
    [source] = re.findall(r"```python\n(\"\"\"Verify an export.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    program.write_text(source, encoding="utf-8")
    assert len(source.splitlines()) <= 22
    text = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run(
        [sys.executable, "-I", program], input=text, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    return done.returncode, done.stdout + done.stderr


def test_the_program_in_the_document_verifies_an_export_without_rempart(rempart: Run, tmp_path: Path) -> None:
    """And finds an edit, a gap and a change of order; so that nobody has to believe us."""
    for name in "ABC":
        rempart("bank", "create", name)
    _, rows, _ = rempart("audit", "export")
    assert outside(tmp_path, rows) == (0, f"5 rows are whole; the last digest is {rows[-1]['digest']}\n")
    edited = [row | {"actor": "cli:eve"} if row["sequence"] == 3 else row for row in rows]
    assert outside(tmp_path, edited) == (1, "row 3 is not what was recorded\n")
    assert outside(tmp_path, rows[:2] + rows[3:]) == (1, "row 3 is missing or unreadable\n")
    moved = [rows[0], rows[2] | {"sequence": 2}, rows[1] | {"sequence": 3}, *rows[3:]]
    assert outside(tmp_path, moved) == (1, "row 2 is not what was recorded\n")


@pytest.mark.parametrize("kind", [Act, FaultKind])
def test_the_document_explains_every_act_and_every_fault(kind: type[Act | FaultKind]) -> None:
    """In the words of the code."""
    told = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"| `{member}` | {member.meaning} |" in told for member in kind)

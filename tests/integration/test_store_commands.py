from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.stores import Place, Postgres

from rempart.cli.main import run
from rempart.errors import ExitCode

WALK = (
    "bank list",
    "bank create KNOWN --turned",
    "bank create _FINE --allowing --radius 9",
    "bank create KNOWN",
    "bank add KNOWN {folder}/known.png",
    "bank add KNOWN {folder}/known.png {folder}/absent.png",
    "bank add-hash KNOWN --file {folder}/list.txt",
    "bank add-hash KNOWN --file {folder}/list.txt",
    "bank add-hash _FINE 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f --note form",
    "bank list",
    "bank show KNOWN --hashes",
    "bank show KNOWM",
    "match {folder}/known.png {folder}/other.png",
    "bank compact",
    "bank add {folder} KNOWN",
    "bank remove KNOWN 2 3",
    "bank remove KNOWN 2",
    "match {folder}/known.png {folder}/other.png",
    "bank quarantine KNOWN",
    "bank lift KNOWN 1",
    "bank delete _FINE --yes",
    "bank list",
    "audit verify",
)


def said(out: str) -> list[object]:
    """The rows of a command without what differs from run to run."""
    return [json.loads(re.sub(r'"20[^"]*Z"|(?<="seconds":)[0-9.]+', "0", line)) for line in out.splitlines()]


def test_every_command_says_the_same_on_both_kinds_of_database(
    postgres: Postgres,
    tmp_path: Path,
    lighthouse: Callable[..., Image.Image],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Row for row, with the same exit codes and the same lines for people."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    lighthouse((320, 240), 1).save(tmp_path / "known.png")
    lighthouse((320, 240), 2).save(tmp_path / "other.png")
    (tmp_path / "list.txt").write_text("".join(f"{number:032x}\n" for number in range(1, 300)), encoding="utf-8")
    with postgres.database() as settings:
        told = []
        for place in (Place(tmp_path / "one"), Place(tmp_path / "two", settings)):
            for name, value in place.environ.items():
                monkeypatch.setenv(name, value)
            lines = []
            for command in WALK:
                code = run(command.format(folder=tmp_path).split())
                out, err = capfd.readouterr()
                lines.append((command, code, out and said(out), re.sub(r"[0-9.]+ s$", "", err, flags=re.MULTILINE)))
            told.append(lines)
    assert told[0] == told[1]
    codes = [code for _, code, _, _ in told[0]]
    assert set(codes) == {ExitCode.CLEAN, ExitCode.FOUND, ExitCode.USAGE, ExitCode.UNSCANNABLE}


def test_the_doctor_says_which_database_is_used(
    stores: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And `config show` where that is set, without a secret."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name, value in stores.environ.items():
        monkeypatch.setenv(name, value)
    run(["doctor"])
    rows = {row["check"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    assert rows["database"]["state"] == "ok"
    kind = r"the database rempart_\w+ on 127\.0\.0\.1:5432, PostgreSQL 1" if stores.settings.url else r".*, SQLite 3\."
    assert re.match(kind, rows["database"]["detail"])
    assert run(["config", "show"]) == ExitCode.CLEAN
    shown = {row["setting"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    assert shown["store.url"]["value"] == stores.settings.url
    assert shown["store.url"]["origin"] == "$REMPART__STORE__URL"
    assert shown["store.password_file"] == {"setting": "store.password_file", "value": "", "origin": "default"}

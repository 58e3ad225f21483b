from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rempart.cli.main import COMMANDS, rempart
from rempart.errors import ExitCode


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [Path(sys.executable).with_name("rempart"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )


def commands(group: click.Group = rempart, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command and group below the main one."""
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found.extend(commands(command, (*path, name)))
    return found


def test_help_answers_within_a_third_of_a_second() -> None:
    """The quickest of five, for the machine may be busy with something else."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        done = run("--help")
        seconds.append(time.perf_counter() - started)
        assert done.returncode == ExitCode.CLEAN
    assert min(seconds) < 0.3
    assert all(name in done.stdout for name in COMMANDS)


def test_every_command_explains_itself_and_ends_its_help_with_an_example() -> None:
    """What it does, and a line that can be copied."""
    for path, command in commands():
        result = CliRunner().invoke(command, ["--help"])
        assert result.exit_code == ExitCode.CLEAN, path
        if not isinstance(command, click.Group):
            assert re.search(rf"Example:\n\s+rempart {' '.join(path)}\b", result.output), path


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["config", "show", "--no-such-option"], ["hash"], ["config"]]
)
def test_wrong_use_is_exit_code_2_with_a_line_on_standard_error(arguments: list[str]) -> None:
    """And nothing on standard output, which belongs to results."""
    done = run(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr
    assert not done.stdout


def test_a_broken_configuration_is_exit_code_2_and_help_still_works(tmp_path: Path) -> None:
    """The one who must mend the file needs the help."""
    file = tmp_path / "broken.toml"
    file.write_text("[media]\nwokers = 1\n", encoding="utf-8")
    done = run("--config", str(file), "config", "show")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "wokers" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert run("--config", str(file), "config", "show", "--help").returncode == ExitCode.CLEAN


def test_config_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    """In a pipe, one JSON object a line."""
    done = run("config", "show", REMPART__MEDIA__WORKERS="2", XDG_DATA_HOME=str(tmp_path), HOME=str(tmp_path))
    assert done.returncode == ExitCode.CLEAN
    assert '{"setting":"media.workers","value":2,"origin":"$REMPART__MEDIA__WORKERS"}' in done.stdout.splitlines()
    assert f'{{"setting":"data_dir","value":"{tmp_path}/rempart","origin":"default"}}' in done.stdout.splitlines()


def test_the_working_folder_is_never_searched_for_a_configuration(tmp_path: Path) -> None:
    """It may be a seized one."""
    for name in ("rempart.toml", "config.toml", ".rempart.toml"):
        (tmp_path / name).write_text("broken = [", encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("rempart"), "config", "show"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == ExitCode.CLEAN


def test_an_unforeseen_error_is_exit_code_5_and_quotes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 1 means "found", so a crash must never say it; and its text may hold content."""

    def fail(**_: object) -> None:
        raise ValueError("secret words from a prompt")

    cli = importlib.import_module("rempart.cli.main")  # the package's attribute of that name is the function
    monkeypatch.setattr(cli.rempart, "main", fail)
    assert cli.run([]) == ExitCode.INTERNAL
    told = capsys.readouterr().err
    assert "secret" not in told
    assert "ValueError at test_command_line.py:" in told


def test_a_reader_that_goes_away_is_no_crash() -> None:
    """`rempart config show | head -0` ends quietly."""
    command = f"{Path(sys.executable).with_name('rempart')} config show | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("0", str(int(ExitCode.INTERRUPTED)))
    assert "Traceback" not in done.stderr

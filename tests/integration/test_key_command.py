from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.stores import Place

from rempart.cli.main import run
from rempart.errors import ExitCode
from rempart.people import Counted, Counter, KeyRing, Scope

KeyCommand = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def key(stores: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> KeyCommand:
    """A function that runs `rempart key` on a database of each kind: exit code, result rows, standard error."""
    for name, value in stores.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(stores.folder / "config"))

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = run(["key", *arguments])
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


def test_a_key_is_made_listed_used_and_revoked(
    key: KeyCommand, stores: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the first day to the last."""
    assert run(["bank", "create", "A"]) == ExitCode.CLEAN
    capfd.readouterr()
    assert key("list") == (0, [], "there are no keys yet; make one with `rempart key create NAME --scope SCOPE`\n")
    began = datetime.now(tz=UTC)
    arguments = ("--scope", "screen", "--scope", "match", "--bank", "A", "--per-minute", "600", "--expires", "90d")
    code, [made], err = key("create", "uploads", *arguments, "--format", "json")
    assert (code, set(made)) == (ExitCode.CLEAN, {"id", "key"})
    assert "not shown again" in err
    assert made["key"] not in err
    with stores.open() as store:
        found = KeyRing(store).find(made["key"])
        assert found is not None
        assert (found.id, found.name, found.scopes) == (made["id"], "uploads", {Scope.SCREEN, Scope.MATCH})
        with Counter(store) as counter:
            counter.count(made["id"], "pdq", Counted.RIM, 7)
    code, [row], _ = key("list")
    assert (code, row["status"], row["scopes"]) == (0, "active", ["screen", "match"])
    assert (row["every_bank"], row["banks"], row["per_minute"]) == (False, ["A"], 600)
    ends = datetime.fromisoformat(row["expires_at"])
    assert timedelta(days=90) <= ends - began < timedelta(days=90, minutes=5)
    _, [usage], _ = key("usage", "uploads")
    assert (usage["key"], usage["kind"], usage["outcome"], usage["count"]) == (made["id"], "pdq", "rim", 7)
    for name in ("uploads", str(made["id"])):
        code, [row], _ = key("revoke", name)
        assert (code, row["status"]) == (ExitCode.CLEAN, "revoked")
    with stores.open() as store:
        assert KeyRing(store).find(made["key"]) is None


def test_tables_and_csv_show_everything_but_the_key(key: KeyCommand, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever reads over a shoulder learns nothing to use."""
    _, [made], _ = key("create", "one", "--scope", "curate")
    for form in ("table", "csv", "json", "ndjson"):
        for arguments in (["list"], ["usage", "one"], ["revoke", "one"]):
            assert run(["key", *arguments, "--format", form]) == ExitCode.CLEAN
        shown = capfd.readouterr()
        assert made["key"] not in shown.out + shown.err
        assert "curate" in shown.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["create", "one"], "--scope"),
        (["create", "one", "--scope", "everything"], "everything"),
        (["create", "1", "--scope", "match"], "is not a number"),
        (["create", "one", "--scope", "match", "--bank", "B"], "there is no bank 'B'"),
        (["create", "one", "--scope", "match", "--per-minute", "0"], "--per-minute"),
        (["create", "one", "--scope", "match", "--expires", "soon"], "such as 12h or 7d"),
        (["revoke", "one"], "no key"),
        (["usage", "one"], "no key"),
    ],
)
@pytest.mark.parametrize("stores", ["sqlite"], indirect=True)
def test_wrong_use_is_one_line_and_makes_nothing(key: KeyCommand, arguments: list[str], problem: str) -> None:
    """Exit code 2, and what to do."""
    code, rows, err = key(*arguments)
    assert (code, rows) == (ExitCode.USAGE, [])
    assert problem in err
    assert key("list")[1] == []


@pytest.mark.parametrize("name", ["create", "list", "revoke", "usage"])
def test_every_help_ends_with_an_example(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One that can be copied."""
    assert run(["key", name, "--help"]) == ExitCode.CLEAN
    assert f"rempart key {name}" in capfd.readouterr().out.splitlines()[-1]

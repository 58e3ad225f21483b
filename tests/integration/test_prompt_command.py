"""`rempart prompt`, as a process: results, exit codes and bad input."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rempart.prompts import SPECIMEN_TOKEN

REMPART = [sys.executable, "-c", "from rempart.cli import main; main()", "prompt"]


def run(*arguments: str | bytes, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `rempart prompt` with these arguments and this standard input."""
    return subprocess.run([*REMPART, *arguments], input=given, capture_output=True, check=False)


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """The NDJSON rows of a run."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_refused_prompt_exits_with_one_and_says_why_without_the_prompt() -> None:
    """All fields are there, spans index the text, and the text itself is not repeated."""
    done = run("check", "--packs", "canary", "a quiet Zebra under a lantern, aged 9")
    (row,) = rows(done)
    assert done.returncode == 1
    assert (row["verdict"], row["rules"], row["reasons"]) == ("refuse", ["floor"], ["concepts_joined"])
    common = {"view": "exact", "strength": 1.0, "language": "en", "negative": False, "field": "prompt"}
    assert row["concepts"] == [
        {"concept": "minor.explicit", "term": "zebra", "start": 8, "end": 13} | common,
        {"concept": "sexual.explicit", "term": "lantern", "start": 22, "end": 29} | common,
    ]
    (age,) = row["ages"]
    assert (age["value"], age["unit"], age["start"], age["end"], age["cancelled"]) == (9, "years", 31, 37, False)
    assert (row["context"], row["specimen"], len(row["packs_digest"])) == ([], False, 64)
    assert b"quiet" not in done.stdout + done.stderr


def test_words_without_quotes_are_one_prompt() -> None:
    """A person who forgets the quotes is not screened word by word."""
    done = run("check", "--packs", "canary", "a", "zebra", "under", "a", "lantern")
    assert [row["verdict"] for row in rows(done)] == ["refuse"]


@pytest.mark.parametrize(
    ("arguments", "verdict", "code"),
    [
        (("a lighthouse at dusk",), "allow", 0),
        (("",), "allow", 0),
        (("--packs", "canary", "an elm and an owl under a lantern"), "review", 1),
        (("--packs", "canary", "--negative", "zebra", "a lantern"), "allow", 0),
        ((f"boat {SPECIMEN_TOKEN}",), "refuse", 1),
        (("a" * 8_001,), "refuse", 1),
        ((b"a boat \xff\xed\xa0\x80",), "allow", 0),
    ],
)
def test_the_exit_code_follows_the_verdict(arguments: tuple[str | bytes, ...], verdict: str, code: int) -> None:
    """Allowed is 0, refused or to be reviewed is 1, whatever the bytes."""
    done = run("check", *arguments)
    assert ([row["verdict"] for row in rows(done)], done.returncode) == ([verdict], code)


def test_a_file_gives_one_row_a_line_and_a_summary(tmp_path: Path) -> None:
    """Byte order mark, CRLF, an empty line and a missing last line end are all taken as they are meant."""
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xef\xbb\xbfzebra by a lamp\r\n\r\nan elm owl by a lamp\na boat")
    for done in (
        run("check", "--packs", "canary", "--file", str(path)),
        run("check", "--packs", "canary", "--file", "-", given=path.read_bytes()),
    ):
        assert [(row["line"], row["verdict"]) for row in rows(done)] == [
            (1, "refuse"),
            (2, "allow"),
            (3, "review"),
            (4, "allow"),
        ]
        assert rows(done)[0]["concepts"][0]["start"] == 0
        assert done.stderr.decode().strip() == "4 prompts: 2 allow, 1 review, 1 refuse"
        assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (("check",), b"", "give either the prompt itself, or --file"),
        (("check", "--file", "-", "a boat"), b"a boat", "give either the prompt itself, or --file"),
        (("check", "--file", "-"), b"", "there is no line in the file"),
        (("check", "--file", "-"), b"a boat\nb\xe9b\xe9\n", "line 2 is not UTF-8"),
        (("check", "--file", "-"), "a boat\n".encode("utf-16"), "line 1 is not UTF-8"),
        (("check", "--file", "/nowhere/prompts.txt"), b"", "No such file"),
        (("check", "--file", "/"), b"", "Is a directory"),
        (("check", "--packs", "klingon", "a boat"), b"", "no such folder of packs; shipped are all, canary, en"),
        (("packs", "--packs", "/nowhere"), b"", "no such folder of packs"),
    ],
)
def test_wrong_use_exits_with_two_and_one_clear_line(arguments: tuple[str, ...], given: bytes, said: str) -> None:
    """The message says what is wrong; no traceback, no prompt."""
    done = run(*arguments, given=given)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert b"boat" not in done.stderr


def test_the_table_marks_what_was_found_and_escapes_what_could_harm_a_terminal() -> None:
    """A person sees verdict, rule and the spans in their surroundings; control characters are shown, not sent."""
    prompt = "\x1b[31m a " + "very " * 40 + "quiet zeb\u200bra by a lamp" + " at night" * 20
    done = run("check", "--packs", "canary", "--format", "table", prompt)
    shown = done.stdout.decode()
    flat = "".join(line.split("\u2502")[-2].strip() for line in shown.splitlines() if "\u2502" in line)
    assert "\x1b" not in shown
    assert "refuse" in shown
    assert "floor" in shown
    assert "[zeb\\xe2\\x80\\x8bra]" in flat
    assert "[lamp]" in flat
    assert "very " * 20 not in flat


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_machine_forms_never_repeat_the_prompt(form: str) -> None:
    """JSON, NDJSON and CSV carry terms and spans only."""
    done = run("check", "--packs", "canary", "--format", form, "a quiet ZEBRAS scene with lamps")
    assert done.returncode == 1
    assert b"quiet" not in done.stdout
    assert b"ZEBRAS" not in done.stdout
    assert b"floor" in done.stdout


def test_on_a_terminal_the_default_is_the_table() -> None:
    """Who types the command at a terminal gets what people read."""
    ours, theirs = pty.openpty()
    done = subprocess.run([*REMPART, "check", "a boat"], stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "verdict" in shown
    assert "\u2502" in shown


def test_packs_are_listed_with_version_and_digest(tmp_path: Path) -> None:
    """All shipped packs by default; an operator's own folder when it is named."""
    listed = rows(run("packs", "--packs", "canary"))
    assert [row["pack"] for row in listed] == ["canary-adult", "canary-context", "canary-minor", "canary-sexual"]
    listed = listed[2:]
    assert all(row["language"] == "en" and row["terms"] <= row["forms"] and row["version"] for row in listed)
    for row, concept in zip(listed, ("minor", "sexual"), strict=False):
        line = json.dumps(
            {
                "pack": f"own-{concept}",
                "version": "7",
                "concept": concept,
                "language": "en",
                "source": "s",
                "licence": "l",
            }
        )
        term = json.dumps({"id": "t", "class": f"{concept}.explicit", "strength": 1.0, "forms": ["boat", "tall ship"]})
        (tmp_path / f"{row['concept']}.jsonl").write_text(f"{line}\n{term}\n")
    own = rows(run("packs", "--packs", str(tmp_path)))
    assert [(row["pack"], row["version"], row["terms"], row["forms"]) for row in own] == [
        ("own-minor", "7", 1, 2),
        ("own-sexual", "7", 1, 2),
    ]


@pytest.mark.parametrize("command", ["check", "packs"])
def test_the_examples_in_the_help_run(command: str) -> None:
    """Every line of the examples, typed as it stands, does what it shows."""
    lines = run(command, "--help").stdout.decode().splitlines()
    examples = [line.strip() for line in lines if "rempart prompt" in line and not line.startswith("Usage")]
    assert examples
    for example in examples:
        script = example.replace("rempart prompt", " ".join(f"'{part}'" for part in REMPART))
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False)
        assert done.returncode == 0, example
        assert done.stdout

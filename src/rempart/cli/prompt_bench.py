"""`rempart prompt bench`: what the screen does to files of innocent prompts, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, display, format_option, say
from rempart.cli.progress import progress
from rempart.errors import ExitCode, UsageError
from rempart.prompts import Answer, PromptScreener

FIELDS = ("name", "lines", "refuse", "review", "age_hit", "p50_us", "p99_us", "max_us")


@click.command(name="bench", epilog="\b\nExample:\n  rempart prompt bench captions/ --format json")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--packs", default=None, help="A shipped set of packs, or a folder of packs; by default as configured.")
@format_option
@pass_context
def command(context: Context, folder: Path, packs: str | None, form: str | None) -> int:
    """Screen files of prompts, and count refusals, reviews, age hits and microseconds.

    FOLDER holds *.txt (a prompt a line) and *.tsv (a header of language codes, then one prompt a column; each column is
    counted apart), at any depth; what else it holds is listed as ignored. Lines are never shown. Exit code 1 when
    anything was refused.
    """
    settings = context.settings.prompts
    screener = PromptScreener.of(msgspec.structs.replace(settings, packs=packs) if packs else settings)
    corpora, ignored = _corpora(folder)
    if not corpora:
        raise UsageError(f"no usable input: {display(str(folder))} holds no *.txt or *.tsv file")
    rows = []
    with progress("screening", sum(len(lines) for _, lines in corpora)) as advance:
        for name, lines in corpora:
            rows.append(_measure(screener, name, lines))
            advance(len(lines))
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode({"files": rows, "ignored": ignored}), indent=2))
    else:
        with Printer(form, FIELDS) as printer:
            for row in rows:
                printer.row(row)
    for name in ignored:
        say(f"ignored: {name}")
    refused = sum(row["refuse"] for row in rows)
    lines_read = sum(row["lines"] for row in rows)
    say(f"{lines_read:,} prompts: {refused} refused, {sum(row['review'] for row in rows)} to review")
    return ExitCode.FOUND if refused else ExitCode.CLEAN


def _corpora(folder: Path) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Name and lines of every corpus, and the files that are none."""
    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    corpora: list[tuple[str, list[str]]] = []
    ignored = []
    for path in paths:
        name = display(str(path.relative_to(folder)) if path != folder else path.name)
        if path.suffix == ".txt":
            corpora.append((name, _lines(path)))
        elif path.suffix == ".tsv":
            corpora.extend((f"{name}:{language}", column) for language, column in _columns(path))
        else:
            ignored.append(name)
    return corpora, ignored


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{display(str(path))} cannot be read as UTF-8 text: {type(error).__name__}") from None
    return [line for line in text.split("\n") if line.strip()]


def _columns(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Language and prompts of each column; rows that are too short lack the last ones."""
    header, *lines = _lines(path) or [""]
    cells = [line.split("\t") for line in lines]
    for number, language in enumerate(header.split("\t")):
        yield display(language), [row[number] for row in cells if len(row) > number and row[number].strip()]


def _measure(screener: PromptScreener, name: str, lines: list[str]) -> dict[str, Any]:
    counts = dict.fromkeys((Answer.REFUSE, Answer.REVIEW, Answer.ALLOW), 0)
    age_hits = 0
    times = []
    for line in lines:
        started = time.perf_counter_ns()
        verdict = screener.screen(line)
        times.append((time.perf_counter_ns() - started) / 1000)
        counts[verdict.verdict] += 1
        age_hits += verdict.names_minor
    times.sort()
    return {
        "name": name,
        "lines": len(lines),
        "refuse": counts[Answer.REFUSE],
        "review": counts[Answer.REVIEW],
        "age_hit": age_hits,
        "p50_us": round(times[len(times) // 2], 1) if times else None,
        "p99_us": round(times[len(times) * 99 // 100], 1) if times else None,
        "max_us": round(times[-1], 1) if times else None,
    }

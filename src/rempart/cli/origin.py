"""`rempart origin`: what files say of their own origin, and who vouches for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from rempart.cli.hash import summary
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Cell, Printer, Row, format_option, path_fields, say
from rempart.cli.paths import PATHS, Files
from rempart.cli.progress import progress
from rempart.errors import ExitCode
from rempart.prompts import PromptScreener
from rempart.provenance.evidence import Declared, Strength
from rempart.provenance.examine import examine_files
from rempart.provenance.sentences import LANGUAGES, Language, by_words, declared_words, shown, support_words

_COLUMNS: Final = ("path", "declared", "support", "by", "cues")
_CSV_COLUMNS: Final = (
    *("path", "sha256", "size", "format", "declared", "support", "by", "priority_effect", "real_basis"),
    *("cues", "completeness", "reason"),
)
_PROMPT_COLUMNS: Final = ("prompt", "negative", "models", "files")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PROMPT_CHARACTERS: Final = 2_000


@click.command(epilog="\b\nExample:\n  rempart origin holiday.jpg scans/ > origin.ndjson")
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option("--show-prompts", is_flag=True, help="Also show prompts, excerpts, and names of models and files.")
@click.option(
    "--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of the sentences."
)
@click.option("--no-pixels", is_flag=True, help="Do not look for what is hidden in pixels.")
@click.option("--marks", is_flag=True, help="Also look for open marks in the pixels (slow).")
@click.option(
    "--trust",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM file of signers that you trust, beside the shipped lists; may be repeated.",
)
@format_option
@pass_context
def command(
    context: Context,
    paths: tuple[str, ...],
    form: str | None,
    lang: Language,
    trust: tuple[Path, ...],
    *,
    show_prompts: bool,
    no_pixels: bool,
    marks: bool,
) -> int:
    """Say what files tell of their own origin: generator, camera, edits, and who vouches for it.

    PATHS are files or folders; of a folder all regular files are read, in order. Nothing is ever asked over a network,
    and no file is changed. Nothing found means nothing: most copies lose what they said. Evidence of AI is never a
    reason to look later.

    Prompts and names in files are hidden unless asked for. They are screened in any case: a prompt that is refused is
    told as a reason to look at the picture.
    """
    files = Files(paths)
    files.check()
    settings = context.settings
    # Scorers may be remote, and a prompt out of a file goes nowhere.
    screener = PromptScreener.of(msgspec.structs.replace(settings.prompts, scorers=()))
    started = time.monotonic()
    counts: Counter[str] = Counter()
    reports = examine_files(
        files.paths, pixels=not no_pixels, marks=marks, trust=trust, screener=screener, settings=settings.media
    )
    csv_columns = (*_CSV_COLUMNS, *(_PROMPT_COLUMNS if show_prompts else ()))
    explained: list[str] = []
    with (
        Printer(form, _COLUMNS, csv_columns=csv_columns, cells=_cells(lang)) as printer,
        progress("examining", len(files.paths)) as advance,
    ):
        for path, report in reports:
            counts[report.summary.declared] += 1
            if report.reason:
                counts[report.reason] += 1
            told = report if show_prompts else report.redacted()
            row = path_fields(path) | told.to_dict() | {"explanation": told.explain(lang).split("\n")}
            printer.row(_flat(row) if printer.form == "csv" else row)
            if printer.form == "table" and (report.evidence or not report.summary.complete):
                explained.append(_explained(row))
            advance(1)
    for text in explained:
        click.echo(text)
    say(summary("examined", len(files.paths), counts, time.monotonic() - started, tuple(Declared)))
    if files.nothing_exists:
        say("no usable input: none of the paths exists")
        return ExitCode.USAGE
    return ExitCode.UNSCANNABLE if counts[Declared.UNREADABLE] else ExitCode.CLEAN


def _cells(lang: Language) -> dict[str, Cell]:
    """How the cells of tables are made."""
    return {
        "declared": lambda row: declared_words(Declared(row["summary"]["declared"]), lang),
        "support": lambda row: support_words(Strength(row["summary"]["support"]), lang),
        "by": lambda row: by_words(row["summary"]["by"], lang),
        "cues": lambda row: ", ".join(map(shown, _cues(row))),
    }


def _explained(row: Row) -> str:
    """What stands below the table of one file: its sentences, and what was asked to be shown."""
    lines = [row["path"], *row["explanation"]]
    lines += [f"  {name}: {shown(text, _PROMPT_CHARACTERS)}" for name in _PROMPT_COLUMNS for text in _said(row, name)]
    return "\n  ".join(lines) + "\n"


def _cues(row: Row) -> list[str]:
    return sorted({cue for one in row["evidence"] for cue in one["cues"]})


def _said(row: Row, name: str) -> list[str]:
    """The prompts, or names, in the records of a row, each once."""
    setups = [one["setup"] for one in row["evidence"] if one.get("setup")]
    found: Iterable[str]
    if name == "models":
        found = (model["name"] for setup in setups for model in setup.get("models", ()))
    elif name == "files":
        found = (file for setup in setups for file in setup.get("files", ()))
    else:
        found = (setup[name] for setup in setups if setup.get(name))
    return [text for text in dict.fromkeys(found) if text]


def _flat(row: Row) -> dict[str, Any]:
    """A row of a CSV: no cell begins as a formula does, whatever stands in the file or its name."""
    facts, told = row["file"], row["summary"]
    cells = {
        "path": row["path"],
        "sha256": facts["sha256"],
        "size": facts["size"],
        "format": facts["format"],
        "completeness": row["completeness"],
        "reason": row["reason"],
        "cues": _cues(row),
        **{name: told[name] for name in ("declared", "support", "by", "priority_effect", "real_basis")},
    }
    cells["by"] = shown(told["by"])
    for name in _PROMPT_COLUMNS:
        cells[name] = " | ".join(shown(text, _PROMPT_CHARACTERS) for text in _said(row, name))
    return {name: f"'{cell}" if str(cell).startswith(_FORMULA) else cell for name, cell in cells.items()}

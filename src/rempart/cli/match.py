"""`rempart match`: pictures against the banks."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import click
import msgspec

from rempart.cli.hash import summary
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, Row, format_option, path_fields, say
from rempart.cli.paths import PATHS, Files
from rempart.cli.progress import progress
from rempart.errors import ExitCode, worst
from rempart.hashing import hash_images
from rempart.lists import load_banks
from rempart.matching import Matcher, Outcome, Verdict
from rempart.store import open_store


@click.command(epilog="\b\nExample:\n  rempart match upload.jpg incoming/ > verdicts.ndjson")
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@format_option
@pass_context
def command(context: Context, paths: tuple[str, ...], form: str | None) -> int:
    """Compare pictures with the banks, and say of each: clear, match or unscannable.

    PATHS are pictures or folders; of a folder all regular files are read, in order. Exact digests are compared first,
    then perceptual hashes within each bank's radius. Exit code 1 says that something matched, 3 that nothing did but
    something could not be compared, 0 that all is clear, 2 that there was nothing to compare with.
    """
    settings = context.settings
    with open_store(settings.data_path) as store:
        matcher = Matcher(load_banks(store))
    matcher.check()
    files = Files(paths)
    files.check()
    started = time.monotonic()
    counts: Counter[str] = Counter()
    outcomes = hash_images(files.paths, turned=matcher.wants_turned, settings=settings.media)
    with (
        Printer(form, COLUMNS, cells={"matches": _matches_cell, "lists_as_of": _as_of_cell}) as printer,
        progress("matching", len(files.paths)) as advance,
    ):
        for path, outcome in outcomes:
            verdict = matcher.match(outcome)
            counts.update((verdict.verdict, *verdict.reasons))
            printer.row(path_fields(path) | verdict_fields(verdict))
            advance(1)
    statuses = tuple(Outcome)
    say(summary("compared", len(files.paths), counts, time.monotonic() - started, statuses))
    codes = {ExitCode.FOUND} if counts[Outcome.MATCH] else set()
    if counts[Outcome.UNSCANNABLE]:
        codes.add(ExitCode.UNSCANNABLE)
    if files.nothing_exists:
        say("no usable input: none of the paths exists")
        codes.add(ExitCode.USAGE)
    return worst(codes)


COLUMNS = ("path", "verdict", "reasons", "matches", "quality", "partial", "lists_as_of")


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """A row of `rempart match` without its path."""
    row: dict[str, Any] = msgspec.to_builtins(verdict)
    return row


def _matches_cell(row: Row) -> str:
    """An entry a line: `KNOWN 12: md5, sha1, pdq 6 trimmed`."""
    lines: dict[str, list[str]] = {}
    for match in row["matches"]:
        how = f"pdq {match['distance']} {match['variant']}" if match["kind"] == "pdq" else match["kind"]
        marks = [*(["allows"] if match["action"] == "allowing" else []), *(["cancelled"] if match["cancelled"] else [])]
        shown = f"{how} ({', '.join(marks)})" if marks else how
        lines.setdefault(f"{match['bank']} {match['entry']}", []).append(shown)
    return "\n".join(f"{entry}: {', '.join(hows)}" for entry, hows in lines.items())


def _as_of_cell(row: Row) -> str:
    """To the minute, in UTC."""
    return (row["lists_as_of"] or "")[:16].replace("T", " ")

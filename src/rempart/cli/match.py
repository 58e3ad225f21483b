"""`rempart match`: pictures and videos against the banks."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from rempart.cli.hash import summary
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, Row, format_option, path_fields, say
from rempart.cli.paths import PATHS, Files
from rempart.cli.progress import progress
from rempart.errors import ExitCode, worst
from rempart.hashing import hash_items
from rempart.hashing.items import perhaps_video
from rempart.lists import FloodWatch, load_banks
from rempart.matching import FloodRule, Matcher, Outcome, Verdict
from rempart.matching.bank import PDQ, VPDQ
from rempart.matching.prefilter import Prefilter
from rempart.settings import MediaSettings
from rempart.store import Store, open_store


@click.command(epilog="\b\nExample:\n  rempart match upload.jpg incoming/ > verdicts.ndjson")
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option(
    "--prefilter", is_flag=True, help="Look roughly at large JPEGs first: quicker, and a few altered copies are missed."
)
@format_option
@pass_context
def command(context: Context, paths: tuple[str, ...], form: str | None, *, prefilter: bool) -> int:
    """Compare pictures and videos with the banks, and say of each: clear, match or unscannable.

    PATHS are pictures, videos or folders; of a folder all regular files are read, in order. Exact digests are compared
    first, then perceptual hashes within each bank's radius, of a video those of a frame a second. Exit code 1 says
    that something matched, 3 that nothing did but something could not be compared, 0 that all is clear, 2 that there
    was nothing to compare with.
    """
    settings = context.settings
    files = Files(paths)
    counts: Counter[str] = Counter()
    with open_store(settings.data_path, settings.store) as store:
        watch = FloodWatch(store, FloodRule.of(settings.matching))
        matcher = Matcher(load_banks(store, notice=say), quarantined=watch, watch=watch.see)
        matcher.check()
        files.check()
        started = time.monotonic()
        verdicts = _verdicts(matcher, files.paths, settings.media, prefilter=prefilter)
        with (
            Printer(form, COLUMNS, cells={"matches": _matches_cell, "lists_as_of": _as_of_cell}) as printer,
            progress("matching", len(files.paths)) as advance,
            _counted(store, watch),
        ):
            for path, verdict in verdicts:
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


def _verdicts(
    matcher: Matcher, paths: Sequence[str], settings: MediaSettings, *, prefilter: bool
) -> Iterator[tuple[str, Verdict]]:
    if prefilter:
        otherwise = perhaps_video(turned=matcher.wants_turned, settings=settings)
        yield from Prefilter(matcher, settings=settings).match_images(paths, otherwise=otherwise)
        return
    for path, outcome in hash_items(paths, turned=matcher.wants_turned, settings=settings):
        yield path, matcher.match(outcome)


@contextlib.contextmanager
def _counted(store: Store, watch: FloodWatch) -> Iterator[None]:
    """Have what came near entries counted in the database, also when the run is interrupted."""
    try:
        yield
    finally:
        if store.mode == "rw":
            for entry in watch.flush():
                say(f"entry {entry} went into quarantine: `rempart bank quarantine NAME` shows it")


COLUMNS = ("path", "verdict", "reasons", "matches", "quality", "partial", "lists_as_of")


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """A row of `rempart match` without its path."""
    row: dict[str, Any] = msgspec.to_builtins(verdict)
    return row


def _matches_cell(row: Row) -> str:
    """An entry a line: `KNOWN 12: md5, sha1, pdq 6 trimmed`."""
    lines: dict[str, list[str]] = {}
    for match in row["matches"]:
        how = _how(match)
        marks = [
            *(["allows"] if match["action"] == "allowing" else []),
            *(mark for mark in ("cancelled", "quarantined") if match.get(mark)),
        ]
        shown = f"{how} ({', '.join(marks)})" if marks else how
        lines.setdefault(f"{match['bank']} {match['entry']}", []).append(shown)
    return "\n".join(f"{entry}: {', '.join(hows)}" for entry, hows in lines.items())


def _how(match: Row) -> str:
    """A digest by its kind; a picture by distance and variant; a video by what it shares with the entry."""
    if match["kind"] == PDQ:
        return f"pdq {match['distance']} {match['variant']}"
    if match["kind"] == VPDQ:
        return (
            f"vpdq {match['distance']}, {match['query_percent']:.0f}% in it, {match['banked_percent']:.0f}% of it, "
            f"run {match['run_seconds']:.0f} s"
        )
    return str(match["kind"])


def _as_of_cell(row: Row) -> str:
    """To the minute, in UTC."""
    return (row["lists_as_of"] or "")[:16].replace("T", " ")

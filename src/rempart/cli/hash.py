"""`rempart hash`: pictures and videos to hashes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, Row, format_option, path_fields, say
from rempart.cli.paths import PATHS, Files
from rempart.cli.progress import progress
from rempart.errors import ExitCode
from rempart.hashing import Hashed, PictureHash, Unscannable, hash_items


@click.command(epilog="\b\nExample:\n  rempart hash holiday.jpg scans/ > hashes.ndjson")
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@click.option(
    "--all-hashes", is_flag=True, help="Also list the hashes of every frame and variant, turned ones included."
)
@format_option
@pass_context
def command(context: Context, paths: tuple[str, ...], form: str | None, *, all_hashes: bool) -> int:
    """Hash pictures and videos: PDQ with its quality, MD5, SHA-1 and SHA-256.

    PATHS are pictures, videos or folders; of a folder all regular files are read, in order. Every file is opened in a
    child process with limits, told apart by its content and not by its name. One that cannot be read is listed as
    unscannable with the reason, and the rest goes on. Of a video, a frame a second is hashed.
    """
    files = Files(paths)
    files.check()
    started = time.monotonic()
    counts: Counter[str] = Counter()
    results = hash_items(files.paths, turned=all_hashes, settings=context.settings.media)
    columns = ("path", "status", "quality", "size", "format", "pdq", "reason")
    machine = ("path", *ROW_FIELDS)
    with (
        Printer(form, columns, csv_columns=machine, cells={"size": _size, "pdq": _short_pdq}) as printer,
        progress("hashing", len(files.paths)) as advance,
    ):
        for path, outcome in results:
            counts[outcome.status] += 1
            if outcome.reason:
                counts[outcome.reason] += 1
            row = path_fields(path) | hash_fields(outcome)
            if all_hashes and isinstance(outcome, Hashed):
                row["hashes"] = [_hash_row(one) for one in outcome.hashes]
            printer.row(row)
            advance(1)
    say(summary("hashed", len(files.paths), counts, time.monotonic() - started))
    if files.nothing_exists:
        say("no usable input: none of the paths exists")
        return ExitCode.USAGE
    return ExitCode.UNSCANNABLE if counts["unscannable"] else ExitCode.CLEAN


STATUSES = ("hashed", "partial", "unscannable")
ROW_FIELDS = (
    *("status", "pdq", "quality", "md5", "sha1", "sha256", "width", "height"),
    *("format", "frames", "frames_read", "seconds", "normalised", "reason"),
)


def _hash_row(one: PictureHash) -> Row:
    row = {"pdq": one.hash.hex(), "quality": one.quality, "variant": one.variant, "frame": one.frame}
    return row if one.at is None else row | {"at": one.at}


def _size(row: Row) -> str:
    return f"{row['width']}x{row['height']}" if row["width"] else ""


def _short_pdq(row: Row) -> str:
    return f"{row['pdq'][:16]}…" if row["pdq"] else ""


def hash_fields(outcome: Hashed | Unscannable) -> dict[str, Any]:
    """A row of `rempart hash` without its path."""
    row: dict[str, Any] = {name: getattr(outcome, name, None) for name in ROW_FIELDS}
    return row | {"normalised": list(row["normalised"] or ())}


def summary(verb: str, given: int, counts: Counter[str], seconds: float, statuses: Sequence[str] = STATUSES) -> str:
    """One line that accounts for every item: `hashed: given 5 · hashed 3 · unscannable 2 (missing 2) · 0.4 s`."""
    told = [f"{name} {counts[name]:,}" for name in statuses if counts[name]]
    reasons = [f"{name} {count:,}" for name, count in sorted(counts.items()) if name not in statuses]
    why = f" ({', '.join(reasons)})" if reasons else ""
    return f"{verb}: given {given:,} · {' · '.join(told)}{why} · {seconds:.1f} s"

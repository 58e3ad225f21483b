"""`rempart audit`: whether the record of acts is whole, and copies of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from rempart import audit
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option, say
from rempart.cli.progress import progress
from rempart.errors import ExitCode

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def command() -> None:
    """Verify and copy the audit log: every act of a person and every change of state, in order.

    Each row holds a digest of the row before, so that no row can be changed, taken out, put in or moved unseen.
    """


@command.command(epilog="\b\nExample:\n  rempart audit verify --format table")
@click.option("--checkpoint", "file", type=_FILE, help="A file that `rempart audit checkpoint` wrote.")
@format_option
@pass_context
def verify(context: Context, file: Path | None, form: str | None) -> ExitCode:
    """Read the whole log and list what is wrong with it; the exit code is 1 if anything is.

    An end that was cut off or written anew shows only against a checkpoint that was kept elsewhere.
    """
    checkpoint = None if file is None else audit.read_checkpoint(file)
    rows = 0
    with context.open_store() as store, progress("verifying", audit.length(store)) as advance:

        def count(more: int) -> None:
            nonlocal rows
            rows += more
            advance(more)

        faults = audit.verify(store, checkpoint, progress=count)
    say(f"verified: rows {rows:,} · faults {len(faults):,}")
    if checkpoint is None and not faults:
        say("without --checkpoint, an end that was cut off or written anew cannot be seen")
    with Printer(form, ("fault", "first", "last", "meaning")) as printer:
        for fault in faults:
            printer.row({"fault": fault.kind, "first": fault.first, "last": fault.last, "meaning": fault.kind.meaning})
    return ExitCode.FOUND if faults else ExitCode.CLEAN


@command.command(epilog="\b\nExample:\n  rempart audit export --from 1")
@click.option("--from", "first", type=click.IntRange(1, 2**63 - 1), default=1, show_default=True, help="The first row.")
@pass_context
def export(context: Context, first: int) -> None:
    """Write the rows of the log as NDJSON; that this was done is the last of them.

    docs/audit.md has 20 lines of Python that verify such a file without rempart.
    """
    with context.open_store() as store:
        for line in audit.export(store, first):
            sys.stdout.write(line.decode())


@command.command(epilog="\b\nExample:\n  rempart audit checkpoint ~/rempart.checkpoint")
@click.argument("file", type=_FILE)
@format_option
@pass_context
def checkpoint(context: Context, file: Path, form: str | None) -> None:
    """Note the end of the log in FILE, outside of the data folder and best on another machine.

    An earlier checkpoint in FILE is replaced if the log still agrees with it, and left as it is if not.
    """
    with context.open_store() as store:
        made = audit.checkpoint(store, file)
    with Printer(form, ("sequence", "digest", "at", "database")) as printer:
        printer.row(msgspec.to_builtins(made))

"""`rempart bank compact`: the banks' snapshots, from which every later command starts in milliseconds."""

from __future__ import annotations

import time
from contextlib import ExitStack

import click

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option, say
from rempart.cli.progress import progress
from rempart.lists import compact_bank, stored_banks

_STEPS = 100


@click.command(epilog="\b\nExample:\n  rempart bank compact CONFIRMED")
@click.argument("names", nargs=-1)
@format_option
@pass_context
def compact(context: Context, names: tuple[str, ...], form: str | None) -> None:
    """Write snapshots of banks, from which later commands start in milliseconds.

    NAMES are banks; all of them by default. A snapshot is a file of about 300 bytes a hash that all processes of this
    machine share. What is added to the bank or removed later counts at once, and is taken into the snapshot by the next
    run; a bank whose snapshot is of its present state is left as it is. Commands that run meanwhile are not disturbed.
    """
    with context.open_store() as store, Printer(form, COLUMNS) as printer:
        for name in names or [bank.name for bank in stored_banks(store)]:
            started = time.monotonic()
            with ExitStack() as stack:
                advance = stack.enter_context(progress(f"compacting {name}", _STEPS))
                done = 0

                def show(share: float) -> None:
                    nonlocal done
                    advance(round(share * _STEPS) - done)  # noqa: B023 -- called before the next bank's turn
                    done = round(share * _STEPS)

                file = compact_bank(store, name, notice=say, progress=show)
            printer.row(
                {
                    "bank": name,
                    "status": "written" if file else "unchanged",
                    "bytes": file.stat().st_size if file else None,
                    "seconds": round(time.monotonic() - started, 3),
                }
            )


COLUMNS = ("bank", "status", "bytes", "seconds")

"""`rempart bank quarantine`, `confirm` and `lift`: entries that too many unlike pictures came near."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rempart.cli.bank_rows import CELLS
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option, say
from rempart.errors import UsageError
from rempart.lists import decide_quarantine, list_quarantine
from rempart.store.tables import QuarantineState

NUMBERS = click.IntRange(1, 2**63 - 1)


@click.command(epilog="\b\nExample:\n  rempart bank quarantine CONFIRMED")
@click.argument("name")
@format_option
@pass_context
def quarantine(context: Context, name: str, form: str | None) -> None:
    """List the entries of the bank NAME that are or were in quarantine.

    An entry comes there when many unlike pictures come near it within days, which tells more of the entry than of the
    pictures. Its near matches go to review, never to clear; exact ones stay as they are. So it is until a person
    decides: `rempart bank confirm` or `rempart bank lift`.
    """
    with context.open_store() as store:
        records = list_quarantine(store, name)
    if not records:
        say(f"no entry of the bank {name} is or was in quarantine")
    columns = ("bank", "entry", "state", "looks", "since", "decided_at", "note")
    with Printer(form, columns, cells=CELLS) as printer:
        for record in records:
            row: dict[str, Any] = {"bank": name} | msgspec.to_builtins(record)
            printer.row(row)


@click.command(epilog='\b\nExample:\n  rempart bank confirm CONFIRMED 12 --note "a page of a form"')
@click.argument("name")
@click.argument("entries", nargs=-1, required=True, type=NUMBERS)
@click.option("--note", help="Why, kept with the decision.")
@format_option
@pass_context
def confirm(context: Context, name: str, entries: tuple[int, ...], note: str | None, form: str | None) -> None:
    """Leave ENTRIES of the bank NAME in quarantine for good: their near matches stay in review.

    Look at what is banked first: an entry that is wrong is better taken out, with `rempart bank remove`.
    """
    _decide(context, name, entries, QuarantineState.CONFIRMED, note, form)


@click.command(epilog='\b\nExample:\n  rempart bank lift CONFIRMED 12 --note "a known series"')
@click.argument("name")
@click.argument("entries", nargs=-1, required=True, type=NUMBERS)
@click.option("--note", help="Why, kept with the decision.")
@format_option
@pass_context
def lift(context: Context, name: str, entries: tuple[int, ...], note: str | None, form: str | None) -> None:
    """Take ENTRIES of the bank NAME out of quarantine: their near matches count normally and are not counted again."""
    _decide(context, name, entries, QuarantineState.LIFTED, note, form)


def _decide(
    context: Context, name: str, entries: tuple[int, ...], decision: QuarantineState, note: str | None, form: str | None
) -> None:
    if note is not None and not note.isprintable():
        raise UsageError("the note must be one line of text")
    with context.open_store() as store:
        decide_quarantine(store, name, entries, decision, note=note)
    with Printer(form, ("bank", "entry", "status")) as printer:
        for entry in dict.fromkeys(entries):
            printer.row({"bank": name, "entry": entry, "status": decision})

"""`rempart key`: make, list and revoke the keys by which programs use the service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
import msgspec

from rempart.cli.bank_rows import Age
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, Row, format_option, say
from rempart.clock import utc_now
from rempart.people import KeyRecord, Scope, create_key, get_key, list_keys, list_usage, revoke_key


@click.group()
def command() -> None:
    """Make, list and revoke the keys by which programs use the service.

    A key may do what its scopes say, and nothing else. It is shown once, when it is made; rempart keeps only a digest.
    """


@command.command(epilog="\b\nExample:\n  rempart key create uploads --scope match --scope screen --expires 90d")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the key may do; repeat it for more. No scope contains another one.",
)
@click.option("--bank", "banks", multiple=True, help="Only this bank; repeat it for more.  [default: every bank]")
@click.option("--per-minute", type=click.IntRange(1), help="Requests a minute, on all servers together.")
@click.option("--expires", type=Age(), help="Time after which the key ends, as 90d.  [default: never]")
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json", "ndjson")),
    help="Form of the result; by default a table on a terminal, NDJSON in a pipe.",
)
@pass_context
def create(
    context: Context,
    name: str,
    *,
    scopes: tuple[str, ...],
    banks: tuple[str, ...],
    per_minute: int | None,
    expires: int | None,
    form: str | None,
) -> None:
    """Make a key called NAME and print it, this once.

    screen: screen prompts. match: match pictures, videos and hashes. distance: also see how near a match is, and the
    hashes of entries. curate: fill and change banks. admin: keys, jobs and metrics.
    """
    with context.open_store() as store:
        key, secret = create_key(
            store,
            name,
            [Scope(scope) for scope in scopes],
            banks=banks or None,
            per_minute=per_minute,
            expires_at=None if expires is None else utc_now() + timedelta(seconds=expires),
        )
    row: dict[str, Any] = {"id": key.id, "key": secret}
    with Printer("ndjson" if form == "json" else form, ("id", "key")) as printer:
        printer.row(row)
    say("Keep the key now: it is not shown again. Whoever has it can use it.")


@command.command("list", epilog="\b\nExample:\n  rempart key list --format table")
@format_option
@pass_context
def list_(context: Context, form: str | None) -> None:
    """List all keys there are or were, without the keys themselves."""
    with context.open_store() as store:
        records = list_keys(store)
    if not records:
        say("there are no keys yet; make one with `rempart key create NAME --scope SCOPE`")
    with _printer(form) as printer:
        for record in records:
            printer.row(_row(record))


@command.command(epilog="\b\nExample:\n  rempart key revoke uploads")
@click.argument("name", metavar="NAME|ID")
@format_option
@pass_context
def revoke(context: Context, name: str, form: str | None) -> None:
    """End a key for good. Every server refuses it within a second."""
    with context.open_store() as store:
        record = revoke_key(store, name)
    with _printer(form) as printer:
        printer.row(_row(record))


@command.command(epilog="\b\nExample:\n  rempart key usage uploads --since 24h")
@click.argument("name", metavar="NAME|ID")
@click.option("--since", type=Age(), default="24h", show_default=True, help="How far back, as 6h or 30d.")
@format_option
@pass_context
def usage(context: Context, name: str, since: int, form: str | None) -> None:
    """Show how often a key asked, hour by hour, and how often it came near what is listed.

    Many look-ups with the outcome `rim`, at the very edge of a bank's radius, are a sign of someone who searches the
    list: copies of a listed picture are mostly nearer.
    """
    with context.open_store() as store:
        record = get_key(store, name)
        rows = list_usage(store, record.id, utc_now() - timedelta(seconds=since))
    if not rows:
        say(f"the key {record.name} was not used within this time")
    with Printer(form, ("hour", "kind", "outcome", "count"), cells=CELLS) as printer:
        for row in rows:
            printer.row(msgspec.to_builtins(row))


def _printer(form: str | None) -> Printer:
    times = ("created_at", "expires_at", "revoked_at")
    return Printer(
        form,
        ("id", "name", "status", "scopes", "banks", "per_minute", *times),
        csv_columns=("id", "name", "status", "scopes", "every_bank", "banks", "per_minute", *times),
        cells=CELLS,
    )


def _row(record: KeyRecord) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(record)
    row["status"] = "active" if row.pop("active") else "revoked" if record.revoked_at else "expired"
    return row | {"every_bank": record.banks is None, "banks": list(record.banks or ())}


def _minute(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")


def _banks(row: Row) -> str:
    return "every bank" if row["every_bank"] else "\n".join(row["banks"]) or "none is left"


CELLS = {
    "scopes": lambda row: "\n".join(row["scopes"]),
    "banks": _banks,
    "created_at": lambda row: _minute(row["created_at"]),
    "expires_at": lambda row: _minute(row["expires_at"]),
    "revoked_at": lambda row: _minute(row["revoked_at"]),
    "hour": lambda row: _minute(row["hour"]),
}

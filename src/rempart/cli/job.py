"""`rempart job`: what became of jobs, and cancelling or trying them again."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option
from rempart.jobs import Job, JobState, cancel_job, list_jobs, list_schedules, retry_job

NUMBER = click.IntRange(1, 2**63 - 1)
STATE = click.Choice([state.value for state in JobState])
COLUMNS = ("job", "kind", "state", "due_at", "attempts", "error")
CHANGED_COLUMNS = ("job", "kind", "status", "was")


@click.group()
def command() -> None:
    """Look at jobs, cancel them, or try dead letters again."""


@command.command("list", epilog="\b\nExample:\n  rempart job list --state dead")
@click.option("--state", "states", type=STATE, multiple=True, help="Only jobs in this state; may be repeated.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--before", type=NUMBER, help="Only jobs with a smaller number: the next page.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="No more than this.")
@format_option
@pass_context
def list_(
    context: Context, states: tuple[str, ...], kind: str | None, before: int | None, limit: int, form: str | None
) -> None:
    """List jobs, the newest first.

    A job that failed too often is a dead letter, state `dead`: it stays until it is tried again or cancelled. What jobs
    are about is not shown.
    """
    wanted = [JobState(state) for state in states]
    with context.open_store() as store:
        jobs = list_jobs(store, states=wanted, kind=kind, before=before, limit=limit)
    with Printer(form, COLUMNS, csv_columns=("job", *Job.__struct_fields__[1:])) as printer:
        for job in jobs:
            fields: dict[str, Any] = msgspec.to_builtins(job)
            printer.row({"job": fields.pop("id")} | fields)


@command.command(epilog="\b\nExample:\n  rempart job cancel 12")
@click.argument("numbers", nargs=-1, required=True, type=NUMBER)
@format_option
@pass_context
def cancel(context: Context, numbers: tuple[int, ...], form: str | None) -> None:
    """Cancel jobs that wait or run, or put dead letters away.

    One that runs is told so at its next heartbeat; what it has done outside of the database already stays done.
    """
    with context.open_store() as store, Printer(form, CHANGED_COLUMNS) as printer:
        for number in dict.fromkeys(numbers):
            before = cancel_job(store, number)
            printer.row({"job": number, "kind": before.kind, "status": JobState.CANCELLED, "was": before.state})


@command.command(epilog="\b\nExample:\n  rempart job retry 12")
@click.argument("numbers", nargs=-1, required=True, type=NUMBER)
@format_option
@pass_context
def retry(context: Context, numbers: tuple[int, ...], form: str | None) -> None:
    """Try dead letters again, as often as new jobs."""
    with context.open_store() as store, Printer(form, CHANGED_COLUMNS) as printer:
        for number in dict.fromkeys(numbers):
            before = retry_job(store, number)
            printer.row({"job": number, "kind": before.kind, "status": JobState.WAITING, "was": before.state})


@command.command(epilog="\b\nExample:\n  rempart job schedules")
@format_option
@pass_context
def schedules(context: Context, form: str | None) -> None:
    """List what is done again and again, and when next."""
    columns = ("name", "kind", "every_seconds", "next_at", "enabled")
    with context.open_store() as store, Printer(form, columns) as printer:
        for schedule in list_schedules(store):
            printer.row(msgspec.to_builtins(schedule))

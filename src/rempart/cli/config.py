"""`rempart config`: what is set, and by whom."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option
from rempart.settings import load_settings


@click.group()
def command() -> None:
    """Show every setting and where it came from."""


@command.command(epilog="\b\nExample:\n  rempart config show --format table")
@format_option
@pass_context
def show(context: Context, form: str | None) -> None:
    """List every setting with its value and the place the value came from."""
    loaded = load_settings(context.config)
    values: dict[str, Any] = msgspec.to_builtins(loaded.settings)
    with Printer(form, ("setting", "value", "origin")) as printer:
        for name, origin in loaded.origins.items():
            value: Any = values
            for key in name.split("."):
                value = value[key]
            if name == "data_dir":
                value = str(loaded.settings.data_path)
            printer.row({"setting": name, "value": value, "origin": origin})

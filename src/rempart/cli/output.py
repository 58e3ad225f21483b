"""How results reach people and programs: tables on a terminal, NDJSON in a pipe, and the one display form of paths."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TextIO, TypeVar

import click
import msgspec

Row = Mapping[str, Any]
Cell = Callable[[Row], str]
F = TypeVar("F", bound=Callable[..., Any])

_SHORT = 18
_RULE = 3  # a line and two blanks around each column
FORMATS = ("table", "json", "ndjson", "csv")


def format_option(function: F) -> F:
    """The ``--format`` option that every command with results has."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default=None,
        help="Form of the result; by default a table on a terminal, NDJSON in a pipe.",
    )(function)


def display(path: bytes | str) -> str:
    r"""A path as text for people: undecodable bytes and control characters as ``\xNN``."""
    raw = os.fsencode(path)
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def path_fields(path: bytes | str) -> dict[str, str]:
    """``path`` for display, and ``path_b64`` with the exact bytes when the display form is not them."""
    raw, shown = os.fsencode(path), display(path)
    if shown.encode() == raw:
        return {"path": shown}
    return {"path": shown, "path_b64": base64.b64encode(raw).decode("ascii")}


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


class Printer:
    """Writes rows as they come (NDJSON, CSV) or all together (JSON, table).

    Used as a context manager: what has been given so far is printed even when the run is interrupted.
    """

    def __init__(
        self,
        form: str | None,
        columns: Sequence[str],
        *,
        csv_columns: Sequence[str] | None = None,
        cells: Mapping[str, Cell] | None = None,
        title: str = "",
    ) -> None:
        """Make a printer.

        Args:
            form: one of :data:`FORMATS`; None chooses by whether standard output is a terminal.
            columns: the fields shown in a table, in order. JSON forms print every field of a row.
            csv_columns: the fields of a CSV, when they are not those of the table.
            cells: for the table only, how a column's cell is made from the row; by default ``str`` of the field.
            title: a heading for the table.
        """
        self.form = form or ("table" if sys.stdout.isatty() else "ndjson")
        self.columns = columns
        self.csv_columns = csv_columns or columns
        self.cells = cells or {}
        self.title = title
        self._rows: list[Row] = []
        self._started = False

    def __enter__(self) -> Self:
        return self

    def row(self, row: Row) -> None:
        """Take one row."""
        if self.form == "ndjson":
            _stdout().write(_json(row) + "\n")
        elif self.form == "csv":
            self._csv(row)
        else:
            self._rows.append(row)

    def __exit__(self, *exc: object) -> None:
        if self.form == "json":
            _stdout().write(msgspec.json.format(_json(self._rows), indent=2) + "\n")
        elif self.form == "table":
            table(self._rows, self.columns, cells=self.cells, title=self.title)
        elif self.form == "csv" and not self._started:
            self._csv(None)
        _stdout().flush()

    def _csv(self, row: Row | None) -> None:
        line = io.StringIO()
        writer = csv.writer(line, lineterminator="\n")
        if not self._started:
            writer.writerow(self.csv_columns)
            self._started = True
        if row is not None:
            writer.writerow([_flat(row.get(column)) for column in self.csv_columns])
        _stdout().write(line.getvalue())


def table(
    rows: Iterable[Row],
    columns: Sequence[str],
    *,
    cells: Mapping[str, Cell] | None = None,
    title: str = "",
    stream: TextIO | None = None,
) -> None:
    """Print a table for people; long cells fold, nothing is cut off."""
    from rich.console import Console  # noqa: PLC0415 -- rich costs 60 ms, and pipes never need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = cells or {}
    lines = [[cells[c](row) if c in cells else _flat(row.get(c)) for c in columns] for row in rows]
    console = Console(file=stream or _stdout(), highlight=False)
    names = [column.replace("_", " ") for column in columns]
    widths = [max(map(len, (name, *(line[at] for line in lines)))) for at, name in enumerate(names)]
    # Short columns keep their shape where there is room for all; else everything folds, for nothing may be cut off.
    roomy = sum(min(width, _SHORT) + _RULE for width in widths) < console.width
    grid = Table(title=title or None, title_justify="left", title_style="bold")
    for name, width in zip(names, widths, strict=True):
        grid.add_column(name, overflow="fold", no_wrap=roomy and width <= _SHORT)
    for line in lines:
        grid.add_row(*map(Text, line))
    console.print(grid)


def say(line: str) -> None:
    """A line for the person at the terminal: standard error, so that results stay clean."""
    click.echo(line, err=True)


def _json(value: object) -> str:
    """JSON in which what is not printable stands as an escape: the same values, and no terminal is led astray."""
    text = msgspec.json.encode(value).decode()
    return text if text.isprintable() else "".join(map(_json_char, text))


def _json_char(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _stdout() -> TextIO:
    return sys.stdout


def _flat(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(_flat(part) for part in value)
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return str(value)

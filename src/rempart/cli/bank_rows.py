"""The shapes in which banks are shown and ages are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rempart.cli.output import Printer, Row
from rempart.lists import Added, BankRecord, HashValue
from rempart.store.tables import HashKind

if TYPE_CHECKING:
    from rempart.hashing import Hashed

KIND_NAMES = tuple(kind.value for kind in HashKind)

_SECONDS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


class Age(click.ParamType[int]):
    """A length of time such as ``12h`` or ``7d``, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Read the number and its unit."""
        if isinstance(value, int):
            return value
        parts = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", value.strip().lower())
        if parts is None:
            self.fail("write a number and one of s m h d w, such as 12h or 7d", param, ctx)
        return int(parts[1]) * _SECONDS[parts[2]]


def _age(seconds: int) -> str:
    unit = next(name for name in "dhms" if seconds % _SECONDS[name] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def bank_printer(form: str | None) -> Printer:
    """A printer for banks, one a row."""
    numbers = ("radius", "quality_floor", "turned", "max_age_seconds", "created_at", "refreshed_at")
    return Printer(
        form,
        ("name", "kind", "harm", "entries", "holds", "settings", "refreshed_at"),
        csv_columns=("name", "kind", "harm", "entries", *KIND_NAMES, *numbers),
        cells=CELLS,
    )


def bank_row(bank: BankRecord) -> dict[str, Any]:
    """A bank with its settings and the number of its hashes of each kind."""
    row: dict[str, Any] = msgspec.to_builtins(bank)
    del row["id"]
    counts: dict[str, int] = row.pop("hashes")
    return row | counts


def heading(bank: BankRecord) -> str:
    """One line that says what kind of bank it is."""
    turned = ", turned copies too" if bank.turned else ""
    return f"{bank.name}: {bank.kind}, {bank.harm}, {bank.entries:,} entries, radius {bank.radius}{turned}"


def hash_row(value: HashValue) -> dict[str, Any]:
    """A hash in hexadecimal digits."""
    return {"kind": value.kind, "value": value.value.hex(), "quality": value.quality, "variant": value.variant}


def _hash_lines(row: Row) -> str:
    return "\n".join(f"{each['kind']}:{each['value']}" for each in row["hashes"])


def _holds(row: Row) -> str:
    return "\n".join(f"{row[kind]:,} {kind}" for kind in KIND_NAMES if row[kind])


def _settings(row: Row) -> str:
    lines = [f"radius {row['radius']}", f"quality floor {row['quality_floor']}"]
    if row["turned"]:
        lines.append("turned copies too")
    if row["max_age_seconds"]:
        lines.append(f"max age {_age(row['max_age_seconds'])}")
    return "\n".join(lines)


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


CELLS = {
    "hashes": _hash_lines,
    "holds": _holds,
    "settings": _settings,
    "created_at": lambda row: _minute(row["created_at"]),
    "refreshed_at": lambda row: _minute(row["refreshed_at"]),
}


def added_fields(added: Added) -> dict[str, Any]:
    """What became of a content that was to be banked."""
    status = "added" if added.new else "already_banked"
    return {"status": status, "entry": added.entry, "hashes_added": added.gained}


def remark(picture: Hashed, floor: int) -> str | None:
    """What was not banked of a picture, and why; None when all of it was."""
    weak = sum(each.quality < floor or not any(each.hash) for each in picture.hashes)
    if not weak:
        return None
    if weak == len(picture.hashes):
        return f"too little detail for PDQ (the floor is {floor}): banked by its digests only"
    return f"{weak} of {len(picture.hashes)} PDQ hashes have too little detail (the floor is {floor}): left out"

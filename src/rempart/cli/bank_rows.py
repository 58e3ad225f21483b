"""The shapes in which banks are shown and ages are written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rempart.cli.output import Printer, Row
from rempart.lists import Added, BankRecord, HashValue
from rempart.lists.pictures import says_enough
from rempart.matching import VideoRule
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


class Share(click.ParamType[int]):
    """A percentage, or ``off``."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:  # type: ignore[override]  # noqa: ANN401
        """Read the number; None is off."""
        if value == "off":
            return None
        return click.IntRange(1, 100).convert(value, param, ctx)


class Seconds(click.ParamType[float]):
    """A number of seconds, or ``off``."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:  # type: ignore[override]  # noqa: ANN401
        """Read the number; None is off."""
        if value == "off":
            return None
        return click.FloatRange(0, 86400, min_open=True).convert(value, param, ctx)


def _age(seconds: int) -> str:
    unit = next(name for name in "dhms" if seconds % _SECONDS[name] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def bank_printer(form: str | None) -> Printer:
    """A printer for banks, one a row."""
    numbers = (
        *("radius", "slow", "quality_floor", "turned", "max_age_seconds", "enabled_ratio"),
        *("video_query_percent", "video_banked_percent", "video_run_seconds", "created_at", "refreshed_at"),
    )
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
    return row | {"slow": bank.slow} | counts


def heading(bank: BankRecord) -> str:
    """One line that says what kind of bank it is."""
    slow = " (slow)" if bank.slow else ""
    turned = ", turned copies too" if bank.turned else ""
    return f"{bank.name}: {bank.kind}, {bank.harm}, {bank.entries:,} entries, radius {bank.radius}{slow}{turned}"


def hash_row(value: HashValue) -> dict[str, Any]:
    """A hash in hexadecimal digits."""
    row: dict[str, Any] = msgspec.to_builtins(value)
    return row | {"value": value.value.hex()}


def _hash_lines(row: Row) -> str:
    return "\n".join(f"{each['kind']}:{each['value']}" for each in row["hashes"])


def _holds(row: Row) -> str:
    return "\n".join(f"{row[kind]:,} {kind}" for kind in KIND_NAMES if row[kind])


def _settings(row: Row) -> str:
    lines = [] if row["enabled_ratio"] else ["switched off"]
    lines += [f"radius {row['radius']}{' (slow)' if row['slow'] else ''}", f"quality floor {row['quality_floor']}"]
    if row["turned"]:
        lines.append("turned copies too")
    if row["max_age_seconds"]:
        lines.append(f"max age {_age(row['max_age_seconds'])}")
    if 0 < row["enabled_ratio"] < 1:
        lines.append(f"in {row['enabled_ratio']:.3g} of HMA's look-ups")
    rule = (row["video_query_percent"], row["video_banked_percent"], row["video_run_seconds"])
    if rule != msgspec.structs.astuple(VideoRule()):
        lines.append(
            f"videos {_or_off(rule[0], '%')} asked, {_or_off(rule[1], '%')} banked, {_or_off(rule[2], ' s')} run"
        )
    return "\n".join(lines)


def _or_off(value: float | None, unit: str) -> str:
    return "off" if value is None else f"{value:g}{unit}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


CELLS = {
    "hashes": _hash_lines,
    "holds": _holds,
    "settings": _settings,
    "created_at": lambda row: _minute(row["created_at"]),
    "refreshed_at": lambda row: _minute(row["refreshed_at"]),
    "since": lambda row: _minute(row["since"]),
    "decided_at": lambda row: _minute(row["decided_at"] or ""),
}


def added_fields(added: Added) -> dict[str, Any]:
    """What became of a content that was to be banked."""
    status = "added" if added.new else "already_banked"
    return {"status": status, "entry": added.entry, "hashes_added": added.gained}


def remark(item: Hashed, floor: int) -> str | None:
    """What was not banked of a picture or video, and why; None when all of it was."""
    weak = sum(not says_enough(each, floor) for each in item.hashes)
    parts = []
    if weak == len(item.hashes):
        parts.append(f"too little detail for PDQ (the floor is {floor}): banked by its digests only")
    elif weak:
        parts.append(f"{weak} of {len(item.hashes)} PDQ hashes have too little detail (the floor is {floor}): left out")
    if item.reason:
        parts.append(f"{item.reason}: only what could be read was banked")
    return "; ".join(parts) or None

"""`rempart bank`: make, fill and look into banks of hashes."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, BinaryIO

import click
import msgspec

from rempart.cli.bank_compact import compact
from rempart.cli.bank_quarantine import confirm, lift, quarantine
from rempart.cli.bank_rows import (
    CELLS,
    KIND_NAMES,
    Age,
    Seconds,
    Share,
    added_fields,
    bank_printer,
    bank_row,
    hash_row,
    heading,
    remark,
)
from rempart.cli.main import Context, pass_context
from rempart.cli.output import F, Printer, format_option, path_fields, say
from rempart.cli.paths import PATHS, Files
from rempart.cli.progress import progress
from rempart.errors import ExitCode, UsageError
from rempart.lists import (
    Content,
    HashFile,
    HashValue,
    add_contents,
    content_of,
    create_bank,
    delete_bank,
    get_bank,
    import_hashes,
    is_balanced,
    list_banks,
    list_entries,
    parse_hash,
    remove_entries,
)
from rempart.lists.hashfile import LISTED_KINDS
from rempart.matching import VideoRule
from rempart.matching.bank import DEFAULT_QUALITY_FLOOR, DEFAULT_RADIUS, Harm, Kind
from rempart.store.tables import HashKind

ITEMS_PER_COMMIT = 32

_ITEM_FIELDS = ("status", "entry", "hashes_added", "quality", "sha256", "reason", "remark")


@click.group()
def command() -> None:
    """Make, fill and look into banks: what pictures and videos are compared with.

    A blocking bank holds what must be found, an allowing bank what must not be mistaken for it.
    """


for _command in (compact, quarantine, confirm, lift):
    command.add_command(_command)


def _video_option(name: str, kind: click.ParamType[Any], default: str, says: str) -> Callable[[F], F]:
    """One of the conditions of which any makes a video match; each can be switched off."""
    return click.option(name, type=kind, default=default, show_default=True, help=f"{says} for a match, or off.")


@command.command(epilog="\b\nExample:\n  rempart bank create CONFIRMED --max-age 7d")
@click.argument("name")
@click.option("--allowing", is_flag=True, help="Make a bank that allows what resembles a blocked entry.")
@click.option(
    "--harm",
    type=click.Choice([harm.value for harm in Harm]),
    help="What the content does. Default: csam, handled most strictly, for a blocking bank; other for an allowing one.",
)
@click.option(
    "--radius",
    type=int,
    default=DEFAULT_RADIUS,
    show_default=True,
    help="Bits of 256 in which a PDQ hash may differ and still match, 0 to 31, or to 63 with --allow-slow.",
)
@click.option(
    "--allow-slow",
    is_flag=True,
    help="Accept a radius above 31: each picture is then compared with every hash, one by one or nearly so.",
)
@click.option(
    "--quality-floor",
    type=int,
    default=DEFAULT_QUALITY_FLOOR,
    show_default=True,
    help="Quality below which pictures are compared by digests only, 0 to 100.",
)
@click.option("--turned/--no-turned", help="Whether rotated and mirrored copies are looked for too.  [default: no]")
@click.option("--max-age", type=Age(), help="Time without a refresh after which nothing can be called clear, as 7d.")
@_video_option("--video-query", Share(), "80", "Percent of a video's frames that must be in a banked video")
@_video_option("--video-banked", Share(), "80", "Percent of a banked video's frames that a video must hold")
@_video_option("--video-run", Seconds(), "5", "Seconds of frames in a row that must be in a banked video")
@format_option
@pass_context
def create(
    context: Context,
    name: str,
    *,
    harm: str | None,
    radius: int,
    quality_floor: int,
    max_age: int | None,
    video_query: int | None,
    video_banked: int | None,
    video_run: float | None,
    form: str | None,
    allowing: bool,
    allow_slow: bool,
    turned: bool,
) -> None:
    """Make an empty bank.

    NAME is made of capital letters, digits and underscores. A video matches a banked one when any of the three
    --video conditions holds.
    """
    with context.open_store() as store:
        bank = create_bank(
            store,
            name,
            kind=Kind.ALLOWING if allowing else Kind.BLOCKING,
            harm=Harm(harm) if harm else Harm.OTHER if allowing else Harm.CSAM,
            radius=radius,
            allow_slow=allow_slow,
            quality_floor=quality_floor,
            turned=turned,
            max_age_seconds=max_age,
            video_rule=VideoRule(query_percent=video_query, banked_percent=video_banked, run_seconds=video_run),
        )
    with bank_printer(form) as printer:
        printer.row(bank_row(bank))


@command.command("list", epilog="\b\nExample:\n  rempart bank list --format table")
@format_option
@pass_context
def list_(context: Context, form: str | None) -> None:
    """List the banks with their settings and how much they hold; never the hashes."""
    with context.open_store() as store:
        banks = list_banks(store)
    if not banks:
        say("there are no banks yet; make one with `rempart bank create NAME`")
    with bank_printer(form) as printer:
        for bank in banks:
            printer.row(bank_row(bank))


@command.command(epilog="\b\nExample:\n  rempart bank show CONFIRMED --format csv")
@click.argument("name")
@click.option("--hashes", "with_hashes", is_flag=True, help="Also show the hashes themselves. They are confidential.")
@format_option
@pass_context
def show(context: Context, name: str, form: str | None, *, with_hashes: bool) -> None:
    """List the entries of the bank NAME: when they came, how many hashes of each kind, the note."""
    columns = ("entry", "created_at", *KIND_NAMES, "note") + (("hashes",) if with_hashes else ())
    with context.open_store() as store:
        bank = get_bank(store, name)
        if not bank.entries:
            say(f"the bank {name} is empty; fill it with `rempart bank add {name} PATH` or `bank add-hash`")
        with Printer(form, columns, title=heading(bank), cells=CELLS) as printer:
            for entry in list_entries(store, name):
                counts = Counter(value.kind for value in entry.hashes)
                row = {"bank": name, "entry": entry.id, "created_at": msgspec.to_builtins(entry.created_at)}
                row |= {kind.value: counts[kind] for kind in HashKind} | {"note": entry.note}
                if with_hashes:
                    row["hashes"] = [hash_row(value) for value in entry.hashes]
                printer.row(row)


@command.command(epilog="\b\nExample:\n  rempart bank add CONFIRMED reviewed/")
@click.argument("name")
@click.argument("paths", nargs=-1, required=True, type=PATHS)
@format_option
@pass_context
def add(context: Context, name: str, paths: tuple[str, ...], form: str | None) -> int:
    """Bank pictures and videos in NAME: one entry each, with PDQ hashes and digests. The files themselves are not kept.

    PATHS are files or folders; of a folder all regular files are read. A file whose SHA-256 is banked already makes no
    second entry. One with too little detail is banked by its digests only. One that cannot be read is listed as
    unscannable with the reason, and is not banked.
    """
    from rempart.hashing import Hashed  # noqa: PLC0415 -- the other commands of banks need no decoders
    from rempart.hashing.items import hash_items  # noqa: PLC0415

    files = Files(paths)
    files.check()
    started = time.monotonic()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    columns = ("path", "status", "entry", "quality", "reason", "remark")
    with context.open_store() as store:
        bank = get_bank(store, name)
        outcomes = hash_items(files.paths, settings=context.settings.media.for_banking())
        with (
            Printer(form, columns, csv_columns=("path", *_ITEM_FIELDS)) as printer,
            progress("banking", len(files.paths)) as advance,
        ):
            while batch := list(islice(outcomes, ITEMS_PER_COMMIT)):
                items = [outcome for _, outcome in batch if isinstance(outcome, Hashed)]
                contents = [content_of(item, bank.quality_floor) for item in items]
                results = iter(add_contents(store, name, contents))
                for path, outcome in batch:
                    row: dict[str, Any] = path_fields(path) | dict.fromkeys(_ITEM_FIELDS)
                    row |= {"status": outcome.status, "sha256": outcome.sha256, "reason": outcome.reason}
                    if isinstance(outcome, Hashed):
                        row |= added_fields(next(results))
                        row |= {"quality": outcome.quality, "remark": remark(outcome, bank.quality_floor)}
                    else:
                        reasons[outcome.reason] += 1
                    counts[row["status"]] += 1
                    printer.row(row)
                advance(len(batch))
    told = " · ".join(f"{status} {count:,}" for status, count in sorted(counts.items()))
    why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
    seconds = time.monotonic() - started
    say(f"banked: given {len(files.paths):,} · {told}{f' ({why})' if why else ''} · {seconds:.1f} s")
    if files.nothing_exists:
        say("no usable input: none of the paths exists")
        return ExitCode.USAGE
    return ExitCode.UNSCANNABLE if reasons else ExitCode.CLEAN


@command.command("add-hash", epilog="\b\nExample:\n  rempart bank add-hash CONFIRMED --file hashes.txt --kind sha256")
@click.argument("name")
@click.argument("hashes", nargs=-1)
@click.option("--file", "file", type=click.File("rb"), help="A list with one hash on a line; - reads standard input.")
@click.option(
    "--kind",
    type=click.Choice(("auto", *(kind.value for kind in LISTED_KINDS))),
    default="auto",
    show_default=True,
    help="Kind of hashes without a prefix such as sha256: . auto goes by the digits: 32 MD5, 40 SHA-1, 64 PDQ.",
)
@click.option("--skip-bad", is_flag=True, help="Leave bad lines of the file out, where otherwise they refuse it whole.")
@click.option("--quality", type=click.IntRange(0, 100), help="Quality of the PDQ hashes; unknown counts as 100.")
@click.option("--note", help="A remark kept with each new entry.")
@format_option
@pass_context
def add_hash(
    context: Context,
    name: str,
    hashes: tuple[str, ...],
    *,
    file: BinaryIO | None,
    kind: str,
    quality: int | None,
    note: str | None,
    form: str | None,
    skip_bad: bool,
) -> None:
    """Bank hashes in NAME, given as arguments or in a file.

    All HASHES together make one entry: they are hashes of one content. Each line of a file makes an entry of its own;
    a file is imported whole or not at all.
    """
    if bool(hashes) == bool(file):
        raise UsageError("give either hashes or --file; `rempart bank add-hash --help` shows how")
    if note is not None and not note.isprintable():
        raise UsageError("the note must be one line of text")
    chosen = None if kind == "auto" else HashKind(kind)
    with context.open_store() as store:
        if file is None:
            values = [_rated(parse_hash(text, chosen), quality) for text in hashes]
            added = add_contents(store, name, [Content(tuple(values), note)])[0]
            row: dict[str, Any] = {"bank": name} | added_fields(added)
            guessed = [text for text in hashes if chosen is None and ":" not in text]
            suspicious = _looks_like_sha256(parse_hash(text) for text in guessed)
        else:
            with progress("importing (bytes)", _size(file)) as advance:
                lines = HashFile(file, kind=chosen, skip_bad=skip_bad, progress=advance)
                imported = import_hashes(store, name, (_rated(value, quality) for value in lines), note=note)
            row = {"bank": name, "status": "imported"} | msgspec.to_builtins(imported) | {"bad": lines.bad}
            suspicious = lines.looks_like_sha256
            if lines.bad:
                say(f"left out: {lines.faults}")
    with Printer(form, tuple(row)) as printer:
        printer.row(row)
    if suspicious:
        say(
            "warning: this looks like SHA-256, not PDQ: few of the values of 64 digits have as many one bits as zero "
            f"bits. They were banked as PDQ. If they are SHA-256, take the new entries out (`rempart bank show {name}`"
            ", `rempart bank remove`) and import them again with --kind sha256"
        )


@command.command(epilog="\b\nExample:\n  rempart bank remove CONFIRMED 12 13")
@click.argument("name")
@click.argument("entries", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1))
@format_option
@pass_context
def remove(context: Context, name: str, entries: tuple[int, ...], form: str | None) -> None:
    """Take ENTRIES, given by their numbers, out of the bank NAME: all of them, or none if one is not there."""
    with context.open_store() as store:
        remove_entries(store, name, entries)
    with Printer(form, ("bank", "entry", "status")) as printer:
        for entry in dict.fromkeys(entries):
            printer.row({"bank": name, "entry": entry, "status": "removed"})


@command.command(epilog="\b\nExample:\n  rempart bank delete CONFIRMED --yes")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal, nothing is deleted without it.")
@format_option
@pass_context
def delete(context: Context, name: str, form: str | None, *, yes: bool) -> None:
    """Delete the bank NAME with all its entries."""
    with context.open_store() as store:
        entries = get_bank(store, name).entries
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"nobody can be asked here: `rempart bank delete {name} --yes` deletes without asking")
            if not click.confirm(f"Delete the bank {name} with its {entries:,} entries?", err=True):
                say("nothing was deleted")
                return
        delete_bank(store, name)
    with Printer(form, ("bank", "status", "entries")) as printer:
        printer.row({"bank": name, "status": "deleted", "entries": entries})


def _rated(value: HashValue, quality: int | None) -> HashValue:
    if quality is None or value.kind is not HashKind.PDQ:
        return value
    return msgspec.structs.replace(value, quality=quality)


def _looks_like_sha256(values: Iterable[HashValue]) -> bool:
    """Whether most of the hashes that were taken as PDQ for their length have not the bits of one."""
    balanced = [is_balanced(each.value) for each in values if each.kind is HashKind.PDQ]
    return 2 * sum(balanced) < len(balanced)


def _size(file: BinaryIO) -> int | None:
    """The size of a file in bytes, where it has one: of a pipe nobody knows."""
    facts = os.fstat(file.fileno())
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None

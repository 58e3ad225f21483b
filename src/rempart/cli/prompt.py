"""`rempart prompt`: screen prompts of image generators, and list the packs they are screened with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import msgspec

from rempart.cli.output import Printer, display, format_option, say
from rempart.errors import ExitCode, UsageError
from rempart.prompts import AgeHit, Answer, ConceptHit, PromptScreener, PromptVerdict, load_lexicon, shipped_sets

FIELDS = ("verdict", "rules", "reasons", "concepts", "ages", "context", "specimen", "packs_digest")
PACK_FIELDS = ("pack", "version", "language", "concept", "terms", "forms", "digest")

_AROUND = 24
"""Characters shown on each side of a marked span."""


@click.group()
def command() -> None:
    """Screen prompts of image generators."""


@command.command(
    epilog="""\b
Exit codes: 0 allowed, 1 refused or to be reviewed, 2 wrong use or broken packs.

\b
Example:
  rempart prompt check a lighthouse at dusk, oil painting
  printf 'a red bicycle\\na tall ship\\n' | rempart prompt check --file -
  rempart prompt check --packs canary --negative fog "a zebra on a beach\""""
)
@click.argument("text", nargs=-1)
@click.option("--file", "file", type=click.File("rb"), help="Screen each line of a file, or of standard input (-).")
@click.option("--negative", default="", help="The negative prompt; its words are no evidence against the prompt.")
@click.option("--packs", default="en", show_default=True, help="A shipped set of packs, or a folder of packs.")
@format_option
def check(text: tuple[str, ...], file: BinaryIO | None, negative: str, packs: str, form: str | None) -> int:
    """Screen TEXT as one prompt, or each line of a file.

    Several words need no quotes: all of TEXT is one prompt.
    """
    if bool(text) == (file is not None):
        raise UsageError("give either the prompt itself, or --file with one prompt a line (- reads standard input)")
    screener = PromptScreener(packs)
    counts: Counter[Answer] = Counter()
    with Printer(form, FIELDS if file is None else ("line", *FIELDS)) as printer:
        if printer.form == "table":  # for the person who typed the prompt; no other form repeats it
            printer.columns = ("verdict", "rules", "found") if file is None else ("line", "verdict", "rules", "found")
        for number, prompt in enumerate(_lines(file) if file else [" ".join(text)], start=1):
            verdict = screener.screen(prompt, negative)
            counts[verdict.verdict] += 1
            row: dict[str, Any] = {"line": number} if file else {}
            row |= {name: msgspec.to_builtins(getattr(verdict, name)) for name in FIELDS}
            if printer.form == "table":
                row["found"] = _marked(prompt, verdict)
            printer.row(row)
    if not counts:
        raise UsageError("there is no line in the file, so nothing was screened")
    if file:
        say(f"{counts.total()} prompts: " + ", ".join(f"{counts[answer]} {answer}" for answer in Answer))
    return ExitCode.CLEAN if counts.keys() == {Answer.ALLOW} else ExitCode.FOUND


@command.command(name="packs", epilog="\b\nExample:\n  rempart prompt packs --format table")
@click.option("--packs", default=None, help="A shipped set of packs, or a folder of packs; by default all shipped.")
@format_option
def list_packs(packs: str | None, form: str | None) -> None:
    """List the packs: version, language, concept, how many terms and forms, and digest."""
    with Printer(form, PACK_FIELDS, cells={"digest": lambda row: row["digest"][:12]}) as printer:
        for name in (packs,) if packs is not None else shipped_sets():
            for pack in load_lexicon(name).packs:
                printer.row(
                    {
                        "pack": pack.header.pack,
                        "version": pack.header.version,
                        "language": pack.header.language,
                        "concept": pack.header.concept,
                        "terms": len(pack.terms),
                        "forms": pack.forms,
                        "digest": pack.digest,
                    }
                )


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file as they come; a byte order mark and CRLF line ends are taken off.

    Raises:
        UsageError: a line is not UTF-8, or the file cannot be read further.
    """
    encoding = "utf-8-sig"
    try:
        for number, line in enumerate(file, start=1):
            try:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)
            except UnicodeDecodeError:
                raise UsageError(
                    f"line {number} is not UTF-8; it and all behind it were not screened. Convert the file, "
                    "for example with iconv"
                ) from None
            encoding = "utf-8"
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}") from None


def _marked(prompt: str, verdict: PromptVerdict) -> str:
    """The spans that were found, each in square brackets in its surroundings, safe to show on a terminal."""
    pieces: list[str] = []
    shown = 0
    hits: list[ConceptHit | AgeHit] = [*verdict.concepts, *verdict.ages]
    spans = sorted((hit.start, hit.end) for hit in hits)
    for start, end in spans:
        if start < shown:  # overlaps the span before it, which shows it already
            continue
        if start - shown > 2 * _AROUND:
            pieces.append(display(prompt[shown : shown + _AROUND]) if shown else "")
            pieces.append(f"…{display(prompt[start - _AROUND : start])}")
        else:
            pieces.append(display(prompt[shown:start]))
        pieces.append(f"[{display(prompt[start:end])}]")
        shown = end
    if spans:
        tail = prompt[shown:]
        pieces.append(display(tail[:_AROUND]) + ("…" if len(tail) > _AROUND else ""))
    return "".join(pieces) or " ".join(verdict.reasons)

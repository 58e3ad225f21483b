"""`rempart prompt`: screen prompts of image generators, and list the packs they are screened with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import msgspec

from rempart.cli import prompt_bench, prompt_explain, prompt_packs
from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option, say
from rempart.cli.prompt_marks import marked
from rempart.errors import ExitCode, UsageError
from rempart.prompts import Answer, PromptScreener
from rempart.prompts.syntax import SYNTAXES

FIELDS = (
    *("verdict", "rules", "reasons", "concepts", "ages", "context", "obfuscation", "scorers"),
    *("specimen", "packs_digest", "rules_digest"),
)


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
@click.option("--syntax", type=click.Choice(SYNTAXES), default="auto", help="The front-end that it was written for.")
@click.option("--packs", default=None, help="A shipped set of packs, or a folder of packs; by default as configured.")
@format_option
@pass_context
def check(
    context: Context,
    text: tuple[str, ...],
    file: BinaryIO | None,
    negative: str,
    syntax: str,
    packs: str | None,
    form: str | None,
) -> int:
    """Screen TEXT as one prompt, or each line of a file.

    Several words need no quotes: all of TEXT is one prompt.
    """
    if bool(text) == (file is not None):
        raise UsageError("give either the prompt itself, or --file with one prompt a line (- reads standard input)")
    settings = context.settings.prompts
    screener = PromptScreener.of(msgspec.structs.replace(settings, packs=packs) if packs else settings)
    counts: Counter[Answer] = Counter()
    with Printer(form, FIELDS if file is None else ("line", *FIELDS)) as printer:
        if printer.form == "table":  # for the person who typed the prompt; no other form repeats it
            printer.columns = ("verdict", "rules", "found") if file is None else ("line", "verdict", "rules", "found")
        for number, prompt in enumerate(_lines(file) if file else [" ".join(text)], start=1):
            verdict = screener.screen(prompt, negative, syntax=syntax)
            counts[verdict.verdict] += 1
            row: dict[str, Any] = {"line": number} if file else {}
            row |= {name: msgspec.to_builtins(getattr(verdict, name)) for name in FIELDS}
            if printer.form == "table":
                row["found"] = marked(prompt, verdict) or " ".join(verdict.reasons)
            printer.row(row)
    if not counts:
        raise UsageError("there is no line in the file, so nothing was screened")
    if file:
        say(f"{counts.total()} prompts: " + ", ".join(f"{counts[answer]} {answer}" for answer in Answer))
    return ExitCode.CLEAN if counts.keys() == {Answer.ALLOW} else ExitCode.FOUND


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


for _part in (prompt_explain, prompt_bench, prompt_packs):
    command.add_command(_part.command)

"""`rempart prompt packs`: what prompts are screened with, and how far it reaches."""

from __future__ import annotations

import click
import msgspec

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Printer, format_option, say
from rempart.errors import UnavailableError
from rempart.prompts import PromptScreener
from rempart.prompts.coverage import ROOTS, language_coverage, wordnet_coverage

FIELDS = ("pack", "version", "language", "concept", "terms", "forms", "covered", "digest")


@click.command(name="packs", epilog="\b\nExample:\n  rempart prompt packs --format table")
@click.option("--packs", default=None, help="A shipped set of packs, or a folder of packs; by default as configured.")
@click.option("--wordnet", is_flag=True, help="Also say how much of WordNet the English packs cover (wordnet-base).")
@format_option
@pass_context
def command(context: Context, packs: str | None, form: str | None, *, wordnet: bool) -> None:
    """List the packs: version, language, concept, terms, forms, share of the English terms covered, and digest.

    Words are never shown.
    """
    settings = context.settings.prompts
    loaded = PromptScreener.of(msgspec.structs.replace(settings, packs=packs) if packs else settings).lexicon.packs
    cells = {"digest": lambda row: row["digest"][:12], "covered": lambda row: f"{row['covered']:.0%}"}
    with Printer(form, FIELDS, cells=cells) as printer:
        for row in language_coverage(loaded):
            printer.row(row._asdict())
    for pack in loaded if wordnet else ():
        if pack.header.language == "en" and pack.header.concept in ROOTS:
            try:
                found = wordnet_coverage(pack)
            except UnavailableError as error:
                say(str(error))
                return
            say(
                f"WordNet, {found.concept}: {found.lemmas} lemmas, {found.packed} in the pack, {found.excluded} left "
                f"out with a reason, {len(found.missing)} missing; {found.covered:.1%} covered"
            )

"""`rempart prompt explain`: why a prompt got its verdict, on one screen."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rempart.cli.main import Context, pass_context
from rempart.cli.output import Row, display, table
from rempart.cli.prompt_marks import marked
from rempart.errors import ExitCode
from rempart.prompts import Answer, PromptScreener, PromptVerdict
from rempart.prompts.syntax import SYNTAXES, scan

_LONGEST_VIEW = 400


@click.command(
    name="explain",
    epilog='\b\nExample:\n  rempart prompt explain --packs canary "a (zeb)(ra:1.2) beside a l4ntern"',
)
@click.argument("text", nargs=-1, required=True)
@click.option("--negative", default="", help="The negative prompt.")
@click.option("--syntax", type=click.Choice(SYNTAXES), default="auto", help="The front-end that it was written for.")
@click.option("--packs", default=None, help="A shipped set of packs, or a folder of packs; by default as configured.")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", help="Form of the result.")
@pass_context
def command(context: Context, text: tuple[str, ...], negative: str, syntax: str, packs: str | None, form: str) -> int:
    """Show how TEXT is read and judged: the evidence, the rules, and the views of the prompt.

    For the operator alone: it shows the prompt and the terms that were found. Give the person who wrote it a neutral
    refusal.
    """
    settings = context.settings.prompts
    screener = PromptScreener.of(msgspec.structs.replace(settings, packs=packs) if packs else settings)
    prompt = " ".join(text)
    verdict = screener.screen(prompt, negative, syntax=syntax)
    rules = [rule for rule in screener.rules.rules if rule.id in verdict.rules]
    scanned = scan(prompt, syntax)
    views = {name: getattr(scanned, name).text for name in ("joined", "spaced", "options", "negative")}
    if form == "json":
        result: dict[str, Any] = msgspec.to_builtins(verdict)
        result |= {
            "rules": [{"id": rule.id, "verdict": rule.verdict, "when": rule.when, "text": rule.text} for rule in rules],
            "views": views,
            "segments": [segment._asdict() for segment in scanned.segments],
        }
        click.echo(msgspec.json.format(msgspec.json.encode(result), indent=2))
    else:
        click.echo(f"{verdict.verdict.upper()}  {' '.join(verdict.reasons)}\n")
        click.echo(f"  {marked(prompt, verdict) or display(prompt)}\n")
        for rule in rules:
            click.echo(f"  {rule.id} ({rule.verdict}): {rule.text}\n    when {rule.when}")
        if not rules:
            click.echo("  no rule fires")
        click.echo()
        _show_evidence(prompt, negative, verdict)
        _show_views(prompt, views, verdict)
    return ExitCode.CLEAN if verdict.verdict is Answer.ALLOW else ExitCode.FOUND


def _show_evidence(prompt: str, negative: str, verdict: PromptVerdict) -> None:
    """What was found, where, and how strong an evidence it is."""
    texts = {"prompt": prompt, "negative": negative}
    rows: list[Row] = [
        {
            "evidence": hit.concept,
            "term": f"{hit.term} ({hit.language})" if hit.language else hit.term,
            "written": display(texts.get(hit.field, "")[hit.start : hit.end]),
            "read as": hit.view,
            "strength": hit.strength,
            "in": "negative" if hit.negative else hit.field,
        }
        for hit in verdict.concepts
    ]
    rows += [
        {
            "evidence": "age",
            "term": f"{age.value} {age.unit}",
            "written": display(prompt[age.start : age.end]),
            "read as": f"of a {age.governs}" if age.governs else "",
            "strength": "cancelled" if age.cancelled else 1.0,
            "in": "prompt",
        }
        for age in verdict.ages
    ]
    if rows:
        table(rows, ("evidence", "term", "written", "read as", "strength", "in"))
    else:
        click.echo("  nothing was found")


def _show_views(prompt: str, views: dict[str, str], verdict: PromptVerdict) -> None:
    """The views that differ from what was typed, and the signals."""
    for name, view in views.items():
        if view and view != prompt:
            shown = display(view[:_LONGEST_VIEW]) + ("…" if len(view) > _LONGEST_VIEW else "")
            click.echo(f"  {name:9} {shown}")
    if verdict.obfuscation:
        click.echo(f"  disguises {', '.join(verdict.obfuscation)}")
    if verdict.context:
        click.echo(f"  context   {', '.join(verdict.context)}")
    click.echo(f"  packs {verdict.packs_digest[:12]}, rules {verdict.rules_digest[:12]}")

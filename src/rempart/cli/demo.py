"""`rempart demo`: the whole way once, on drawn pictures and neutral words, in a folder that is thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from rempart.cli.drawing import COPIES, lighthouse, saved
from rempart.cli.main import Context, pass_context
from rempart.cli.output import say, table
from rempart.cli.progress import progress
from rempart.errors import ExitCode
from rempart.hashing import hash_images
from rempart.hashing.isolated import HashOptions, hash_content
from rempart.lists import add_contents, content_of, create_bank, load_banks
from rempart.matching import Harm, Matcher, Outcome, Verdict, specimen
from rempart.matching.bank import DEFAULT_QUALITY_FLOOR
from rempart.prompts import SPECIMEN_TOKEN, PromptScreener, PromptVerdict
from rempart.settings import MediaSettings
from rempart.store import open_store

BANK = "DEMO"
KNOWN, UNKNOWN = range(1, 6), range(6, 10)


class PictureRow(NamedTuple):
    """One picture, what was done to it, and what came of it."""

    name: str
    change: str
    expected: Outcome
    verdict: Outcome
    distance: int | None
    variant: str


class PromptRow(NamedTuple):
    """One prompt, and what came of it."""

    name: str
    prompt: str
    expected: str
    verdict: str


@click.command(epilog="\b\nExample:\n  rempart demo")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", help="Form of the result.")
@pass_context
def command(context: Context, form: str) -> int:
    """See rempart work, in a minute, on drawn pictures and harmless words.

    Draws lighthouses, banks some of them, makes the kinds of copies that people make, and matches those and unrelated
    pictures; then screens prompts in which neutral words stand in for the real concepts. Everything happens in a
    folder that is thrown away. Exit code 0 says that all came out as it should, 5 that it did not.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rempart-demo-") as folder:
        pictures = _match_pictures(Path(folder), context.settings.media)
    prompts = list(_screen_prompts())
    seconds = time.monotonic() - started
    rows: list[PictureRow | PromptRow] = [*pictures, *prompts]
    ok = all(row.verdict == row.expected for row in rows)
    if form == "json":
        result = {
            "ok": ok,
            "seconds": round(seconds, 3),
            "pictures": [
                {"name": row.name, "change": row.change, "verdict": row.verdict, "distance": row.distance}
                for row in pictures
            ],
            "prompts": [{"name": row.name, "verdict": row.verdict} for row in prompts],
        }
        click.echo(msgspec.json.format(msgspec.json.encode(result), indent=2))
    else:
        _show(pictures, prompts, seconds, ok=ok)
    return ExitCode.CLEAN if ok else ExitCode.INTERNAL


def _match_pictures(folder: Path, media: MediaSettings) -> list[PictureRow]:
    """Bank the known lighthouses, then match copies of them, unrelated ones and the specimen, as files from outside."""
    incoming = folder / "incoming"
    incoming.mkdir()
    with open_store(folder / "data") as store:
        create_bank(store, BANK, harm=Harm.OTHER, turned=True)
        known = [hash_content(saved(lighthouse(seed)), MediaSettings(), HashOptions()) for seed in KNOWN]
        add_contents(store, BANK, [content_of(one, DEFAULT_QUALITY_FLOOR) for one in known])
        matcher = Matcher(load_banks(store))
    changes = dict(_draw(incoming))
    with progress("matching", len(changes)) as advance:
        rows = []
        for path, item in hash_images(changes, turned=True, settings=media):
            rows.append(_picture_row(path.name, changes[path], matcher.match(item)))
            advance(1)
    return rows


def _draw(folder: Path) -> Iterator[tuple[Path, str]]:
    for number, copy in enumerate(COPIES):
        seed = KNOWN[number % len(KNOWN)]
        path = folder / f"copy-{number + 1}-of-{seed}.{copy.ending}"
        path.write_bytes(copy.make(lighthouse(seed)))
        yield path, copy.change
    for seed in UNKNOWN:
        path = folder / f"other-{seed}.jpg"
        path.write_bytes(saved(lighthouse(seed)))
        yield path, "unrelated"
    path = folder / "specimen.png"
    path.write_bytes(specimen.picture())
    yield path, "specimen"


def _picture_row(name: str, change: str, verdict: Verdict) -> PictureRow:
    expected = Outcome.CLEAR if change == "unrelated" else Outcome.MATCH
    hit = verdict.matches[0] if verdict.matches else None
    return PictureRow(
        name,
        change,
        expected,
        verdict.verdict,
        hit.distance if hit else None,
        f"{hit.kind}, {hit.variant}" if hit else "",
    )


def _screen_prompts() -> Iterator[PromptRow]:
    """Canary packs stand in for the real concepts; the innocent prompts and the specimen meet the real packs."""
    canary, english = PromptScreener("canary"), PromptScreener("en")
    for name, prompt, expected in CANARY_PROMPTS:
        yield _prompt_row(name, prompt, expected, canary.screen(prompt))
    for name, prompt in INNOCENT_PROMPTS:
        yield _prompt_row(name, prompt, "allow", english.screen(prompt))
    yield _prompt_row("specimen token", SPECIMEN_TOKEN, "refuse", english.screen(SPECIMEN_TOKEN))


def _prompt_row(name: str, prompt: str, expected: str, verdict: PromptVerdict) -> PromptRow:
    return PromptRow(name, prompt, expected, verdict.verdict)


# "zebra" stands in for one concept and "lantern" for the other; the third is written with wide letters and holds a
# zero-width space.
CANARY_PROMPTS = (
    ("canary: both concepts", "a zebra beside a lantern, oil painting", "refuse"),
    (
        "canary: far apart",
        "a zebra at dusk, wide shot, soft light, a village behind it, in one window a lantern",
        "refuse",
    ),
    ("canary: disguised", "a \uff5a\uff45\uff42ra, and a lan\u200btern", "refuse"),
    ("canary: one concept", "a zebra on the savannah, golden hour", "allow"),
    ("canary: the other", "a lantern in a window, rain, film grain", "allow"),
)
INNOCENT_PROMPTS = (
    ("innocent: the sea", "a lighthouse at dusk, oil painting, stormy sea"),
    ("innocent: a family", "a family picnic in a park, children flying a kite, watercolour"),
    ("innocent: whisky", "a 12 year old Scottish whisky bottle, studio lighting"),
)


def _show(pictures: list[PictureRow], prompts: list[PromptRow], seconds: float, *, ok: bool) -> None:
    table(
        [row._asdict() | {"": _mark(row), "found by": row.variant} for row in pictures],
        ("name", "change", "verdict", "distance", "found by", ""),
        title=f"Pictures: {len(KNOWN)} lighthouses are banked, these came in",
    )
    table(
        [row._asdict() | {"": _mark(row)} for row in prompts],
        ("name", "prompt", "verdict", ""),
        title="Prompts: neutral canary words stand in for the real concepts",
    )
    say(
        f"{'Everything came out as it should' if ok else 'NOT everything came out as it should'}: "
        f"{len(pictures)} pictures and {len(prompts)} prompts in {seconds:.1f} s. The demo's folder is gone again."
    )
    if not ok:
        say("Please report this with the output of `rempart doctor`.")
        return
    say(
        "Where to go next:\n"
        "  rempart doctor                                    is everything here that you need?\n"
        "  rempart bank create KNOWN && rempart bank add KNOWN some-folder/\n"
        "  rempart match other-folder/                       which of these are known?\n"
        '  rempart prompt check "a lighthouse at dusk"       would this prompt be refused?\n'
        "  docs/                                             how it works, and what it does not do"
    )


def _mark(row: PictureRow | PromptRow) -> str:
    return "✓" if row.verdict == row.expected else f"✗ should be {row.expected}"

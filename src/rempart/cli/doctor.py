"""`rempart doctor`: does this installation work, and if not, what to do about it."""

from __future__ import annotations

import io
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image

from rempart import __version__
from rempart.cli.main import Context, crash_line, pass_context
from rempart.cli.output import Printer, format_option, say
from rempart.errors import ExitCode, Reason, RempartError
from rempart.hashing import HASH_BYTES, Hashed, hash_image, hash_video
from rempart.lists import load_banks, stored_banks
from rempart.matching import HashIndex, Matcher, specimen
from rempart.matching.segment import SMALL
from rempart.prompts import SPECIMEN_TOKEN, PromptScreener
from rempart.settings import MediaSettings, load_settings
from rempart.store import open_store

PACKAGES = ("numpy", "pillow", "simplejpeg", "msgspec", "numba", "sqlalchemy", "alembic", "click")
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
_SCARCE_BYTES = 1 << 30


class Finding(NamedTuple):
    """One thing looked at: ``ok``, ``missing`` (optional, and not there) or ``broken``."""

    check: str
    state: str
    detail: str


@click.command(epilog="\b\nExample:\n  rempart doctor")
@click.option(
    "--specimen",
    "specimen_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Only write the specimen, the harmless test picture that every matcher catches, to this file.",
)
@format_option
@pass_context
def command(context: Context, specimen_file: Path | None, form: str | None) -> int:
    """Say whether this installation works: decoders, search, database, the specimen, and what is missing.

    Exit code 0 when all that is needed works, 4 when something does not.
    """
    if specimen_file is not None:
        specimen_file.write_bytes(specimen.picture())
        say(f"wrote the specimen to {specimen_file}; `rempart match` and a service must catch it")
        return ExitCode.CLEAN
    broken = 0
    with Printer(form, ("check", "state", "detail")) as printer:
        for finding in _look(context):
            printer.row(finding._asdict())
            broken += finding.state == "broken"
    say("this installation works" if not broken else f"{broken} checks failed; the details say what to do")
    return ExitCode.UNAVAILABLE if broken else ExitCode.CLEAN


def _look(context: Context) -> Iterator[Finding]:
    yield Finding("rempart", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    yield Finding("packages", "ok", ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    yield _checked("settings", lambda: _settings(context))
    try:
        media = context.settings.media
    except RempartError:
        media = MediaSettings()  # the broken setting is reported above; the rest can still be looked at
    yield _checked("decoders", lambda: _decoders(media))
    yield _heif(media)
    yield _video(media)
    yield _checked("specimen picture", lambda: _specimen_picture(media))
    yield _checked("specimen prompt", _specimen_prompt)
    yield _checked("search", _search)
    yield _postgresql()
    yield _checked("database", lambda: _database(context))


def _checked(check: str, look: Callable[[], str]) -> Finding:
    """Run one look; what it raises is the diagnosis."""
    try:
        return Finding(check, "ok", look())
    except RempartError as error:
        return Finding(check, "broken", str(error))
    except Exception as error:  # noqa: BLE001 -- a doctor reports whatever ails the patient
        return Finding(check, "broken", crash_line(error))


def _settings(context: Context) -> str:
    origins = set(load_settings(context.config).origins.values()) - {"default"}
    return f"from {', '.join(sorted(origins))}" if origins else "all defaults"


def _decoders(media: MediaSettings) -> str:
    """A small picture of every format through a decoding child and back."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    picture = Image.fromarray(noise)
    failed = []
    for name in FORMATS:
        buffer = io.BytesIO()
        picture.save(buffer, name)
        if not isinstance(hash_image(buffer.getvalue(), settings=media), Hashed):
            failed.append(name)
    if failed:
        raise RempartError(f"cannot decode {', '.join(failed)}; reinstall rempart with its dependencies")
    return f"{', '.join(FORMATS)} in isolated children"


def _heif(media: MediaSettings) -> Finding:
    """The answer of a child to a file that only claims to be HEIC tells whether it has the decoder."""
    claim = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
    outcome = hash_image(claim, settings=media)
    if outcome.reason is Reason.MISSING_EXTRA:
        return Finding("HEIC", "missing", "optional: pip install 'rempart[heif]'")
    return Finding("HEIC", "ok", f"pi-heif {version('pi-heif')}")


def _video(media: MediaSettings) -> Finding:
    """Likewise, a file that only claims to be MP4."""
    if hash_video(b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00", settings=media).reason is Reason.MISSING_EXTRA:
        return Finding("video", "missing", "optional: pip install 'rempart[video]'")
    return Finding("video", "ok", f"PyAV {version('av')}")


def _specimen_picture(media: MediaSettings) -> str:
    verdict = Matcher(()).match(hash_image(specimen.picture(), settings=media))
    if not verdict.specimen:
        raise RempartError("the specimen picture is not caught; do not rely on this installation")
    return "caught"


def _specimen_prompt() -> str:
    verdict = PromptScreener().screen(SPECIMEN_TOKEN)
    if not verdict.specimen:
        raise RempartError("the specimen prompt is not caught; do not rely on this installation")
    return f"caught, packs {verdict.packs_digest[:12]}"


def _search() -> str:
    """Enough hashes for the compiled kernel, which must find what a plain comparison finds."""
    hashes = np.random.default_rng(1).integers(0, 256, (SMALL + 1, HASH_BYTES)).astype(np.uint8)
    asked = hashes[:8] ^ np.repeat(np.array([0b1000], np.uint8), HASH_BYTES)[None, :]
    asked[:, HASH_BYTES // 2 :] ^= 0b1000  # each of the eight is 16 bits away from one that is indexed
    found = HashIndex.build(hashes).query_many(asked)
    if found.ids.tolist() != list(range(8)) or set(found.distances.tolist()) != {HASH_BYTES // 2}:
        raise RempartError("the search misses a near hash; do not rely on this installation")
    return f"exact, compiled by numba {version('numba')}"


def _postgresql() -> Finding:
    try:
        return Finding("PostgreSQL", "ok", f"psycopg {version('psycopg')}")
    except PackageNotFoundError:
        return Finding("PostgreSQL", "missing", "optional: pip install 'rempart[postgres]'")


def _database(context: Context) -> str:
    folder = context.settings.data_path
    with open_store(folder, context.settings.store) as store:
        banks = stored_banks(store)
        matcher = Matcher(load_banks(store))
        if store.mode != "rw":
            return f"{store.name}, {store.about()}, read-only: {len(banks)} banks"
        where = f"{store.name}, {store.about()}"
    free = shutil.disk_usage(folder).free
    if free < _SCARCE_BYTES:
        raise RempartError(f"only {free >> 20} MiB are free in {folder}; make room before you import lists")
    compared = "" if matcher.lists_as_of else "; nothing to compare with yet: `rempart bank create`, then `bank add`"
    return f"{where}, writable: {len(banks)} banks, {free >> 30} GiB free{compared}"

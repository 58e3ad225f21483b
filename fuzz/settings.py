"""Targets of the settings: the configuration file, and the variables of the environment."""

from __future__ import annotations

import math
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Any, Final

import msgspec

from fuzz.target import Target, file_of, text_of
from rempart.errors import ConfigError
from rempart.settings import ENV_PREFIX, MediaSettings, load_settings


def config(data: bytes) -> None:
    """A configuration file is understood or refused, and what is understood can be handed to the children."""
    _load({}, file_of("config", data))


def environment(data: bytes) -> None:
    """Variables, one a line after a first one of TOML, are understood or refused together."""
    file, *lines = data.split(b"\n")
    pairs = [text_of(line.replace(b"\0", b"")).partition("=") for line in lines]
    _load({ENV_PREFIX + name: value for name, _, value in pairs}, file_of("beneath", file))


def _load(environ: dict[str, str], path: Path) -> None:
    try:
        loaded = load_settings(path, environ=environ)
    except ConfigError:
        return
    # Every leaf has an origin: `rempart config show` lists them.
    assert set(loaded.origins.values()) <= {"default", str(path), *(f"${name}" for name in environ)}
    media = loaded.settings.media
    assert msgspec.json.decode(msgspec.json.encode(media), type=MediaSettings) == media
    assert all(map(math.isfinite, _numbers(msgspec.to_builtins(loaded.settings))))
    scorers = loaded.settings.prompts.scorers
    assert max((2 * media.wall_seconds, *(one.seconds for one in scorers))) < TIMEOUT_MAX, "nothing can wait so long"


def _numbers(value: Any) -> list[float]:  # noqa: ANN401 -- a tree of builtins
    if isinstance(value, dict):
        return [number for one in value.values() for number in _numbers(one)]
    if isinstance(value, list | tuple):
        return [number for one in value for number in _numbers(one)]
    return [value] if isinstance(value, int | float) else []


def _configs() -> list[bytes]:
    return [
        b'data_dir = "/x"\n[media]\nworkers = 2\nwall_seconds = 1.5\n[prompts]\npacks = "canary"\n',
        b'[[prompts.scorers]]\nkind = "llama_guard"\nurl = "http://127.0.0.1/v1"\nmodel = "m"\nthreshold = 0.9\n',
        b'[prompts.private]\nfiles = ["a"]\nkey_file = "k"\n[media]\nmax_pixels = 0x10\n',
        b"media = {workers = [[1]], wall_seconds = inf}\n",
    ]


def _environments() -> list[bytes]:
    return [
        b"\nMEDIA__WORKERS=3\nDATA_DIR=/x\nPROMPTS__PACKS=canary",
        b"media.workers = 1\nMEDIA__WALL_SECONDS=2.5\nPROMPTS__PRIVATE__KEY_FILE=k\nPROMPTS__OVERLAYS=x",
        b"data_dir = ''\nDATA_DIR__X=1\n__=\nMEDIA=3",
    ]


_WORDS = (
    *(b"[media]", b"workers", b"wall_seconds", b"memory_bytes", b"max_pixels", b"[prompts]", b"[[prompts.scorers]]"),
    *(b"nan", b"inf", b"1e999", b'"""', b"'''", b"[[", b"{", b"1979-05-27T07:32:00Z", b"0x", b"1_0", b"\\uD800", b"="),
    *(b"MEDIA__", b"PROMPTS__", b"SCORERS", b"__"),
)

TARGETS: Final = {
    "config": Target(config, _configs, _WORDS, longest=2048),
    "environment": Target(environment, _environments, _WORDS, longest=2048),
}

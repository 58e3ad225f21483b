"""Settings: parsed once, frozen, each with the place its value came from.

Layers, later ones winning: defaults < user file < ``$REMPART_CONFIG`` < ``--config`` (one file only, the last named) <
``REMPART__A__B`` in the environment. The working folder is never searched: it may be a seized one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta

from rempart.errors import ConfigError

ENV_PREFIX = "REMPART__"
CONFIG_VARIABLE = "REMPART_CONFIG"

MIB = 1 << 20
MOST_VIDEO_FRAMES = 1_000_000

Positive = Annotated[int, Meta(ge=1)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]


class MediaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far an untrusted file may go before it is given up as unscannable."""

    workers: Annotated[int, Meta(ge=0)] = 0
    """Decoding children; 0 means one for each core that this process may use."""
    wall_seconds: PositiveSeconds = 20.0
    """Time for one file."""
    memory_bytes: Annotated[int, Meta(ge=256 * MIB)] = 3072 * MIB
    """Address space of one child."""
    max_pixels: Positive = 220_000_000
    """Width times height of one frame; the largest phone sensors give 200 million."""
    max_frames: Positive = 256
    """Frames or pages read of one item."""
    max_file_bytes: Positive = 512 * MIB
    """Size up to which a picture is decoded; of larger ones only digests are made."""
    video_interval: PositiveSeconds = 1.0
    """Seconds of a video from one sampled frame to the next."""
    banked_video_interval: PositiveSeconds = 0.1
    """The same for a video that is banked: banked densely, it is found however a copy was cut."""
    video_seconds: PositiveSeconds = 300.0
    """Time for decoding one video; what was hashed until then counts."""
    max_video_frames: Annotated[int, Meta(ge=1, le=MOST_VIDEO_FRAMES)] = 10_000
    """Sampled frames of one video."""
    max_video_bytes: Positive = 16 * 1024 * MIB
    """Size up to which a video is decoded; of larger ones only digests are made."""

    def for_banking(self) -> MediaSettings:
        """The settings by which videos are banked: sampled more densely, and as far in time as they are asked about."""
        denser = max(1.0, self.video_interval / self.banked_video_interval)
        frames = min(MOST_VIDEO_FRAMES, round(self.max_video_frames * denser))
        return msgspec.structs.replace(
            self,
            video_interval=self.video_interval / denser,
            max_video_frames=frames,
            video_seconds=self.video_seconds * 2,
        )


class MatchingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an entry that pictures come near is put into quarantine."""

    flood_threshold: Annotated[int, Meta(ge=2)] = 20
    """So many unlike pictures near one entry send its near matches to review."""
    flood_window_days: Annotated[float, Meta(gt=0, le=3650)] = 7.0
    """The time within which they must come."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where banks, jobs, keys and the audit are kept."""

    url: str = ""
    """``postgresql://user@host:5432/name``, with the options of libpq; empty means SQLite in the data folder."""
    password_file: str = ""
    """File that holds the password; it is read anew for each connection, so that it can be changed at any time."""

    def __post_init__(self) -> None:
        """Refuse what is no URL of PostgreSQL, or holds a password, which would be shown with the other settings."""
        if not self.url:
            return
        try:
            url = urlsplit(self.url)
            usable = url.scheme in {"postgresql", "postgres"} and len(url.path) > 1 and url.port != 0
        except ValueError:  # a port that is no number, or half an IPv6 address
            usable = False
        if not usable:
            raise ValueError("store.url must read postgresql://user@host:5432/name, or be empty for SQLite")
        if url.password is not None or "password" in parse_qs(url.query, keep_blank_values=True):
            raise ValueError("store.url must hold no password: put it into a file that store.password_file names")


class ScorerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scorer: what it is, where it is, and what its rating may do."""

    kind: Literal["llama_guard", "safeguard", "shieldgemma", "local"]
    """How it is asked and answers; ``local`` is the embedding scorer of this machine."""
    url: str = ""
    """Where the OpenAI-compatible interface begins, such as ``http://127.0.0.1:8000/v1``."""
    model: str = ""
    """Name of the model there."""
    private: bool = False
    """Whether the host may lie on this machine or in its own network; plain http is possible only then."""
    key_file: str = ""
    """File that holds the key of the interface; none is sent when empty."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust; the system's when empty."""
    policy_file: str = ""
    """File of the policy that ``safeguard`` and ``shieldgemma`` judge by."""
    seconds: PositiveSeconds = 5.0
    """Time for one rating."""
    threshold: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Probability from which a rating counts."""
    when_violation: Literal["review", "refuse"] = "review"
    """What a remote scorer's rating does; the local one's never does more than review."""
    when_unavailable: Literal["ignore", "review"] = "review"
    """What it does when there is no rating; it is recorded in either case."""


class PrivatePacks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an operator's own packs are."""

    files: tuple[str, ...]
    """Paths of sealed or hashed packs; each says itself which it is."""
    key_file: str
    """Path of the file that holds their key."""


class PromptSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How prompts are screened."""

    packs: str = "all"
    """Name of a shipped set of packs, or path of a folder of packs."""
    private: PrivatePacks | None = None
    """The operator's own packs, beside those of ``packs``."""
    overlays: tuple[str, ...] = ()
    """Rule files of the operator."""
    too_long: Literal["refuse", "review"] = "refuse"
    """The verdict on prompts that are too long to be screened."""
    scorers: tuple[ScorerSettings, ...] = ()
    """Optional scorers; none by default."""


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the service listens, and how far a request may go."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """Port to listen on; 0 takes a free one."""
    workers: Annotated[int, Meta(ge=0, le=256)] = 0
    """Processes that answer; 0 means one for each core that this process may use."""
    connections: Annotated[int, Meta(ge=8)] = 1_000
    """Open connections of each worker; those beyond are answered 503 and closed."""
    header_bytes: Annotated[int, Meta(ge=1024, le=MIB)] = 32 * 1024
    """Size of a request's line and headers."""
    body_bytes: Positive = 8 * MIB
    """Size of a body that is no upload."""
    upload_bytes: Positive = 100 * MIB
    """Size of an upload, all its files together; also of what is fetched from a URL."""
    upload_memory_bytes: Positive = 1024 * MIB
    """Memory of each worker for the uploads that it has at once; what comes beyond is answered 503."""
    upload_files: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Files in one upload."""
    header_seconds: PositiveSeconds = 10.0
    """Time for the headers of a request."""
    body_seconds: PositiveSeconds = 60.0
    """Time for the body of a request."""
    idle_seconds: PositiveSeconds = 30.0
    """Time that a connection may stay open between requests."""
    shutdown_seconds: PositiveSeconds = 30.0
    """Time for requests under way when the service is told to stop."""
    key_per_minute: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 600_000
    """Requests a minute of a key that has no limit of its own, on all servers together."""
    alarm_near_per_hour: Positive = 500
    """Near matches of one key within an hour above which there is an alarm."""
    alarm_rim_per_hour: Positive = 25
    """The same for matches at the rim of a radius, of which a search for one hash takes 32 or more."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies that are believed who the client is (``X-Forwarded-For``)."""
    hma_at_root: bool = False
    """Whether HMA's paths are also found without the prefix ``/hma``."""
    log_requests: Literal["failed", "all"] = "failed"
    """Which requests are logged, a line each: those that failed inside, or all."""


class FetchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From where the service fetches URLs that callers name; from nowhere by default."""

    allow_hosts: tuple[str, ...] = ()
    """Host names or addresses, with or without a port; without one, the ports 443 and 80 are allowed."""
    allow_private: bool = False
    """Whether names may lead to private addresses; an address that is named itself may be one in any case."""
    seconds: PositiveSeconds = 10.0
    """Time for one URL, redirects included."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set, with its default."""

    data_dir: str = ""
    """Folder of the database and of snapshots; empty means ``$XDG_DATA_HOME/rempart``."""
    store: StoreSettings = StoreSettings()
    media: MediaSettings = MediaSettings()
    matching: MatchingSettings = MatchingSettings()
    prompts: PromptSettings = PromptSettings()
    serve: ServeSettings = ServeSettings()
    fetch: FetchSettings = FetchSettings()

    @property
    def data_path(self) -> Path:
        """The data folder as an absolute path; it need not exist yet."""
        if self.data_dir:
            return Path(self.data_dir).expanduser().absolute()
        return xdg_folder("XDG_DATA_HOME", ".local/share") / "rempart"


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and for each dotted name the place its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, user_file: Path | None = None
) -> Loaded:
    """Read the one configuration file and the environment into frozen settings.

    Args:
        config: the file given on the command line; it wins over ``$REMPART_CONFIG``, which wins over the user's file.
        environ: the environment; the process's own by default.
        user_file: where the user's file lies; ``$XDG_CONFIG_HOME/rempart/config.toml`` by default.

    Raises:
        ConfigError: a named file is missing or unreadable, is not TOML, or holds an unknown key or a wrong value.
    """
    environ = os.environ if environ is None else environ
    path = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if path is None:
        default = user_file or xdg_folder("XDG_CONFIG_HOME", ".config") / "rempart" / "config.toml"
        path = default if default.is_file() else None
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if path is not None:
        tree = _read(path)
        _check(tree, f"in {path}")
        origins = dict.fromkeys(_leaves(tree), str(path))
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX):
            keys = variable[len(ENV_PREFIX) :].lower().split("__")
            _put(tree, keys, text, variable)
            origins[".".join(keys)] = f"${variable}"
            _check(tree, f"in ${variable}")
    settings = _check(tree, "in the settings")
    return Loaded(settings, {name: origins.get(name, "default") for name in _leaves(msgspec.to_builtins(Settings()))})


def xdg_folder(variable: str, fallback: str) -> Path:
    """A folder of the XDG base directory specification; relative values are ignored, as it demands."""
    value = os.environ.get(variable, "")
    return Path(value) if Path(value).is_absolute() else Path.home() / fallback


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # tomllib's own, and of numbers and depths beyond its reach
        raise ConfigError(f"the configuration {path} is not valid TOML: {error}") from None


def _check(tree: dict[str, Any], where: str) -> Settings:
    try:
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{error} {where}; `rempart config show` lists every setting") from None
    except UnicodeEncodeError:
        raise ConfigError(f"a name or value is not UTF-8 {where}; `rempart config show` lists every setting") from None


def _put(tree: dict[str, Any], keys: list[str], text: str, variable: str) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"${variable} names a part of a setting that has no parts")
    tree[keys[-1]] = text


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"

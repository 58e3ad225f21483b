from __future__ import annotations

from pathlib import Path

import pytest

from rempart.errors import ConfigError
from rempart.people.allowance import PER_MINUTE
from rempart.people.counter import NEAR_PER_HOUR, RIM_PER_HOUR
from rempart.settings import ServeSettings, Settings, load_settings


def written(path: Path, text: str) -> Path:
    """A file with this text."""
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_every_value_is_a_default(tmp_path: Path) -> None:
    """Nothing needs to be set up before the first command."""
    loaded = load_settings(environ={}, user_file=tmp_path / "none.toml")
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_the_environment_wins_over_the_file_and_each_value_knows_its_origin(tmp_path: Path) -> None:
    """`REMPART__MEDIA__WORKERS` overrides the same key of the file, and only that."""
    file = written(tmp_path / "c.toml", "[media]\nworkers = 3\nmax_frames = 7\n")
    loaded = load_settings(file, environ={"REMPART__MEDIA__WORKERS": "5"})
    assert (loaded.settings.media.workers, loaded.settings.media.max_frames) == (5, 7)
    assert loaded.origins["media.workers"] == "$REMPART__MEDIA__WORKERS"
    assert loaded.origins["media.max_frames"] == str(file)
    assert loaded.origins["data_dir"] == "default"


def test_the_file_on_the_command_line_wins_over_the_environments_which_wins_over_the_users(tmp_path: Path) -> None:
    """One file is read: the first of --config, $REMPART_CONFIG and the user's own."""
    given, named, own = (written(tmp_path / f"{n}.toml", f"[media]\nworkers = {n}\n") for n in (1, 2, 3))
    environ = {"REMPART_CONFIG": str(named)}
    assert load_settings(given, environ=environ, user_file=own).settings.media.workers == 1
    assert load_settings(environ=environ, user_file=own).settings.media.workers == 2
    assert load_settings(environ={}, user_file=own).settings.media.workers == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[media]\nwokers = 3\n", "wokers"),
        ("[media]\nworkers = -1\n", "$.media.workers"),
        ("[media]\nworkers = 'many'\n", "$.media.workers"),
        ("media = 3\n", "$.media"),
        ("[media\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_file(tmp_path: Path, text: str, told: str) -> None:
    """Unknown keys are errors: a misspelt limit must not silently be the default."""
    file = written(tmp_path / "c.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ={})
    assert told in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path) -> None:
    """The message names the variable, for there may be no file at all."""
    for name in ("REMPART__MEDIA__WORKERS", "REMPART__NOSUCH", "REMPART__DATA_DIR__X"):
        with pytest.raises(ConfigError, match=name):
            load_settings(environ={name: "x", "REMPART__DATA_DIR": "/d"}, user_file=tmp_path / "none.toml")


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """Only the user's own file may be absent."""
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(tmp_path / "none.toml", environ={})


def test_the_data_folder_follows_the_xdg_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$XDG_DATA_HOME/rempart`, unless it is relative, which the specification says to ignore."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert tmp_path / "rempart" == Settings().data_path
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert Path.home() / ".local/share/rempart" == Settings().data_path
    assert Path("/elsewhere") == Settings(data_dir="/elsewhere").data_path


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:///x.db", "must read postgresql://"),
        ("mysql://root@host/x", "must read postgresql://"),
        ("postgresql://host:port/x", "must read postgresql://"),
        ("postgresql://[::1/x", "must read postgresql://"),
        ("postgresql://host", "must read postgresql://"),
        ("postgresql://host/", "must read postgresql://"),
        ("lighthouse", "must read postgresql://"),
        ("postgresql://me:lighthouse@host/x", "must hold no password"),
        ("postgresql://me:@host/x", "must hold no password"),
        ("postgresql://me@host/x?password=lighthouse", "must hold no password"),
    ],
)
def test_a_url_of_a_database_that_cannot_be_used_is_refused_without_being_quoted(url: str, problem: str) -> None:
    """It may hold a password, which errors and `rempart config show` would show."""
    with pytest.raises(ConfigError, match=rf"^store\.url {problem}") as caught:
        load_settings(environ={"REMPART__STORE__URL": url})
    assert "lighthouse" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@db.example:5432/rempart?sslmode=verify-full",
        "postgres://db/x",
        "postgresql:///x?host=/run/postgresql",
        "postgresql://[::1]:5432/x",
    ],
)
def test_a_url_of_postgresql_is_taken_as_it_is(url: str) -> None:
    """Options of libpq included."""
    assert load_settings(environ={"REMPART__STORE__URL": url}).settings.store.url == url


def test_the_service_limits_keys_as_the_parts_that_do_it_would_by_themselves() -> None:
    """The defaults are written in two places, because the settings know nothing of keys."""
    serve = ServeSettings()
    assert serve.key_per_minute == PER_MINUTE
    assert (serve.alarm_near_per_hour, serve.alarm_rim_per_hour) == (NEAR_PER_HOUR, RIM_PER_HOUR)

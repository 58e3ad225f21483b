"""The limits of a target hold, and the runner finds, keeps and replays what breaks one."""

from __future__ import annotations

import contextlib
import re
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz import run
from fuzz.target import GROWTH_BYTES, TOGETHER, OverBudgetError, Target, check, file_of, find, names
from rempart.errors import ExitCode


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a target that breaks on one word."""
    from fuzz import lists  # noqa: PLC0415 -- patched for this test only

    monkeypatch.setitem(lists.TARGETS, "fragile", Target(_breaks, lambda: [b"gulls"]))
    return "lists.fragile"


def _breaks(data: bytes) -> None:
    if data == b"storm":
        raise ValueError("broken")


@pytest.mark.parametrize("name", names())
def test_every_target_holds_on_its_own_seeds(name: str) -> None:
    """None of which is longer than the target takes."""
    target = find(name)
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        assert len(seed) <= target.longest or name == "media.sniff"
        check(target, seed)


def test_what_spins_is_ended_even_if_it_swallows_errors() -> None:
    """A parser that catches everything cannot catch that its time is over."""

    def spins(_: bytes) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.monotonic()

    with pytest.raises(OverBudgetError):
        check(Target(spins, list, seconds=0.05), b"")


def test_a_slow_expression_is_ended() -> None:
    """The engine of regular expressions lets signals through."""
    slow = re.compile(r"(a+)+b")
    with pytest.raises(OverBudgetError):
        check(Target(lambda data: slow.fullmatch(data.decode()) and None, list, seconds=0.05), b"a" * 40)


def test_what_takes_too_much_memory_is_told() -> None:
    """Bytes that are touched, not only asked for."""
    peak = bytearray()

    def grows(_: bytes) -> None:
        peak.extend(b"x" * (3 * GROWTH_BYTES // 2))

    with pytest.raises(OverBudgetError):
        check(Target(grows, list), b"")


def test_a_file_in_memory_has_what_was_last_put_into_it() -> None:
    """A shorter content leaves nothing of the longer one."""
    file_of("x", b"a lighthouse")
    assert file_of("x", b"sea").read_bytes() == b"sea"


def test_replaying_tells_whether_an_input_still_breaks_its_target(
    fragile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without atheris."""
    calm, storm = tmp_path / "calm", tmp_path / "storm"
    calm.write_bytes(b"calm")
    storm.write_bytes(b"storm")
    assert run.main([fragile, "--replay", str(calm)]) == ExitCode.CLEAN
    assert "nothing found" in capsys.readouterr().out
    with pytest.raises(ValueError, match="broken"):
        run.main([fragile, "--replay", str(calm), str(storm)])


def test_together_the_first_byte_says_which_target_gets_the_rest(fragile: str) -> None:
    """So that a short time is shared by all."""
    every = names()
    check(find(TOGETHER), b"")
    check(find(TOGETHER), bytes([every.index("lists.hash")]) + b"storm")
    with pytest.raises(ValueError, match="broken"):
        check(find(TOGETHER), bytes([every.index(fragile)]) + b"storm")


@pytest.mark.parametrize(
    "arguments", [["no.such"], ["--replay", "x"], ["lists", "--replay", "x"]], ids=["unknown", "none", "several"]
)
def test_a_target_that_is_not_meant_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the names that there are."""
    assert run.main(arguments) == ExitCode.USAGE
    assert "lists.hash_file" in capsys.readouterr().err


def test_without_atheris_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And what to install."""
    monkeypatch.setattr(run, "find_spec", lambda _: None)
    assert run.main(["lists"]) == ExitCode.UNAVAILABLE
    assert ".[fuzz]" in capsys.readouterr().err


def test_the_corpus_never_lies_in_the_source_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs that were found are no part of the project."""
    monkeypatch.setattr(run, "find_spec", lambda _: object())
    assert run.main(["lists", "--corpus", str(Path(run.__file__).parent / "corpus")]) == ExitCode.USAGE


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: pip install -e '.[fuzz]'")
def test_atheris_runs_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a second, into a corpus that begins with the seeds."""
    assert run.main(["net.address", "--seconds", "1", "--corpus", str(tmp_path)]) == ExitCode.CLEAN
    assert re.search(r"net\.address: [1-9]\d+ runs, [1-9]\d* branches", capsys.readouterr().out)
    assert list((tmp_path / "net.address" / "corpus").iterdir())


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: pip install -e '.[fuzz]'")
def test_what_broke_a_target_is_told_until_it_is_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that tries it again."""
    broken = tmp_path / "net.address" / "broken" / "crash-0"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"::1")
    assert run.main(["net.address", "--seconds", "1", "--corpus", str(tmp_path)]) == ExitCode.FOUND
    assert f"python -m fuzz.run net.address --replay {broken}" in capsys.readouterr().out

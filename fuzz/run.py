"""Fuzz targets one after another, keep what breaks them, and say how to try it again.

``python -m fuzz.run [TARGET | ROOM ...] --seconds 600 --corpus FOLDER`` needs atheris (the extra ``fuzz``); with
``--replay FILE...`` a single target is run on files, which needs no more than rempart.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fuzz.target import TOGETHER, check, find, names
from rempart.errors import ExitCode, worst

_TOP: Final = Path(__file__).resolve().parents[1]
_WALL_SECONDS: Final = 30
"""For one input; libFuzzer's own alarm, for what spins without coming back to Python."""
_MEMORY_MIB: Final = 2048
_FOUND: Final = ("crash-", "timeout-", "oom-", "leak-")
_SPARE_SECONDS: Final = 120
_SAID: Final = re.compile(r"^(?:\w[\w.]*(?:Error|Exception|Refused)\b.*|==\d+== ERROR.*)$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code is 1 when something was found."""
    given = _parser().parse_args(arguments)
    known = {name: {name, name.partition(".")[0]} for name in names()} | {TOGETHER: {TOGETHER}}
    wanted = set(given.targets or names())
    chosen = [name for name, meant in known.items() if meant & wanted]
    unknown = sorted(wanted - set().union(*known.values()))
    if unknown or (given.replay and len(chosen) != 1):
        print(f"there is no target {unknown[0]}" if unknown else "name one target to replay", file=sys.stderr)
        print("targets: " + " ".join(known), file=sys.stderr)
        return ExitCode.USAGE
    if given.replay:
        return _replay(chosen[0], given.replay)
    if find_spec("atheris") is None:
        print("atheris is not installed, so nothing is fuzzed: pip install -e '.[fuzz]'", file=sys.stderr)
        return ExitCode.UNAVAILABLE
    folder = (given.corpus or Path(tempfile.mkdtemp(prefix="rempart-fuzz-"))).resolve()
    if folder.is_relative_to(_TOP):
        print("the corpus lies outside of the source tree: name another folder", file=sys.stderr)
        return ExitCode.USAGE
    end = worst({_fuzz(name, folder / name, given.seconds) for name in chosen})
    if end == ExitCode.CLEAN and not given.corpus:
        shutil.rmtree(folder)
    else:
        print(f"the corpus is in {folder}")
    return end


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="or a room, or together; all, one by one, when none",
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="where inputs are kept from run to run")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="run one target on these inputs")
    return parser


def _replay(name: str, paths: Sequence[Path]) -> int:
    """Run a target on files; what it raises ends the process with its traceback, as a debugger wants it."""
    target = find(name)
    for path in paths:
        check(target, path.read_bytes())
    print(f"{name}: {len(paths)} inputs, nothing found")
    return ExitCode.CLEAN


def _fuzz(name: str, folder: Path, seconds: int) -> ExitCode:
    """Fuzz one target, and tell of the inputs that broke it, now or in an earlier run."""
    corpus, broken = folder / "corpus", folder / "broken"
    corpus.mkdir(parents=True, exist_ok=True)
    broken.mkdir(exist_ok=True)
    target = find(name)
    for seed in target.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:40]).write_bytes(seed)
    words = folder / "words"
    words.write_text('"\\x00"\n' + "".join(f'"{_escaped(word)}"\n' for word in target.words))  # never empty: an error
    command = [
        *(sys.executable, "-m", "fuzz.engine", name, str(corpus), f"-artifact_prefix={broken}/", f"-dict={words}"),
        *(f"-max_total_time={seconds}", f"-max_len={target.longest}", f"-timeout={_WALL_SECONDS}"),
        *(f"-rss_limit_mb={_MEMORY_MIB}", "-print_final_stats=1", "-verbosity=1"),
    ]
    log = folder / "log"
    with log.open("wb") as stream:
        ended = subprocess.run(  # noqa: S603 -- our own interpreter and our own module
            command, cwd=_TOP, stdout=stream, stderr=stream, check=False, timeout=seconds + _SPARE_SECONDS
        )
    text = log.read_text(errors="replace")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", text)
    covered = re.findall(r"cov: (\d+)", text)
    print(f"{name}: {runs[1] if runs else 'no'} runs, {covered[-1] if covered else 'no'} branches", flush=True)
    inputs = sorted(path for path in broken.iterdir() if path.name.startswith(_FOUND))
    if ended.returncode:
        print("\n".join(f"  {line[:200]}" for line in _SAID.findall(text)[:3] or [f"did not run; see {log}"]))
    for path in inputs:
        print(f"  try again: python -m fuzz.run {name} --replay {path}", flush=True)
    if inputs:
        return ExitCode.FOUND
    return ExitCode.INTERNAL if ended.returncode else ExitCode.CLEAN


def _escaped(word: bytes) -> str:
    """A word as libFuzzer's dictionaries write it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())

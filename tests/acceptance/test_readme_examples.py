"""The README's examples of the service, run as they are written there, against a real server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"<!-- (service[ a-z]*) -->\n```([a-z]+)\n(.*?)```\n", re.DOTALL)
PORT: Final = "8080"
"""The README's; here another one takes its place, since it may be taken."""

ELLIPSIS: Final = "…"
LONGEST_SECONDS = 90.0


class Shell:
    """A shell into which one types; its output is read all along.

    Args:
        folder: where it is, and where the commands keep their data.
    """

    def __init__(self, folder: Path) -> None:
        # What was compiled once need not be again.
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        home = {"HOME": str(folder), "XDG_CACHE_HOME": cache}
        self.process = subprocess.Popen(
            ["bash", "-u"],  # noqa: S607 -- whichever there is
            cwd=folder,
            env={"PATH": programs} | home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.errors = ""
        self._output = ""
        self._ends = 0
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for stream, name in ((self.process.stdout, "_output"), (self.process.stderr, "errors"))
        ]
        for thread in self._threads:
            thread.start()

    def run(self, lines: str, until: str = "") -> str:
        """What some lines write to standard output until they have ended, and until it holds some words.

        Raises:
            AssertionError: they do not end in time.
        """
        self._ends += 1
        start, end = len(self._output), f"\n-- end {self._ends} --\n"
        self._type(f"{lines}\nprintf '\\n-- end {self._ends} --\\n'\n")
        deadline = time.monotonic() + LONGEST_SECONDS
        while end not in self._output or until not in self._output[start:]:
            assert time.monotonic() < deadline, f"{self._output[start:]}{self.errors}"
            assert self.process.poll() is None, self.errors
            time.sleep(0.02)
        return self._output[start:].replace(end, "")

    def end(self) -> int:
        """End what runs in the background, and the shell when that has ended; its exit code."""
        self._type('jobs=$(jobs -p)\nkill $jobs\nfor job in $jobs; do wait "$job" || exit; done\nexit 0\n')
        try:
            code = self.process.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own session: the shell, and what it has started
            code = self.process.wait()
        for thread in self._threads:
            thread.join(LONGEST_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code

    def _type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    def _read(self, stream: IO[bytes], name: str) -> None:
        while chunk := os.read(stream.fileno(), 65_536):
            setattr(self, name, getattr(self, name) + chunk.decode())


def blocks(name: str) -> list[str]:
    """The README's blocks of a name, in their order."""
    return [content for found, _, content in BLOCK.findall(README.read_text(encoding="utf-8")) if found == name]


def missing(block: str, output: str) -> str:
    """The first piece of what a block's comments promise that the output has not where it is due; else nothing."""
    at = 0
    for line in block.splitlines():
        if line.startswith("# "):
            for piece in line[2:].split(ELLIPSIS):
                at = output.find(piece, at)
                if at < 0:
                    return piece
                at += len(piece)
    return ""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in which the service runs, started as the README says."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed, with which the README asks the service")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    (start,) = blocks("service")
    assert PORT in start
    shell = Shell(tmp_path_factory.mktemp("reader"))
    try:
        shell.run(start.replace(PORT, port), until=f"rempart serves at http://127.0.0.1:{port}\n")
        yield shell
    finally:
        code = shell.end()
    assert code == 0, shell.errors


@pytest.mark.parametrize("block", blocks("service example"))
def test_the_commands_of_the_readme_say_what_it_says_that_they_say(shell: Shell, block: str) -> None:
    """Copied line by line, comments and all."""
    assert block.count("curl ") == block.count("# {")
    output = shell.run(block)
    assert missing(block, output) == "", output


@pytest.mark.parametrize("block", blocks("service python"))
def test_the_python_of_the_readme_prints_what_it_says_that_it_prints(shell: Shell, block: str, tmp_path: Path) -> None:
    """Nothing but that."""
    program = tmp_path / "example.py"
    program.write_text(block, encoding="utf-8")
    output = shell.run(f"python3 {program}")
    assert [f"# {line}" for line in output.split("\n") if line] == [
        line for line in block.splitlines() if line.startswith("# ")
    ]


def test_every_marked_block_of_the_readme_is_run() -> None:
    """A marker that is spelled in another way would leave its block untested."""
    names = re.findall(r"<!-- (service.*?) -->", README.read_text(encoding="utf-8"))
    assert names == ["service", "service example", "service example", "service python"]
    assert [name for name, _, _ in BLOCK.findall(README.read_text(encoding="utf-8"))] == names

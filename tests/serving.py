"""A real `rempart serve` for tests: started on a free port, ready when the ``with`` begins, ended with it."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from tests.stores import Place

from rempart.lists import HashValue, create_bank, import_hashes
from rempart.people import Scope, create_key
from rempart.store.tables import HashKind

START_SECONDS = 90.0
"""Machines that run tests are busy."""


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:  # noqa: ANN401 -- what a test expects
        """The body, decoded."""
        return json.loads(self.content)


def bank_one(place: Place, name: str = "LIST") -> bytes:
    """Bank one random hash, so that there is something to compare with."""
    value = secrets.token_bytes(32)
    with place.open() as store:
        create_bank(store, name)
        import_hashes(store, name, [HashValue(HashKind.PDQ, value)])
    return value


def key_for(place: Place, *scopes: Scope, name: str = "") -> str:
    """The secret of a new key; it may do everything unless scopes are named."""
    with place.open() as store:
        return create_key(store, name or f"test-{secrets.token_hex(4)}", scopes or list(Scope))[1]


class Serving:
    """The command as a process.

    Args:
        place: its database.
        workers: its processes.
        settings: environment variables without the prefix, such as ``{"SERVE__CONNECTIONS": "8"}``.
        ready: whether to wait for the ready line; else only until it listens.
        through: a command that runs the one behind it, in surroundings of its making.
    """

    def __init__(
        self,
        place: Place,
        *,
        workers: int = 1,
        settings: Mapping[str, str] | None = None,
        ready: bool = True,
        through: Sequence[str] = (),
    ) -> None:
        self.place = place
        self._workers = workers
        self._environ = {f"REMPART__{name}": value for name, value in (settings or {}).items()}
        self._ready = ready
        self._through = through
        self._out: IO[bytes]
        self._err = bytearray()
        self.line = ""
        self.key = ""

    def __enter__(self) -> Self:
        rempart = str(Path(sys.executable).with_name("rempart"))
        command = [*self._through, rempart, "serve", "--port", "0", "--workers", str(self._workers)]
        environ = os.environ | dict(self.place.environ) | self._environ
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        try:
            if self._ready:
                self.line = self.ready_line()
            else:
                self.line = self._wait_for_stderr("listening at ")
        except BaseException:
            self.process.kill()
            raise
        self.url = next(word.rstrip(",;") for word in self.line.split() if word.startswith("http://"))
        self.port = int(self.url.rpartition(":")[2])
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.logged()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def ready_line(self, seconds: float = START_SECONDS) -> str:
        """The next line on standard output."""
        out = self.process.stdout
        assert out is not None
        line = bytearray()
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            self.logged()
            if select.select([out], [], [], 0.1)[0]:
                chunk = os.read(out.fileno(), 4096)
                assert chunk, f"it ended: {self.logged()}"
                line += chunk
            assert time.monotonic() < deadline, f"no line within {seconds} s: {self.logged()}"
        return line.decode()

    def logged(self) -> str:
        """Everything on standard error so far."""
        err = self.process.stderr
        if err is not None and not err.closed:
            while chunk := err.read(65_536):
                self._err += chunk
        return self._err.decode()

    def _wait_for_stderr(self, words: str) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for line in self.logged().splitlines():
                if words in line:
                    return line
            assert self.process.poll() is None, self.logged()
            time.sleep(0.05)
        raise AssertionError(f"no {words!r}: {self.logged()}")

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str = "",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> Answer:
        """One request on a connection of its own; whatever the status."""
        request = urllib.request.Request(self.url + path, data=content, method=method, headers=dict(headers or {}))  # noqa: S310 -- our own server
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 -- as above
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def workers(self) -> list[int]:
        """The process numbers of the workers."""
        return children(self.process.pid)

    def replaced(self, pid: int, seconds: float = 60.0) -> bool:
        """Whether there are all workers again, in time, and this one is not among them."""
        deadline = time.monotonic() + seconds
        while len(found := self.workers()) < self._workers or pid in found:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def read_answer(connection: socket.socket) -> bytes:
    """Everything until the server closes, or has sent a whole answer with a length."""
    read = bytearray()
    while chunk := connection.recv(65_536):
        read += chunk
        head, separator, body = bytes(read).partition(b"\r\n\r\n")
        if separator:
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None
            )
            if length is not None and len(body) >= length:
                break
    return bytes(read)


def gone(pids: Collection[int], seconds: float = 30.0) -> bool:
    """Whether all of these processes end in time."""
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def kill(pid: int) -> None:
    """``kill -9``."""
    os.kill(pid, signal.SIGKILL)

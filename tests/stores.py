"""Databases for tests: a new one for each test, in SQLite or in PostgreSQL, and a PostgreSQL server of one's own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self

from rempart.settings import StoreSettings
from rempart.store import Store, open_store
from rempart.store.sqlite import FILE_NAME

SERVER = "postgresql://postgres@127.0.0.1:5432"
"""The server of the tests: it trusts whoever asks."""


class Place(NamedTuple):
    """A data folder and the settings of a database, empty or with the present schema.

    Attributes:
        folder: the data folder.
        settings: where the database is.
    """

    folder: Path
    settings: StoreSettings = StoreSettings()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return "postgresql" if self.settings.url else "sqlite"

    @property
    def environ(self) -> Mapping[str, str]:
        """What has commands use it."""
        return {"REMPART__DATA_DIR": str(self.folder), "REMPART__STORE__URL": self.settings.url}

    def open(self) -> Store:
        """Open it once more."""
        if not self.settings.url:
            self.make()
        return open_store(self.folder, self.settings)

    def make(self) -> None:
        """Make the file with the present schema, unless it is there: a copy takes a tenth of the time."""
        if not (self.folder / FILE_NAME).exists():
            shutil.copytree(_made_folder(), self.folder, dirs_exist_ok=True)


class Postgres:
    """The server of the tests, and a database there with the present schema, of which others are copies.

    Copies are made and dropped by a thread, a few ahead of the tests: each takes a tenth of a second.
    """

    SPARE = 3

    def __init__(self, url: str = SERVER) -> None:
        self.url = url
        self._template = f"rempart_{secrets.token_hex(6)}"
        self._admins: dict[int, Any] = {}
        self._copying = ThreadPoolExecutor(1, "copying")
        self._spare: deque[Future[str]] = deque()
        self._dropped: list[Future[None]] = []

    def run(self, statement: str) -> list[Any]:
        """Run a statement that cannot stand in a transaction."""
        import psycopg  # noqa: PLC0415 -- an extra

        thread = threading.get_ident()
        if thread not in self._admins:
            self._admins[thread] = psycopg.connect(f"{self.url}/postgres", autocommit=True, connect_timeout=5)
        cursor = self._admins[thread].execute(statement)
        return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, *, empty: bool = False) -> Iterator[StoreSettings]:
        """A new database, dropped at the end whoever is connected; with the present schema unless it is to be empty."""
        if empty:
            name = self._made("template0")
        else:
            self._spare += [self._copying.submit(self._copied) for _ in range(1 + self.SPARE - len(self._spare))]
            name = self._spare.popleft().result()
        try:
            yield StoreSettings(url=f"{self.url}/{name}")
        finally:
            self._dropped.append(self._copying.submit(self._drop, name))

    def close(self) -> None:
        """Leave nothing behind.

        Raises:
            psycopg.Error: a database could not be dropped.
        """
        names = [*(spare.result() for spare in self._spare), self._template]
        self._dropped += [self._copying.submit(self._drop, name) for name in names]
        self._copying.shutdown()
        for admin in self._admins.values():
            admin.close()
        for dropped in self._dropped:
            dropped.result()

    def _made(self, template: str) -> str:
        name = f"rempart_{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")  # else all goes through the log
        return name

    def _copied(self) -> str:
        if not self.run(f"SELECT 1 FROM pg_database WHERE datname = '{self._template}'"):  # noqa: S608
            self.run(f"CREATE DATABASE {self._template} TEMPLATE template0")
            with tempfile.TemporaryDirectory() as folder:
                open_store(Path(folder), StoreSettings(url=f"{self.url}/{self._template}")).close()
        return self._made(self._template)

    def _drop(self, name: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Cluster:
    """A PostgreSQL server of a test's own, which it may kill; to be used as a context manager.

    Attributes:
        port: where it listens on 127.0.0.1; the same after each start.
        url: of the server, without a database.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="rempart-pg-"))
        # The server refuses to be run by root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}"
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            made = ["initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
            made[0] = str(self._programs / made[0])
            subprocess.run(made, cwd=self._folder, user=self._user, check=True, capture_output=True)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    @property
    def settings(self) -> StoreSettings:
        """A database there, which is empty at first."""
        return StoreSettings(url=f"{self.url}/postgres")

    def start(self, **options: str | int) -> None:
        """Start the server and wait until it answers.

        Args:
            options: settings of the server, which hold until it is stopped.
        """
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | options
        command = [str(self._programs / "postgres"), "-D", "data"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(command, cwd=self._folder, user=self._user, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while reason_to_skip(self.url):
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def demand_passwords(self) -> None:
        """From now on nobody is let in without one."""
        (self._folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        if self._server is not None:
            self._server.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End all sessions, and the server in good order."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(60)
            self._server = None

    def kill(self) -> None:
        """Kill every process of the server at once."""
        if self._server is not None:
            self._signal(signal.SIGKILL)
            self._server.wait(60)
            self._server = None

    def halt(self) -> None:
        """Have it answer nobody, though it is there; until :meth:`go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._server is not None:
            children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split()
            for process in (self._server.pid, *map(int, children)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)


@functools.cache
def _made_folder() -> Path:
    """A data folder with the present schema, of which others are copies."""
    folder = Path(tempfile.mkdtemp(prefix="rempart-made-"))
    atexit.register(shutil.rmtree, folder)
    open_store(folder / "data").close()
    return folder / "data"


def server_programs() -> Path | None:
    """The folder of the newest PostgreSQL server that is installed; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found and (on_path := shutil.which("initdb")):
        found = [Path(on_path).resolve()]
    return found[-1].parent if found else None


def reason_to_skip(url: str = SERVER) -> str:
    """Why the server of the tests cannot be used; empty if it can."""
    try:
        import psycopg  # noqa: PLC0415 -- an extra
    except ImportError:
        return "psycopg is not installed: it comes with the extra postgres"
    try:
        psycopg.connect(f"{url}/postgres", connect_timeout=5).close()
    except psycopg.OperationalError:
        return "no PostgreSQL answers on 127.0.0.1:5432"
    return ""

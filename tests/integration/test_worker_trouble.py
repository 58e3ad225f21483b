"""Real `rempart worker` processes that get in each other's way: two on one job, and one on a disk that is full."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from tests.stores import Place

from rempart.errors import ExitCode
from rempart.jobs import JobState, enqueue, get_job, list_jobs
from rempart.jobs.worker import TROUBLE_SECONDS
from rempart.lists import Content, HashValue, add_contents, create_bank
from rempart.lists.compaction import KIND, CompactBank
from rempart.store import Store
from rempart.store.tables import HashKind

REMPART = Path(sys.executable).with_name("rempart")
LONGEST_SECONDS = 60.0

# The command with a handler of the test's: it says that it has begun, waits to be allowed to go on, and writes once.
WORKER = """
import sys, time
from pathlib import Path
import msgspec
from sqlalchemy import text
from rempart.cli import main
from rempart.jobs import Handler, registry

class Errand(msgspec.Struct):
    folder: str

def run(work):
    folder = Path(work.payload.folder)
    (folder / f"begun-{work.attempt}").touch()
    while work.attempt == 1 and not (folder / "go").exists():
        time.sleep(0.02)
    with work.finishing() as connection:
        connection.execute(text("INSERT INTO effects VALUES (:attempt)"), {"attempt": work.attempt})

registry.add(lambda settings: [Handler("errand", Errand, run, 1.0)])
main(["worker"])
"""


class Errand(msgspec.Struct):
    """What the jobs of these tests are about."""

    folder: str


class Workers:
    """Starts worker processes, whose words go to files of their own."""

    def __init__(self, stack: ExitStack, place: Place, folder: Path) -> None:
        self._stack = stack
        self._environ = {**os.environ, **place.environ, "XDG_CONFIG_HOME": str(folder)}
        self._folder = folder
        self._count = 0

    def start(self, *command: str | Path) -> tuple[subprocess.Popen[bytes], Callable[[], str]]:
        """A worker, once it is ready, and a function that gives what it has said."""
        self._count += 1
        said = self._folder / f"said-{self._count}"
        with said.open("wb") as out:
            process = subprocess.Popen(command, env=self._environ, stderr=out)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        until(lambda: "ready" in said.read_text(), "a worker is ready")
        return process, said.read_text


@pytest.fixture
def workers(stores: Place, tmp_path: Path) -> Iterator[Workers]:
    """Starts workers on a database; all of them end with the test."""
    with ExitStack() as stack:
        yield Workers(stack, stores, tmp_path)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for what must come to pass."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def ended(process: subprocess.Popen[bytes]) -> int:
    """How a worker ends that is told to."""
    process.send_signal(signal.SIGTERM)
    return process.wait(LONGEST_SECONDS)


def effects(store: Store) -> list[int]:
    """The attempts that were let write."""
    with store.read() as connection:
        return list(connection.execute(text("SELECT attempt FROM effects ORDER BY 1")).scalars())


def test_of_two_workers_on_one_job_one_finishes_it(stores: Place, workers: Workers, tmp_path: Path) -> None:
    """The first is stopped in the midst for longer than its lease, and comes back when the second has done the job."""
    with stores.open() as store:
        with store.write() as connection:
            connection.exec_driver_sql("CREATE TABLE effects (attempt INTEGER)")
            job = enqueue(connection, "errand", Errand(str(tmp_path)))
        assert job is not None
        first, first_said = workers.start(sys.executable, "-c", WORKER)
        until((tmp_path / "begun-1").exists, "the first has begun")
        first.send_signal(signal.SIGSTOP)
        second, second_said = workers.start(sys.executable, "-c", WORKER)
        until(lambda: get_job(store, job).state is JobState.DONE, "the second has done it")
        (tmp_path / "go").touch()
        first.send_signal(signal.SIGCONT)
        until(lambda: "this attempt counts not" in first_said(), "the first is told that it lost the job")
        assert (ended(first), ended(second)) == (ExitCode.CLEAN, ExitCode.CLEAN)
        assert effects(store) == [2]
        assert get_job(store, job).attempts == 2
        assert "counts not" not in second_said()


def test_many_workers_that_wait_for_one_job_do_it_once(stores: Place, workers: Workers) -> None:
    """The command as it is, two processes with two threads each, and jobs that it knows: compactions of banks."""
    with stores.open() as store:
        banks = [create_bank(store, f"BANK_{letter}").id for letter in "ABCDEF"]
        for letter in "ABCDEF":
            add_contents(store, f"BANK_{letter}", [Content((HashValue(HashKind.MD5, os.urandom(16)),))])
        started = [workers.start(REMPART, "worker", "--threads", "2") for _ in range(2)]
        with store.write() as connection:
            for bank in banks:
                enqueue(connection, KIND, CompactBank(bank))
        until(lambda: all(job.state is JobState.DONE for job in list_jobs(store)), "all is done")
        assert [(job.kind, job.attempts) for job in list_jobs(store)] == [(KIND, 1)] * len(banks)
        assert [ended(process) for process, _ in started] == [ExitCode.CLEAN] * 2
        assert not any("job" in line for _, said in started for line in said().splitlines()[1:])


def test_a_worker_that_may_write_no_more_waits_and_goes_on_when_it_may(tmp_path: Path) -> None:
    """As on a full disk: first it says so, then nobody hears it any more; the jobs are done all the same."""
    place = Place(tmp_path / "data")
    with place.open() as store:
        bank = create_bank(store, "BANK").id
        add_contents(store, "BANK", [Content((HashValue(HashKind.MD5, os.urandom(16)),))])
        environ = {**os.environ, **place.environ, "XDG_CONFIG_HOME": str(tmp_path)}
        started = subprocess.Popen([REMPART, "worker"], env=environ, stderr=subprocess.PIPE, text=True)
        with started as process, ExitStack() as stack:
            stack.callback(process.kill)
            assert process.stderr is not None
            assert "ready" in process.stderr.readline()
            free = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            for is_heard in (True, False):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, free[1]))
                with store.write() as connection:
                    job = enqueue(connection, KIND, CompactBank(bank))
                assert job is not None
                if is_heard:
                    assert "waiting: " in process.stderr.readline()
                    process.stderr.close()
                else:
                    time.sleep(1.2 * TROUBLE_SECONDS)
                    assert get_job(store, job).state is JobState.WAITING
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, free)
                until(lambda job=job: get_job(store, job).state is JobState.DONE, "the job is done")  # type: ignore[misc]
            assert ended(process) == ExitCode.CLEAN

"""`rempart worker` and `rempart job`, as an operator uses them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.stores import Place

from rempart.errors import ExitCode
from rempart.jobs import Handler, JobState, Worker, enqueue, get_job, list_jobs, set_schedule
from rempart.store import Store

REMPART = str(Path(sys.executable).with_name("rempart"))
LONGEST_SECONDS = 60.0

# The command with a handler of the test's: it touches a file when it begins, and takes as long as it is told to.
WORKER = """
import sys, time
from pathlib import Path
import msgspec
from rempart.cli import main
from rempart.jobs import Handler, registry

class Nap(msgspec.Struct):
    file: str
    seconds: float = 0

def nap(work):
    if work.payload.seconds < 0:
        raise ConnectionError("https://host/secret")
    Path(work.payload.file).touch()
    time.sleep(work.payload.seconds)

registry.add(lambda settings: [Handler("nap", Nap, nap, 1.0)])
main(sys.argv[1:])
"""


class Nap(msgspec.Struct):
    """What the jobs of these tests are about."""

    file: str
    seconds: float = 0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty database; commands started from the test use it."""
    folder = tmp_path / "data"
    monkeypatch.setenv("REMPART__DATA_DIR", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Place(folder).open() as opened:
        yield opened


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Callable[..., int]:
    """Enqueue a nap of so many seconds and give its number."""

    def enqueued(seconds: float = 0, **options: object) -> int:
        with store.write() as connection:
            number = enqueue(connection, "nap", Nap(str(tmp_path / "begun"), seconds), **options)
        assert number is not None
        return number

    return enqueued


def job(*arguments: str) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, rows and standard error of ``rempart job``."""
    done = subprocess.run([REMPART, "job", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def started(*arguments: str) -> subprocess.Popen[str]:
    """A worker that can nap."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, "worker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def appears(file: Path) -> bool:
    """Whether a file appears in time."""
    begun = time.monotonic()
    while not file.exists() and time.monotonic() - begun < LONGEST_SECONDS:
        time.sleep(0.01)
    return file.exists()


def test_a_worker_told_to_do_what_is_due_does_it_and_ends(store: Store, put: Callable[..., int]) -> None:
    """One ready line, a line for each attempt that failed, and a line at the end; nothing on standard output."""
    done, failed, later = put(), put(-1, most_attempts=1), put(undo_seconds=3600)
    worker = started("--once")
    output, errors = worker.communicate(timeout=LONGEST_SECONDS)
    assert (worker.returncode, output) == (ExitCode.CLEAN, "")
    ready, attempt, end = errors.splitlines()
    assert ready.startswith("rempart worker: ready, ")
    assert ready.endswith(", threads 1, jobs compact_bank nap")
    assert attempt == (
        f"rempart worker: job {failed} (nap): ConnectionError in attempt 1 of 1; a dead letter, for a person to look at"
    )
    assert end == "rempart worker: done 1, dead 1"
    assert [found.state for found in list_jobs(store)] == [JobState.WAITING, JobState.DEAD, JobState.DONE]
    assert [found.id for found in list_jobs(store)] == [later, failed, done]


def test_the_command_itself_starts_and_finds_nothing_to_do(store: Store) -> None:
    """With the handlers of the program."""
    del store
    done = subprocess.run([REMPART, "worker", "--once"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.CLEAN, "")
    assert done.stderr.splitlines()[-1] == "rempart worker: nothing to do"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, ExitCode.CLEAN), (signal.SIGINT, ExitCode.INTERRUPTED)], ids=["term", "int"]
)
def test_a_worker_that_is_told_to_stop_finishes_the_job_that_it_began(
    store: Store, put: Callable[..., int], tmp_path: Path, number: int, code: ExitCode
) -> None:
    """And begins no other."""
    running, waiting = put(1.0), put(1.0)
    worker = started()
    assert appears(tmp_path / "begun")
    worker.send_signal(number)
    _, errors = worker.communicate(timeout=LONGEST_SECONDS)
    assert (worker.returncode, len(errors.splitlines())) == (code, 1)
    states = [found.state for found in list_jobs(store)]
    assert (states, running < waiting) == ([JobState.WAITING, JobState.DONE], True)


def test_a_job_that_takes_longer_than_the_grace_is_left_and_done_by_the_next_worker(
    store: Store, put: Callable[..., int], tmp_path: Path
) -> None:
    """The first worker ends in time and says what it left."""
    number = put(30)
    worker = started("--grace", "0.2")
    assert appears(tmp_path / "begun")
    told = time.monotonic()
    worker.terminate()
    _, errors = worker.communicate(timeout=LONGEST_SECONDS)
    assert time.monotonic() - told < 20
    assert worker.returncode == ExitCode.CLEAN
    assert errors.splitlines()[-1] == (
        "rempart worker: jobs not finished 1; they are done again when their leases run out"
    )
    time.sleep(1.1)
    assert Worker(store, {"nap": Handler("nap", Nap, lambda _: None, 1.0)}).run_once()
    found = get_job(store, number)
    assert found is not None
    assert (found.state, found.attempts) == (JobState.DONE, 2)


def test_a_second_signal_ends_a_worker_at_once(store: Store, put: Callable[..., int], tmp_path: Path) -> None:
    """For whoever does not want to wait."""
    number = put(30)
    worker = started("--grace", "3600")
    assert appears(tmp_path / "begun")
    worker.terminate()
    begun = time.monotonic()
    while worker.poll() is None and time.monotonic() - begun < 20:
        time.sleep(0.3)
        worker.terminate()
    assert worker.poll() == -signal.SIGTERM
    worker.communicate()
    found = get_job(store, number)
    assert found is not None
    assert found.state == JobState.RUNNING


def test_a_worker_that_can_write_nothing_says_so_and_does_not_start(store: Store, tmp_path: Path) -> None:
    """Exit code 4, for someone has to do something about the database."""
    store.close()
    (tmp_path / "data" / "rempart.db").write_bytes(b"not a database, but long enough to be looked at\n" * 100)
    done = subprocess.run([REMPART, "worker"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "ready" not in done.stderr


def test_jobs_can_be_listed_cancelled_and_tried_again(store: Store, put: Callable[..., int]) -> None:
    """By number, one row for each; what they are about is not shown."""
    dead, waiting = put(-1, most_attempts=1), put(undo_seconds=3600)
    started("--once").communicate(timeout=LONGEST_SECONDS)
    code, rows, errors = job("list")
    assert (code, errors) == (ExitCode.CLEAN, "")
    assert [(row["job"], row["state"], row["error"]) for row in rows] == [
        (waiting, "waiting", None),
        (dead, "dead", "ConnectionError"),
    ]
    assert "begun" not in json.dumps(rows)
    assert [row["job"] for row in job("list", "--state", "dead", "--kind", "nap", "--limit", "1")[1]] == [dead]
    assert job("list", "--before", str(dead))[1] == []
    assert job("retry", str(dead)) == (
        ExitCode.CLEAN,
        [{"job": dead, "kind": "nap", "status": "waiting", "was": "dead"}],
        "",
    )
    assert job("cancel", str(waiting), str(dead), str(dead)) == (
        ExitCode.CLEAN,
        [{"job": number, "kind": "nap", "status": "cancelled", "was": "waiting"} for number in (waiting, dead)],
        "",
    )
    assert {found.state for found in list_jobs(store)} == {JobState.CANCELLED}


def test_what_cannot_be_done_to_a_job_is_exit_code_2(store: Store, put: Callable[..., int]) -> None:
    """With one line that says why; what stood before it on the command line is done."""
    number = put()
    assert job("retry", str(number)) == (
        ExitCode.USAGE,
        [],
        f"rempart: job {number} is waiting; only dead letters can be tried again\n",
    )
    code, rows, errors = job("cancel", str(number), "99")
    assert (code, [row["job"] for row in rows]) == (ExitCode.USAGE, [number])
    assert errors == "rempart: there is no job 99; `rempart job list` shows what there is\n"
    assert len(list_jobs(store)) == 1


def test_schedules_are_listed_and_a_worker_makes_their_jobs(store: Store, tmp_path: Path) -> None:
    """`--once` too: what a cron job would call."""
    set_schedule(store, "nightly", "nap", Nap(str(tmp_path / "begun")), every_seconds=86_400)
    started("--once").communicate(timeout=LONGEST_SECONDS)
    assert (tmp_path / "begun").exists()
    code, [row], _ = job("schedules")
    assert (code, row["name"], row["kind"], row["every_seconds"]) == (ExitCode.CLEAN, "nightly", "nap", 86_400)
    assert os.environ["REMPART__DATA_DIR"] not in json.dumps(row)

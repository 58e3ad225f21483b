"""Workers and those who enqueue are killed at random moments: what was acknowledged is done, and done once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import func, select, text
from tests.stores import Place

from rempart.jobs import JobState
from rempart.store import Store
from rempart.store.service_tables import jobs

KILLS = int(os.environ.get("REMPART_KILLS", "10"))
WORKERS = 3
LONGEST_SECONDS = 120.0

WORKER = """
import random, time
import msgspec
from sqlalchemy import text
from rempart.cli import main
from rempart.jobs import Handler, registry

class Parcel(msgspec.Struct):
    number: int

def slow(work):
    time.sleep(random.uniform(0, 0.05))
    work.heartbeat()

def effect(work):
    time.sleep(random.uniform(0, 0.02))
    with work.finishing() as connection:
        connection.execute(text("INSERT INTO effects VALUES (:number)"), {"number": work.payload.number})

registry.add(lambda settings: [Handler("slow", Parcel, slow, 1.0), Handler("effect", Parcel, effect, 1.0)])
main(["worker", "--threads", "2"])
"""

ENQUEUER = """
import itertools, os, sys, time
from pathlib import Path
import msgspec
from sqlalchemy import text
from rempart.jobs import enqueue
from rempart.settings import load_settings
from rempart.store import open_store

class Parcel(msgspec.Struct):
    number: int

settings = load_settings().settings
with open_store(settings.data_path, settings.store) as store:
    for number in itertools.count(os.getpid() * 1_000_000):
        with store.write() as connection:
            kind = ("slow", "effect")[number % 2]
            job = enqueue(connection, kind, Parcel(number), most_attempts=1000)
        os.write(1, f"{job} {kind} {number}\\n".encode())  # in one piece, whenever this process is killed
        time.sleep(0.02)
"""

# Counts what becomes done, behind the code's back.
COUNTERS = {
    "sqlite": [
        """CREATE TRIGGER completed AFTER UPDATE ON jobs WHEN new.state = 'done'
        BEGIN INSERT INTO completions VALUES (new.id); END"""
    ],
    "postgresql": [
        """CREATE FUNCTION completed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO completions VALUES (new.id); RETURN NULL; END $$""",
        """CREATE TRIGGER completed AFTER UPDATE ON jobs FOR EACH ROW WHEN (new.state = 'done')
        EXECUTE FUNCTION completed()""",
    ],
}


def started(code: str, environ: dict[str, str], output: Path, errors: Path) -> subprocess.Popen[bytes]:
    """A process that runs some code; what it says is appended to files."""
    with output.open("ab") as out, errors.open("ab") as err:
        return subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=out, stderr=err)


def numbers(store: Store, table: str) -> list[int]:
    """What a table of the test holds, in order."""
    with store.read() as connection:
        return list(connection.execute(text(f"SELECT * FROM {table} ORDER BY 1")).scalars())  # noqa: S608


def live(store: Store) -> int:
    """How many jobs wait or run."""
    with store.read() as connection:
        return connection.execute(
            select(func.count()).select_from(jobs).where(jobs.c.state.in_(["waiting", "running"]))
        ).scalar_one()


def test_kills_at_random_moments_lose_no_acknowledged_job_and_finish_none_twice(stores: Place, tmp_path: Path) -> None:
    """Three workers, two threads each, and one who enqueues; each kill takes one of the four, which starts again."""
    environ = {**os.environ, **stores.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    acknowledged, errors = tmp_path / "acknowledged", tmp_path / "errors"
    chance = random.Random(5)
    with stores.open() as store:
        with store.write() as connection:
            for statement in (
                "CREATE TABLE completions (job BIGINT)",
                "CREATE TABLE effects (number BIGINT)",
                *COUNTERS[stores.dialect],
            ):
                connection.exec_driver_sql(statement)
        codes = [WORKER] * WORKERS + [ENQUEUER]
        running = [started(code, environ, acknowledged, errors) for code in codes]
        try:
            begun = time.monotonic()
            while len(numbers(store, "completions")) < WORKERS and time.monotonic() - begun < LONGEST_SECONDS:
                time.sleep(0.05)  # all have started, before the first is killed
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.05, 0.5))
                victim = chance.randrange(len(running))
                running[victim].kill()
                running[victim].wait()
                running[victim] = started(codes[victim], environ, acknowledged, errors)
            running[-1].kill()
            running[-1].wait()
            begun = time.monotonic()
            while live(store) and time.monotonic() - begun < LONGEST_SECONDS:
                time.sleep(0.1)
            begun = time.monotonic()
            while not all(f":{process.pid}:" in errors.read_text() for process in running[:-1]):
                assert time.monotonic() - begun < LONGEST_SECONDS  # one that has just been started is not ready yet
                time.sleep(0.1)
            for process in running[:-1]:
                process.send_signal(signal.SIGTERM)
            assert [process.wait(60) for process in running[:-1]] == [0] * WORKERS
        finally:
            for process in running:
                process.kill()
                process.wait()
        lines = [line.split() for line in acknowledged.read_text().splitlines()]
        with store.read() as connection:
            states = {row.id: row.state for row in connection.execute(select(jobs.c.id, jobs.c.state))}
        assert len(lines) > KILLS
        assert {int(job) for job, _, _ in lines} <= set(states)
        assert set(states.values()) == {JobState.DONE}
        assert numbers(store, "completions") == sorted(states)
        effects = numbers(store, "effects")
        assert len(effects) == len(set(effects))
        assert {int(number) for _, kind, number in lines if kind == "effect"} <= set(effects)
        said = errors.read_text().splitlines()
        assert all(line.startswith("rempart worker: ") for line in said)
        assert WORKERS <= sum(": ready, " in line for line in said) <= WORKERS + KILLS

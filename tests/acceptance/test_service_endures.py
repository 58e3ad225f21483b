"""Every kind of process of a running service is killed at random moments under load: nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import func, select, update
from tests.acceptance.service_load import Known, Ledger, Load, bank_known, client_of_each_worker
from tests.serving import Serving, children, gone, key_for, kill
from tests.stores import Cluster, Place

from rempart import audit
from rempart.audit import Act
from rempart.clock import utc_now
from rempart.jobs import JobState
from rempart.store import Store
from rempart.store.service_tables import audit_log, jobs
from rempart.store.service_tables import keys as key_table
from rempart.store.tables import entries, hashes

KILLS = int(os.environ.get("REMPART_KILLS", "10"))
"""Moments on both stores together; a hundred by command."""

ON_SQLITE = KILLS * 2 // 5
WORKERS = 2
LONGEST_SECONDS = 60.0
REMPART = Path(sys.executable).with_name("rempart")


class Machine:
    """All processes of a service, as a machine runs them: one that is killed is started again.

    Args:
        place: its database.
        folder: where the job worker's words go.
        cluster: the database server, if it is this machine's and may be killed.
    """

    def __init__(self, place: Place, folder: Path, cluster: Cluster | None = None) -> None:
        self.place = place
        self.kills: Counter[str] = Counter()
        self._said = folder / "worker.err"
        self._cluster = cluster
        self._seen: set[int] = set()

    def __enter__(self) -> Self:
        self.server = Serving(self.place, workers=WORKERS).__enter__()
        with ExitStack() as undone:
            undone.push(self.server)
            self.worker = self._start_worker()
            undone.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.worker.kill()
        self.worker.wait()
        self.server.__exit__(*exc)

    @property
    def victims(self) -> dict[str, Callable[[random.Random], None]]:
        """What can be killed, by name."""
        found = {
            "server workers": self._kill_server_workers,
            "server": self._kill_server,
            "job worker": self._kill_worker,
        }
        return found | ({"database": self._kill_database} if self._cluster else {})

    def strike(self, name: str, chance: random.Random) -> None:
        """Kill one of a kind, and start it again unless that comes by itself."""
        self._note()
        self.victims[name](chance)
        self.kills[name] += 1

    def stop(self) -> list[int]:
        """End the job worker and the server in good order: their exit codes, when no process of theirs is left."""
        self._note()
        self.worker.send_signal(signal.SIGTERM)
        self.server.process.terminate()
        codes = [self.worker.wait(LONGEST_SECONDS), self.server.process.wait(LONGEST_SECONDS)]
        assert gone(self._seen)
        return codes

    def _note(self) -> None:
        """Remember every process that there is: none may be left over in the end."""
        servers = self.server.workers()
        self._seen.update(servers)
        for pid in servers:
            try:
                self._seen.update(children(pid))
            except OSError:
                continue  # it was killed and is being replaced

    def _start_worker(self) -> subprocess.Popen[bytes]:
        self._said.touch()
        with self._said.open("ab") as said:
            process = subprocess.Popen([REMPART, "worker"], env=os.environ | dict(self.place.environ), stderr=said)
        wait_until(lambda: f":{process.pid}:" in self._said.read_text(), "the job worker is ready")
        return process

    def _kill_server_workers(self, chance: random.Random) -> None:
        """One of them, or all at once."""
        there = self.server.workers()
        victims = chance.sample(there, chance.randint(1, len(there)))
        for victim in victims:
            kill(victim)
        assert all(self.server.replaced(victim) for victim in victims)

    def _kill_server(self, _: random.Random) -> None:
        left = self.server.workers()
        kill(self.server.process.pid)
        self.server.__exit__()
        # Another begins at once, while the workers of the one before still finish what they had accepted.
        self.server = Serving(self.place, workers=WORKERS).__enter__()
        assert gone(left)

    def _kill_worker(self, _: random.Random) -> None:
        self.worker.kill()
        self.worker.wait()
        self.worker = self._start_worker()

    def _kill_database(self, _: random.Random) -> None:
        assert self._cluster is not None
        self._cluster.kill()
        self._cluster.start()


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait for what must come to pass."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in {LONGEST_SECONDS:.0f} s: {what}"
        time.sleep(0.02)


def goes_on(machine: Machine, load: Load) -> None:
    """Wait until more of every kind was acknowledged, one by one: all of the machine works."""

    def more() -> bool:
        machine.server.logged()  # read, so that it never waits for somebody to read it
        now = load.ledger.counts()
        return bool(load.ledger.wrong) or all(new > old for new, old in zip(now, before, strict=True))

    before = load.ledger.counts()
    try:
        wait_until(more, f"after {dict(machine.kills)} all goes on")
    except AssertionError as error:
        told = f"{before} became {load.ledger.counts()}"
        raise AssertionError(f"{error}: {told}; {machine.server.logged()[-2000:]}") from None
    assert load.ledger.wrong == []


def lost(store: Store, told: Ledger, load: Load) -> list[str]:
    """What of all that was acknowledged is not in the database, or more than once."""
    with store.read() as connection:
        held = connection.execute(
            select(hashes.c.entry_id, hashes.c.value).join(entries).where(hashes.c.kind == "md5")
        ).all()
        found = connection.execute(select(jobs.c.payload, jobs.c.state).where(jobs.c.kind == "finding")).all()
        states = {row.id: row.state for row in connection.execute(select(jobs.c.id, jobs.c.state))}
        made = set(connection.execute(select(key_table.c.id)).scalars())
        recorded = connection.execute(select(audit_log.c.act, audit_log.c.details)).all()
    there = {row.entry_id: row.value.hex() for row in held}
    leaving = load.so_far().removing
    faults = [f"entry {one}" for one, md5 in told.added.items() if one not in leaving and there.get(one) != md5]
    faults += [f"entry {one} is back" for one in told.removed if one in there]
    faults += [f"{count} entries of one content" for count in Counter(there.values()).values() if count > 1]
    faults += [f"key {one}" for one in told.keys - made]
    faults += [f"job {one}" for one in told.jobs if states.get(one) not in {"waiting", "running", "done"}]
    handed: dict[str, list[Any]] = {}
    for row in found:
        finding = json.loads(row.payload)
        handed.setdefault(finding["source_id"], []).append((row.state, [one["entry"] for one in finding["matches"]]))
    # No handler does findings yet, so they all wait, and requests that were sent again have put in none twice.
    wanted = {source: [("waiting", [entry])] for source, entry in told.matched.items()}
    faults += [f"finding {source}: {handed.get(source)}" for source, one in wanted.items() if handed.get(source) != one]
    faults += [f"finding {source}: {len(each)} times" for source, each in handed.items() if len(each) > 1]
    banked, taken = (named(recorded, act) for act in (Act.ENTRIES_ADDED, Act.ENTRIES_REMOVED))
    faults += [f"entry {one} is not in the audit" for one in told.added.keys() - banked]
    faults += [f"the removal of {one} is not in the audit" for one in told.removed - taken]
    faults += [f"the audit: {fault.kind}, rows {fault.first} to {fault.last}" for fault in audit.verify(store)]
    return faults


def named(rows: Iterable[Any], act: Act) -> set[int]:
    """The entries that the audit names with an act; a run of them is written as its first and last."""
    found: set[int] = set()
    for row in rows:
        if row.act == act:
            for run in json.loads(row.details)["entries"].split():
                first, _, last = run.partition("-")
                found.update(range(int(first), int(last or first) + 1))
    return found


def verdicts(client: Any, digests: Sequence[str]) -> Counter[str]:  # noqa: ANN401 -- a Client
    """How many of the digests match, as one process answers."""
    counted: Counter[str] = Counter()
    for start in range(0, len(digests), 500):
        items = [{"md5": digest} for digest in digests[start : start + 500]]
        status, body = client.ask("POST", "/v1/match/hashes", {"items": items})
        assert status == 200, body
        counted.update(row["verdict"] for row in body["results"])
    return counted


def leases_run_out(store: Store) -> None:
    """Ten minutes pass: what a job worker was at when it was killed, or its database, is free to be begun again."""
    with store.write() as connection:
        past = {"lease_until": utc_now() - timedelta(seconds=1)}
        connection.execute(update(jobs).where(jobs.c.state == JobState.RUNNING).values(past))


def unfinished(store: Store) -> int:
    """How many jobs that the job worker can do are not done."""
    with store.read() as connection:
        query = select(func.count()).where(jobs.c.kind == "compact_bank", jobs.c.state != JobState.DONE)
        return connection.execute(query).scalar_one()


def endures(machine: Machine, known: Known, kills: int, seed: int) -> None:
    """Kill so many times under load, each kind of process as often as the others, and look each time what is there."""
    chance = random.Random(seed)
    order: list[str] = []
    while len(order) < kills:
        order += chance.sample(list(machine.victims), len(machine.victims))
    key = key_for(machine.place)
    with machine.place.open() as store:
        with Load(machine.place, lambda: machine.server.port, key, known) as load:
            goes_on(machine, load)
            for name in order[:kills]:
                time.sleep(chance.uniform(0, 0.5))
                machine.strike(name, chance)
                if name in {"job worker", "database"}:
                    leases_run_out(store)
                goes_on(machine, load)
                assert lost(store, load.so_far(), load) == [], f"after {dict(machine.kills)}"
        told = load.so_far()
        assert load.ledger.wrong == []
        assert load.ledger.interrupted > 0  # the kills did hit something
        leases_run_out(store)
        wait_until(lambda: not unfinished(store), "all jobs are done")
        assert lost(store, told, load) == []
        stay = [digest for entry, digest in told.added.items() if entry not in told.removing]
        out = [told.added[entry] for entry in told.removed]
        with client_of_each_worker(machine.server, key) as clients:
            assert len(clients) == WORKERS
            for client in clients:
                assert verdicts(client, stay) == {"match": len(stay)}
                assert verdicts(client, out) == {"clear": len(out)}
        log = machine.server.logged()
        assert "internal" not in log
    assert machine.stop() == [0, 0]
    verified = subprocess.run([REMPART, "audit", "verify"], env=os.environ | dict(machine.place.environ), check=False)
    assert verified.returncode == 0


@pytest.fixture
def picture(saved: Callable[..., bytes], lighthouse: Callable[..., Any]) -> bytes:
    """A file that is banked."""
    content: bytes = saved(lighthouse((160, 120), 3), "PNG")
    return content


@pytest.fixture
def on_sqlite(tmp_path: Path, picture: bytes) -> Iterator[tuple[Machine, Known]]:
    """A running service on SQLite."""
    place = Place(tmp_path / "data")
    known = bank_known(place, picture)
    with Machine(place, tmp_path) as machine:
        yield machine, known


@pytest.fixture
def on_postgresql(cluster: Cluster, tmp_path: Path, picture: bytes) -> Iterator[tuple[Machine, Known]]:
    """A running service on a PostgreSQL server of its own."""
    place = Place(tmp_path / "data", cluster.settings)
    known = bank_known(place, picture)
    with Machine(place, tmp_path, cluster) as machine:
        yield machine, known


@pytest.mark.timeout(120 + 20 * KILLS)
def test_kills_at_random_moments_lose_nothing_on_sqlite(on_sqlite: tuple[Machine, Known]) -> None:
    """Of the server's workers, of the server itself, and of the job worker."""
    machine, known = on_sqlite
    endures(machine, known, ON_SQLITE, 5)
    assert sum(machine.kills.values()) == ON_SQLITE


@pytest.mark.timeout(120 + 20 * KILLS)
def test_kills_at_random_moments_lose_nothing_on_postgresql(on_postgresql: tuple[Machine, Known]) -> None:
    """And of the database server with all its processes."""
    machine, known = on_postgresql
    endures(machine, known, KILLS - ON_SQLITE, 6)
    assert sum(machine.kills.values()) == KILLS - ON_SQLITE

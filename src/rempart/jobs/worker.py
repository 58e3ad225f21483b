"""The worker: takes jobs that are due, has their handlers do them, and notes what became of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from rempart.clock import Clock, utc_now
from rempart.errors import StoreError
from rempart.jobs import leases
from rempart.jobs.handlers import Handler, LeaseLostError, Work
from rempart.jobs.leases import Desk, Lease
from rempart.jobs.schedules import tick_schedules
from rempart.jobs.upkeep import mend_moments, sweep_jobs
from rempart.store import Store

POLL_SECONDS = 0.25
"""How long an idle worker waits before it looks again."""

UPKEEP_SECONDS = 1.0
"""From one look at the schedules to the next."""

MEND_SECONDS = 60.0
"""From one look for moments of a wrong clock to the next; it reads all jobs that wait."""

SWEEP_SECONDS = 600.0
"""From one removal of old jobs to the next."""

TROUBLE_SECONDS = 1.0
"""How long to wait after the database could not be used."""

_LONGEST_HOST = 64
_random = secrets.SystemRandom()


class Outcome(StrEnum):
    """What became of one attempt."""

    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    LOST = "lost"
    """Another worker has the job, or it was cancelled: what came out does not count."""


def worker_name() -> str:
    """A name that no other worker has: the machine, the process, and a random part."""
    return f"{socket.gethostname()[:_LONGEST_HOST]}:{os.getpid()}:{secrets.token_hex(4)}"


class Worker:
    """Does jobs, on any number of threads. Any number of workers may share a database.

    Attributes:
        name: what it is called in the database.
        outcomes: how many attempts ended in which way.
    """

    def __init__(
        self,
        store: Store,
        handlers: Mapping[str, Handler[Any]],
        *,
        name: str | None = None,
        clock: Clock = utc_now,
        notice: Callable[[str], None] | None = None,
        share: Callable[[], float] = _random.random,
    ) -> None:
        """Make a worker.

        Args:
            store: the database.
            handlers: by the kind that they do; jobs of other kinds are left for others.
            name: what it is called in the database; no two may be called the same.
            clock: the time.
            notice: gets a line for people about each attempt that failed and about trouble with the database. Lines
                never hold payloads or texts of errors.
            share: a random number from 0 to 1, which part of the longest waiting time passes before another attempt.
        """
        self.name = name or worker_name()
        self.outcomes: Counter[Outcome] = Counter()
        self._counting = threading.Lock()
        self._store = store
        self._handlers = handlers
        self._desk = Desk(store, {kind: handler.lease_seconds for kind, handler in handlers.items()}, clock)
        self._clock = clock
        self._notice = notice or (lambda _: None)
        self._share = share
        self._mend_at = self._sweep_at = time.monotonic()

    def run_once(self) -> bool:
        """Do the job that has been due for the longest time.

        Returns:
            Whether there was one.

        Raises:
            StoreError: the database cannot be used. A job that was being done is given to someone later.
        """
        lease = self._desk.take(self.name)
        if lease is None:
            return False
        outcome = self._do(lease)
        with self._counting:
            self.outcomes[outcome] += 1
        return True

    def run(self, stop: threading.Event, threads: int = 1, *, grace_seconds: float = 30.0) -> int:
        """Do jobs, tick schedules and sweep until ``stop`` is set, and then finish what was begun.

        Trouble with the database is waited out.

        Args:
            stop: ends it.
            threads: how many jobs are done at once.
            grace_seconds: how long jobs may still take after ``stop``. Those that take longer are left: their threads
                end with the process, and when their leases run out, other workers do them again.

        Returns:
            How many jobs were left.
        """
        doing = [
            threading.Thread(target=self._until, args=(stop, self.run_once, POLL_SECONDS), daemon=True)
            for _ in range(threads)
        ]
        for thread in doing:
            thread.start()
        self._until(stop, self._keep, UPKEEP_SECONDS)
        deadline = time.monotonic() + grace_seconds
        for thread in doing:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in doing)

    def keep_order(self) -> None:
        """Tick the schedules, and now and then put moments right and remove old jobs; :meth:`run` does it every second.

        Raises:
            StoreError: the database cannot be used.
        """
        tick_schedules(self._store, clock=self._clock)
        if time.monotonic() >= self._mend_at:
            mend_moments(self._store, clock=self._clock)
            self._desk.mend()
            self._mend_at = time.monotonic() + MEND_SECONDS
        if time.monotonic() >= self._sweep_at:
            sweep_jobs(self._store, clock=self._clock)
            self._sweep_at = time.monotonic() + SWEEP_SECONDS

    def _until(self, stop: threading.Event, step: Callable[[], bool], seconds: float) -> None:
        """Take one step after another; wait when one found nothing to do, or could not use the database."""
        said = ""
        while not stop.is_set():
            trouble = ""
            try:
                pause = 0.0 if step() else seconds
            except StoreError as error:
                trouble, pause = str(error), TROUBLE_SECONDS
            except Exception as error:  # noqa: BLE001 -- one defect must not end a worker that others rely on
                trouble, pause = type(error).__name__, TROUBLE_SECONDS
            if trouble and trouble != said:
                self._tell(f"waiting: {trouble}")
            said = trouble
            stop.wait(pause)

    def _tell(self, line: str) -> None:
        """Tell, if anyone hears it: a full disk or a reader that went away must not end a thread that does jobs."""
        with contextlib.suppress(OSError):
            self._notice(line)

    def _keep(self) -> bool:
        self.keep_order()
        return False

    def _do(self, lease: Lease) -> Outcome:
        handler = self._handlers[lease.kind]
        work: Work[Any] | None = None
        try:
            payload = msgspec.json.decode(lease.payload, type=handler.payload_type)
            work = Work(self._store, lease, payload, handler.lease_seconds, self._clock)
            handler.function(work)
        except LeaseLostError:
            return self._lost(lease)
        except Exception as error:  # noqa: BLE001 -- whatever a handler raises is a failed attempt
            if work is None or not work.is_finished:
                return self._give_back(lease, error)
            self._tell(f"job {lease.job} ({lease.kind}) is done, but {type(error).__name__} came after it")
        if not work.is_finished:
            with self._store.write() as connection:
                if not leases.finish(connection, lease, self._clock()):
                    return self._lost(lease)
        return Outcome.DONE

    def _lost(self, lease: Lease) -> Outcome:
        self._tell(f"job {lease.job} ({lease.kind}) was cancelled or taken by another worker; this attempt counts not")
        return Outcome.LOST

    def _give_back(self, lease: Lease, error: Exception) -> Outcome:
        delay = leases.backoff(lease.attempt, self._share())
        with self._store.write() as connection:
            if not leases.give_back(connection, lease, error, self._clock(), delay):
                return self._lost(lease)
        is_last = lease.attempt >= lease.most_attempts
        then = "a dead letter, for a person to look at" if is_last else f"again in {delay.total_seconds():.0f} s"
        self._tell(
            f"job {lease.job} ({lease.kind}): {type(error).__name__} in attempt {lease.attempt} of "
            f"{lease.most_attempts}; {then}"
        )
        return Outcome.DEAD if is_last else Outcome.FAILED

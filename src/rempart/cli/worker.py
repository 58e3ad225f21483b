"""`rempart worker`: does what the outbox holds, until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from queue import SimpleQueue
from types import FrameType

import click

from rempart.cli.main import Context, pass_context
from rempart.cli.output import say
from rempart.errors import ExitCode
from rempart.jobs import Worker, registry
from rempart.store import open_store

MOST_THREADS = 7
"""Each may use two of the fifteen connections that SQLAlchemy opens by default; for more, there are more workers."""

# Each adds its handlers to the registry when it is imported.
ROOMS = ("rempart.lists.compaction",)


@click.command(epilog="\b\nExample:\n  rempart worker --once")
@click.option(
    "--threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True, help="Jobs done at a time."
)
@click.option("--once", is_flag=True, help="Do what is due, one job after another, then end.")
@click.option(
    "--grace",
    "grace_seconds",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="Seconds that jobs may still take when the worker is told to stop.",
)
@pass_context
def command(context: Context, threads: int, once: bool, grace_seconds: float) -> ExitCode:  # noqa: FBT001 -- click
    """Do the jobs that wait in the outbox: all that must not happen within a request.

    Any number of workers may run, on any number of machines that share a database. SIGTERM or Ctrl-C ends a worker when
    it has finished what it began; a second one ends it at once. Jobs that were not finished are done by another.
    """
    settings = context.settings
    for room in ROOMS:
        import_module(room)
    handlers = registry.handlers(settings)
    with open_store(settings.data_path, settings.store) as store, _signals() as (stop, heard):
        with store.write():
            pass  # a worker that could write nothing would look as if it worked
        worker = Worker(store, handlers, notice=lambda line: say(f"rempart worker: {line}"))
        say(f"rempart worker: ready, {worker.name}, threads {threads}, jobs {' '.join(sorted(handlers)) or 'none'}")
        if once:
            worker.keep_order()
            while not stop.is_set() and worker.run_once():
                pass
            say(f"rempart worker: {', '.join(f'{name} {n}' for name, n in worker.outcomes.items()) or 'nothing to do'}")
            left = 0
        else:
            left = worker.run(stop, threads, grace_seconds=grace_seconds)
    code = ExitCode.INTERRUPTED if signal.SIGINT in heard else ExitCode.CLEAN
    if left:
        say(f"rempart worker: jobs not finished {left}; they are done again when their leases run out")
        sys.stderr.flush()
        os._exit(code)  # a thread in the midst of something could crash the interpreter while it takes itself down
    return code


@contextmanager
def _signals() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that SIGTERM and SIGINT set, and which of them came. A second one does what it does by default."""
    stop = threading.Event()
    heard: list[int] = []
    queue: SimpleQueue[int] = SimpleQueue()  # alone may be used in a handler, which can come between any two steps
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def hear(number: int, _: FrameType | None) -> None:
        queue.put(number)
        for each in before:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)

    def tell() -> None:
        heard.append(queue.get())
        stop.set()

    threading.Thread(target=tell, daemon=True).start()
    for number in before:
        signal.signal(number, hear)
    try:
        yield stop, heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        queue.put(0)  # so that the thread ends

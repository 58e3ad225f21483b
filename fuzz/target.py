"""What a target is, where the targets are, and the limits within which one input must stay."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

ROOMS: Final = ("media", "hashing", "matching", "lists", "prompts", "packs", "provenance", "net", "settings")
"""The modules of this package that have targets."""

TOGETHER: Final = "together"
"""Name of the target that gives the rest of an input to the target whose number is the first byte.

It shares a short time among all, where starting a process for each would take most of it.
"""

GROWTH_BYTES: Final = 256 << 20
"""How far one input may raise the most memory that the process ever had."""


class Target(NamedTuple):
    """A function that reads an input with a parser and checks what must hold of any.

    Attributes:
        run: raises nothing, however the parser refuses the input; an exception is a defect.
        seeds: gives inputs to begin from.
        words: pieces of which inputs are likely made.
        longest: bytes of the longest input.
        seconds: processor time that one input may take. It is far above what any should, for a machine that
            is slow, and far below what a loop or a backtracking expression takes.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: Iterable[bytes] = ()
    longest: int = 4096
    seconds: float = 2.0


class OverBudgetError(BaseException):
    """An input took too much time or memory. Not an Exception, so that no parser takes it for a fault of its own."""


def names() -> list[str]:
    """The names of all targets, each ``room.target``."""
    return [f"{room}.{name}" for room in ROOMS for name in import_module(f"fuzz.{room}").TARGETS]


def find(name: str) -> Target:
    """The target of that name; only its room is imported, but for :data:`TOGETHER`.

    Raises:
        KeyError: there is none.
    """
    if name == TOGETHER:
        return _together()
    room, _, short = name.partition(".")
    if room not in ROOMS:
        raise KeyError(name)
    target: Target = import_module(f"fuzz.{room}").TARGETS[short]
    return target


def check(target: Target, data: bytes) -> None:
    """Run a target on one input, within its limits.

    Raises:
        OverBudgetError: it took too much time or memory.
        Exception: whatever the target raises.
    """
    with warnings.catch_warnings(), _budget(target.seconds):
        warnings.simplefilter("ignore")  # as a decoding child does
        target.run(data)


def text_of(data: bytes) -> str:
    """Any bytes as a text, and any text that UTF-8 can say; what is not UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def file_of(name: str, content: bytes) -> Path:
    """A file in memory with this content, for what reads files; the next one of the name takes its place."""
    descriptor = _memory(name)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
    return Path(f"/proc/self/fd/{descriptor}")


def _together() -> Target:
    every = [find(name) for name in names()]

    def run(data: bytes) -> None:
        if data:
            every[data[0] % len(every)].run(data[1:])

    return Target(
        run,
        lambda: [bytes([number]) + seed for number, target in enumerate(every) for seed in target.seeds()],
        {word for target in every for word in target.words},
        longest=1 + max(target.longest for target in every),
        seconds=max(target.seconds for target in every),
    )


@cache
def _memory(name: str) -> int:
    return os.memfd_create(name)


@contextlib.contextmanager
def _budget(seconds: float) -> Iterator[None]:
    # Processor time, not wall time: other processes may be at work. libFuzzer and pytest have alarms of their own for
    # what never comes back to Python.
    before, started = _peak(), time.process_time()
    previous = signal.signal(signal.SIGVTALRM, _over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
    if (taken := time.process_time() - started) > seconds:
        raise OverBudgetError(f"{taken:.1f} s of processor time, where {seconds:g} are allowed")
    if (grown := _peak() - before) > GROWTH_BYTES:
        raise OverBudgetError(f"{grown >> 20} MiB of memory, where {GROWTH_BYTES >> 20} are allowed")


def _over(_number: int, _frame: FrameType | None) -> None:
    raise OverBudgetError("the processor time that is allowed is over")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

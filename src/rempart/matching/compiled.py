"""How functions are compiled, where the result is kept, and two instructions that numba has no name for.

numba's cache is made of pickles, so it is only used in a folder that nobody else can write to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rempart.settings import xdg_folder

P = ParamSpec("P")
R = TypeVar("R")

Numba: TypeAlias = Any  # numba's hints describe what it decorates, not what comes of it

PRIVATE = 0o700


def _ones(_context: Numba, _word: Numba) -> Numba:
    def generate(_context: Numba, builder: Numba, _signature: Numba, arguments: Numba) -> Numba:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _ask_for(_context: Numba, entries: Numba, place: Numba) -> Numba:
    def generate(context: Numba, builder: Numba, signature: Numba, arguments: Numba) -> Numba:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        column = context.get_constant(types.intp, 0)
        element: Numba = cgutils.get_item_pointer
        pointer = element(context, builder, signature.args[0], array, [arguments[1], column])
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], shape)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # to read, keep close, data
        return context.get_dummy_value()

    return types.void(entries, place), generate


ones: Numba = intrinsic(_ones)
"""How many bits of a uint64 are set, by the processor's own instruction."""

ask_for: Numba = intrinsic(_ask_for)
"""Have ``entries[place]`` brought into the cache, without waiting for it."""


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Leave a function to be compiled into those that call it."""
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit
    return decorate(function)


def cache_folder() -> Path | None:
    """The folder for compiled code: this user's own, with mode 0700. None if there is no such place."""
    try:
        folder = xdg_folder("XDG_CACHE_HOME", ".cache") / "rempart" / "numba"
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        facts = folder.lstat()
    except (OSError, RuntimeError):  # not writable, or no home folder
        return None
    private = stat.S_ISDIR(facts.st_mode) and stat.S_IMODE(facts.st_mode) == PRIVATE and facts.st_uid == os.geteuid()
    return folder if private and os.access(folder, os.W_OK) else None


def compiled(function: Callable[P, R], *argument_types: Numba) -> Callable[P, R]:
    """Compile a function for these types now, by way of the cache if there is a safe one."""
    folder = cache_folder()
    if folder is not None:
        # numba asks this when a function is decorated. What else runs in this process keeps its own place.
        config: Numba = numba.config
        theirs, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            return decorated(function, argument_types, cache=True)
        except Exception:  # noqa: BLE001, S110 -- a full disk, a damaged file: whatever ails the cache, do without it
            pass
        finally:
            config.CACHE_DIR = theirs
    return decorated(function, argument_types, cache=False)


def decorated(function: Callable[P, R], argument_types: tuple[Numba, ...], *, cache: bool) -> Callable[P, R]:
    """Compile now; the function lets go of the interpreter's lock while it runs."""
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit([argument_types], nogil=True, cache=cache)
    return decorate(function)

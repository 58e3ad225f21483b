"""A thread that does one thing again and again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from rempart.errors import RempartError


class Ticker:
    """Calls a function at intervals, from :meth:`start` until :meth:`stop`.

    A :class:`~rempart.errors.RempartError` does not end it: the function is called again after the interval. So the
    function itself must make sure that a database which is away for long does not go unnoticed.
    """

    def __init__(self, name: str, function: Callable[[], object], seconds: float) -> None:
        self._name = name
        self._function = function
        self._seconds = seconds
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun already."""
        if self._thread is None:
            self._stop.clear()
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and wait until a call that runs has ended."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            with suppress(RempartError):
                self._function()
            if self._stop.wait(self._seconds):
                return

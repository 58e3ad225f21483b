"""Which handlers there are: rooms above this one add theirs, and the worker asks for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from rempart.jobs.handlers import Handler
from rempart.settings import Settings

Source: TypeAlias = Callable[[Settings], Iterable[Handler[Any]]]


class Registry:
    """The sources of handlers, each a function of the settings."""

    def __init__(self) -> None:
        self._sources: list[Source] = []

    def add(self, source: Source) -> Source:
        """Add a source; a second time is as good as once. Usable as a decorator."""
        if source not in self._sources:
            self._sources.append(source)
        return source

    def handlers(self, settings: Settings) -> dict[str, Handler[Any]]:
        """All handlers by the kind of job that they do.

        Raises:
            ValueError: two handlers are of one kind.
        """
        found: dict[str, Handler[Any]] = {}
        for source in self._sources:
            for handler in source(settings):
                if handler.kind in found:
                    raise ValueError(f"two handlers do jobs of kind {handler.kind!r}")
                found[handler.kind] = handler
        return found


registry = Registry()
"""The handlers of this program; :mod:`rempart.cli.worker` names the rooms that they come from."""

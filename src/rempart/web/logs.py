"""Structured logs: one JSON object a line on standard error, without content, prompts, hashes, file names or paths.

A request is named by its route's template, such as ``/v1/banks/{name}``, because a path may hold a key.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from litestar.types import Scope


def configure_logs(stream: TextIO | None = None) -> None:
    """Write JSON lines, of ours and of the libraries', to a stream; standard error when not given."""
    lines = _Lines(stream or sys.stderr)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=lines),  # type: ignore[arg-type]  # it writes and flushes
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(_LibraryLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class _Lines:
    """Where lines go. One that cannot be written is lost: a full disk, or a reader that went away, ends no request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _LibraryLines(logging.Formatter):
    """What a library logs: who and how grave. Its text may quote addresses, headers or content, and is left out."""

    def format(self, record: logging.LogRecord) -> str:
        renderer = structlog.processors.JSONRenderer()
        fields: dict[str, Any] = {"event": "library", "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = place(record.exc_info[1])
        return str(renderer(None, "", fields))


def logger() -> Any:  # noqa: ANN401 -- structlog's loggers are made at run time
    """The service's logger."""
    return structlog.get_logger()


def place(error: BaseException) -> str:
    """An exception's kind and where it arose; never its text, which may quote content."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{where}"


def log_failure(error: Exception, code: str, scope: Scope) -> None:
    """A request that failed through no fault of the client; of those for which something is missing, one a second."""
    if code == "internal" or (code == "unavailable" and _SELDOM.allows()):
        logger().error("failure", code=code, error=place(error), **request_fields(scope))


class _Seldom:
    """While a database is away every request fails for the same reason, which fills no log."""

    def __init__(self) -> None:
        self._next = 0.0

    def allows(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 1.0
        return True


_SELDOM: Final = _Seldom()


def request_fields(scope: Scope) -> dict[str, Any]:
    """What may be told of a request."""
    state = scope.get("state", {})
    return {
        "request_id": state.get("request_id"),
        "route": scope.get("path_template", ""),
        "method": scope.get("method", ""),
        "key": state.get("key_id"),
    }

"""Time, always aware and always UTC, from one place that tests can replace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment as an aware UTC datetime, to the microsecond."""
    return datetime.now(tz=UTC)

"""What the server and its workers say to each other, over a socket pair: the settings down, readiness up."""

from __future__ import annotations

from typing import Final

import msgspec

from rempart.settings import Settings

METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder through which workers count together; the library demands this name."""
SLOT_VARIABLE: Final = "REMPART_WORKER_SLOT"
"""Names the worker's place among the workers."""

READY: Final = b"ready\n"
EMPTY: Final = b"empty\n"
"""The service works, but no blocking bank holds anything yet."""
WAITING: Final = b"waiting\n"


class Order(msgspec.Struct, frozen=True):
    """What the server tells a worker when it starts it, as a line of JSON."""

    settings: Settings
    workers: int

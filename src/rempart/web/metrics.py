"""What is counted for Prometheus, over all worker processes of a server.

The library does that through a folder of mapped files that an environment variable names; the server sets it for
its workers before this module is imported. Without it, as in tests, a process counts for itself.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MultiProcessValue

from rempart.web.channel import METRICS_VARIABLE, SLOT_VARIABLE

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)

if METRICS_VARIABLE in os.environ:
    # Files are named by the worker's place, not its process number: one that takes a dead one's place counts on.
    slot = os.environ.get(SLOT_VARIABLE, "0")
    prometheus_client.values.ValueClass = MultiProcessValue(process_identifier=lambda: slot)  # type: ignore[no-untyped-call]

REQUESTS: Final = Counter("rempart_http_requests", "Answered requests.", ("route", "method", "status"))
SECONDS: Final = Histogram("rempart_http_request_seconds", "Time of a request.", ("route",), buckets=_SECONDS)
REFUSED: Final = Counter("rempart_http_refused_connections", "Connections refused or cut off.", ("why",))
UPLOADED: Final = Counter("rempart_http_uploaded_bytes", "Bytes of uploads that were read.")
VERDICTS: Final = Counter("rempart_verdicts", "Verdicts given.", ("kind", "outcome"))
CONNECTIONS: Final = Gauge("rempart_http_connections", "Open connections.", multiprocess_mode="livesum")
READY: Final = Gauge("rempart_ready", "Workers that can look things up.", multiprocess_mode="livesum")
HASHES: Final = Gauge("rempart_bank_hashes", "Hashes in a bank.", ("bank",), multiprocess_mode="livemax")
AGE: Final = Gauge("rempart_lists_age_seconds", "Age of the oldest list.", multiprocess_mode="livemax")


def requested(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    count, time = _children(route, method, status)
    count.inc()
    time.observe(seconds)


@lru_cache(maxsize=4096)
def _children(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    # Clients choose methods as they like; each word would be a series of its own.
    known = method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
    return REQUESTS.labels(route, known, str(status)), SECONDS.labels(route)


def exposition() -> bytes:
    """All numbers of all workers in Prometheus' text format."""
    if METRICS_VARIABLE not in os.environ:
        return bytes(generate_latest())
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return bytes(generate_latest(registry))

"""The native API."""

from __future__ import annotations

from typing import Final

from litestar import Router
from litestar.types import ControllerRouterHandler

from rempart.web.v1 import banks, entries, faults, hash, jobs, keys, match, pictures, screen  # noqa: A004 -- what it does

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    Router(
        "/v1",
        route_handlers=[
            *screen.ROUTES,
            *match.ROUTES,
            *hash.ROUTES,
            *banks.ROUTES,
            *entries.ROUTES,
            *pictures.ROUTES,
            *jobs.ROUTES,
            *keys.ROUTES,
        ],
        exception_handlers=faults.HANDLERS,
    ),
)

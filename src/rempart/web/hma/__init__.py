"""The API of HMA, for its clients: Coop, FetLife's, and whoever wrote one by HMA's description.

Paths, shapes and words are those of HMA 1.1.7. Where it is known to be wrong, the same path does what is right.
"""

from __future__ import annotations

from typing import Final

from litestar import Router
from litestar.types import ControllerRouterHandler

from rempart.web.hma import banks, content, exchanges, hashing, lookup, state, types
from rempart.web.hma.answers import HANDLERS
from rempart.web.problems import HMA_PREFIX

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    Router(
        HMA_PREFIX,
        route_handlers=[
            *state.ROUTES,
            *hashing.ROUTES,
            *lookup.ROUTES,
            *banks.ROUTES,
            *content.ROUTES,
            *types.ROUTES,
            *exchanges.ROUTES,
        ],
        exception_handlers=HANDLERS,
    ),
)

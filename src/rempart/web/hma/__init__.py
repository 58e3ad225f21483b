"""The API of HMA, for its clients."""

from __future__ import annotations

from typing import Final

from litestar.types import ControllerRouterHandler

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = ()

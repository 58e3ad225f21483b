"""Whether look-ups work, and what can be asked, as HMA tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from litestar import MediaType, Response, get
from litestar.response import Redirect
from litestar.response.base import ASGIResponse
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from rempart.people import Permission
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import AnyRequest, answer
from rempart.web.problems import HMA_PREFIX
from rempart.web.services import services_of

_ALIVE: Final = "I-AM-ALIVE"
_NOT_LOADED: Final = "INDEX-NOT-LOADED"
_STALE: Final = "INDEX-STALE"
TITLE: Final = "Open Media Match API"


@get("/", opt={PERMISSION: Permission.OPEN}, status_code=302, include_in_schema=False, sync_to_thread=False)
def show_root() -> Redirect:
    """Lead to the status."""
    return Redirect(f"{HMA_PREFIX}/status", status_code=302)


@get("/status", opt={PERMISSION: Permission.OPEN}, tags=["hma"], media_type=MediaType.TEXT, sync_to_thread=False)
def show_status(request: AnyRequest) -> Response[str]:
    """Say whether look-ups work."""
    live = services_of(request.scope).live
    if live.lists_as_of is None:
        return Response(_NOT_LOADED, status_code=503, media_type=MediaType.TEXT)
    if not live.ready:
        return Response(_STALE, status_code=503, media_type=MediaType.TEXT)
    return Response(_ALIVE, media_type=MediaType.TEXT)


@get("/status/live", opt={PERMISSION: Permission.OPEN}, tags=["hma"], media_type=MediaType.TEXT, sync_to_thread=False)
def show_alive() -> str:
    """Say that the process answers."""
    return _ALIVE


@get("/site-map", opt={PERMISSION: Permission.OPEN}, tags=["hma"], sync_to_thread=False)
def show_paths(request: AnyRequest) -> ASGIResponse:
    """The paths, as Flask writes them."""
    return answer(sorted(set(_paths(request))))


@get("/openapi/openapi.json", opt={PERMISSION: Permission.SEE_SCHEMA}, include_in_schema=False, sync_to_thread=True)
def show_description(request: AnyRequest) -> ASGIResponse:
    """The description of these paths, by the title that HMA has."""
    whole: dict[str, Any] = request.app.openapi_schema.to_schema()
    paths = {
        path.removeprefix(HMA_PREFIX): item for path, item in whole["paths"].items() if path.startswith(HMA_PREFIX)
    }
    return answer(whole | {"info": whole["info"] | {"title": TITLE}, "paths": paths})


def _paths(request: AnyRequest) -> Iterator[str]:
    for route in request.app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(HMA_PREFIX):
            path = route.path.removeprefix(HMA_PREFIX) or "/"
            yield re.sub(r"{(\w+):(\w+)}", lambda found: f"<{'' if found[2] == 'str' else 'int:'}{found[1]}>", path)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    show_root,
    show_status,
    show_alive,
    show_paths,
    show_description,
)

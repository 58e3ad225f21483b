"""The ASGI application: routes, permissions, errors and the gate before them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Final

from litestar import Litestar, MediaType, Router
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

import rempart
from rempart.people import Permission
from rempart.web import hma, ops, v1
from rempart.web.described import FETCHING, problems
from rempart.web.gate import Gate
from rempart.web.guards import PERMISSION, check_routes, handlers, permitted
from rempart.web.problems import HANDLERS, HMA_PREFIX, Code
from rempart.web.requests import ServiceRequest
from rempart.web.services import STATE, Services

__all__ = ["Application", "Services", "create_app"]

_OF_HMA: Final = (
    Code.NOT_FOUND,
    Code.INVALID_HASH,
    Code.UNSCANNABLE,
    Code.ALREADY_THERE,
    Code.INCOMPLETE,
    Code.DISTANCE_FORBIDDEN,
    Code.NOTHING_TO_COMPARE,
    *FETCHING,
)
ROUTES: Final[Sequence[ControllerRouterHandler]] = (*ops.ROUTES, *v1.ROUTES, *hma.ROUTES)


class Application(Litestar):
    """Litestar behind the gate, which every request passes before it is routed."""

    gate: Gate

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """The entry point that ASGI demands."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await self.gate(scope, receive, send)  # type: ignore[arg-type]  # of a request, not of the process


def create_app(services: Services, *, routes: Sequence[ControllerRouterHandler] = ROUTES) -> Application:
    """Make the app of one process.

    Args:
        services: what the handlers use. They must be running already, and are not stopped with the app.
        routes: what it answers to; everything that rempart offers by default.

    Raises:
        UndeclaredRouteError: a route declares no permission.
    """
    app = Application(
        route_handlers=list(routes),
        guards=[permitted],
        request_class=ServiceRequest,
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(
            title="rempart",
            version=rempart.__version__,
            use_handler_docstrings=True,
            openapi_router=Router(
                "/schema", route_handlers=[], include_in_schema=False, opt={PERMISSION: Permission.SEE_SCHEMA}
            ),
            render_plugins=[JsonRenderPlugin()],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"key": []}],
        ),
        state=State({STATE: services}, deep_copy=False),
        request_max_body_size=services.settings.serve.body_bytes,
        logging_config=None,  # what failed is logged by rempart.web.problems, without its text
        debug=False,
    )
    checked = check_routes(app)
    _describe(app)
    app.gate = Gate(partial(Litestar.__call__, app), services, checked, _methods(app))
    return app


def _describe(app: Litestar) -> None:
    """Tell of each route what the framework cannot know: whether it takes a key, and what HMA's clients may be told."""
    for route, handler in handlers(app):
        if handler.opt[PERMISSION] is Permission.OPEN:
            handler.security = [{}]
        elif route.path.startswith(f"{HMA_PREFIX}/") and not handler.responses:
            handler.responses = problems(*_OF_HMA, body=True, media_type=MediaType.JSON)


def _methods(app: Litestar) -> dict[str, str]:
    """The methods of each template of a path, as the header ``Allow`` lists them."""
    found: dict[str, set[str]] = defaultdict(set)
    for route, handler in handlers(app):
        found[route.path_format] |= handler.http_methods
    return {template: ", ".join(sorted(methods | {"OPTIONS"})) for template, methods in found.items()}

"""Who may use which route: each declares exactly one permission, and a route without one stops the start.

Declare it as ``opt={PERMISSION: Permission.MATCH_MEDIA}``; which scopes that takes is said in one table,
:data:`rempart.people.RULES`. The gate (:mod:`rempart.web.gate`) has found the key by then, or answered 401.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from rempart.errors import RempartError
from rempart.people import Permission, Refusal, refusal, refusal_line
from rempart.web.problems import Code, Problem

PERMISSION: Final = "permission"


class UndeclaredRouteError(RempartError):
    """A route of the service declares no permission; this is a defect, please report it."""


async def permitted(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route; asynchronous because others are run in a thread, which costs more than the rest.

    Raises:
        Problem: there is no key, or its scopes do not let it do what the route does.
    """
    key = connection.scope["state"].get("key")
    permission = handler.opt.get(PERMISSION)
    if permission is None:  # the framework's own answer to OPTIONS, which tells the methods of a path
        if key is None:
            raise Problem(Code.UNAUTHENTICATED)
        return
    reason = refusal(None if key is None else key.scopes, permission)
    if reason is None:
        return
    code = Code.UNAUTHENTICATED if reason is Refusal.NO_KEY else Code.FORBIDDEN
    raise Problem(code, refusal_line(reason, permission))


def check_routes(app: Litestar) -> frozenset[str]:
    """Refuse an app with a route that declares no permission, and tell the paths that are open to nobody in particular.

    Raises:
        UndeclaredRouteError: a route declares none; or one that is open has parameters, or methods that are not.
    """
    declared: dict[str, set[Permission]] = {}
    for route, handler in handlers(app):
        permission = handler.opt.get(PERMISSION)
        if not isinstance(permission, Permission):
            raise UndeclaredRouteError(f"the route {route.path} declares no permission")
        if permission is Permission.OPEN and route.path_parameters:
            raise UndeclaredRouteError(f"the route {route.path} is open, and has parameters")
        declared.setdefault(route.path, set()).add(permission)
    for path, permissions in declared.items():
        if Permission.OPEN in permissions and len(permissions) > 1:
            raise UndeclaredRouteError(f"only some of the methods of {path} are open")
    return frozenset(path for path, permissions in declared.items() if Permission.OPEN in permissions)


def handlers(app: Litestar) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler]]:
    """Every route with each of its handlers; the framework's own answers to OPTIONS are left out.

    Raises:
        UndeclaredRouteError: something is no plain HTTP route, so that no guard would see it.
    """
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise UndeclaredRouteError(f"the route {route.path} is not a plain HTTP route, and no guard would see it")
        for handler in route.route_handlers:
            if handler.http_methods != {"OPTIONS"}:
                yield route, handler

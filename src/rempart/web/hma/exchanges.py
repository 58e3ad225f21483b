"""Exchanges, as HMA calls the sources of lists. This version has none, and says so in the words that clients know.

To let a list from elsewhere block takes two people who have logged in; no key of a program can do it.
"""

from __future__ import annotations

from typing import Final

from litestar import delete, get, post, put
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from rempart.people import Permission
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import answer
from rempart.web.problems import Code, Problem


@get("/c/exchanges", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_exchanges() -> ASGIResponse:
    """The exchanges: none."""
    return answer([])


@post("/c/exchanges", opt={PERMISSION: Permission.LET_LISTS_BLOCK}, tags=["hma"], sync_to_thread=False)
def make_exchange() -> ASGIResponse:
    """Refused to every key."""
    raise Problem(Code.FORBIDDEN)


@get("/c/exchanges/apis", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_apis() -> ASGIResponse:
    """What exchanges can be made of: nothing."""
    return answer([])


@get("/c/exchanges/api/{name:str}", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_api(name: FromPath[str]) -> ASGIResponse:  # noqa: ARG001 -- whatever it is
    """No such thing is known."""
    raise Problem(Code.INVALID, "No such exchange type; this version has none.")


@post("/c/exchanges/api/{name:str}", opt={PERMISSION: Permission.LET_LISTS_BLOCK}, tags=["hma"], sync_to_thread=False)
def set_credentials(name: FromPath[str]) -> ASGIResponse:  # noqa: ARG001 -- as above
    """Refused to every key."""
    raise Problem(Code.FORBIDDEN)


@get("/c/exchanges/api/{name:str}/schema", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_schema(name: FromPath[str]) -> ASGIResponse:  # noqa: ARG001 -- as above
    """No such thing is known; clients fall back on what they have built in."""
    raise Problem(Code.NOT_FOUND, "No such exchange type; this version has none.")


@get("/c/exchange/{name:str}", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_exchange(name: FromPath[str]) -> ASGIResponse:
    """No bank is fed by one."""
    raise _not_found(name)


@get("/c/exchange/{name:str}/status", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_status(name: FromPath[str]) -> ASGIResponse:
    """No bank is fed by one."""
    raise _not_found(name)


@put("/c/exchange/{name:str}", opt={PERMISSION: Permission.LET_LISTS_BLOCK}, tags=["hma"], sync_to_thread=False)
def alter_exchange(name: FromPath[str]) -> ASGIResponse:  # noqa: ARG001 -- as above
    """Refused to every key."""
    raise Problem(Code.FORBIDDEN)


@delete(
    "/c/exchange/{name:str}",
    opt={PERMISSION: Permission.LET_LISTS_BLOCK},
    status_code=200,
    tags=["hma"],
    sync_to_thread=False,
)
def drop_exchange(name: FromPath[str]) -> ASGIResponse:  # noqa: ARG001 -- as above
    """Refused to every key."""
    raise Problem(Code.FORBIDDEN)


def _not_found(name: str) -> Problem:
    shown = name if name.isascii() and name.isidentifier() else ""
    return Problem(Code.NOT_FOUND, f"Exchange '{shown}' not found")


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    show_exchanges,
    make_exchange,
    show_apis,
    show_api,
    set_credentials,
    show_schema,
    show_exchange,
    show_status,
    alter_exchange,
    drop_exchange,
)

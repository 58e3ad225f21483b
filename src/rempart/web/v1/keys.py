"""Keys of programs: listing, making and revoking them, and how much they are used."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.params import JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from rempart.errors import BankError, UsageError
from rempart.people import Key, KeyRecord, Permission, Scope, Usage, create_key, list_keys, list_usage, revoke_key
from rempart.web.described import problems
from rempart.web.guards import PERMISSION
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, services_of
from rempart.web.v1.pages import DEFAULT, Cursor, Limit, Number, cursor_after, number_in
from rempart.web.v1.writes import AnyRequest, IdempotencyKey, once


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make, of no more power than the one that makes it.

    Attributes:
        banks: names of the only banks that it may use; null for every bank.
        per_minute: requests a minute; null for what the service allows any key.
        expires_at: when it ends; null for never.
    """

    name: Annotated[str, Meta(min_length=1, max_length=63, examples=["platform-uploads"])]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(Scope))]
    banks: Annotated[list[str], Meta(min_length=1, max_length=1000)] | None = None
    per_minute: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key.

    Attributes:
        key: the secret, which is shown this once; null when the request is repeated.
    """

    id: int
    name: str
    scopes: list[Scope]
    key: str | None


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some keys, the oldest first, and the cursor of the next page."""

    items: list[KeyRecord]
    next: str | None


class UsageRows(msgspec.Struct, frozen=True, kw_only=True):
    """How often a key asked, by hour, kind of look-up and outcome."""

    items: list[Usage]


@get("/keys", opt={PERMISSION: Permission.SEE_KEYS}, tags=["keys"], sync_to_thread=True, responses=problems())
def show_keys(request: AnyRequest, cursor: Cursor = None, limit: Limit = DEFAULT) -> KeyPage:
    """List the keys there are or were; never their secrets."""
    services, after = services_of(request.scope), number_in(cursor) or 0
    found = [one for one in list_keys(services.store, clock=services.clock) if one.id > after]
    rows = found[:limit]
    return KeyPage(items=rows, next=cursor_after(rows[-1].id) if len(found) > limit else None)


@post(
    "/keys",
    opt={PERMISSION: Permission.CHANGE_KEYS},
    tags=["keys"],
    sync_to_thread=True,
    responses=problems(body=True, write=True),
)
def make_key(request: AnyRequest, data: JSONBody[NewKey], idempotency_key: IdempotencyKey = None) -> Response[MadeKey]:
    """Make a key. Its secret is in this answer and nowhere else."""

    def act(services: Services, giver: Key) -> MadeKey:
        if any(one.name == data.name for one in list_keys(services.store, clock=services.clock)):
            raise Problem(Code.CONFLICT, "There is or was a key of this name; names are never given twice.")
        try:
            key, secret = create_key(
                services.store,
                data.name,
                data.scopes,
                banks=data.banks,
                per_minute=data.per_minute,
                expires_at=data.expires_at,
                giver=giver,
                clock=services.clock,
            )
        except BankError:
            raise Problem(Code.INVALID, "One of the banks is not there.") from None
        except UsageError as error:
            raise Problem(Code.INVALID, str(error)) from None
        return MadeKey(id=key.id, name=key.name, scopes=sorted(key.scopes), key=secret)

    return once(request, idempotency_key, data, act, answer=MadeKey, status=201, kept=_without_secret)


@delete(
    "/keys/{number:int}",
    opt={PERMISSION: Permission.CHANGE_KEYS},
    status_code=200,
    tags=["keys"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, write=True),
)
def end_key(request: AnyRequest, number: Number, idempotency_key: IdempotencyKey = None) -> Response[KeyRecord]:
    """Revoke a key for good; every process refuses it within a second."""

    def act(services: Services, key: Key) -> KeyRecord:
        _there(services, number)
        return revoke_key(services.store, str(number), actor=key.actor, clock=services.clock)

    return once(request, idempotency_key, None, act, answer=KeyRecord)


@get(
    "/keys/{number:int}/usage",
    opt={PERMISSION: Permission.SEE_KEYS},
    tags=["keys"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND),
)
def show_usage(
    request: AnyRequest, number: Number, hours: Annotated[int, QueryParameter(ge=1, le=24 * 400)] = 24
) -> UsageRows:
    """Show how often a key asked in the last hours."""
    services = services_of(request.scope)
    _there(services, number)
    since = services.clock() - timedelta(hours=hours)
    return UsageRows(items=list_usage(services.store, number, since))


def _there(services: Services, number: int) -> None:
    if all(one.id != number for one in list_keys(services.store, clock=services.clock)):
        raise Problem(Code.NOT_FOUND, "There is no key of this number.")


def _without_secret(made: MadeKey) -> MadeKey:
    return msgspec.structs.replace(made, key=None)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (show_keys, make_key, end_key, show_usage)

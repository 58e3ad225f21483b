"""Writes that may be sent again: a client that got no answer repeats the request with the same ``Idempotency-Key``.

The key is noted before anything is done and its answer after, so that no act is done twice. Between the two a second
request with the key is refused, also when the process died there: then the client must look what became of the first.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.params import HeaderParameter
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from rempart.errors import RempartError
from rempart.people import Key
from rempart.store.service_tables import idempotency
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, key_of, services_of

AnyRequest: TypeAlias = Request[object, object, State]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=128,
        description="A random name for this request. Sent again within a day, it is answered as the first time, and "
        "nothing is done twice.",
    ),
]
KEPT: Final = timedelta(days=1)
REPLAYED: Final = "idempotency-replayed"
_UNDER_WAY: Final = 0

T = TypeVar("T", bound=msgspec.Struct)


def once(
    request: AnyRequest,
    token: str | None,
    data: msgspec.Struct | bytes | None,
    act: Callable[[Services, Key], T],
    *,
    answer: type[T],
    status: int = 200,
    kept: Callable[[T], T] | None = None,
) -> Response[T]:
    """Do what a request asks for, once for each idempotency key, and have the banks of this process take it up.

    Args:
        request: who asks, and where.
        token: its idempotency key; without one the act is simply done.
        data: what was sent, which a repeated request must send again.
        act: does it, and gives the answer. What it raises was not done.
        answer: the type of that.
        status: the HTTP status of the answer.
        kept: what of the answer is kept for a repeated request; all of it by default.

    Raises:
        Problem: the key was used for another request, or its first request is under way.
        StoreError: the database cannot be written.
    """
    services, key = services_of(request.scope), key_of(request)
    if token is None:
        return Response(_done(services, key, act), status_code=status)
    content = data if isinstance(data, bytes) else msgspec.json.encode(data)
    digest = hashlib.sha256(f"{request.method} {request.scope['path']}\n".encode() + content).digest()
    first = _reserve(services, key, token, digest)
    if first is not None:
        first_status, body = first
        return Response(msgspec.json.decode(body, type=answer), status_code=first_status, headers={REPLAYED: "true"})
    mine = (idempotency.c.key_id == key.id) & (idempotency.c.token == token)
    try:
        result = _done(services, key, act)
    except BaseException:
        with services.store.write() as connection:
            connection.execute(delete(idempotency).where(mine))
        raise
    with services.store.write() as connection:
        body = msgspec.json.encode(result if kept is None else kept(result))
        connection.execute(update(idempotency).where(mine).values(status=status, body=body))
    return Response(result, status_code=status)


def _done(services: Services, key: Key, act: Callable[[Services, Key], T]) -> T:
    result = act(services, key)
    # It is committed. A process that cannot read the banks now says so to look-ups, and takes the change up later.
    with contextlib.suppress(RempartError):
        services.live.refresh()
    return result


def _reserve(services: Services, key: Key, token: str, digest: bytes) -> tuple[int, bytes] | None:
    """Note that a request is under way; or the answer that it got before."""
    now = services.clock()
    row = {
        "key_id": key.id,
        "token": token,
        "request": digest,
        "status": _UNDER_WAY,
        "body": b"",
        "created_at": now,
    }
    with services.store.write() as connection:
        old = (idempotency.c.key_id == key.id) & (idempotency.c.created_at < now - KEPT)
        connection.execute(delete(idempotency).where(old))
        if connection.execute(_insert(connection).values(row).returning(idempotency.c.token)).first() is not None:
            return None
        mine = (idempotency.c.key_id == key.id) & (idempotency.c.token == token)
        found = connection.execute(select(idempotency).where(mine)).one()
    if found.request != digest:
        raise Problem(Code.IDEMPOTENCY_CONFLICT)
    if found.status == _UNDER_WAY:
        raise Problem(Code.CONFLICT, "The first request with this idempotency key is under way, or was broken off.")
    return found.status, found.body


def _insert(connection: Connection) -> Any:  # noqa: ANN401 -- SQLAlchemy has no common type of both
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(idempotency).on_conflict_do_nothing()

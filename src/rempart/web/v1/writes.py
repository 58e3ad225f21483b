"""Writes that may be sent again: a client that got no answer repeats the request with the same ``Idempotency-Key``.

The key and the answer are kept in the transaction of the act: whatever happens, all of it is there, or nothing, and a
request that is sent again is answered as the first time, or done now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.params import HeaderParameter
from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

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
        act: does it with the store of the services that it gets, and gives the answer. What it raises was not done.
        answer: the type of that.
        status: the HTTP status of the answer.
        kept: what of the answer is kept for a repeated request; all of it by default.

    Raises:
        Problem: the key was used for another request.
        StoreError: the database cannot be written.
    """
    services, key = services_of(request.scope), key_of(request)
    headers = {}
    if token is None:
        result = act(services, key)
    else:
        content = data if isinstance(data, bytes) else msgspec.json.encode(data)
        digest = hashlib.sha256(f"{request.method} {request.scope['path']}\n".encode() + content).digest()
        with services.store.write_whole() as (connection, store):
            first = _noted(connection, key, token, digest, status, services.clock())
            if first is None:
                result = act(replace(services, store=store), key)
                body = msgspec.json.encode(result if kept is None else kept(result))
                connection.execute(update(idempotency).where(_named(key, token)).values(body=body))
        if first is not None:
            result, status, headers = msgspec.json.decode(first.body, type=answer), first.status, {REPLAYED: "true"}
    services.take_up()
    return Response(result, status_code=status, headers=headers)


def _noted(connection: Connection, key: Key, token: str, digest: bytes, status: int, now: datetime) -> Row[Any] | None:
    """Note a request, whose answer is still to be written; or what was noted of it before.

    Of two that come at once the second waits here until the transaction of the first has ended.

    Raises:
        Problem: its idempotency key was used for another request.
    """
    old = (idempotency.c.key_id == key.id) & (idempotency.c.created_at < now - KEPT)
    connection.execute(delete(idempotency).where(old))
    row = {"key_id": key.id, "token": token, "request": digest, "status": status, "body": b"", "created_at": now}
    if connection.execute(_insert(connection).values(row).returning(idempotency.c.token)).first() is not None:
        return None
    found = connection.execute(select(idempotency).where(_named(key, token))).one()
    if found.request != digest:
        raise Problem(Code.IDEMPOTENCY_CONFLICT)
    return found


def _named(key: Key, token: str) -> ColumnElement[bool]:
    return (idempotency.c.key_id == key.id) & (idempotency.c.token == token)


def _insert(connection: Connection) -> Any:  # noqa: ANN401 -- SQLAlchemy has no common type of both
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(idempotency).on_conflict_do_nothing()

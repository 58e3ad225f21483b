"""Banks, as HMA offers them. A bank that a key may not use is 403 to it, never 404: clients delete what is 404."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from anyio import to_thread
from litestar import delete, get, post, put
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from msgspec import UNSET
from sqlalchemy import Row, select

from rempart.errors import BankError
from rempart.ids import check_bank_name
from rempart.lists import change_bank, create_bank, delete_bank
from rempart.people import Key, Permission
from rempart.store import Store
from rempart.store.tables import banks as bank_table
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import AnyRequest, answer, flag, json_object
from rempart.web.problems import Code, Problem
from rempart.web.services import key_of, services_of

_BAD_NAME: Final = "Bank names must be UPPER_WITH_UNDERSCORE"


@get("/c/banks", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=True)
def show_banks(request: AnyRequest) -> ASGIResponse:
    """The banks that the key may use."""
    key = key_of(request)
    with services_of(request.scope).store.read() as connection:
        rows = connection.execute(select(bank_table).order_by(bank_table.c.name)).all()
    return answer([shown_bank(row) for row in rows if key.may_use(row.id)])


@post("/c/banks", opt={PERMISSION: Permission.CHANGE_BANKS}, tags=["hma"])
async def make_bank(request: AnyRequest) -> ASGIResponse:
    """Make an empty bank, which blocks."""
    wanted = await json_object(request)
    return await to_thread.run_sync(_make, request, wanted)


@get("/c/bank/{name:str}", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=True)
def show_bank(request: AnyRequest, name: FromPath[str]) -> ASGIResponse:
    """One bank."""
    return answer(shown_bank(bank_of(services_of(request.scope).store, key_of(request), name)))


@put("/c/bank/{name:str}", opt={PERMISSION: Permission.CHANGE_BANKS}, tags=["hma"])
async def alter_bank(request: AnyRequest, name: FromPath[str]) -> ASGIResponse:
    """Rename a bank, which keeps what it holds, or switch it on and off."""
    wanted = await json_object(request)
    return await to_thread.run_sync(_alter, request, name, wanted)


@delete(
    "/c/bank/{name:str}", opt={PERMISSION: Permission.CHANGE_BANKS}, status_code=200, tags=["hma"], sync_to_thread=True
)
def drop_bank(request: AnyRequest, name: FromPath[str]) -> ASGIResponse:
    """Delete a bank with all its contents; one that is not there is deleted, too."""
    services, key = services_of(request.scope), key_of(request)
    try:
        bank_of(services.store, key, name)
        delete_bank(services.store, name, actor=key.actor, clock=services.clock)
    except Problem as problem:
        if problem.code is not Code.NOT_FOUND:
            raise
    except BankError:  # somebody else was faster
        pass
    services.take_up()
    return answer({"message": "Done"})


def bank_of(store: Store, key: Key, name: str) -> Row[Any]:
    """The row of a bank that a key may use.

    Raises:
        Problem: the key may not use it, or any of this name; or there is none.
        StoreError: the database cannot be read.
    """
    # Names are printable ASCII; others may not even be text that the database takes.
    possible = re.fullmatch("[A-Za-z0-9_]{1,255}", name) is not None
    with store.read() as connection:
        found = connection.execute(select(bank_table).where(bank_table.c.name == name)).first() if possible else None
    if key.banks is not None and (found is None or not key.may_use(found.id)):
        raise Problem(Code.FORBIDDEN, "This key may not use a bank of this name.")
    if found is None:
        raise Problem(Code.NOT_FOUND, f"bank '{name}' not found" if possible else "bank not found")
    return found


def shown_bank(row: Row[Any]) -> dict[str, Any]:
    """A bank as HMA tells of it."""
    return {"name": row.name, "matching_enabled_ratio": row.enabled_ratio}


def _make(request: AnyRequest, wanted: Mapping[str, Any]) -> ASGIResponse:
    services, key = services_of(request.scope), key_of(request)
    name = _name(wanted)
    if name is None:
        raise Problem(Code.INCOMPLETE, "The name of the bank is missing.")
    ratio = _ratio(wanted)
    if key.banks is not None:
        raise Problem(Code.FORBIDDEN, "A key that is limited to some banks can make no others.")
    try:
        bank = create_bank(
            services.store, name, enabled_ratio=1.0 if ratio is None else ratio, actor=key.actor, clock=services.clock
        )
    except BankError:  # name and ratio were looked at before, so that only this is left
        raise Problem(Code.ALREADY_THERE, "Bank already exists") from None
    services.take_up()
    return answer({"name": bank.name, "matching_enabled_ratio": bank.enabled_ratio}, status=201)


def _alter(request: AnyRequest, name: str, wanted: Mapping[str, Any]) -> ASGIResponse:
    services, key = services_of(request.scope), key_of(request)
    new, ratio = _name(wanted), _ratio(wanted)
    bank_of(services.store, key, name)
    try:
        bank = change_bank(
            services.store,
            name,
            new_name=UNSET if new is None else new,
            enabled_ratio=UNSET if ratio is None else ratio,
            actor=key.actor,
            clock=services.clock,
        )
    except BankError:
        bank_of(services.store, key, name)  # somebody may have deleted it meanwhile
        raise Problem(Code.ALREADY_THERE, "Bank name already exists") from None
    services.take_up()
    return answer({"name": bank.name, "matching_enabled_ratio": bank.enabled_ratio})


def _name(wanted: Mapping[str, Any]) -> str | None:
    name = wanted.get("name")
    if name is None:
        return None
    if not isinstance(name, str):
        raise Problem(Code.INCOMPLETE, "The name of a bank is a text.")
    try:
        return check_bank_name(name)
    except BankError:
        raise Problem(Code.INVALID, _BAD_NAME) from None


def _ratio(wanted: Mapping[str, Any]) -> float | None:
    """What a client asks for: a number, or one as text, or a mere yes or no.

    Raises:
        Problem: it is nothing of these, or not within 0 and 1.
    """
    found, enabled = wanted.get("enabled_ratio"), wanted.get("enabled")
    if isinstance(enabled, str):  # as FetLife's client sends it
        enabled = flag(enabled, "enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise Problem(Code.INCOMPLETE, "enabled is true or false.")
    if found is None:
        return None if enabled is None else float(enabled)
    ratio = ratio_in(found)
    return ratio if enabled is not False else 0.0


def ratio_in(found: object) -> float:
    """A share, as a number or as one in text.

    Raises:
        Problem: it is neither, or not within 0 and 1.
    """
    try:
        ratio = math.nan if isinstance(found, bool) else float(found)  # type: ignore[arg-type]  # what it is, is asked here
    except (TypeError, ValueError, OverflowError):
        raise Problem(Code.INVALID, "enabled_ratio is a number.") from None
    if not 0 <= ratio <= 1:
        raise Problem(Code.INVALID, "enabled_ratio lies within 0 and 1.")
    return ratio


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (show_banks, make_bank, show_bank, alter_bank, drop_bank)

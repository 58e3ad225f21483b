"""Types of signal and of content, and how far the index is, as HMA tells of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from anyio import to_thread
from litestar import get, post, put
from litestar.params import FromPath, FromQuery
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from rempart.lists.signal_types import enabled_ratios, set_enabled_ratio
from rempart.matching import Bank
from rempart.matching.bank import DEFAULT_RADIUS
from rempart.people import Permission
from rempart.store.tables import HashKind
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import AnyRequest, answer, json_object
from rempart.web.hma.banks import ratio_in
from rempart.web.hma.signals import TYPES, ContentType, SignalType, known_type, parsed
from rempart.web.problems import Code, Problem
from rempart.web.services import key_of, services_of

_PAIR: Final = 2
_NEVER: Final = -1


@get("/c/signal_type", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=True)
def show_types(request: AnyRequest) -> ASGIResponse:
    """The types of signal, and in how large a share of the look-ups each is compared."""
    ratios = enabled_ratios(services_of(request.scope).store)
    return answer([{"name": name, "enabled_ratio": ratios.get(name, 1.0)} for name in TYPES])


@put("/c/signal_type/{name:str}", opt={PERMISSION: Permission.CHANGE_BANKS}, tags=["hma"])
async def alter_type(request: AnyRequest, name: FromPath[str]) -> ASGIResponse:
    """Switch a type of signal off or on, for the clients of this interface."""
    one = known_type(name)
    wanted = await json_object(request)
    if "enabled_ratio" not in wanted:
        raise Problem(Code.INCOMPLETE, "enabled_ratio is missing.")
    ratio = ratio_in(wanted["enabled_ratio"])
    return await to_thread.run_sync(_alter, request, one, ratio)


@get("/c/signal_type/index", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_index(request: AnyRequest, signal_type: FromQuery[str | None] = None) -> ASGIResponse:
    """How far the index is. It follows the database within a second, so both are told alike."""
    return answer(
        {
            one.name: {
                "db_size": size,
                "index_size": size,
                "index_out_of_date": False,
                "newest_db_item": built_to,
                "index_built_to": built_to,
            }
            for one, size, built_to in _sizes(request, signal_type)
        }
    )


@get("/m/index/status", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_index_status(request: AnyRequest, signal_type: FromQuery[str | None] = None) -> ASGIResponse:
    """Of each type whether it can be looked up, how many hashes there are, and until when they were taken up."""
    return answer(
        {
            one.name: {"present": size > 0, "built_to": built_to, "size": size}
            for one, size, built_to in _sizes(request, signal_type)
        }
    )


@get("/c/content_type", opt={PERMISSION: Permission.SEE_LISTS}, tags=["hma"], sync_to_thread=False)
def show_contents() -> ASGIResponse:
    """The kinds of file."""
    return answer([{"name": one.value, "enabled": True} for one in ContentType])


@post("/m/compare", opt={PERMISSION: Permission.MATCH_MEDIA}, status_code=200, tags=["hma"])
async def compare(request: AnyRequest) -> ASGIResponse:
    """Compare pairs of hashes, both of which the client brings."""
    wanted = await json_object(request, otherwise=Code.INVALID)
    return answer({name: _compared(known_type(name), pair) for name, pair in wanted.items()})


def _compared(one: SignalType, pair: object) -> Sequence[Any]:
    if not isinstance(pair, list) or len(pair) != _PAIR or not all(isinstance(text, str) for text in pair):
        raise Problem(Code.INVALID, f"{one.name} takes a list of two hashes.")
    first, second = (int.from_bytes(parsed(one, text), "big") for text in pair)
    if one.kind is HashKind.PDQ:
        distance = (first ^ second).bit_count()
        return distance <= DEFAULT_RADIUS, {"distance": distance}
    return first == second, {"distance": int(first != second)}


def _alter(request: AnyRequest, one: SignalType, ratio: float) -> ASGIResponse:
    services, key = services_of(request.scope), key_of(request)
    set_enabled_ratio(services.store, one.name, ratio, actor=key.actor, clock=services.clock)
    services.signal_types.refresh()
    return answer({"name": one.name, "enabled_ratio": ratio})


def _sizes(request: AnyRequest, only: str | None) -> list[tuple[SignalType, int, int]]:
    """Of each type, or of one: how many hashes the key's banks hold, and when that was last changed, as a Unix time."""
    key = key_of(request)
    banks: Mapping[str, Bank] = services_of(request.scope).live.banks
    own = [bank for bank in banks.values() if bank.id is not None and key.may_use(bank.id)]
    rows = []
    for one in TYPES.values() if only is None else (known_type(only),):
        holding = [bank for bank in own if bank.count(one.kind)]
        built_to = max((int(bank.refreshed_at.timestamp()) for bank in holding), default=_NEVER)
        rows.append((one, sum(bank.count(one.kind) for bank in holding), built_to))
    return rows


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    show_types,
    alter_type,
    show_index,
    show_index_status,
    show_contents,
    compare,
)

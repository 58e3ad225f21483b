"""Banks: the lists' state, and making, seeing and deleting banks. A key sees only the banks that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType

from rempart.errors import StoreError
from rempart.lists import StoredBank, change_bank, create_bank, delete_bank, stored_banks
from rempart.matching import Harm, Kind, VideoRule
from rempart.matching.bank import DEFAULT_QUALITY_FLOOR, DEFAULT_RADIUS, LARGEST_PERCENT, LARGEST_RADIUS
from rempart.people import Key, Permission
from rempart.store import Store
from rempart.store.tables import HashKind
from rempart.web.described import problems
from rempart.web.guards import PERMISSION
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, key_of, services_of
from rempart.web.v1.pages import DEFAULT, Cursor, Limit, cursor_after, text_in
from rempart.web.v1.writes import AnyRequest, IdempotencyKey, once

BankName = Annotated[str, Meta(min_length=1, max_length=255, pattern="^[A-Z_][A-Z0-9_]*$", examples=["CONFIRMED"])]
Radius = Annotated[int, Meta(ge=0, le=LARGEST_RADIUS)]
Quality = Annotated[int, Meta(ge=0, le=LARGEST_PERCENT)]


class NewBank(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bank to make; docs/banks.md explains the settings. A direction of the video rule is off when it is null."""

    name: BankName
    kind: Kind = Kind.BLOCKING
    harm: Harm | None = None
    radius: Radius = DEFAULT_RADIUS
    allow_slow: bool = False
    quality_floor: Quality = DEFAULT_QUALITY_FLOOR
    turned: bool = False
    max_age_seconds: Annotated[int, Meta(ge=1)] | None = None
    video_query_percent: Annotated[int, Meta(ge=1, le=100)] | None = VideoRule().query_percent
    video_banked_percent: Annotated[int, Meta(ge=1, le=100)] | None = VideoRule().banked_percent
    video_run_seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = VideoRule().run_seconds


class ChangedBank(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a bank to change; what is left out stays as it is.

    Attributes:
        name: a new one; the entries stay.
        enabled_ratio: 1 on, 0 off; between, in that share of the look-ups of HMA's clients and in all others.
        max_age_seconds: null for ever.
    """

    name: BankName | UnsetType = UNSET
    enabled_ratio: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    radius: Radius | UnsetType = UNSET
    allow_slow: bool = False
    quality_floor: Quality | UnsetType = UNSET
    turned: bool | UnsetType = UNSET
    max_age_seconds: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET


class BankRow(msgspec.Struct, frozen=True, kw_only=True):
    """A bank with its settings and how much it holds; never the hashes.

    Attributes:
        hashes: how many of each kind can be compared, in the process that answers; null while the bank is not loaded
            there. Counting what is stored would take many seconds in a large bank.
    """

    id: int
    name: str
    kind: Kind
    harm: Harm
    radius: int
    slow: bool
    quality_floor: int
    turned: bool
    max_age_seconds: int | None
    created_at: datetime
    refreshed_at: datetime
    video_query_percent: int | None
    video_banked_percent: int | None
    video_run_seconds: float | None
    enabled_ratio: float
    hashes: Mapping[HashKind, int] | None

    @classmethod
    def of(cls, bank: StoredBank, services: Services) -> BankRow:
        """The row of a bank as it is stored."""
        settings = {name: getattr(bank, name) for name in cls.__struct_fields__ if name != "hashes"}
        try:
            loaded = next((one for one in services.live.banks.values() if one.id == bank.id), None)
        except StoreError:
            loaded = None
        return cls(**settings, hashes=None if loaded is None else {kind: loaded.count(kind) for kind in HashKind})


class BankPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some banks, by name, and the cursor of the next page."""

    items: list[BankRow]
    next: str | None


class ListState(msgspec.Struct, frozen=True, kw_only=True):
    """How far this process of the service is with a bank.

    Attributes:
        stale: it is older than its maximum age, so nothing can be called clear.
        size: hashes that can be compared.
        sequence: the last of its changes that acts here.
        snapshot: the last change that is in the mapped snapshot; null if all is in memory.
        pending: how much of it is in no snapshot.
    """

    bank: str
    kind: Kind
    harm: Harm
    refreshed_at: datetime
    max_age_seconds: int | None
    stale: bool
    size: int
    sequence: int
    snapshot: int | None
    pending: int


class ListStates(msgspec.Struct, frozen=True, kw_only=True):
    """The state of all banks that the key may use.

    Attributes:
        lists_as_of: the oldest state of the blocking banks that hold anything; null if none does.
    """

    ready: bool
    lists_as_of: datetime | None
    banks: list[ListState]


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted."""

    deleted: int


@get("/lists", opt={PERMISSION: Permission.SEE_LISTS}, tags=["banks"], sync_to_thread=False, responses=problems())
def show_lists(request: AnyRequest) -> ListStates:
    """Say how fresh the banks are that look-ups are compared with."""
    services, key = services_of(request.scope), key_of(request)
    banks, now = services.live.banks, services.clock()
    states = []
    for status in services.live.status():
        bank = banks.get(status["bank"])
        if bank is None or bank.id is None or not key.may_use(bank.id):
            continue
        states.append(
            ListState(
                kind=bank.kind,
                harm=bank.harm,
                refreshed_at=bank.refreshed_at,
                max_age_seconds=None if bank.max_age is None else round(bank.max_age.total_seconds()),
                stale=bank.is_stale(now),
                **status,
            )
        )
    blocking = [state.refreshed_at for state in states if state.kind is Kind.BLOCKING and state.size]
    as_of = min(blocking, default=None)
    return ListStates(ready=services.live.ready and as_of is not None, lists_as_of=as_of, banks=states)


@get(
    "/banks",
    opt={PERMISSION: Permission.SEE_LISTS},
    tags=["banks"],
    sync_to_thread=True,
    responses=problems(),
)
def show_banks(request: AnyRequest, cursor: Cursor = None, limit: Limit = DEFAULT) -> BankPage:
    """List the banks by name."""
    services, key = services_of(request.scope), key_of(request)
    after = text_in(cursor) or ""
    found = [bank for bank in stored_banks(services.store) if key.may_use(bank.id) and bank.name > after]
    more = len(found) > limit
    rows = [BankRow.of(bank, services) for bank in found[:limit]]
    return BankPage(items=rows, next=cursor_after(rows[-1].name) if more else None)


@get(
    "/banks/{name:str}",
    opt={PERMISSION: Permission.SEE_LISTS},
    tags=["banks"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND),
)
def show_bank(request: AnyRequest, name: FromPath[str]) -> BankRow:
    """Show one bank."""
    services = services_of(request.scope)
    return BankRow.of(usable_bank(services.store, key_of(request), name), services)


@post(
    "/banks",
    opt={PERMISSION: Permission.CHANGE_BANKS},
    tags=["banks"],
    sync_to_thread=True,
    responses=problems(body=True, write=True),
)
def make_bank(
    request: AnyRequest, data: JSONBody[NewBank], idempotency_key: IdempotencyKey = None
) -> Response[BankRow]:
    """Make an empty bank. A key that is limited to some banks makes none."""

    def act(services: Services, key: Key) -> BankRow:
        if key.banks is not None:
            raise Problem(Code.FORBIDDEN, "A key that is limited to some banks can make no others.")
        if any(one.name == data.name for one in stored_banks(services.store)):
            raise Problem(Code.CONFLICT, "There is a bank of this name already.")
        bank = create_bank(
            services.store,
            data.name,
            kind=data.kind,
            harm=data.harm or (Harm.CSAM if data.kind is Kind.BLOCKING else Harm.OTHER),
            radius=data.radius,
            allow_slow=data.allow_slow,
            quality_floor=data.quality_floor,
            turned=data.turned,
            max_age_seconds=data.max_age_seconds,
            video_rule=VideoRule(
                query_percent=data.video_query_percent,
                banked_percent=data.video_banked_percent,
                run_seconds=data.video_run_seconds,
            ),
            actor=key.actor,
            clock=services.clock,
        )
        return msgspec.structs.replace(BankRow.of(bank, services), hashes=dict.fromkeys(HashKind, 0))

    return once(request, idempotency_key, data, act, answer=BankRow, status=201)


@patch(
    "/banks/{name:str}",
    opt={PERMISSION: Permission.CHANGE_BANKS},
    tags=["banks"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, body=True, write=True),
)
def alter_bank(
    request: AnyRequest, name: FromPath[str], data: JSONBody[ChangedBank], idempotency_key: IdempotencyKey = None
) -> Response[BankRow]:
    """Change settings of a bank, switch it off or on, or give it another name."""

    def act(services: Services, key: Key) -> BankRow:
        old = usable_bank(services.store, key, name)
        if any(one.name == data.name and one.id != old.id for one in stored_banks(services.store)):
            raise Problem(Code.CONFLICT, "There is a bank of this name already.")
        bank = change_bank(
            services.store,
            name,
            new_name=data.name,
            enabled_ratio=data.enabled_ratio,
            radius=data.radius,
            allow_slow=data.allow_slow,
            quality_floor=data.quality_floor,
            turned=data.turned,
            max_age_seconds=data.max_age_seconds,
            actor=key.actor,
            clock=services.clock,
        )
        return BankRow.of(bank, services)

    return once(request, idempotency_key, data, act, answer=BankRow)


@delete(
    "/banks/{name:str}",
    opt={PERMISSION: Permission.CHANGE_BANKS},
    status_code=200,
    tags=["banks"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, write=True),
)
def drop_bank(request: AnyRequest, name: FromPath[str], idempotency_key: IdempotencyKey = None) -> Response[Deleted]:
    """Delete a bank with all its entries."""

    def act(services: Services, key: Key) -> Deleted:
        bank = usable_bank(services.store, key, name)
        delete_bank(services.store, name, actor=key.actor, clock=services.clock)
        return Deleted(deleted=bank.id)

    return once(request, idempotency_key, None, act, answer=Deleted)


def usable_bank(store: Store, key: Key, name: str) -> StoredBank:
    """A bank that a key may use; another one is to it as if it were not there.

    Raises:
        Problem: there is no such bank for it.
        StoreError: the database cannot be read.
    """
    for bank in stored_banks(store):
        if bank.name == name and key.may_use(bank.id):
            return bank
    raise Problem(Code.NOT_FOUND, "There is no such bank, or this key may not use it.")


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    show_lists,
    show_banks,
    show_bank,
    make_bank,
    alter_bank,
    drop_bank,
)

"""Entries of banks: seeing, adding and removing them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import func, select

from rempart.errors import InvalidHashError
from rempart.lists import Content, HashValue, add_contents, change_entry, get_entry, parse_hash, remove_entries
from rempart.lists.changing import LONGEST_NOTE
from rempart.people import Key, Permission
from rempart.store import among
from rempart.store.tables import HashKind, entries, hashes
from rempart.web.described import problems
from rempart.web.guards import PERMISSION
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, key_of, services_of
from rempart.web.v1.banks import usable_bank
from rempart.web.v1.match import Md5, Pdq, Quality, Sha1, Sha256
from rempart.web.v1.pages import DEFAULT, LARGEST_NUMBER, Cursor, Limit, Number, cursor_after, number_in
from rempart.web.v1.writes import AnyRequest, IdempotencyKey, once

MOST_ENTRIES: Final = 1000

Note = Annotated[str, Meta(max_length=LONGEST_NOTE, pattern="^[^\\x00]*$", description="A remark for people.")]


class NewEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One content to bank: at least one hash of it, in hexadecimal digits.

    Attributes:
        quality: of the PDQ hash; unknown counts as 100.
    """

    pdq: Pdq | None = None
    quality: Quality | None = None
    md5: Md5 | None = None
    sha1: Sha1 | None = None
    sha256: Sha256 | None = None
    note: Note | None = None

    def content(self) -> Content:
        """What is to be banked.

        Raises:
            Problem: there is no hash, or one cannot be banked.
        """
        found = {HashKind(kind): getattr(self, kind) for kind in ("pdq", "md5", "sha1", "sha256")}
        try:
            values = [parse_hash(text, kind) for kind, text in found.items() if text]
        except InvalidHashError as error:
            raise Problem(Code.INVALID_HASH, str(error)) from None
        if not values:
            raise Problem(Code.INVALID, "Send at least one of pdq, md5, sha1 and sha256.")
        marked = [
            HashValue(one.kind, one.value, self.quality, "full") if one.kind is HashKind.PDQ else one for one in values
        ]
        return Content(tuple(marked), self.note)


class NewEntries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contents to bank: all of them, or none if one cannot be."""

    items: Annotated[list[NewEntry], Meta(min_length=1, max_length=MOST_ENTRIES)]


class AddedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a content.

    Attributes:
        entry: which holds it.
        new: whether that is a new one.
        hashes_added: how many hashes that entry gained.
    """

    entry: int
    new: bool
    hashes_added: int


class AddedEntries(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each content, in their order."""

    results: list[AddedEntry]


class ChangedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of an entry; what is left out stays as it is.

    Attributes:
        disabled_until: until when it takes no part in matching, five years ahead at the most, or
            ``9999-01-01T00:00:00Z`` for good; null for it does.
        note: null for none.
    """

    disabled_until: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET
    note: Note | UnsetType | None = UNSET


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, with how many hashes of each kind it has; never the hashes."""

    entry: int
    created_at: datetime
    note: str | None
    source_record: str | None
    disabled_until: datetime | None
    hashes: Mapping[HashKind, int]


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some entries, by number, and the cursor of the next page."""

    items: list[EntryRow]
    next: str | None


class EntryNumbers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries to remove: all of them, or none if one is not there."""

    entries: Annotated[list[Annotated[int, Meta(ge=1, le=LARGEST_NUMBER)]], Meta(min_length=1, max_length=MOST_ENTRIES)]


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries were removed."""

    removed: int


@get(
    "/banks/{name:str}/entries",
    opt={PERMISSION: Permission.SEE_ENTRIES},
    tags=["entries"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND),
)
def show_entries(request: AnyRequest, name: FromPath[str], cursor: Cursor = None, limit: Limit = DEFAULT) -> EntryPage:
    """List the entries of a bank by number, with how many hashes of each kind they have."""
    services = services_of(request.scope)
    bank = usable_bank(services.store, key_of(request), name).id
    after = number_in(cursor) or 0
    chosen = select(
        entries.c.id, entries.c.created_at, entries.c.note, entries.c.source_record, entries.c.disabled_until
    )
    chosen = chosen.where(entries.c.bank_id == bank, entries.c.id > after).order_by(entries.c.id).limit(limit + 1)
    with services.store.read() as connection:
        found = connection.execute(chosen).all()
        more, found = len(found) > limit, found[:limit]
        held: dict[int, dict[HashKind, int]] = defaultdict(dict)
        counted = select(hashes.c.entry_id, hashes.c.kind, func.count()).group_by(hashes.c.entry_id, hashes.c.kind)
        numbers = [row.id for row in found]
        for entry, kind, total in connection.execute(counted.where(among(connection, hashes.c.entry_id, numbers))):
            held[entry][HashKind(kind)] = total
    rows = [
        EntryRow(
            entry=row.id,
            created_at=row.created_at,
            note=row.note,
            source_record=row.source_record,
            disabled_until=row.disabled_until,
            hashes=held[row.id],
        )
        for row in found
    ]
    return EntryPage(items=rows, next=cursor_after(rows[-1].entry) if more else None)


@post(
    "/banks/{name:str}/entries",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    tags=["entries"],
    sync_to_thread=True,
    responses=problems(Code.INVALID_HASH, Code.NOT_FOUND, body=True, write=True),
)
def make_entries(
    request: AnyRequest, name: FromPath[str], data: JSONBody[NewEntries], idempotency_key: IdempotencyKey = None
) -> Response[AddedEntries]:
    """Bank contents by their hashes. A content that is banked already makes no second entry; it gains what it lacks."""
    contents = [one.content() for one in data.items]

    def act(services: Services, key: Key) -> AddedEntries:
        usable_bank(services.store, key, name)
        added = add_contents(services.store, name, contents, actor=key.actor, clock=services.clock)
        rows = (AddedEntry(entry=one.entry, new=one.new, hashes_added=one.gained) for one in added)
        return AddedEntries(results=list(rows))

    return once(request, idempotency_key, data, act, answer=AddedEntries, status=201)


@patch(
    "/banks/{name:str}/entries/{entry:int}",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    tags=["entries"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, body=True, write=True),
)
def alter_entry(
    request: AnyRequest,
    name: FromPath[str],
    entry: Number,
    data: JSONBody[ChangedEntry],
    idempotency_key: IdempotencyKey = None,
) -> Response[EntryRow]:
    """Switch an entry off or on, or change its note."""

    def act(services: Services, key: Key) -> EntryRow:
        usable_bank(services.store, key, name)
        if get_entry(services.store, name, entry) is None:
            raise Problem(Code.NOT_FOUND, "The bank has no such entry.")
        changed = change_entry(
            services.store,
            name,
            entry,
            disabled_until=data.disabled_until,
            note=data.note,
            actor=key.actor,
            clock=services.clock,
        )
        return EntryRow(
            entry=changed.id,
            created_at=changed.created_at,
            note=changed.note,
            source_record=changed.source_record,
            disabled_until=changed.disabled_until,
            hashes=Counter(one.kind for one in changed.hashes),
        )

    return once(request, idempotency_key, data, act, answer=EntryRow)


@post(
    "/banks/{name:str}/entries/remove",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    status_code=200,
    tags=["entries"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, body=True, write=True),
)
def drop_entries(
    request: AnyRequest, name: FromPath[str], data: JSONBody[EntryNumbers], idempotency_key: IdempotencyKey = None
) -> Response[Removed]:
    """Take several entries out of a bank."""
    return once(request, idempotency_key, data, _removal(name, tuple(data.entries)), answer=Removed)


@delete(
    "/banks/{name:str}/entries/{entry:int}",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    status_code=200,
    tags=["entries"],
    sync_to_thread=True,
    responses=problems(Code.NOT_FOUND, write=True),
)
def drop_entry(
    request: AnyRequest,
    name: FromPath[str],
    entry: Number,
    idempotency_key: IdempotencyKey = None,
) -> Response[Removed]:
    """Take one entry out of a bank."""
    return once(request, idempotency_key, None, _removal(name, (entry,)), answer=Removed)


def _removal(name: str, numbers: tuple[int, ...]) -> Callable[[Services, Key], Removed]:
    def act(services: Services, key: Key) -> Removed:
        bank = usable_bank(services.store, key, name).id
        wanted = sorted(set(numbers))
        with services.store.read() as connection:
            there = select(func.count()).where(entries.c.bank_id == bank, among(connection, entries.c.id, wanted))
            if connection.execute(there).scalar_one() < len(wanted):
                raise Problem(Code.NOT_FOUND, "The bank has not all of these entries; nothing was removed.")
        remove_entries(services.store, name, wanted, actor=key.actor, clock=services.clock)
        return Removed(removed=len(wanted))

    return act


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (show_entries, make_entries, alter_entry, drop_entries, drop_entry)

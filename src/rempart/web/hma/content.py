"""Contents of banks, as HMA offers them; here they are entries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from anyio import to_thread
from litestar import delete, get, post, put
from litestar.params import FromPath, FromQuery
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from rempart.errors import BankError
from rempart.hashing import Hashed, Unscannable
from rempart.lists import (
    FOR_GOOD,
    Content,
    EntryState,
    HashValue,
    add_contents,
    change_entry,
    content_of,
    get_entry,
    remove_entries,
)
from rempart.people import Permission
from rempart.store.tables import HashKind
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import AnyRequest, answer, flag, json_object
from rempart.web.hma.banks import bank_of, shown_bank
from rempart.web.hma.files import File, given, hashed, metadata_in, note_in
from rempart.web.hma.signals import (
    ContentType,
    known_type,
    parsed,
    shown_signals,
    usual_type,
    wanted_types,
)
from rempart.web.problems import Code, Problem
from rempart.web.services import key_of, services_of
from rempart.web.uploading import FileOperation

_ON: Final = 1
_OFF: Final = 0


@post(
    "/c/bank/{name:str}/content",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    status_code=200,
    tags=["hma"],
    operation_class=FileOperation,
)
async def add_file(
    request: AnyRequest,
    name: FromPath[str],
    url: FromQuery[str | None] = None,
    content_type: FromQuery[str | None] = None,
    types: FromQuery[str | None] = None,
    metadata: FromQuery[str | None] = None,
    note: FromQuery[str | None] = None,
) -> ASGIResponse:
    """Bank a file: the one behind a URL, or the only one of a form, in a field called ``photo`` or ``video``."""
    services, key = services_of(request.scope), key_of(request)
    row = await to_thread.run_sync(bank_of, services.store, key, name)
    async with given(request, url, content_type) as file:
        words = {"metadata": metadata, "note": note} | dict(file.words)
        kept, remark = metadata_in(words), note_in(words)
        chosen = None if types is None else {one.kind for one in wanted_types(types, file.content)}
        content = await _content(request, file, row)
    if chosen is not None:
        content = Content(tuple(one for one in content.hashes if one.kind in chosen))
    if not content.hashes:
        raise Problem(Code.UNSCANNABLE, "The file has no hash of these types that says enough to be banked.")
    signals = shown_signals(content.hashes)
    usual = usual_type(file.content).name if chosen is None else None
    if usual is not None:
        # A flat picture has no PDQ that could be banked; it is known by its digests.
        signals = {usual: signals[usual]} if usual in signals else {"sha256": signals["sha256"]}
    return await to_thread.run_sync(_bank, request, name, content, remark, kept, signals)


@post("/c/bank/{name:str}/signal", opt={PERMISSION: Permission.CHANGE_ENTRIES}, status_code=200, tags=["hma"])
async def add_signals(request: AnyRequest, name: FromPath[str]) -> ASGIResponse:
    """Bank a content of which only hashes are known."""
    services, key = services_of(request.scope), key_of(request)
    await to_thread.run_sync(bank_of, services.store, key, name)
    wanted = await json_object(request)
    remark = note_in(wanted)
    given_signals = {type_: value for type_, value in wanted.items() if type_ != "note"}
    if not given_signals:
        raise Problem(Code.INVALID, "No signals given")
    hashes, signals = [], {}
    for type_, text in given_signals.items():
        one = known_type(type_)
        if not isinstance(text, str):
            raise Problem(Code.INVALID_HASH, f"Invalid {one.name} signal: it is a text.")
        value = parsed(one, text)
        hashes.append(HashValue(one.kind, value))
        signals[one.name] = value.hex()
    return await to_thread.run_sync(_bank, request, name, Content(tuple(hashes)), remark, None, signals)


@get(
    "/c/bank/{name:str}/content/{number:int}",
    opt={PERMISSION: Permission.SEE_ENTRIES},
    tags=["hma"],
    sync_to_thread=True,
)
def show_content(
    request: AnyRequest,
    name: FromPath[str],
    number: FromPath[int],
    include_signals: FromQuery[str | None] = None,
    include_metadata: FromQuery[str | None] = None,
) -> ASGIResponse:
    """One content; its hashes are for keys with the scope ``distance``."""
    services, key = services_of(request.scope), key_of(request)
    if (signals := flag(include_signals, "include_signals")) and not key.may(Permission.SEE_HASHES):
        raise Problem(Code.DISTANCE_FORBIDDEN, "This key may not see hashes.")
    row = bank_of(services.store, key, name)
    entry = get_entry(services.store, name, number)
    if entry is None:
        raise Problem(Code.NOT_FOUND, "content not found in this bank")
    shown = _shown(entry, row)
    if signals:
        shown["signals"] = shown_signals(entry.hashes)
    if entry.client_metadata and (include_metadata is None or flag(include_metadata, "include_metadata")):
        shown["metadata"] = entry.client_metadata
    if entry.note:
        shown["note"] = entry.note
    return answer(shown)


@put("/c/bank/{name:str}/content/{number:int}", opt={PERMISSION: Permission.CHANGE_ENTRIES}, tags=["hma"])
async def alter_content(request: AnyRequest, name: FromPath[str], number: FromPath[int]) -> ASGIResponse:
    """Switch a content off or on, or change its note."""
    wanted = await json_object(request)
    return await to_thread.run_sync(_alter, request, name, number, wanted)


@delete(
    "/c/bank/{name:str}/content/{number:int}",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    status_code=200,
    tags=["hma"],
    sync_to_thread=True,
)
def drop_content(request: AnyRequest, name: FromPath[str], number: FromPath[int]) -> ASGIResponse:
    """Take a content out of its bank; of another bank it is none."""
    services, key = services_of(request.scope), key_of(request)
    bank_of(services.store, key, name)
    deleted = 0
    if get_entry(services.store, name, number) is not None:
        try:
            remove_entries(services.store, name, [number], actor=key.actor, clock=services.clock)
            deleted = 1
        except BankError:  # somebody else was faster
            pass
    services.take_up()
    return answer({"deleted": deleted})


async def _content(request: AnyRequest, file: File, bank: Row[Any]) -> Content:
    # Turned forms belong to what is asked, not to what is banked; and videos are banked in more frames.
    outcome: Hashed | Unscannable = await hashed(services_of(request.scope), file, banking=True)
    if isinstance(outcome, Hashed) and outcome.partial is None:
        if outcome.is_video != (file.content is ContentType.VIDEO):
            raise Problem(Code.UNSCANNABLE, f"The file is no {file.content}.")
        return content_of(outcome, bank.quality_floor)
    if file.content is ContentType.VIDEO and outcome.sha256:
        # HMA knows a video by its digest, whatever it is.
        digests = {kind: getattr(outcome, kind) for kind in (HashKind.MD5, HashKind.SHA1, HashKind.SHA256)}
        return Content(tuple(HashValue(kind, bytes.fromhex(text)) for kind, text in digests.items()))
    reason = outcome.partial if isinstance(outcome, Hashed) else outcome.reason
    raise Problem(Code.UNSCANNABLE, "" if reason is None else f"{reason}: {reason.meaning}")


def _bank(
    request: AnyRequest,
    name: str,
    content: Content,
    note: str | None,
    metadata: Mapping[str, Any] | None,
    signals: Mapping[str, str],
) -> ASGIResponse:
    services, key = services_of(request.scope), key_of(request)
    noted = Content(content.hashes, note)
    added = add_contents(services.store, name, [noted], actor=key.actor, clock=services.clock)[0]
    if metadata is not None or (note is not None and not added.new):
        change_entry(
            services.store,
            name,
            added.entry,
            note=UNSET if note is None else note,
            metadata=UNSET if metadata is None else metadata,
            actor=key.actor,
            clock=services.clock,
        )
    services.take_up()
    return answer({"id": added.entry, "signals": signals})


def _alter(request: AnyRequest, name: str, number: int, wanted: Mapping[str, Any]) -> ASGIResponse:
    services, key = services_of(request.scope), key_of(request)
    row = bank_of(services.store, key, name)
    if get_entry(services.store, name, number) is None:
        raise Problem(Code.NOT_FOUND, "content not found in this bank")
    until = _until(wanted.get("disable_until_ts"))
    note = note_in(wanted)
    try:
        entry = change_entry(
            services.store,
            name,
            number,
            disabled_until=until,
            note=UNSET if note is None else note or None,
            actor=key.actor,
            clock=services.clock,
        )
    except BankError:
        _refuse()
    services.take_up()
    shown = _shown(entry, row)
    return answer(
        shown | {"collab_metadata": {}, "user_metadata": dict(entry.client_metadata or {}), "note": entry.note or ""}
    )


def _until(stamp: object) -> datetime | UnsetType | None:
    """The time until which a content is switched off, from what HMA's clients send for it."""
    if stamp is None:
        return UNSET
    if isinstance(stamp, bool) or not isinstance(stamp, int):
        raise Problem(Code.INCOMPLETE, "disable_until_ts is a whole number.")
    if stamp == _OFF:
        return FOR_GOOD
    if stamp == _ON:
        return None
    try:
        return datetime.fromtimestamp(stamp, UTC) if stamp > 0 else _refuse()
    except (OverflowError, OSError, ValueError):
        _refuse()


def _refuse() -> NoReturn:
    raise Problem(Code.INVALID, "disable_until_ts is 0 for off, 1 for on, or a time within the next five years.")


def _shown(entry: EntryState, bank: Row[Any]) -> dict[str, Any]:
    until = entry.disabled_until
    stamp = _ON if until is None else _OFF if until == FOR_GOOD else int(until.timestamp())
    return {"id": entry.id, "disable_until_ts": stamp, "original_media_uri": None, "bank": shown_bank(bank)}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (add_file, add_signals, show_content, alter_content, drop_content)

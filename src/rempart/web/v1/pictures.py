"""Banking pictures and videos themselves: hashed here, and not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Final

import msgspec
from anyio import to_thread
from litestar import Response, post
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler

from rempart.errors import Reason
from rempart.hashing import Hashed
from rempart.lists import Added, Content, add_contents, content_of
from rempart.lists.changing import LONGEST_NOTE
from rempart.people import Key, Permission
from rempart.store.tables import HashKind
from rempart.web.described import problems
from rempart.web.guards import PERMISSION
from rempart.web.problems import Code
from rempart.web.services import Services, key_of, services_of
from rempart.web.uploading import FileOperation
from rempart.web.v1.banks import usable_bank
from rempart.web.v1.files import HashedFile, hashed_upload
from rempart.web.v1.writes import AnyRequest, IdempotencyKey, once


class BankedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file.

    Attributes:
        name: of the form's field in which the file was sent.
        status: ``hashed``, ``partial`` when only what could be read of it was banked, or ``unscannable``: not banked.
        reason: why not everything could be read; docs/verdicts.md explains each.
        entry: which holds it; null when it was not banked.
        new: whether that is a new one.
        hashes_added: how many hashes that entry gained.
        hashes: how many of each kind the file has that say enough to be banked. Without any of PDQ a picture has too
            little detail: it is banked by its digests alone.
    """

    name: str | None
    status: str
    reason: Reason | None
    quality: int | None
    sha256: str | None
    entry: int | None = None
    new: bool = False
    hashes_added: int = 0
    hashes: Mapping[HashKind, int] = {}


class BankedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each file, in their order, and how many could not be banked."""

    results: list[BankedFile]
    given: int
    banked: int
    unscannable: int


class _Sent(msgspec.Struct):
    """What a request that is sent again must send again."""

    files: list[tuple[str | None, str | None]]
    note: str | None


@post(
    "/banks/{name:str}/pictures",
    opt={PERMISSION: Permission.CHANGE_ENTRIES},
    status_code=200,
    tags=["entries"],
    operation_class=FileOperation,
    responses=problems(Code.NOT_FOUND, body=True, write=True),
)
async def bank_files(
    request: AnyRequest,
    name: FromPath[str],
    note: Annotated[
        str | None,
        QueryParameter(max_length=LONGEST_NOTE, pattern="^[^\\x00]*$", description="Kept with each new entry."),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response[BankedFiles]:
    """Bank pictures and videos: one as the body, or many as the files of a form; an entry each.

    A file that is banked already makes no second entry; one that cannot be read is not banked. The others are, all in
    one transaction. The files are not kept.
    """
    services, key = services_of(request.scope), key_of(request)
    await to_thread.run_sync(usable_bank, services.store, key, name)  # before anything is received
    files = await hashed_upload(request, banking=True)
    sent = _Sent([(file.name, file.outcome.sha256) for file in files], note)
    act = partial(_banked, name, files, note)
    return await to_thread.run_sync(partial(once, request, idempotency_key, sent, act, answer=BankedFiles))


def _banked(name: str, files: Sequence[HashedFile], note: str | None, services: Services, key: Key) -> BankedFiles:
    floor = usable_bank(services.store, key, name).quality_floor
    contents = {
        number: Content(content_of(file.outcome, floor).hashes, note)
        for number, file in enumerate(files)
        if isinstance(file.outcome, Hashed)
    }
    added: Sequence[Added] = ()
    if contents:
        added = add_contents(services.store, name, list(contents.values()), actor=key.actor, clock=services.clock)
    entries = dict(zip(contents, added, strict=True))
    rows = []
    for number, file in enumerate(files):
        row = BankedFile(
            name=file.name,
            status=file.outcome.status,
            reason=file.outcome.reason,
            quality=file.outcome.quality if isinstance(file.outcome, Hashed) else None,
            sha256=file.outcome.sha256 or None,
        )
        if number in entries:
            entry, hashes = entries[number], Counter(one.kind for one in contents[number].hashes)
            row = msgspec.structs.replace(
                row, entry=entry.entry, new=entry.new, hashes_added=entry.gained, hashes=hashes
            )
        rows.append(row)
    return BankedFiles(results=rows, given=len(rows), banked=len(added), unscannable=len(rows) - len(added))


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (bank_files,)

"""Hashing files without comparing them with anything."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec
from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from rempart.errors import Reason
from rempart.hashing import Hashed, Unscannable
from rempart.people import Permission
from rempart.web.described import FETCHING, problems
from rempart.web.guards import PERMISSION
from rempart.web.services import key_of, services_of
from rempart.web.uploading import FileOperation
from rempart.web.v1.files import Targets, hashed_upload, hashed_urls
from rempart.web.v1.writes import AnyRequest


class HashRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was computed of one file.

    Attributes:
        status: ``hashed``, ``partial`` when only a part of it decodes, or ``unscannable``.
        reason: why not everything could be read; docs/verdicts.md explains each.
        name: of the form's field in which the file was sent.
    """

    status: str
    reason: Reason | None
    pdq: str | None
    quality: int | None
    md5: str | None
    sha1: str | None
    sha256: str | None
    format: str | None
    width: int | None
    height: int | None
    frames: int | None
    frames_read: int | None
    seconds: float | None
    normalised: list[str]
    name: str | None = None


class HashRows(msgspec.Struct, frozen=True, kw_only=True):
    """A row for each file, in their order, and how many there are of each status."""

    results: list[HashRow]
    given: int
    hashed: int
    partial: int
    unscannable: int


@post(
    "/hash",
    opt={PERMISSION: Permission.MATCH_MEDIA},
    status_code=200,
    tags=["hash"],
    operation_class=FileOperation,
    responses=problems(body=True),
)
async def hash_files(request: AnyRequest) -> HashRows:
    """Hash pictures and videos: one as the body, or many as the files of a form."""
    files = await hashed_upload(request)
    return _rows(request, [_row(file.outcome, file.name) for file in files])


@post(
    "/hash/urls",
    opt={PERMISSION: Permission.MATCH_MEDIA},
    status_code=200,
    tags=["hash"],
    responses=problems(*FETCHING, body=True),
)
async def hash_urls(request: AnyRequest, data: JSONBody[Targets]) -> HashRows:
    """Hash the files behind URLs, of hosts that the configuration names (``fetch.allow_hosts``)."""
    outcomes = await hashed_urls(request, [one.url for one in data.items], turned=False)
    return _rows(request, [_row(outcome, None) for outcome in outcomes])


def _row(outcome: Hashed | Unscannable, name: str | None) -> HashRow:
    fields = {field: getattr(outcome, field, None) for field in HashRow.__struct_fields__}
    return HashRow(**fields | {"normalised": list(fields["normalised"] or ()), "name": name})


def _rows(request: AnyRequest, rows: list[HashRow]) -> HashRows:
    services, key = services_of(request.scope), key_of(request)
    counts = Counter(row.status for row in rows)
    for row in rows:
        services.counter.count(key.id, "hash", "unscannable" if row.status == "unscannable" else "clear")
    return HashRows(
        results=rows,
        given=len(rows),
        hashed=counts["hashed"],
        partial=counts["partial"],
        unscannable=counts["unscannable"],
    )


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (hash_files, hash_urls)

"""Hashing, as HMA offers it."""

from __future__ import annotations

from typing import Final

from litestar import get, post
from litestar.params import FromQuery
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from rempart.people import Permission
from rempart.web.guards import PERMISSION
from rempart.web.hma.answers import AnyRequest, answer, needed
from rempart.web.hma.files import File, fetched, signals, uploaded
from rempart.web.hma.signals import wanted_types
from rempart.web.problems import Problem
from rempart.web.services import key_of, services_of
from rempart.web.uploading import FileOperation


@get("/h/hash", opt={PERMISSION: Permission.MATCH_MEDIA}, tags=["hma"])
async def hash_url(
    request: AnyRequest,
    url: FromQuery[str | None] = None,
    content_type: FromQuery[str | None] = None,
    types: FromQuery[str | None] = None,
) -> ASGIResponse:
    """Hash the file behind a URL."""
    file = await fetched(services_of(request.scope), needed(url, "url"), content_type)
    return await _hashed(request, file, types)


@post("/h/hash", opt={PERMISSION: Permission.MATCH_MEDIA}, status_code=200, tags=["hma"], operation_class=FileOperation)
async def hash_upload(request: AnyRequest, types: FromQuery[str | None] = None) -> ASGIResponse:
    """Hash a file, the only one of a form, in a field called ``photo`` or ``video``."""
    async with uploaded(request) as file:
        return await _hashed(request, file, types)


async def _hashed(request: AnyRequest, file: File, types: str | None) -> ASGIResponse:
    services, key = services_of(request.scope), key_of(request)
    wanted = wanted_types(types, file.content)
    try:
        found = await signals(services, file, wanted)
    except Problem:
        services.counter.count(key.id, "hash", "unscannable")
        raise
    services.counter.count(key.id, "hash", "clear")
    return answer(found)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (hash_url, hash_upload)

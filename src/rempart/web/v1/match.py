"""Matching files and hashes against the banks that a key may use."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import post
from litestar.params import JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from rempart.people import Permission
from rempart.web.comparing import file_item, hash_item, matcher_for
from rempart.web.described import FETCHING, problems
from rempart.web.findings import ItemDigests
from rempart.web.guards import PERMISSION
from rempart.web.problems import Code, Problem
from rempart.web.services import key_of, services_of
from rempart.web.uploading import FileOperation
from rempart.web.v1.budget import take_more
from rempart.web.v1.files import SourceId, Targets, hashed_upload, hashed_urls
from rempart.web.v1.verdicts import Verdicts, judged, source_id_of
from rempart.web.v1.writes import AnyRequest

MOST_HASHES: Final = 1000
_HEX: Final = "^[0-9a-fA-F]*$"

Pdq = Annotated[str, Meta(min_length=64, max_length=64, pattern=_HEX, examples=["0f" * 32])]
Md5 = Annotated[str, Meta(min_length=32, max_length=32, pattern=_HEX)]
Sha1 = Annotated[str, Meta(min_length=40, max_length=40, pattern=_HEX)]
Sha256 = Annotated[str, Meta(min_length=64, max_length=64, pattern=_HEX)]
Quality = Annotated[int, Meta(ge=0, le=100)]


class Hashes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one item: at least one hash, in hexadecimal digits.

    Attributes:
        quality: of the PDQ hash; unknown counts as 100.
        event_at: when the item was uploaded or seen over there.
    """

    pdq: Pdq | None = None
    quality: Quality | None = None
    md5: Md5 | None = None
    sha1: Sha1 | None = None
    sha256: Sha256 | None = None
    source_id: SourceId | None = None
    event_at: Annotated[datetime, Meta(tz=True)] | None = None

    def digests(self) -> ItemDigests:
        """The hashes, checked.

        Raises:
            Problem: there is none, or one is not of hexadecimal digits.
        """
        found = {name: getattr(self, name) for name in ("pdq", "md5", "sha1", "sha256")}
        if not any(found.values()):
            raise Problem(Code.INVALID, "Send at least one of pdq, md5, sha1 and sha256.")
        try:
            for value in filter(None, found.values()):
                bytes.fromhex(value)  # a pattern lets a line end pass
        except ValueError:
            raise Problem(Code.INVALID_HASH) from None
        return ItemDigests(quality=self.quality, **found)


class HashesOfItems(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hashes of one or many items."""

    items: Annotated[list[Hashes], Meta(min_length=1, max_length=MOST_HASHES)]


@post(
    "/match",
    opt={PERMISSION: Permission.MATCH_MEDIA},
    status_code=200,
    tags=["match"],
    operation_class=FileOperation,
    responses=problems(Code.NOTHING_TO_COMPARE, body=True),
)
async def match_files(
    request: AnyRequest, source_id: Annotated[str | None, QueryParameter(min_length=1, max_length=120)] = None
) -> Verdicts:
    """Match pictures and videos: one as the body, or many as the files of a form.

    ``source_id`` is by what you know the item; of several files the second gets ``-1`` behind it, and so on.
    """
    matcher = matcher_for(services_of(request.scope), key_of(request))
    files = await hashed_upload(request, turned=matcher.wants_turned)
    items = []
    for number, file in enumerate(files):
        own = source_id_of(request, number) if source_id is None else f"{source_id}-{number}" if number else source_id
        items.append(file_item(file.outcome, own, file.name))
    return await judged(request, items)


@post(
    "/match/urls",
    opt={PERMISSION: Permission.MATCH_MEDIA},
    status_code=200,
    tags=["match"],
    responses=problems(*FETCHING, Code.NOTHING_TO_COMPARE, body=True),
)
async def match_urls(request: AnyRequest, data: JSONBody[Targets]) -> Verdicts:
    """Match the files behind URLs, of hosts that the configuration names (``fetch.allow_hosts``)."""
    matcher = matcher_for(services_of(request.scope), key_of(request))
    outcomes = await hashed_urls(request, [one.url for one in data.items], turned=matcher.wants_turned)
    items = [
        file_item(outcome, one.source_id or source_id_of(request, number))
        for number, (one, outcome) in enumerate(zip(data.items, outcomes, strict=True))
    ]
    return await judged(request, items)


@post(
    "/match/hashes",
    opt={PERMISSION: Permission.MATCH_MEDIA},
    status_code=200,
    tags=["match"],
    responses=problems(Code.INVALID_HASH, Code.NOTHING_TO_COMPARE, body=True),
)
async def match_hashes(request: AnyRequest, data: JSONBody[HashesOfItems]) -> Verdicts:
    """Match items of which you have the hashes; each item counts as a request."""
    items = [
        hash_item(one.digests(), one.source_id or source_id_of(request, number), one.event_at)
        for number, one in enumerate(data.items)
    ]
    await take_more(request, len(items) - 1)
    return await judged(request, items)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (match_files, match_urls, match_hashes)

"""Files that a request brings or names: received or fetched, then hashed by the decoding children."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from anyio import create_task_group
from msgspec import Meta

from rempart.hashing import Hashed, Unscannable
from rempart.web.problems import Code, Problem
from rempart.web.services import services_of
from rempart.web.v1.budget import take_more
from rempart.web.v1.writes import AnyRequest

SourceId = Annotated[
    str, Meta(min_length=1, max_length=128, description="By which you know the item; findings carry it.")
]
MOST_URLS = 16


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file by its URL."""

    url: Annotated[str, Meta(max_length=2048, examples=["https://media.example.org/upload.jpg"])]
    source_id: SourceId | None = None


class Targets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several files by their URLs. If one cannot be fetched, the request fails."""

    items: Annotated[list[Target], Meta(min_length=1, max_length=MOST_URLS)]


class HashedFile(NamedTuple):
    """A file that was hashed, by the name of its form's field."""

    name: str | None
    outcome: Hashed | Unscannable


async def hashed_upload(request: AnyRequest, *, turned: bool = False, banking: bool = False) -> list[HashedFile]:
    """Receive and hash the files of a request: its body, or the files of a form; each counts as a request.

    Raises:
        Problem: there is no file, too much of it, or the allowance is used up.
        DecoderError: no child can be started.
    """
    services = services_of(request.scope)
    async with services.uploads.receive(request) as upload:
        if not upload.files:
            raise Problem(Code.INVALID, "The form has no file.")
        await take_more(request, len(upload.files) - 1)
        outcomes = await services.pool.hash([file.path for file in upload.files], turned=turned, banking=banking)
        names = [file.name or None for file in upload.files]
    return [HashedFile(name, outcome) for name, outcome in zip(names, outcomes, strict=True)]


async def hashed_urls(request: AnyRequest, urls: Sequence[str], *, turned: bool) -> list[Hashed | Unscannable]:
    """Fetch and hash the files behind URLs; each counts as a request.

    Raises:
        Problem: one may not be fetched, or cannot be.
        DecoderError: no child can be started.
    """
    services = services_of(request.scope)
    await take_more(request, len(urls) - 1)
    contents: dict[int, bytes] = {}
    problems: list[Problem] = []

    async def fetch(number: int, url: str) -> None:
        try:
            contents[number] = await services.fetcher.fetch(url)
        except Problem as problem:
            problems.append(problem)

    async with create_task_group() as group:
        for number, url in enumerate(urls):
            group.start_soon(fetch, number, url)
    if problems:
        raise problems[0]
    return await services.pool.hash([contents[number] for number in range(len(urls))], turned=turned)

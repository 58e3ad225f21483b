"""Files of HMA's clients: one a request, uploaded or behind a URL, and what kind of file it is taken for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from anyio import to_thread

from rempart.hashing import Hashed, Unscannable
from rempart.hashing.digests import Digests, digest, digest_file
from rempart.media.sniff import HEAD_BYTES, VIDEOS, sniff, sniff_other
from rempart.store.tables import HashKind
from rempart.web.hma.answers import AnyRequest, json_object
from rempart.web.hma.signals import ContentType, SignalType, known_content
from rempart.web.problems import Code, Problem
from rempart.web.services import Services, services_of

_FLOOR: Final = 50
_LONGEST_NOTE: Final = 255
_FORM: Final = "multipart/form-data"
_ONE_FILE: Final = "Send exactly one file, in a field of a form called photo or video."


@dataclass
class File:
    """One file, and the words that came with it.

    Attributes:
        content: what the client says that it is; of a URL without such a word, what its first bytes say.
        source: where the decoding children find it.
        words: the other fields of the form or of the JSON body.
    """

    content: ContentType
    source: bytes | Path
    words: Mapping[str, Any] = field(default_factory=dict)

    async def digests(self) -> Digests:
        """The digests of its bytes, which need no decoding."""
        return await to_thread.run_sync(_digests, self.source)


def _digests(source: bytes | Path) -> Digests:
    if isinstance(source, bytes):
        return digest(source)
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return digest_file(descriptor)
    finally:
        os.close(descriptor)


async def fetched(services: Services, url: str, content_type: str | None) -> File:
    """The file behind a URL.

    Raises:
        Problem: it may not be fetched, or cannot be; or the content type is not known.
    """
    named = None if content_type is None else known_content(content_type)
    content = await services.fetcher.fetch(url)
    return File(named or _seen(content), content)


def _seen(content: bytes) -> ContentType:
    """What the first bytes say; whatever they do not know is taken for a picture, which decoding will refuse."""
    head = content[:HEAD_BYTES]
    is_video = sniff(head) is None and sniff_other(head) in VIDEOS
    return ContentType.VIDEO if is_video else ContentType.PHOTO


@contextlib.asynccontextmanager
async def uploaded(request: AnyRequest) -> AsyncIterator[File]:
    """The one file of a form, whose field is called as its kind, there inside the ``with``.

    Raises:
        Problem: there is no file, more than one, or a field of another name; or the upload is too large or broken.
    """
    if _kind(request) != _FORM:
        raise Problem(Code.INVALID, _ONE_FILE)
    async with services_of(request.scope).uploads.receive(request) as upload:
        if len(upload.files) != 1:
            raise Problem(Code.INVALID, _ONE_FILE)
        file = upload.files[0]
        yield File(known_content(file.name), file.path, upload.fields)


@contextlib.asynccontextmanager
async def given(request: AnyRequest, url: str | None, content_type: str | None) -> AsyncIterator[File]:
    """The file behind the URL of a query, with the words of a JSON body; or without a URL the one that is uploaded.

    Raises:
        Problem: as :func:`fetched` and :func:`uploaded`.
    """
    if url is None:
        async with uploaded(request) as file:
            yield file
        return
    words = await _words(request)
    file = await fetched(services_of(request.scope), url, content_type)
    file.words = words
    yield file


async def _words(request: AnyRequest) -> Mapping[str, Any]:
    """What came beside a URL: JSON, a form without files, or nothing."""
    kind = _kind(request)
    if kind == _FORM:
        async with services_of(request.scope).uploads.receive(request) as upload:
            if upload.files:
                raise Problem(Code.INVALID, "Send a URL or a file, not both.")
            return dict(upload.fields)
    if kind == "application/json" and await request.body():
        return await json_object(request)
    return {}


def _kind(request: AnyRequest) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def hashed(
    services: Services, file: File, *, turned: bool = False, banking: bool = False
) -> Hashed | Unscannable:
    """What the decoding children make of a file.

    Raises:
        Problem: too many files wait to be decoded.
        DecoderError: no child can be started.
    """
    return (await services.pool.hash([file.source], turned=turned, banking=banking))[0]


async def signals(services: Services, file: File, types: Sequence[SignalType]) -> dict[str, str]:
    """The hashes of a file by HMA's names; a picture with too little detail to be compared has an empty PDQ.

    Raises:
        Problem: it should be looked at, and is no picture that can be read.
    """
    if not any(one.kind is HashKind.PDQ for one in types):
        digests = await file.digests()
        return {one.name: getattr(digests, one.kind) for one in types}
    outcome = await hashed(services, file)
    if isinstance(outcome, Unscannable):
        raise Problem(Code.UNSCANNABLE, f"{outcome.reason}: {outcome.reason.meaning}")
    if outcome.is_video:
        raise Problem(Code.UNSCANNABLE, "This is a video; a photo was announced.")
    shown = outcome.pdq if outcome.quality >= _FLOOR else ""
    return {one.name: shown if one.kind is HashKind.PDQ else getattr(outcome, one.kind) for one in types}


def metadata_in(words: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a client wants kept with its content; None if it says nothing.

    Raises:
        Problem: it is no object, or has keys that HMA does not have.
    """
    found = words.get("metadata")
    if isinstance(found, str):
        try:
            found = msgspec.json.decode(found)  # strictly: what it takes can be stored and sent
        except (msgspec.DecodeError, RecursionError):
            raise Problem(Code.INVALID, "metadata is not JSON.") from None
    if found is None:
        return None
    if not isinstance(found, dict) or not found.keys() <= {"content_id", "content_uri", "json", "collab"}:
        raise Problem(Code.INVALID, "metadata is an object with content_id, content_uri and json.")
    kept = {name: value for name, value in found.items() if name != "collab"}  # what exchanges say is theirs to say
    for name in ("content_id", "content_uri"):
        if not isinstance(kept.get(name), str | None):
            raise Problem(Code.INVALID, f"metadata.{name} is a string.")
    return kept


def note_in(words: Mapping[str, Any]) -> str | None:
    """A remark that a client makes; None if it says nothing.

    Raises:
        Problem: it is no text, or too long.
    """
    found = words.get("note")
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > _LONGEST_NOTE or "\0" in found:
        raise Problem(Code.INVALID, f"note is a text of at most {_LONGEST_NOTE} characters.")
    return found

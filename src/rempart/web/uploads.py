"""Reading uploaded files: as they come, counted, into nameless memory that ends with the request, never to a disk.

A file may be the body itself (``image/jpeg``, ``application/octet-stream`` and the like) or a part of a form.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from litestar import Request
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from rempart.settings import ServeSettings
from rempart.web import metrics
from rempart.web.problems import Code, Problem

_FORM: Final = "multipart/form-data"
_LAST: Final = 3
"""The end of a form, in bytes: the last of its boundary, and the line's end that may follow."""
_RAW: Final = ("image/", "video/", "application/octet-stream")
_FIELD_BYTES: Final = 64 * 1024
_FIELDS: Final = 64


@dataclass
class UploadedFile:
    """One file of an upload, open until the upload is closed.

    Attributes:
        name: name of the form's field; empty when the body is the file.
        content_type: what the client says that it is, which nothing relies on.
        size: in bytes.
        path: where the process finds it while it is open.
    """

    name: str
    content_type: str
    descriptor: int
    size: int = 0

    @property
    def path(self) -> Path:
        """A path that names the file for this process only."""
        return Path(f"/proc/self/fd/{self.descriptor}")


@dataclass
class Upload:
    """What one request brought: files, and the text fields of its form."""

    files: list[UploadedFile] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def close(self) -> None:
        """Give the memory back."""
        for file in self.files:
            os.close(file.descriptor)
        self.files.clear()


class Uploads:
    """Reads the uploads of one process, whose memory they share."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._held = 0

    @contextlib.asynccontextmanager
    async def receive(self, request: Request[Any, Any, Any]) -> AsyncIterator[Upload]:
        """Read the body of a request; its files are there inside the ``with``.

        Raises:
            Problem: it is too large, is neither a file nor a form, is broken off, or there is no memory for it now.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        kind = kind.lower()
        if kind != _FORM and not kind.startswith(_RAW):
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, f"Send the file itself as image/… or video/…, or as {_FORM}.")
        self._check_announced(request)
        upload = Upload()
        try:
            if kind == _FORM:
                await self._read_form(request, upload, options.get("boundary", ""))
            else:
                await self._read_raw(request, upload, kind)
            metrics.UPLOADED.inc(upload.size)
            yield upload
        finally:
            self._held -= upload.size
            upload.close()

    def _check_announced(self, request: Request[Any, Any, Any]) -> None:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._settings.upload_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(Code.TOO_LARGE, f"An upload may have {self._settings.upload_bytes} bytes.")

    async def _chunks(self, request: Request[Any, Any, Any], upload: Upload) -> AsyncIterator[bytes]:
        """The body as it comes, each chunk counted against the limit of the request and the memory of the process."""
        while True:
            message = await request.receive()
            if message["type"] != "http.request":
                raise Problem(Code.INVALID, "The body was broken off.")
            chunk = message["body"]
            if upload.size + len(chunk) > self._settings.upload_bytes:
                raise self._too_large()
            if self._held + len(chunk) > self._settings.upload_memory_bytes:
                raise _no_memory()
            upload.size += len(chunk)
            self._held += len(chunk)
            if chunk:
                yield chunk
            if not message["more_body"]:
                return

    async def _read_raw(self, request: Request[Any, Any, Any], upload: Upload, kind: str) -> None:
        file = _opened(upload, "", kind)
        async for chunk in self._chunks(request, upload):
            _append(file, chunk)

    async def _read_form(self, request: Request[Any, Any, Any], upload: Upload, boundary: str) -> None:
        form = _Form(upload, self._settings.upload_files)
        try:
            parser = PushMultipartParser(boundary, strict=True, max_segment_count=self._settings.upload_files + _FIELDS)
            held = b""
            async for chunk in self._chunks(request, upload):
                # The parser refuses a line's end that comes alone behind the last boundary, wherever the network cut.
                ready, held = (held + chunk)[:-_LAST], (held + chunk)[-_LAST:]
                form.take_all(parser.parse(ready) if ready else ())
            form.take_all(parser.parse(held) if held else ())
            parser.close()
        except ParserLimitReached:
            raise Problem(Code.TOO_LARGE, "The form has too many parts, or too long headers in them.") from None
        except (MultipartError, UnicodeError):
            raise Problem(Code.INVALID, f"The body is not {_FORM} as it should be.") from None


class _Form:
    """Takes the parts of a form as they come: files to memory, fields as text."""

    def __init__(self, upload: Upload, files: int) -> None:
        self._upload = upload
        self._files = files
        self._put: Callable[[bytes | bytearray], None] = _drop

    def take_all(self, parts: Iterable[MultipartSegment | bytearray | None]) -> None:
        """Take what the parser makes of some bytes."""
        for part in parts:
            self.take(part)

    def take(self, part: MultipartSegment | bytearray | None) -> None:
        """A part's head, a piece of it, or None at its end."""
        if isinstance(part, MultipartSegment):
            self._put = self._file(part) if part.filename is not None or part.content_type else self._field(part)
        elif part is not None:
            self._put(part)

    def _file(self, part: MultipartSegment) -> Callable[[bytes | bytearray], None]:
        if len(self._upload.files) >= self._files:
            raise Problem(Code.TOO_LARGE, f"An upload may have {self._files} files.")
        file = _opened(self._upload, part.name or "", (part.content_type or "").lower())
        return lambda chunk: _append(file, chunk)

    def _field(self, part: MultipartSegment) -> Callable[[bytes | bytearray], None]:
        text = bytearray()
        name = part.name or ""

        def put(chunk: bytes | bytearray) -> None:
            text.extend(chunk)
            if len(text) > _FIELD_BYTES:
                raise Problem(Code.TOO_LARGE, f"A field of a form may have {_FIELD_BYTES} bytes.")
            self._upload.fields[name] = text.decode("utf-8", "replace")

        self._upload.fields[name] = ""
        return put


def _drop(_: bytes | bytearray) -> None:
    """What comes before the first part."""


def _no_memory() -> Problem:
    return Problem(Code.OVERLOADED, "There is no memory for the upload now.")


def _opened(upload: Upload, name: str, content_type: str) -> UploadedFile:
    try:
        descriptor = os.memfd_create("rempart-upload", os.MFD_CLOEXEC)
    except OSError:  # too many are open
        raise _no_memory() from None
    file = UploadedFile(name, content_type, descriptor)
    upload.files.append(file)
    return file


def _append(file: UploadedFile, chunk: bytes | bytearray) -> None:
    view = memoryview(chunk)
    while view:
        try:
            count = os.write(file.descriptor, view)
        except OSError:  # the system has none, or lets this process have no more
            raise _no_memory() from None
        file.size += count
        view = view[count:]

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request

from rempart.settings import ServeSettings
from rempart.web.problems import Code, Problem
from rempart.web.uploads import Uploads

BOUNDARY = "a-boundary-of-this-test"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(parts: Iterable[tuple[str, str | None, bytes]]) -> bytes:
    """A body: name, file name or None, content."""
    body = b""
    for name, file, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
        body += f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def request_of(body: bytes, kind: str, cuts: Iterable[int] = (), *, broken: bool = False) -> Request[Any, Any, Any]:
    """A request whose body comes in pieces."""
    edges = [0, *sorted({cut % (len(body) + 1) for cut in cuts}), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": broken or number + 1 < len(pieces)}
        for number, piece in enumerate(pieces)
    ]
    messages.append({"type": "http.disconnect"})
    queue = iter(messages)

    async def receive() -> Any:  # noqa: ANN401 -- an ASGI message
        return next(queue)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())],
        "state": {},
    }
    return Request(scope, receive)


def received(
    uploads: Uploads, request: Request[Any, Any, Any]
) -> tuple[list[tuple[str, str, bytes]], dict[str, str], int]:
    """The files with what is in them, the fields, and what the upload holds meanwhile."""

    async def read() -> tuple[list[tuple[str, str, bytes]], dict[str, str], int]:
        async with uploads.receive(request) as upload:
            files = [(file.name, file.content_type, file.path.read_bytes()) for file in upload.files]
            assert [file.size for file in upload.files] == [len(content) for *_, content in files]
            return files, dict(upload.fields), uploads._held

    return asyncio.run(read())


def refused(uploads: Uploads, request: Request[Any, Any, Any]) -> Code:
    """Why it was refused."""
    with pytest.raises(Problem) as caught:
        received(uploads, request)
    assert uploads._held == 0
    return caught.value.code


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8))
def test_a_body_that_is_the_file_is_read_whole_in_whatever_pieces_it_comes(content: bytes, cuts: list[int]) -> None:
    """And its memory is given back."""
    uploads = Uploads(ServeSettings())
    files, fields, held = received(uploads, request_of(content, "image/jpeg", cuts))
    assert (files, fields, held) == ([("", "image/jpeg", content)], {}, len(content))
    assert uploads._held == 0


@given(
    st.lists(st.tuples(st.sampled_from(["photo", "video", "file"]), st.binary(max_size=500)), max_size=5),
    st.dictionaries(st.sampled_from(["note", "types"]), st.text("abc\n é", max_size=50), max_size=2),
    st.lists(st.integers(0, 5000), max_size=12),
)
def test_a_form_is_read_the_same_in_whatever_pieces_it_comes(
    files: list[tuple[str, bytes]], fields: dict[str, str], cuts: list[int]
) -> None:
    """Files in their order, fields as text."""
    parts: list[tuple[str, str | None, bytes]] = [(name, "x.jpg", content) for name, content in files]
    parts += [(name, None, text.encode()) for name, text in fields.items()]
    uploads = Uploads(ServeSettings())
    found, texts, _ = received(uploads, request_of(form(parts), FORM, cuts))
    assert [(name, content) for name, _, content in found] == files
    assert texts == fields


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_no_bytes_make_a_form_fail_but_by_a_problem(body: bytes, cuts: list[int]) -> None:
    """Whatever is sent as a form, the answer says what is wrong with it."""
    uploads = Uploads(ServeSettings())
    start = f"--{BOUNDARY}\r\n".encode()
    for content in (body, start + body, form([("photo", "x", body)])[: len(body) + 40]):
        try:
            received(uploads, request_of(content, FORM, cuts))
        except Problem as problem:
            code = problem.code
        else:
            code = Code.INVALID
        assert code in {Code.INVALID, Code.TOO_LARGE}
        assert uploads._held == 0


def test_an_upload_is_held_to_its_limits() -> None:
    """Bytes of a request, bytes of all of them together, files, and the size of fields."""
    limits = ServeSettings(upload_bytes=1000, upload_memory_bytes=1500, upload_files=2)
    uploads = Uploads(limits)
    assert refused(uploads, request_of(b"x" * 1001, "image/png")) is Code.TOO_LARGE
    announced_less = request_of(b"x" * 1001, "image/png", [300, 600])
    announced_less.scope["headers"].pop()
    assert refused(uploads, announced_less) is Code.TOO_LARGE
    assert refused(uploads, request_of(form([("photo", "x", b"")] * 3), FORM)) is Code.TOO_LARGE
    assert refused(Uploads(ServeSettings()), request_of(form([("n", None, b"x" * 70_000)]), FORM)) is Code.TOO_LARGE

    async def two() -> None:
        async with uploads.receive(request_of(b"x" * 1000, "image/png")):
            with pytest.raises(Problem) as caught:
                async with uploads.receive(request_of(b"x" * 600, "image/png")):
                    pass
            assert caught.value.code is Code.OVERLOADED
        async with uploads.receive(request_of(b"x" * 600, "image/png")):
            pass  # the first one has given its memory back

    asyncio.run(two())


def test_what_is_no_file_and_no_form_is_refused_by_its_type() -> None:
    """415; a form without a boundary, or one that is broken off, is 400."""
    uploads = Uploads(ServeSettings())
    for kind in ("application/json", "text/plain", "", "application/x-www-form-urlencoded"):
        assert refused(uploads, request_of(b"x", kind)) is Code.UNSUPPORTED_MEDIA_TYPE
    assert refused(uploads, request_of(b"x", "multipart/form-data")) is Code.INVALID
    assert refused(uploads, request_of(form([("photo", "x", b"y")])[:-8], FORM)) is Code.INVALID
    assert refused(uploads, request_of(b"xyz", "image/png", [1], broken=True)) is Code.INVALID

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Router, delete, get, post, put
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient
from msgspec import Meta

from rempart.people import Permission, Scope, create_key
from rempart.settings import Settings
from rempart.web.app import Application, create_app
from rempart.web.guards import PERMISSION
from rempart.web.running import running_services

OPEN = {PERMISSION: Permission.MATCH_MEDIA}


class Lamp(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent in these tests."""

    lit: bool = False
    height: Annotated[int, Meta(ge=0)] = 0
    built_at: Annotated[datetime, Meta(tz=True)] | None = None
    beams: list[float] = []


@post("/lamps", opt=OPEN, sync_to_thread=False)
def light(data: JSONBody[Lamp]) -> Lamp:
    """Say what was understood."""
    return data


@get("/lamps/{name:str}", opt=OPEN, sync_to_thread=False)
def show(name: FromPath[str]) -> str:
    """One of three handlers of a path."""
    return name


@put("/lamps/{name:str}", opt=OPEN, sync_to_thread=False)
def change(name: FromPath[str]) -> str:
    """Another one."""
    return name


@delete("/lamps/{name:str}", opt=OPEN, sync_to_thread=False)
def drop(name: FromPath[str]) -> None:
    """The third."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Application]]:
    """Asks with a key."""
    with running_services(Settings(data_dir=str(tmp_path_factory.mktemp("data")))) as services:
        key = create_key(services.store, "k", [Scope.MATCH])[1]
        routes = Router("/", route_handlers=[light, show, change, drop])
        with TestClient(create_app(services, routes=[routes])) as client:
            client.headers["authorization"] = f"Bearer {key}"
            yield client


def sent(client: TestClient[Application], content: bytes, kind: str | None = "application/json") -> httpx.Response:
    """The answer to a body of a content type."""
    return client.post("/lamps", content=content, headers={} if kind is None else {"content-type": kind})


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/ld+json",
        "application/json; version=1",
        None,
    ],
)
def test_json_is_read_as_json(client: TestClient[Application], kind: str | None) -> None:
    """However its type is written, or when it is not said at all."""
    answer = sent(client, b'{"lit": true, "height": 3}', kind)
    assert (answer.status_code, answer.json()["height"]) == (201, 3)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "image/jpeg",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "",
        "/",
    ],
)
def test_what_says_that_it_is_something_else_is_not_read(client: TestClient[Application], kind: str) -> None:
    """Even when it could be."""
    answer = sent(client, b'{"lit": true}', kind)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"lit": 1}, "lit"),
        ({"lit": "true"}, "lit"),
        ({"height": "5"}, "height"),
        ({"height": 5.5}, "height"),
        ({"height": -1}, "height"),
        ({"built_at": 0}, "built_at"),
        ({"built_at": "2024-01-01T00:00:00"}, "built_at"),
        ({"beams": [1, "2"]}, "beams[1]"),
        ({"hidden": 1}, "data"),
        ([], "data"),
        (None, "data"),
    ],
)
def test_a_value_of_another_type_is_refused_where_it_stands(
    client: TestClient[Application],
    body: Any,  # noqa: ANN401 -- whatever JSON can hold
    path: str,
) -> None:
    """Nothing is taken for something else: not one for true, not "5" for five."""
    answer = sent(client, msgspec.json.encode(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}x",
        b"\xff",
        b'{"\xff": 1}',
        b"[" * 100_000,
        b'{"beams": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"height": ' + b"9" * 5_000 + b"}",
        b'{"beams": [1e999]}',
        b'{"lit": "\\ud800"}',
        b"NaN",
    ],
)
def test_what_is_no_json_is_the_fault_of_the_client(client: TestClient[Application], content: bytes) -> None:
    """400, also for what is nested without end or too large for any number."""
    answer = sent(client, content)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_all_methods_of_a_path_are_told(client: TestClient[Application]) -> None:
    """By OPTIONS, and when another method is refused."""
    answer = client.options("/lamps/a")
    assert (answer.status_code, answer.headers["allow"]) == (204, "DELETE, GET, OPTIONS, PUT")
    assert client.options("/lamps").headers["allow"] == "OPTIONS, POST"
    refused = client.patch("/lamps/a")
    assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (
        405,
        {"DELETE", "GET", "OPTIONS", "PUT"},
    )

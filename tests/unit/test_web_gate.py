from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient

from rempart.errors import StoreError
from rempart.people import Permission, Scope, create_key, revoke_key
from rempart.settings import ServeSettings, Settings
from rempart.web.app import Application, create_app
from rempart.web.gate import take_secret
from rempart.web.guards import PERMISSION, UndeclaredRouteError, handlers
from rempart.web.problems import Code, Problem
from rempart.web.running import running_services
from rempart.web.services import Services, key_of

SECRET = "rk_" + "x" * 43


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """What a process of the service is made of, on a database with nothing in it."""
    with running_services(Settings(data_dir=str(tmp_path_factory.mktemp("data")))) as services:
        yield services


@pytest.fixture(scope="module")
def secrets(services: Services) -> dict[str, str]:
    """A key for each scope alone, and one for all of them."""
    made = {scope.value: create_key(services.store, scope.value, [scope])[1] for scope in Scope}
    return made | {"all": create_key(services.store, "all", list(Scope))[1]}


def scope_of(path: str, headers: list[tuple[bytes, bytes]] | None = None) -> Any:  # noqa: ANN401 -- half a scope
    """What matters of a request."""
    return {"type": "http", "path": path, "raw_path": path.encode(), "headers": headers or []}


@pytest.mark.parametrize(
    ("path", "root", "left"),
    [
        (f"/hma/k/{SECRET}/m/lookup", False, "/hma/m/lookup"),
        (f"/hma/k/{SECRET}//c/banks", False, "/hma/c/banks"),
        (f"/hma//k//{SECRET}///c/banks", False, "/hma/c/banks"),
        (f"/hma/k/{SECRET}", False, "/hma/"),
        (f"/k/{SECRET}/m/lookup", True, "/hma/m/lookup"),
        (f"//k/{SECRET}//c/banks", True, "/hma/c/banks"),
    ],
)
def test_a_key_in_the_path_is_taken_out_of_it(path: str, root: bool, left: str) -> None:  # noqa: FBT001
    """Nothing behind the gate sees it, in no form of the path."""
    scope = scope_of(path)
    assert take_secret(scope, hma_at_root=root) == SECRET
    assert (scope["path"], scope["raw_path"]) == (left, left.encode())


@pytest.mark.parametrize(
    ("path", "root", "left"),
    [
        ("//c/banks", True, "/hma/c/banks"),
        ("/status", True, "/hma/status"),
        ("/m/lookup", False, "/m/lookup"),
        ("/v1/match", True, "/v1/match"),
        ("/healthz", True, "/healthz"),
        ("/hmac/k/x/y", False, "/hmac/k/x/y"),
        ("/statusquo", True, "/statusquo"),
    ],
)
def test_only_the_paths_of_hma_are_rewritten(path: str, root: bool, left: str) -> None:  # noqa: FBT001
    """And at the root only when that is set."""
    scope = scope_of(path)
    assert take_secret(scope, hma_at_root=root) is None
    assert scope["path"] == left


def test_a_key_in_the_header_is_taken_out_of_it() -> None:
    """However the word is written; other ways of authorization are dropped too, and are no key."""
    for value in (b"Bearer " + SECRET.encode(), b"bearer   " + SECRET.encode()):
        scope = scope_of("/v1/match", [(b"host", b"x"), (b"authorization", value)])
        assert take_secret(scope) == SECRET
        assert scope["headers"] == [(b"host", b"x")]
    scope = scope_of("/v1/match", [(b"authorization", b"Basic " + SECRET.encode())])
    assert take_secret(scope) is None
    assert scope["headers"] == []


@given(st.text(), st.booleans())
def test_no_path_keeps_what_was_taken_as_a_key(path: str, root: bool) -> None:  # noqa: FBT001
    """Whatever the path, taking never fails, and a second look finds the same path."""
    scope = scope_of(f"/hma/k/{SECRET}/{path}")
    assert take_secret(scope, hma_at_root=root) == SECRET
    assert SECRET not in scope["path"] or SECRET in path
    assert scope["path"].startswith("/hma/")
    assert "//" not in scope["path"]


def test_as_nobody_every_route_but_the_open_ones_is_refused(services: Services) -> None:
    """A walk over all routes and methods: 401, whether the path exists or not."""
    app = create_app(services)
    with TestClient(app) as client:
        for route, handler in handlers(app):
            path = re.sub(r"\{[^}]*\}", "1", route.path)
            for method in sorted(handler.http_methods):
                answer = client.request(method, path)
                if handler.opt[PERMISSION] is Permission.OPEN:
                    assert answer.status_code in {200, 503}, path
                else:
                    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), path
        for path in ("/", "/nothing", "/hma/nothing", "/v1/nothing", "/healthz/"):
            assert client.get(path).status_code == 401
        assert client.options("/metrics").status_code == 401
        assert client.post("/healthz").status_code == 405  # open paths are known to everyone


def test_with_each_scope_a_walk_over_all_routes_is_what_the_table_says(
    services: Services, secrets: dict[str, str]
) -> None:
    """A key without the scope gets 403, one with it anything else."""
    app = create_app(services)
    with TestClient(app) as client:
        for route, handler in handlers(app):
            permission = handler.opt[PERMISSION]
            path = re.sub(r"\{[^}]*\}", "999999", route.path)
            for scope in Scope:
                may = permission is Permission.OPEN or services.keyring.find(secrets[scope.value]).may(permission)  # type: ignore[union-attr]
                if may:
                    continue  # what it does then is the matter of its own tests
                for method in sorted(handler.http_methods):
                    answer = client.request(method, path, headers={"authorization": f"Bearer {secrets[scope.value]}"})
                    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (path, scope)


def test_a_route_without_a_permission_stops_the_start(services: Services) -> None:
    """As does one that is open with parameters, or open by one of its methods only."""

    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return ""

    @get("/typo", opt={PERMISSION: "match"}, sync_to_thread=False)
    def typo() -> str:
        return ""

    @get("/open/{number:int}", opt={PERMISSION: Permission.OPEN}, sync_to_thread=False)
    def parameters(number: FromPath[int]) -> str:
        return str(number)

    @get("/half", opt={PERMISSION: Permission.OPEN}, sync_to_thread=False)
    def half() -> str:
        return ""

    @post("/half", opt={PERMISSION: Permission.CHANGE_BANKS}, sync_to_thread=False)
    def other_half() -> str:
        return ""

    for routes in ([forgotten], [typo], [parameters], [half, other_half]):
        with pytest.raises(UndeclaredRouteError):
            create_app(services, routes=routes)


def failing(error: Exception) -> Any:  # noqa: ANN401 -- a handler
    """A route that fails."""

    @get("/fails", opt={PERMISSION: Permission.MATCH_MEDIA})
    async def fails(request: Request[Any, Any, Any]) -> str:
        assert key_of(request).id
        raise error

    return fails


def ask(app: Application, secret: str, path: str = "/fails") -> Any:  # noqa: ANN401 -- a client's answer
    """Ask as a key."""
    with TestClient(app) as client:
        return client.get(path, headers={"authorization": f"Bearer {secret}"})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ValueError("the picture of the lighthouse"), 500, "internal"),
        (StoreError("/a/path/of/ours is away: the picture of the lighthouse"), 503, "unavailable"),
        (Problem(Code.CONFLICT, "the bank exists"), 409, "conflict"),
    ],
)
def test_what_goes_wrong_is_told_by_a_code_and_never_by_what_it_was_about(
    services: Services,
    secrets: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    code: str,
) -> None:
    """Neither the answer nor the log quotes an exception that was not foreseen."""
    answer = ask(create_app(services, routes=[failing(error)]), secrets["match"])
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:rempart:problem:{code}")
    assert body["request_id"] == answer.headers["x-request-id"]
    out, err = capfd.readouterr()
    for text in (answer.text, out, err):
        assert "lighthouse" not in text
        assert "/a/path" not in text
    assert ("retry-after" in answer.headers) == (status == 503)


def test_under_hma_a_problem_has_the_message_that_its_clients_read(services: Services, secrets: dict[str, str]) -> None:
    """Plain JSON; and what is missing there is only ever 404 for those who may ask."""
    app = create_app(services)
    with TestClient(app) as client:
        nobody = client.get("/hma/no/such/path")
        somebody = client.get(f"/hma/k/{secrets['match']}/no/such/path")
    assert (nobody.status_code, somebody.status_code) == (401, 404)
    for answer in (nobody, somebody):
        assert answer.headers["content-type"] == "application/json"
        assert isinstance(answer.json()["message"], str)


def test_a_revoked_key_is_refused_within_a_second(services: Services) -> None:
    """And so is one that has expired, or whose name alone is known."""
    app = create_app(services, routes=[failing(Problem(Code.CONFLICT))])
    key, secret = create_key(services.store, "short", [Scope.MATCH])
    end = datetime.now(tz=UTC) + timedelta(seconds=0.5)
    _, expiring = create_key(services.store, "expiring", [Scope.MATCH], expires_at=end)
    assert ask(app, secret).status_code == 409
    assert ask(app, secret[:-1] + ("a" if secret[-1] != "a" else "b")).status_code == 401
    assert ask(app, "short").status_code == 401
    assert ask(app, expiring).status_code == 409
    revoke_key(services.store, key.name)
    services.keyring.stop()  # so that the cache is as old as it may be
    services.keyring.start()
    deadline = datetime.now(tz=UTC) + timedelta(seconds=5)
    while ask(app, secret).status_code != 401:
        assert datetime.now(tz=UTC) < deadline
    while ask(app, expiring).status_code != 401:
        assert datetime.now(tz=UTC) < deadline


def test_a_key_that_has_used_up_its_allowance_is_told_when_to_come_back(services: Services) -> None:
    """429 with Retry-After; other keys go on."""
    app = create_app(services, routes=[failing(Problem(Code.CONFLICT))])
    _, frugal = create_key(services.store, "frugal", [Scope.MATCH], per_minute=3)
    statuses = [ask(app, frugal).status_code for _ in range(5)]
    assert statuses[:3] == [409] * 3
    last = ask(app, frugal)
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert last.json()["code"] == "too_many_requests"


def test_the_interface_describes_itself(services: Services, secrets: dict[str, str]) -> None:
    """To keys only; it names the way to present one."""
    app = create_app(services)
    answer = ask(app, secrets["all"], "/schema/openapi.json")
    assert answer.status_code == 200
    described = answer.json()
    assert described["info"]["title"] == "rempart"
    assert described["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    assert "/readyz" in described["paths"]


def test_bodies_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    """413, by what is announced and by what comes."""

    @post("/echo", opt={PERMISSION: Permission.MATCH_MEDIA})
    async def echo(data: JSONBody[dict[str, str]]) -> dict[str, str]:
        return data

    settings = Settings(data_dir=str(tmp_path), serve=ServeSettings(body_bytes=1000))
    with running_services(settings) as services, TestClient(create_app(services, routes=[echo])) as client:
        client.headers["authorization"] = f"Bearer {create_key(services.store, 'k', [Scope.MATCH])[1]}"
        assert client.post("/echo", json={"a": "b"}).json() == {"a": "b"}
        large = json.dumps({"a": "b" * 1000}).encode()
        for content in (large, iter([large[:600], large[600:]])):
            answer = client.post("/echo", content=content, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        for content, kind in ((b"{", "application/json"), (b"[1]", "application/json"), (b"\xff", "application/json")):
            answer = client.post("/echo", content=content, headers={"content-type": kind})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid")

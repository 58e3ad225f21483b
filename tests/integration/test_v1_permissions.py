"""Who may use which route of the native API: a walk over all of them, held against one table."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.integration.v1_caller import Caller, calling
from tests.stores import Place

from rempart.people import RULES, Permission, Scope
from rempart.web.app import create_app
from rempart.web.guards import PERMISSION, handlers
from rempart.web.problems import MEDIA_TYPE, Code

TABLE = {
    "POST /v1/screen": Permission.SCREEN_PROMPTS,
    "POST /v1/screen/batch": Permission.SCREEN_PROMPTS,
    "POST /v1/match": Permission.MATCH_MEDIA,
    "POST /v1/match/hashes": Permission.MATCH_MEDIA,
    "POST /v1/match/urls": Permission.MATCH_MEDIA,
    "POST /v1/hash": Permission.MATCH_MEDIA,
    "POST /v1/hash/urls": Permission.MATCH_MEDIA,
    "GET /v1/lists": Permission.SEE_LISTS,
    "GET /v1/banks": Permission.SEE_LISTS,
    "POST /v1/banks": Permission.CHANGE_BANKS,
    "GET /v1/banks/{name}": Permission.SEE_LISTS,
    "PATCH /v1/banks/{name}": Permission.CHANGE_BANKS,
    "DELETE /v1/banks/{name}": Permission.CHANGE_BANKS,
    "GET /v1/banks/{name}/entries": Permission.SEE_ENTRIES,
    "POST /v1/banks/{name}/entries": Permission.CHANGE_ENTRIES,
    "POST /v1/banks/{name}/entries/remove": Permission.CHANGE_ENTRIES,
    "PATCH /v1/banks/{name}/entries/{entry}": Permission.CHANGE_ENTRIES,
    "DELETE /v1/banks/{name}/entries/{entry}": Permission.CHANGE_ENTRIES,
    "POST /v1/banks/{name}/pictures": Permission.CHANGE_ENTRIES,
    "GET /v1/jobs": Permission.SEE_JOBS,
    "GET /v1/jobs/{number}": Permission.SEE_JOBS,
    "POST /v1/jobs/{number}/cancel": Permission.CHANGE_JOBS,
    "POST /v1/jobs/{number}/retry": Permission.CHANGE_JOBS,
    "GET /v1/schedules": Permission.SEE_JOBS,
    "GET /v1/keys": Permission.SEE_KEYS,
    "POST /v1/keys": Permission.CHANGE_KEYS,
    "DELETE /v1/keys/{number}": Permission.CHANGE_KEYS,
    "GET /v1/keys/{number}/usage": Permission.SEE_KEYS,
}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A service without banks."""
    with calling(Place(tmp_path_factory.mktemp("walk") / "data")) as caller:
        yield caller


def test_every_route_is_in_the_table_with_its_permission(caller: Caller) -> None:
    """A route that is added must be written here, too."""
    found = {
        f"{method} {re.sub(':[a-z]+', '', route.path)}": handler.opt[PERMISSION]
        for route, handler in handlers(create_app(caller.services))
        for method in handler.http_methods
        if route.path.startswith("/v1")
    }
    assert found == TABLE


def test_nobody_gets_past_any_route_and_each_scope_past_its_own_only(caller: Caller) -> None:
    """401 without a key; with one scope 403 wherever the table does not name it, and nowhere else."""
    keys = {scope: caller.key(scope) for scope in Scope}
    for line, permission in TABLE.items():
        method, template = line.split(" ")
        path = template.replace("{name}", "NOWHERE").replace("{entry}", "999").replace("{number}", "999")
        nobody = caller.ask(method, path)
        assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated"), line
        for scope, key in keys.items():
            answer = caller.ask(method, path, key=key)
            may = scope in RULES[permission].scopes
            assert (answer.status_code != 403) == may, f"{line} with {scope}: {answer.status_code}"
            if not may:
                assert answer.json()["code"] == "forbidden"


def test_every_key_may_read_the_description_of_the_interface_and_nobody_else(caller: Caller) -> None:
    """What is told there is in the public documentation, too; but nobody asks without a key."""
    assert caller.ask("GET", "/schema/openapi.json").status_code == 401
    for scope in Scope:
        assert caller.ask("GET", "/schema/openapi.json", key=caller.key(scope)).status_code == 200


def test_who_asks_by_a_wrong_method_is_told_the_right_ones(caller: Caller) -> None:
    """405 with ``Allow``, as HTTP demands."""
    answer = caller.ask("PUT", "/v1/banks", key=caller.all_scopes)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_the_description_tells_for_every_route_what_can_go_wrong(caller: Caller) -> None:
    """As a problem of the closed list, with the codes that are possible there."""
    schema = caller.ask("GET", "/schema/openapi.json", key=caller.all_scopes).json()
    codes = schema["components"]["schemas"]["Code"]["enum"]
    assert set(codes) == set(Code)
    for line in TABLE:
        method, path = line.split(" ")
        responses = schema["paths"][path][method.lower()]["responses"]
        expected = {"400", "401", "403", "415", "429", "431", "503"}
        expected |= {"404"} if "{" in path else set()
        expected |= {"408", "413"} if "requestBody" in schema["paths"][path][method.lower()] else set()
        assert expected <= responses.keys(), line
        for status, response in responses.items():
            if status >= "400":
                assert response["content"].keys() == {MEDIA_TYPE}, line
                assert response["content"][MEDIA_TYPE]["schema"]["$ref"].endswith("/ProblemBody"), line
                told = re.findall(r"`(\w+)`", response["description"])
                assert told, line
                assert {Code(code).status for code in told} == {int(status)}, line
    urls = schema["paths"]["/v1/match/urls"]["post"]["responses"]
    assert "`fetch_refused`" in urls["403"]["description"]
    assert "`nothing_to_compare`" in urls["503"]["description"]


def test_the_description_of_the_interface_tells_of_every_route(caller: Caller) -> None:
    """With what is sent and answered, and examples."""
    schema = caller.ask("GET", "/schema/openapi.json", key=caller.all_scopes).json()
    for line in TABLE:
        method, path = line.split(" ")
        operation = schema["paths"][path][method.lower()]
        assert {"200", "201"} & operation["responses"].keys(), line
        assert operation["description"].endswith("."), line
    assert schema["components"]["schemas"]["Prompt"]["properties"]["prompt"]["examples"]
    assert "multipart/form-data" in schema["paths"]["/v1/match"]["post"]["requestBody"]["content"]

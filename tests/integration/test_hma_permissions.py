"""Who may use which route of the API of HMA: a walk over all of them, held against one table."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.integration.hma_caller import Hma, hma, refused
from tests.integration.test_v1_permissions import TABLE as V1_TABLE
from tests.stores import Place

from rempart.people import RULES, Permission, Scope
from rempart.web.app import create_app
from rempart.web.guards import PERMISSION, handlers

TABLE = {
    "GET /hma": Permission.OPEN,
    "GET /hma/status": Permission.OPEN,
    "GET /hma/status/live": Permission.OPEN,
    "GET /hma/site-map": Permission.OPEN,
    "GET /hma/openapi/openapi.json": Permission.SEE_SCHEMA,
    "GET /hma/h/hash": Permission.MATCH_MEDIA,
    "POST /hma/h/hash": Permission.MATCH_MEDIA,
    "GET /hma/m/lookup": Permission.MATCH_MEDIA,
    "POST /hma/m/lookup": Permission.MATCH_MEDIA,
    "GET /hma/m/raw_lookup": Permission.MATCH_MEDIA,
    "POST /hma/m/compare": Permission.MATCH_MEDIA,
    "GET /hma/m/index/status": Permission.SEE_LISTS,
    "GET /hma/c/banks": Permission.SEE_LISTS,
    "POST /hma/c/banks": Permission.CHANGE_BANKS,
    "GET /hma/c/bank/{}": Permission.SEE_LISTS,
    "PUT /hma/c/bank/{}": Permission.CHANGE_BANKS,
    "DELETE /hma/c/bank/{}": Permission.CHANGE_BANKS,
    "POST /hma/c/bank/{}/content": Permission.CHANGE_ENTRIES,
    "POST /hma/c/bank/{}/signal": Permission.CHANGE_ENTRIES,
    "GET /hma/c/bank/{}/content/{}": Permission.SEE_ENTRIES,
    "PUT /hma/c/bank/{}/content/{}": Permission.CHANGE_ENTRIES,
    "DELETE /hma/c/bank/{}/content/{}": Permission.CHANGE_ENTRIES,
    "GET /hma/c/exchanges": Permission.SEE_LISTS,
    "POST /hma/c/exchanges": Permission.LET_LISTS_BLOCK,
    "GET /hma/c/exchanges/apis": Permission.SEE_LISTS,
    "GET /hma/c/exchanges/api/{}": Permission.SEE_LISTS,
    "POST /hma/c/exchanges/api/{}": Permission.LET_LISTS_BLOCK,
    "GET /hma/c/exchanges/api/{}/schema": Permission.SEE_LISTS,
    "GET /hma/c/exchange/{}": Permission.SEE_LISTS,
    "PUT /hma/c/exchange/{}": Permission.LET_LISTS_BLOCK,
    "DELETE /hma/c/exchange/{}": Permission.LET_LISTS_BLOCK,
    "GET /hma/c/exchange/{}/status": Permission.SEE_LISTS,
    "GET /hma/c/signal_type": Permission.SEE_LISTS,
    "PUT /hma/c/signal_type/{}": Permission.CHANGE_BANKS,
    "GET /hma/c/signal_type/index": Permission.SEE_LISTS,
    "GET /hma/c/content_type": Permission.SEE_LISTS,
}

OPERATIONS = {
    "GET /healthz": Permission.OPEN,
    "GET /readyz": Permission.OPEN,
    "GET /metrics": Permission.SEE_METRICS,
    "GET /schema": Permission.SEE_SCHEMA,
    "GET /schema/openapi.json": Permission.SEE_SCHEMA,
    "GET /schema/{}": Permission.SEE_SCHEMA,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hma]:
    """A service without banks."""
    with hma(Place(tmp_path_factory.mktemp("walk") / "data")) as service:
        yield service


def routes(service: Hma) -> dict[str, Permission]:
    """Every route of the whole app with what it takes; names of parameters are left out."""
    return {
        f"{method} {re.sub('{[^}]*}', '{}', route.path).rstrip('/')}": handler.opt[PERMISSION]
        for route, handler in handlers(create_app(service.caller.services))
        for method in handler.http_methods
    }


def test_every_route_is_in_the_table_with_its_permission(service: Hma) -> None:
    """A route that is added must be written here, too."""
    assert {line: permission for line, permission in routes(service).items() if " /hma" in line} == TABLE


def test_every_route_of_the_whole_service_is_in_one_of_the_tables(service: Hma) -> None:
    """Those of no interface among them: whoever adds a route says here or there who may use it."""
    native = {re.sub("{[^}]*}", "{}", line): permission for line, permission in V1_TABLE.items()}
    assert routes(service) == TABLE | native | OPERATIONS


def test_nobody_gets_past_any_route_and_each_scope_past_its_own_only(service: Hma) -> None:
    """401 without a key, and with one scope 403 wherever the table does not name it; open ones ask for none."""
    keys = {scope: service.caller.key(scope) for scope in Scope}
    for line, permission in TABLE.items():
        method, template = line.split(" ")
        path = template.removeprefix("/hma").replace("{}", "NOWHERE", 1).replace("{}", "999")
        if permission is Permission.OPEN:
            for key in ("", "rk_wrong", *keys.values()):
                assert service.ask(method, path, key=key).status_code in {200, 302, 503}, line
            continue
        refused(service.ask(method, path, key=""), 401, code="unauthenticated")
        refused(service.ask(method, path, key="rk_wrong"), 401, code="unauthenticated")
        for scope, key in keys.items():
            answer = service.ask(method, path, key=key)
            may = scope in RULES[permission].scopes
            assert (answer.status_code != 403) == may, f"{line} with {scope}: {answer.status_code}"
            assert answer.status_code < 500 or answer.status_code == 503, f"{line} with {scope}"
            if not may:
                refused(answer, 403, code="forbidden")


def test_what_takes_two_people_is_refused_to_every_key(service: Hma) -> None:
    """A key with all scopes is still nobody's two people."""
    for line, permission in TABLE.items():
        if permission is Permission.LET_LISTS_BLOCK:
            method, template = line.split(" ")
            refused(service.ask(method, template.removeprefix("/hma").replace("{}", "NOWHERE")), 403, "two people")


def test_without_a_key_a_path_that_is_not_there_looks_like_one_that_is(service: Hma) -> None:
    """401 for both, and for methods that are not there: a 404 would have Coop forget its banks."""
    for path in ("/nowhere", "/c/bank", "/c/bank/LIST/nowhere", "/c/banks/", "/ui/", "/dev/factory_reset", "/k"):
        for method in ("GET", "POST", "PATCH"):
            refused(service.ask(method, path, key=""), 401)
    refused(service.ask("PATCH", "/c/banks"), 405)
    for path in ("/dev/factory_reset", "/dev/seed_banks", "/ui/create_bank", "/ui/query"):
        refused(service.ask("POST", path), 404)

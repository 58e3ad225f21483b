"""What the API of HMA says of itself: whether it is alive, its types, its index, its exchanges and its description."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.hma_caller import Hma, hma, refused
from tests.stores import Place, Postgres

from rempart.people import Scope
from rempart.settings import ServeSettings

TYPES = {"pdq", "video_md5", "md5", "sha1", "sha256"}


@pytest.fixture
def stored(stores: Place) -> Iterator[Hma]:
    """A service without banks, on each kind of database."""
    with hma(stores) as service:
        yield service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Hma]:
    """A service without banks."""
    with hma(Place(tmp_path)) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hma]:
    """A service with one hash in a bank LIST."""
    with hma(Place(tmp_path_factory.mktemp("hma") / "data")) as service:
        service.signal(service.bank("LIST"), pdq=secrets.token_hex(32))
        yield service


def test_it_is_alive_at_once_and_loaded_when_something_is_banked(fresh: Hma) -> None:
    """Plain text in HMA's words, for anyone; an empty list of banks is not loaded, for nothing is compared with it."""

    def says(path: str) -> tuple[int, str, str]:
        answer = fresh.get(path, key="")
        return answer.status_code, answer.text, answer.headers["content-type"].partition(";")[0]

    assert says("/status/live") == (200, "I-AM-ALIVE", "text/plain")
    assert says("/status") == (503, "INDEX-NOT-LOADED", "text/plain")
    fresh.bank("LIST")
    assert says("/status") == (503, "INDEX-NOT-LOADED", "text/plain")
    fresh.signal("LIST", pdq=secrets.token_hex(32))
    assert says("/status") == (200, "I-AM-ALIVE", "text/plain")
    fresh.change("/c/bank/LIST", enabled_ratio=0)
    assert says("/status") == (503, "INDEX-NOT-LOADED", "text/plain")
    assert says("/status/live") == (200, "I-AM-ALIVE", "text/plain")


def test_a_database_that_is_gone_is_told_as_503_and_never_as_404(postgres: Postgres, tmp_path: Path) -> None:
    """Coop forgets its bank on a 404. Five seconds after the last look at the database nothing is answered from it."""
    with postgres.database() as settings, hma(Place(tmp_path, settings)) as service:
        value = secrets.token_hex(32)
        service.signal(service.bank("LIST"), pdq=value)
        name = settings.url.rpartition("/")[2]
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608
        try:
            for method, path in (("GET", "/c/bank/LIST"), ("GET", "/c/bank/ABSENT"), ("DELETE", "/c/bank/LIST")):
                refused(service.ask(method, path), 503)
            refused(service.ask("POST", "/c/banks", json={"name": "MORE"}), 503)
            refused(service.get("/m/lookup", signal=value, signal_type="pdq"), 503)  # a match that cannot be kept
            deadline = time.monotonic() + 30
            while (answer := service.get("/status", key="")).status_code == 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert (answer.status_code, answer.text) == (503, "INDEX-STALE")
            refused(service.get("/m/lookup", signal=secrets.token_hex(32), signal_type="pdq"), 503)
            assert service.get("/status/live", key="").text == "I-AM-ALIVE"
        finally:
            postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        while (answer := service.get("/m/lookup", signal=value, signal_type="pdq")).status_code == 503:
            assert time.monotonic() < deadline + 30
            time.sleep(0.1)
        assert (answer.status_code, [*answer.json()]) == (200, ["LIST"])
        assert service.get("/status", key="").text == "I-AM-ALIVE"


def test_the_root_leads_to_the_status_and_the_map_names_every_path(service: Hma) -> None:
    """For anyone, as HMA's."""
    for path in ("", "/"):
        answer = service.get(path, key="")
        assert (answer.status_code, answer.headers["location"]) == (302, "/hma/status")
    answer = service.get("/site-map", key="")
    paths = answer.json()
    assert answer.status_code == 200
    assert paths == sorted(paths)
    plain = {re.sub("<[a-z_]+>", "<>", path) for path in paths}
    assert {"/", "/h/hash", "/m/lookup", "/c/banks", "/c/bank/<>", "/c/bank/<>/content/<int:number>"} <= plain


def test_the_description_has_the_title_that_hmas_tests_look_for(service: Hma) -> None:
    """For any key, and for nobody else; it names every path."""
    for scope in Scope:
        answer = service.get("/openapi/openapi.json", key=service.caller.key(scope))
        assert (answer.status_code, answer.json()["info"]["title"]) == (200, "Open Media Match API"), scope
    refused(service.get("/openapi/openapi.json", key=""), 401)
    paths = {path.removeprefix("/hma") for path in answer.json()["paths"]}
    assert {"/h/hash", "/m/lookup", "/m/raw_lookup", "/m/compare", "/c/banks", "/c/exchanges"} <= paths
    assert not {path for path in answer.json()["paths"] if path.startswith("/v1")}


def test_the_index_tells_of_each_type_what_it_holds(stored: Hma) -> None:
    """At once, since nothing is built anew."""
    empty = stored.get("/m/index/status").json()
    assert empty.keys() == TYPES
    assert {(one["present"], one["built_to"], one["size"]) for one in empty.values()} == {(False, -1, 0)}
    before = int(time.time()) - 1
    stored.bank("LIST")
    for _ in range(3):
        number = stored.signal("LIST", pdq=secrets.token_hex(32))
    stored.signal("LIST", video_md5=secrets.token_hex(16))
    found = stored.get("/m/index/status").json()
    assert {kind: one["size"] for kind, one in found.items() if one["present"]} == {"pdq": 3, "video_md5": 1, "md5": 1}
    assert before <= found["pdq"]["built_to"] <= int(time.time()) + 1
    stored.ask("DELETE", f"/c/bank/LIST/content/{number}")
    only = stored.get("/m/index/status", signal_type="pdq").json()
    assert [*only] == ["pdq"]
    assert only["pdq"]["size"] == 2
    assert isinstance(only["pdq"]["built_to"], int)
    refused(stored.get("/m/index/status", signal_type="tmk"), 400)
    curated = stored.get("/c/signal_type/index").json()
    assert curated.keys() == TYPES
    fields = {"db_size", "index_size", "index_out_of_date", "newest_db_item", "index_built_to"}
    assert {frozenset(one) for one in curated.values()} == {frozenset(fields)}
    assert (curated["pdq"]["db_size"], curated["pdq"]["index_size"]) == (2, 2)
    assert curated["pdq"]["index_out_of_date"] is False
    assert [*stored.get("/c/signal_type/index", signal_type="pdq").json()] == ["pdq"]


def test_types_of_signals_and_of_content_are_listed(service: Hma) -> None:
    """HMA's and ours, all of them on."""
    types = service.get("/c/signal_type").json()
    assert {one["name"] for one in types} == TYPES
    assert {(frozenset(one), one["enabled_ratio"]) for one in types} == {(frozenset(("name", "enabled_ratio")), 1.0)}
    content = service.get("/c/content_type").json()
    assert sorted(content, key=lambda one: str(one["name"])) == [
        {"name": "photo", "enabled": True},
        {"name": "video", "enabled": True},
    ]


def test_hma_defect_a_type_of_signal_can_be_switched_off(fresh: Hma) -> None:
    """HMA's PUT always fails with 500, and a ratio of 0 counts as on: here look-ups by the type are refused."""
    pdq, sha1 = secrets.token_hex(32), secrets.token_hex(20)
    fresh.signal(fresh.bank("LIST"), pdq=pdq, sha1=sha1)
    answer = fresh.ask("PUT", "/c/signal_type/sha1", json={"enabled_ratio": 0})
    assert answer.status_code == 200, answer.text
    assert {one["name"]: one["enabled_ratio"] for one in fresh.get("/c/signal_type").json()}["sha1"] == 0
    for path in ("/m/lookup", "/m/raw_lookup"):
        refused(fresh.get(path, signal=sha1, signal_type="sha1"), 400)
    assert [*fresh.lookup(pdq)] == ["LIST"]
    fresh.change("/c/signal_type/sha1", enabled_ratio=1)
    assert [*fresh.lookup(sha1, "sha1")] == ["LIST"]
    for wrong in (7, -1, "x", "nan", None):
        answer = fresh.ask("PUT", "/c/signal_type/sha1", json={"enabled_ratio": wrong})
        refused(answer, 422 if answer.status_code == 422 else 400)
    refused(fresh.ask("PUT", "/c/signal_type/sha1", json={}), 422)
    unknown = fresh.ask("PUT", "/c/signal_type/tmk", json={"enabled_ratio": 0})
    refused(unknown, 404 if unknown.status_code == 404 else 400)
    assert [*fresh.lookup(sha1, "sha1")] == ["LIST"]


def test_there_are_no_exchanges_and_whoever_asks_for_one_is_told_so(service: Hma) -> None:
    """404 for those by name, which Coop takes for a bank without one; 400 for an API that is not known."""
    for path in ("/c/exchanges", "/c/exchanges/apis"):
        answer = service.get(path)
        assert (answer.status_code, answer.json()) == (200, []), path
    for path in ("/c/exchange/LIST", "/c/exchange/LIST/status"):
        refused(service.get(path), 404, "Exchange 'LIST' not found")
    refused(service.get("/c/exchanges/api/ncmec"), 400)
    refused(service.get("/c/exchanges/api/ncmec/schema"), 404)


def test_an_exchange_is_made_by_nobody_yet(service: Hma) -> None:
    """A synced list that blocks takes two people: 403 for every key, and no bank is made alongside."""
    body = {"bank": "FEED", "api": "ncmec", "api_json": {}}
    for key in (service.caller.all_scopes, service.caller.key(Scope.CURATE, Scope.ADMIN)):
        refused(service.ask("POST", "/c/exchanges", key=key, json=body), 403, "two people")
        credentials = {"credential_json": {"user": "a", "password": "b"}}
        refused(service.ask("POST", "/c/exchanges/api/ncmec", key=key, json=credentials), 403, "two people")
        refused(service.ask("DELETE", "/c/exchange/LIST", key=key), 403, "two people")
    refused(service.get("/c/bank/FEED"), 404)
    assert service.get("/c/bank/LIST").status_code == 200


def test_hma_defect_a_duplicate_exchange_is_no_server_error(service: Hma) -> None:
    """HMA fails with 500 on it, and on a name that begins with a digit."""
    for bank in ("LIST", "LIST", "2FEED"):
        refused(service.ask("POST", "/c/exchanges", json={"bank": bank, "api": "sample", "api_json": {}}), 403)


def test_hma_defect_the_answer_to_a_changed_exchange_is_json(service: Hma) -> None:
    """HMA sends the text ``nameapienabled`` and calls it JSON."""
    refused(service.ask("PUT", "/c/exchange/LIST", json={"enabled": False}), 403)


def test_hmas_paths_are_taken_at_the_root_when_that_is_set_and_no_others(tmp_path: Path) -> None:
    """A client that drops the path of its base URL, as FetLife's does, needs that."""
    place = Place(tmp_path)
    with hma(place, serve=ServeSettings(hma_at_root=True)) as service:
        ask, key = service.caller.ask, service.caller.all_scopes
        value = secrets.token_hex(32)
        service.signal(service.bank("LIST"), pdq=value)
        query = {"signal": value, "signal_type": "pdq"}
        found = {"LIST": [{"bank_content_id": 1, "distance": "0"}]}
        for path in ("/m/lookup", f"/k/{key}/m/lookup", "http://testserver.local//m//lookup"):
            answer = ask("GET", path, key="" if "/k/" in path else key, params=query)
            assert (answer.status_code, answer.json()) == (200, found), path
        assert service.get("/m/lookup", **query).json() == found
        assert ask("GET", "/c/banks", key=key).json() == [{"name": "LIST", "matching_enabled_ratio": 1}]
        assert ask("GET", "/status").text == "I-AM-ALIVE"
        assert ask("GET", "/status/live").text == "I-AM-ALIVE"
        assert ask("GET", "/site-map").status_code == 200
        assert ask("GET", "/openapi/openapi.json", key=key).json()["info"]["title"] == "Open Media Match API"
        refused(ask("GET", "/m/lookup", params=query), 401)
        refused(ask("GET", "/h/hash", key=key), 422)
        # Ours stay ours.
        assert ask("GET", "/healthz").text == "alive\n"
        assert ask("GET", "/schema/openapi.json", key=key).json()["info"]["title"] == "rempart"
        assert "items" in ask("GET", "/v1/banks", key=key).json()
        assert ask("GET", "/", key=key).status_code == 404


def test_hmas_paths_are_not_at_the_root_by_default(service: Hma) -> None:
    """404 with a key, 401 without."""
    for path in ("/m/lookup", "/h/hash", "/c/banks", "/status", "/site-map", "/openapi/openapi.json"):
        assert service.caller.ask("GET", path, key=service.caller.all_scopes).status_code == 404
        assert service.caller.ask("GET", path).status_code == 401

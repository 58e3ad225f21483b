"""The calls of Coop and of FetLife's client, in their order and with what they really send."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.hma_caller import Files, Hma, drawing, hma, near, refused
from tests.stores import Place

from rempart.clock import utc_now
from rempart.people import Scope, revoke_key
from rempart.settings import ServeSettings

ORG = "COOP_E7C89CE7729_"


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    """A platform's media server."""
    with Files() as files:
        yield files


@pytest.fixture
def fresh(tmp_path: Path, files: Files) -> Iterator[Hma]:
    """A service without banks, with HMA's paths at the root too."""
    with hma(Place(tmp_path), fetch=files.allowed, serve=ServeSettings(hma_at_root=True)) as service:
        yield service


@pytest.fixture
def stored(stores: Place, files: Files) -> Iterator[Hma]:
    """The same, on each kind of database."""
    with hma(stores, fetch=files.allowed, serve=ServeSettings(hma_at_root=True)) as service:
        yield service


class Coop:
    """Asks as Coop does: no header of its own, and a base URL that ends in ``/`` before paths that begin with one."""

    def __init__(self, service: Hma, key: str) -> None:
        self._ask = service.caller.ask
        self._base = f"http://testserver.local/hma/k/{key}/"

    def ask(self, method: str, path: str, body: object = None, **more: str) -> httpx.Response:
        """One call; the body is JSON."""
        content: Any = {} if body is None else {"json": body}
        return self._ask(method, f"{self._base}{path}", params=more or None, **content)

    def matched(self, url: str, banks: list[str]) -> list[str]:
        """What Coop does with each picture: hash it, look each hash up, and read the keys that are its banks' names."""
        hashes = self.ask("GET", "/h/hash", url=url)
        assert hashes.status_code == 200, hashes.text
        found = []
        for kind, value in hashes.json().items():
            assert isinstance(value, str)
            answer = self.ask("GET", "/m/lookup", signal_type=kind, signal=value)
            assert answer.status_code == 200, answer.text
            found += [bank for bank in banks if answer.json().get(bank)]
        return found


class FetLife:
    """Asks as FetLife's client does: paths from the root, whatever the base URL says, and forms as Ruby writes them."""

    def __init__(self, service: Hma, key: str) -> None:
        self._ask, self._key = service.caller.ask, key

    def get(self, path: str, **query: object) -> httpx.Response:
        """A query; flags are words."""
        spelled = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        return self._ask("GET", path, key=self._key, params=spelled)

    def post(self, path: str, body: object) -> httpx.Response:
        """JSON."""
        return self._ask("POST", path, key=self._key, json=body)

    def file(self, path: str, content: bytes, **fields: str) -> httpx.Response:
        """A form with headers in its parts that nobody else sends."""
        edge = "-----------RubyMultipartPost-0c6feacbe17921d562a9946606263c85"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n'
            f"Content-Length: {len(content)}\r\nContent-Type: image/jpeg\r\n"
            "Content-Transfer-Encoding: binary\r\n\r\n".encode()
            + content
        ]
        parts += [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
            for name, value in fields.items()
        ]
        body = b"\r\n".join([*parts, f"--{edge}--\r\n".encode()])
        headers = {"content-type": f"multipart/form-data; boundary={edge}"}
        return self._ask("POST", path, key=self._key, content=body, headers=headers)


def test_coop_makes_a_bank_fills_it_checks_it_and_finds_what_it_holds(stored: Hma, files: Files) -> None:
    """From the form of its console to an item with a picture."""
    coop = Coop(stored, stored.caller.key(Scope.MATCH, Scope.CURATE))
    bank = f"{ORG}KNOWN"
    made = coop.ask("POST", "/c/banks", {"name": bank, "enabled_ratio": "1"})
    assert made.status_code == 201, made.text
    assert coop.ask("GET", f"/c/bank/{bank}").status_code == 200
    body = {"metadata": {"content_id": "item-1", "json": {"queue": "q"}}, "note": "banked by a reviewer"}
    url = files.put("/one.jpg", drawing(1, "JPEG"), "image/jpeg")
    banked = coop.ask("POST", f"/c/bank/{bank}/content", body, url=url)
    assert banked.status_code == 200, banked.text
    assert banked.json()["signals"].keys() == {"pdq"}
    form: Any = {
        "files": {"photo": ("blob", drawing(2, "JPEG"))},
        "data": {"content_id": "item-2", "note": "from a form"},
    }
    assert stored.ask("POST", f"/c/bank/{bank}/content", **form).status_code == 200
    banks = [bank, f"{ORG}EMPTY"]
    assert coop.matched(files.put("/copy.png", drawing(1)), banks) == [bank]
    assert coop.matched(files.put("/two.jpg", drawing(2, "JPEG"), "image/jpeg"), banks) == [bank]
    assert coop.matched(files.put("/other.jpg", drawing(3, "JPEG"), "image/jpeg"), banks) == []


def test_coop_changes_the_ratio_renames_by_making_anew_and_deletes(fresh: Hma) -> None:
    """Its rename makes the new bank, then deletes the old one; its own clean-up deletes what may be absent."""
    coop = Coop(fresh, fresh.caller.key(Scope.CURATE))
    old, new = f"{ORG}OLD", f"{ORG}NEW"
    assert coop.ask("POST", "/c/banks", {"name": old, "enabled_ratio": "1"}).status_code == 201
    changed = coop.ask("PUT", f"/c/bank/{old}", {"enabled_ratio": 0.5})
    assert (changed.status_code, changed.json()["matching_enabled_ratio"]) == (200, 0.5)
    made = coop.ask("POST", "/c/banks", {"name": new, "enabled_ratio": "0.5"})
    assert (made.status_code, made.json()) == (201, {"name": new, "matching_enabled_ratio": 0.5})
    for _ in range(2):
        assert coop.ask("DELETE", f"/c/bank/{old}").status_code == 200
    # This, and nothing else, is what makes Coop forget a bank.
    refused(coop.ask("GET", f"/c/bank/{old}"), 404, f"bank '{old}' not found")
    assert coop.ask("GET", f"/c/bank/{new}").status_code == 200


def test_coop_asks_for_exchanges_and_hears_that_there_are_none(fresh: Hma) -> None:
    """It falls back to tables of its own, and shows a bank without an exchange."""
    coop = Coop(fresh, fresh.caller.key(Scope.MATCH, Scope.CURATE))
    assert coop.ask("GET", "/c/exchanges/apis").json() == []
    refused(coop.ask("GET", "/c/exchanges/api/ncmec"), 400)
    refused(coop.ask("GET", "/c/exchanges/api/ncmec/schema"), 404)
    refused(coop.ask("GET", f"/c/exchange/{ORG}KNOWN"), 404)
    refused(coop.ask("GET", f"/c/exchange/{ORG}KNOWN/status"), 404)
    refused(coop.ask("POST", "/c/exchanges/api/ncmec", {"credential_json": {}}), 403)
    refused(coop.ask("POST", "/c/exchanges", {"bank": f"{ORG}FEED", "api": "ncmec", "api_json": {}}), 403)


def test_coop_never_hears_404_about_a_bank_that_is_there(fresh: Hma) -> None:
    """It would delete its own record: 401, 403 or 429 is what keeps it."""
    bank = fresh.bank(f"{ORG}KNOWN")
    path = f"/c/bank/{bank}"
    store = fresh.caller.services.store
    revoked = fresh.caller.key(Scope.CURATE)
    assert Coop(fresh, revoked).ask("GET", path).status_code == 200
    revoke_key(store, str(fresh.caller.number(revoked)))
    ending = Coop(fresh, fresh.caller.key(Scope.CURATE, expires_at=utc_now() + timedelta(seconds=0.5)))
    other = fresh.bank("OTHER")
    limited = fresh.caller.key(Scope.CURATE, banks=[other])
    for key, status in (
        (f"rk_{'x' * 43}", 401),
        ("", 401),
        (fresh.caller.key(Scope.SCREEN), 403),
        (limited, 403),
    ):
        for method in ("GET", "PUT", "DELETE"):
            refused(Coop(fresh, key).ask(method, path, {} if method == "PUT" else None), status)
    hurried = Coop(fresh, fresh.caller.key(Scope.CURATE, per_minute=1))
    assert {hurried.ask("GET", path).status_code for _ in range(10)} == {200, 429}
    deadline = time.monotonic() + 10
    for ended in (ending, Coop(fresh, revoked)):
        while (answer := ended.ask("GET", path)).status_code == 200:
            assert time.monotonic() < deadline
        refused(answer, 401)
    assert Coop(fresh, fresh.caller.all_scopes).ask("GET", path).status_code == 200


def test_a_key_in_the_path_is_the_key_whatever_slashes_stand_around_it(fresh: Hma) -> None:
    """It wins over a header, and no answer repeats it."""
    fresh.signal(fresh.bank("LIST"), pdq=secrets.token_hex(32))
    key = fresh.caller.key(Scope.CURATE)
    base = "http://testserver.local"
    for path in (f"/hma/k/{key}/c/banks", f"/hma/k/{key}//c/banks", f"/hma//k/{key}//c//banks", "/hma//c/banks"):
        secret = key if "/k/" not in path else ""
        for method, more, status in (("GET", {}, 200), ("POST", {"json": {"name": "LIST"}}, 403)):
            answer = fresh.caller.ask(method, f"{base}{path}", key=secret, **more)
            assert answer.status_code == status, path
            assert key not in answer.text
    weak = fresh.caller.key(Scope.SCREEN)
    answer = fresh.caller.ask("GET", f"{base}/hma/k/{weak}/c/banks", key=key)
    assert weak not in refused(answer, 403)
    refused(fresh.caller.ask("GET", f"{base}/hma/k/{weak[:-1]}/c/banks", key=key), 401)
    assert fresh.caller.ask("GET", f"{base}/hma/k/{key}/status").text == "I-AM-ALIVE"


def test_fetlife_hashes_banks_and_looks_up_files_urls_and_signals(stored: Hma, files: Files) -> None:
    """Its structures demand whole numbers as distances, so its key has the scope distance."""
    fetlife = FetLife(stored, stored.caller.key(Scope.MATCH, Scope.CURATE, Scope.DISTANCE))
    made = fetlife.post("/c/banks", {"name": "TEST_BANK", "enabled": "true", "matching_enabled_ratio": 1.0})
    assert (made.status_code, isinstance(made.json()["matching_enabled_ratio"], float)) == (201, True)
    assert fetlife.get("/c/bank/TEST_BANK").json() == made.json()
    again = fetlife.post("/c/banks", {"name": "TEST_BANK", "enabled": "true", "matching_enabled_ratio": 1.0})
    refused(again, 403, "already exists")
    refused(fetlife.post("/c/banks", {"name": "test bank", "enabled": "true"}), 400)
    refused(fetlife.get("/c/bank/ABSENT"), 404)
    words = {"content_id": "test-456", "content_uri": "https://host.example/a.jpg", "json": {"priority": "medium"}}
    banked = fetlife.file("/c/bank/TEST_BANK/content", drawing(1, "JPEG"), metadata=json.dumps(words))
    assert banked.status_code == 200, banked.text
    number, pdq = banked.json()["id"], banked.json()["signals"]["pdq"]
    refused(fetlife.file("/c/bank/ABSENT/content", drawing(1, "JPEG")), 404)
    url = files.put("/url.jpg", drawing(2, "JPEG"), "image/jpeg")
    query = {"url": url, "content_type": "photo", "metadata": json.dumps(words)}
    by_url = stored.caller.ask("POST", "/c/bank/TEST_BANK/content", key=stored.caller.all_scopes, params=query)
    assert (by_url.status_code, by_url.json()["signals"].keys()) == (200, {"pdq"})
    assert fetlife.file("/h/hash", drawing(1, "JPEG")).json() == {"pdq": pdq}
    assert fetlife.get("/h/hash", url=url, content_type="photo", types="pdq").json() == by_url.json()["signals"]
    row = {"bank_content_id": number, "distance": "0"}
    assert fetlife.file("/m/lookup", drawing(1, "JPEG")).json()["pdq"] == {"TEST_BANK": [row]}
    assert [*fetlife.get("/m/lookup", url=url, types="pdq").json()] == ["pdq"]
    assert fetlife.get("/m/lookup", signal=pdq, signal_type="pdq").json() == {"TEST_BANK": [row]}
    assert fetlife.get("/m/lookup", signal=secrets.token_hex(32), signal_type="pdq").json() == {}
    assert fetlife.get("/m/raw_lookup", signal=pdq, signal_type="pdq", include_distance=True).json() == {
        "matches": [row]
    }
    raw = fetlife.get("/m/raw_lookup", signal=near(pdq, 26), signal_type="pdq", include_distance=False)
    assert raw.json() == {"matches": [number]}
    partial = fetlife.get("/m/lookup", signal=near(pdq, 26), signal_type="pdq").json()
    assert partial["TEST_BANK"][0]["distance"] == "26"


def test_fetlife_asks_whether_the_service_is_there_and_what_it_may_sync(fresh: Hma) -> None:
    """A status is bare text; an exchange that is not there is 404."""
    fetlife = FetLife(fresh, fresh.caller.key(Scope.MATCH, Scope.CURATE))
    assert (fetlife.get("/status").status_code, fetlife.get("/status").text) == (503, "INDEX-NOT-LOADED")
    fresh.signal(fresh.bank("LIST"), pdq=secrets.token_hex(32))
    assert (fetlife.get("/status").status_code, fetlife.get("/status").text) == (200, "I-AM-ALIVE")
    assert fetlife.get("/c/exchanges/apis").json() == []
    refused(fetlife.get("/c/exchange/LIST"), 404)
    refused(fetlife.post("/c/exchanges/api/ncmec", {"credential_json": {"user": "a", "password": "b"}}), 403)
    refused(FetLife(fresh, "").get("/m/lookup", signal="00", signal_type="pdq"), 401)

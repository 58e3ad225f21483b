"""The native API's look-ups: prompts, files, hashes and URLs, and what a key is told of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.v1_caller import Caller, calling
from tests.stores import Place

from rempart.jobs import list_jobs
from rempart.lists import HashValue, add_contents, create_bank, import_hashes
from rempart.lists.entries import Content
from rempart.matching import Kind, specimen
from rempart.people import Scope
from rempart.prompts import SPECIMEN_TOKEN
from rempart.settings import ServeSettings
from rempart.store.service_tables import jobs
from rempart.store.tables import HashKind, entries

KNOWN = secrets.token_bytes(32)
KNOWN_MD5 = secrets.token_bytes(16)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A service with two blocking banks, LIST with a PDQ hash and an MD5, OTHER with a PDQ hash."""
    place = Place(tmp_path_factory.mktemp("v1") / "data")
    with place.open() as store:
        create_bank(store, "LIST")
        hashes = (HashValue(HashKind.PDQ, KNOWN), HashValue(HashKind.MD5, KNOWN_MD5))
        add_contents(store, "LIST", [Content(hashes)])
        create_bank(store, "OTHER")
        import_hashes(store, "OTHER", [HashValue(HashKind.PDQ, near(KNOWN, 4))])
        with store.write() as connection:
            connection.execute(entries.update().where(entries.c.id == 1).values(source_record="record-7"))
    with calling(place) as caller:
        yield caller


def near(value: bytes, bits: int) -> bytes:
    """A hash that differs in so many bits."""
    return (int.from_bytes(value) ^ (2**bits - 1)).to_bytes(32)


def ask(caller: Caller, key: str, **item: object) -> dict[str, Any]:
    """The verdict on the hashes of one item."""
    answer = caller.ask("POST", "/v1/match/hashes", key=key, json={"items": [item]})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]


def findings(caller: Caller) -> list[dict[str, Any]]:
    """The payloads of all findings, the oldest first."""
    with caller.services.store.read() as connection:
        rows = connection.execute(jobs.select().where(jobs.c.kind == "finding").order_by(jobs.c.id))
        return [json.loads(row.payload) for row in rows]


def test_a_known_hash_is_a_match_with_all_that_the_verdict_tells(caller: Caller) -> None:
    """Bank, entry, harm, kind, variant and source record; the quality is what was sent."""
    key = caller.key(Scope.MATCH, Scope.DISTANCE)
    row = ask(caller, key, pdq=near(KNOWN, 2).hex(), quality=90, source_id="upload-1")
    assert (row["verdict"], row["reasons"], row["quality"]) == ("match", ["near_match"], 90)
    assert row["lists_as_of"]
    first = row["matches"][0]
    expected = {"kind": "pdq", "variant": "full", "harm": "csam", "action": "blocking", "distance": 2}
    assert first | expected == first
    assert {match["bank"]: match["source_record"] for match in row["matches"]} == {"LIST": "record-7", "OTHER": None}


def test_without_the_scope_nothing_tells_how_near_a_match_is(caller: Caller) -> None:
    """Neither a distance nor the order of the matches."""
    key = caller.key(Scope.MATCH)
    for bits in (1, 3):  # nearer to LIST, then to OTHER
        row = ask(caller, key, pdq=near(KNOWN, bits).hex())
        assert [match["bank"] for match in row["matches"]] == ["LIST", "OTHER"]
        assert not {"distance", "frame", "query_percent"} & row["matches"][0].keys()


def test_a_key_that_is_limited_to_a_bank_learns_nothing_of_others(caller: Caller) -> None:
    """No match there, and the bank is not even named."""
    key = caller.key(Scope.MATCH, Scope.CURATE, banks=["OTHER"])
    row = ask(caller, key, pdq=near(KNOWN, 1).hex())
    assert [match["bank"] for match in row["matches"]] == ["OTHER"]
    assert [bank["name"] for bank in caller.ask("GET", "/v1/banks", key=key).json()["items"]] == ["OTHER"]
    assert [bank["bank"] for bank in caller.ask("GET", "/v1/lists", key=key).json()["banks"]] == ["OTHER"]
    for method, path in (("GET", "/v1/banks/LIST"), ("GET", "/v1/banks/LIST/entries"), ("DELETE", "/v1/banks/LIST")):
        hidden, absent = (caller.ask(method, path.replace("LIST", name), key=key) for name in ("LIST", "NOWHERE"))
        assert (hidden.status_code, hidden.json()["detail"]) == (404, absent.json()["detail"])


def test_what_the_key_has_nothing_to_compare_with_is_never_clear(caller: Caller) -> None:
    """503 with a code: an MD5 where no bank of the key holds one, and a key without a bank."""
    answer = caller.ask(
        "POST",
        "/v1/match/hashes",
        key=caller.key(Scope.MATCH, banks=["OTHER"]),
        json={"items": [{"md5": "00" * 16}]},
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "nothing_to_compare")
    row = ask(caller, caller.key(Scope.MATCH), md5="00" * 16)
    assert (row["verdict"], row["matches"]) == ("clear", [])
    assert ask(caller, caller.key(Scope.MATCH), md5=KNOWN_MD5.hex())["reasons"] == ["exact_match"]


def test_a_hash_of_low_quality_is_unscannable_and_not_clear(caller: Caller) -> None:
    """It says too little to be compared."""
    row = ask(caller, caller.key(Scope.MATCH), pdq=KNOWN.hex(), quality=10)
    assert (row["verdict"], row["reasons"]) == ("unscannable", ["low_quality"])


def test_each_match_is_in_the_outbox_before_it_is_answered_and_once(caller: Caller) -> None:
    """The finding names item, key and source; the same source does not make a second one while the first waits."""
    key = caller.key(Scope.MATCH)
    for _ in range(2):
        ask(caller, key, pdq=KNOWN.hex(), source_id="upload-2", event_at="2026-01-02T03:04:05Z")
    ask(caller, key, pdq=secrets.token_hex(32), source_id="upload-clear")
    found = [one for one in findings(caller) if one["source_id"].startswith("upload-2")]
    assert len(found) == 1
    assert (found[0]["place"], found[0]["verdict"], found[0]["harm"]) == ("distribution", "match", "csam")
    assert found[0]["item"] == {"pdq": KNOWN.hex()}
    assert found[0]["event_at"] == "2026-01-02T03:04:05Z"
    assert not [one for one in findings(caller) if one["source_id"] == "upload-clear"]


def test_many_hashes_are_answered_in_their_order_and_all_counted(caller: Caller) -> None:
    """What was given, and how many of each verdict."""
    key = caller.key(Scope.MATCH)
    items = [{"pdq": secrets.token_hex(32)} for _ in range(99)] + [{"pdq": KNOWN.hex()}]
    answer = caller.ask("POST", "/v1/match/hashes", key=key, json={"items": items}).json()
    assert (answer["given"], answer["clear"], answer["match"], answer["unscannable"]) == (100, 99, 1, 0)
    assert answer["results"][-1]["verdict"] == "match"
    caller.services.counter.flush()
    number = caller.number(key)
    usage = caller.ask("GET", f"/v1/keys/{number}/usage", key=caller.all_scopes).json()["items"]
    assert {(row["outcome"], row["count"]) for row in usage} == {("clear", 99), ("near", 1)}


def test_a_batch_costs_as_much_as_its_items(caller: Caller) -> None:
    """Who may ask 60 times a minute cannot ask for 1,000 hashes in one request, again and again."""
    key = caller.key(Scope.MATCH, per_minute=60)
    batch = {"items": [{"pdq": secrets.token_hex(32)}] * 50}
    assert caller.ask("POST", "/v1/match/hashes", key=key, json=batch).status_code == 200
    answer = caller.ask("POST", "/v1/match/hashes", key=key, json=batch)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_picture_is_matched_as_body_and_as_files_of_a_form(
    caller: Caller, lighthouse: Callable[..., Image.Image], saved: Callable[..., bytes]
) -> None:
    """The specimen is caught, a drawing is clear, junk is unscannable; nothing is skipped."""
    key = caller.key(Scope.MATCH)
    png, drawing = specimen.picture(), saved(lighthouse(), "JPEG")
    answer = caller.ask("POST", "/v1/match?source_id=one", key=key, content=png, headers={"content-type": "image/png"})
    row = answer.json()["results"][0]
    assert (row["verdict"], row["specimen"], row["source_id"]) == ("match", True, "one")
    files = {"a": ("hidden.png", png), "b": ("hidden.jpg", drawing), "c": ("hidden.gif", b"junk")}
    answer = caller.ask("POST", "/v1/match", key=key, files=files).json()
    assert [(row["name"], row["verdict"]) for row in answer["results"]] == [
        ("a", "match"),
        ("b", "clear"),
        ("c", "unscannable"),
    ]
    assert answer["results"][2]["reasons"] == ["unknown_format"]
    assert answer["given"] == 3
    hashed = caller.ask("POST", "/v1/hash", key=key, files=files).json()
    assert (hashed["given"], hashed["hashed"], hashed["unscannable"]) == (3, 2, 1)
    assert len(hashed["results"][0]["pdq"]) == 64


def test_uploads_of_another_kind_and_forms_without_files_are_refused(caller: Caller) -> None:
    """415 and 400 with codes."""
    key = caller.key(Scope.MATCH)
    for path in ("/v1/match", "/v1/hash"):
        answer = caller.ask("POST", path, key=key, json={"pdq": "00"})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        form = b'--x\r\ncontent-disposition: form-data; name="text"\r\n\r\nhello\r\n--x--\r\n'
        kind = {"content-type": "multipart/form-data; boundary=x"}
        answer = caller.ask("POST", path, key=key, content=form, headers=kind)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_urls_are_not_fetched_unless_hosts_are_allowed(caller: Caller) -> None:
    """403 with a code, whatever the URL."""
    for path in ("/v1/match/urls", "/v1/hash/urls"):
        body = {"items": [{"url": "http://169.254.169.254/"}]}
        answer = caller.ask("POST", path, key=caller.key(Scope.MATCH), json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "fetch_disabled")


def test_prompts_are_screened_one_by_one_and_in_batches(caller: Caller) -> None:
    """The nonsense token is refused; a lighthouse is allowed; nothing of the text comes back."""
    key = caller.key(Scope.SCREEN)
    one = caller.ask("POST", "/v1/screen", key=key, json={"prompt": "a lighthouse at dusk"})
    assert one.json()["verdict"] == "allow"
    assert "lighthouse" not in one.text
    items = [{"prompt": "a tall ship"}, {"prompt": f"a ship, {SPECIMEN_TOKEN}", "negative": "fog"}]
    many = caller.ask("POST", "/v1/screen/batch", key=key, json={"items": items}).json()["results"]
    assert [(row["verdict"], row["specimen"]) for row in many] == [("allow", False), ("refuse", True)]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/screen", {"prompt": "x", "syntax": "hiddenvalue"}, "invalid"),
        ("/v1/screen", {"prompt": "x", "hiddenvalue": 1}, "invalid"),
        ("/v1/screen", {"prompt": ["hiddenvalue"]}, "invalid"),
        ("/v1/match/hashes", {"items": [{"pdq": "hiddenvalue"}]}, "invalid_hash"),
        ("/v1/match/hashes", {"items": [{"pdq": "0" * 63 + "\n"}]}, "invalid_hash"),
        ("/v1/match/hashes", {"items": [{}]}, "invalid"),
        ("/v1/match/hashes", {"items": []}, "invalid"),
        ("/v1/match/urls", {"items": [{"url": 3}]}, "invalid"),
    ],
)
def test_a_wrong_request_is_told_where_it_is_wrong_and_not_quoted(
    caller: Caller, path: str, body: dict[str, Any], code: str
) -> None:
    """400 with a stable code; errors are of our own words."""
    answer = caller.ask("POST", path, key=caller.all_scopes, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hiddenvalue" not in answer.text


def test_a_stale_list_makes_clear_unscannable_whatever_was_sent(tmp_path: Path) -> None:
    """Hashes of all kinds; a match stays a match."""
    place = Place(tmp_path / "data")
    with place.open() as store:
        old = datetime.now(UTC) - timedelta(days=2)
        create_bank(store, "OLD", max_age_seconds=60, clock=lambda: old)
        values = [HashValue(HashKind.PDQ, KNOWN), HashValue(HashKind.MD5, KNOWN_MD5)]
        import_hashes(store, "OLD", values, clock=lambda: old)
        create_bank(store, "KEEP", kind=Kind.ALLOWING)
    with calling(place) as caller:
        key = caller.all_scopes
        for item in ({"pdq": secrets.token_hex(32)}, {"md5": secrets.token_hex(16)}):
            row = ask(caller, key, **item)
            assert (row["verdict"], row["reasons"]) == ("unscannable", ["stale_list"])
        assert ask(caller, key, md5=KNOWN_MD5.hex())["verdict"] == "match"
        assert [one["stale"] for one in caller.ask("GET", "/v1/lists", key=key).json()["banks"]] == [False, True]


def test_how_much_a_key_may_ask_and_what_raises_an_alarm_are_settings(tmp_path: Path) -> None:
    """A key without a limit of its own has that of the service; each of the two counts has its own threshold."""
    place = Place(tmp_path / "data")
    with place.open() as store:
        create_bank(store, "LIST")
        import_hashes(store, "LIST", [HashValue(HashKind.PDQ, KNOWN)])
    alarms: list[tuple[int, int]] = []
    serve = ServeSettings(key_per_minute=8, alarm_near_per_hour=3, alarm_rim_per_hour=1)
    with calling(place, on_alarm=lambda *told: alarms.append(told), serve=serve) as caller:
        for bits, times, key in ((1, 3, caller.key(Scope.MATCH)), (30, 1, caller.key(Scope.MATCH))):
            for _ in range(times):
                ask(caller, key, pdq=near(KNOWN, bits).hex())
            caller.services.counter.flush()
            assert alarms == []
            ask(caller, key, pdq=near(KNOWN, bits).hex())
            caller.services.counter.flush()
            assert alarms == [(caller.number(key), times + 1)]
            alarms.clear()
        key = caller.key(Scope.MATCH)
        asked = [caller.ask("GET", "/v1/lists", key=key).status_code for _ in range(9)]
        assert asked == [200] * 8 + [429]


def test_with_no_blocking_bank_every_look_up_is_503(tmp_path: Path) -> None:
    """Nothing was compared, so nothing is clear; only the specimen is caught."""
    with calling(Place(tmp_path / "data")) as caller:
        key = caller.all_scopes
        for item in ({"pdq": KNOWN.hex()}, {"md5": KNOWN_MD5.hex()}):
            answer = caller.ask("POST", "/v1/match/hashes", key=key, json={"items": [item]})
            assert (answer.status_code, answer.json()["code"]) == (503, "nothing_to_compare")
        assert not list_jobs(caller.services.store)
        body, kind = specimen.picture(), {"content-type": "image/png"}
        answer = caller.ask("POST", "/v1/match", key=key, content=body, headers=kind)
        assert answer.json()["results"][0]["specimen"]

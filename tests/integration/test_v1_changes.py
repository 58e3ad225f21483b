"""The native API's changes of banks and entries, and banking files by sending them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image
from tests.integration.v1_caller import Caller, calling
from tests.integration.video_clips import clip
from tests.stores import Place

from rempart.people import Scope
from rempart.store.service_tables import audit_log
from rempart.store.tables import HashKind

PDQ = "f00f" * 16
FOR_GOOD = "9999-01-01T00:00:00Z"


@pytest.fixture
def caller(stores: Place) -> Iterator[Caller]:
    """A service with a bank LIST that holds one PDQ hash, on each kind of database."""
    with calling(stores) as caller:
        bank(caller, "LIST", {"pdq": PDQ, "note": "first"})
        yield caller


def bank(caller: Caller, name: str, *items: dict[str, Any]) -> list[int]:
    """Make a bank of these contents; their entries."""
    key = caller.all_scopes
    assert caller.ask("POST", "/v1/banks", key=key, json={"name": name}).status_code == 201
    if not items:
        return []
    added = caller.ask("POST", f"/v1/banks/{name}/entries", key=key, json={"items": items})
    return [row["entry"] for row in added.json()["results"]]


def patch(caller: Caller, path: str, *, key: str = "", **changes: object) -> Any:  # noqa: ANN401 -- a decoded answer
    """What a change is answered, which must be done."""
    answer = caller.ask("PATCH", f"/v1/banks/{path}", key=key or caller.all_scopes, json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(caller: Caller, path: str, body: object, **more: Any) -> tuple[int, str]:  # noqa: ANN401 -- as httpx takes them
    """Status and code of a change that must not be done."""
    answer = caller.ask("PATCH", f"/v1/banks/{path}", key=more.pop("key", caller.all_scopes), json=body, **more)
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()["code"]


def matched(caller: Caller, pdq: str = PDQ) -> list[tuple[str, int]]:
    """Bank and entry of each match; what cannot match anything is none."""
    answer = caller.ask("POST", "/v1/match/hashes", key=caller.all_scopes, json={"items": [{"pdq": pdq}]})
    if answer.status_code == 503:
        assert answer.json()["code"] == "nothing_to_compare"
        return []
    return [(match["bank"], match["entry"]) for match in answer.json()["results"][0]["matches"]]


def acts(caller: Caller, act: str) -> list[str]:
    """Who did this, as the audit has it."""
    with caller.services.store.read() as connection:
        rows = connection.execute(audit_log.select().where(audit_log.c.act == act).order_by(audit_log.c.sequence))
        return [row.actor for row in rows]


def test_a_bank_gets_another_name_and_keeps_what_it_holds(caller: Caller) -> None:
    """Everything that is not named stays as it is; the act is recorded with whose key did it."""
    key = caller.key(Scope.CURATE)
    before = caller.ask("GET", "/v1/banks/LIST", key=key).json()
    after = patch(caller, "LIST", key=key, name="KNOWN", max_age_seconds=3600, quality_floor=60)
    assert after == before | {"name": "KNOWN", "max_age_seconds": 3600, "quality_floor": 60, "hashes": after["hashes"]}
    assert caller.ask("GET", "/v1/banks/LIST", key=key).status_code == 404
    assert matched(caller) == [("KNOWN", 1)]
    assert patch(caller, "KNOWN", key=key, max_age_seconds=None)["max_age_seconds"] is None
    assert patch(caller, "KNOWN", key=key)["name"] == "KNOWN"
    assert acts(caller, "bank_changed") == [f"key:{caller.number(key)}"] * 2


def test_a_bank_that_is_switched_off_matches_nothing_until_it_is_on_again(caller: Caller) -> None:
    """At once, in the process that was asked."""
    assert matched(caller) == [("LIST", 1)]
    assert patch(caller, "LIST", enabled_ratio=0)["enabled_ratio"] == 0
    assert matched(caller) == []
    patch(caller, "LIST", enabled_ratio=1)
    assert matched(caller) == [("LIST", 1)]


def test_a_bank_is_not_changed_to_what_it_cannot_be(caller: Caller) -> None:
    """Nor by who may not use it; nothing is changed then."""
    bank(caller, "OTHER")
    before = caller.ask("GET", "/v1/banks/LIST", key=caller.all_scopes).json()
    assert refusal(caller, "LIST", {"name": "OTHER"}) == (409, "conflict")
    for wrong in (
        {"name": "lower case"},
        {"enabled_ratio": 7},
        {"enabled_ratio": None},
        {"radius": 40},
        {"quality_floor": 101},
        {"max_age_seconds": 0},
        {"turned": 1},
        {"harm": "other"},
        [],
    ):
        assert refusal(caller, "LIST", wrong) == (400, "invalid"), wrong
    assert refusal(caller, "NONE", {"turned": True}) == (404, "not_found")
    limited = caller.key(Scope.CURATE, banks=["OTHER"])
    assert refusal(caller, "LIST", {"turned": True}, key=limited) == (404, "not_found")
    assert caller.ask("GET", "/v1/banks/LIST", key=caller.all_scopes).json() == before
    assert patch(caller, "LIST", radius=40, allow_slow=True)["slow"]


def test_an_entry_is_switched_off_for_a_time_or_for_good_and_on_again(caller: Caller) -> None:
    """And keeps its hashes; whoever lists the bank sees it."""
    key = caller.key(Scope.CURATE)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    row = patch(caller, "LIST/entries/1", key=key, disabled_until=soon.isoformat())
    assert datetime.fromisoformat(row["disabled_until"]) == soon
    assert (row["entry"], row["note"], row["hashes"]) == (1, "first", {"pdq": 1})
    assert matched(caller) == []
    assert caller.ask("GET", "/v1/banks/LIST/entries", key=key).json()["items"] == [row]
    assert patch(caller, "LIST/entries/1", key=key, disabled_until=FOR_GOOD)["disabled_until"] == FOR_GOOD
    assert matched(caller) == []
    assert patch(caller, "LIST/entries/1", key=key, disabled_until=None)["disabled_until"] is None
    assert matched(caller) == [("LIST", 1)]
    assert acts(caller, "entry_changed") == [f"key:{caller.number(key)}"] * 3


def test_the_note_of_an_entry_is_changed_and_cleared(caller: Caller) -> None:
    """Without touching whether it takes part; the words are not repeated in the audit."""
    patch(caller, "LIST/entries/1", disabled_until=FOR_GOOD)
    row = patch(caller, "LIST/entries/1", note="a second remark")
    assert (row["note"], row["disabled_until"]) == ("a second remark", FOR_GOOD)
    assert patch(caller, "LIST/entries/1", note=None)["note"] is None
    with caller.services.store.read() as connection:
        assert "remark" not in str(connection.execute(audit_log.select()).all())


def test_an_entry_is_changed_in_its_own_bank_only_and_to_what_it_can_be(caller: Caller) -> None:
    """404 for another bank, 400 for a moment that is too far ahead."""
    [other] = bank(caller, "OTHER", {"md5": "0a" * 16})
    assert refusal(caller, f"LIST/entries/{other}", {"note": "x"}) == (404, "not_found")
    assert refusal(caller, "LIST/entries/999", {"note": "x"}) == (404, "not_found")
    assert refusal(caller, "NONE/entries/1", {"note": "x"}) == (404, "not_found")
    limited = caller.key(Scope.CURATE, banks=["OTHER"])
    assert refusal(caller, "LIST/entries/1", {"note": "x"}, key=limited) == (404, "not_found")
    late = (datetime.now(UTC) + timedelta(days=365 * 6)).isoformat()
    for wrong in (
        {"disabled_until": late},
        {"disabled_until": "2030-01-01T00:00:00"},
        {"disabled_until": 1},
        {"note": "a\x00b"},
        {"note": "x" * 1001},
        {"hashes": []},
    ):
        assert refusal(caller, "LIST/entries/1", wrong) == (400, "invalid"), wrong
    assert matched(caller) == [("LIST", 1)]


def test_a_change_that_is_sent_again_is_answered_as_the_first_time(caller: Caller) -> None:
    """Also when another one was made meanwhile."""
    headers = {"idempotency-key": "one"}
    ask: dict[str, Any] = {"key": caller.all_scopes, "headers": headers}
    for path, body in (("LIST", {"turned": True}), ("LIST/entries/1", {"note": "a"})):
        headers["idempotency-key"] = path
        first = caller.ask("PATCH", f"/v1/banks/{path}", json=body, **ask)
        patch(caller, path, **({"turned": False} if path == "LIST" else {"note": "b"}))
        again = caller.ask("PATCH", f"/v1/banks/{path}", json=body, **ask)
        assert (again.status_code, again.json()) == (first.status_code, first.json()) == (200, first.json())
        assert "idempotency-replayed" in again.headers
        assert refusal(caller, path, {}, headers=headers) == (409, "idempotency_conflict")
    assert caller.ask("GET", "/v1/banks/LIST", key=caller.all_scopes).json()["turned"] is False


def test_files_are_banked_by_sending_them_and_match_from_then_on(
    tmp_path_factory: pytest.TempPathFactory,
    lighthouse: Callable[..., Image.Image],
    saved: Callable[..., bytes],
) -> None:
    """An entry each; what is banked already is the same entry, what cannot be read is none, and says why."""
    first, second = (saved(lighthouse(seed=seed), "JPEG") for seed in (1, 2))
    flat, text = saved(Image.new("RGB", (64, 64), "navy"), "PNG"), b"no picture"
    with calling(Place(tmp_path_factory.mktemp("pictures") / "data")) as caller:
        bank(caller, "LIST")
        key = caller.key(Scope.CURATE)
        path = "/v1/banks/LIST/pictures"
        raw: dict[str, Any] = {"key": key, "content": first, "headers": {"content-type": "image/jpeg"}}
        one = caller.ask("POST", f"{path}?note=reviewed", **raw)
        assert one.status_code == 200, one.text
        [row] = one.json()["results"]
        assert (row["status"], row["entry"], row["new"], row["hashes_added"], row["name"]) == (
            "hashed",
            1,
            True,
            5,
            None,
        )
        assert row["hashes"] == {"pdq": 2, "md5": 1, "sha1": 1, "sha256": 1}
        files = dict(zip("abcd", (first, second, flat, text), strict=True))
        many = caller.ask("POST", path, key=key, files=files).json()
        assert (many["given"], many["banked"], many["unscannable"]) == (4, 3, 1)
        rows = [(row["name"], row["status"], row["reason"], row["entry"], row["new"]) for row in many["results"]]
        assert rows[0] == ("a", "hashed", None, 1, False)
        assert rows[1] == ("b", "hashed", None, 2, True)
        assert rows[2] == ("c", "hashed", None, 3, True)
        assert rows[3][1::2] == ("unscannable", None)
        assert rows[3][2]
        assert many["results"][2]["hashes"] == {"md5": 1, "sha1": 1, "sha256": 1}
        listed = caller.ask("GET", "/v1/banks/LIST/entries", key=key).json()["items"]
        assert [(row["entry"], row["note"]) for row in listed] == [(1, "reviewed"), (2, None), (3, None)]
        asked = caller.ask("POST", "/v1/match", key=caller.all_scopes, files=files).json()["results"]
        assert [row["verdict"] for row in asked] == ["match", "match", "match", "unscannable"]
        assert acts(caller, "entries_added") == [f"key:{caller.number(key)}"] * 2


def test_a_file_that_is_sent_again_is_banked_once_and_a_bank_that_is_not_there_takes_none(
    tmp_path_factory: pytest.TempPathFactory,
    lighthouse: Callable[..., Image.Image],
    saved: Callable[..., bytes],
) -> None:
    """The name of a request belongs to its files and its note."""
    first, second = (saved(lighthouse(seed=seed), "JPEG") for seed in (1, 2))
    with calling(Place(tmp_path_factory.mktemp("pictures") / "data")) as caller:
        bank(caller, "LIST")
        named = {"content-type": "image/jpeg", "idempotency-key": "one"}

        def send(content: bytes, query: str = "") -> Any:  # noqa: ANN401 -- httpx.Response
            path = f"/v1/banks/LIST/pictures{query}"
            return caller.ask("POST", path, key=caller.all_scopes, content=content, headers=named)

        done = send(first)
        again = send(first)
        assert (again.status_code, again.json()) == (200, done.json())
        assert again.headers["idempotency-replayed"] == "true"
        for other in (send(second), send(first, "?note=x")):
            assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        gone = caller.ask("POST", "/v1/banks/NONE/pictures", key=caller.all_scopes, content=first, headers=named)
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
        limited = caller.key(Scope.CURATE, banks=["LIST"])
        bank(caller, "OTHER")
        hidden = caller.ask("POST", "/v1/banks/OTHER/pictures", key=limited, content=first, headers=named)
        assert (hidden.status_code, hidden.json()["code"]) == (404, "not_found")
        assert len(caller.ask("GET", "/v1/banks/LIST/entries", key=caller.all_scopes).json()["items"]) == 1


def test_a_video_is_banked_densely_so_that_a_cut_of_it_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As by `rempart bank add`: ten frames a second, where look-ups take one."""
    content = clip(seconds=3)
    with calling(Place(tmp_path_factory.mktemp("video") / "data")) as caller:
        bank(caller, "LIST")
        raw: dict[str, Any] = {"key": caller.all_scopes, "content": content, "headers": {"content-type": "video/mp4"}}
        [row] = caller.ask("POST", "/v1/banks/LIST/pictures", **raw).json()["results"]
        assert (row["status"], row["entry"]) == ("hashed", 1)
        assert row["hashes"][HashKind.VPDQ] > 3 * 2
        [asked] = caller.ask("POST", "/v1/match", **raw).json()["results"]
        assert asked["verdict"] == "match"

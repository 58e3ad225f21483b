"""The native API's writes: banks, entries, jobs and keys, once each however often they are sent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Connection
from tests.integration.v1_caller import Caller, calling
from tests.stores import Place

from rempart.errors import StoreError
from rempart.jobs import enqueue
from rempart.lists import stored_banks
from rempart.lists.live import LiveBanks
from rempart.people import Scope
from rempart.store.service_tables import audit_log, idempotency
from rempart.web.v1.banks import BankRow


class Nothing(msgspec.Struct):
    """A payload."""


@pytest.fixture
def caller(stores: Place) -> Iterator[Caller]:
    """A service without banks, on each kind of database."""
    with calling(stores) as caller:
        yield caller


def acts(caller: Caller) -> list[tuple[str, str]]:
    """Who did what, as the audit has it."""
    with caller.services.store.read() as connection:
        rows = connection.execute(audit_log.select().order_by(audit_log.c.sequence))
        return [(row.actor, row.act) for row in rows]


def send(caller: Caller, path: str, body: dict[str, Any] | None, token: str, method: str = "POST") -> httpx.Response:
    """One write under an idempotency key."""
    headers = {"idempotency-key": token}
    more = {} if body is None else {"json": body}
    return caller.ask(method, path, key=caller.all_scopes, headers=headers, **more)


def test_a_bank_is_made_filled_matched_emptied_and_deleted(caller: Caller) -> None:
    """Each change acts in the process that answered as soon as it has; the audit names the key."""
    key, value = caller.all_scopes, secrets.token_hex(32)
    actor = f"key:{caller.number(key)}"
    made = caller.ask("POST", "/v1/banks", key=key, json={"name": "LIST", "harm": "other", "max_age_seconds": 3600})
    assert (made.status_code, made.json()["harm"]) == (201, "other")
    items = [{"pdq": value, "quality": 90, "note": "first"}, {"md5": "0a" * 16}]
    added = caller.ask("POST", "/v1/banks/LIST/entries", key=key, json={"items": items})
    assert added.status_code == 201
    first, second = (row["entry"] for row in added.json()["results"])

    def verdict() -> str:
        answer = caller.ask("POST", "/v1/match/hashes", key=key, json={"items": [{"pdq": value, "md5": "0b" * 16}]})
        return answer.json()["results"][0]["verdict"]

    assert verdict() == "match"
    removed = caller.ask("DELETE", f"/v1/banks/LIST/entries/{first}", key=key)
    assert removed.json() == {"removed": 1}
    assert verdict() == "clear"
    gone = caller.ask("POST", "/v1/banks/LIST/entries/remove", key=key, json={"entries": [first, second]})
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    left = caller.ask("GET", "/v1/banks/LIST/entries", key=key).json()["items"]
    assert [row["entry"] for row in left] == [second]
    assert caller.ask("DELETE", "/v1/banks/LIST", key=key).status_code == 200
    assert caller.ask("GET", "/v1/banks/LIST", key=key).status_code == 404
    done = [act for who, act in acts(caller) if who == actor]
    assert done == ["bank_created", "entries_added", "entries_removed", "bank_deleted"]


def test_a_bank_tells_its_settings_and_what_can_be_compared_and_nothing_is_counted_for_it(caller: Caller) -> None:
    """Counting ten million hashes takes many seconds, and whoever has a key could ask for it again and again."""
    key, asked = caller.all_scopes, []
    made = caller.ask("POST", "/v1/banks", key=key, json={"name": "LIST", "quality_floor": 50}).json()
    items = [{"pdq": secrets.token_hex(32), "quality": quality} for quality in (10, 90)]
    caller.ask("POST", "/v1/banks/LIST/entries", key=key, json={"items": [*items, {"md5": "0a" * 16}]})

    def note(*told: Any) -> None:  # noqa: ANN401 -- as SQLAlchemy calls it
        asked.append(told[2])

    engine = caller.services.store._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        [row] = caller.ask("GET", "/v1/banks", key=key).json()["items"]
        assert caller.ask("GET", "/v1/banks/LIST", key=key).json() == row
    finally:
        event.remove(engine, "before_cursor_execute", note)
    loading = replace(caller.services, live=LiveBanks(caller.services.store))
    assert BankRow.of(stored_banks(loading.store)[0], loading).hashes is None
    assert row == made | {"refreshed_at": row["refreshed_at"], "hashes": row["hashes"]}
    assert row["hashes"] == {"pdq": 1, "vpdq": 0, "md5": 1, "sha1": 0, "sha256": 0}
    assert made["hashes"] == dict.fromkeys(row["hashes"], 0)
    assert row["enabled_ratio"] == 1
    assert [statement for statement in asked if "FROM banks" in statement]
    assert not [statement for statement in asked if "count(" in statement]


def test_a_write_that_is_sent_again_is_answered_as_the_first_time_and_not_done_again(caller: Caller) -> None:
    """Even when what it made is gone by then; another request under the same key is refused."""
    first = send(caller, "/v1/banks", {"name": "LIST"}, "one")
    assert send(caller, "/v1/banks/LIST", None, "two", "DELETE").status_code == 200
    again = send(caller, "/v1/banks", {"name": "LIST"}, "one")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert caller.ask("GET", "/v1/banks", key=caller.all_scopes).json()["items"] == []
    other = send(caller, "/v1/banks", {"name": "OTHER"}, "one")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    # The name of another key's request is another name.
    headers = {"idempotency-key": "one"}
    key = caller.key(Scope.CURATE)
    assert caller.ask("POST", "/v1/banks", key=key, json={"name": "OTHER"}, headers=headers).status_code == 201


def test_a_write_that_failed_can_be_sent_again(caller: Caller) -> None:
    """Nothing is noted of what was not done."""
    body = {"items": [{"md5": "0a" * 16}]}
    assert send(caller, "/v1/banks/LIST/entries", body, "one").status_code == 404
    assert send(caller, "/v1/banks", {"name": "LIST"}, "two").status_code == 201
    assert send(caller, "/v1/banks/LIST/entries", body, "one").status_code == 201


def test_one_write_sent_many_times_at_once_is_done_once(caller: Caller) -> None:
    """The others wait for its answer, and get the same."""
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: send(caller, "/v1/banks", {"name": "LIST"}, "one"), range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 5
    assert [act for _, act in acts(caller)].count("bank_created") == 1


def test_what_is_broken_off_before_the_commit_is_done_when_it_is_sent_again(caller: Caller) -> None:
    """The act, its record and the answer are kept together, so that there is no state of which nobody knows."""
    engine = caller.services.store._engine

    def break_off(connection: Connection) -> None:
        if connection.execute(select(idempotency.c.token)).first() is not None:
            raise StoreError("the process has died")

    event.listen(engine, "commit", break_off)
    try:
        assert send(caller, "/v1/banks", {"name": "LIST"}, "one").status_code == 503
    finally:
        event.remove(engine, "commit", break_off)
    assert "bank_created" not in [act for _, act in acts(caller)]
    done = send(caller, "/v1/banks", {"name": "LIST"}, "one")
    assert (done.status_code, done.headers.get("idempotency-replayed")) == (201, None)
    assert [act for _, act in acts(caller)].count("bank_created") == 1


def test_a_name_of_a_request_that_is_a_day_old_is_forgotten(caller: Caller) -> None:
    """Then the request is a new one."""
    assert send(caller, "/v1/banks", {"name": "LIST"}, "one").status_code == 201
    with caller.services.store.write() as connection:
        connection.execute(idempotency.update().values(created_at=datetime.now(UTC) - timedelta(days=2)))
    again = send(caller, "/v1/banks", {"name": "LIST"}, "one")
    assert (again.status_code, again.json()["detail"]) == (409, "There is a bank of this name already.")


def test_pages_together_hold_everything_once_whatever_is_removed_meanwhile(caller: Caller) -> None:
    """A cursor stands behind an item, not at a place."""
    key = caller.all_scopes
    caller.ask("POST", "/v1/banks", key=key, json={"name": "LIST"})
    items = [{"md5": secrets.token_hex(16)} for _ in range(7)]
    added = caller.ask("POST", "/v1/banks/LIST/entries", key=key, json={"items": items}).json()["results"]
    numbers = [row["entry"] for row in added]
    seen, cursor = [], ""
    while True:
        page = caller.ask("GET", f"/v1/banks/LIST/entries?limit=3{cursor}", key=key).json()
        seen += [row["entry"] for row in page["items"]]
        if page["next"] is None:
            break
        caller.ask("DELETE", f"/v1/banks/LIST/entries/{seen[-1]}", key=key)
        cursor = f"&cursor={page['next']}"
    assert seen == numbers
    for cursor in ("%00", "x", "zzzz", "w7w", "%C3%A9"):
        answer = caller.ask("GET", f"/v1/banks/LIST/entries?cursor={cursor}", key=key)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_a_key_is_made_with_no_more_power_than_its_giver_and_revoked(caller: Caller) -> None:
    """Its secret is told once: not even the same request again tells it."""
    body = {"name": "made-here", "scopes": ["match"]}
    made = send(caller, "/v1/keys", body, "one")
    assert made.status_code == 201
    secret, number = made.json()["key"], made.json()["id"]
    assert caller.ask("GET", "/v1/lists", key=secret).status_code == 200
    again = send(caller, "/v1/keys", body, "one").json()
    assert again == made.json() | {"key": None}
    with caller.services.store.read() as connection:
        assert secret.encode() not in b"".join(
            connection.execute(idempotency.select()).mappings().one()["body"] for _ in "x"
        )
    taken = caller.ask("POST", "/v1/keys", key=caller.all_scopes, json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    weak = caller.key(Scope.ADMIN)
    more = caller.ask("POST", "/v1/keys", key=weak, json={"name": "stronger", "scopes": ["match"]})
    assert (more.status_code, more.json()["code"]) == (400, "invalid")
    listed = caller.ask("GET", "/v1/keys?limit=1000", key=weak).text
    assert "made-here" in listed
    assert "rk_" not in listed
    assert not caller.ask("DELETE", f"/v1/keys/{number}", key=weak).json()["active"]
    assert caller.ask("DELETE", "/v1/keys/999999", key=weak).status_code == 404


def test_jobs_are_listed_cancelled_once_and_shown(caller: Caller) -> None:
    """Without what they are about."""
    store, key = caller.services.store, caller.all_scopes
    with store.write() as connection:
        numbers = [enqueue(connection, "nothing", Nothing()) for _ in range(3)]
    page = caller.ask("GET", "/v1/jobs?kind=nothing&limit=2&state=waiting", key=key).json()
    assert [row["id"] for row in page["items"]] == numbers[:0:-1]
    rest = caller.ask("GET", f"/v1/jobs?kind=nothing&limit=2&cursor={page['next']}", key=key).json()
    assert ([row["id"] for row in rest["items"]], rest["next"]) == (numbers[:1], None)
    path = f"/v1/jobs/{numbers[0]}"
    assert caller.ask("POST", f"{path}/cancel", key=key).json()["state"] == "cancelled"
    again = caller.ask("POST", f"{path}/cancel", key=key)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert caller.ask("POST", f"{path}/retry", key=key).status_code == 409
    assert caller.ask("GET", path, key=key).json()["state"] == "cancelled"
    assert caller.ask("GET", "/v1/jobs/999999", key=key).status_code == 404
    assert caller.ask("GET", "/v1/schedules", key=key).json() == {"items": []}


def test_a_limited_key_changes_its_own_banks_only(caller: Caller) -> None:
    """And makes none, for it could not use them."""
    for name in ("MINE", "OTHER"):
        caller.ask("POST", "/v1/banks", key=caller.all_scopes, json={"name": name})
    key = caller.key(Scope.CURATE, banks=["MINE"])
    body = {"items": [{"md5": "0a" * 16}]}
    assert caller.ask("POST", "/v1/banks/MINE/entries", key=key, json=body).status_code == 201
    assert caller.ask("POST", "/v1/banks/OTHER/entries", key=key, json=body).status_code == 404
    assert caller.ask("POST", "/v1/banks", key=key, json={"name": "NEW"}).json()["code"] == "forbidden"


def test_what_cannot_be_banked_is_refused_whole(caller: Caller) -> None:
    """400, and nothing of it is banked."""
    key = caller.all_scopes
    caller.ask("POST", "/v1/banks", key=key, json={"name": "LIST"})
    known = {"md5": "0a" * 16}
    parts: list[object] = [
        [{"pdq": "00" * 32}],
        [known | {"note": "a\x00b"}],
        [known, {"note": "nothing"}],
        [known, {"pdq": "0" * 63 + "\n"}],
        [],
        None,
    ]
    for body in (*({"items": part} for part in parts), [], None):
        assert caller.ask("POST", "/v1/banks/LIST/entries", key=key, json=body).status_code == 400, body
    assert caller.ask("GET", "/v1/banks/LIST/entries", key=key).json()["items"] == []

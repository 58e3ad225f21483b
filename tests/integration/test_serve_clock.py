"""The service while its machine's clock is set forward and back: nobody gets in, or more, or is locked out by it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from tests.stores import Place

from rempart import audit
from rempart.lists import Content, HashValue, add_contents, change_entry, create_bank
from rempart.people import Scope, create_key
from rempart.settings import MediaSettings, PromptSettings, Settings
from rempart.store.tables import HashKind
from rempart.web.app import create_app
from rempart.web.running import running_services
from rempart.web.services import Services

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Hands:
    """A clock that runs as time does, and can be set."""

    def __init__(self) -> None:
        self.off = timedelta()

    def __call__(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self.off


class Platform:
    """Asks a service whose clock it sets."""

    def __init__(self, services: Services, client: TestClient[Any], hands: Hands) -> None:
        self.services = services
        self.hands = hands
        self._client = client
        self.key = self.made(*Scope)

    def made(self, *scopes: Scope, **limits: Any) -> str:  # noqa: ANN401 -- as create_key takes them
        """The secret of a new key."""
        name = f"key-{secrets.token_hex(4)}"
        return create_key(self.services.store, name, scopes, clock=self.services.clock, **limits)[1]

    def ask(self, method: str, path: str, *, key: str = "", **more: Any) -> httpx.Response:  # noqa: ANN401 -- as httpx takes them
        """One request."""
        headers = {"authorization": f"Bearer {key or self.key}"} | more.pop("headers", {})
        return self._client.request(method, path, headers=headers, **more)

    def verdict(self, md5: str) -> tuple[str, list[str]]:
        """What is said of a digest."""
        [row] = self.ask("POST", "/v1/match/hashes", json={"items": [{"md5": md5}]}).json()["results"]
        return row["verdict"], row["reasons"]


@pytest.fixture
def platform(stores: Place) -> Iterator[Platform]:
    """A service on each kind of database, with a bank that must be refreshed every hour."""
    hands = Hands()
    settings = Settings(
        data_dir=str(stores.folder),
        store=stores.settings,
        prompts=PromptSettings(packs="canary"),
        media=MediaSettings(workers=1),
    )
    with stores.open() as store:
        create_bank(store, "FRESH", max_age_seconds=3600, clock=hands)
        digests = (bytes(16), secrets.token_bytes(16))
        add_contents(store, "FRESH", [Content((HashValue(HashKind.MD5, one),)) for one in digests], clock=hands)
    with running_services(settings, clock=hands) as services, TestClient(create_app(services)) as client:
        until(lambda: services.live.ready)
        yield Platform(services, client, hands)
        assert list(audit.verify(services.store)) == []


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what must come to pass."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_key_ends_by_the_clock_and_by_nothing_else(platform: Platform) -> None:
    """Also when the clock passes its end by a jump; one that was revoked stays so whatever the clock says."""
    expiring = platform.made(Scope.MATCH, expires_at=platform.hands() + HOUR)
    revoked = platform.made(Scope.MATCH)
    number = platform.ask("GET", "/v1/keys").json()["items"][-1]["id"]
    assert platform.ask("GET", "/v1/lists", key=expiring).status_code == 200
    assert platform.ask("DELETE", f"/v1/keys/{number}").status_code == 200
    for off, status in ((2 * HOUR, 401), (-DAY, 200), (365 * DAY, 401), (timedelta(), 200)):
        platform.hands.off = off
        assert platform.ask("GET", "/v1/lists", key=expiring).status_code == status
        until(lambda: platform.ask("GET", "/v1/lists", key=revoked).status_code == 401, 5)


def test_a_jump_gives_a_key_one_bucket_at_the_most_and_locks_it_out_for_no_longer_than_that(platform: Platform) -> None:
    """A year ahead is not a year's worth of requests; a year back is not a year of waiting."""
    frugal = platform.made(Scope.MATCH, per_minute=180)

    def answered(times: int) -> int:
        return sum(platform.ask("GET", "/v1/lists", key=frugal).status_code == 200 for _ in range(times))

    begun = time.monotonic()
    assert 180 <= answered(240) <= 180 + 3 * (time.monotonic() - begun) + 6
    for off in (365 * DAY, -365 * DAY, timedelta()):
        platform.hands.off = off
        until(lambda: answered(1) == 1, 10)
        begun = time.monotonic()
        assert answered(240) <= 180 + 3 * (time.monotonic() - begun) + 6


def test_lists_grow_old_by_the_clock_and_entries_come_back_by_it(platform: Platform) -> None:
    """What was called stale is fresh again when the clock was wrong; nothing is called clear meanwhile."""
    banked, unknown = "00" * 16, "0f" * 16
    assert platform.verdict(unknown) == ("clear", [])
    platform.hands.off = 2 * HOUR
    assert platform.verdict(unknown) == ("unscannable", ["stale_list"])
    assert platform.verdict(banked)[0] == "match"
    platform.hands.off = -2 * HOUR
    assert platform.verdict(unknown) == ("clear", [])
    platform.hands.off = timedelta()
    entry, _ = platform.ask("GET", "/v1/banks/FRESH/entries").json()["items"]
    moment = platform.hands() + HOUR / 2
    change_entry(platform.services.store, "FRESH", entry["entry"], disabled_until=moment, clock=platform.hands)
    for off, outcome in ((timedelta(), "clear"), (HOUR * 0.9, "match"), (-DAY, "clear"), (HOUR * 0.9, "match")):
        platform.hands.off = off
        until(lambda outcome=outcome: platform.verdict(banked)[0] == outcome, 5)  # type: ignore[misc]


def test_a_write_that_is_sent_again_is_not_done_twice_when_the_clock_was_set_back(platform: Platform) -> None:
    """The answer to the first one is given for a day, by whichever clock."""
    named = {"idempotency-key": "once"}

    def make() -> tuple[int, bool]:
        answer = platform.ask("POST", "/v1/banks", json={"name": "MADE_ONCE"}, headers=named)
        return answer.status_code, "idempotency-replayed" in answer.headers

    assert make() == (201, False)
    for off in (-DAY, HOUR, -365 * DAY, 0.9 * DAY):
        platform.hands.off = off
        assert make() == (201, True)
    platform.hands.off = 2 * DAY
    assert make() == (409, False)  # done anew, and there is such a bank

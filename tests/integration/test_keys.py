from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select, update
from tests.stores import Place

from rempart.audit import Act
from rempart.errors import BankError, StoreError, UsageError
from rempart.lists import create_bank, delete_bank
from rempart.people import Key, KeyRing, Scope, create_key, get_key, list_keys, revoke_key
from rempart.people.ring import MOST_UNKNOWN
from rempart.store import Store
from rempart.store.service_tables import audit_log, keys

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Calendar:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The moment that the test has set."""
        return self.now


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Store]:
    """A database in SQLite, for what does not depend on the kind."""
    with Place(tmp_path / "data").open() as opened:
        yield opened


@contextmanager
def reads(store: Store) -> Iterator[list[str]]:
    """The statements about keys that are run meanwhile."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: object) -> None:  # noqa: ANN401
        if "FROM keys" in statement:
            seen.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store._engine, "before_cursor_execute", note)


def acts(store: Store) -> list[tuple[str, str, str]]:
    """Who did what to which key."""
    with store.read() as connection:
        rows = connection.execute(select(audit_log).order_by(audit_log.c.sequence)).all()
    return [(row.actor, row.act, row.subject) for row in rows if row.act.startswith("key_")]


def test_a_key_is_found_by_its_secret_and_by_nothing_else(store: Store) -> None:
    """With everything that it may do."""
    create_bank(store, "A")
    key, secret = create_key(store, "one", [Scope.MATCH, Scope.SCREEN], banks=["A"], per_minute=60)
    other, _ = create_key(store, "two", [Scope.ADMIN])
    ring = KeyRing(store)
    assert ring.find(secret) == key
    assert (key.scopes, key.per_minute, key.actor) == ({Scope.MATCH, Scope.SCREEN}, 60, f"key:{key.id}")
    assert key.banks is not None
    assert key.may_use(min(key.banks))
    assert not key.may_use(min(key.banks) + 1)
    assert other.banks is None
    assert other.may_use(99)
    for wrong in ("", secret[:-1], secret + "A", secret.swapcase(), secret[:-1] + "é", "rk_" + "A" * 43, "x" * 10**6):
        assert ring.find(wrong) is None


def test_the_secret_is_nowhere_in_the_database(store: Store, stores: Place) -> None:
    """Only its SHA-256 is; and of 256 random bits nobody finds the origin."""
    _, secret = create_key(store, "one", [Scope.MATCH])
    with store.read() as connection:
        row = connection.execute(select(keys)).one()
    assert row.digest == hashlib.sha256(secret.encode()).digest()
    if stores.dialect == "sqlite":
        content = b"".join(file.read_bytes() for file in stores.folder.iterdir() if file.is_file())
        assert secret.encode() not in content
    assert len({create_key(store, f"k{n}", [Scope.MATCH])[1] for n in range(20)}) == 20


def test_making_and_revoking_are_recorded_with_who_did_it_and_without_names(store: Store) -> None:
    """In the transaction of the act; revoking twice is one act."""
    admin, _ = create_key(store, "admin", [Scope.ADMIN, Scope.MATCH], actor="cli:ann")
    made, _ = create_key(store, "made-by-key", [Scope.MATCH], giver=admin)
    for _ in range(2):
        assert not revoke_key(store, "made-by-key", actor=admin.actor).active
    assert acts(store) == [
        ("cli:ann", Act.KEY_CREATED, f"key:{admin.id}"),
        (admin.actor, Act.KEY_CREATED, f"key:{made.id}"),
        (admin.actor, Act.KEY_REVOKED, f"key:{made.id}"),
    ]
    with store.read() as connection:
        details = " ".join(connection.execute(select(audit_log.c.details)).scalars())
    assert "made-by-key" not in details


def test_keys_are_listed_with_what_became_of_them(store: Store) -> None:
    """Revoked and expired ones stay in the list; a bank that is gone does not."""
    clock = Calendar()
    for bank in ("A", "B"):
        create_bank(store, bank)
    create_key(store, "one", [Scope.CURATE, Scope.MATCH], banks=["B", "A"], clock=clock)
    create_key(store, "two", [Scope.MATCH], expires_at=NOW + timedelta(days=1), clock=clock)
    create_key(store, "three", [Scope.MATCH], clock=clock)
    revoke_key(store, "three", clock=clock)
    clock.now += timedelta(days=1)
    delete_bank(store, "B")
    records = list_keys(store, clock=clock)
    assert [(record.name, record.active, record.banks) for record in records] == [
        ("one", True, ("A",)),
        ("two", False, None),
        ("three", False, None),
    ]
    assert records[0].scopes == (Scope.MATCH, Scope.CURATE)
    assert get_key(store, str(records[2].id), clock=clock) == records[2]
    assert records[2].revoked_at == NOW


def test_a_key_whose_banks_are_all_gone_may_use_none(local: Store) -> None:
    """The limit does not end with what it names."""
    create_bank(local, "A")
    _, secret = create_key(local, "one", [Scope.MATCH], banks=["A"])
    delete_bank(local, "A")
    create_bank(local, "B")
    found = KeyRing(local).find(secret)
    assert found is not None
    assert found.banks == frozenset()


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "12"}, "is not a number"),
    ({"name": "a b"}, "name"),
    ({"name": "a" * 64}, "name"),
    ({"name": "ünì"}, "name"),
    ({"name": "a\n"}, "name"),
    ({"scopes": []}, "at least one scope"),
    ({"per_minute": 0}, "between 1"),
    ({"per_minute": 2**31}, "between 1"),
    ({"expires_at": NOW}, "still to come"),
    ({"banks": []}, "at least one bank"),
    ({"name": "taken-9"}, "such as taken-10"),
]


def test_a_key_that_cannot_be_is_refused_and_not_recorded(store: Store) -> None:
    """Each with what to do about it."""
    create_key(store, "taken-9", [Scope.MATCH])
    revoke_key(store, "taken-9")
    before = acts(store)
    for arguments, problem in IMPOSSIBLE:
        with pytest.raises(UsageError, match=problem):
            create_key(store, **({"name": "one", "scopes": [Scope.MATCH], "clock": Calendar()} | arguments))
    assert acts(store) == before
    assert len(list_keys(store)) == 1


def test_unknown_banks_and_keys_are_refused(store: Store) -> None:
    """Nothing is made or revoked by mistake."""
    with pytest.raises(BankError, match="no bank 'A'"):
        create_key(store, "one", [Scope.MATCH], banks=["A"])
    for name in ("one", "1", "9" * 30, "é", "a\0b"):
        with pytest.raises(UsageError, match="no key"):
            revoke_key(store, name)


SCOPES = st.sets(st.sampled_from(Scope), min_size=1)
MOMENTS = st.none() | st.integers(1, 100).map(lambda days: NOW + timedelta(days=days))
LIMITS = st.none() | st.integers(1, 1000)


@given(SCOPES, SCOPES, LIMITS, LIMITS, MOMENTS, MOMENTS, st.data())
def test_a_key_hands_on_no_more_than_it_has(
    has: set[Scope],
    wants: set[Scope],
    has_limit: int | None,
    wants_limit: int | None,
    has_end: datetime | None,
    wants_end: datetime | None,
    data: st.DataObject,
) -> None:
    """Else whoever holds one could make itself a stronger one, or one that lives on."""
    from rempart.people.keys import _check_giver  # noqa: PLC0415

    banks = st.none() | st.frozensets(st.integers(1, 4), min_size=1)
    has_banks, wants_banks = data.draw(banks), data.draw(banks)
    giver = Key(id=1, name="giver", scopes=frozenset(has), banks=has_banks, per_minute=has_limit, expires_at=has_end)
    endless = datetime.max.replace(tzinfo=UTC)
    everything = frozenset(range(10))
    within = (
        Scope.ADMIN in has
        and wants <= has
        and (everything if wants_banks is None else wants_banks) <= (everything if has_banks is None else has_banks)
        and (wants_limit or 10**9) <= (has_limit or 10**9)
        and (wants_end or endless) <= (has_end or endless)
    )
    try:
        _check_giver(giver, frozenset(wants), wants_banks, wants_limit, wants_end)
    except UsageError:
        assert not within
    else:
        assert within


def test_known_keys_and_unknown_secrets_seldom_reach_the_database(local: Store) -> None:
    """Whoever tries secrets out asks memory; a new key works at once all the same."""
    _, secret = create_key(local, "one", [Scope.MATCH])
    ring = KeyRing(local)
    assert ring.known(secret) == (False, None)
    ring.find(secret)
    began = time.monotonic()
    with reads(local) as seen:
        for number in range(2000):
            assert ring.find(secret) is not None
            assert ring.find(f"rk_{number % 5:043d}") is None
        spent = time.monotonic() - began
        assert len(seen) <= 6 * (1 + spent / 0.4)  # five unknown ones and the keys, each once in half a second
        _, fresh = create_key(local, "two", [Scope.MATCH])
        assert ring.find(fresh) is not None
        assert ring.known(fresh)[0]
        seen.clear()
        began = time.monotonic()
        for number in range(5000):
            ring.find(f"rk_{number:043d}")
        assert len(seen) <= (MOST_UNKNOWN + 1) * (1 + (time.monotonic() - began) / 0.4)
        assert len(ring._unknown) <= MOST_UNKNOWN


def test_a_bank_that_is_deleted_is_taken_from_the_keys_that_are_in_memory(store: Store) -> None:
    """And so is what someone changed in the tables by hand, a little later."""
    for bank in ("A", "B"):
        create_bank(store, bank)
    key, secret = create_key(store, "one", [Scope.MATCH], banks=["A", "B"])
    ring = KeyRing(store)
    assert ring.find(secret) == key
    delete_bank(store, "B")
    ring._refresh()
    found = ring.find(secret)
    assert found is not None
    assert found.banks is not None
    assert len(found.banks) == 1
    with store.write() as connection:
        connection.execute(update(keys).values(per_minute=7))
    ring._reread_at = 0.0
    ring._refresh()
    found = ring.find(secret)
    assert found is not None
    assert found.per_minute == 7


def test_an_expired_key_ends_at_that_moment(local: Store) -> None:
    """Although memory still holds it."""
    clock = Calendar()
    _, secret = create_key(local, "one", [Scope.MATCH], expires_at=NOW + timedelta(seconds=10), clock=clock)
    ring = KeyRing(local, clock=clock)
    assert ring.find(secret) is not None
    clock.now += timedelta(seconds=10)
    assert ring.find(secret) is None
    assert KeyRing(local, clock=clock).find(secret) is None


FINDER = """
import sys, time
from pathlib import Path
from rempart.people import KeyRing
from rempart.settings import StoreSettings
from rempart.store import open_store

folder, url = sys.argv[1:]
with open_store(Path(folder), StoreSettings(url=url)) as store, KeyRing(store) as ring:
    print("ready", flush=True)
    for line in sys.stdin:
        secret = line.strip()
        print("found" if ring.find(secret) else "not found", flush=True)
        while ring.find(secret):
            time.sleep(0.002)
        print(time.time(), flush=True)
"""


def test_a_revoked_or_expired_key_is_refused_by_another_process_within_a_second(store: Store, stores: Place) -> None:
    """The best of four is below a second; the machine of the tests is shared, so the others may take longer."""
    program = [sys.executable, "-c", FINDER, str(stores.folder), stores.settings.url]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        lags = []
        for number in range(4):
            end = datetime.now(tz=UTC) + timedelta(seconds=2)
            expiring = number == 3
            _, secret = create_key(store, f"k{number}", [Scope.MATCH], expires_at=end if expiring else None)
            other.stdin.write(f"{secret}\n")
            other.stdin.flush()
            assert other.stdout.readline() == "found\n"
            if not expiring:
                revoke_key(store, f"k{number}")
            done = end.timestamp() if expiring else time.time()
            lags.append(float(other.stdout.readline()) - done)
        other.stdin.close()
    assert min(lags[:3]) < 1.0
    assert max(lags) < 5.0


def test_while_the_keys_cannot_be_read_nobody_is_let_in(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second after the last reading; and nobody queues for a database that is away."""
    _, secret = create_key(local, "one", [Scope.MATCH])
    ring = KeyRing(local)
    assert ring.find(secret) is not None

    @contextmanager
    def broken() -> Iterator[Any]:
        raise StoreError("away")
        yield

    monkeypatch.setattr(local, "read", broken)
    time.sleep(0.6)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(StoreError, match="away"):
            ring.find(secret)
    assert time.monotonic() - began < 5
    monkeypatch.undo()
    time.sleep(0.3)
    assert ring.find(secret) is not None


def test_threads_share_a_ring(local: Store) -> None:
    """Each finds its own key, also while others are made and the keys are read anew."""
    ring = KeyRing(local)
    secrets = [create_key(local, f"k{n}", [Scope.MATCH])[1] for n in range(4)]
    wrong: list[object] = []

    def ask(number: int) -> None:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            found = ring.find(secrets[number])
            if found is None or found.name != f"k{number}":
                wrong.append(found)

    with ring:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for number in range(10):
            _, secret = create_key(local, f"more{number}", [Scope.MATCH])
            assert ring.find(secret) is not None
        for thread in threads:
            thread.join()
    assert wrong == []

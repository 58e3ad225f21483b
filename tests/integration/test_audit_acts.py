"""What is recorded when people use commands and programs use functions, on both kinds of database."""

from __future__ import annotations

import getpass
import io
import multiprocessing
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import func, select, update
from tests.stores import Place

from rempart.audit import Act, export, length, local_actor, record, verify
from rempart.cli.main import run
from rempart.clock import utc_now
from rempart.errors import BankError, ExitCode, StoreError
from rempart.lists import (
    FOR_GOOD,
    Content,
    FloodWatch,
    HashValue,
    add_contents,
    change_bank,
    change_entry,
    compact_bank,
    create_bank,
    decide_quarantine,
    delete_bank,
    import_hashes,
    list_banks,
    remove_entries,
)
from rempart.lists.signal_types import set_enabled_ratio
from rempart.matching import FloodRule, Sighting
from rempart.store import Store
from rempart.store.service_tables import audit_head, audit_log
from rempart.store.tables import HashKind, QuarantineState

Command = Callable[..., list[str]]

NOTE = "Zanzibar"
"""A word that must not get into the log."""


def recorded(store: Store) -> list[tuple[str, str, str, str]]:
    """Actor, act, subject and details of every row."""
    with store.read() as connection:
        query = select(audit_log.c.actor, audit_log.c.act, audit_log.c.subject, audit_log.c.details)
        return [tuple(row) for row in connection.execute(query.order_by(audit_log.c.sequence))]


def value(number: int, kind: HashKind = HashKind.MD5) -> HashValue:
    """A hash."""
    return HashValue(kind, bytes([number]) * kind.length)


def near(entry: int, number: int) -> Sighting:
    """A picture that came near an entry, unlike those of other numbers."""
    hash_ = int.from_bytes(bytes([entry]) * 32, "big") ^ (((1 << 30) - 1) << (30 * number))
    return Sighting(entry, hash_.to_bytes(32, "big"), 31)


def quarantine(store: Store, entry: int) -> None:
    """Have five unlike pictures come near an entry."""
    watch = FloodWatch(store, FloodRule(threshold=5, window=timedelta(days=7)), actor="key:9")
    for number in range(5):
        watch.see(near(entry, number))
    assert watch.flush() == [entry]


def test_every_function_of_banks_records_who_did_what_and_nothing_that_is_confidential(stores: Place) -> None:
    """Counts, numbers and settings."""
    with stores.open() as store:
        create_bank(store, "A", radius=20, max_age_seconds=60, actor="key:3")
        pdq = [Content((value(number, HashKind.PDQ),), NOTE) for number in (1, 2)]
        add_contents(store, "A", pdq, actor="key:3")
        add_contents(store, "A", pdq, actor="key:3")  # changes nothing
        import_hashes(store, "A", [value(3), value(4), value(4)], note=NOTE, actor="key:3")
        import_hashes(store, "A", [value(3)], actor="key:3")  # confirms the bank as fresh
        change_bank(store, "A", enabled_ratio=0.25, actor="key:3")
        change_bank(store, "A", enabled_ratio=0.25, actor="key:3")  # changes nothing
        change_entry(store, "A", 3, note=NOTE + NOTE, disabled_until=FOR_GOOD, actor="key:3")
        set_enabled_ratio(store, "video_md5", 0, actor="key:3")
        quarantine(store, 2)
        decide_quarantine(store, "A", [2], QuarantineState.LIFTED, note=NOTE, actor="cli:ann")
        remove_entries(store, "A", [4, 1, 2], actor="job:7")
        compact_bank(store, "A", actor="job:7")
        compact_bank(store, "A", actor="job:7")  # changes nothing
        delete_bank(store, "A")
        rows = recorded(store)
        assert rows[0][:3] == ("key:3", "audit_started", "audit")
        settings = (
            '{"enabled_permille":1000,"harm":"csam","kind":"blocking","max_age_seconds":60,"name":"A","quality_floor":50,"radius":20,"turned":false,'
            '"video_banked_percent":80,"video_query_percent":80,"video_run_ms":5000}'
        )
        assert rows[1:12] == [
            ("key:3", "bank_created", "bank:1", settings),
            ("key:3", "entries_added", "bank:1", '{"added":2,"entries":"1-2","hashes":2}'),
            ("key:3", "hashes_imported", "bank:1", '{"added":2,"already_banked":0,"entries":"3-4","repeated":1}'),
            ("key:3", "hashes_imported", "bank:1", '{"added":0,"already_banked":1,"entries":"","repeated":0}'),
            ("key:3", "bank_changed", "bank:1", settings.replace("1000", "250")),
            (
                "key:3",
                "entry_changed",
                "entry:3",
                '{"disabled_until":"9999-01-01T00:00:00+00:00","metadata":false,"note":true}',
            ),
            ("key:3", "signal_type_changed", "signal_type:video_md5", '{"enabled_permille":0}'),
            ("key:9", "entries_quarantined", "quarantine", '{"entries":"2"}'),
            ("cli:ann", "quarantine_decided", "bank:1", '{"decision":"lifted","entries":"2"}'),
            ("job:7", "entries_removed", "bank:1", '{"entries":"1-2 4","removed":3}'),
            ("job:7", "bank_compacted", "bank:1", rows[11][3]),
        ]
        assert re.fullmatch(r'\{"changes":\d+\}', rows[11][3])
        assert rows[12:] == [(local_actor(), "bank_deleted", "bank:1", '{"entries":1,"name":"A"}')]
        assert NOTE not in str(rows)
        assert verify(store) == []


def test_an_act_that_fails_leaves_no_row_and_a_row_that_fails_leaves_no_act(stores: Place) -> None:
    """They are one transaction."""
    with stores.open() as store:
        create_bank(store, "A")
        before = recorded(store)
        attempts: list[Callable[[], object]] = [
            lambda: create_bank(store, "A"),
            lambda: delete_bank(store, "B"),
            lambda: add_contents(store, "B", [Content((value(1),))]),
            lambda: remove_entries(store, "A", [1]),
            lambda: decide_quarantine(store, "A", [1], QuarantineState.LIFTED),
        ]
        for attempt in attempts:
            with pytest.raises(BankError):
                attempt()
        assert recorded(store) == before
        with store.write() as connection:
            connection.execute(update(audit_head).values(sequence=1))
        for change in (lambda: create_bank(store, "B"), lambda: delete_bank(store, "A")):
            with pytest.raises(StoreError, match="audit verify"):
                change()
        assert [bank.name for bank in list_banks(store)] == ["A"]
        assert recorded(store) == before


def test_several_acts_of_one_transaction_are_several_rows(stores: Place) -> None:
    """Also when they are the first ever."""
    with stores.open() as store:
        with store.write() as connection:
            for number in range(3):
                record(connection, "cli:ann", Act.JOB_CANCELLED, f"job:{number}", {"n": number}, clock=utc_now)
        assert [row[1:3] for row in recorded(store)] == [
            ("audit_started", "audit"),
            *(("job_cancelled", f"job:{number}") for number in range(3)),
        ]
        assert verify(store) == []
        with suppress(KeyError), store.write() as connection:
            record(connection, "cli:ann", Act.JOB_CANCELLED, "job:4", clock=utc_now)
            raise KeyError
        assert length(store) == 4
        assert verify(store) == []


@pytest.fixture
def rempart(stores: Place, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A function that runs a command and gives the acts that it recorded."""
    for name, setting in stores.environ.items():
        monkeypatch.setenv(name, setting)
    monkeypatch.setenv("REMPART__MATCHING__FLOOD_THRESHOLD", "2")

    def command(*arguments: str | Path, fails: bool = False) -> list[str]:
        with stores.open() as store:
            before = length(store)
        code = run([str(argument) for argument in arguments])
        assert fails or code in {ExitCode.CLEAN, ExitCode.FOUND, ExitCode.UNSCANNABLE}, arguments
        with stores.open() as store:
            assert verify(store) == []
            return [row[1] for row in recorded(store)[before:]]

    return command


def test_commands_that_change_something_record_it_and_those_that_look_do_not(
    rempart: Command,
    stores: Place,
    tmp_path: Path,
    lighthouse: Callable[..., Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing confidential that they were given is in the log afterwards."""
    picture, listed, mark = tmp_path / f"{NOTE}.png", tmp_path / f"{NOTE}.txt", tmp_path / "mark"
    lighthouse((64, 64), 1).save(picture)
    listed.write_text(f"{'ab' * 16}\n{'cd' * 20}\n", encoding="utf-8")
    assert rempart("bank", "list") == []
    assert rempart("bank", "create", "A") == ["audit_started", "bank_created"]
    assert rempart("bank", "create", "A", fails=True) == []
    assert rempart("bank", "add", "A", picture) == ["entries_added"]
    assert rempart("bank", "add-hash", "A", "ef" * 16, "--note", NOTE) == ["entries_added"]
    assert rempart("bank", "add-hash", "A", "--file", listed, "--note", NOTE) == ["hashes_imported"]
    for looking in (
        ["bank", "show", "A", "--hashes"],
        ["bank", "quarantine", "A"],
        ["match", picture],
        ["hash", picture],
        ["config", "show"],
        ["audit", "verify"],
        ["prompt", "check", f"a lighthouse in {NOTE}"],
        ["prompt", "packs"],
        ["job", "list"],
        ["doctor"],
    ):
        assert rempart(*looking) == [], looking
    with stores.open() as store:
        add_contents(store, "A", [Content((value(6, HashKind.PDQ),))])
        quarantine(store, 5)
    assert rempart("bank", "confirm", "A", "5", "--note", NOTE) == ["quarantine_decided"]
    assert rempart("bank", "lift", "A", "5", "--note", NOTE) == ["quarantine_decided"]
    assert rempart("bank", "remove", "A", "2") == ["entries_removed"]
    assert rempart("bank", "compact") == ["bank_compacted"]
    assert rempart("bank", "compact") == []
    assert rempart("audit", "checkpoint", mark) == ["audit_checkpointed"]
    assert rempart("audit", "export") == ["audit_exported"]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert rempart("bank", "delete", "A", fails=True) == []
    assert rempart("bank", "delete", "A", "--yes") == ["bank_deleted"]
    with stores.open() as store:
        told = b"".join(export(store)).decode()
        assert {row[0] for row in recorded(store)} == {f"cli:{getpass.getuser()}", "key:9"}
    for line in told.splitlines():
        said = line.partition('"digest"')[0]
        assert not re.search(r"[0-9a-fA-F]{32}", said)
    secrets = [NOTE, "lighthouse", str(tmp_path), "ab" * 16, "cd" * 20, "ef" * 16]
    assert not [secret for secret in secrets if secret in told]


def append(place: Place, name: str, count: int) -> None:
    """Record in a process of its own, alone and several at once, and give up now and then."""
    with place.open() as store:
        for number in range(count):
            with suppress(KeyError), store.write() as connection:
                for _ in range(number % 3 + 1):
                    record(connection, f"cli:{name}", Act.JOB_RETRIED, f"job:{number}", clock=utc_now)
                if number % 7 == 6:
                    raise KeyError


def test_four_processes_that_record_at_once_make_one_chain(stores: Place) -> None:
    """From the very first row on; what was rolled back leaves no gap."""
    count = 20
    stores.open().close()
    spawn = multiprocessing.get_context("spawn")
    started = [spawn.Process(target=append, args=(stores, name, count)) for name in "abcd"]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    kept = sum(number % 3 + 1 for number in range(count) if number % 7 != 6)
    with stores.open() as store:
        assert verify(store) == []
        assert length(store) == 4 * kept + 1
        with store.read() as connection:
            query = select(audit_log.c.actor, func.count()).where(audit_log.c.act != "audit_started")
            counts = dict(connection.execute(query.group_by(audit_log.c.actor)).all())
        assert counts == {f"cli:{name}": kept for name in "abcd"}


def test_times_are_those_of_the_act(stores: Place) -> None:
    """To the microsecond, in UTC, whatever the database makes of zones."""
    moment = datetime(2026, 3, 29, 3, 30, 0, 1, tzinfo=UTC)
    with stores.open() as store:
        create_bank(store, "A", clock=lambda: moment)
        assert [b'"at":"2026-03-29T03:30:00.000001Z"' in line for line in export(store)] == [True, True, False]

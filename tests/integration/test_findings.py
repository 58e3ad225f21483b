"""Findings of many requests are committed together, and each request hears what became of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from threading import Thread

import pytest
from sqlalchemy import select

from rempart.clock import utc_now
from rempart.errors import StoreError
from rempart.lists import HashValue, add_contents, create_bank
from rempart.lists.entries import Content
from rempart.matching import Harm, Kind, Match, Outcome
from rempart.store import Store
from rempart.store.service_tables import jobs
from rempart.store.tables import HashKind, entries
from rempart.web.findings import Finding, Findings, ItemDigests
from rempart.web.problems import Code, Problem


def hit(entry: int) -> Match:
    """A hit on an entry."""
    return Match(bank="LIST", entry=entry, kind="md5", distance=0, variant="full", harm=Harm.CSAM, action=Kind.BLOCKING)


def finding(source_id: str, *hits: int) -> Finding:
    """What a match of some entries hands on."""
    return Finding(
        place="distribution",
        key=1,
        source_id=source_id,
        item=ItemDigests(md5=secrets.token_hex(16)),
        verdict=Outcome.MATCH,
        reasons=(),
        harm=Harm.CSAM,
        matches=tuple(map(hit, hits)),
        matched=len(hits),
        partial=False,
        specimen=False,
        lists_as_of=None,
        event_at=None,
        detected_at=utc_now(),
    )


def kept(store: Store) -> list[tuple[str, str]]:
    """The source id and digest of each finding in the outbox."""
    with store.read() as connection:
        found = connection.execute(select(jobs.c.payload).where(jobs.c.kind == "finding")).scalars()
        rows = [json.loads(payload) for payload in found]
    return [(row["source_id"], row["item"]["md5"]) for row in rows]


@contextlib.contextmanager
def nobody_else_writes(store: Store) -> Iterator[None]:
    """Hold up whoever wants to put something into the outbox."""
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")
        yield


async def one_by_one(findings: Findings, names: list[str]) -> list[asyncio.Task[object]]:
    """A request for each of these names, all of them waiting."""
    tasks: list[asyncio.Task[object]] = []
    for name in names:
        tasks.append(asyncio.create_task(findings.hand_on([finding(name)])))
        await asyncio.sleep(0)
    return tasks


class Moments:
    """A clock that notes how often it was asked, which is once for each transaction."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> datetime:
        """The time."""
        self.asked += 1
        return utc_now()


def test_what_comes_while_a_transaction_is_under_way_goes_into_the_next(store: Store) -> None:
    """Two transactions for a hundred requests, and none is answered before the commit."""
    clock, names = Moments(), [f"upload-{number}" for number in range(100)]

    async def ask(findings: Findings) -> None:
        with nobody_else_writes(store):
            tasks = await one_by_one(findings, names)
            done, _ = await asyncio.wait(tasks, timeout=0.2)
            assert not done
            assert kept(store) == []
        await asyncio.gather(*tasks)

    with Findings(store, clock=clock) as findings:
        asyncio.run(ask(findings))
        assert sorted(name for name, _ in kept(store)) == sorted(names)
        assert clock.asked <= 2


def test_while_requests_come_together_there_are_fifty_transactions_a_second_at_most(store: Store) -> None:
    """Each costs as much as several look-ups. Who asks one after the other is not held up by that."""
    clock = Moments()

    async def together(findings: Findings) -> float:
        started = time.monotonic()
        tasks = []
        for number in range(75):
            tasks += [asyncio.create_task(findings.hand_on([finding(f"{name}-{number}")])) for name in ("one", "other")]
            await asyncio.sleep(0.004)
        await asyncio.gather(*tasks)
        return time.monotonic() - started

    async def one_after_the_other(findings: Findings) -> list[float]:
        moments = [time.monotonic()]
        for number in range(30):
            await findings.hand_on([finding(f"alone-{number}")])
            moments.append(time.monotonic())
        return sorted(later - earlier for earlier, later in pairwise(moments))

    with Findings(store, clock=clock) as findings:
        assert asyncio.run(one_after_the_other(findings))[5] < 0.015  # however busy the machine is
        seconds = asyncio.run(together(findings))
    assert clock.asked - 30 <= seconds * 50 + 10
    assert len(kept(store)) == 180


def test_of_findings_of_one_source_only_the_first_is_kept(store: Store) -> None:
    """In one call, in two that are committed together, and in a later one."""
    first, others = finding("upload"), [finding("upload") for _ in range(3)]

    async def ask(findings: Findings) -> None:
        with nobody_else_writes(store):
            tasks = [asyncio.create_task(findings.hand_on(some)) for some in ([first, others[0]], [others[1]])]
            await asyncio.sleep(0.05)
        await asyncio.gather(*tasks)
        await findings.hand_on([others[2]])

    with Findings(store) as findings:
        asyncio.run(ask(findings))
    assert kept(store) == [("upload", first.item.md5)]


def test_when_the_transaction_fails_each_request_hears_of_it_and_the_next_one_works(store: Store) -> None:
    """A database that cannot be written is no reason to stop for good."""

    async def ask(findings: Findings) -> None:
        store.mode = "ro"
        outcomes = await asyncio.gather(*await one_by_one(findings, ["one", "two", "three"]), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreError] * 3
        store.mode = "rw"
        await findings.hand_on([finding("four")])

    with Findings(store) as findings:
        asyncio.run(ask(findings))
    assert [name for name, _ in kept(store)] == ["four"]


def test_what_cannot_be_put_into_the_outbox_harms_no_other_request(store: Store) -> None:
    """It is found out before the transaction that all share."""

    async def ask(findings: Findings) -> None:
        with nobody_else_writes(store):
            tasks = await one_by_one(findings, ["small"])
            with pytest.raises(ValueError, match="payload"):
                await findings.hand_on([finding("x" * 300_000)])
        await asyncio.gather(*tasks)

    with Findings(store) as findings:
        asyncio.run(ask(findings))
    assert [name for name, _ in kept(store)] == ["small"]


def test_more_than_may_wait_is_refused_and_nothing_that_was_taken_is_lost(store: Store) -> None:
    """503 with a code that says try again; a single large request is taken when nothing waits."""

    async def ask(findings: Findings) -> None:
        with nobody_else_writes(store):
            tasks = await one_by_one(findings, ["taken"])
            with pytest.raises(Problem) as refused:
                await findings.hand_on([finding("refused")])
            assert (refused.value.code, refused.value.retry_after) == (Code.OVERLOADED, 1.0)
        await asyncio.gather(*tasks)
        await findings.hand_on([finding("later")])

    with Findings(store, most_waiting=100) as findings:
        asyncio.run(ask(findings))
    assert [name for name, _ in kept(store)] == ["taken", "later"]


def test_stopping_waits_for_what_was_taken_and_takes_nothing_more(store: Store) -> None:
    """So that the service answers what it has accepted when it is told to end."""

    async def ask(findings: Findings) -> None:
        stopping = Thread(target=findings.stop)
        with nobody_else_writes(store):
            tasks = await one_by_one(findings, ["one", "two"])
            stopping.start()
            stopping.join(0.1)
            assert stopping.is_alive()
            with pytest.raises(Problem) as refused:
                await findings.hand_on([finding("late")])
            assert refused.value.code is Code.UNAVAILABLE
        await asyncio.gather(*tasks)
        await asyncio.to_thread(stopping.join)

    findings = Findings(store)
    findings.start()
    asyncio.run(ask(findings))
    assert sorted(name for name, _ in kept(store)) == ["one", "two"]


def test_who_goes_before_the_commit_leaves_the_finding_behind(store: Store) -> None:
    """The match was made; that the client does not want to hear of it changes nothing, also not for others."""

    async def ask(findings: Findings) -> None:
        with nobody_else_writes(store):
            gone, waits = await one_by_one(findings, ["gone", "waits"])
            gone.cancel()
            await asyncio.sleep(0)
        await waits

    with Findings(store) as findings:
        asyncio.run(ask(findings))
    assert sorted(name for name, _ in kept(store)) == ["gone", "waits"]


def test_each_request_is_told_the_source_records_of_its_own_hits(store: Store) -> None:
    """Also where it hits more entries than SQLite takes parameters."""
    create_bank(store, "LIST")
    numbers = [
        add_contents(store, "LIST", [Content((HashValue(HashKind.MD5, secrets.token_bytes(16)),))])[0].entry
        for _ in range(3)
    ]
    with store.write() as connection:
        connection.execute(entries.update().where(entries.c.id != numbers[2]).values(source_record="a record"))
    many = [finding(f"many-{first}", *range(first, first + 100)) for first in range(1000, 41_000, 100)]

    async def ask(findings: Findings) -> list[object]:
        with nobody_else_writes(store):
            asked = ([finding("one", numbers[0], numbers[2])], [*many, finding("two", numbers[1])])
            tasks = [asyncio.create_task(findings.hand_on(some)) for some in asked]
            await asyncio.sleep(0.05)
        return list(await asyncio.gather(*tasks))

    with Findings(store) as findings:
        assert asyncio.run(ask(findings)) == [{numbers[0]: "a record"}, {numbers[1]: "a record"}]
    assert len(kept(store)) == len(many) + 2

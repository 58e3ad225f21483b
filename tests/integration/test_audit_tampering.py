from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from tests.stores import Place, Postgres

from rempart.audit import Act, Checkpoint, Fault, FaultKind, checkpoint, read_checkpoint, record, verify
from rempart.audit.chain import Entry, digest_after, moment_text
from rempart.errors import StoreError
from rempart.store import Store
from rempart.store.service_tables import audit_head, audit_log

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
LENGTH = 30
MARK = 20
"""The row of the checkpoint."""

Rows = list[dict[str, Any]]

many = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
numbers = st.integers(1, LENGTH)


class Log:
    """A log of :data:`LENGTH` rows that a test spoils, with a checkpoint at :data:`MARK`, and the way back."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        moments = iter(NOW + timedelta(seconds=number) for number in range(LENGTH))
        for number in range(1, LENGTH):
            if number == MARK - 1:
                self.checkpoint = checkpoint(store, folder / "checkpoint", clock=lambda: next(moments))
                continue
            with store.write() as connection:
                details = {"entries": number, "kind": "blocking", "turned": number % 2 == 0, "max_age_seconds": None}
                record(
                    connection, "cli:ann", Act.BANK_CREATED, f"bank:{number % 3}", details, clock=lambda: next(moments)
                )
        self.rows, self.head = self.read()
        assert len(self.rows) == LENGTH
        assert self.checkpoint == read_checkpoint(folder / "checkpoint")
        assert self.checkpoint.sequence == MARK

    def read(self) -> tuple[Rows, dict[str, Any]]:
        """All rows, and the head."""
        with self.store.read() as connection:
            rows = connection.execute(select(audit_log).order_by(audit_log.c.sequence)).mappings()
            return [dict(row) for row in rows], dict(connection.execute(select(audit_head)).mappings().one())

    def write(self, rows: Rows, head: dict[str, Any] | None) -> None:
        """Have these rows and this head instead."""
        with self.store.write() as connection:
            connection.execute(delete(audit_log))
            connection.execute(delete(audit_head))
            if rows:
                connection.execute(insert(audit_log), rows)
            if head:
                connection.execute(insert(audit_head).values(head))

    def faults_of(self, rows: Rows, head: dict[str, Any] | None, mark: Checkpoint | None = None) -> list[Fault]:
        """What is wrong with these rows and this head."""
        self.write(rows, head)
        return verify(self.store, mark)


@pytest.fixture
def log(stores: Place, tmp_path: Path) -> Iterator[Log]:
    """A whole log."""
    with stores.open() as store:
        yield Log(store, tmp_path)


def chained(rows: Rows, start: int = 0) -> Rows:
    """The rows with numbers and digests as the program would give them from the place ``start`` on."""
    made: Rows = [*rows[:start]]
    for row in rows[start:]:
        previous = made[-1]["digest"] if made else bytes(32)
        details = msgspec.Raw(row["details"].encode())
        entry = Entry(row["act"], row["actor"], moment_text(row["at"]), details, len(made) + 1, row["subject"])
        made.append(row | {"sequence": len(made) + 1, "digest": digest_after(previous, entry)})
    return made


def numbered(rows: Rows) -> Rows:
    """The rows with numbers from 1."""
    return [row | {"sequence": number} for number, row in enumerate(rows, 1)]


def ended(rows: Rows) -> dict[str, Any]:
    """The head that belongs to the rows."""
    return {"id": 1, "sequence": rows[-1]["sequence"], "digest": rows[-1]["digest"]}


def flipped(digest: bytes) -> bytes:
    """Another digest."""
    return bytes([digest[0] ^ 1]) + digest[1:]


EDITS: dict[str, Callable[[Any], Any]] = {
    "at": lambda at: at + timedelta(microseconds=1),
    "actor": lambda actor: actor + "a",
    "act": lambda _: "bank_deleted",
    "subject": lambda subject: subject[:-1] + ("1" if subject[-1] != "1" else "2"),
    "details": lambda details: details.replace(":", ": ", 1) if details != "{}" else "{ }",
    "digest": flipped,
}


def test_a_whole_log_has_no_fault(log: Log) -> None:
    """Neither by itself nor against its checkpoint."""
    assert verify(log.store) == []
    assert verify(log.store, log.checkpoint) == []


@given(number=numbers, column=st.sampled_from(sorted(EDITS)))
@many
def test_any_edit_of_any_row_is_found_where_it_is(log: Log, number: int, column: str) -> None:
    """A digest that was edited shows in its own row and in the link of the next, everything else in its row."""
    rows = [dict(row) for row in log.rows]
    rows[number - 1][column] = EDITS[column](rows[number - 1][column])
    assume(rows != log.rows)
    faults = log.faults_of(rows, log.head)
    assert faults
    touched = {each for fault in faults for each in (fault.first, fault.last)}
    assert number in touched
    assert touched <= {number, number + 1 if column == "digest" else number, None}
    assert {fault.kind for fault in faults} <= {FaultKind.EDITED, FaultKind.UNREADABLE, FaultKind.HEAD}


@given(gone=st.sets(numbers, min_size=1), renumber=st.booleans())
@many
def test_any_deleted_rows_are_found(log: Log, gone: set[int], *, renumber: bool) -> None:
    """By the gap, or by the links if the rest was numbered anew."""
    kept = [row for row in log.rows if row["sequence"] not in gone]
    if not renumber:
        faults = log.faults_of(kept, log.head)
        missing = [(f.first, f.last) for f in faults if f.kind is FaultKind.MISSING]
        assert {number for first, last in missing for number in range(first or 0, (last or 0) + 1)} == gone
        assert len(missing) == len(faults)
    elif kept:
        whole = numbered(kept)
        assert log.faults_of(whole, log.head)
        if len(kept) == max(row["sequence"] for row in kept):
            assert log.faults_of(whole, ended(whole)) == []  # that is a cut end, which only a checkpoint tells
        else:
            assert log.faults_of(whole, ended(whole))


@given(place=st.integers(0, LENGTH - 1), right=st.booleans(), following=st.booleans())
@many
def test_any_inserted_row_is_found(log: Log, place: int, *, right: bool, following: bool) -> None:
    """However well its own digest fits, and whether the rows behind it were numbered anew or linked anew."""
    new = log.rows[place] | {"actor": "cli:eve", "at": NOW}
    rows = numbered([*log.rows[:place], new, *log.rows[place:]])
    if right:
        rows[place] = chained(rows[: place + 1], place)[place]
    if following:  # all links are right, but for the end
        rows = chained(rows, place)
        assert log.faults_of(rows, log.head)
        assert log.faults_of(rows, ended(rows), log.checkpoint) if place < MARK else True
    else:
        assert log.faults_of(rows, log.head)
        assert log.faults_of(rows, ended(rows))


@pytest.mark.parametrize("number", [-5, 0, LENGTH + 1, LENGTH + 9])
def test_a_row_before_the_first_or_behind_the_last_is_found(log: Log, number: int) -> None:
    """A right digest does not help while the head does not know of it."""
    last = chained([*log.rows, log.rows[-1]], LENGTH)[-1]
    faults = log.faults_of([*log.rows, last | {"sequence": number}], log.head)
    if number < 1:
        assert faults == [Fault(FaultKind.INSERTED, number, number)]
    else:
        assert Fault(FaultKind.INSERTED, LENGTH + 1, number) in faults


@given(order=st.permutations(range(LENGTH)), first=numbers, second=numbers, digests=st.booleans())
@many
def test_any_change_of_order_is_found(
    log: Log, order: Sequence[int], first: int, second: int, *, digests: bool
) -> None:
    """Of two rows or of all, with their digests or without."""
    swapped = list(range(LENGTH))
    swapped[first - 1], swapped[second - 1] = second - 1, first - 1
    for places in (list(order), swapped):
        if places == sorted(places):
            continue
        rows = numbered([log.rows[place] for place in places])
        if not digests:
            rows = [row | {"digest": log.rows[at]["digest"]} for at, row in enumerate(rows)]
        assert log.faults_of(rows, log.head)
        assert log.faults_of(rows, ended(rows))


@given(start=st.integers(0, LENGTH - 1), column=st.sampled_from(sorted(set(EDITS) - {"digest"})))
@many
def test_an_end_that_was_written_anew_is_found_against_the_checkpoint_only(log: Log, start: int, column: str) -> None:
    """All digests are right, so that nothing else can tell; and what lies behind the checkpoint nothing can."""
    rows = [dict(row) for row in log.rows]
    rows[start][column] = EDITS[column](rows[start][column])
    if column == "details":
        rows[start]["details"] = '{"entries":0}'
    assume(rows != log.rows)
    rows = chained(rows, start)
    assert log.faults_of(rows, ended(rows)) == []
    kinds = {fault.kind for fault in verify(log.store, log.checkpoint)}
    # In the first row stands which log it is.
    foreign = {FaultKind.FOREIGN} if start == 0 and column in {"act", "details"} else set()
    assert kinds == ({FaultKind.REWRITTEN} | foreign if start < MARK else set())


@given(kept=st.integers(0, LENGTH - 1))
@many
def test_an_end_that_was_cut_off_is_found_against_the_checkpoint_only(log: Log, kept: int) -> None:
    """Down to nothing; with the head that belongs to what is left, the rest is whole."""
    rows = log.rows[:kept]
    assert log.faults_of(rows, ended(rows) if rows else None) == []
    faults = verify(log.store, log.checkpoint)
    cut = [Fault(FaultKind.CUT, kept + 1, MARK)] if kept < MARK else []
    assert faults == (cut if rows else [*cut, Fault(FaultKind.FOREIGN)])


@pytest.mark.parametrize(
    "head",
    [
        None,
        {"sequence": LENGTH - 1},
        {"sequence": LENGTH + 1},
        {"sequence": 0},
        {"digest": bytes(32)},
    ],
    ids=str,
)
def test_a_changed_head_is_found_and_nothing_can_be_recorded_behind_it(log: Log, head: dict[str, Any] | None) -> None:
    """Except where the end itself looks whole: then the gap or the wrong link stays in the log for good."""
    assert log.faults_of(log.rows, None if head is None else log.head | head)
    if head is None or head.get("sequence", LENGTH) < LENGTH:
        with pytest.raises(StoreError, match="audit verify"), log.store.write() as connection:
            record(connection, None, Act.BANK_CREATED, "bank:1", clock=lambda: NOW)
    else:
        with log.store.write() as connection:
            record(connection, None, Act.BANK_CREATED, "bank:1", clock=lambda: NOW)
    assert verify(log.store)


def test_the_checkpoint_of_another_database_does_not_fit(log: Log) -> None:
    """Nor does one with another digest."""
    other = msgspec.structs.replace(log.checkpoint, database="another")
    assert verify(log.store, other) == [Fault(FaultKind.FOREIGN)]
    other = msgspec.structs.replace(log.checkpoint, digest="0" * 64)
    assert verify(log.store, other) == [Fault(FaultKind.REWRITTEN, MARK, MARK)]


def test_many_faults_in_a_row_are_one(log: Log) -> None:
    """A log whose numbers were all moved has one line to read, not a million."""
    rows = [row | {"details": '{"a":1}'} if 5 <= row["sequence"] <= 25 else row for row in log.rows]
    assert log.faults_of(rows, log.head) == [Fault(FaultKind.EDITED, 5, 25)]


# What only SQLite lets anybody store.

garbage = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.sampled_from([b"\xff\xfe", "2026-03-01T12:00:00.250000", '{"a":1,"a":1}', "[]", "[" * 5000, "1e999", "\x00"]),
)


COLUMNS = ("sequence", "at", "actor", "act", "subject", "details", "digest")
DUMP = f"SELECT {', '.join(f'{name}, typeof({name})' for name in COLUMNS)} FROM audit_log ORDER BY 1"  # noqa: S608


@pytest.fixture
def loose(tmp_path: Path) -> Iterator[tuple[Log, sqlite3.Connection]]:
    """A log in SQLite, and a connection that minds no constraint."""
    place = Place(tmp_path / "data")
    with place.open() as store:
        log = Log(store, tmp_path)
        connection = sqlite3.connect(place.folder / "rempart.db", isolation_level=None)
        connection.execute("PRAGMA ignore_check_constraints = ON")
        yield log, connection
        connection.close()


@given(
    number=numbers,
    column=st.sampled_from(COLUMNS),
    value=garbage,
    how=st.sampled_from(["put", "cast as blob", "behind a NUL", "with a blank"]),
)
@many
def test_whatever_sqlite_stores_in_a_row_is_a_fault_and_no_crash(
    loose: tuple[Log, sqlite3.Connection], number: int, column: str, value: object, how: str
) -> None:
    """Numbers for text, bytes that are no text, text behind a NUL, the same text as bytes."""
    log, connection = loose
    expression = {
        "put": "?2",
        "cast as blob": f"CAST({column} AS BLOB)",
        "behind a NUL": f"{column} || char(0) || 'x'",
        "with a blank": f"{column} || ' '",
    }[how]
    assume(how == "put" or (column, how) not in {("digest", "cast as blob"), ("sequence", "with a blank")})
    connection.text_factory = bytes  # what a test has put in need not be text
    before = connection.execute(DUMP).fetchall()
    connection.execute("BEGIN IMMEDIATE")
    try:
        sql = f"UPDATE audit_log SET {column} = {expression} WHERE sequence = ?1"  # noqa: S608 -- our own columns
        connection.execute(sql, (number, value) if how == "put" else (number,))
        connection.execute("COMMIT")
    except (sqlite3.IntegrityError, sqlite3.DataError):
        connection.execute("ROLLBACK")
        assume(False)  # noqa: FBT003 -- hypothesis's signature
    after = connection.execute(DUMP).fetchall()
    try:
        assert verify(log.store) or before == after
        verify(log.store, log.checkpoint)
    finally:
        log.write(log.rows, log.head)
    assert verify(log.store, log.checkpoint) == []


@given(column=st.sampled_from(["sequence", "digest"]), value=garbage)
@many
def test_whatever_sqlite_stores_in_the_head_is_a_fault_and_no_crash(
    loose: tuple[Log, sqlite3.Connection], column: str, value: object
) -> None:
    """And whoever wants to record something is told so."""
    log, connection = loose
    assume(value not in {LENGTH, str(LENGTH)})
    connection.execute(f"UPDATE audit_head SET {column} = ?", (value,))  # noqa: S608 -- our own columns
    try:
        assert verify(log.store)
    finally:
        log.write(log.rows, log.head)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "2026-03-01 12:00:01.25+00 BC", "20260-03-01 12:00+00"])
def test_times_that_only_postgresql_knows_are_faults(postgres: Postgres, tmp_path: Path, moment: str) -> None:
    """They would be written like others, or not at all."""
    with postgres.database() as where, Place(tmp_path / "data", where).open() as store:
        Log(store, tmp_path)
        sql = "UPDATE audit_log SET at = CAST(:at AS timestamptz) WHERE sequence = 7"
        with store.write() as connection:
            connection.execute(text(sql), {"at": moment})
        assert verify(store) == [Fault(FaultKind.UNREADABLE, 7, 7)]


def test_a_checkpoint_is_not_replaced_by_a_log_that_does_not_agree_with_it(log: Log, tmp_path: Path) -> None:
    """Else the next one would hide what this one shows."""
    file = tmp_path / "checkpoint"
    held = file.read_bytes()
    rows = chained([row | {"actor": "cli:eve"} if row["sequence"] == MARK - 2 else row for row in log.rows], 1)
    log.write(rows, ended(rows))
    with pytest.raises(Exception, match="does not agree"):
        checkpoint(log.store, file)
    assert file.read_bytes() == held
    assert log.read() == (rows, ended(rows))
    log.write(log.rows, log.head)
    later = checkpoint(log.store, file)
    assert later == read_checkpoint(file)
    assert (later.sequence, later.database) == (LENGTH + 1, log.checkpoint.database)
    assert verify(log.store, later) == verify(log.store, log.checkpoint) == []


def test_a_damaged_log_gets_no_checkpoint(log: Log, tmp_path: Path) -> None:
    """Where its first row does not say which log it is."""
    with log.store.write() as connection:
        connection.execute(update(audit_log).where(audit_log.c.sequence == 1).values(details="{}"))
    with pytest.raises(StoreError, match="audit verify"):
        checkpoint(log.store, tmp_path / "another")
    assert not (tmp_path / "another").exists()


def test_the_digests_are_those_that_the_docstring_describes(log: Log) -> None:
    """By nothing but the standard library."""
    previous = bytes(32)
    for row in log.rows:
        said = (
            f'{{"act":"{row["act"]}","actor":"{row["actor"]}","at":"{row["at"]:%Y-%m-%dT%H:%M:%S.%f}Z",'
            f'"details":{row["details"]},"sequence":{row["sequence"]},"subject":"{row["subject"]}"}}'
        )
        previous = sha256(previous + said.encode()).digest()
        assert previous == row["digest"]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_mixture_of_edits_goes_unseen(log: Log, seed: int) -> None:
    """Some rows edited, some taken out, some put in, some moved, at random, without the work of linking them anew."""
    draw = random.Random(seed)
    rows = [dict(row) for row in log.rows]
    for _ in range(draw.randint(1, 5)):
        at, to = draw.randrange(len(rows)), draw.randrange(len(rows))
        match draw.randrange(4):
            case 0:
                column = draw.choice(sorted(EDITS))
                rows[at][column] = EDITS[column](rows[at][column])
            case 1 if len(rows) > 1:
                del rows[at]
            case 2:
                rows.insert(to, dict(rows[at]))
            case _:
                rows.insert(to, rows.pop(at))
    if draw.random() < 0.7:
        rows = numbered(rows)
    assume(len({row["sequence"] for row in rows}) == len(rows))
    assume(rows != log.rows[: len(rows)] or len(rows) == LENGTH)
    assume(sorted(rows, key=lambda row: row["sequence"]) != log.rows)
    assert log.faults_of(rows, log.head)

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rempart.audit import Act, Checkpoint, Detail, export, length, local_actor, read_checkpoint, record, verify
from rempart.audit.chain import Entry, digest_after, moment_text
from rempart.errors import UsageError
from rempart.store import Store, open_store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

lines = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=40)
names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
values = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | lines | st.just("")
details = st.dictionaries(names, values, max_size=6)


def add(store: Store, actor: str = "cli:ann", subject: str = "bank:1", said: Mapping[str, Detail] = {}) -> None:
    """Record an act."""
    with store.write() as connection:
        record(connection, actor, Act.BANK_CREATED, subject, said, clock=lambda: NOW)


@given(actor=lines, subject=lines, said=details)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_may_be_recorded_comes_out_as_it_went_in(
    store: Store, actor: str, subject: str, said: dict[str, Detail]
) -> None:
    """Quotes, other alphabets, large numbers; and the chain holds."""
    before = length(store)
    add(store, actor, subject, said)
    last = json.loads(next(iter(export(store, max(before + 1, 2)))))
    assert (last["actor"], last["subject"], last["details"]) == (actor, subject, said)
    assert verify(store) == []


@given(actor=lines, subject=lines, said=details, sequence=st.integers(1, 2**53 - 1))
def test_the_text_of_a_row_is_what_any_writer_of_canonical_json_gives(
    actor: str, subject: str, said: dict[str, Detail], sequence: int
) -> None:
    """So that rows can be verified in any language."""
    raw = msgspec.json.Encoder(order="deterministic").encode(said)
    entry = Entry("bank_created", actor, moment_text(NOW), msgspec.Raw(raw), sequence, subject)
    row = {"sequence": sequence, "at": "2026-03-01T12:00:00.000000Z", "actor": actor, "act": "bank_created"}
    row |= {"subject": subject, "details": said}
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert msgspec.json.encode(entry) == text
    assert digest_after(bytes(32), entry).hex() != digest_after(bytes([1] * 32), entry).hex()


@pytest.mark.parametrize(
    "wrong",
    [
        {"actor": ""},
        {"actor": "cli:ann\nkey:1"},
        {"actor": "a" * 129},
        {"subject": ""},
        {"subject": "b" * 256},
        {"subject": "bank:\x00"},
        {"said": {"n": 2**53}},
        {"said": {"n": -(2**53)}},
        {"said": {"n": 1.5}},
        {"said": {"n": b"bytes"}},
        {"said": {"n": ["a", "b"]}},
        {"said": {"n": "two\nlines"}},
        {"said": {"n": "\udc80"}},
        {"said": {"N": 1}},
        {"said": {"n-m": 1}},
        {"said": {"": 1}},
    ],
    ids=repr,
)
def test_what_cannot_be_verified_everywhere_is_not_recorded(store: Store, wrong: Mapping[str, Any]) -> None:
    """Control characters, fractions, numbers beyond 53 bits, lists, strange names."""
    with pytest.raises(ValueError, match="of an act"):
        add(store, **wrong)
    assert length(store) == 0


def test_times_are_written_in_utc_with_six_decimals() -> None:
    """Whatever the zone they are given in."""
    there = datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=3)))
    assert moment_text(there) == "2026-02-28T22:00:00.000000Z"


def test_the_local_actor_is_the_user_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or their number, where they have no name."""
    assert local_actor() == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert local_actor() == "cli:3999999999"


def test_every_log_has_a_name_of_its_own(tmp_path: Path) -> None:
    """By which a checkpoint knows it."""
    found = set()
    for number in range(3):
        with open_store(tmp_path / str(number)) as store:
            add(store)
            found.add(json.loads(next(iter(export(store))))["details"]["database"])
    assert len(found) == 3


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_that_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    """Which quotes nothing of it."""
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="is not a checkpoint of an audit log"):
        read_checkpoint(file)


@given(
    sequence=st.integers(-1, 2**63),
    digest=st.binary(min_size=31, max_size=33).map(bytes.hex),
    extra=st.dictionaries(names, st.integers(), max_size=1),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_checkpoint_is_taken_only_with_a_possible_number_and_digest(
    tmp_path: Path, sequence: int, digest: str, extra: dict[str, int]
) -> None:
    """And nothing besides."""
    file = tmp_path / "file"
    row = {"format": "rempart audit checkpoint 1", "database": "d", "sequence": sequence, "digest": digest, "at": "t"}
    file.write_text(json.dumps(row | extra), encoding="utf-8")
    if sequence < 1 or len(digest) != 64 or extra:
        with pytest.raises(UsageError):
            read_checkpoint(file)
    else:
        assert read_checkpoint(file) == Checkpoint(database="d", sequence=sequence, digest=digest, at="t")

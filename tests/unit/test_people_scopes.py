from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import Reason
from rempart.matching import Match, Outcome, Verdict
from rempart.matching.bank import Harm, Kind
from rempart.people import (
    RULES,
    Counted,
    Key,
    Needs,
    Permission,
    Refusal,
    Scope,
    counted,
    refusal,
    refusal_line,
    shown_matches,
)
from rempart.people.keys import secret_digest
from rempart.people.veil import TELLING

ROOT = Path(__file__).parents[2]
RADII = {"A": 31, "B": 10}


def key(*scopes: Scope) -> Key:
    """A key of these scopes, for every bank."""
    return Key(id=1, name="one", scopes=frozenset(scopes), banks=None, per_minute=None)


def hit(distance: int, *, bank: str = "A", kind: str = "pdq", entry: int = 1, frame: int = 0) -> Match:
    """A match of an entry."""
    return Match(bank=bank, entry=entry, kind=kind, distance=distance, variant="full", frame=frame)


def verdict(*matches: Match, outcome: Outcome = Outcome.MATCH) -> Verdict:
    """A verdict that was led to by these matches."""
    return Verdict(verdict=outcome, reasons=(), matches=matches)


def test_every_permission_has_a_rule_and_each_one_of_a_key_a_scope() -> None:
    """What has no rule could not be refused in words; what has no scope nobody could do."""
    assert set(RULES) == set(Permission)
    for rule in RULES.values():
        assert bool(rule.scopes) == (rule.needs is Needs.KEY)
        assert rule.does[0].islower()
        assert not rule.does.endswith(".")
    assert {scope for rule in RULES.values() for scope in rule.scopes} == set(Scope)


@pytest.mark.parametrize("permission", Permission)
def test_nobody_may_do_anything_but_ask_whether_the_service_is_alive(permission: Permission) -> None:
    """Deny by default."""
    assert (refusal(None, permission) is None) == (permission is Permission.OPEN)
    assert (refusal(frozenset(), permission) is None) == (permission is Permission.OPEN)


def test_the_scopes_give_exactly_what_is_written_here() -> None:
    """A second writing of the table, so that no change of it goes unnoticed."""
    any_key = {Permission.OPEN, Permission.SEE_SCHEMA}
    assert all(key(scope).may(permission) for scope in Scope for permission in any_key)
    gives = {
        scope: {permission for permission in Permission if key(scope).may(permission)} - any_key for scope in Scope
    }
    assert gives == {
        Scope.SCREEN: {Permission.SCREEN_PROMPTS},
        Scope.MATCH: {Permission.MATCH_MEDIA, Permission.SEE_LISTS},
        Scope.DISTANCE: {Permission.SEE_DISTANCES, Permission.SEE_HASHES},
        Scope.CURATE: {
            Permission.SEE_LISTS,
            Permission.SEE_ENTRIES,
            Permission.CHANGE_ENTRIES,
            Permission.CHANGE_BANKS,
            Permission.SEE_JOBS,
        },
        Scope.ADMIN: {
            Permission.SEE_JOBS,
            Permission.CHANGE_JOBS,
            Permission.SEE_KEYS,
            Permission.CHANGE_KEYS,
            Permission.SEE_METRICS,
        },
    }


def test_no_key_however_powerful_does_what_takes_a_person_or_two() -> None:
    """A key is never a person."""
    everything = key(*Scope)
    for permission, rule in RULES.items():
        expected = {Needs.PERSON: Refusal.PERSON_ONLY, Needs.TWO_PEOPLE: Refusal.TWO_PEOPLE_ONLY}.get(rule.needs)
        assert refusal(everything.scopes, permission) is expected


def test_a_refusal_says_what_it_would_take() -> None:
    """The line is all that the caller gets."""
    assert refusal_line(Refusal.NO_SCOPE, Permission.SEE_JOBS) == (
        "This key has not the scope to see jobs; it takes `curate` or `admin`."
    )
    assert "two people" in refusal_line(Refusal.TWO_PEOPLE_ONLY, Permission.LET_LISTS_BLOCK)
    for reason in Refusal:
        for permission in Permission:
            assert "{" not in refusal_line(reason, permission)


def test_the_documented_table_is_the_one_of_the_code() -> None:
    """docs/keys.md is held to it, word by word."""
    text = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
    table = {name: (does, takes) for name, does, takes in rows}
    others = {Needs.NOTHING: "nothing", Needs.PERSON: "a person", Needs.TWO_PEOPLE: "two people"}
    for permission, rule in RULES.items():
        scopes = " or ".join(f"`{scope}`" for scope in Scope if scope in rule.scopes)
        scopes = "any scope" if rule.scopes == set(Scope) else scopes
        assert table[permission] == (rule.does, scopes or others[rule.needs])
    assert len(rows) == len(RULES)


@given(st.text())
def test_only_what_has_the_form_of_a_secret_has_a_digest(text: str) -> None:
    """Whatever is sent as a key is answered, and most of it without any work."""
    assert secret_digest(text) is None
    formed = "rk_" + "".join(filter(str.isascii, text)).ljust(43, "x")[:43]
    assert secret_digest(formed) is not None
    assert secret_digest(formed[:-1] + "é") is None


matches = st.builds(
    Match,
    bank=st.sampled_from(["A", "B"]),
    entry=st.integers(1, 5),
    kind=st.sampled_from(["pdq", "vpdq", "md5"]),
    distance=st.integers(0, 31),
    variant=st.sampled_from(["full", "trimmed", "file"]),
    frame=st.integers(0, 300),
    harm=st.sampled_from(Harm),
    action=st.sampled_from(Kind),
    query_percent=st.none() | st.floats(0, 100),
    run_seconds=st.none() | st.floats(0, 1e4),
)


@given(
    st.lists(matches, max_size=6, unique_by=lambda match: (match.bank, match.entry, match.kind, match.variant)),
    st.randoms(use_true_random=False),
)
def test_what_is_shown_without_the_scope_distance_is_the_same_however_near_the_matches_are(
    found: list[Match], chance: random.Random
) -> None:
    """Neither a field nor the order tells which of two look-ups came nearer."""
    other = [
        Match(
            bank=match.bank,
            entry=match.entry,
            kind=match.kind,
            distance=chance.randrange(32),
            variant=match.variant,
            frame=chance.randrange(300),
            harm=match.harm,
            action=match.action,
            query_percent=chance.random(),
        )
        for match in chance.sample(found, len(found))
    ]
    shown = shown_matches(key(Scope.MATCH), found)
    assert shown == shown_matches(key(Scope.MATCH, Scope.ADMIN), other)
    assert not any(field in row for row in shown for field in TELLING)


def test_a_key_with_the_scope_distance_sees_matches_as_they_are() -> None:
    """Nothing is left out or put in another order."""
    found = [hit(30, entry=2, frame=7), hit(3, entry=1)]
    shown = shown_matches(key(Scope.MATCH, Scope.DISTANCE), found)
    assert [(row["entry"], row["distance"], row["frame"]) for row in shown] == [(2, 30, 7), (1, 3, 0)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (verdict(outcome=Outcome.CLEAR), Counted.CLEAR),
        (verdict(outcome=Outcome.UNSCANNABLE), Counted.UNSCANNABLE),
        (verdict(hit(0, kind="md5")), Counted.EXACT),
        (verdict(hit(0, kind="md5"), hit(30)), Counted.EXACT),
        (verdict(hit(0)), Counted.NEAR),
        (verdict(hit(27)), Counted.NEAR),
        (verdict(hit(28)), Counted.RIM),
        (verdict(hit(31)), Counted.RIM),
        (verdict(hit(7, bank="B")), Counted.RIM),
        (verdict(hit(31), hit(20)), Counted.NEAR),
        (verdict(hit(31), outcome=Outcome.CLEAR), Counted.RIM),  # an allowing bank overruled it
        (verdict(hit(31), outcome=Outcome.UNSCANNABLE), Counted.RIM),
        (verdict(hit(20, bank="SPECIMEN")), Counted.EXACT),
        (verdict(hit(20, bank="SPECIMEN"), hit(31)), Counted.RIM),
        (Verdict(verdict=Outcome.MATCH, reasons=(Reason.SPECIMEN,), specimen=True), Counted.EXACT),
    ],
)
def test_a_lookup_is_counted_as_what_it_tells_of_the_list(found: Verdict, expected: Counted) -> None:
    """What came near only at the rim of a radius is told from copies of what is listed."""
    assert counted(found, RADII) is expected

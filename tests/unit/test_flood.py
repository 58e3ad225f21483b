from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import UsageError
from rempart.matching.flood import FloodRule
from rempart.settings import MatchingSettings

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
RADIUS = 31


def flipped(value: bytes, bits: int, seed: int = 0) -> bytes:
    """A hash at exactly this distance."""
    number = int.from_bytes(value, "big")
    for bit in random.Random(seed).sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32, "big")


def apart(one: bytes, other: bytes) -> int:
    """In how many bits two hashes differ."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def counted(rule: FloodRule, values: list[tuple[bytes, datetime]], radius: int = RADIUS) -> dict[bytes, datetime]:
    """The looks after pictures were seen one after another."""
    looks: dict[bytes, datetime] = {}
    for value, seen in values:
        looks = rule.see(rule.fresh(looks, seen), value, seen, radius)
    return looks


# Hashes of few bits crowd each other, so that copies of several pictures at once do occur.
CROWDED = st.integers(0, 255).map(lambda number: sum(0xFFFF << (16 * bit) for bit in range(8) if number >> bit & 1))
SIGHTINGS = st.lists(st.tuples(CROWDED.map(lambda number: number.to_bytes(32, "big")), st.integers(0, 30)), max_size=30)


@given(SIGHTINGS, st.integers(2, 6), st.integers(1, 40), st.integers(0, 63))
def test_counting_agrees_with_the_plain_definition(
    given_: list[tuple[bytes, int]], threshold: int, hours: int, radius: int
) -> None:
    """Of the whole history: each picture belongs to the nearest live look within the radius, or founds one."""
    rule = FloodRule(threshold=threshold, window=hours * HOUR)
    history = sorted((NOW + hour * HOUR, value) for value, hour in given_)
    groups: list[tuple[bytes, list[datetime]]] = []
    for seen, value in history:
        live = [group for group in groups if seen - group[1][-1] <= rule.window]
        near = sorted((apart(value, group[0]), group) for group in live)
        if near and near[0][0] <= radius:
            near[0][1][1].append(seen)
        elif len(live) < threshold:
            groups.append((value, [seen]))
    end = history[-1][0] if history else NOW
    expected = {value: times[-1] for value, times in groups if end - times[-1] <= rule.window}
    looks = rule.fresh(counted(rule, [(value, seen) for seen, value in history], radius), end)
    assert looks == expected
    assert rule.is_flood(looks) == (len(expected) >= threshold)


@given(SIGHTINGS, st.integers(2, 6), st.integers(0, 63))
def test_looks_are_seen_pictures_of_which_no_two_are_copies_and_never_more_than_count(
    given_: list[tuple[bytes, int]], threshold: int, radius: int
) -> None:
    """However long it goes on, no more than the threshold is kept."""
    rule = FloodRule(threshold=threshold, window=5 * HOUR)
    looks = counted(rule, sorted(((v, NOW + h * HOUR) for v, h in given_), key=lambda one: one[1]), radius)
    assert len(looks) <= threshold
    assert set(looks) <= {value for value, _ in given_}
    assert all(apart(one, other) > radius for one in looks for other in looks if one != other)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 7), st.integers(0, 9)), max_size=40),
    st.permutations(range(40)),
    st.integers(2, 12),
)
def test_the_order_does_not_matter_where_copies_are_plainly_copies(
    given_: list[tuple[int, int, int]], order: list[int], threshold: int
) -> None:
    """Pictures far from one another, each with copies close to it: as many looks as pictures, and as fresh."""
    rule = FloodRule(threshold=threshold)
    pictures = [random.Random(number).randbytes(32) for number in range(9)]
    seen = [(flipped(pictures[which], bits, seed=bits), NOW + hour * HOUR) for which, bits, hour in given_]
    shuffled = [seen[place] for place in order if place < len(seen)]
    one, other = (counted(rule, sightings) for sightings in (seen, shuffled))
    different = {which for which, _, _ in given_}
    assert len(one) == len(other) == min(len(different), threshold)
    if len(different) < threshold:
        assert sorted(one.values()) == sorted(other.values())


@given(SIGHTINGS, st.integers(0, 30), st.integers(2, 6))
def test_what_two_count_apart_adds_up_as_if_one_had_counted(
    given_: list[tuple[bytes, int]], cut: int, threshold: int
) -> None:
    """Where each picture has a hash of its own; merging twice changes nothing."""
    rule = FloodRule(threshold=threshold)
    values = sorted(((v, NOW + h * HOUR) for v, h in given_), key=lambda one: one[1])
    mine, yours = counted(rule, values[:cut], 0), counted(rule, values[cut:], 0)
    together = rule.merge(mine, yours, 0)
    assert rule.merge(together, yours, 0) == together
    assert len(together) == min(threshold, len({value for value, _ in values}))
    assert all(apart(one, other) > 0 for one in together for other in together if one != other)


def test_a_known_picture_that_spreads_as_copies_is_no_flood() -> None:
    """A thousand copies are one look."""
    known = random.Random(1).randbytes(32)
    rule = FloodRule()
    looks = counted(rule, [(flipped(known, seed % 12, seed), NOW + seed * HOUR / 60) for seed in range(1000)])
    assert len(looks) == 1


def test_twenty_unlike_pictures_near_one_entry_are_a_flood_and_nineteen_are_not() -> None:
    """All of them within the entry's radius, and more than it from each other."""
    entry = random.Random(2).randbytes(32)
    around = [flipped(entry, 30, seed) for seed in range(20)]
    assert min(apart(one, other) for one in around for other in around if one != other) > RADIUS
    rule = FloodRule()
    looks = counted(rule, [(value, NOW) for value in around])
    assert rule.is_flood(looks)
    assert not rule.is_flood(counted(rule, [(value, NOW) for value in around[:19]]))


def test_pictures_that_come_slowly_are_no_flood() -> None:
    """One a day, where twenty must come within a week."""
    entry = random.Random(2).randbytes(32)
    rule = FloodRule()
    looks = counted(rule, [(flipped(entry, 30, day), NOW + timedelta(days=day)) for day in range(60)])
    assert len(looks) == 8


@pytest.mark.parametrize("wrong", [{"threshold": 1}, {"window": timedelta(0)}])
def test_a_rule_that_would_quarantine_everything_is_refused(wrong: dict[str, object]) -> None:
    """One picture is no flood."""
    with pytest.raises(UsageError, match="at least two pictures"):
        FloodRule(**wrong)  # type: ignore[arg-type]


def test_the_rule_follows_the_settings() -> None:
    """With their defaults its own."""
    assert FloodRule.of(MatchingSettings()) == FloodRule()
    rule = FloodRule.of(MatchingSettings(flood_threshold=5, flood_window_days=0.5))
    assert (rule.threshold, rule.window) == (5, 12 * HOUR)

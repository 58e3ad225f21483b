"""Schedules, with a clock that the test turns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.parcels import START, Hands, Parcel, nothing, worker

from rempart.jobs import list_schedules, set_schedule, tick_schedules
from rempart.store import Store


def test_a_schedule_makes_a_job_each_time_and_none_while_the_last_is_live(store: Store, clock: Hands) -> None:
    """At its own moments, whenever the tick comes."""
    assert set_schedule(store, "hourly", "parcel", Parcel(5), every_seconds=3600, clock=clock)
    doer = worker(store, clock, nothing)
    assert tick_schedules(store, clock=clock) == 1
    assert tick_schedules(store, clock=clock) == 0
    clock.turn(minutes=70)
    assert tick_schedules(store, clock=clock) == 0  # the first still waits
    assert doer.run_once()
    clock.turn(minutes=49)
    assert tick_schedules(store, clock=clock) == 0
    clock.turn(minutes=1)
    assert tick_schedules(store, clock=clock) == 1
    assert list_schedules(store)[0].next_at == START + timedelta(hours=3)


def test_after_a_long_sleep_a_schedule_makes_one_job_and_keeps_its_moments(store: Store, clock: Hands) -> None:
    """Not one for each hour that was missed; a clock that jumps ahead looks the same."""
    set_schedule(store, "hourly", "parcel", Parcel(), every_seconds=3600, clock=clock)
    clock.turn(days=400, minutes=10)
    assert [tick_schedules(store, clock=clock) for _ in range(3)] == [1, 0, 0]
    assert list_schedules(store)[0].next_at == START + timedelta(days=400, hours=1)


def test_a_schedule_goes_on_within_its_interval_when_the_clock_is_set_back(store: Store, clock: Hands) -> None:
    """Ten years ahead and back: it does not wait for ten years."""
    set_schedule(store, "hourly", "parcel", Parcel(), every_seconds=3600, clock=clock)
    clock.turn(days=3650)
    tick_schedules(store, clock=clock)
    clock.turn(days=-3650)
    doer = worker(store, clock, nothing)
    doer.keep_order()
    while doer.run_once():
        pass
    assert list_schedules(store)[0].next_at == START + timedelta(hours=1)
    clock.turn(hours=1)
    assert tick_schedules(store, clock=clock) == 1


def test_a_schedule_can_be_changed_and_switched_off(store: Store, clock: Hands) -> None:
    """A shorter interval holds at once; one that is off makes nothing."""
    options: Any = {"clock": clock, "first_at": START + timedelta(days=1)}
    assert set_schedule(store, "s", "parcel", Parcel(), every_seconds=86_400, **options)
    assert not set_schedule(store, "s", "parcel", Parcel(), every_seconds=86_400, **options)
    assert tick_schedules(store, clock=clock) == 0
    assert set_schedule(store, "s", "parcel", Parcel(), every_seconds=60, **options)
    clock.turn(seconds=60)
    assert tick_schedules(store, clock=clock) == 1
    assert set_schedule(store, "s", "parcel", Parcel(), every_seconds=60, enabled=False, **options)
    clock.turn(days=1)
    assert tick_schedules(store, clock=clock) == 0


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "x" * 65}, {"name": "a\nb"}, {"kind": "X"}, {"every_seconds": 0}]
)
def test_a_schedule_that_cannot_be_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    """Before it is stored."""
    arguments = {"name": "s", "kind": "parcel", "payload": Parcel(), "every_seconds": 60} | wrong
    with pytest.raises(ValueError, match=r"schedule|kind"):
        set_schedule(store, **arguments)
    assert list_schedules(store) == []

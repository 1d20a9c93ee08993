"""When a planned measurement is due, in hours of a monotonic line that began at noon UTC."""

from dataclasses import replace

import pytest
from tests.support.clock import NOON_MS

from bedside_profiles.readings import Metric
from bedside_profiles.rules.cadence import CadenceRule, CadenceState, Stage, done, due_ms, longest_gap_ms, tick
from bedside_profiles.rules.priority import Priority

HOUR = 3_600_000
# 2026-09-21 14:13:20 UTC: the moment that tests call noon.
MIDNIGHT = NOON_MS - (14 * 3600 + 13 * 60 + 20) * 1000
DAILY = CadenceRule("weight", 1, "weight_overdue", Metric.BODY_WEIGHT, Priority.LOW, every_ms=24 * HOUR)
AT_8 = replace(DAILY, every_ms=None, at_minutes=(8 * 60,))


def stage(rule: CadenceRule, done_at: int, now: int, *, synced: bool = True) -> Stage:
    """Looked at every quarter of an hour until `now`, as a hub does."""
    state, said = CadenceState(done_at), Stage.DONE
    for at in (*range(done_at, now, HOUR // 4), now):
        state, said = tick(rule, state, at, MIDNIGHT + at if synced else None)
    return said


@pytest.mark.parametrize(
    ("now", "expected"),
    [(24 * HOUR - 1, Stage.DONE), (24 * HOUR, Stage.DUE), (25 * HOUR - 1, Stage.DUE), (25 * HOUR, Stage.OVERDUE)],
)
def test_an_interval_is_due_then_overdue_whatever_the_wall_clock_says(now: int, expected: Stage) -> None:
    assert stage(DAILY, 0, now) is expected
    assert stage(DAILY, 0, now, synced=False) is expected


@pytest.mark.parametrize(
    ("done_at", "now", "expected"),
    [
        (0, 8 * HOUR - 1, Stage.DONE),
        (0, 8 * HOUR, Stage.DUE),
        (0, 9 * HOUR, Stage.OVERDUE),
        (7 * HOUR, 23 * HOUR, Stage.DONE),
        (7 * HOUR - 1, 10 * HOUR, Stage.OVERDUE),
        (7 * HOUR, 32 * HOUR, Stage.DUE),
        (9 * HOUR, 31 * HOUR, Stage.DONE),
    ],
)
def test_a_time_of_day_is_served_from_an_hour_before_it(done_at: int, now: int, expected: Stage) -> None:
    assert stage(AT_8, done_at, now) is expected


def test_times_of_day_follow_the_zone_and_its_summer_time() -> None:
    madrid = replace(AT_8, zone="Europe/Madrid")
    assert due_ms(madrid, 0, 0, MIDNIGHT) == 6 * HOUR, "08:00 in summer"
    winter = MIDNIGHT + 90 * 24 * HOUR
    assert due_ms(madrid, 0, 0, winter) == 7 * HOUR, "08:00 in winter"


def test_a_hub_without_the_time_waits_for_the_longest_gap() -> None:
    twice = replace(AT_8, at_minutes=(8 * 60, 20 * 60 + 30))
    assert longest_gap_ms(twice) == 12 * HOUR + HOUR // 2
    assert longest_gap_ms(AT_8) == 24 * HOUR
    assert stage(twice, 0, 12 * HOUR, synced=False) is Stage.DONE
    assert stage(twice, 0, 13 * HOUR, synced=False) is Stage.DUE


def test_a_reminder_comes_first_and_is_not_taken_back_by_a_clock() -> None:
    state, said = tick(AT_8, CadenceState(0), 20 * HOUR, None)
    assert said is Stage.DONE
    state, said = tick(AT_8, state, 24 * HOUR, None)
    assert (said, state.reminded_ms) == (Stage.DUE, 24 * HOUR)
    before_eight = MIDNIGHT + 7 * HOUR + HOUR // 2
    state, said = tick(AT_8, state, 24 * HOUR + 1, before_eight)
    assert said is Stage.DUE
    state, said = tick(AT_8, state, 25 * HOUR, before_eight + HOUR)
    assert said is Stage.OVERDUE
    assert tick(AT_8, state, 26 * HOUR, None)[1] is Stage.OVERDUE
    assert tick(AT_8, done(state, 26 * HOUR), 26 * HOUR, None)[1] is Stage.DONE


def test_a_hub_that_was_off_reminds_before_it_alarms() -> None:
    state, said = tick(DAILY, CadenceState(0), 100 * HOUR, None)
    assert said is Stage.DUE
    assert tick(DAILY, state, 101 * HOUR - 1, None)[1] is Stage.DUE
    assert tick(DAILY, state, 101 * HOUR, None)[1] is Stage.OVERDUE


def test_an_older_measurement_changes_nothing() -> None:
    state = CadenceState(10, 20, overdue=True)
    assert done(state, 9) is state
    assert done(None, 9) == CadenceState(9)


@pytest.mark.parametrize(
    "changes",
    [
        {"at_minutes": (480,)},
        {"every_ms": None},
        {"every_ms": 59_999},
        {"remind_after_ms": 2, "alarm_after_ms": 1},
        {"zone": "Atlantis/Capital"},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        replace(DAILY, **changes)  # type: ignore[arg-type]

"""Threshold rules as time lines, in seconds."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.readings import rule

from bedside_profiles.readings import Metric, Modality, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import (
    NORMAL,
    Change,
    Phase,
    RuleState,
    Sample,
    Side,
    ThresholdRule,
    priority_of,
    step,
    tick,
)

LOW = rule()
HIGH = replace(
    LOW,
    condition="pulse_high",
    metric=Metric.PULSE_RATE,
    side=Side.ABOVE,
    limit=120,
    clear_limit=115,
    extreme_limit=180,
)


def play(
    which: ThresholdRule, *samples: tuple[float, float], modality: Modality = Modality.CONTINUOUS
) -> tuple[RuleState, list[tuple[float, Change]]]:
    state = NORMAL
    heard: list[tuple[float, Change]] = []
    for at, value in samples:
        state, change = step(which, state, Sample(round(at * 1000), value, modality))
        if change is not Change.NONE:
            heard.append((at, change))
    return state, heard


def test_the_limit_itself_is_in_range() -> None:
    assert play(LOW, (0, 88), (100, 88))[0].phase is Phase.NORMAL
    assert play(LOW, (0, 87.9))[0].phase is Phase.PENDING
    assert play(HIGH, (0, 120), (100, 120))[0].phase is Phase.NORMAL
    assert play(HIGH, (0, 120.1))[0].phase is Phase.PENDING


def test_it_raises_once_the_onset_delay_has_passed() -> None:
    assert play(LOW, (0, 85), (9.9, 85), (10, 85), (20, 85))[1] == [(10, Change.RAISED)]


def test_one_value_in_range_starts_the_delay_again() -> None:
    assert play(LOW, (0, 85), (9, 88), (10, 85), (19, 85))[1] == []


def test_it_clears_at_the_clear_limit_not_at_the_limit() -> None:
    assert play(LOW, (0, 70), (1, 89), (2, 90))[1] == [(0, Change.RAISED), (2, Change.CLEARED)]
    assert play(HIGH, (0, 180), (1, 116), (2, 115))[1] == [(0, Change.RAISED), (2, Change.CLEARED)]


def test_it_clears_only_after_the_clear_delay() -> None:
    slow = replace(LOW, clear_delay_ms=5_000)
    heard = play(slow, (0, 70), (1, 95), (3, 89), (4, 95), (8, 95), (9, 95))[1]
    assert heard == [(0, Change.RAISED), (9, Change.CLEARED)]


def test_at_the_extreme_limit_it_raises_at_once() -> None:
    assert play(LOW, (0, 75))[1] == [(0, Change.RAISED)]
    assert play(LOW, (0, 75.1))[1] == []
    assert play(LOW, (0, 75), modality=Modality.SPOT)[1] == [(0, Change.RAISED)]


@pytest.mark.parametrize(("flag", "phase"), [(RangeFlag.BELOW, Phase.ACTIVE), (RangeFlag.ABOVE, Phase.NORMAL)])
def test_a_reading_without_a_number_is_beyond_every_limit_on_its_side(flag: RangeFlag, phase: Phase) -> None:
    state, _ = step(LOW, NORMAL, Sample(0, None, Modality.SPOT, flag))
    assert state.phase is phase


def test_a_spot_check_out_of_range_fires_with_its_repeat_or_without_one() -> None:
    state, heard = play(LOW, (0, 85), modality=Modality.SPOT)
    assert heard == []
    assert step(LOW, state, Sample(60_000, 86, Modality.SPOT))[1] is Change.RAISED
    assert tick(LOW, state, 299_999)[1] is Change.NONE
    assert tick(LOW, state, 300_000)[1] is Change.RAISED
    calm, _ = step(LOW, state, Sample(60_000, 95, Modality.SPOT))
    assert tick(LOW, calm, 300_000) == (calm, Change.NONE)


def test_a_sample_older_than_the_newest_changes_nothing() -> None:
    state, _ = play(LOW, (0, 70), (10, 95))
    assert step(LOW, state, Sample(5_000, 70, Modality.CONTINUOUS)) == (state, Change.NONE)


@pytest.mark.parametrize(
    ("side", "clear", "extreme"), [(Side.BELOW, 87, None), (Side.BELOW, None, 89), (Side.ABOVE, 89, None)]
)
def test_limits_on_the_wrong_side_are_refused(side: Side, clear: float | None, extreme: float | None) -> None:
    with pytest.raises(ValueError, match="limit lies"):
        replace(LOW, side=side, clear_limit=clear, extreme_limit=extreme)


def test_an_extreme_value_worsens_an_active_alarm_once_until_it_is_over() -> None:
    heard = play(LOW, (0, 85), (10, 85), (20, 75), (30, 85), (40, 70), (50, 95), (60, 75))[1]
    assert heard == [(10, Change.RAISED), (20, Change.WORSENED), (50, Change.CLEARED), (60, Change.RAISED)]


def test_an_extreme_value_may_be_more_urgent_and_stays_so() -> None:
    rule_ = replace(LOW, priority=Priority.MEDIUM, extreme_priority=Priority.HIGH)
    assert priority_of(rule_, play(rule_, (0, 85), (10, 85))[0]) is Priority.MEDIUM
    assert priority_of(rule_, play(rule_, (0, 85), (10, 74), (20, 85))[0]) is Priority.HIGH
    lower = replace(LOW, extreme_priority=Priority.LOW)
    assert priority_of(lower, play(lower, (0, 70))[0]) is Priority.HIGH


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(60, 100)), max_size=60))
def test_raised_and_cleared_take_turns_and_the_last_says_the_phase(steps: list[tuple[int, int]]) -> None:
    at, samples = 0, []
    for wait, value in steps:
        at += wait
        samples.append((float(at), float(value)))
    state, heard = play(LOW, *samples)
    changes = [change for _, change in heard if change is not Change.WORSENED]
    assert all(earlier is not later for earlier, later in itertools.pairwise(changes))
    assert (state.phase is Phase.ACTIVE) == (bool(changes) and changes[-1] is Change.RAISED)

"""Rate rules as time lines, in seconds."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.readings import Metric, Modality, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.rates import EMPTY, POINTS, Direction, RateRule, RateState, moved, step
from bedside_profiles.rules.thresholds import Change, Sample

FALL = RateRule("spo2-fall", 1, "spo2_falling", Metric.SPO2, Direction.FALL, 8, 600_000, Priority.HIGH, clear_change=4)
WEIGHT = RateRule(
    *("weight-gain", 1, "weight_gain", Metric.BODY_WEIGHT, Direction.RISE, 2.0, 3 * 86_400_000, Priority.MEDIUM, 1)
)
HOUR = 3600
Said = float | RangeFlag


def play(
    rule: RateRule, *samples: tuple[float, Said], state: RateState = EMPTY
) -> tuple[RateState, list[tuple[float, Change]]]:
    heard: list[tuple[float, Change]] = []
    for at, said in samples:
        flag = said if isinstance(said, RangeFlag) else None
        sample = Sample(round(at * 1000), None if isinstance(said, RangeFlag) else said, Modality.CONTINUOUS, flag)
        state, change = step(rule, state, sample)
        if change is not Change.NONE:
            heard.append((at, change))
    return state, heard


def steady(value: Said, since: int, until: int, every: int = 5) -> list[tuple[float, Said]]:
    return [(float(at), value) for at in range(since, until, every)]


def test_a_fall_within_the_window_raises_once_and_clears_when_it_is_one_no_longer() -> None:
    heard = play(FALL, *steady(97, 0, 300), *steady(88, 300, 1200))[1]
    assert heard[0] == (305.0, Change.RAISED), "when two samples of three are of the new level"
    assert [change for _, change in heard] == [Change.RAISED, Change.CLEARED]
    assert 880 <= heard[1][0] <= 920, "when the last of the old level has left the window"


@pytest.mark.parametrize(("to", "raises"), [(89.1, False), (89.0, True), (88.9, True)])
def test_the_change_itself_counts(to: float, raises: bool) -> None:
    assert bool(play(FALL, *steady(97, 0, 100), *steady(to, 100, 200))[1]) is raises


@pytest.mark.parametrize(("gap", "raises"), [(600, True), (601, False)])
def test_the_far_end_of_the_window_counts(gap: float, raises: bool) -> None:
    rule = replace(FALL, minimum_samples=1)
    assert bool(play(rule, (0, 97), (gap, 80))[1]) is raises


def test_a_rise_is_no_fall() -> None:
    assert play(FALL, *steady(85, 0, 300), *steady(99, 300, 600))[1] == []
    assert len(play(replace(FALL, direction=Direction.RISE), *steady(85, 0, 300), *steady(99, 300, 400))[1]) == 1


@pytest.mark.parametrize("artefact", [20.0, 200.0, RangeFlag.BELOW, RangeFlag.ABOVE])
def test_a_single_artefact_changes_nothing(artefact: Said) -> None:
    assert play(FALL, *steady(97, 0, 300), (300, artefact), *steady(97, 305, 600))[1] == []


def test_artefacts_are_no_beginning_of_a_fall() -> None:
    samples = [(at, 105.0 if at % 50 == 0 else 96.0) for at, _ in steady(0, 0, 600)]
    assert play(FALL, *samples)[1] == []


def test_below_the_devices_range_is_a_fall_of_any_size_and_no_beginning_of_a_rise() -> None:
    assert len(play(FALL, *steady(72, 0, 100), *steady(RangeFlag.BELOW, 100, 200))[1]) == 1
    rising = replace(FALL, direction=Direction.RISE)
    assert play(rising, *steady(RangeFlag.BELOW, 0, 100), *steady(97, 100, 200))[1] == []


def test_a_gap_within_the_window_hides_no_fall_and_samples_far_apart_are_not_one_moment() -> None:
    assert len(play(FALL, *steady(97, 0, 100), *steady(80, 500, 520))[1]) == 1
    assert play(FALL, *steady(97, 0, 100), (300, 80), (455, 80), (610, 80))[1] == []


def test_a_scales_rule_believes_each_weight() -> None:
    assert play(WEIGHT, (0, 80.0), (24 * HOUR, 81.0), (48 * HOUR, 81.9))[1] == []
    assert play(WEIGHT, (0, 80.0), (24 * HOUR, 81.0), (48 * HOUR, 82.0))[1] == [(48 * HOUR, Change.RAISED)]
    assert play(WEIGHT, (0, 80.0), (73 * HOUR, 83.0))[1] == []


def test_an_older_sample_changes_nothing() -> None:
    state, _ = play(FALL, *steady(97, 0, 100))
    assert play(FALL, (50, 20), (51, 20), (52, 20), state=state) == (state, [])


def test_a_state_stays_small_however_fast_the_device_speaks() -> None:
    state, _ = play(FALL, *((at / 10, 97.0) for at in range(20_000)))
    assert len(state.points) <= POINTS + 1
    assert len(state.run) <= FALL.minimum_samples


def test_a_fast_device_is_looked_at_with_each_sample() -> None:
    assert play(FALL, *((at / 10, 97.0 if at < 3000 else 80.0) for at in range(3100)))[1] == [(300.1, Change.RAISED)]


@pytest.mark.parametrize("clear", [0.0, -1.0, 8.1])
def test_a_clear_change_outside_is_refused(clear: float) -> None:
    with pytest.raises(ValueError, match="clear change"):
        replace(FALL, clear_change=clear)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(60, 100)), max_size=40), st.integers(-(10**9), 10**9))
def test_where_the_time_line_begins_does_not_matter(steps: list[tuple[int, int]], offset: int) -> None:
    at, samples = 0, []
    for wait, value in steps:
        at += wait
        samples.append((float(at), float(value)))
    half = len(samples) // 2
    state, first = play(FALL, *samples[:half])
    later, second = play(
        FALL, *((at + offset, value) for at, value in samples[half:]), state=moved(state, offset * 1000)
    )
    assert play(FALL, *samples)[1] == first + [(at - offset, change) for at, change in second]
    changes = [change for _, change in play(FALL, *samples)[1]]
    assert all(one is not other for one, other in itertools.pairwise(changes))
    assert later.active == (bool(changes) and changes[-1] is Change.RAISED)

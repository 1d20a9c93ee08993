"""What stands at the edges of a trend."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOON_MS

from bedside_cloud.gateway.trend_scale import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    MOST_TIMES,
    MOST_VALUES,
    Limit,
    scale_for,
    time_ticks,
    value_ticks,
)
from bedside_profiles.rules.thresholds import Side

SATURATION, BOUNDS = (85.0, 100.0), (0.0, 100.0)


def test_a_quiet_patient_is_shown_in_the_usual_frame() -> None:
    assert scale_for(SATURATION, BOUNDS, [96.0, 97.0], ()) == SATURATION


def test_the_frame_is_wider_where_values_and_limits_need_it_and_ends_at_what_can_be() -> None:
    assert scale_for(SATURATION, BOUNDS, [71.0, 99.0], ()) == (70.0, 100.0)
    lowest, highest = scale_for(SATURATION, BOUNDS, [97.0], (Limit(84, Side.BELOW),))
    assert lowest < 83
    assert highest == 100.0


def test_values_at_the_edge_are_round() -> None:
    assert value_ticks(85, 100) == [85, 90, 95, 100]
    assert value_ticks(35, 40) == [35, 36, 37, 38, 39, 40]
    assert value_ticks(52.5, 147.5) == [60, 80, 100, 120, 140]


def test_times_at_the_edge_are_round() -> None:
    def labels(span_ms: int) -> list[str]:
        return [label for _, label in time_ticks(NOON_MS, NOON_MS + span_ms)]

    assert labels(4 * MINUTE_MS) == ["14:14", "14:15", "14:16", "14:17"]
    assert labels(4 * HOUR_MS) == ["15:00", "16:00", "17:00", "18:00"]
    assert labels(DAY_MS) == ["18:00", "00:00", "06:00", "12:00"]
    assert labels(4 * DAY_MS) == ["22 Sep", "23 Sep", "24 Sep", "25 Sep"]


@given(st.integers(0, 2 * NOON_MS), st.integers(MINUTE_MS, 60 * DAY_MS))
def test_times_are_within_and_few(from_ms: int, span_ms: int) -> None:
    ticks = [at_ms for at_ms, _ in time_ticks(from_ms, from_ms + span_ms)]
    assert len(ticks) <= MOST_TIMES + 1
    assert all(from_ms <= at_ms <= from_ms + span_ms for at_ms in ticks)


@given(st.floats(0, 400), st.floats(1, 400))
def test_values_are_within_and_few(lowest: float, span: float) -> None:
    ticks = value_ticks(lowest, lowest + span)
    assert len(ticks) <= MOST_VALUES + 1
    assert all(lowest - 1e-6 <= tick <= lowest + span + 1e-6 for tick in ticks)

"""What is believed of a hub's clock."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOON_MS
from tests.support.readings import reading
from tests.support.wire_strategies import reading_lists

from bedside_cloud.ingest.timing import CLOCK_TOLERANCE_MS, believable_times
from bedside_profiles.readings import ClockQuality, Reading

YEAR_MS = 365 * 86_400_000


def timed(*moments: tuple[int, int]) -> list[Reading]:
    """Readings by wall time and monotonic time, in milliseconds."""
    return [reading(seq=place, taken_at_ms=at, monotonic_ms=mono) for place, (at, mono) in enumerate(moments, 1)]


def test_the_past_and_a_clock_that_is_a_little_ahead_are_believed() -> None:
    moments = [NOON_MS - YEAR_MS, NOON_MS - 1, NOON_MS + CLOCK_TOLERANCE_MS]
    assert believable_times(timed(*((at, at) for at in moments)), NOON_MS) == moments
    assert believable_times([], NOON_MS) == []


def test_a_clock_that_is_ahead_is_set_back_and_distances_stand() -> None:
    ahead = timed((NOON_MS + YEAR_MS, 1_000), (NOON_MS + YEAR_MS + 250, 1_250))
    assert believable_times(ahead, NOON_MS) == [NOON_MS - 250, NOON_MS]


def test_what_was_timed_after_the_clock_was_set_stays() -> None:
    mixed = timed((NOON_MS + YEAR_MS, 1_000), (NOON_MS - 500, 2_000), (NOON_MS - 250, 2_250))
    assert believable_times(mixed, NOON_MS) == [NOON_MS, NOON_MS - 500, NOON_MS - 250]


def test_a_hub_that_does_not_know_the_time_speaks_of_now() -> None:
    in_1970 = [replace(one, clock_quality=ClockQuality.UNSYNCED) for one in timed((5_000, 5_000), (6_000, 6_000))]
    assert believable_times(in_1970, NOON_MS) == [NOON_MS - 1_000, NOON_MS]


@given(reading_lists(), st.integers(0, 253402300799999))
def test_nothing_is_taken_after_it_was_heard_nor_before_all_time(rows: tuple[Reading, ...], heard_at_ms: int) -> None:
    for believed, one in zip(believable_times(rows, heard_at_ms), rows, strict=True):
        assert 0 <= believed <= max(heard_at_ms + CLOCK_TOLERANCE_MS, 0)
        if all(other.clock_quality is not ClockQuality.UNSYNCED for other in rows):
            assert believed <= one.taken_at_ms

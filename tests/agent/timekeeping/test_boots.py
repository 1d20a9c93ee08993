"""Times of moments, from what was known of the clock and when."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bedside_agent.timekeeping.boots import MOST_ANCHORS, Anchor, Boot, resolve
from bedside_profiles.readings import ClockQuality

NOON = 1_790_000_000_000
HOUR = 3_600_000


def test_before_the_first_anchor_the_distance_to_it_counts() -> None:
    boot = Boot("a", 0, anchors=(Anchor(600_000, NOON),))
    assert boot.known_utc_ms(0) == NOON - 600_000
    assert boot.known_utc_ms(599_999) == NOON - 1
    assert boot.known_utc_ms(600_001) == NOON + 1


def test_between_two_anchors_the_crystals_error_is_taken_out() -> None:
    """Ten hours without a time service at 100 parts in a million are 3.6 s; in the middle it is half of that."""
    boot = Boot("a", 0, anchors=(Anchor(0, NOON), Anchor(10 * HOUR, NOON + 10 * HOUR + 3_600)))
    assert boot.known_utc_ms(5 * HOUR) == NOON + 5 * HOUR + 1_800
    assert boot.known_utc_ms(11 * HOUR) == NOON + 11 * HOUR + 3_600


def test_a_boot_without_any_time_waits_for_one() -> None:
    boots = (Boot("a", 0, last_monotonic_ms=HOUR), Boot("b", 0))
    assert resolve(boots, "a", 5) is None
    assert resolve(boots, "b", 5) is None
    assert resolve(boots, "nobody's", 5) is None


def test_a_boot_in_1970_ended_when_the_next_began() -> None:
    boots = (
        Boot("a", 0, last_monotonic_ms=HOUR, anchors=(Anchor(0, NOON),)),
        Boot("b", 5_000, last_monotonic_ms=20_000),
        Boot("c", 5_000, anchors=(Anchor(30_000, NOON + 2 * HOUR),)),
    )
    newest = resolve(boots, "b", 20_000)
    assert newest is not None
    assert (newest.utc_ms, newest.quality) == (NOON + 2 * HOUR - 30_000, ClockQuality.ESTIMATED)
    earlier = resolve(boots, "b", 10_000)
    assert earlier is not None
    assert newest.utc_ms - earlier.utc_ms == 10_000


def test_a_clock_that_stood_still_in_between_is_believed_where_it_can_be() -> None:
    """A hub that starts at its last shutdown is a little behind; that is nearer than nothing."""
    boots = (
        Boot("a", 0, last_monotonic_ms=HOUR, anchors=(Anchor(0, NOON),)),
        Boot("b", NOON + HOUR + 2_000, last_monotonic_ms=60_000),
        Boot("c", NOON + HOUR + 70_000, anchors=(Anchor(10_000, NOON + 5 * HOUR),)),
    )
    found = resolve(boots, "b", 10_000)
    assert found is not None
    assert found.utc_ms == NOON + HOUR + 12_000


def test_a_clock_a_year_ahead_is_not_believed() -> None:
    year = 365 * 24 * HOUR
    boots = (
        Boot("a", 0, last_monotonic_ms=HOUR, anchors=(Anchor(0, NOON),)),
        Boot("b", NOON + year, last_monotonic_ms=60_000),
        Boot("c", NOON + year, anchors=(Anchor(0, NOON + 5 * HOUR),)),
    )
    found = resolve(boots, "b", 60_000)
    assert found is not None
    assert found.utc_ms == NOON + 5 * HOUR


def test_anchors_are_bounded_and_the_first_stays() -> None:
    boot = Boot("a", 0)
    for hour in range(100):
        boot = boot.with_anchor(Anchor(hour * HOUR, NOON + hour * HOUR))
    assert len(boot.anchors) == MOST_ANCHORS
    assert boot.anchors[0] == Anchor(0, NOON)
    assert boot.anchors[-1] == Anchor(99 * HOUR, NOON + 99 * HOUR)


BOOT = st.tuples(
    st.integers(0, 10**12),  # what the wall clock claims at the start
    st.integers(1, 10 * HOUR),  # how long the boot lasts
    st.integers(0, 20 * HOUR),  # how long the power is off before it
    st.booleans(),  # whether the time was known in it
)


@given(st.lists(BOOT, min_size=1, max_size=6), st.data())
def test_order_is_kept_over_any_boots(drawn: list[tuple[int, int, int, bool]], data: st.DataObject) -> None:
    """Whatever the clocks said: a later moment never gets an earlier time, and known boots are exact."""
    boots, moments, now = [], [], NOON
    for number, (claim, lasts, off, known) in enumerate(drawn):
        now += off
        start = now
        anchors = (Anchor(lasts, start + lasts),) if known else ()
        boots.append(Boot(str(number), claim, last_monotonic_ms=lasts, anchors=anchors))
        at = sorted(data.draw(st.lists(st.integers(0, lasts), min_size=1, max_size=3)))
        moments += [(str(number), monotonic, start + monotonic, known) for monotonic in at]
        now += lasts
    boots.append(Boot("present", 0, anchors=(Anchor(1_000, now + 1_000),)))
    found = [resolve(boots, boot_id, monotonic) for boot_id, monotonic, _, _ in moments]
    times = [one.utc_ms for one in found if one is not None]
    assert len(times) == len(moments)
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
    assert all(time == truth for time, (_, _, truth, known) in zip(times, moments, strict=True) if known)

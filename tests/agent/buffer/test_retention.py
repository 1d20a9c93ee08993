"""What goes when the disk is full, as decisions on values."""

from tests.support.clock import BOOT
from tests.support.readings import alarm, event, reading

from bedside_agent.buffer.contents import Item
from bedside_agent.buffer.retention import FRESH_MS, gap_for, is_fresh, joined, thin, unsettled
from bedside_profiles.readings import Metric, Modality, RangeFlag
from bedside_profiles.wire.events import Gap, GapReason

HOUR_MS = 3_600_000


def gap(first: int, last: int, reason: GapReason = GapReason.DISK_FULL, at_ms: int | None = None) -> Gap:
    return Gap(first, last, last - first + 1, reason, at_ms, at_ms)


def test_of_each_minute_the_lowest_the_highest_and_the_nearest_to_the_mean_stay() -> None:
    values = [97.0, 96.0, 98.0, 91.0, 97.5, 95.5]
    minute = [reading(value, seq=seq, monotonic_ms=HOUR_MS + seq) for seq, value in enumerate(values, 1)]
    other = [reading(60.0 + seq, seq=seq, metric=Metric.PULSE_RATE, monotonic_ms=HOUR_MS) for seq in (7, 8)]
    later = [reading(97.0, seq=9, monotonic_ms=HOUR_MS + 60_000)]
    stay = thin([*minute, *other, *later])
    # 95.83 is the mean of the first six.
    assert [one.seq for one in stay] == [2, 3, 4, 7, 8, 9]


def test_single_checks_and_readings_without_a_number_are_never_thinned() -> None:
    spots = [reading(97.0, seq=seq, modality=Modality.SPOT) for seq in range(1, 5)]
    beyond = [reading(None, seq=seq, range_flag=RangeFlag.BELOW) for seq in range(5, 9)]
    assert thin([*spots, *beyond]) == (*spots, *beyond)


def test_the_last_ten_minutes_of_this_boot_are_fresh() -> None:
    one = reading(monotonic_ms=HOUR_MS)
    assert is_fresh(one, BOOT, HOUR_MS + FRESH_MS - 1)
    assert not is_fresh(one, BOOT, HOUR_MS + FRESH_MS)
    assert not is_fresh(one, "another boot", HOUR_MS)
    assert not is_fresh(event(monotonic_ms=HOUR_MS), BOOT, HOUR_MS)


def test_a_gap_counts_what_it_stands_for_and_an_alarm_is_never_one() -> None:
    assert gap_for(reading(seq=4, taken_at_ms=7)) == gap(4, 4, at_ms=7)
    assert gap_for(event(seq=4, at_ms=7)) == gap(4, 4, at_ms=7)
    assert gap_for(alarm(seq=4)) == alarm(seq=4)
    assert gap_for(gap(4, 9)) == gap(4, 9)


def test_only_gaps_that_touch_and_have_one_reason_are_joined() -> None:
    corrupt = gap(7, 8, GapReason.STORE_CORRUPT)
    items: list[Item] = [
        gap(1, 2, at_ms=30),
        gap(3, 3, at_ms=10),
        gap(5, 6),
        corrupt,
        reading(seq=9),
        gap(10, 10),
        gap(11, 12),
    ]
    assert joined(items) == (Gap(1, 3, 3, GapReason.DISK_FULL, 10, 30), gap(5, 6), corrupt, items[4], gap(10, 12))


def test_what_a_receipt_covers_needs_no_gap() -> None:
    items = (reading(seq=1), reading(seq=2), gap(3, 5), gap(6, 7))
    assert unsettled(items, ((1, 1), (3, 6))) == (items[1], items[3])

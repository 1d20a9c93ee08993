"""When a reading was taken, if the hub's clock cannot be right. Pure."""

from collections.abc import Sequence

from bedside_profiles.readings import ClockQuality, Reading
from bedside_profiles.wire.waveform import Waveform

CLOCK_TOLERANCE_MS = 5_000
"""How far a hub's clock may be ahead of the broker's before its times are not believed."""

SAME_CLOCK_MS = 1_000
"""Wall time less monotonic time of two readings differs by less while nobody sets the hub's clock."""

MOST_CLOCKS = 16
"""Settings of the clock that are told apart in one batch. Real hubs need two; more would only cost time."""


def believable_times(readings: Sequence[Reading | Waveform], heard_at_ms: int) -> list[int]:
    """`taken_at` of each reading, in UTC milliseconds: nothing was measured after it was heard.

    A clock that is years ahead would make every later, rightly timed reading look old: rules would not look at it and
    screens would not show it. Readings that the clock timed before it was set again are moved together, so that the
    newest of them was taken when they were heard and their distances stand. So are those of a hub that does not
    know the time at all, whatever its clock says: it sends such readings only after it has asked for the time in vain.
    """
    times = [one.taken_at_ms for one in readings]
    latest_ms = heard_at_ms + CLOCK_TOLERANCE_MS
    unknown = [row for row, one in enumerate(readings) if one.clock_quality is ClockQuality.UNSYNCED]
    if not unknown and max(times, default=0) <= latest_ms:
        return times
    clocks = _clocks(readings)
    newest: dict[int, int] = {}
    for one, clock in zip(readings, clocks, strict=True):
        newest[clock] = max(newest.get(clock, 0), one.taken_at_ms)
    wrong = {clocks[row] for row in unknown}
    excess = {clock: at_ms - heard_at_ms for clock, at_ms in newest.items() if at_ms > latest_ms or clock in wrong}
    return [max(0, at_ms - excess.get(clock, 0)) for at_ms, clock in zip(times, clocks, strict=True)]


def _clocks(readings: Sequence[Reading | Waveform]) -> list[int]:
    """A number for each reading, the same for those between which nobody set the clock."""
    settings: list[tuple[str, int]] = []
    return [_clock(one, settings) for one in readings]


def _clock(one: Reading | Waveform, settings: list[tuple[str, int]]) -> int:
    offset_ms = one.taken_at_ms - one.monotonic_ms
    for number, (boot_id, known_ms) in enumerate(settings):
        if boot_id == one.boot_id and abs(offset_ms - known_ms) < SAME_CLOCK_MS:
            return number
    if len(settings) < MOST_CLOCKS:
        settings.append((one.boot_id, offset_ms))
        return len(settings) - 1
    return MOST_CLOCKS

"""When a device took what it tells: now, or when its memory says, corrected by how wrong its clock is. Pure.

A device's clock is wrong by minutes and says so by nobody: it is measured at each connection, and what it stamped is
moved by that much. What it stamped after the hub had set it is right as it stands. A stamp that cannot be (no date, the
future, a clock that was never set, or is a day off) dates nothing.

A hub that does not know the time dates nothing either: what it hears, it takes for now, unless it was stamped before
the device was given to whom it measures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedside_agent.clock import Instant
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.ownership import latest_ms
from bedside_profiles.readings import ClockQuality, Measurement, Modality, Quality

MOST_OFFSET = timedelta(days=1)
"""A clock that is wrong by more was reset: nobody knows how long it stood."""

MOST_AGE = timedelta(days=400)
"""Home devices keep some hundred records; an older stamp is a clock that was never set."""

TOLERANCE = timedelta(minutes=2)
"""How far into the future a stamp may point: clocks of devices without a measured offset."""

STAMP_TOLERANCE = timedelta(seconds=2)
"""Stamps are whole seconds, and setting a clock takes a moment."""

ToUtc = Callable[[datetime], int]
"""UTC milliseconds of a wall time where the patient lives, without a zone."""


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """A device's clock as it was measured on its present connection, at that moment."""

    measured: ClockMeasured
    at: Instant


@dataclass(frozen=True, slots=True)
class Dated:
    """`utc_ms` is when it was taken, as well as anybody knows. `is_certain` is False for a record of a memory that
    nothing dates: then it is when it was heard."""

    utc_ms: int
    is_certain: bool


def dated(
    measurement: Measurement,
    heard_at: Instant,
    clock: DeviceClock | None,
    to_utc: ToUtc,
    given_ms: int | None = None,
) -> Dated:
    """When it was taken. `given_ms` (UTC) is since when the device measures whom it measures, where a plan says so."""
    now = Dated(heard_at.utc_ms, is_certain=True)
    if measurement.modality is not Modality.SPOT or measurement.is_live:
        return now
    if measurement.device_time is None:
        # Without a number either, it was taken just now, for all that anybody can tell; but a device whose clock was
        # never set stamps what it has in its memory no better.
        is_undated = measurement.record is not None or Quality.DEVICE_CLOCK_UNSET in measurement.quality
        return Dated(heard_at.utc_ms, is_certain=not is_undated)
    if heard_at.quality is not ClockQuality.SYNCED:
        latest = latest_ms(measurement.device_time)
        return Dated(heard_at.utc_ms, is_certain=latest is None or given_ms is None or latest >= given_ms)
    taken_ms = None
    if Quality.DEVICE_CLOCK_UNSET not in measurement.quality:
        taken_ms = _corrected(to_utc(datetime.fromisoformat(measurement.device_time)), heard_at.utc_ms, clock)
    if taken_ms is None or not heard_at.utc_ms - _ms(MOST_AGE) <= taken_ms <= heard_at.utc_ms + _ms(TOLERANCE):
        return Dated(heard_at.utc_ms, is_certain=False)
    return Dated(min(taken_ms, heard_at.utc_ms), is_certain=True)


def local_to_utc_ms(wall: datetime) -> int:
    """`ToUtc` of a hub that stands where the patient lives. An hour that comes twice is taken for its first."""
    return round(wall.timestamp() * 1000)


def _corrected(stamp_ms: int, heard_ms: int, clock: DeviceClock | None) -> int | None:
    if clock is None:
        return stamp_ms
    if clock.measured.is_set:
        tolerance_ms = _ms(STAMP_TOLERANCE)
        if clock.at.utc_ms - tolerance_ms <= stamp_ms <= heard_ms + tolerance_ms:
            return stamp_ms
    offset_seconds = clock.measured.offset_seconds
    # One that says no time, or is a day off, was reset at a time that nobody knows.
    if offset_seconds is None or abs(offset_seconds) > MOST_OFFSET.total_seconds():
        return None
    return stamp_ms - round(offset_seconds * 1000)


def _ms(length: timedelta) -> int:
    return round(length.total_seconds() * 1000)

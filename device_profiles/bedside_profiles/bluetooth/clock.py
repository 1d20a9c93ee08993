"""A device's own clock: Current Time (2A2B), Date Time (2A08), and what goes with them (2A0F, 2A14).

A clock that is wrong is set by writing the same characteristic. Many cuffs and scales leave the time out of their
measurements until that was done on the present connection. 2A08 stands in several services, 2A2B in 0x1805.
"""

from datetime import datetime
from enum import IntFlag

from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import encode_date_time
from bedside_profiles.profile import Decoded, Fact, Service, sig_uuid

NAME = "bluetooth.clock"
SERVICE = sig_uuid(0x1805)
DATE_TIME, CURRENT_TIME, LOCAL_TIME, REFERENCE = (sig_uuid(short) for short in (0x2A08, 0x2A2B, 0x2A0F, 0x2A14))

_QUARTER_HOUR_MINUTES = 15
_UNKNOWN_ZONE, _EASTERNMOST, _WESTERNMOST = -128, 56, -48
_UNKNOWN_DAYLIGHT_SAVING = 255
_DAYLIGHT_SAVING_MINUTES = {0: 0, 2: 30, 4: 60, 8: 120}
_SUNDAY = 7
_FRACTIONS_A_SECOND = 256


class AdjustReason(IntFlag):
    """Why a clock was set."""

    MANUAL = 1
    REFERENCE = 2
    TIME_ZONE = 4
    DAYLIGHT_SAVING = 8


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value as facts. Raises `DecodeError`."""
    readers = {DATE_TIME: _date_time, CURRENT_TIME: _current_time, LOCAL_TIME: _local_time, REFERENCE: _reference}
    if characteristic not in readers:
        raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)
    cursor = Cursor(NAME, payload)
    facts = readers[characteristic](cursor)
    cursor.end()
    return Decoded(facts=facts)


def encode_current_time(moment: datetime, reason: AdjustReason) -> bytes:
    """What sets a clock by 2A2B to that wall time, to 1/256 s. For 2A08: `numbers.encode_date_time`."""
    fraction = moment.microsecond * _FRACTIONS_A_SECOND // 1_000_000
    return encode_date_time(moment) + bytes((moment.isoweekday(), fraction, reason))


def _date_time(cursor: Cursor) -> tuple[Fact, ...]:
    """A device that does not know the date may still know the hour."""
    raw = cursor.take(7, "date")
    moment = Cursor(NAME, raw).date_time("date")
    if moment is None:
        hour, minute, second = raw[4:]
        return (Fact("date_known", False), Fact("time_of_day", f"{hour:02}:{minute:02}:{second:02}"))
    return (Fact("date_known", True), Fact("device_time", moment.isoformat()))


def _current_time(cursor: Cursor) -> tuple[Fact, ...]:
    told = _date_time(cursor)
    day, fraction, reason = (
        cursor.unsigned(1, what) for what in ("day of week", "fraction of a second", "adjust reason")
    )
    if day > _SUNDAY:
        raise cursor.error(f"no day of the week: {day}")
    return (
        *told,
        Fact("day_of_week", day),
        Fact("second_fraction_256", fraction),
        Fact("adjust_reason", reason),
    )


def _local_time(cursor: Cursor) -> tuple[Fact, ...]:
    zone, saving = cursor.signed(1, "time zone"), cursor.unsigned(1, "daylight saving")
    facts = []
    if _WESTERNMOST <= zone <= _EASTERNMOST:
        facts.append(Fact("time_zone_minutes", zone * _QUARTER_HOUR_MINUTES))
    elif zone != _UNKNOWN_ZONE:
        raise cursor.error(f"no time zone: {zone} quarters of an hour")
    if saving in _DAYLIGHT_SAVING_MINUTES:
        facts.append(Fact("daylight_saving_minutes", _DAYLIGHT_SAVING_MINUTES[saving]))
    elif saving != _UNKNOWN_DAYLIGHT_SAVING:
        raise cursor.error(f"no daylight saving: {saving}")
    return (Fact("time_zone_known", zone != _UNKNOWN_ZONE), *facts)


def _reference(cursor: Cursor) -> tuple[Fact, ...]:
    source, accuracy, days, hours = (
        cursor.unsigned(1, what) for what in ("source", "accuracy", "days since update", "hours since update")
    )
    return (
        Fact("time_source", source),
        Fact("time_accuracy_eighths_s", accuracy),
        Fact("days_since_update", days),
        Fact("hours_since_update", hours),
    )


SERVICE_PROFILE = Service(NAME, "Clock", SERVICE, (CURRENT_TIME, DATE_TIME, LOCAL_TIME, REFERENCE), decode)

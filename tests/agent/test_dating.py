"""When a device took what it tells: its clock may be wrong, set, reset, or none."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_agent.clock import Instant
from bedside_agent.dating import Dated, DeviceClock, dated
from bedside_profiles.bluetooth import blood_pressure, pulse_oximeter
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.profile import Decoded
from bedside_profiles.readings import ClockQuality, Measurement, Metric, Modality, Quality

NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
NOW_MS = round(NOON.timestamp() * 1000)
BOOT = "11111111-1111-4111-8111-111111111111"
HEARD = Instant(NOW_MS, 5_000_000, BOOT, ClockQuality.SYNCED)
CONNECTED = Instant(NOW_MS - 10_000, 4_990_000, BOOT, ClockQuality.SYNCED)


def utc(wall: datetime) -> int:
    """The patient lives at Greenwich, in winter."""
    return round(wall.replace(tzinfo=UTC).timestamp() * 1000)


def record(stamp: str | None, *, number: int | None = None, quality: tuple[Quality, ...] = ()) -> Measurement:
    return Measurement(Metric.GLUCOSE, 104.0, Modality.SPOT, device_time=stamp, record=number, quality=quality)


def clock(offset_seconds: float | None, *, is_set: bool = False) -> DeviceClock:
    return DeviceClock(ClockMeasured(offset_seconds, is_set=is_set), CONNECTED)


def at(text: str) -> Dated:
    return Dated(utc(datetime.fromisoformat(text)), is_certain=True)


DOUBTFUL = Dated(NOW_MS, is_certain=False)
LIVE = Dated(NOW_MS, is_certain=True)


@pytest.mark.parametrize(
    ("measurement", "device_clock", "expected"),
    [
        (record(None), None, LIVE),
        (record(None, number=7), None, DOUBTFUL),
        (record(None, quality=(Quality.DEVICE_CLOCK_UNSET,)), None, DOUBTFUL),
        (record(None, quality=(Quality.DEVICE_CLOCK_UNSET,)), clock(0.0, is_set=True), DOUBTFUL),
        (record("2026-03-01T07:00:00"), None, at("2026-03-01T07:00:00")),
        (record("2026-03-01T07:00:00"), clock(0.0), at("2026-03-01T07:00:00")),
        (record("2026-03-01T07:00:00"), clock(-78.0), at("2026-03-01T07:01:18")),
        (record("2026-03-01T07:00:00"), clock(600.0, is_set=True), at("2026-03-01T06:50:00")),
        # Stamped after the hub had set it, a few seconds ago.
        (record("2026-03-02T11:59:55"), clock(-78.0, is_set=True), at("2026-03-02T11:59:55")),
        (record("2026-03-02T11:59:55"), clock(None, is_set=True), at("2026-03-02T11:59:55")),
        # Stamped before, by a clock that is fast.
        (record("2026-03-02T12:09:00"), clock(600.0, is_set=True), at("2026-03-02T11:59:00")),
        (record("2026-03-01T07:00:00"), clock(None, is_set=True), DOUBTFUL),
        (record("2026-03-01T07:00:00"), clock(-3 * 86_400.0), DOUBTFUL),
        (record("2017-01-01T00:03:00"), None, DOUBTFUL),
        (record("1970-01-01T00:03:00"), clock(0.0), DOUBTFUL),
        (record("2026-03-02T13:00:00"), None, DOUBTFUL),
        (record("2026-03-02T12:01:00"), None, LIVE),
        (record("2026-03-01T07:00:00", quality=(Quality.DEVICE_CLOCK_UNSET,)), clock(0.0), DOUBTFUL),
    ],
)
def test_a_record_is_dated_by_its_clock_as_far_as_that_can_be_believed(
    measurement: Measurement, device_clock: DeviceClock | None, expected: Dated
) -> None:
    assert dated(measurement, HEARD, device_clock, utc) == expected


def test_a_stream_is_taken_when_it_is_heard_whatever_it_says() -> None:
    stream = Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS, device_time="2026-03-01T07:00:00")
    assert dated(stream, HEARD, None, utc) == LIVE


@pytest.mark.parametrize(
    ("stamp", "given", "is_certain"),
    [
        ("2026-03-01T07:00:00", None, True),
        ("2026-03-01T07:00:00", "2026-03-01T06:00:00", True),
        # The stamp has no zone, and the clock may be wrong by a day.
        ("2026-03-01T07:00:00", "2026-03-02T07:00:00", True),
        ("2026-03-01T07:00:00", "2026-03-02T07:00:01", False),
        ("2017-01-01T00:03:00", "2026-03-02T07:00:00", False),
        (None, "2026-03-02T07:00:00", True),
    ],
)
@pytest.mark.parametrize("offset", [None, 0.0, -3 * 86_400.0])
def test_a_hub_that_does_not_know_the_time_doubts_what_is_older_than_the_devices_present_use(
    stamp: str | None, given: str | None, is_certain: bool, offset: float | None
) -> None:
    lost = Instant(NOW_MS, 5_000_000, BOOT, ClockQuality.UNSYNCED)
    given_ms = None if given is None else utc(datetime.fromisoformat(given))
    found = dated(record(stamp), lost, clock(offset), utc, given_ms)
    assert found == Dated(NOW_MS, is_certain=is_certain)


def test_such_a_hub_doubts_what_has_a_number_and_no_stamp() -> None:
    lost = Instant(NOW_MS, 5_000_000, BOOT, ClockQuality.UNSYNCED)
    assert dated(record(None, number=7), lost, None, utc) == DOUBTFUL


@given(
    age_seconds=st.integers(11, 300 * 86_400),
    offset_seconds=st.integers(-86_400, 86_400),
    is_set=st.booleans(),
)
def test_what_was_stamped_before_the_connection_is_right_within_its_seconds(
    age_seconds: int, offset_seconds: int, is_set: bool
) -> None:
    taken = NOON - timedelta(seconds=age_seconds)
    stamp = (taken + timedelta(seconds=offset_seconds)).replace(tzinfo=None)
    found = dated(record(stamp.isoformat()), HEARD, clock(float(offset_seconds), is_set=is_set), utc)
    ambiguous = is_set and timedelta(seconds=-12) <= stamp.replace(tzinfo=UTC) - NOON <= timedelta(seconds=2)
    if not ambiguous:
        assert found == Dated(round(taken.timestamp() * 1000), is_certain=True)


@given(lag_seconds=st.integers(0, 8), offset_seconds=st.integers(-86_400, 86_400))
def test_what_was_stamped_after_the_clock_was_set_needs_no_correction(lag_seconds: int, offset_seconds: int) -> None:
    stamp = NOON - timedelta(seconds=lag_seconds)
    found = dated(record(stamp.replace(tzinfo=None).isoformat()), HEARD, clock(float(offset_seconds), is_set=True), utc)
    assert found == Dated(round(stamp.timestamp() * 1000), is_certain=True)


@pytest.mark.parametrize("stamp", [None, "2017-01-01T00:03:00", "2026-03-02T11:59:00"])
def test_a_check_that_cannot_come_out_of_a_memory_was_taken_now_whatever_its_clock_shows(stamp: str | None) -> None:
    check = Measurement(
        Metric.SPO2,
        84.0,
        Modality.SPOT,
        quality=(Quality.DEVICE_CLOCK_UNSET,),
        device_time=stamp,
        is_live=True,
    )
    assert dated(check, HEARD, clock(-7.0 * 86_400), utc) == LIVE


def test_an_oximeters_single_check_is_one_and_a_cuffs_is_not() -> None:
    (checked,) = pulse_oximeter.PROFILE.listen().feed(
        pulse_oximeter.SPOT_CHECK,
        pulse_oximeter.encode(pulse_oximeter.SPOT_CHECK, [Measurement(Metric.SPO2, 84.0, Modality.SPOT)]),
    )
    assert isinstance(checked, Decoded)
    assert all(one.is_live for one in checked.measurements)
    pressures = [
        Measurement(Metric.SYSTOLIC_PRESSURE, 120.0, Modality.SPOT),
        Measurement(Metric.DIASTOLIC_PRESSURE, 80.0, Modality.SPOT),
    ]
    (measured,) = blood_pressure.PROFILE.listen().feed(
        blood_pressure.MEASUREMENT, blood_pressure.encode(blood_pressure.MEASUREMENT, pressures)
    )
    assert isinstance(measured, Decoded)
    assert not any(one.is_live for one in measured.measurements)

"""Continuous glucose sensors: records in one value, both CRCs, what a sensor says against its own number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import continuous_glucose
from bedside_profiles.bluetooth.continuous_glucose import MEASUREMENT, SensorListener, SensorRecord, records_of
from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import crc16_ccitt_false, decode_sfloat
from bedside_profiles.profile import Decoded, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality, Quality, RangeFlag

numbers = st.integers(0, 0xFFFF).map(decode_sfloat)
octets = st.none() | st.integers(0, 255)
records = st.builds(
    SensorRecord,
    numbers,
    st.integers(0, 0xFFFF),
    octets,
    octets,
    octets,
    st.none() | numbers,
    st.none() | numbers,
    st.booleans(),
)


@given(st.lists(records, min_size=1, max_size=4))
def test_records_survive_together_in_one_value(several: list[SensorRecord]) -> None:
    assert records_of(b"".join(record.to_bytes() for record in several)) == tuple(several)


@given(
    st.integers(1, 2000) | st.sampled_from(RangeFlag),
    st.none() | st.integers(-500, 500),
    st.sets(st.sampled_from([Quality.LOW_BATTERY, Quality.QUESTIONABLE])),
)
def test_reads_what_it_writes(value: int | RangeFlag, trend: int | None, quality: set[Quality]) -> None:
    shared = tuple(one for one in (Quality.LOW_BATTERY, Quality.QUESTIONABLE) if one in quality)
    measurements = [
        Measurement(
            Metric.GLUCOSE,
            None if isinstance(value, RangeFlag) else float(value),
            Modality.CONTINUOUS,
            range_flag=value if isinstance(value, RangeFlag) else None,
            quality=shared,
        )
    ]
    if trend is not None:
        measurements.append(Measurement(Metric.GLUCOSE_TREND, trend / 10, Modality.CONTINUOUS, quality=shared))
    (outcome,) = SensorListener().feed(MEASUREMENT, continuous_glucose.encode(MEASUREMENT, measurements))
    assert isinstance(outcome, Decoded)
    assert outcome.measurements == tuple(measurements)


@given(st.data())
def test_one_flipped_bit_of_a_protected_record_gives_no_value(data: st.DataObject) -> None:
    good = SensorRecord(120.0, 5, status=0, trend=1.5, quality=90.0, checked=True).to_bytes()
    listener = SensorListener()
    assert isinstance(listener.feed(MEASUREMENT, good)[0], Decoded)
    broken = bytearray(good)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    broken[bit // 8] ^= 1 << bit % 8
    (outcome,) = listener.feed(MEASUREMENT, bytes(broken))
    assert isinstance(outcome, DecodeError)


def test_a_crc_that_passes_for_a_trend_is_not_believed_of_a_sensor_that_protects_its_records() -> None:
    good = SensorRecord(120.0, 5, checked=True).to_bytes()
    passing = bytes((good[0], good[1] | 0x01)) + good[2:]
    assert isinstance(SensorListener().feed(MEASUREMENT, passing)[0], Decoded)
    listener = SensorListener()
    listener.feed(MEASUREMENT, good)
    (outcome,) = listener.feed(MEASUREMENT, passing)
    assert isinstance(outcome, DecodeError)
    assert "no E2E-CRC" in outcome.reason


def test_either_crc_is_good() -> None:
    record = SensorRecord(120.0, 5).to_bytes()
    protected = bytes((record[0] + 2,)) + record[1:]
    other = protected + crc16_ccitt_false(protected).to_bytes(2, "little")
    (outcome,) = SensorListener().feed(MEASUREMENT, other)
    assert isinstance(outcome, Decoded)
    assert outcome.measurements[0].value == 120.0


@pytest.mark.parametrize("bit", [0, 2, 3, 5])
def test_a_sensor_that_does_not_work_has_no_reading(bit: int) -> None:
    (outcome,) = SensorListener().feed(MEASUREMENT, SensorRecord(120.0, 5, status=1 << bit, trend=1.0).to_bytes())
    assert isinstance(outcome, Decoded)
    assert outcome.measurements == ()
    assert [(one.metric, one.reason) for one in outcome.withheld] == [
        (Metric.GLUCOSE, NoReading.INVALID),
        (Metric.GLUCOSE_TREND, NoReading.INVALID),
    ]


@pytest.mark.parametrize(("warning", "flag"), [(0x40, RangeFlag.BELOW), (0x80, RangeFlag.ABOVE)])
def test_a_glucose_beyond_the_sensor_has_no_number(warning: int, flag: RangeFlag) -> None:
    (outcome,) = SensorListener().feed(MEASUREMENT, SensorRecord(40.0, 5, warning=warning).to_bytes())
    assert isinstance(outcome, Decoded)
    assert [(one.value, one.range_flag) for one in outcome.measurements] == [(None, flag)]


@pytest.mark.parametrize(
    "record", [SensorRecord(120.0, 5, warning=0xC0), SensorRecord(120.0, 5, calibration=0x08)], ids=repr
)
def test_doubt_does_not_take_the_number_away(record: SensorRecord) -> None:
    (outcome,) = SensorListener().feed(MEASUREMENT, record.to_bytes())
    assert isinstance(outcome, Decoded)
    assert [(one.value, one.quality) for one in outcome.measurements] == [(120.0, (Quality.QUESTIONABLE,))]


def test_a_steady_glucose_has_a_trend_of_zero() -> None:
    (outcome,) = SensorListener().feed(MEASUREMENT, SensorRecord(120.0, 5, trend=0.0).to_bytes())
    assert isinstance(outcome, Decoded)
    assert [one.value for one in outcome.measurements] == [120.0, 0.0]


@given(st.binary(max_size=60))
def test_any_bytes_are_records_or_refused(payload: bytes) -> None:
    outcomes = SensorListener().feed(MEASUREMENT, payload)
    assert outcomes
    assert all(isinstance(one, Decoded) for one in outcomes) or len(outcomes) == 1

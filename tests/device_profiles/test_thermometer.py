"""Thermometers: the unit of the frame, what no body has, and what is only on its way to a result."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import thermometer
from bedside_profiles.bluetooth.thermometer import INTERMEDIATE, MEASUREMENT, TemperatureRecord
from bedside_profiles.numbers import Special, decode_float
from bedside_profiles.profile import EncodeError, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality, RangeFlag

moments = st.datetimes(datetime(2010, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001


@given(st.integers(2500, 4500), st.none() | moments)
def test_reads_what_it_writes(hundredths: int, moment: datetime | None) -> None:
    measurement = Measurement(
        Metric.BODY_TEMPERATURE,
        hundredths / 100,
        Modality.SPOT,
        device_time=moment.isoformat() if moment else None,
    )
    payload = thermometer.encode(MEASUREMENT, (measurement,))
    assert thermometer.decode(MEASUREMENT, payload).measurements == (measurement,)


@pytest.mark.parametrize("flag", RangeFlag)
def test_a_value_beyond_the_range_is_a_reading_without_a_number(flag: RangeFlag) -> None:
    measurement = Measurement(Metric.BODY_TEMPERATURE, None, Modality.SPOT, range_flag=flag)
    payload = thermometer.encode(MEASUREMENT, (measurement,))
    assert thermometer.decode(MEASUREMENT, payload).measurements == (measurement,)


@given(
    st.builds(
        TemperatureRecord,
        st.tuples(st.integers(0, 0xFFFFFF), st.integers(-10, 10)).map(
            lambda parts: decode_float((parts[1] & 0xFF) << 24 | parts[0])
        ),
        st.booleans(),
        st.none() | moments,
        st.none() | st.integers(0, 255),
    )
)
def test_every_record_survives(record: TemperatureRecord) -> None:
    assert TemperatureRecord.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize(("fahrenheit", "celsius"), [(98.6, 37.0), (104.0, 40.0), (95.9, 35.5)])
def test_fahrenheit_becomes_celsius(fahrenheit: float, celsius: float) -> None:
    payload = TemperatureRecord(fahrenheit, in_fahrenheit=True).to_bytes()
    (measurement,) = thermometer.decode(MEASUREMENT, payload).measurements
    assert measurement.value == celsius


@pytest.mark.parametrize("celsius", [22.0, 24.99, 45.01, 59.0, 98.6])
def test_what_no_living_body_has_is_no_temperature_of_one(celsius: float) -> None:
    decoded = thermometer.decode(MEASUREMENT, TemperatureRecord(celsius).to_bytes())
    assert decoded.measurements == ()
    assert [withheld.reason for withheld in decoded.withheld] == [NoReading.IMPOSSIBLE]


def test_a_value_that_still_rises_is_no_reading() -> None:
    decoded = thermometer.decode(INTERMEDIATE, TemperatureRecord(34.2).to_bytes())
    assert decoded.measurements == ()
    assert [(fact.name, fact.value) for fact in decoded.facts] == [("intermediate_temperature_cel", 34.2)]


def test_no_intermediate_value_is_written() -> None:
    with pytest.raises(EncodeError):
        thermometer.encode(INTERMEDIATE, (Measurement(Metric.BODY_TEMPERATURE, 37.0, Modality.SPOT),))


def test_without_a_measurement_it_says_that_there_is_none() -> None:
    decoded = thermometer.decode(MEASUREMENT, thermometer.encode(MEASUREMENT, ()))
    assert [withheld.reason for withheld in decoded.withheld] == [NoReading.NOT_A_NUMBER]
    assert TemperatureRecord.from_bytes(thermometer.encode(MEASUREMENT, ())).temperature is Special.NAN

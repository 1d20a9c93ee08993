"""What one file writes it reads, and whatever comes from the air is a value, no reading, or a `DecodeError`."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import blood_pressure, heart_rate, pulse_oximeter
from bedside_profiles.bluetooth.blood_pressure import PressureRecord
from bedside_profiles.bluetooth.heart_rate import HeartRateRecord
from bedside_profiles.bluetooth.pulse_oximeter import OximetryRecord
from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import Number, Special, decode_sfloat
from bedside_profiles.profile import BleProfile, EncodeError, NoReading
from bedside_profiles.readings import METRICS, Measurement, Metric, Modality, Quality, RangeFlag

BLE_PROFILES = tuple(profile for profile in CATALOGUE if isinstance(profile, BleProfile))

numbers = st.integers(0, 0xFFFF).map(decode_sfloat)
moments = st.datetimes(datetime(2010, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001


def members(
    metrics: dict[Metric, tuple[int, int, int]], modality: Modality, **shared: object
) -> st.SearchStrategy[tuple[Measurement, ...]]:
    """Some of `metrics` (lowest, highest, decimals), in their order, with or without a number."""

    def one(metric: Metric) -> st.SearchStrategy[Measurement | None]:
        low, high, decimals = metrics[metric]
        value = st.integers(low * 10**decimals, high * 10**decimals).map(lambda whole: whole / 10**decimals)
        with_value = value.map(lambda number: Measurement(metric, number, modality, **shared))  # type: ignore[arg-type]
        flagged = st.sampled_from(RangeFlag).map(
            lambda flag: Measurement(metric, None, modality, range_flag=flag, **shared)  # type: ignore[arg-type]
        )
        return st.none() | with_value | flagged

    chosen = st.tuples(*(one(metric) for metric in metrics))
    return chosen.map(lambda found: tuple(member for member in found if member is not None))


@st.composite
def pressures(draw: st.DrawFn) -> tuple[Measurement, ...]:
    order = [quality for _, _, quality in blood_pressure._STATUS_QUALITY]
    chosen = draw(st.sets(st.sampled_from(order)))
    if {Quality.RATE_ABOVE_RANGE, Quality.RATE_BELOW_RANGE} <= chosen:
        chosen.discard(Quality.RATE_BELOW_RANGE)
    moment = draw(st.none() | moments)
    return draw(
        members(
            {
                # Apart, so that none contradicts another.
                Metric.SYSTOLIC_PRESSURE: (205, 400, 0),
                Metric.DIASTOLIC_PRESSURE: (1, 80, 0),
                Metric.MEAN_PRESSURE: (80, 204, 1),
                Metric.PULSE_RATE: (1, 400, 0),
            },
            Modality.SPOT,
            quality=tuple(quality for quality in order if quality in chosen),
            device_time=moment.isoformat() if moment else None,
            device_user=draw(st.none() | st.integers(0, 254)),
        )
    )


@given(pressures())
def test_blood_pressure_reads_what_it_writes(measurements: tuple[Measurement, ...]) -> None:
    payload = blood_pressure.encode(blood_pressure.MEASUREMENT, measurements)
    assert blood_pressure.decode(blood_pressure.MEASUREMENT, payload).measurements == measurements


@pytest.mark.parametrize(
    ("systolic", "diastolic", "mean", "told"),
    [
        (120, 80, 93, {"systolic_pressure": 120.0, "diastolic_pressure": 80.0, "mean_pressure": 93.0}),
        (80, 120, 93, {}),
        (80, 80, 80, {}),
        (120, 80, 121, {"systolic_pressure": 120.0, "diastolic_pressure": 80.0}),
        (120, 80, 79, {"systolic_pressure": 120.0, "diastolic_pressure": 80.0}),
        (120, 80, 120, {"systolic_pressure": 120.0, "diastolic_pressure": 80.0, "mean_pressure": 120.0}),
        (120, Special.NAN, 93, {"systolic_pressure": 120.0, "mean_pressure": 93.0}),
        (120, Special.NAN, 130, {"systolic_pressure": 120.0}),
        (
            Special.POSITIVE_INFINITY,
            80,
            93,
            {"systolic_pressure": None, "diastolic_pressure": 80.0, "mean_pressure": 93.0},
        ),
    ],
)
def test_pressures_that_contradict_each_other_are_no_readings(
    systolic: Number, diastolic: Number, mean: Number, told: dict[str, float | None]
) -> None:
    payload = PressureRecord(systolic, diastolic, mean).to_bytes()
    found = blood_pressure.decode(blood_pressure.MEASUREMENT, payload)
    assert {one.metric.value: one.value for one in found.measurements} == told
    assert {one.reason for one in found.withheld} <= {NoReading.ARTIFACT, NoReading.NOT_A_NUMBER}


@given(
    st.builds(
        PressureRecord,
        numbers,
        numbers,
        numbers,
        st.booleans(),
        st.none() | moments,
        st.none() | numbers,
        st.none() | st.integers(0, 255),
        st.none() | st.integers(0, 0xFFFF),
    )
)
def test_every_blood_pressure_record_survives(record: PressureRecord) -> None:
    assert PressureRecord.from_bytes(record.to_bytes()) == record


@given(
    st.sampled_from([Modality.SPOT, Modality.CONTINUOUS]),
    st.sets(st.sampled_from([Quality.WEAK_SIGNAL, Quality.ARTIFACT, Quality.QUESTIONABLE])),
    st.none() | moments,
    st.data(),
)
def test_pulse_oximeter_reads_what_it_writes(
    modality: Modality, quality: set[Quality], moment: datetime | None, data: st.DataObject
) -> None:
    spot = modality is Modality.SPOT
    order = (Quality.WEAK_SIGNAL, Quality.ARTIFACT, Quality.QUESTIONABLE)
    measurements = data.draw(
        members(
            {Metric.SPO2: (1, 100, 0), Metric.PULSE_RATE: (1, 400, 0), Metric.PERFUSION_INDEX: (1, 20, 1)},
            modality,
            quality=tuple(name for name in order if name in quality),
            device_time=moment.isoformat() if moment and spot else None,
        )
    )
    characteristic = pulse_oximeter.SPOT_CHECK if spot else pulse_oximeter.CONTINUOUS
    payload = pulse_oximeter.encode(characteristic, measurements)
    assert pulse_oximeter.decode(characteristic, payload).measurements == measurements


@given(
    st.booleans(),
    numbers,
    numbers,
    st.none() | st.tuples(numbers, numbers),
    st.none() | moments,
    st.none() | st.integers(0, 0xFFFF),
    st.none() | st.integers(0, 0xFFFFFF),
    st.none() | numbers,
)
def test_every_oximetry_record_survives(
    spot: bool,
    spo2: Number,
    pulse: Number,
    pair: tuple[Number, Number] | None,
    moment: datetime | None,
    status: int | None,
    sensor: int | None,
    perfusion: Number | None,
) -> None:
    if spot:
        record = OximetryRecord(
            True, spo2, pulse, timestamp=moment, status=status, sensor_status=sensor, perfusion=perfusion
        )
        assert OximetryRecord.spot_from_bytes(record.to_bytes()) == record
    else:
        record = OximetryRecord(
            False, spo2, pulse, pair, pair, status=status, sensor_status=sensor, perfusion=perfusion
        )
        assert OximetryRecord.continuous_from_bytes(record.to_bytes()) == record


@given(st.none() | st.integers(1, 400), st.lists(st.integers(1, 0xFFFE), max_size=9))
def test_heart_rate_reads_what_it_writes(rate: int | None, intervals: list[int]) -> None:
    measurements = tuple(
        Measurement(Metric.RR_INTERVAL, interval * 1000 / 1024, Modality.CONTINUOUS) for interval in intervals
    )
    if rate is not None:
        measurements = (Measurement(Metric.HEART_RATE, float(rate), Modality.CONTINUOUS), *measurements)
    payload = heart_rate.encode(heart_rate.MEASUREMENT, measurements)
    assert heart_rate.decode(heart_rate.MEASUREMENT, payload).measurements == measurements


@given(
    st.builds(
        HeartRateRecord,
        st.integers(0, 0xFFFF),
        st.none() | st.booleans(),
        st.none() | st.integers(0, 0xFFFF),
        st.lists(st.integers(0, 0xFFFF), max_size=9).map(tuple),
    )
)
def test_every_heart_rate_record_survives(record: HeartRateRecord) -> None:
    assert HeartRateRecord.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize("profile", BLE_PROFILES, ids=lambda profile: profile.name)
@given(payload=st.binary(max_size=40), which=st.integers(0, 3))
def test_nothing_but_a_decode_error_comes_out_of_any_bytes(profile: BleProfile, payload: bytes, which: int) -> None:
    characteristic = profile.characteristics[which % len(profile.characteristics)].uuid
    listener = profile.listen()
    outcomes = [*listener.feed(characteristic, payload), listener.rest()]
    for outcome in outcomes:
        if outcome is None or isinstance(outcome, DecodeError):
            continue
        for measurement in outcome.measurements:
            facts = METRICS[measurement.metric]
            assert measurement.value is None or facts.lowest <= measurement.value <= facts.highest
        assert outcome.measurements or outcome.withheld or outcome.facts


@pytest.mark.parametrize("profile", BLE_PROFILES, ids=lambda profile: profile.name)
def test_a_foreign_characteristic_is_refused(profile: BleProfile) -> None:
    (refused,) = profile.listen().feed("00002a19-0000-1000-8000-00805f9b34fb", b"\x64")
    assert isinstance(refused, DecodeError)
    assert "no measurement characteristic" in refused.reason


def test_nothing_is_believed_of_a_strap_without_contact() -> None:
    frame = HeartRateRecord(72, contact=False, rr_intervals=(850,)).to_bytes()
    decoded = heart_rate.decode(heart_rate.MEASUREMENT, frame)
    assert decoded.measurements == ()
    assert {withheld.reason for withheld in decoded.withheld} == {NoReading.SENSOR_OFF}


@pytest.mark.parametrize(
    ("status", "sensor", "reason"),
    [(1 << 15, 0, NoReading.INVALID), (1 << 10, 0, NoReading.INVALID), (0, 1 << 11, NoReading.SENSOR_OFF)],
)
def test_a_plausible_value_beside_an_off_flag_is_no_reading(status: int, sensor: int, reason: NoReading) -> None:
    frame = OximetryRecord(False, 97.0, 70.0, status=status, sensor_status=sensor).to_bytes()
    decoded = pulse_oximeter.decode(pulse_oximeter.CONTINUOUS, frame)
    assert decoded.measurements == ()
    assert [withheld.reason for withheld in decoded.withheld] == [reason, reason]


def test_one_member_without_a_result_does_not_take_the_others_with_it() -> None:
    frame = OximetryRecord(False, Special.NAN, 70.0).to_bytes()
    decoded = pulse_oximeter.decode(pulse_oximeter.CONTINUOUS, frame)
    assert [measurement.metric for measurement in decoded.measurements] == [Metric.PULSE_RATE]
    assert [withheld.metric for withheld in decoded.withheld] == [Metric.SPO2]


def test_a_device_clock_that_was_never_set_is_not_a_time() -> None:
    frame = PressureRecord(120.0, 80.0, 93.0, timestamp=datetime(1970, 1, 1, 0, 5)).to_bytes()  # noqa: DTZ001
    (systolic, *_) = blood_pressure.decode(blood_pressure.MEASUREMENT, frame).measurements
    assert systolic.device_time is None
    assert systolic.quality == (Quality.DEVICE_CLOCK_UNSET,)


def test_an_encoder_refuses_what_its_frame_cannot_say() -> None:
    spo2 = Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS)
    half = Measurement(Metric.HEART_RATE, 70.5, Modality.CONTINUOUS)
    with pytest.raises(EncodeError):
        blood_pressure.encode(blood_pressure.MEASUREMENT, (spo2,))
    with pytest.raises(EncodeError):
        heart_rate.encode(heart_rate.MEASUREMENT, (half,))
    with pytest.raises(EncodeError):
        pulse_oximeter.encode(pulse_oximeter.CONTINUOUS, (spo2, spo2))

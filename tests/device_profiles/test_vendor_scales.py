"""Scales that speak, and scales that only advertise: units, stability, and who may be believed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.advert import mi_scale, mibeacon_scale, polar_heart_rate
from bedside_profiles.advert.mi_scale import ScaleRecord
from bedside_profiles.advert.mibeacon_scale import SIMULATED_ADDRESS, SIMULATED_KEY, ScaleObject, sealed
from bedside_profiles.bluetooth import sanitas_sbf70
from bedside_profiles.bluetooth.sanitas_sbf70 import STREAM, SanitasListener, WeightRecord
from bedside_profiles.catalogue import ADVERTS
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Advert, AdvertProfile, Decoded, EncodeError, NoReading
from bedside_profiles.readings import METRICS, Measurement, Metric, Modality

V1, V2 = mi_scale.PROFILES


def weighed(kilograms: float, **more: object) -> Measurement:
    return Measurement(Metric.BODY_WEIGHT, kilograms, Modality.SPOT, **more)  # type: ignore[arg-type]


def said(profile: AdvertProfile, measurements: Sequence[Measurement]) -> Decoded:
    return profile.decode(Advert(profile.encode(measurements), SIMULATED_ADDRESS, SIMULATED_KEY))


@pytest.mark.parametrize("profile", [V1, V2], ids=lambda profile: profile.name)
@given(steps=st.integers(1, 0xFFFF), impedance=st.none() | st.integers(1, 3000))
def test_a_mi_scale_reads_what_it_writes(profile: AdvertProfile, steps: int, impedance: int | None) -> None:
    time = {"device_time": "2026-03-01T08:30:15"}
    measurements = [weighed(steps / 200, **time)]
    if profile is V2 and impedance is not None:
        measurements.append(Measurement(Metric.IMPEDANCE, float(impedance), Modality.SPOT, **time))  # type: ignore[arg-type]
    assert said(profile, measurements).measurements == tuple(measurements)


@given(st.integers(1, 0x7FF), st.none() | st.integers(51, 176), st.integers(0, 0x3FFF), st.integers(0, 255))
def test_a_mibeacon_scale_reads_what_it_writes(weight: int, rate: int | None, impedance: int, user: int) -> None:
    measurements = [weighed(weight / 10, device_user=user)]
    if rate is not None:
        measurements.append(Measurement(Metric.HEART_RATE, float(rate), Modality.SPOT, device_user=user))
    if impedance:
        measurements.append(Measurement(Metric.IMPEDANCE, impedance / 10, Modality.SPOT, device_user=user))
    assert said(mibeacon_scale.PROFILE, measurements).measurements == tuple(measurements)


@given(st.integers(1, 240))
def test_a_polar_advertisement_reads_what_it_writes(rate: int) -> None:
    measurements = (Measurement(Metric.HEART_RATE, float(rate), Modality.CONTINUOUS),)
    assert said(polar_heart_rate.PROFILE, measurements).measurements == measurements


@pytest.mark.parametrize("profile", ADVERTS, ids=lambda profile: profile.name)
def test_without_measurements_nothing_is_read(profile: AdvertProfile) -> None:
    decoded = said(profile, ())
    assert decoded.measurements == ()
    assert {one.reason for one in decoded.withheld} <= {NoReading.ZERO, NoReading.SENSOR_OFF}
    with pytest.raises(EncodeError):
        profile.encode((Measurement(Metric.SPO2, 97.0, Modality.SPOT),))


@pytest.mark.parametrize("profile", ADVERTS, ids=lambda profile: profile.name)
@given(payload=st.binary(max_size=40), with_key=st.booleans())
def test_any_advertisement_is_read_within_what_is_possible_or_refused(
    profile: AdvertProfile, payload: bytes, with_key: bool
) -> None:
    address, key = (SIMULATED_ADDRESS, SIMULATED_KEY) if with_key else (None, None)
    try:
        decoded = profile.decode(Advert(payload, address, key))
    except DecodeError:
        return
    for one in decoded.measurements:
        assert one.value is not None
        assert METRICS[one.metric].lowest <= one.value <= METRICS[one.metric].highest


@given(
    st.integers(0, 0xFFFF),
    st.sampled_from([(False, False), (True, False), (False, True)]),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 0xFFFF),
)
def test_every_record_of_a_mi_scale_survives(
    raw: int, unit: tuple[bool, bool], stable: bool, removed: bool, impedance: int | None
) -> None:
    pounds, jin = unit
    record = ScaleRecord(raw, None, pounds, jin, stable, removed)
    assert ScaleRecord.v1_from_bytes(record.v1_to_bytes()) == record
    record = ScaleRecord(raw, None, pounds, jin, stable, removed, impedance)
    assert ScaleRecord.v2_from_bytes(record.v2_to_bytes()) == record


def test_the_divisor_belongs_to_the_unit() -> None:
    assert ScaleRecord(13170, None, pounds=True).weight_kg == pytest.approx(59.738115129)
    assert ScaleRecord(17310, None).weight_kg == 86.55
    assert ScaleRecord(16700, None, jin=True).weight_kg == 83.5


# ---- encrypted ----


@given(st.integers(0), st.integers(0, 7))
def test_a_bit_that_was_changed_on_the_way_makes_no_weight(at: int, bit: int) -> None:
    changed = bytearray(mibeacon_scale.encode((weighed(71.3, device_user=1),)))
    changed[at % len(changed)] ^= 1 << bit
    try:
        decoded = mibeacon_scale.decode(Advert(bytes(changed), SIMULATED_ADDRESS, SIMULATED_KEY))
    except DecodeError:
        return
    # Two bits tell that nothing follows or mean nothing: the weight, if there is one, is still the one that was said.
    assert [one.value for one in decoded.measurements] in ([], [71.3])


def test_nothing_is_believed_without_key_address_or_encryption() -> None:
    payload = mibeacon_scale.encode((weighed(71.3, device_user=1),))
    for advert in (
        Advert(payload),
        Advert(payload, SIMULATED_ADDRESS),
        Advert(payload, None, SIMULATED_KEY),
        Advert(payload, SIMULATED_ADDRESS, bytes(16)),
        Advert(payload, SIMULATED_ADDRESS, bytes(12)),
        Advert(payload, "AA:BB:CC:DD:EE:00", SIMULATED_KEY),
        Advert(payload, "no address", SIMULATED_KEY),
        Advert(bytes((payload[0] & ~0x08,)) + payload[1:], SIMULATED_ADDRESS, SIMULATED_KEY),
    ):
        with pytest.raises(DecodeError):
            mibeacon_scale.decode(advert)


def test_an_address_within_the_beacon_must_be_its_own() -> None:
    plain = sealed(ScaleObject(0x6E16, 1, 713), SIMULATED_ADDRESS, SIMULATED_KEY)
    backwards = bytes.fromhex(SIMULATED_ADDRESS.replace(":", ""))[::-1]
    named = bytes((plain[0] | 0x10,)) + plain[1:5] + backwards + plain[5:]
    assert mibeacon_scale.decode(Advert(named, None, SIMULATED_KEY)).measurements[0].value == 71.3
    with pytest.raises(DecodeError, match="another address"):
        mibeacon_scale.decode(Advert(named, "AA:BB:CC:DD:EE:00", SIMULATED_KEY))


@given(st.binary(max_size=16), st.sampled_from([b"", b"\x16\x6e\x09", b"\x16\x4e\x09"]))
def test_any_object_within_is_read_within_what_is_possible_or_refused(content: bytes, head: bytes) -> None:
    try:
        decoded = ScaleObject.from_bytes(b"", head + content).decoded()
    except DecodeError:
        return
    for one in decoded.measurements:
        assert one.value is not None
        assert METRICS[one.metric].lowest <= one.value <= METRICS[one.metric].highest


def test_the_second_object_has_no_weight_and_is_not_an_empty_scale() -> None:
    beacon = sealed(ScaleObject(0x6E16, 1, 0, 0, 4976), SIMULATED_ADDRESS, SIMULATED_KEY)
    decoded = mibeacon_scale.decode(Advert(beacon, SIMULATED_ADDRESS, SIMULATED_KEY))
    assert (decoded.measurements, decoded.withheld) == ((), ())
    assert ("impedance_high_ohm", 497.6) in [(fact.name, fact.value) for fact in decoded.facts]


# ---- Sanitas ----


def values(outcomes: Sequence[Decoded | DecodeError]) -> list[float | None]:
    return [one.value for outcome in outcomes if isinstance(outcome, Decoded) for one in outcome.measurements]


@given(st.integers(1, 4000))
def test_a_sanitas_reads_what_it_writes(steps: int) -> None:
    payload = sanitas_sbf70.encode(STREAM, (weighed(steps / 20),))
    (outcome,) = SanitasListener().feed(STREAM, payload)
    assert isinstance(outcome, Decoded)
    assert outcome.measurements == (weighed(steps / 20),)


def test_a_weighing_is_told_once_and_a_stale_frame_never() -> None:
    listener = SanitasListener()
    outcomes: list[Decoded | DecodeError] = []
    for steps in (299, 2142, 2143, 2142, 2142, 2141, 2142):
        outcomes += listener.feed(STREAM, WeightRecord(True, steps).to_bytes())
    assert values(outcomes) == [107.1]
    for on, steps in ((False, 0), (True, 1500), (True, 1500), (True, 1501)):
        outcomes += listener.feed(STREAM, WeightRecord(on, steps).to_bytes())
    assert values(outcomes) == [107.1, 75.05]


def test_a_weight_that_wanders_is_not_told() -> None:
    listener = SanitasListener()
    outcomes = [o for step in range(20) for o in listener.feed(STREAM, WeightRecord(True, 1000 + 9 * step).to_bytes())]
    assert values(outcomes) == []
    assert listener.rest() is None, "not at the end of the link either"


def test_the_scale_is_answered_with_what_it_said() -> None:
    assert sanitas_sbf70.acknowledgement(bytes.fromhex("e758010686")).hex() == "e7f1580106"

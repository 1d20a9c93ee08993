"""Oximeters with a service of their maker's own: what is written is read, and what is no value gives none."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import (
    berrymed_bm1000,
    contec_cms50d_bt,
    jumper_jpd500f,
    nonin_3230,
    o2ring,
    o2ring_s,
    pc60fw,
    yuwell_oximeter,
)
from bedside_profiles.errors import DecodeError
from bedside_profiles.lepu import FROM_HUB, LepuFrame
from bedside_profiles.profile import BleProfile, Decoded, EncodeError, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

PERFUSION_STEPS = {
    nonin_3230.NAME: 100,
    jumper_jpd500f.NAME: 10,
    pc60fw.NAME: 10,
    yuwell_oximeter.NAME: 1000,
    o2ring.NAME: 10,
}
"""How many steps of the device make 1 %."""

PROFILES = (
    berrymed_bm1000.PROFILE,
    contec_cms50d_bt.PROFILE,
    jumper_jpd500f.PROFILE,
    nonin_3230.PROFILE,
    o2ring.PROFILE,
    o2ring_s.PROFILE,
    pc60fw.PROFILE,
    yuwell_oximeter.PROFILE,
)


def heard(profile: BleProfile, payload: bytes) -> Decoded:
    (outcome,) = profile.listen().feed(profile.characteristics[0].uuid, payload)
    assert isinstance(outcome, Decoded)
    return outcome


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@given(spo2=st.integers(1, 100), pulse=st.integers(1, 240), perfusion=st.none() | st.integers(1, 200))
def test_an_oximeter_reads_what_it_writes(profile: BleProfile, spo2: int, pulse: int, perfusion: int | None) -> None:
    measurements = [
        Measurement(Metric.SPO2, float(spo2), Modality.CONTINUOUS),
        Measurement(Metric.PULSE_RATE, float(pulse), Modality.CONTINUOUS),
    ]
    steps = PERFUSION_STEPS.get(profile.name)
    if steps is not None and perfusion is not None:
        measurements.append(Measurement(Metric.PERFUSION_INDEX, perfusion / steps, Modality.CONTINUOUS))
    payload = profile.encode(profile.characteristics[0].uuid, measurements)
    assert heard(profile, payload).measurements == tuple(measurements)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_without_measurements_it_says_that_nobody_wears_it(profile: BleProfile) -> None:
    decoded = heard(profile, profile.encode(profile.characteristics[0].uuid, ()))
    assert decoded.measurements == ()
    assert {one.reason for one in decoded.withheld} == {NoReading.SENSOR_OFF}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_an_encoder_refuses_what_its_frame_cannot_say(profile: BleProfile) -> None:
    characteristic = profile.characteristics[0].uuid
    for refused in (
        Measurement(Metric.SPO2, 97.5, Modality.CONTINUOUS),
        Measurement(Metric.BODY_WEIGHT, 80.0, Modality.CONTINUOUS),
        Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS, device_time="2026-01-01T00:00:00"),
        Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS, device_user=1),
        Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS, quality=(Quality.MOTION,)),
    ):
        with pytest.raises(EncodeError):
            profile.encode(characteristic, (refused,))
    with pytest.raises(EncodeError):
        profile.encode("00002a19-0000-1000-8000-00805f9b34fb", ())


@pytest.mark.parametrize("profile", [o2ring.PROFILE, o2ring_s.PROFILE], ids=lambda profile: profile.name)
def test_a_ring_that_is_set_up_is_not_erased(profile: BleProfile) -> None:
    assert profile.decode_command is not None
    module = o2ring if profile is o2ring.PROFILE else o2ring_s
    for command in range(256):
        if command not in module.HARMFUL:
            written = module.encode_command(command)
            whole = written if isinstance(written, bytes) else b"".join(written)
            assert profile.decode_command(whole).facts[0].value == command
            continue
        with pytest.raises(EncodeError, match="never sent"):
            module.encode_command(command)
        frame = LepuFrame(command, b"", FROM_HUB).to_bytes()
        if module is o2ring:
            frame = o2ring.frame_of(0xAA, command, b"", 0)
        with pytest.raises(DecodeError, match="no hub sends it"):
            profile.decode_command(frame)


def test_a_long_command_to_the_ring_is_written_in_pieces() -> None:
    pieces = o2ring.encode_command(o2ring.CONFIGURE, b'{"SetTIME":"2026-11-25,08:00:00"}')
    assert [len(piece) for piece in pieces] == [20, 20, 1]
    assert o2ring.decode_command(b"".join(pieces)).facts[0].value == o2ring.CONFIGURE
    with pytest.raises(DecodeError):
        o2ring.decode_command(pieces[0])


def test_the_ring_is_authenticated_with_the_hidden_key() -> None:
    word = hashlib.md5(b"lepucloud", usedforsecurity=False).digest()
    revealed = bytes(one ^ other for one, other in zip(o2ring_s.authentication(1000), word, strict=True))
    assert revealed == word[::2] + b"0000" + bytes((1000 & 0xFF, 500 & 0xFF, 250, 125))


@given(st.binary(max_size=60))
def test_what_is_written_to_a_device_is_explained_or_refused(written: bytes) -> None:
    for profile in PROFILES:
        if profile.decode_command is not None:
            try:
                profile.decode_command(written)
            except DecodeError:
                continue


def test_an_older_answer_of_the_ring_is_told_by_its_length() -> None:
    with pytest.raises(EncodeError, match="older"):
        o2ring.OxyRecord(97, 72, 6, 1, wave=(10,)).to_payload()
    assert o2ring.OxyRecord.from_payload(bytes(14)) is None

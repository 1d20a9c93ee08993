"""Frames over Bluetooth, however they are split, merged or disturbed: the right values come out, or none."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import (
    contec_cms50d_bt,
    ihealth_kn550,
    lepu_bp2w,
    microlife_bp3gy1,
    o2ring,
    o2ring_s,
    pc60fw,
    sanitas_sbf70,
    yuwell_oximeter,
)
from bedside_profiles.crc8 import crc8, crc8_maxim
from bedside_profiles.errors import DecodeError
from bedside_profiles.lepu import LepuFrame
from bedside_profiles.profile import BleProfile, Decoded
from bedside_profiles.readings import METRICS, Measurement, Metric, Modality

OXIMETERS = (
    contec_cms50d_bt.PROFILE,
    o2ring.PROFILE,
    o2ring_s.PROFILE,
    pc60fw.PROFILE,
    yuwell_oximeter.PROFILE,
)
CUFFS = (ihealth_kn550.PROFILE, lepu_bp2w.PROFILE, microlife_bp3gy1.PROFILE)
SCALES = (sanitas_sbf70.PROFILE,)
STREAMS = (*OXIMETERS, *CUFFS, *SCALES)


def sets_of(profile: BleProfile) -> list[tuple[Measurement, ...]]:
    """Five sets that this device can say, each unlike the others in every value."""
    if profile in OXIMETERS:
        return [
            (
                Measurement(Metric.SPO2, 90.0 + step, Modality.CONTINUOUS),
                Measurement(Metric.PULSE_RATE, 60.0 + 7 * step, Modality.CONTINUOUS),
            )
            for step in range(5)
        ]
    if profile in SCALES:
        return [(Measurement(Metric.BODY_WEIGHT, 60.0 + 3.5 * step, Modality.SPOT),) for step in range(5)]
    return [
        tuple(
            Measurement(metric, value + 3.0 * step, Modality.SPOT, device_time=f"2026-03-0{step + 1}T08:30:00")
            for metric, value in (
                (Metric.SYSTOLIC_PRESSURE, 120.0),
                (Metric.DIASTOLIC_PRESSURE, 80.0),
                (Metric.PULSE_RATE, 61.0),
            )
        )
        for step in range(5)
    ]


def stream_of(profile: BleProfile) -> bytes:
    characteristic = profile.characteristics[0].uuid
    return b"".join(profile.encode(characteristic, one) for one in sets_of(profile))


def heard(profile: BleProfile, values: Sequence[bytes]) -> list[Decoded | DecodeError]:
    listener = profile.listen()
    return [outcome for value in values for outcome in listener.feed(profile.characteristics[0].uuid, value)]


def readings(outcomes: Sequence[Decoded | DecodeError]) -> list[tuple[Measurement, ...]]:
    return [
        tuple(one for one in outcome.measurements)
        for outcome in outcomes
        if isinstance(outcome, Decoded) and outcome.measurements
    ]


def numbers(sets: Sequence[tuple[Measurement, ...]]) -> set[tuple[Metric, float | None]]:
    return {(one.metric, one.value) for members in sets for one in members}


@pytest.mark.parametrize("profile", STREAMS, ids=lambda profile: profile.name)
def test_a_stream_in_one_value_gives_its_sets(profile: BleProfile) -> None:
    found = readings(heard(profile, [stream_of(profile)]))
    assert [numbers([one]) for one in found] == [numbers([one]) for one in sets_of(profile)]


@pytest.mark.parametrize("profile", STREAMS, ids=lambda profile: profile.name)
@given(sizes=st.lists(st.integers(1, 60), max_size=30))
def test_any_split_gives_the_same_outcomes(profile: BleProfile, sizes: list[int]) -> None:
    stream, values = stream_of(profile), []
    whole = heard(profile, [stream])
    for size in [*sizes, len(stream)]:
        values.append(stream[:size])
        stream = stream[size:]
    assert [outcome for outcome in heard(profile, values) if isinstance(outcome, DecodeError)] == []
    assert readings(heard(profile, values)) == readings(whole)


@pytest.mark.parametrize("profile", STREAMS, ids=lambda profile: profile.name)
def test_garbage_between_frames_gives_no_wrong_value(profile: BleProfile) -> None:
    dice = random.Random(profile.name)
    characteristic = profile.characteristics[0].uuid
    truth = numbers(sets_of(profile))
    # A scale's frames carry no check: what looks like one of them is one.
    noise = [byte for byte in range(256) if profile not in SCALES or byte != 0xE7]
    for _ in range(60):
        values = []
        for one in sets_of(profile):
            values.append(bytes(dice.choices(noise, k=dice.randrange(8))))
            values.append(profile.encode(characteristic, one))
        assert numbers(readings(heard(profile, values))) <= truth


@pytest.mark.parametrize("profile", [*OXIMETERS, *CUFFS], ids=lambda profile: profile.name)
def test_a_flipped_bit_or_a_lost_piece_gives_no_wrong_value(profile: BleProfile) -> None:
    dice = random.Random(profile.name)
    truth = numbers(sets_of(profile))
    # Contec's sum has seven bits and cannot see the eighth. To refuse it would be to refuse every pulse above 127.
    bits = 7 if profile is contec_cms50d_bt.PROFILE else 8
    # A length that lies is believed until as many bytes have come: longer than the longest frame, and all is told.
    further = 5000 // len(stream_of(profile)) + 1
    for _ in range(100):
        stream = bytearray(stream_of(profile))
        at = dice.randrange(len(stream))
        if dice.random() < 0.5:
            stream[at] ^= 1 << dice.randrange(bits)
        else:
            del stream[at : at + dice.randrange(1, 4)]
        found = readings(heard(profile, [bytes(stream), stream_of(profile) * further]))
        assert numbers(found) <= truth
        assert len(found) >= 5 + 5 * further - 2, "a disturbance costs the sets that it touched, and no others"


@pytest.mark.parametrize("profile", [*OXIMETERS, *CUFFS], ids=lambda profile: profile.name)
def test_noise_is_one_error_and_good_frames_follow(profile: BleProfile) -> None:
    characteristic = profile.characteristics[0].uuid
    one = sets_of(profile)[0]
    good = profile.encode(characteristic, one)
    listener = profile.listen()
    listener.feed(characteristic, good)
    errors = [
        outcome
        for value in (b"\x00\x01\x02", good[:1], b"\x03" * 40)
        for outcome in listener.feed(characteristic, value)
        if isinstance(outcome, DecodeError)
    ]
    assert len(errors) <= 1
    assert readings(listener.feed(characteristic, good * 2))[-1] == readings(heard(profile, [good]))[-1]


@pytest.mark.parametrize("profile", STREAMS, ids=lambda profile: profile.name)
@given(values=st.lists(st.binary(max_size=60), max_size=6))
def test_any_values_give_what_is_possible_or_an_error(profile: BleProfile, values: list[bytes]) -> None:
    for outcome in heard(profile, values):
        if isinstance(outcome, Decoded):
            for one in outcome.measurements:
                assert one.value is not None
                assert METRICS[one.metric].lowest <= one.value <= METRICS[one.metric].highest


def contec(kind: int, content: bytes) -> bytes:
    body = bytes((0xEB, kind & 1)) + content.ljust(5, b"\0")[: 5 if kind & 1 else 3]
    return body + bytes((contec_cms50d_bt.sum7(body),))


def yuwell(kind: int, content: bytes) -> bytes:
    body = bytes((0xFE, 0x0A, 0x55)) if kind & 1 else bytes((0xFE, 0x08, 0x56))
    body += content.ljust(6, b"\0")[: body[1] - 4]
    return body + bytes((sum(body[1:]) & 0xFF,))


SOUND_FRAMES: list[tuple[BleProfile, Callable[[int, bytes], bytes]]] = [
    (contec_cms50d_bt.PROFILE, contec),
    (ihealth_kn550.PROFILE, lambda kind, content: ihealth_kn550.frame_of(0xA0, bytes((0xA1, kind)) + content)),
    (lepu_bp2w.PROFILE, lambda kind, content: LepuFrame(kind, content).to_bytes()),
    (microlife_bp3gy1.PROFILE, lambda kind, content: microlife_bp3gy1.frame(bytes((kind,)) + content)),
    (o2ring.PROFILE, lambda kind, content: o2ring.frame_of(0x55, kind & 1, content, kind >> 1 & 1)),
    (o2ring_s.PROFILE, lambda kind, content: LepuFrame(kind, content).to_bytes()),
    (pc60fw.PROFILE, lambda kind, content: pc60fw.frame_of(0x0F if kind & 1 else 0xF0, kind >> 1, content[:60])),
    (sanitas_sbf70.PROFILE, lambda kind, content: bytes((0xE7, 0x58 + (kind & 1))) + content),
    (yuwell_oximeter.PROFILE, yuwell),
]


@pytest.mark.parametrize(("profile", "frame"), SOUND_FRAMES, ids=[profile.name for profile, _ in SOUND_FRAMES])
@given(kinds=st.lists(st.integers(0, 255), min_size=1, max_size=3), content=st.binary(max_size=120))
def test_any_content_of_a_sound_frame_gives_what_is_possible_or_an_error(
    profile: BleProfile, frame: Callable[[int, bytes], bytes], kinds: list[int], content: bytes
) -> None:
    listener = profile.listen()
    for kind in kinds:
        for outcome in listener.feed(profile.characteristics[0].uuid, frame(kind, content)):
            for one in outcome.measurements if isinstance(outcome, Decoded) else ():
                assert one.value is not None
                assert METRICS[one.metric].lowest <= one.value <= METRICS[one.metric].highest
    listener.rest()


def test_what_speaks_something_else_is_told_again_now_and_then() -> None:
    outcomes = heard(pc60fw.PROFILE, [b"\x55" * 200] * 30)
    assert 2 <= len(outcomes) <= 4
    assert all(isinstance(outcome, DecodeError) for outcome in outcomes)


def test_what_is_begun_and_not_ended_is_told_at_the_end() -> None:
    frame = stream_of(pc60fw.PROFILE)[:5]
    listener = pc60fw.PROFILE.listen()
    assert listener.feed(pc60fw.STREAM, frame) == ()
    rest = listener.rest()
    assert isinstance(rest, DecodeError)
    assert "cut off after 5 bytes" in rest.reason


def test_the_checks_are_the_catalogued_ones() -> None:
    assert crc8(b"123456789") == 0xF4
    assert crc8_maxim(b"123456789") == 0xA1

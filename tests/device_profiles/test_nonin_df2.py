"""The serial stream: whatever happens to its bytes, a right value comes out, or none."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.serial.nonin_df2 import FRAME_BYTES, Df2Framer, Packet, encode

SECOND_BYTES = 375


def measured(spo2: int | None, rate: int | None, *quality: Quality) -> tuple[Measurement, ...]:
    found = ((Metric.SPO2, spo2), (Metric.PULSE_RATE, rate))
    return tuple(
        Measurement(metric, float(value), Modality.CONTINUOUS, quality=quality)
        for metric, value in found
        if value is not None
    )


def readings(outcomes: tuple[Decoded | DecodeError, ...]) -> list[tuple[Measurement, ...]]:
    return [outcome.measurements for outcome in outcomes if isinstance(outcome, Decoded)]


@given(
    st.none() | st.integers(1, 100),
    st.none() | st.integers(1, 400),
    st.sets(st.sampled_from([Quality.ARTIFACT, Quality.QUESTIONABLE, Quality.WEAK_SIGNAL, Quality.LOW_BATTERY])),
)
def test_reads_what_it_writes(spo2: int | None, rate: int | None, quality: set[Quality]) -> None:
    order = (Quality.ARTIFACT, Quality.QUESTIONABLE, Quality.WEAK_SIGNAL, Quality.LOW_BATTERY)
    measurements = measured(spo2, rate, *(name for name in order if name in quality))
    assert readings(Df2Framer().feed(encode(measurements))) == [measurements]


@given(st.lists(st.integers(1, 80), max_size=40), st.integers(0, SECOND_BYTES))
def test_any_split_gives_the_same_sets(pieces: list[int], joined_late: int) -> None:
    stream = b"".join(encode(measured(90 + second, 60 + second)) for second in range(5))[joined_late:]
    framer, found = Df2Framer(), []
    for size in [*pieces, len(stream)]:
        found += readings(framer.feed(stream[:size]))
        stream = stream[size:]
    assert all(values in [measured(90 + second, 60 + second) for second in range(5)] for values in found)
    assert len(found) == (5 if joined_late == 0 else 4)


def test_the_rest_of_a_packet_under_way_is_no_error() -> None:
    outcomes = Df2Framer().feed(encode(measured(97, 72))[60:] + encode(measured(97, 72)))
    assert readings(outcomes) == [measured(97, 72)]
    assert not any(isinstance(outcome, DecodeError) for outcome in outcomes)


def test_the_alarm_bit_withholds_the_values_that_the_display_still_shows() -> None:
    (outcome,) = Df2Framer().feed(Packet(97, 72, sensor_off=True).to_bytes() * 3)
    assert isinstance(outcome, Decoded)
    assert outcome.measurements == ()
    assert {withheld.reason for withheld in outcome.withheld} == {NoReading.SENSOR_OFF}


def test_one_broken_byte_costs_its_set_and_one_error() -> None:
    stream = bytearray(encode(measured(97, 72)) * 3)
    stream[SECOND_BYTES + 7] ^= 0x10
    outcomes = Df2Framer().feed(bytes(stream))
    assert readings(outcomes) == [measured(97, 72)] * 2
    assert sum(isinstance(outcome, DecodeError) for outcome in outcomes) == 1


def test_a_packet_sewn_together_from_two_makes_no_value() -> None:
    # From 127 to 128 beats both bytes of the rate change: one of each is a rate that never was.
    before, after = Packet(97, 127).to_bytes(), Packet(97, 128).to_bytes()
    sewn = before[:FRAME_BYTES] + after[FRAME_BYTES:]
    for stream in (before + sewn + after, sewn + after + after, sewn + sewn + after):
        (outcome,) = Df2Framer().feed(stream)
        assert isinstance(outcome, Decoded)
        assert [measurement.metric for measurement in outcome.measurements] == [Metric.SPO2]
        assert [(withheld.metric, withheld.reason) for withheld in outcome.withheld] == [
            (Metric.PULSE_RATE, NoReading.ARTIFACT)
        ]


def test_values_that_move_within_a_second_give_their_median() -> None:
    stream = b"".join(Packet(spo2, rate).to_bytes() for spo2, rate in ((95, 80), (93, 90), (94, 85)))
    assert readings(Df2Framer().feed(stream)) == [measured(94, 85)]


def test_a_line_that_speaks_something_else_is_said_so_now_and_then() -> None:
    outcomes = Df2Framer().feed(b"\x55" * 3000)
    assert [isinstance(outcome, DecodeError) for outcome in outcomes] == [True] * 3


@given(st.binary(max_size=600))
def test_any_bytes_are_answered_with_outcomes(data: bytes) -> None:
    Df2Framer().feed(data)


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_that_is_cut_merged_and_garbled_gives_no_wrong_value(seed: int) -> None:
    dice = random.Random(seed)
    truth = {(spo2, rate) for spo2, rate in zip(range(80, 100), range(118, 138), strict=True)}
    for _ in range(40):
        stream = bytearray(b"".join(encode(measured(spo2, rate)) for spo2, rate in sorted(truth)))
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(stream))
            match dice.randrange(4):
                case 0:
                    del stream[at : at + dice.choice([1, 2, 5, 10, 25, 125, 130])]
                case 1:
                    stream[at:at] = dice.randbytes(dice.randrange(1, 12))
                case 2:
                    stream[at] ^= 1 << dice.randrange(8)
                case _:
                    stream[at:at] = stream[at : at + dice.randrange(1, 200)]
        for values in readings(Df2Framer().feed(bytes(stream))):
            spo2, rate = (measurement.value for measurement in values)
            assert spo2 in {float(known) for known, _ in truth}
            assert rate in {float(known) for _, known in truth}

"""The 5 byte packet and its stream: no checksum protects it, and still a right value comes out, or none."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.uart import heard_as

from bedside_profiles.bci import BciFramer, BciPacket, packet_of, set_of
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, EncodeError, LineSettings, NoReading
from bedside_profiles.readings import METRICS, Measurement, Metric, Modality

A_SET = 10


def framer(*, probe_bit_is_off: bool = False) -> BciFramer:
    return BciFramer("test", A_SET, probe_bit_is_off=probe_bit_is_off)


def values(outcomes: tuple[Decoded | DecodeError, ...]) -> list[tuple[float | None, ...]]:
    return [tuple(one.value for one in found.measurements) for found in outcomes if isinstance(found, Decoded)]


def second(spo2: int, pulse: int) -> bytes:
    return b"".join(BciPacket(spo2, pulse, wave=place).to_bytes() for place in range(A_SET))


packets = st.builds(
    BciPacket,
    st.none() | st.integers(0, 126),
    st.none() | st.integers(0, 254),
    st.integers(0, 127),
    st.integers(0, 15),
    st.integers(0, 15),
    *[st.booleans()] * 5,
)


@given(packets)
def test_every_packet_survives(packet: BciPacket) -> None:
    assert BciPacket.from_bytes("test", packet.to_bytes()) == packet


@given(st.binary(min_size=5, max_size=5))
def test_a_packet_is_refused_or_written_back_as_it_came(data: bytes) -> None:
    try:
        packet = BciPacket.from_bytes("test", data)
    except DecodeError:
        assert [byte >= 0x80 for byte in data] != [True, False, False, False, False]
    else:
        assert packet.to_bytes() == data


@given(st.lists(st.integers(1, 30), max_size=30))
def test_any_split_gives_the_same_sets(pieces: list[int]) -> None:
    stream = second(97, 72) + second(96, 130) + second(95, 71)
    one, found = framer(), []
    for size in [*pieces, len(stream)]:
        found += values(one.feed(stream[:size]))
        stream = stream[size:]
    assert found == [(97, 72), (96, 130), (95, 71)]


def test_a_second_that_is_not_whole_is_told_at_the_end() -> None:
    one = framer()
    assert one.feed(second(97, 72)[:5]) == ()
    rest = one.rest()
    assert isinstance(rest, Decoded)
    assert values((rest,)) == [(97, 72)]


@pytest.mark.parametrize("broken", ["0080000000", "8000800000", "80000000", "0000000000", "843007486100"])
def test_of_broken_bytes_alone_nothing_is_made(broken: str) -> None:
    one = framer()
    assert values(one.feed(bytes.fromhex(broken))) == []
    assert isinstance(one.rest(), DecodeError)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (BciPacket(97, 72, no_finger=True), NoReading.SENSOR_OFF),
        (BciPacket(97, 72, searching=True), NoReading.NOT_A_NUMBER),
        (BciPacket(97, 72, no_signal=True), NoReading.NOT_A_NUMBER),
        (BciPacket(None, None), NoReading.NOT_A_NUMBER),
        (BciPacket(0, 0), NoReading.ZERO),
        (BciPacket(101, 0), None),
    ],
)
def test_one_packet_that_says_off_speaks_for_its_second(packet: BciPacket, reason: NoReading | None) -> None:
    decoded = set_of([packet], probe_bit_is_off=False)
    assert decoded.measurements == ()
    reasons = [withheld.reason for withheld in decoded.withheld]
    assert reasons == ([reason] * 2 if reason else [NoReading.IMPOSSIBLE, NoReading.ZERO])
    if reason is not NoReading.ZERO and reason is not None:
        mixed = set_of([BciPacket(97, 72)] * 99 + [packet], probe_bit_is_off=False)
        assert mixed.measurements == ()


def test_the_dialect_decides_what_a_probe_bit_means() -> None:
    packet = BciPacket(88, 72, probe_bit=True)
    assert values((set_of([packet], probe_bit_is_off=False),)) == [(88, 72)]
    assert set_of([packet], probe_bit_is_off=True).measurements == ()


def test_a_packet_sewn_together_from_two_does_not_move_the_second() -> None:
    before, after = BciPacket(97, 127), BciPacket(97, 128)
    sewn = BciPacket.from_bytes("test", before.to_bytes()[:3] + after.to_bytes()[3:])
    assert sewn.pulse_bpm == 0
    assert values((set_of([before] * 10 + [sewn], probe_bit_is_off=False),)) == [(97, 127)]
    torn = set_of([before, sewn, after], probe_bit_is_off=False)
    assert (Metric.PULSE_RATE, NoReading.ARTIFACT) in [(one.metric, one.reason) for one in torn.withheld]


def test_a_line_that_speaks_something_else_is_said_so_now_and_then() -> None:
    outcomes = framer().feed(b"\x55" * 300)
    assert [isinstance(outcome, DecodeError) for outcome in outcomes] == [True] * 3


@given(st.binary(max_size=400))
def test_any_bytes_are_answered_within_what_is_possible(data: bytes) -> None:
    one = framer()
    rest = one.feed(data) + ((last,) if (last := one.rest()) is not None else ())
    for outcome in rest:
        if isinstance(outcome, Decoded):
            for found in outcome.measurements:
                assert found.value is not None
                assert METRICS[found.metric].lowest <= found.value <= METRICS[found.metric].highest


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_that_is_cut_merged_and_garbled_gives_no_wrong_value(seed: int) -> None:
    dice = random.Random(seed)
    truth = {(spo2, rate) for spo2, rate in zip(range(80, 100), range(118, 138), strict=True)}
    for _ in range(40):
        stream = bytearray(b"".join(second(spo2, rate) for spo2, rate in sorted(truth)))
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(stream))
            match dice.randrange(3):
                case 0:
                    del stream[at : at + dice.choice([1, 2, 5, 10, 25])]
                case 1:
                    stream[at:at] = dice.randbytes(dice.randrange(1, 5))
                case _:
                    stream[at] ^= 1 << dice.randrange(8)
        for found in framer().feed(bytes(stream)):
            if isinstance(found, Decoded):
                for one in found.measurements:
                    assert one.value in {float(pair[one.metric is Metric.PULSE_RATE]) for pair in truth}


def test_an_encoder_refuses_what_the_packet_cannot_say() -> None:
    assert packet_of(()).no_finger
    said = (Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS), Measurement(Metric.PULSE_RATE, 72.0, Modality.SPOT))
    assert packet_of(said) == BciPacket(97, 72, strength=4)
    with pytest.raises(EncodeError):
        packet_of((Measurement(Metric.SPO2, 97.5, Modality.CONTINUOUS),))
    with pytest.raises(EncodeError):
        packet_of((Measurement(Metric.BODY_WEIGHT, 97.0, Modality.CONTINUOUS),))
    with pytest.raises(EncodeError):
        BciPacket(128, 72).to_bytes()


def test_a_line_read_at_twice_its_rate_makes_no_values() -> None:
    """Enough of what comes then looks like packets, and they agree: it once made SpO2 96 % of that."""
    read = LineSettings(19200)
    dice = random.Random(4)
    for _ in range(20):
        level, beats = dice.randint(80, 100), dice.randint(40, 160)
        said = [BciPacket(level, beats, wave=place, strength=4).to_bytes() * 6 for place in range(60)]
        heard = heard_as(said, replace(read, baud=9600), read)
        assert values(BciFramer("test", 60, probe_bit_is_off=False).feed(heard)) == []

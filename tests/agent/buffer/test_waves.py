"""Waveforms in the buffer: every piece comes back as it was, damaged bytes never do, and they go before any reading."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_agent.buffer.waves import pack_waveform, unpack_waveform
from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import Attribution, ClockQuality
from bedside_profiles.waveforms import MOST_SAMPLES, Signal
from bedside_profiles.wire.waveform import Waveform

ONE = Waveform(
    seq=7,
    device_id="strap-1",
    signal=Signal.ECG,
    rate_hz=130.0,
    samples=(0, 12, -40, 1200, -300),
    taken_at_ms=1_790_000_000_000,
    boot_id="11111111-1111-4111-8111-111111111111",
    monotonic_ms=100_000,
    clock_quality=ClockQuality.SYNCED,
)

waveforms = st.builds(
    Waveform,
    seq=st.integers(1, 2**40),
    device_id=st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True),
    signal=st.sampled_from(Signal),
    rate_hz=st.floats(0.1, 10_000),
    samples=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=80).map(tuple),
    taken_at_ms=st.integers(0, 253402300799999),
    boot_id=st.from_regex(r"[0-9a-f-]{1,36}", fullmatch=True),
    monotonic_ms=st.integers(0, 2**53),
    clock_quality=st.sampled_from(ClockQuality),
    device_time=st.none() | st.just("2019-01-01T00:00:00.000"),
    attribution=st.sampled_from(Attribution),
)


@given(waveforms)
def test_every_piece_comes_back(one: Waveform) -> None:
    assert unpack_waveform(one.seq, pack_waveform(one)) == one


@given(st.integers(0, len(pack_waveform(ONE)) - 1))
def test_bytes_cut_off_are_refused(length: int) -> None:
    with pytest.raises(MalformedError):
        unpack_waveform(ONE.seq, pack_waveform(ONE)[:length])


@given(st.binary(min_size=1, max_size=20))
def test_bytes_added_are_refused(more: bytes) -> None:
    with pytest.raises(MalformedError):
        unpack_waveform(ONE.seq, pack_waveform(ONE) + more)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_piece_of_that_sequence_or_refused(payload: bytes) -> None:
    try:
        found = unpack_waveform(ONE.seq, payload)
    except MalformedError:
        return
    assert found.seq == ONE.seq
    assert unpack_waveform(ONE.seq, pack_waveform(found)) == found


def test_a_piece_under_another_sequence_is_refused() -> None:
    with pytest.raises(MalformedError):
        unpack_waveform(8, pack_waveform(ONE))


def test_an_electrocardiogram_takes_about_a_byte_a_sample() -> None:
    calm = replace(ONE, samples=tuple([(place * 7) % 60 for place in range(73)]))
    assert len(pack_waveform(calm)) < 73 * 2 + 100


@pytest.mark.parametrize("count", [0, MOST_SAMPLES + 1])
def test_a_piece_has_samples_and_not_too_many(count: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        replace(ONE, samples=(0,) * count)

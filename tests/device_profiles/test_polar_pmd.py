"""Polar's raw samples: signed, little-endian, and never a reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth.polar_pmd import ACCELERATION, CONTROL_POINT, DATA, ECG, PmdFrame, decode
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import EncodeError

times = st.integers(0, 2**64 - 1)


@given(times, st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=73))
def test_every_ecg_frame_survives(time: int, samples: list[int]) -> None:
    frame = PmdFrame(ECG, time, 0, (tuple(samples),))
    assert PmdFrame.from_bytes(frame.to_bytes()) == frame
    decoded = decode(DATA, frame.to_bytes())
    assert (decoded.measurements, decoded.withheld) == ((), ())
    assert {fact.name: fact.value for fact in decoded.facts} == {"timestamp_ns": time, "ecg_uv": tuple(samples)}


@given(times, st.sampled_from([0, 1, 2]), st.integers(1, 30), st.data())
def test_every_acceleration_frame_survives(time: int, kind: int, count: int, data: st.DataObject) -> None:
    largest = 2 ** (8 * (kind + 1) - 1)
    axis = st.lists(st.integers(-largest, largest - 1), min_size=count, max_size=count).map(tuple)
    frame = PmdFrame(ACCELERATION, time, kind, (data.draw(axis), data.draw(axis), data.draw(axis)))
    assert PmdFrame.from_bytes(frame.to_bytes()) == frame


@given(st.sampled_from([DATA, CONTROL_POINT]), st.binary(max_size=40))
def test_any_bytes_are_facts_or_refused(characteristic: str, payload: bytes) -> None:
    try:
        assert decode(characteristic, payload).measurements == ()
    except DecodeError:
        return


def test_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(DecodeError, match="no characteristic"):
        decode("00002a19-0000-1000-8000-00805f9b34fb", b"")
    with pytest.raises(EncodeError):
        PmdFrame(ECG, 0, 7, ((1,),)).to_bytes()
    with pytest.raises(EncodeError):
        PmdFrame(ECG, 0, 0, ((2**23,),)).to_bytes()

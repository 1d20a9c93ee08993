"""The Battery Level characteristic: one octet of per cent."""

import pytest

from bedside_profiles.bluetooth.battery_service import LEVEL, decode_level, encode_level
from bedside_profiles.errors import DecodeError


@pytest.mark.parametrize("percent", [0, 5, 100])
def test_a_level_survives_its_round_trip(percent: int) -> None:
    assert decode_level(encode_level(percent)) == percent


@pytest.mark.parametrize("payload", [b"", b"\x65", b"\xff", b"\x10\x10"])
def test_what_breaks_the_specification_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_level(payload)


def test_no_level_above_full_is_said() -> None:
    with pytest.raises(ValueError, match="within"):
        encode_level(101)


def test_the_characteristic_is_the_one_that_was_assigned() -> None:
    assert LEVEL == "00002a19-0000-1000-8000-00805f9b34fb"

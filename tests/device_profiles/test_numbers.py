import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.numbers import (
    Special,
    crc16_ccitt_false,
    crc16_mcrf4xx,
    decode_date_time,
    decode_float,
    decode_sfloat,
    encode_date_time,
    encode_float,
    encode_sfloat,
    sum8,
)


@pytest.mark.parametrize(
    ("raw", "value"),
    [(0x0062, 98.0), (0xF3E8, 100.0), (0xF0BD, 18.9), (0x0FFF, -1.0), (0x1005, 50.0), (0x8001, 1e-8), (0x7001, 1e7)],
)
def test_sfloat_values(raw: int, value: float) -> None:
    assert decode_sfloat(raw) == value


@pytest.mark.parametrize(
    ("raw", "special"),
    [
        (0x07FF, Special.NAN),
        (0x0800, Special.NRES),
        (0x0801, Special.RESERVED),
        (0x07FE, Special.POSITIVE_INFINITY),
        (0x0802, Special.NEGATIVE_INFINITY),
    ],
)
def test_sfloat_codes_are_no_numbers(raw: int, special: Special) -> None:
    assert decode_sfloat(raw) is special
    assert encode_sfloat(special) == raw


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (0xFF00016E, 36.6),
        (0x00000064, 100.0),
        (0x007FFFFF, Special.NAN),
        (0x00800000, Special.NRES),
        (0x00800001, Special.RESERVED),
        (0x007FFFFE, Special.POSITIVE_INFINITY),
        (0x00800002, Special.NEGATIVE_INFINITY),
    ],
)
def test_float_values_and_codes(raw: int, value: float | Special) -> None:
    assert decode_float(raw) == value
    assert encode_float(value) == raw


def test_every_sfloat_survives_the_way_there_and_back() -> None:
    for raw in range(0x10000):
        value = decode_sfloat(raw)
        assert decode_sfloat(encode_sfloat(value)) == value, hex(raw)


@given(st.integers(0, 0xFFFFFF) | st.integers(0x7FFFF8, 0x800008), st.integers(-20, 20))
def test_floats_survive_the_way_there_and_back(mantissa: int, exponent: int) -> None:
    value = decode_float((exponent & 0xFF) << 24 | mantissa)
    assert decode_float(encode_float(value)) == value


@given(st.floats(-20e9, 20e9))
def test_a_rounded_sfloat_is_within_its_resolution(value: float) -> None:
    back = decode_sfloat(encode_sfloat(value))
    assert isinstance(back, float)
    assert math.isclose(back, value, rel_tol=1 / 200, abs_tol=1e-8)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12])
def test_what_does_not_fit_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"Special|does not fit"):
        encode_sfloat(value)


def test_date_time_with_a_known_date() -> None:
    assert decode_date_time(bytes.fromhex("e20704110f3300")) == datetime(2018, 4, 17, 15, 51)  # noqa: DTZ001


def test_date_time_whose_date_the_device_does_not_know() -> None:
    assert decode_date_time(bytes.fromhex("00000000121a20")) is None


@pytest.mark.parametrize("raw", ["e2070d110f3300", "e207021e0f3300", "e20704110f333c", "e20704110f33"])
def test_dates_that_do_not_exist(raw: str) -> None:
    with pytest.raises(ValueError, match=r"date|day"):
        decode_date_time(bytes.fromhex(raw))


@given(st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)).map(lambda moment: moment.replace(microsecond=0)))  # noqa: DTZ001
def test_date_time_there_and_back(moment: datetime) -> None:
    assert decode_date_time(encode_date_time(moment)) == moment


def test_sum8_wraps() -> None:
    assert sum8(bytes((0x01, 0x81, 0x01, 0x00))) == 0x83
    assert sum8(bytes((0xFF, 0x02))) == 0x01


def test_checksums_give_the_check_values_of_their_catalogue() -> None:
    assert crc16_ccitt_false(b"123456789") == 0x29B1
    assert crc16_mcrf4xx(b"123456789") == 0x6F91

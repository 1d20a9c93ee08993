"""Numbers, dates and checksums that several devices share, both ways.

The medical floats of ISO/IEEE 11073 have codes that are not numbers. They come out as `Special`, never as a float,
so that a reader must decide what each of them means.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import TypeVar

Sample = TypeVar("Sample", int, float)


class Special(Enum):
    """A code in the place of a number."""

    NAN = "not a number"
    NRES = "not at this resolution"
    RESERVED = "reserved"
    POSITIVE_INFINITY = "above the device's range"
    NEGATIVE_INFINITY = "below the device's range"


Number = float | Special

_SFLOAT_SPECIAL = {
    0x07FF: Special.NAN,
    0x0800: Special.NRES,
    0x0801: Special.RESERVED,
    0x07FE: Special.POSITIVE_INFINITY,
    0x0802: Special.NEGATIVE_INFINITY,
}
_SFLOAT_CODE = {special: code for code, special in _SFLOAT_SPECIAL.items()}
_FLOAT_SPECIAL = {
    0x007FFFFF: Special.NAN,
    0x00800000: Special.NRES,
    0x00800001: Special.RESERVED,
    0x007FFFFE: Special.POSITIVE_INFINITY,
    0x00800002: Special.NEGATIVE_INFINITY,
}
_FLOAT_CODE = {special: code for code, special in _FLOAT_SPECIAL.items()}

_SFLOAT_BITS = 12
_FLOAT_BITS = 24
_CODES_EACH_SIDE = 2
"""With exponent 0 the outermost mantissas are the codes above: two at the top, three at the bottom."""


def decode_sfloat(raw: int) -> Number:
    """The value of a 16 bit SFLOAT (12 bit mantissa, 4 bit exponent, both signed)."""
    special = _SFLOAT_SPECIAL.get(raw)
    if special is not None:
        return special
    mantissa, exponent = raw & 0x0FFF, raw >> 12
    return _scaled(mantissa - 0x1000 if mantissa >= 0x0800 else mantissa, exponent - 16 if exponent >= 8 else exponent)


def encode_sfloat(value: Number) -> int:
    """The SFLOAT nearest to `value`, with the finest exponent that holds it. Raises ValueError beyond ±20.47e9."""
    if isinstance(value, Special):
        return _SFLOAT_CODE[value]
    mantissa, exponent = _fit(value, _SFLOAT_BITS, -8, 7)
    return (exponent & 0x0F) << 12 | (mantissa & 0x0FFF)


def decode_float(raw: int) -> Number:
    """The value of a 32 bit FLOAT (24 bit mantissa, 8 bit exponent, both signed)."""
    special = _FLOAT_SPECIAL.get(raw)
    if special is not None:
        return special
    mantissa, exponent = raw & 0xFFFFFF, raw >> 24
    return _scaled(
        mantissa - 0x1000000 if mantissa >= 0x800000 else mantissa, exponent - 256 if exponent >= 128 else exponent
    )


def encode_float(value: Number) -> int:
    """The FLOAT nearest to `value`, with the finest exponent that holds it. Raises ValueError if none holds it."""
    if isinstance(value, Special):
        return _FLOAT_CODE[value]
    mantissa, exponent = _fit(value, _FLOAT_BITS, -128, 127)
    return (exponent & 0xFF) << 24 | (mantissa & 0xFFFFFF)


def _scaled(mantissa: int, exponent: int) -> float:
    """Rounded once: dividing by an exact power of ten keeps 36.6 what a person would write."""
    power: int = 10 ** abs(exponent)
    return mantissa / power if exponent < 0 else float(mantissa * power)


def _fit(value: float, mantissa_bits: int, lowest_exponent: int, highest_exponent: int) -> tuple[int, int]:
    """The shortest exact mantissa if there is one, else the most precise rounded one."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("say NaN and infinities as Special")
    rounded: tuple[int, int] | None = None
    for exponent in _by_size(lowest_exponent, highest_exponent):
        mantissa = round(value / 10**exponent) if exponent >= 0 else round(value * 10**-exponent)
        largest = 2 ** (mantissa_bits - 1) - 1
        lowest = -largest - 1
        if exponent == 0:
            largest, lowest = largest - _CODES_EACH_SIDE, lowest + _CODES_EACH_SIDE + 1
        if not lowest <= mantissa <= largest:
            continue
        if _scaled(mantissa, exponent) == value:
            return mantissa, exponent
        if rounded is None or exponent < rounded[1]:
            rounded = mantissa, exponent
    if rounded is None:
        raise ValueError(f"{value!r} does not fit")
    return rounded


def _by_size(lowest: int, highest: int) -> list[int]:
    return sorted(range(lowest, highest + 1), key=abs)


def decode_date_time(raw: bytes) -> datetime | None:
    """A SIG Date Time (7 bytes) as the device's own wall time; None when year, month or day is unknown (0).

    Raises ValueError for a date that does not exist and for a length other than 7.
    """
    if len(raw) != 7:
        raise ValueError(f"a date needs 7 bytes, not {len(raw)}")
    year = int.from_bytes(raw[:2], "little")
    month, day, hour, minute, second = raw[2:]
    if month > 12 or day > 31 or hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"no such date: {year}-{month}-{day} {hour}:{minute}:{second}")
    if year == 0 or month == 0 or day == 0:
        return None
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone


def encode_date_time(moment: datetime | None) -> bytes:
    """The 7 bytes of a SIG Date Time, whole seconds; all zero for None."""
    if moment is None:
        return bytes(7)
    return moment.year.to_bytes(2, "little") + bytes(
        (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    )


def sum8(data: bytes) -> int:
    """The sum of all bytes, modulo 256."""
    return sum(data) & 0xFF


def crc16_ccitt_false(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, the most significant bit first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def crc16_mcrf4xx(data: bytes) -> int:
    """CRC-16/MCRF4XX: the same polynomial and start, the least significant bit first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def decode_bcd(byte: int) -> int:
    """The two decimal digits of a byte. Raises ValueError when they are none."""
    if byte >> 4 > 9 or byte & 0x0F > 9:
        raise ValueError(f"{byte:02X} is no pair of decimal digits")
    return (byte >> 4) * 10 + (byte & 0x0F)


def encode_bcd(value: int) -> int:
    """The byte that holds a number of 0 to 99 as two decimal digits."""
    return value // 10 << 4 | value % 10


def median_low(values: Iterable[Sample]) -> Sample:
    """The middle one, of two the lower; so that none comes out that did not go in.

    `statistics` has it too, and takes 0.7 MB of a hub's memory.
    """
    ranked = sorted(values)
    return ranked[(len(ranked) - 1) // 2]

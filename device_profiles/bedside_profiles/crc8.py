"""The two CRC-8 that oximeters and cuffs of one maker use side by side; each refuses the other's frames."""

from collections.abc import Sequence


def crc8(data: bytes) -> int:
    """Polynomial 07, most significant bit first, start 0: O2Ring, O2Ring-S, BP2W."""
    return _run(_PLAIN, data)


def crc8_maxim(data: bytes) -> int:
    """Polynomial 31 reflected, start 0 (Dallas, Maxim): PC-60FW."""
    return _run(_REFLECTED, data)


def _run(table: Sequence[int], data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def _plain(value: int) -> int:
    for _ in range(8):
        value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


def _reflected(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x8C if value & 0x01 else value >> 1
    return value


_PLAIN = tuple([_plain(value) for value in range(256)])
_REFLECTED = tuple([_reflected(value) for value in range(256)])

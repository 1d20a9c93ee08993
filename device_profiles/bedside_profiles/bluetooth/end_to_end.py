"""The CRC that glucose sensors put behind their values, from end to end.

The standard's own examples use CRC-16/MCRF4XX, low byte first. Medtronic's sensors use CRC-16/CCITT-FALSE instead. A
value does not say which: it is good when either fits.
"""

from bedside_profiles.cursor import Cursor
from bedside_profiles.numbers import crc16_ccitt_false, crc16_mcrf4xx

CRC_BYTES = 2


def is_whole(protected: bytes, crc: int) -> bool:
    """Whether this is the CRC of those bytes."""
    return crc in (crc16_mcrf4xx(protected), crc16_ccitt_false(protected))


def end_with_crc(cursor: Cursor, payload: bytes) -> bool:
    """The end of a value: nothing more, or its CRC (then True). Raises `DecodeError` for anything else."""
    if not cursor.left:
        return False
    protected = payload[: len(payload) - cursor.left]
    crc = cursor.unsigned(CRC_BYTES, "E2E-CRC")
    cursor.end()
    if not is_whole(protected, crc):
        raise cursor.error("wrong E2E-CRC")
    return True


def with_crc(protected: bytes) -> bytes:
    """The bytes with the standard's CRC behind them."""
    return protected + crc16_mcrf4xx(protected).to_bytes(CRC_BYTES, "little")

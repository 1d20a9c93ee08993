"""The Bluetooth SIG's Battery Service 1.0: how full a device's battery is. Any device may have it beside its own.

On Linux, bluetoothd keeps this service to itself while its `battery` plugin is loaded; `--noplugin=battery` shows it.
"""

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import sig_uuid

SERVICE = sig_uuid(0x180F)
LEVEL = sig_uuid(0x2A19)
NAME = "battery_service"


def decode_level(payload: bytes) -> int:
    """Per cent (3.1: one octet, 0 to 100); `DecodeError` for anything else."""
    if len(payload) != 1:
        raise DecodeError(NAME, f"a level has one octet, not {len(payload)}", payload)
    percent = payload[0]
    if percent > 100:
        raise DecodeError(NAME, "a level above 100 %", payload)
    return percent


def encode_level(percent: int) -> bytes:
    """The octet of a level; ValueError outside 0 to 100."""
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is not within 0 to 100")
    return bytes([percent])

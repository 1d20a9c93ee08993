"""The Bluetooth SIG's Battery Service 1.0: how full a device's battery is. Any device may have it beside its own.

On Linux, bluetoothd keeps this service to itself while its `battery` plugin is loaded; `--noplugin=battery` shows it.
"""

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Fact, Service, sig_uuid

SERVICE = sig_uuid(0x180F)
LEVEL = sig_uuid(0x2A19)
NAME = "bluetooth.battery_service"


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


def decode(characteristic: str, payload: bytes) -> Decoded:
    """A level as a fact of the device."""
    if characteristic != LEVEL:
        raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)
    return Decoded(facts=(Fact("battery_percent", decode_level(payload)),))


SERVICE_PROFILE = Service(NAME, "Battery", SERVICE, (LEVEL,), decode)

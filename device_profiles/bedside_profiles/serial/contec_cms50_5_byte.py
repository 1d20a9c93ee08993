"""Contec's older oximeters: 60 packets of 5 bytes a second (see `bci`), over a line that differs from model to model.

CMS50D+ before version 7 speaks with 19200 baud and no parity, CMS50E with odd parity, and the oldest with 4800 baud.
"""

from collections.abc import Sequence
from dataclasses import replace

from bedside_profiles.bci import BciFramer, packet_of
from bedside_profiles.profile import LineSettings, SerialProfile
from bedside_profiles.readings import Measurement

NAME = "serial.contec_cms50_5_byte"
PACKETS_A_SECOND = 60


def framer() -> BciFramer:
    """A Contec's `probe_bit` tells of a falling saturation."""
    return BciFramer(NAME, PACKETS_A_SECOND, probe_bit_is_off=False)


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The 300 bytes of one second that say these measurements. Raises `EncodeError`."""
    return packet_of(measurements).to_bytes() * PACKETS_A_SECOND


PROFILE = SerialProfile(
    name=NAME,
    label="Contec CMS50 oximeter, 5 byte packets",
    line=LineSettings(baud=19200),
    framer=framer,
    encode=encode,
    silence_seconds=10.0,
    names=("contec", "cms50", "5-byte"),
)
ODD_PARITY = replace(
    PROFILE,
    name="serial.contec_cms50_5_byte_odd",
    label="Contec CMS50E oximeter, 5 byte packets, odd parity",
    line=LineSettings(baud=19200, parity="O"),
    names=("contec cms50 5-byte, odd parity",),
)
SLOW = replace(
    PROFILE,
    name="serial.contec_cms50_5_byte_4800",
    label="Contec CMS50 oximeter, 5 byte packets, 4800 baud",
    line=LineSettings(baud=4800, parity="O"),
    names=("contec cms50 5-byte, 4800 baud",),
)

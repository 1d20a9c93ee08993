"""What a profile is: one kind of device, its bytes in both directions, and what is told apart as no reading.

A decoder answers with a `Decoded` for every well formed frame, also for one that holds no value: a probe that is
off, a cuff that reports an error. Bytes that break their specification raise `DecodeError`, and nothing else does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bedside_profiles.bounds import Name
from bedside_profiles.errors import DecodeError
from bedside_profiles.readings import Measurement, Metric


class NoReading(StrEnum):
    """Why a well formed frame, or one member of it, is not a reading."""

    NOT_A_NUMBER = "not_a_number"
    """The device said that it has no result: NaN, NRes, or its own code for a missing value."""
    SENSOR_OFF = "sensor_off"
    """Probe, strap or cuff is not on the body, or the sensor is unplugged. A number beside it is not trusted."""
    ZERO = "zero"
    """Zero where a living body has none: still searching for a pulse, or a field that the device does not fill in."""
    INVALID = "invalid"
    """The device calls its own value invalid, unavailable, a demonstration, a test or a calibration."""
    ARTIFACT = "artifact"
    """A fault of format or line, not of the body: a counter that ran full, values that contradict each other."""
    IMPOSSIBLE = "impossible"
    """Outside what is physically possible (`METRICS`), although the frame is well formed."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """One member of a frame that is no reading, and why."""

    metric: Metric
    reason: NoReading


@dataclass(frozen=True, slots=True)
class Decoded:
    """One well formed frame. `measurements` may be empty; then `withheld` says why there is no reading."""

    measurements: tuple[Measurement, ...] = ()
    withheld: tuple[Withheld, ...] = ()


class Transfer(StrEnum):
    """How a characteristic hands over its values. A cuff that indicates is silent to one who asks it to notify."""

    NOTIFY = "notify"
    INDICATE = "indicate"


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One characteristic that the hub listens to. `uuid` is 128 bit, lower case.

    A device without a `required` one is not the device it is configured as.
    """

    uuid: str
    transfer: Transfer
    required: bool


class EncodeError(ValueError):
    """These measurements cannot be said in this profile's frames: a mistake of the caller, not of a device."""


@dataclass(frozen=True, slots=True)
class BleProfile:
    """A Bluetooth Low Energy device.

    `decode(characteristic, payload)` raises `DecodeError`; `encode(characteristic, measurements)` is its inverse
    for one frame and raises `EncodeError`. `silence_seconds` is how long a connected device may say nothing before
    its link is taken for dead; None for a device that only speaks after a measurement.
    """

    name: Name
    label: str
    service_uuid: str
    characteristics: tuple[Characteristic, ...]
    decode: Callable[[str, bytes], Decoded]
    encode: Callable[[str, Sequence[Measurement]], bytes]
    silence_seconds: float | None


class Framer(Protocol):
    """Finds frames in a byte stream that begins, splits and breaks anywhere. One framer a connection."""

    def feed(self, data: bytes) -> tuple[Decoded | DecodeError, ...]:
        """What these bytes complete, in order. Broken bytes are answered, never raised; they cost no good frame."""
        ...


@dataclass(frozen=True, slots=True)
class LineSettings:
    """A serial line: `parity` is N, E or O."""

    baud: int
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class SerialProfile:
    """A device on a serial line. `encode(measurements)` gives the bytes of one measurement set.

    `silence_seconds` is how long the open line may say nothing before it is closed and opened again.
    """

    name: Name
    label: str
    line: LineSettings
    framer: Callable[[], Framer]
    encode: Callable[[Sequence[Measurement]], bytes]
    silence_seconds: float | None


Profile = BleProfile | SerialProfile


def sig_uuid(short: int) -> str:
    """The 128 bit form of a 16 bit UUID that the Bluetooth SIG assigned, lower case."""
    return f"{short:08x}-0000-1000-8000-00805f9b34fb"

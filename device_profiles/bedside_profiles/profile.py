"""What a profile is: one kind of device, its bytes in both directions, and what is told apart as no reading.

A decoder answers with a `Decoded` for every well formed frame, also for one that holds no value: a probe that is
off, a cuff that reports an error. Bytes that break their specification raise `DecodeError`, and nothing else does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bedside_profiles.bounds import Name
from bedside_profiles.conversation import Converse, ConverseKnowing
from bedside_profiles.errors import DecodeError
from bedside_profiles.readings import Measurement, Metric
from bedside_profiles.waveforms import Segment, Signal


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


FactValue = int | float | str | bool | tuple[int, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """What a frame says and that is no measurement of the patient: the device's clock, a battery's volts, an answer.

    The unit stands in the name (`battery_v`); times are ISO 8601 without a zone. A technician reads it; nothing is
    decided by it outside the profile.
    """

    name: Name
    value: FactValue


@dataclass(frozen=True, slots=True)
class Decoded:
    """One well formed frame. Without `measurements`, the others tell what it was instead."""

    measurements: tuple[Measurement, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    facts: tuple[Fact, ...] = ()
    segments: tuple[Segment, ...] = ()


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


class Listener(Protocol):
    """What is heard over one connection. Frames may be spread over several values, or several stand in one."""

    def feed(self, characteristic: str, payload: bytes) -> "tuple[Decoded | DecodeError, ...]":
        """What this value completes, in order. Broken bytes are answered, never raised; they cost no good frame."""
        ...

    def rest(self) -> "Decoded | DecodeError | None":
        """What is left when nothing more comes: a frame that was begun and not ended, or None."""
        ...


class Values:
    """A `Listener` for devices each of whose values is one whole frame."""

    def __init__(self, decode: Callable[[str, bytes], Decoded]) -> None:
        self._decode = decode

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `Listener`."""
        try:
            return (self._decode(characteristic, payload),)
        except DecodeError as error:
            return (error,)

    def rest(self) -> None:
        """See `Listener`: nothing is ever begun."""


def values(decode: Callable[[str, bytes], Decoded]) -> Callable[[], Listener]:
    """The `listen` of a profile whose `decode` takes one value of a characteristic and raises `DecodeError`."""
    return lambda: Values(decode)


@dataclass(frozen=True, slots=True)
class BleProfile:
    """A Bluetooth Low Energy device.

    `listen()` begins to listen on a new connection; `encode(characteristic, measurements)` says them in one frame and
    raises `EncodeError`. `silence_seconds` is how long a connected device may say nothing before its link is taken for
    dead; None for a device that only speaks after a measurement. `names` are words, lower case, by which a device of
    this kind is known among others with the same service; none are needed where the service is its own. `commands` are
    the characteristics that a hub writes to, and `decode_command` says what a hub's frame means. `also_services` are
    services of other models that have the same characteristics. `converse` begins what a hub says to the device; None
    for one that speaks by itself. `reads_first` are read before anything is subscribed to, where the device has them,
    and handed to the listener, which needs them to understand the rest. `signals` are the waveforms that it samples
    where they are wanted.
    """

    name: Name
    label: str
    service_uuid: str
    characteristics: tuple[Characteristic, ...]
    listen: Callable[[], Listener]
    encode: Callable[[str, Sequence[Measurement]], bytes]
    silence_seconds: float | None
    names: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    decode_command: Callable[[bytes], Decoded] | None = None
    also_services: tuple[str, ...] = ()
    converse: ConverseKnowing | None = None
    reads_first: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """Characteristics that any device may have beside its own: they tell of the device, never of the patient."""

    name: Name
    label: str
    service_uuid: str
    characteristics: tuple[str, ...]
    decode: Callable[[str, bytes], Decoded]


@dataclass(frozen=True, slots=True)
class Advert:
    """One advertisement: `payload` is its service data without the UUID, or its manufacturer data without the company.

    `address` (upper case, colons) and `bind_key` are what decrypts it, where it is encrypted.
    """

    payload: bytes
    address: str | None = None
    bind_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class AdvertProfile:
    """A device that says what it measured in its advertisements, to everybody, again and again.

    `decode` raises `DecodeError`. `service_uuid` names its service data, `company` its manufacturer data (the Bluetooth
    SIG's number); one of them is None. `encode(measurements)` gives the payload and raises `EncodeError`.
    One with `needs_bind_key` is encrypted, with 16 bytes that the maker's app knows.
    """

    name: Name
    label: str
    service_uuid: str | None
    company: int | None
    decode: Callable[[Advert], Decoded]
    encode: Callable[[Sequence[Measurement]], bytes]
    names: tuple[str, ...] = ()
    needs_bind_key: bool = False


class Framer(Protocol):
    """Finds frames in a byte stream that begins, splits and breaks anywhere. One framer a connection."""

    def feed(self, data: bytes) -> tuple[Decoded | DecodeError, ...]:
        """What these bytes complete, in order. Broken bytes are answered, never raised; they cost no good frame."""
        ...

    def rest(self) -> "Decoded | DecodeError | None":
        """What is left when nothing more comes: a frame that was begun and not ended, or None."""
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

    `silence_seconds` is how long the open line may say nothing before it is closed and opened again; None for a device
    that is asked. `names` are words, lower case, by which a device of this kind is known. `decode_command` says
    what a hub's frame means, and `converse` begins what a hub says. `hid_ids` are the USB HID devices, VENDOR:PRODUCT
    in lower case, that speak it without a terminal, in reports.
    """

    name: Name
    label: str
    line: LineSettings
    framer: Callable[[], Framer]
    encode: Callable[[Sequence[Measurement]], bytes]
    silence_seconds: float | None
    names: tuple[str, ...] = ()
    decode_command: Callable[[bytes], Decoded] | None = None
    converse: Converse | None = None
    hid_ids: frozenset[str] = frozenset()


Profile = BleProfile | SerialProfile
"""What a hub reads over a connection of its own."""


def sig_uuid(short: int) -> str:
    """The 128 bit form of a 16 bit UUID that the Bluetooth SIG assigned, lower case."""
    return f"{short:08x}-0000-1000-8000-00805f9b34fb"

"""Thermometers with the Bluetooth SIG Health Thermometer service (0x1809).

A finished measurement (2A1C) is indicated. While it is being taken, some devices notify values that still rise (2A1E):
they are told as facts, for a reader who takes 34 °C on its way to 38 °C for a result would be misled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.bluetooth import clock_setting
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Number, Special, encode_date_time, encode_float
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    NoReading,
    Transfer,
    sig_uuid,
    values,
)
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.thermometer"
SERVICE = sig_uuid(0x1809)
MEASUREMENT = sig_uuid(0x2A1C)
INTERMEDIATE = sig_uuid(0x2A1E)

_FAHRENHEIT, _TIMESTAMP, _SITE = 0x01, 0x02, 0x04

SITES = (
    "unknown",
    "armpit",
    "body",
    "ear",
    "finger",
    "gastrointestinal_tract",
    "mouth",
    "rectum",
    "toe",
    "tympanum",
)
"""Where the temperature is taken, by the code that 2A1C and 2A1D share."""

LOWEST_OF_A_BODY_CEL, HIGHEST_OF_A_BODY_CEL = 25.0, 45.0
"""Infrared thermometers also measure rooms, milk and walls, and send them the same way."""

_MEMBERS = frozenset({Metric.BODY_TEMPERATURE})


def site_facts(code: int) -> tuple[Fact, ...]:
    """What a code of 2A1D says; a code that the specification reserves has no name."""
    named = (Fact("site", SITES[code]),) if code < len(SITES) else ()
    return (Fact("site_code", code), *named)


@dataclass(frozen=True, slots=True)
class TemperatureRecord:
    """One frame of 2A1C or 2A1E as it stands there, in °F when `in_fahrenheit`, else in °C.

    `timestamp` is None when the frame has none or the device does not know the date; `site` is an index of `SITES`.
    """

    temperature: Number
    in_fahrenheit: bool = False
    timestamp: datetime | None = None
    site: int | None = None

    @classmethod
    def from_bytes(cls, payload: bytes) -> "TemperatureRecord":
        """Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        temperature = cursor.medical_float("temperature")
        timestamp = cursor.date_time("timestamp") if flags & _TIMESTAMP else None
        site = cursor.unsigned(1, "temperature type") if flags & _SITE else None
        cursor.end()
        return cls(temperature, bool(flags & _FAHRENHEIT), timestamp, site)

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        flags = _FAHRENHEIT if self.in_fahrenheit else 0
        tail = b""
        if self.timestamp is not None:
            flags |= _TIMESTAMP
            tail += encode_date_time(self.timestamp)
        if self.site is not None:
            flags |= _SITE
            tail += bytes((self.site,))
        try:
            return bytes((flags,)) + encode_float(self.temperature).to_bytes(4, "little") + tail
        except ValueError as error:
            raise EncodeError(str(error)) from error

    @property
    def celsius(self) -> Number:
        """In °C, to a hundredth: a device's own step of 0.1 °F is coarser than that."""
        if isinstance(self.temperature, Special) or not self.in_fahrenheit:
            return self.temperature
        return round((self.temperature - 32) * 5 / 9, 2)


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One frame of 2A1C or 2A1E. Raises `DecodeError`. What no living body has is no body's temperature."""
    if characteristic not in {MEASUREMENT, INTERMEDIATE}:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    record = TemperatureRecord.from_bytes(payload)
    celsius = record.celsius
    facts = () if record.site is None else site_facts(record.site)
    members = Members(Modality.SPOT, device_time=record.timestamp)
    if characteristic == INTERMEDIATE:
        if isinstance(celsius, Special):
            members.withhold(Metric.BODY_TEMPERATURE, NoReading.NOT_A_NUMBER)
            return members.decoded(*facts)
        return members.decoded(Fact("intermediate_temperature_cel", celsius), *facts)
    if isinstance(celsius, Special) or celsius == 0 or LOWEST_OF_A_BODY_CEL <= celsius <= HIGHEST_OF_A_BODY_CEL:
        members.add(Metric.BODY_TEMPERATURE, celsius)
    else:
        members.withhold(Metric.BODY_TEMPERATURE, NoReading.IMPOSSIBLE)
    return members.decoded(*facts)


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame in °C that decodes to this measurement; without one it says NaN."""
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no finished measurement is said in {characteristic}")
    first = shared(measurements, _MEMBERS)
    if first is not None and (first.device_user is not None or first.quality):
        raise EncodeError("this frame holds neither quality nor user")
    temperature = number_of(measurements, Metric.BODY_TEMPERATURE)
    return TemperatureRecord(
        Special.NAN if temperature is None else temperature,
        timestamp=None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time),
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Thermometer",
    service_uuid=SERVICE,
    characteristics=(
        Characteristic(MEASUREMENT, Transfer.INDICATE, required=True),
        Characteristic(INTERMEDIATE, Transfer.NOTIFY, required=False),
    ),
    listen=values(decode),
    encode=encode,
    silence_seconds=None,
    converse=clock_setting.set_each_time,
)

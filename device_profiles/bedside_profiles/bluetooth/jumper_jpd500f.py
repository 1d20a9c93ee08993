"""Jumper JPD-500F ("My Oximeter", "Medical"): 4 bytes `81 pulse SpO2 perfusion` about once a second.

The pulse wave comes in longer values that begin with 80. 255, 127 and 0 stand for none; all three together mean that
no finger is in the sensor. The service differs in one nibble from the Yonker cuff's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    NoReading,
    Transfer,
    values,
)
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.jumper_jpd500f"
SERVICE = "cdeacb80-5235-4c07-8846-93a37ee6b86d"
MEASUREMENT = "cdeacb81-5235-4c07-8846-93a37ee6b86d"

FRAME_BYTES = 4
_VALUES, _WAVE = 0x81, 0x80
_WAVE_BYTES = 11
_NO_PULSE, _NO_SATURATION, _NO_PERFUSION = 0xFF, 0x7F, 0

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})


@dataclass(frozen=True, slots=True)
class JumperRecord:
    """One set of values, None where the device has none. `perfusion` is in 0.1 %."""

    pulse_bpm: int | None
    spo2: int | None
    perfusion: int | None

    @classmethod
    def from_bytes(cls, payload: bytes) -> "JumperRecord":
        """Raises `DecodeError`."""
        if not payload or payload[0] != _VALUES:
            raise DecodeError(NAME, "only values that begin with 81 hold numbers", payload)
        if len(payload) != FRAME_BYTES:
            raise DecodeError(NAME, f"a set has 4 bytes, not {len(payload)}", payload)
        return cls(
            None if payload[1] == _NO_PULSE else payload[1],
            None if payload[2] == _NO_SATURATION else payload[2],
            None if payload[3] == _NO_PERFUSION else payload[3],
        )

    def to_bytes(self) -> bytes:
        """The value. Raises `EncodeError`."""
        pulse = _NO_PULSE if self.pulse_bpm is None else self.pulse_bpm
        spo2 = _NO_SATURATION if self.spo2 is None else self.spo2
        try:
            return bytes((_VALUES, pulse, spo2, self.perfusion or _NO_PERFUSION))
        except ValueError as error:
            raise EncodeError(str(error)) from error


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value. Raises `DecodeError`."""
    if characteristic != MEASUREMENT:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    if payload[:1] == bytes((_WAVE,)) and len(payload) == _WAVE_BYTES:
        return Decoded(facts=(Fact("pulse_wave", tuple(payload[1:])),))
    record = JumperRecord.from_bytes(payload)
    off = record == JumperRecord(None, None, None)
    members = Members(Modality.CONTINUOUS)
    members.add_oximetry(
        Special.NAN if record.spo2 is None else record.spo2,
        Special.NAN if record.pulse_bpm is None else record.pulse_bpm,
        Special.NAN if record.perfusion is None else record.perfusion / 10,
        reason=NoReading.SENSOR_OFF if off else None,
    )
    return members.decoded()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One value that decodes to these measurements; without any, it says that no finger is in the sensor."""
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    holding(measurements, _MEMBERS)
    return JumperRecord(
        steps_of(measurements, Metric.PULSE_RATE),
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PERFUSION_INDEX, 10),
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Jumper JPD-500F pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(Characteristic(MEASUREMENT, Transfer.NOTIFY, required=True),),
    listen=values(decode),
    encode=encode,
    silence_seconds=30.0,
)

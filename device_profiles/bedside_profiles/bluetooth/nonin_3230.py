"""Nonin 3230 and WristOx2 3150 LE: one frame a second, big-endian, over Nonin's own oximetry service.

| byte | meaning |
|---|---|
| 0 | length: 10 |
| 1 | status: 0x40 encrypted, 0x20 low battery, 0x10 correctly worn, 0x08 searching, 0x04 SmartPoint, 0x02 weak pulse |
| 2 | battery in 0.1 V |
| 3, 4 | pulse amplitude index in 0.01 % |
| 5, 6 | counter |
| 7 | SpO2 in %; 127: none |
| 8, 9 | pulse in beats a minute; 511: none |
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
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

NAME = "bluetooth.nonin_3230"
SERVICE = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"
CONTINUOUS = "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b"

FRAME_BYTES = 10
_ENCRYPTED, _LOW_BATTERY, _WORN, _SEARCHING, _SMARTPOINT, _WEAK = 0x40, 0x20, 0x10, 0x08, 0x04, 0x02
_NO_SATURATION, _NO_PULSE = 127, 511

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})
_QUALITY = ((_WEAK, Quality.WEAK_SIGNAL), (_LOW_BATTERY, Quality.LOW_BATTERY))


@dataclass(frozen=True, slots=True)
class NoninRecord:
    """One frame. `spo2` in % and `pulse_bpm` are None where the device has none; `amplitude` is in 0.01 %."""

    status: int
    battery_decivolt: int
    amplitude: int
    counter: int
    spo2: int | None
    pulse_bpm: int | None

    @classmethod
    def from_bytes(cls, payload: bytes) -> "NoninRecord":
        """Raises `DecodeError`."""
        if len(payload) != FRAME_BYTES or payload[0] != FRAME_BYTES:
            raise DecodeError(NAME, f"a frame says and has 10 bytes, not {len(payload)}", payload)
        pulse = int.from_bytes(payload[8:10], "big")
        return cls(
            status=payload[1],
            battery_decivolt=payload[2],
            amplitude=int.from_bytes(payload[3:5], "big"),
            counter=int.from_bytes(payload[5:7], "big"),
            spo2=None if payload[7] == _NO_SATURATION else payload[7],
            pulse_bpm=None if pulse == _NO_PULSE else pulse,
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        spo2 = _NO_SATURATION if self.spo2 is None else self.spo2
        pulse = _NO_PULSE if self.pulse_bpm is None else self.pulse_bpm
        try:
            return (
                bytes((FRAME_BYTES, self.status, self.battery_decivolt))
                + self.amplitude.to_bytes(2, "big")
                + self.counter.to_bytes(2, "big")
                + bytes((spo2,))
                + pulse.to_bytes(2, "big")
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One frame. Raises `DecodeError`."""
    if characteristic != CONTINUOUS:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    record = NoninRecord.from_bytes(payload)
    members = Members(Modality.CONTINUOUS, quality=[quality for bit, quality in _QUALITY if record.status & bit])
    reason = None
    if not record.status & _WORN:
        reason = NoReading.SENSOR_OFF
    elif record.status & _SEARCHING:
        reason = NoReading.NOT_A_NUMBER
    members.add_oximetry(
        Special.NAN if record.spo2 is None else record.spo2,
        Special.NAN if record.pulse_bpm is None else record.pulse_bpm,
        record.amplitude / 100,
        reason=reason,
    )
    return members.decoded(
        Fact("battery_v", record.battery_decivolt / 10),
        Fact("counter", record.counter),
        Fact("correct_check", bool(record.status & _WORN)),
        Fact("smartpoint", bool(record.status & _SMARTPOINT)),
        Fact("low_battery", bool(record.status & _LOW_BATTERY)),
        Fact("encrypted", bool(record.status & _ENCRYPTED)),
    )


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; without any, one that says that no finger is in the sensor."""
    if characteristic != CONTINUOUS:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS, quality=frozenset(quality for _, quality in _QUALITY))
    status = _ENCRYPTED
    if first is not None:
        status |= _WORN | _SMARTPOINT | sum(bit for bit, quality in _QUALITY if quality in first.quality)
    return NoninRecord(
        status,
        battery_decivolt=30,
        amplitude=steps_of(measurements, Metric.PERFUSION_INDEX, 100) or 0,
        counter=0,
        spo2=steps_of(measurements, Metric.SPO2),
        pulse_bpm=steps_of(measurements, Metric.PULSE_RATE),
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Nonin 3230 pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(Characteristic(CONTINUOUS, Transfer.NOTIFY, required=True),),
    listen=values(decode),
    encode=encode,
    silence_seconds=30.0,
)

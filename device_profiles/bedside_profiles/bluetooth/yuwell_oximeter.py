"""Oximeters of Yuwell's kind on FFE0/FFE4: `FE 0A 55` are the values, `FE 08 56` is the pulse wave.

`FE 0A 55 pulse16 SpO2 perfusion16 counter sum`: big-endian, perfusion in 0.001 %, the sum of all bytes between the
first and the last. 511, 127 and 0 stand for none. `FE 08 56 wave flags level counter sum`: bit 1 of the flags says that
the sensor is off; the values that come between two such frames are then the ones still on the display.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener, Framing
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special, sum8
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    NoReading,
    Transfer,
    sig_uuid,
)
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.yuwell_oximeter"
SERVICE = sig_uuid(0xFFE0)
STREAM = sig_uuid(0xFFE4)

_MARK = 0xFE
_VALUES, _WAVE = 0x55, 0x56
_SIZES = {_VALUES: 10, _WAVE: 8}
_OFF = 0x02
_NO_PULSE, _NO_SATURATION, _NO_PERFUSION = 511, 127, 0

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})


@dataclass(frozen=True, slots=True)
class YuwellRecord:
    """One set of values, None where the device has none. `perfusion` is in 0.001 %."""

    pulse_bpm: int | None
    spo2: int | None
    perfusion: int | None
    counter: int = 0

    @classmethod
    def from_bytes(cls, frame: bytes) -> "YuwellRecord":
        """A frame of values whose sum is right."""
        pulse, perfusion = int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[6:8], "big")
        return cls(
            None if pulse == _NO_PULSE else pulse,
            None if frame[5] == _NO_SATURATION else frame[5],
            None if perfusion == _NO_PERFUSION else perfusion,
            frame[8],
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        pulse = _NO_PULSE if self.pulse_bpm is None else self.pulse_bpm
        spo2 = _NO_SATURATION if self.spo2 is None else self.spo2
        try:
            body = (
                bytes((_MARK, _SIZES[_VALUES], _VALUES))
                + pulse.to_bytes(2, "big")
                + bytes((spo2,))
                + (self.perfusion or _NO_PERFUSION).to_bytes(2, "big")
                + bytes((self.counter,))
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        return body + bytes((sum8(body[1:]),))


def _size(head: bytes) -> int | None:
    if len(head) < 3:
        return None
    if _SIZES.get(head[2]) != head[1]:
        raise DecodeError(NAME, f"no frame of the kind {head[1]:02x} {head[2]:02x}", head)
    return head[1]


def _problem(frame: bytes) -> str | None:
    return None if sum8(frame[1:-1]) == frame[-1] else "wrong sum of a frame"


class YuwellListener(FrameListener):
    """Remembers what the last frame of the pulse wave said of the sensor."""

    def __init__(self) -> None:
        super().__init__(Framing(NAME, bytes((_MARK,)), _size, _problem, self._decode), STREAM)
        self._sensor_off = False

    def _decode(self, frame: bytes) -> tuple[Decoded, ...]:
        if frame[2] == _WAVE:
            self._sensor_off = bool(frame[4] & _OFF)
            facts = (Fact("pleth", frame[3]), Fact("sensor_off", self._sensor_off), Fact("counter", frame[6]))
            return (Decoded(facts=facts),)
        record = YuwellRecord.from_bytes(frame)
        members = Members(Modality.CONTINUOUS)
        off = self._sensor_off or (record.spo2 is None and record.pulse_bpm is None)
        members.add_oximetry(
            Special.NAN if record.spo2 is None else record.spo2,
            Special.NAN if record.pulse_bpm is None else record.pulse_bpm,
            Special.NAN if record.perfusion is None else record.perfusion / 1000,
            reason=NoReading.SENSOR_OFF if off else None,
        )
        return (members.decoded(Fact("counter", record.counter)),)


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; without any, it says that no finger is in the sensor."""
    if characteristic != STREAM:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    holding(measurements, _MEMBERS)
    return YuwellRecord(
        steps_of(measurements, Metric.PULSE_RATE),
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PERFUSION_INDEX, 1000),
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Yuwell-class pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(Characteristic(STREAM, Transfer.NOTIFY, required=True),),
    listen=YuwellListener,
    encode=encode,
    silence_seconds=30.0,
    names=("fe-0a-55", "fe-08-56", "yuwell"),
)

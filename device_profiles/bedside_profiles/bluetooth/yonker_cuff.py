"""Yonker blood pressure cuffs: a finished measurement is one value of 15 bytes that begins with 81.

`81 systolic diastolic pulse .. .. day month year hour minute .. .. .. ..`: mmHg, beats a minute, years since 2000. The
two dots in the middle and the four at the end are not known, and there is no checksum; a systolic pressure that is not
above the diastolic one is therefore no reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, holding, moment_of, steps_of
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Transfer, values
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.yonker_cuff"
SERVICE = "cdeacd80-5235-4c07-8846-93a37ee6b86d"
MEASUREMENT = "cdeacd81-5235-4c07-8846-93a37ee6b86d"

FRAME_BYTES = 15
_FINAL = 0x81
_CENTURY = 2000

_MEMBERS = frozenset({Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class YonkerRecord:
    """One finished measurement: mmHg and beats a minute, 0 where there is none. `taken` is None without a date."""

    systolic: int
    diastolic: int
    pulse_bpm: int
    taken: datetime | None

    @classmethod
    def from_bytes(cls, payload: bytes) -> "YonkerRecord":
        """Raises `DecodeError`."""
        if len(payload) != FRAME_BYTES:
            raise DecodeError(NAME, f"a result has 15 bytes, not {len(payload)}", payload)
        if payload[0] != _FINAL:
            raise DecodeError(NAME, f"tag {payload[0]:02x} is no final result", payload)
        systolic, diastolic, pulse = payload[1:4]
        day, month, year, hour, minute = payload[6:11]
        if day == 0 or month == 0:
            return cls(systolic, diastolic, pulse, None)
        try:
            taken = datetime(_CENTURY + year, month, day, hour, minute)  # noqa: DTZ001 - the device names no zone
        except ValueError as error:
            raise DecodeError(NAME, f"no such date: {error}", payload) from error
        return cls(systolic, diastolic, pulse, taken)

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        date = bytes(5)
        try:
            if self.taken is not None:
                taken = self.taken
                date = bytes((taken.day, taken.month, taken.year - _CENTURY, taken.hour, taken.minute))
            return bytes((_FINAL, self.systolic, self.diastolic, self.pulse_bpm, 0, 0)) + date + bytes(4)
        except ValueError as error:
            raise EncodeError(str(error)) from error


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One value. Raises `DecodeError`."""
    if characteristic != MEASUREMENT:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    record = YonkerRecord.from_bytes(payload)
    members = Members(Modality.SPOT, device_time=record.taken)
    members.add_pressures(float(record.systolic), float(record.diastolic))
    members.add(Metric.PULSE_RATE, float(record.pulse_bpm))
    return members.decoded()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One value that decodes to these measurements, with a time of whole minutes; what is missing becomes 0."""
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    taken = moment_of(holding(measurements, _MEMBERS, time=True))
    if taken is not None and taken.second:
        raise EncodeError("this frame holds whole minutes")
    systolic, diastolic, pulse = (
        steps_of(measurements, metric) or 0
        for metric in (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
    )
    return YonkerRecord(systolic, diastolic, pulse, taken).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Yonker blood pressure cuff",
    service_uuid=SERVICE,
    characteristics=(Characteristic(MEASUREMENT, Transfer.NOTIFY, required=True),),
    listen=values(decode),
    encode=encode,
    silence_seconds=None,
)

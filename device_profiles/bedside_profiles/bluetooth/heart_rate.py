"""Heart-rate straps with the Bluetooth SIG Heart Rate service (0x180D): rate, contact and R-R intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.bluetooth import clock_setting
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Special
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

NAME = "bluetooth.heart_rate"
SERVICE = sig_uuid(0x180D)
MEASUREMENT = sig_uuid(0x2A37)

_RATE_16_BIT, _CONTACT, _CONTACT_SUPPORTED, _ENERGY, _RR = 0x01, 0x02, 0x04, 0x08, 0x10

_RR_PER_SECOND = 1024
_RR_FULL = 0xFFFF
"""The counter ran full: the strap lost the beat, which is no interval of 64 s."""

_MEMBERS = frozenset({Metric.HEART_RATE, Metric.RR_INTERVAL})


@dataclass(frozen=True, slots=True)
class HeartRateRecord:
    """One frame of 2A37. `contact` is None when the strap cannot tell; `energy_kj` counts since its last reset.

    `rr_intervals` are in units of 1/1024 s, oldest first.
    """

    rate_bpm: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr_intervals: tuple[int, ...] = ()

    @classmethod
    def from_bytes(cls, payload: bytes) -> "HeartRateRecord":
        """Raises `DecodeError`. A single byte after the intervals is dropped: real straps send half an interval."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        rate = cursor.unsigned(2 if flags & _RATE_16_BIT else 1, "heart rate")
        energy = cursor.unsigned(2, "energy") if flags & _ENERGY else None
        intervals: list[int] = []
        if flags & _RR:
            intervals.append(cursor.unsigned(2, "R-R interval"))
            while cursor.left >= 2:
                intervals.append(cursor.unsigned(2, "R-R interval"))
        else:
            cursor.end()
        contact = bool(flags & _CONTACT) if flags & _CONTACT_SUPPORTED else None
        return cls(rate, contact, energy, tuple(intervals))

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        flags = 0
        if self.contact is not None:
            flags |= _CONTACT_SUPPORTED | (_CONTACT if self.contact else 0)
        wide = self.rate_bpm > 0xFF
        flags |= _RATE_16_BIT if wide else 0
        try:
            body = self.rate_bpm.to_bytes(2 if wide else 1, "little")
            if self.energy_kj is not None:
                flags |= _ENERGY
                body += self.energy_kj.to_bytes(2, "little")
            if self.rr_intervals:
                flags |= _RR
                body += b"".join(interval.to_bytes(2, "little") for interval in self.rr_intervals)
        except OverflowError as error:
            raise EncodeError(f"does not fit: {error}") from error
        return bytes((flags,)) + body


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One frame of 2A37. Raises `DecodeError`. Nothing is believed of a strap that has no contact."""
    if characteristic != MEASUREMENT:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    record = HeartRateRecord.from_bytes(payload)
    members = Members(Modality.CONTINUOUS)
    facts = [] if record.contact is None else [Fact("skin_contact", record.contact)]
    if record.energy_kj is not None:
        facts.append(Fact("energy_kj", record.energy_kj))
    if record.contact is False:
        members.withhold(Metric.HEART_RATE, NoReading.SENSOR_OFF)
        for _ in record.rr_intervals:
            members.withhold(Metric.RR_INTERVAL, NoReading.SENSOR_OFF)
        return members.decoded(*facts)
    members.add(Metric.HEART_RATE, float(record.rate_bpm))
    for interval in record.rr_intervals:
        if interval == _RR_FULL:
            members.withhold(Metric.RR_INTERVAL, NoReading.ARTIFACT)
        else:
            members.add(Metric.RR_INTERVAL, interval * 1000 / _RR_PER_SECOND)
    return members.decoded(*facts)


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame with contact that decodes to these measurements; without a heart rate it says 0, still searching."""
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = shared(measurements, _MEMBERS)
    if first is not None and (first.quality or first.device_time or first.device_user is not None):
        raise EncodeError("this frame holds neither quality nor time nor user")
    rate = number_of([m for m in measurements if m.metric is Metric.HEART_RATE], Metric.HEART_RATE) or 0.0
    if isinstance(rate, Special) or rate != int(rate):
        raise EncodeError("a heart rate is a whole number here")
    intervals = []
    for measurement in measurements:
        if measurement.metric is Metric.RR_INTERVAL:
            if measurement.value is None:
                raise EncodeError("an R-R interval is a number here")
            intervals.append(round(measurement.value * _RR_PER_SECOND / 1000))
    return HeartRateRecord(int(rate), contact=True, rr_intervals=tuple(intervals)).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Heart-rate strap",
    service_uuid=SERVICE,
    characteristics=(Characteristic(MEASUREMENT, Transfer.NOTIFY, required=True),),
    listen=values(decode),
    encode=encode,
    silence_seconds=30.0,
    converse=clock_setting.measured,
)

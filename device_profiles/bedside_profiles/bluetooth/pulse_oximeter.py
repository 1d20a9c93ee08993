"""Pulse oximeters with the Bluetooth SIG Pulse Oximeter service (0x1822).

The running values (2A5F) are notified, about one a second; a finished spot check (2A5E) is only ever indicated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.bluetooth import clock_setting
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Number, Special, encode_date_time, encode_sfloat
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    NoReading,
    Transfer,
    sig_uuid,
    values,
)
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

NAME = "bluetooth.pulse_oximeter"
SERVICE = sig_uuid(0x1822)
SPOT_CHECK = sig_uuid(0x2A5E)
CONTINUOUS = sig_uuid(0x2A5F)

_SPOT_TIMESTAMP, _SPOT_STATUS, _SPOT_SENSOR, _SPOT_PERFUSION, _SPOT_CLOCK_UNSET = 0x01, 0x02, 0x04, 0x08, 0x10
_RUN_FAST, _RUN_SLOW, _RUN_STATUS, _RUN_SENSOR, _RUN_PERFUSION = 0x01, 0x02, 0x04, 0x08, 0x10

_DEMONSTRATION, _TEST, _CALIBRATION, _UNAVAILABLE, _INVALID = 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 15
_NO_MEASUREMENT = _DEMONSTRATION | _TEST | _CALIBRATION | _UNAVAILABLE | _INVALID
_QUESTIONABLE = 1 << 14

_UNCONNECTED, _SENSOR_MALFUNCTION, _DISCONNECTED = 1 << 11, 1 << 14, 1 << 15
_SENSOR_OFF = _UNCONNECTED | _SENSOR_MALFUNCTION | _DISCONNECTED
_MALFUNCTION, _QUESTIONABLE_PULSE, _DISPLACED = 1 << 1, 1 << 8, 1 << 13
_INADEQUATE, _POOR, _LOW_PERFUSION, _NONPULSATILE = 1 << 3, 1 << 4, 1 << 5, 1 << 7
_IRREGULARITY, _ERRATIC, _INTERFERENCE = 1 << 2, 1 << 6, 1 << 10

_SENSOR_QUALITY = (
    (_INADEQUATE | _POOR | _LOW_PERFUSION | _NONPULSATILE, _LOW_PERFUSION, Quality.WEAK_SIGNAL),
    (_IRREGULARITY | _ERRATIC | _INTERFERENCE, _ERRATIC, Quality.ARTIFACT),
)
_SENSOR_DOUBT = _MALFUNCTION | _QUESTIONABLE_PULSE | _DISPLACED

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})


@dataclass(frozen=True, slots=True)
class OximetryRecord:
    """One frame of 2A5E (`spot`) or 2A5F. `spo2` and `perfusion` in %, `pulse` in beats a minute.

    `fast` and `slow` are the running mode's further pairs (SpO2, pulse). What the frame does not carry is None,
    `timestamp` also when the device does not know the date. `status` has 16 bits, `sensor_status` 24.
    """

    spot: bool
    spo2: Number
    pulse: Number
    fast: tuple[Number, Number] | None = None
    slow: tuple[Number, Number] | None = None
    timestamp: datetime | None = None
    status: int | None = None
    sensor_status: int | None = None
    perfusion: Number | None = None
    clock_unset: bool = False

    @classmethod
    def spot_from_bytes(cls, payload: bytes) -> "OximetryRecord":
        """A frame of 2A5E. Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        spo2, pulse = cursor.sfloat("SpO2"), cursor.sfloat("pulse rate")
        timestamp = cursor.date_time("timestamp") if flags & _SPOT_TIMESTAMP else None
        status = cursor.unsigned(2, "measurement status") if flags & _SPOT_STATUS else None
        sensor = cursor.unsigned(3, "sensor status") if flags & _SPOT_SENSOR else None
        perfusion = cursor.sfloat("pulse amplitude index") if flags & _SPOT_PERFUSION else None
        cursor.end()
        return cls(
            True,
            spo2,
            pulse,
            timestamp=timestamp,
            status=status,
            sensor_status=sensor,
            perfusion=perfusion,
            clock_unset=bool(flags & _SPOT_CLOCK_UNSET),
        )

    @classmethod
    def continuous_from_bytes(cls, payload: bytes) -> "OximetryRecord":
        """A frame of 2A5F. Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        spo2, pulse = cursor.sfloat("SpO2"), cursor.sfloat("pulse rate")
        fast = (cursor.sfloat("fast SpO2"), cursor.sfloat("fast pulse rate")) if flags & _RUN_FAST else None
        slow = (cursor.sfloat("slow SpO2"), cursor.sfloat("slow pulse rate")) if flags & _RUN_SLOW else None
        status = cursor.unsigned(2, "measurement status") if flags & _RUN_STATUS else None
        sensor = cursor.unsigned(3, "sensor status") if flags & _RUN_SENSOR else None
        perfusion = cursor.sfloat("pulse amplitude index") if flags & _RUN_PERFUSION else None
        cursor.end()
        return cls(False, spo2, pulse, fast, slow, status=status, sensor_status=sensor, perfusion=perfusion)

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        parts: tuple[tuple[int, bytes | None], ...]
        status = None if self.status is None else self.status.to_bytes(2, "little")
        sensor = None if self.sensor_status is None else self.sensor_status.to_bytes(3, "little")
        perfusion = None if self.perfusion is None else _sfloats(self.perfusion)
        if self.spot:
            parts = (
                (_SPOT_TIMESTAMP, None if self.timestamp is None else encode_date_time(self.timestamp)),
                (_SPOT_STATUS, status),
                (_SPOT_SENSOR, sensor),
                (_SPOT_PERFUSION, perfusion),
                (_SPOT_CLOCK_UNSET, b"" if self.clock_unset else None),
            )
        else:
            parts = (
                (_RUN_FAST, None if self.fast is None else _sfloats(*self.fast)),
                (_RUN_SLOW, None if self.slow is None else _sfloats(*self.slow)),
                (_RUN_STATUS, status),
                (_RUN_SENSOR, sensor),
                (_RUN_PERFUSION, perfusion),
            )
        flags = sum(flag for flag, part in parts if part is not None)
        body = b"".join(part for _, part in parts if part is not None)
        return bytes((flags,)) + _sfloats(self.spo2, self.pulse) + body


def _sfloats(*numbers: Number) -> bytes:
    try:
        return b"".join(encode_sfloat(number).to_bytes(2, "little") for number in numbers)
    except ValueError as error:
        raise EncodeError(str(error)) from error


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One frame of 2A5E or 2A5F. Raises `DecodeError`. Of the running mode's three averages the normal one counts."""
    if characteristic == SPOT_CHECK:
        record, modality = OximetryRecord.spot_from_bytes(payload), Modality.SPOT
    elif characteristic == CONTINUOUS:
        record, modality = OximetryRecord.continuous_from_bytes(payload), Modality.CONTINUOUS
    else:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    status, sensor = record.status or 0, record.sensor_status or 0
    members = Members(
        modality,
        quality=_quality(status, sensor, record.clock_unset),
        device_time=None if record.clock_unset else record.timestamp,
        # What it keeps, it tells on demand alone (PLXS 1.0, 3.4), and nobody demands it.
        is_live=True,
    )
    reason = None
    if sensor & _SENSOR_OFF:
        reason = NoReading.SENSOR_OFF
    elif status & _NO_MEASUREMENT:
        reason = NoReading.INVALID
    for metric, number in (
        (Metric.SPO2, record.spo2),
        (Metric.PULSE_RATE, record.pulse),
        (Metric.PERFUSION_INDEX, record.perfusion),
    ):
        if number is None:
            continue
        if reason is not None:
            members.withhold(metric, reason)
        else:
            members.add(metric, number)
    return members.decoded()


def _quality(status: int, sensor: int, clock_unset: bool) -> tuple[Quality, ...]:
    found = [quality for mask, _, quality in _SENSOR_QUALITY if sensor & mask]
    if status & _QUESTIONABLE or sensor & _SENSOR_DOUBT:
        found.append(Quality.QUESTIONABLE)
    if clock_unset:
        found.append(Quality.DEVICE_CLOCK_UNSET)
    return tuple(found)


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; SpO2 or pulse that is not among them becomes NaN."""
    if characteristic not in {SPOT_CHECK, CONTINUOUS}:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    spot = characteristic == SPOT_CHECK
    first = shared(measurements, _MEMBERS)
    quality = () if first is None else first.quality
    moment = None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time)
    if (moment is not None and not spot) or (first is not None and first.device_user is not None):
        raise EncodeError("only a spot check has a time, and none has a user")
    sensor_bits = {quality: bit for _, bit, quality in _SENSOR_QUALITY}
    holds = {*sensor_bits, Quality.QUESTIONABLE} | ({Quality.DEVICE_CLOCK_UNSET} if spot else set())
    if not holds.issuperset(quality):
        raise EncodeError(f"this frame holds none but {sorted(holds)}")
    sensor = sum(bit for name, bit in sensor_bits.items() if name in quality)
    spo2, pulse = number_of(measurements, Metric.SPO2), number_of(measurements, Metric.PULSE_RATE)
    return OximetryRecord(
        spot,
        Special.NAN if spo2 is None else spo2,
        Special.NAN if pulse is None else pulse,
        timestamp=moment,
        status=_QUESTIONABLE if Quality.QUESTIONABLE in quality else None,
        sensor_status=sensor or None,
        perfusion=number_of(measurements, Metric.PERFUSION_INDEX),
        clock_unset=Quality.DEVICE_CLOCK_UNSET in quality,
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(
        Characteristic(CONTINUOUS, Transfer.NOTIFY, required=False),
        Characteristic(SPOT_CHECK, Transfer.INDICATE, required=False),
    ),
    listen=values(decode),
    encode=encode,
    silence_seconds=30.0,
    converse=clock_setting.measured,
)

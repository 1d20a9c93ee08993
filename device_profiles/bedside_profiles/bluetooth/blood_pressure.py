"""Blood pressure cuffs with the Bluetooth SIG Blood Pressure service (0x1810).

Finished measurements (2A35) are indicated, usually stored ones first and right after the connection; the pressure in
the cuff while it is inflated (2A36) is notified. An error of the cuff comes as an ordinary frame full of NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.bluetooth import clock_setting
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Number, Special, decode_sfloat, encode_date_time, encode_sfloat
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Transfer, sig_uuid, values
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

NAME = "bluetooth.blood_pressure"
SERVICE = sig_uuid(0x1810)
MEASUREMENT = sig_uuid(0x2A35)
INTERMEDIATE_CUFF_PRESSURE = sig_uuid(0x2A36)

_KPA, _TIMESTAMP, _PULSE, _USER, _STATUS = 0x01, 0x02, 0x04, 0x08, 0x10

_PREFIX = b"\xfe\x20"
_PREFIXED_BYTES = 20

_MMHG_PER_KPA = 7.50062
_UNKNOWN_USER = 0xFF

_STATUS_QUALITY = (
    (0x0001, 0x0001, Quality.MOTION),
    (0x0002, 0x0002, Quality.CUFF_LOOSE),
    (0x0004, 0x0004, Quality.IRREGULAR_PULSE),
    # Bits 3 and 4 are one field: 1 above, 2 below the range of the device.
    (0x0018, 0x0008, Quality.RATE_ABOVE_RANGE),
    (0x0018, 0x0010, Quality.RATE_BELOW_RANGE),
    (0x0020, 0x0020, Quality.POSITION),
)

_MEMBERS = frozenset(
    {Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE, Metric.PULSE_RATE, Metric.CUFF_PRESSURE}
)


@dataclass(frozen=True, slots=True)
class PressureRecord:
    """One frame of 2A35 or 2A36 as it stands there: pressures in kPa when `in_kpa`, else in mmHg.

    In 2A36 `systolic` is the pressure in the cuff and the two others mean nothing. `pulse`, `user` and `status` are
    None when the frame does not carry them, `timestamp` also when the device does not know the date.
    """

    systolic: Number
    diastolic: Number = Special.NAN
    mean: Number = Special.NAN
    in_kpa: bool = False
    timestamp: datetime | None = None
    pulse: Number | None = None
    user: int | None = None
    status: int | None = None

    @classmethod
    def from_bytes(cls, payload: bytes) -> "PressureRecord":
        """Raises `DecodeError`."""
        if _is_prefixed(payload):
            return cls._prefixed(payload)
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        systolic, diastolic, mean = (cursor.sfloat("pressure") for _ in range(3))
        timestamp = cursor.date_time("timestamp") if flags & _TIMESTAMP else None
        if _is_beurer_layout(flags, cursor.left):
            return cls._beurer(payload, (systolic, diastolic, mean), bool(flags & _KPA), timestamp)
        pulse = cursor.sfloat("pulse") if flags & _PULSE else None
        user = cursor.unsigned(1, "user") if flags & _USER else None
        status = cursor.unsigned(2, "status") if flags & _STATUS else None
        cursor.end()
        return cls(systolic, diastolic, mean, bool(flags & _KPA), timestamp, pulse, user, status)

    @classmethod
    def _beurer(
        cls, payload: bytes, pressures: tuple[Number, Number, Number], in_kpa: bool, timestamp: datetime | None
    ) -> "PressureRecord":
        pulse, user, status = payload[-5:-3], payload[-3], payload[-2:]
        return cls(
            *pressures,
            in_kpa=in_kpa,
            timestamp=timestamp,
            pulse=decode_sfloat(int.from_bytes(pulse, "big")),
            user=user,
            status=int.from_bytes(status, "big"),
        )

    @classmethod
    def _prefixed(cls, payload: bytes) -> "PressureRecord":
        cursor = Cursor(NAME, payload)
        cursor.take(len(_PREFIX) + 2, "prefix")
        systolic, diastolic, mean = (float(cursor.unsigned(2, "pressure")) for _ in range(3))
        timestamp = cursor.date_time("timestamp")
        return cls(
            systolic,
            diastolic,
            mean,
            timestamp=timestamp,
            pulse=float(cursor.unsigned(2, "pulse")),
            user=cursor.unsigned(1, "user"),
        )

    def to_bytes(self) -> bytes:
        """The frame in the standard layout. Raises `EncodeError`."""
        flags = _KPA if self.in_kpa else 0
        tail = b""
        if self.timestamp is not None:
            flags |= _TIMESTAMP
            tail += encode_date_time(self.timestamp)
        if self.pulse is not None:
            flags |= _PULSE
            tail += _sfloat(self.pulse)
        if self.user is not None:
            flags |= _USER
            tail += self.user.to_bytes(1, "little")
        if self.status is not None:
            flags |= _STATUS
            tail += self.status.to_bytes(2, "little")
        return bytes((flags,)) + _sfloat(self.systolic) + _sfloat(self.diastolic) + _sfloat(self.mean) + tail


def _is_beurer_layout(flags: int, left: int) -> bool:
    """The Beurer BM85 sets a reserved flag, carries a user without saying so, and turns pulse and status around.

    Read as the standard says, its pulse of 65 would be 16640.
    """
    announced = flags & (_PULSE | _USER | _STATUS)
    return bool(flags & 0x40) and announced == _PULSE | _STATUS and left == 5


def _is_prefixed(payload: bytes) -> bool:
    """A cuff was recorded that puts four bytes before its mmHg, and whose status is cut off at 20 bytes.

    Its flags say nothing; so it is known by its prefix, its length, and by a mean between the two other pressures.
    """
    if len(payload) != _PREFIXED_BYTES or not payload.startswith(_PREFIX) or payload[3]:
        return False
    systolic, diastolic, mean = (int.from_bytes(payload[at : at + 2], "little") for at in (4, 6, 8))
    return 0 < diastolic < mean < systolic


def _sfloat(number: Number) -> bytes:
    try:
        return encode_sfloat(number).to_bytes(2, "little")
    except ValueError as error:
        raise EncodeError(str(error)) from error


def _mmhg(number: Number, in_kpa: bool) -> Number:
    """To a tenth: the device's own step of 0.1 kPa is coarser than that."""
    return round(number * _MMHG_PER_KPA, 1) if in_kpa and not isinstance(number, Special) else number


def decode(characteristic: str, payload: bytes) -> Decoded:
    """One frame of 2A35 or 2A36. Raises `DecodeError`."""
    if characteristic not in {MEASUREMENT, INTERMEDIATE_CUFF_PRESSURE}:
        raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
    record = PressureRecord.from_bytes(payload)
    status = record.status or 0
    members = Members(
        Modality.SPOT,
        quality=tuple([quality for mask, value, quality in _STATUS_QUALITY if status & mask == value]),
        device_time=record.timestamp,
        device_user=None if record.user == _UNKNOWN_USER else record.user,
    )
    systolic = _mmhg(record.systolic, record.in_kpa)
    if characteristic == INTERMEDIATE_CUFF_PRESSURE:
        members.add(Metric.CUFF_PRESSURE, systolic, living_is_never_zero=False)
    else:
        members.add_pressures(systolic, _mmhg(record.diastolic, record.in_kpa), _mmhg(record.mean, record.in_kpa))
    if record.pulse is not None:
        members.add(Metric.PULSE_RATE, record.pulse)
    return members.decoded()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame in mmHg that decodes to these measurements; a pressure that is not among them becomes NaN."""
    first = shared(measurements, _MEMBERS)
    top = Metric.CUFF_PRESSURE if characteristic == INTERMEDIATE_CUFF_PRESSURE else Metric.SYSTOLIC_PRESSURE
    numbers = {metric: number_of(measurements, metric) for metric in _MEMBERS}
    systolic, diastolic, mean = (
        Special.NAN if (number := numbers[metric]) is None else number
        for metric in (top, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE)
    )
    status = None
    if first is not None and first.quality:
        known = {quality: value for _, value, quality in _STATUS_QUALITY}
        unknown = [quality for quality in first.quality if quality not in known]
        if unknown:
            raise EncodeError(f"this frame does not hold {unknown[0]}")
        status = sum(known[quality] for quality in first.quality)
    return PressureRecord(
        systolic,
        diastolic,
        mean,
        timestamp=None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time),
        pulse=numbers[Metric.PULSE_RATE],
        user=None if first is None else first.device_user,
        status=status,
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Blood pressure cuff",
    service_uuid=SERVICE,
    characteristics=(
        Characteristic(MEASUREMENT, Transfer.INDICATE, required=True),
        Characteristic(INTERMEDIATE_CUFF_PRESSURE, Transfer.NOTIFY, required=False),
    ),
    listen=values(decode),
    encode=encode,
    silence_seconds=None,
    converse=clock_setting.set_each_time,
)

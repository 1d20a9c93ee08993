"""Continuous glucose sensors with the Bluetooth SIG Continuous Glucose Monitoring service (0x181F).

One value of 2AA7 may hold several records; a record says how long it is, its CRC included. Its time is the minutes
since the session began (2AAA, `cgm_session.py`), which only a hub that read that can make a date of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedside_profiles.bluetooth import cgm_session, record_access
from bedside_profiles.bluetooth.end_to_end import CRC_BYTES, is_whole, with_crc
from bedside_profiles.bluetooth.record_fetching import RecordConversation
from bedside_profiles.conversation import Conversation, Known
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Number, Special, encode_sfloat
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
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

NAME = "bluetooth.continuous_glucose"
SERVICE = sig_uuid(0x181F)
MEASUREMENT = sig_uuid(0x2AA7)

_TREND, _QUALITY, _WARNING, _CALIBRATION, _STATUS = 0x01, 0x02, 0x20, 0x40, 0x80
_SMALLEST_RECORD = 6

_STOPPED, _BATTERY_LOW, _WRONG_SENSOR, _MALFUNCTION, _DEVICE_ALERT, _FAULT = (1 << bit for bit in range(6))
_NO_MEASUREMENT = _STOPPED | _WRONG_SENSOR | _MALFUNCTION | _FAULT
_CALIBRATION_DUE, _TOO_WARM, _TOO_COLD = 1 << 3, 1 << 4, 1 << 5
_BELOW_SENSOR, _ABOVE_SENSOR = 1 << 6, 1 << 7
_BOTH_SIDES = _BELOW_SENSOR | _ABOVE_SENSOR

_MEMBERS = frozenset({Metric.GLUCOSE, Metric.GLUCOSE_TREND})


@dataclass(frozen=True, slots=True)
class SensorRecord:
    """One record of 2AA7: `glucose` in mg/dL, `trend` in mg/dL/min, `quality` in per cent.

    `offset_minutes` counts from the start of the session. `status`, `calibration` and `warning` are the three octets
    of the sensor's annunciation. What the record does not carry is None. `checked`: it ends with a CRC.
    """

    glucose: Number
    offset_minutes: int
    status: int | None = None
    calibration: int | None = None
    warning: int | None = None
    trend: Number | None = None
    quality: Number | None = None
    checked: bool = False

    @classmethod
    def from_bytes(cls, payload: bytes) -> "SensorRecord":
        """A record by itself. Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        size = cursor.unsigned(1, "size")
        if size != len(payload):
            raise cursor.error(f"a record of {size} bytes in {len(payload)}")
        flags = cursor.unsigned(1, "flags")
        glucose, offset = cursor.sfloat("glucose"), cursor.unsigned(2, "time offset")
        status = cursor.unsigned(1, "status") if flags & _STATUS else None
        calibration = cursor.unsigned(1, "calibration") if flags & _CALIBRATION else None
        warning = cursor.unsigned(1, "warning") if flags & _WARNING else None
        trend = cursor.sfloat("trend") if flags & _TREND else None
        quality = cursor.sfloat("quality") if flags & _QUALITY else None
        checked = cursor.left == CRC_BYTES
        if checked and not is_whole(payload[:-CRC_BYTES], cursor.unsigned(CRC_BYTES, "E2E-CRC")):
            raise cursor.error("wrong E2E-CRC")
        cursor.end()
        return cls(glucose, offset, status, calibration, warning, trend, quality, checked)

    def to_bytes(self) -> bytes:
        """The record, with the standard's CRC when `checked`. Raises `EncodeError`."""
        try:
            parts = (
                (_STATUS, None if self.status is None else bytes((self.status,))),
                (_CALIBRATION, None if self.calibration is None else bytes((self.calibration,))),
                (_WARNING, None if self.warning is None else bytes((self.warning,))),
                (_TREND, None if self.trend is None else _sfloat(self.trend)),
                (_QUALITY, None if self.quality is None else _sfloat(self.quality)),
            )
            flags = sum(flag for flag, part in parts if part is not None)
            tail = b"".join(part for _, part in parts if part is not None)
            size = _SMALLEST_RECORD + len(tail) + (CRC_BYTES if self.checked else 0)
            record = bytes((size, flags)) + _sfloat(self.glucose) + self.offset_minutes.to_bytes(2, "little") + tail
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        return with_crc(record) if self.checked else record


def _sfloat(number: Number) -> bytes:
    return encode_sfloat(number).to_bytes(2, "little")


def records_of(payload: bytes) -> tuple[SensorRecord, ...]:
    """All records of one value. Raises `DecodeError` for the whole of it: behind a broken size nothing is certain."""
    if not payload:
        raise DecodeError(NAME, "no record", payload)
    return tuple([SensorRecord.from_bytes(record) for record in _split(payload)])


def _split(payload: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(payload):
        size = payload[at]
        if size < _SMALLEST_RECORD:
            raise DecodeError(NAME, f"a record of {size} bytes", payload)
        found.append(payload[at : at + size])
        at += size
    return found


def decoded(record: SensorRecord, session_start: datetime | None = None) -> Decoded:
    """What a record means. A glucose beyond the sensor's range is a reading without a number.

    Its time is known with the start of the session, which is in the sensor's own wall time.

    A sensor that says both "above" and "below" its range says neither: then, and while its temperature or calibration
    is not right, the number stands and is questionable.
    """
    status, calibration, warning = record.status or 0, record.calibration or 0, record.warning or 0
    quality = [Quality.LOW_BATTERY] if status & _BATTERY_LOW else []
    doubt = calibration & (_CALIBRATION_DUE | _TOO_WARM | _TOO_COLD) or warning & _BOTH_SIDES == _BOTH_SIDES
    if doubt or status & _DEVICE_ALERT:
        quality.append(Quality.QUESTIONABLE)
    members = Members(
        Modality.CONTINUOUS,
        quality=quality,
        device_time=_taken_at(session_start, record.offset_minutes),
        record=record.offset_minutes,
    )
    if status & _NO_MEASUREMENT:
        members.withhold(Metric.GLUCOSE, NoReading.INVALID)
        if record.trend is not None:
            members.withhold(Metric.GLUCOSE_TREND, NoReading.INVALID)
    else:
        beyond = {_BELOW_SENSOR: Special.NEGATIVE_INFINITY, _ABOVE_SENSOR: Special.POSITIVE_INFINITY}
        members.add(Metric.GLUCOSE, beyond.get(warning & _BOTH_SIDES, record.glucose))
        if record.trend is not None:
            members.add(Metric.GLUCOSE_TREND, record.trend, living_is_never_zero=False)
    facts = [Fact("minutes_since_session_start", record.offset_minutes)]
    if record.quality is not None and not isinstance(record.quality, Special):
        facts.append(Fact("signal_quality_percent", record.quality))
    for name, octet in (("status", record.status), ("calibration", record.calibration), ("warning", record.warning)):
        if octet is not None:
            facts.append(Fact(f"sensor_{name}", octet))
    return members.decoded(*facts)


def _taken_at(session_start: datetime | None, offset_minutes: int) -> datetime | None:
    try:
        return None if session_start is None else session_start + timedelta(minutes=offset_minutes)
    except OverflowError:
        return None


class SensorListener:
    """Hears records, and remembers when the session began and whether this sensor protects them.

    One flipped flag can turn a CRC into a trend; so of a sensor that sent a CRC once, nothing is believed without.
    """

    def __init__(self) -> None:
        self._checked = False
        self._session_start: datetime | None = None

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`: one outcome a record."""
        try:
            if characteristic == record_access.CONTROL_POINT:
                return (record_access.decode_answer(payload),)
            if characteristic == cgm_session.START_TIME:
                return (self._session_began(payload),)
            if characteristic != MEASUREMENT:
                raise DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload)
            records = records_of(payload)
            if self._checked and not all(record.checked for record in records):
                raise DecodeError(NAME, "no E2E-CRC, where there was one before", payload)
        except DecodeError as error:
            return (error,)
        self._checked = self._checked or any(record.checked for record in records)
        return tuple([decoded(record, self._session_start) for record in records])

    def rest(self) -> None:
        """See `profile.Listener`: nothing is ever begun."""

    def _session_began(self, payload: bytes) -> Decoded:
        said = cgm_session.decode(cgm_session.START_TIME, payload)
        start = next((fact.value for fact in said.facts if fact.name == "session_start"), None)
        self._session_start = None if start is None else datetime.fromisoformat(str(start))
        return said


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One record with a CRC that decodes to these measurements; without a glucose it says NaN."""
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = shared(measurements, _MEMBERS)
    quality = () if first is None else first.quality
    if first is not None and (first.device_time is not None or first.device_user is not None):
        raise EncodeError("a record holds neither date nor user")
    holds = (Quality.LOW_BATTERY, Quality.QUESTIONABLE)
    if not set(holds).issuperset(quality):
        raise EncodeError(f"a record holds none but {sorted(holds)}")
    glucose = number_of(measurements, Metric.GLUCOSE)
    return SensorRecord(
        Special.NAN if glucose is None else glucose,
        0,
        status=_BATTERY_LOW if Quality.LOW_BATTERY in quality else None,
        calibration=_CALIBRATION_DUE if Quality.QUESTIONABLE in quality else None,
        trend=number_of(measurements, Metric.GLUCOSE_TREND),
        checked=True,
    ).to_bytes()


def _numbered(characteristic: str, payload: bytes) -> tuple[tuple[int, bytes], ...]:
    if characteristic != MEASUREMENT:
        return ()
    return tuple([(SensorRecord.from_bytes(record).offset_minutes, record) for record in _split(payload)])


def converse(known: Known) -> Conversation:
    """Fetches what the sensor measured while no hub was near; what it measures next comes by itself."""
    return RecordConversation(known, _numbered, stays=True)


PROFILE = BleProfile(
    name=NAME,
    label="Continuous glucose sensor",
    service_uuid=SERVICE,
    characteristics=(
        Characteristic(MEASUREMENT, Transfer.NOTIFY, required=True),
        Characteristic(record_access.CONTROL_POINT, Transfer.INDICATE, required=False),
    ),
    listen=SensorListener,
    encode=encode,
    silence_seconds=1800.0,
    converse=converse,
    reads_first=(cgm_session.START_TIME,),
)
"""Half an hour is six records of the slowest sensors."""

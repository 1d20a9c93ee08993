"""Glucose meters with the Bluetooth SIG Glucose service (0x1808).

A measurement (2A18) may announce that its context (2A34) follows: the meal, the dose. i-SENS meters (CareSens) mark a
blood ketone in no other way than by a meal code in that context, so a measurement waits for the context that it
announced. Stored records come when a hub asks for them (2A52, `record_access.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedside_profiles.bluetooth import clock_setting, record_access
from bedside_profiles.bluetooth.glucose_context import MEASUREMENT_CONTEXT, GlucoseContext
from bedside_profiles.bluetooth.record_fetching import RecordConversation
from bedside_profiles.conversation import Conversation, Known, Together
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Number, Special, encode_date_time, encode_sfloat
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

NAME = "bluetooth.glucose"
SERVICE = sig_uuid(0x1808)
MEASUREMENT = sig_uuid(0x2A18)

_OFFSET, _CONCENTRATION, _IN_MOLES, _STATUS, _CONTEXT = 0x01, 0x02, 0x04, 0x08, 0x10
_OFFSET_OVERRUN = (0x7FFF, -0x8000)

_MG_DL_PER_KG_L = 100_000
_MMOL_L_PER_MOL_L = 1000
MG_DL_PER_MMOL_L = 18.016
_MG_DL_PER_KETONE_MMOL_L = 10
_FLOAT_DIRT_DECIMALS = 9

_BATTERY_LOW, _RESULT_HIGH, _RESULT_LOW, _TIME_FAULT = 1 << 0, 1 << 5, 1 << 6, 1 << 11
_FAULTS = sum(1 << bit for bit in (1, 2, 3, 4, 7, 8, 9, 10))
"""Sensor, sample, strip, temperature, interrupted read, device: the meter shows no result for any of them."""

_CONTROL_SOLUTION_TYPE, _CONTROL_SOLUTION_LOCATION = 10, 4
_NO_LOCATION = 15

_MEMBERS = frozenset({Metric.GLUCOSE})
_EARLY_CONTEXTS = 4


@dataclass(frozen=True, slots=True)
class GlucoseRecord:
    """One frame of 2A18 as it stands there: `concentration` in mol/L when `in_moles`, else in kg/L.

    `base_time` is None when the meter does not know the date. `sample` and `location` are the codes of the
    specification (1 capillary whole blood … 10 control solution; 1 finger … 4 control solution, 15 unknown). What the
    frame does not carry is None.
    """

    sequence: int
    base_time: datetime | None
    offset_minutes: int | None = None
    concentration: Number | None = None
    in_moles: bool = False
    sample: int | None = None
    location: int | None = None
    status: int | None = None
    context_follows: bool = False

    @classmethod
    def from_bytes(cls, payload: bytes) -> "GlucoseRecord":
        """Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        sequence = cursor.unsigned(2, "sequence number")
        base_time = cursor.date_time("base time")
        offset = cursor.signed(2, "time offset") if flags & _OFFSET else None
        concentration = sample = location = None
        if flags & _CONCENTRATION:
            concentration = cursor.sfloat("concentration")
            kind = cursor.unsigned(1, "type and sample location")
            sample, location = kind & 0x0F, kind >> 4
        status = cursor.unsigned(2, "sensor status") if flags & _STATUS else None
        cursor.end()
        record = cls(
            sequence,
            base_time,
            offset,
            concentration,
            bool(flags & _IN_MOLES),
            sample,
            location,
            status,
            bool(flags & _CONTEXT),
        )
        try:
            _ = record.taken_at
        except OverflowError as error:
            raise cursor.error("a time beyond the calendar") from error
        return record

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        flags = (_IN_MOLES if self.in_moles else 0) | (_CONTEXT if self.context_follows else 0)
        tail = b""
        try:
            if self.offset_minutes is not None:
                flags |= _OFFSET
                tail += self.offset_minutes.to_bytes(2, "little", signed=True)
            if self.concentration is not None:
                flags |= _CONCENTRATION
                kind = (self.sample or 0) | (self.location or 0) << 4
                tail += encode_sfloat(self.concentration).to_bytes(2, "little") + bytes((kind,))
            if self.status is not None:
                flags |= _STATUS
                tail += self.status.to_bytes(2, "little")
            return bytes((flags,)) + self.sequence.to_bytes(2, "little") + encode_date_time(self.base_time) + tail
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error

    @property
    def taken_at(self) -> datetime | None:
        """When it was taken, by the clock that the meter's user sees: it set the base time ahead or back."""
        if self.base_time is None or self.offset_minutes in _OFFSET_OVERRUN:
            return None
        return self.base_time + timedelta(minutes=self.offset_minutes or 0)

    @property
    def mg_dl(self) -> Number | None:
        """The concentration in mg/dL; the unit of the frame decides, whatever the display shows."""
        if self.concentration is None or isinstance(self.concentration, Special):
            return self.concentration
        if self.in_moles:
            return round(self.concentration * _MMOL_L_PER_MOL_L * MG_DL_PER_MMOL_L, _FLOAT_DIRT_DECIMALS)
        return round(self.concentration * _MG_DL_PER_KG_L, _FLOAT_DIRT_DECIMALS)


def decoded(record: GlucoseRecord, context: GlucoseContext | None = None) -> Decoded:
    """What a measurement means, with its context or without.

    HI and LO are readings without a number; control solution and failed tests are no readings of a patient.
    """
    status = record.status or 0
    quality = [Quality.LOW_BATTERY] if status & _BATTERY_LOW else []
    if status & _TIME_FAULT:
        quality.append(Quality.DEVICE_CLOCK_UNSET)
    members = Members(
        Modality.SPOT,
        quality=quality,
        device_time=None if status & _TIME_FAULT else record.taken_at,
        record=record.sequence,
    )
    is_ketone = context is not None and context.is_ketone
    metric = Metric.KETONE if is_ketone else Metric.GLUCOSE
    number = record.mg_dl
    if record.sample == _CONTROL_SOLUTION_TYPE or record.location == _CONTROL_SOLUTION_LOCATION or status & _FAULTS:
        members.withhold(metric, NoReading.INVALID)
    elif status & _RESULT_HIGH and status & _RESULT_LOW:
        members.withhold(metric, NoReading.ARTIFACT)
    elif status & _RESULT_HIGH:
        members.add(metric, Special.POSITIVE_INFINITY)
    elif status & _RESULT_LOW:
        members.add(metric, Special.NEGATIVE_INFINITY)
    elif number is None or isinstance(number, Special) or not is_ketone:
        members.add(metric, Special.NAN if number is None else number)
    else:
        members.add(metric, number / _MG_DL_PER_KETONE_MMOL_L, living_is_never_zero=False)
    told: list[tuple[str, int | None]] = [
        ("sequence_number", record.sequence),
        ("sample_type", record.sample),
        ("sample_location", record.location),
        ("sensor_status", record.status),
    ]
    facts = [Fact(name, value) for name, value in told if value is not None]
    if context is not None:
        facts += context.facts()[1:]
    elif record.context_follows:
        facts.append(Fact("context_missing", True))
    return members.decoded(*facts)


class GlucoseListener:
    """Joins a measurement with the context that it announces, by their sequence number.

    A measurement waits until its context is there, or until something comes that only follows after it: the next
    measurement, or the answer that ends a report. Then it is told without, and says that its context is missing.
    """

    def __init__(self) -> None:
        self._waiting: GlucoseRecord | None = None
        self._early: dict[int, GlucoseContext] = {}

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        try:
            if characteristic == MEASUREMENT:
                return self._measured(GlucoseRecord.from_bytes(payload))
            if characteristic == MEASUREMENT_CONTEXT:
                return self._explained(GlucoseContext.from_bytes(payload))
            if characteristic == record_access.CONTROL_POINT:
                answer = record_access.decode_answer(payload)
                return (*self._released(), answer)
        except DecodeError as error:
            return (error,)
        return (DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload),)

    def rest(self) -> Decoded | None:
        """See `profile.Listener`: a measurement whose context did not come."""
        waiting, self._waiting = self._waiting, None
        return None if waiting is None else decoded(waiting)

    def _measured(self, record: GlucoseRecord) -> tuple[Decoded, ...]:
        before = self._released()
        if not record.context_follows:
            return (*before, decoded(record))
        context = self._early.pop(record.sequence, None)
        if context is not None:
            return (*before, decoded(record, context))
        self._waiting = record
        return before

    def _explained(self, context: GlucoseContext) -> tuple[Decoded, ...]:
        if self._waiting is not None and self._waiting.sequence == context.sequence:
            record, self._waiting = self._waiting, None
            return (decoded(record, context),)
        self._early[context.sequence] = context
        while len(self._early) > _EARLY_CONTEXTS:
            del self._early[next(iter(self._early))]
        return (Decoded(facts=context.facts()),)

    def _released(self) -> tuple[Decoded, ...]:
        waiting = self.rest()
        return () if waiting is None else (waiting,)


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame of capillary blood in kg/L, without a context, that decodes to this measurement."""
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = shared(measurements, _MEMBERS)
    bits = {Quality.LOW_BATTERY: _BATTERY_LOW, Quality.DEVICE_CLOCK_UNSET: _TIME_FAULT}
    quality = () if first is None else first.quality
    if not bits.keys() >= set(quality) or (first is not None and first.device_user is not None):
        raise EncodeError(f"this frame holds no user, and of qualities none but {sorted(bits)}")
    number = number_of(measurements, Metric.GLUCOSE)
    if number is None:
        number = Special.NAN
    return GlucoseRecord(
        0,
        None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time),
        concentration=number if isinstance(number, Special) else number / _MG_DL_PER_KG_L,
        sample=1,
        location=_NO_LOCATION,
        status=sum(bits[name] for name in quality) or None,
    ).to_bytes()


SET_CLOCK = ("0000fff1-0000-1000-8000-00805f9b34fb", "c4dea3bc-5a9d-11e9-8647-d663bd873d93")
"""Where i-SENS meters take the time: in their first custom service (FFF0), and in the one of newer meters."""
_SET_CLOCK_HEAD = bytes((0xC0, 0x03, 0x01, 0x00))


def encode_set_clock(moment: datetime) -> bytes:
    """What sets the clock of an i-SENS meter to that wall time."""
    return _SET_CLOCK_HEAD + encode_date_time(moment)


def decode_command(payload: bytes) -> Decoded:
    """What a hub writes to `SET_CLOCK`. Raises `DecodeError`."""
    cursor = Cursor(NAME, payload)
    if cursor.take(len(_SET_CLOCK_HEAD), "command") != _SET_CLOCK_HEAD:
        raise cursor.error("no command that sets the clock")
    moment = cursor.date_time("time")
    cursor.end()
    if moment is None:
        raise cursor.error("a clock is set to a whole date")
    return Decoded(facts=(Fact("command", "set_clock"), Fact("device_time", moment.isoformat())))


def _numbered(characteristic: str, payload: bytes) -> tuple[tuple[int, bytes], ...]:
    return ((GlucoseRecord.from_bytes(payload).sequence, payload),) if characteristic == MEASUREMENT else ()


def converse(known: Known) -> Conversation:
    """Measures the clock, which a dose may be decided by, and fetches what the meter keeps."""
    return Together(clock_setting.measured(known), RecordConversation(known, _numbered, stays=False))


PROFILE = BleProfile(
    name=NAME,
    label="Glucose meter",
    service_uuid=SERVICE,
    characteristics=(
        Characteristic(MEASUREMENT, Transfer.NOTIFY, required=True),
        Characteristic(MEASUREMENT_CONTEXT, Transfer.NOTIFY, required=False),
        Characteristic(record_access.CONTROL_POINT, Transfer.INDICATE, required=False),
    ),
    listen=GlucoseListener,
    encode=encode,
    silence_seconds=None,
    commands=SET_CLOCK,
    decode_command=decode_command,
    converse=converse,
)

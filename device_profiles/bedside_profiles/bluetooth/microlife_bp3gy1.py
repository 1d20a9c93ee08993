"""Microlife BP3GY1-2N: a cuff that answers commands written to FFF2 with frames notified on FFF1.

A frame is `4D`, `3A` from the device or `FF` from the hub, a length (2 bytes, big-endian: payload and sum), the
payload, and the sum of all bytes before it. The stored measurements begin at byte 38 of their payload, 10 bytes each:
systolic, diastolic, pulse, year since 2000, month, day, hour, minute; there are no seconds. A slot of zeros is empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.bluetooth.memory_reading import MemoryConversation
from bedside_profiles.conversation import Known, Moment, Step, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener, Framing
from bedside_profiles.members import Members, holding, moment_of, steps_of
from bedside_profiles.numbers import sum8
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

NAME = "bluetooth.microlife_bp3gy1"
SERVICE = sig_uuid(0xFFF0)
ANSWERS = sig_uuid(0xFFF1)
COMMANDS = sig_uuid(0xFFF2)

RECORDS_AT = 38
RECORD_BYTES = 10
_RECORD_FIELDS = 8
"""The two bytes behind them are padding, and may be missing at the end."""
_HEADER_BYTES = 4
_MARK, _FROM_DEVICE, _FROM_HUB = 0x4D, 0x3A, 0xFF
_LONGEST_FRAME_BYTES = 2048
_CENTURY = 2000

_SET_TIME, _DISCONNECT = 0x0D, 0x04

_MEMBERS = frozenset({Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class MicrolifeRecord:
    """One stored measurement: mmHg and beats a minute. `taken` is None where the slot's date does not exist."""

    systolic: int
    diastolic: int
    pulse_bpm: int
    taken: datetime | None

    @classmethod
    def from_bytes(cls, slot: bytes) -> "MicrolifeRecord | None":
        """A slot's first 8 bytes; None for an empty slot. Raises `DecodeError`."""
        if len(slot) < _RECORD_FIELDS:
            raise DecodeError(NAME, f"a record cut off after {len(slot)} bytes", slot)
        systolic, diastolic, pulse, year, month, day, hour, minute = slot[:_RECORD_FIELDS]
        if systolic == diastolic == pulse == 0:
            return None
        try:
            taken = datetime(_CENTURY + year, month, day, hour, minute)  # noqa: DTZ001 - the device names no zone
        except ValueError:
            return cls(systolic, diastolic, pulse, None)
        return cls(systolic, diastolic, pulse, taken)

    def to_bytes(self) -> bytes:
        """The slot. Raises `EncodeError`."""
        date = bytes(5)
        try:
            if self.taken is not None:
                taken = self.taken
                date = bytes((taken.year - _CENTURY, taken.month, taken.day, taken.hour, taken.minute))
            return bytes((self.systolic, self.diastolic, self.pulse_bpm)) + date + bytes(RECORD_BYTES - _RECORD_FIELDS)
        except ValueError as error:
            raise EncodeError(str(error)) from error

    def decoded(self) -> Decoded:
        """The measurement. A record without a date is none: the slot is not what it is taken for."""
        members = Members(Modality.SPOT, device_time=self.taken)
        if self.taken is None:
            for metric in (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE):
                members.withhold(metric, NoReading.INVALID)
        else:
            members.add_pressures(float(self.systolic), float(self.diastolic))
            members.add(Metric.PULSE_RATE, float(self.pulse_bpm))
        return members.decoded()


def frame(payload: bytes, *, from_hub: bool = False) -> bytes:
    """The payload in its frame."""
    head = bytes((_MARK, _FROM_HUB if from_hub else _FROM_DEVICE)) + (len(payload) + 1).to_bytes(2, "big")
    return head + payload + bytes((sum8(head + payload),))


def records_of(payload: bytes) -> Iterator[Decoded]:
    """The measurements in the answer to "all measurements". Raises `DecodeError`."""
    for at in range(RECORDS_AT, len(payload), RECORD_BYTES):
        record = MicrolifeRecord.from_bytes(payload[at : at + RECORD_BYTES])
        if record is not None:
            yield record.decoded()


def _size(head: bytes) -> int | None:
    if len(head) > 1 and head[1] != _FROM_DEVICE:
        raise DecodeError(NAME, f"header {head[1]:02x} in an answer of the device", head)
    if len(head) < _HEADER_BYTES:
        return None
    length = int.from_bytes(head[2:4], "big")
    if not 1 < length <= _LONGEST_FRAME_BYTES:
        raise DecodeError(NAME, f"a length of {length} bytes", head)
    return _HEADER_BYTES + length


def _problem(found: bytes) -> str | None:
    return None if sum8(found[:-1]) == found[-1] else "wrong sum of a frame"


def _decode(found: bytes) -> tuple[Decoded, ...]:
    payload = found[_HEADER_BYTES:-1]
    if len(payload) < RECORDS_AT:
        return (Decoded(facts=(Fact("answer", payload.hex()),)),)
    return tuple(records_of(payload)) or (_NO_RECORD,)


_NO_RECORD = Decoded(facts=(Fact("records", 0),))


class MicrolifeListener:
    """Joins frames. Values outside every frame are kept for `rest`: somebody took a payload out of its frame."""

    def __init__(self) -> None:
        self._frames = FrameListener(Framing(NAME, bytes((_MARK,)), _size, _problem, _decode), ANSWERS)
        self._unframed = b""

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        outside = characteristic == ANSWERS and self._frames.idle and payload[:1] != bytes((_MARK,))
        outcomes = self._frames.feed(characteristic, payload)
        if not outside or any(isinstance(outcome, Decoded) for outcome in outcomes):
            return outcomes
        self._unframed = (self._unframed + payload)[:_LONGEST_FRAME_BYTES]
        return ()

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`. Outside every frame, several measurements come together: it is for a reader only."""
        if not self._unframed:
            return self._frames.rest()
        if len(self._unframed) < RECORDS_AT:
            return DecodeError(NAME, "no frame, and no payload of measurements", self._unframed)
        try:
            found = tuple(records_of(self._unframed))
        except DecodeError as error:
            return error
        if not found:
            return _NO_RECORD
        return Decoded(
            tuple([measurement for one in found for measurement in one.measurements]),
            tuple([withheld for one in found for withheld in one.withheld]),
        )


def decode_command(written: bytes) -> Decoded:
    """What a hub writes to FFF2. Raises `DecodeError`."""
    if len(written) < _HEADER_BYTES + 2 or written[:2] != bytes((_MARK, _FROM_HUB)):
        raise DecodeError(NAME, "a command begins with 4d ff", written)
    if int.from_bytes(written[2:4], "big") != len(written) - _HEADER_BYTES:
        raise DecodeError(NAME, "the length is not the frame's", written)
    problem = _problem(written)
    if problem is not None:
        raise DecodeError(NAME, problem, written)
    payload = written[_HEADER_BYTES:-1]
    facts = [Fact("direction", "host"), Fact("command", payload[0])]
    if payload[0] == _SET_TIME and len(payload) == 7:
        year, month, day, hour, minute, second = payload[1:]
        try:
            moment = datetime(_CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device knows no zone
        except ValueError as error:
            raise DecodeError(NAME, f"no such date: {error}", written) from error
        facts.append(Fact("clock", moment.isoformat()))
    return Decoded(facts=tuple(facts))


def set_time(moment: datetime) -> bytes:
    """The command that sets the cuff's clock; without it, no record has a date to be believed."""
    return frame(
        bytes((_SET_TIME, moment.year - _CENTURY, moment.month, moment.day, moment.hour, moment.minute, moment.second)),
        from_hub=True,
    )


def ask_for_measurements() -> bytes:
    """The command that is answered with every stored measurement."""
    return frame(bytes(7) + b"\xfd", from_hub=True)


def disconnect() -> bytes:
    """The command that ends the connection properly."""
    return frame(bytes((_DISCONNECT,)), from_hub=True)


class MicrolifeConversation(MemoryConversation):
    """Sets the clock, without which no record is believed, asks for all records, and lets the cuff sleep."""

    def __init__(self, _known: Known) -> None:
        super().__init__()
        self._frames = FrameListener(Framing(NAME, bytes((_MARK,)), _size, _problem, self._take), ANSWERS)
        self._has_all = False

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._wait(now)
        clock = () if now.local is None else (Write(set_time(now.local), COMMANDS),)
        return (*clock, Write(ask_for_measurements(), COMMANDS))

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._wait(now)
        self._frames.feed(characteristic, payload)
        return self._done(Write(disconnect(), COMMANDS)) if self._has_all else ()

    def _take(self, found: bytes) -> tuple[Decoded, ...]:
        self._has_all |= len(found) > RECORDS_AT + _HEADER_BYTES
        return ()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The answer that holds this one measurement, with a time of whole minutes; without any, an empty memory."""
    if characteristic != ANSWERS:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS, time=True)
    if first is None:
        return frame(bytes(RECORDS_AT + RECORD_BYTES))
    taken = moment_of(first)
    if taken is None or taken.second:
        raise EncodeError("a record has a time, in whole minutes")
    systolic, diastolic, pulse = (
        steps_of(measurements, metric) or 0
        for metric in (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
    )
    return frame(bytes(RECORDS_AT) + MicrolifeRecord(systolic, diastolic, pulse, taken).to_bytes())


PROFILE = BleProfile(
    name=NAME,
    label="Microlife BP3GY1-2N blood pressure cuff",
    service_uuid=SERVICE,
    characteristics=(Characteristic(ANSWERS, Transfer.NOTIFY, required=True),),
    listen=MicrolifeListener,
    encode=encode,
    silence_seconds=None,
    names=("microlife", "bp3gy1"),
    commands=(COMMANDS,),
    decode_command=decode_command,
    converse=MicrolifeConversation,
)

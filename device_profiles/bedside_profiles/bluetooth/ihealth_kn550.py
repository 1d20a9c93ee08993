"""iHealth KN-550BT: a cuff that hands over its stored measurements after a challenge that the hub must have answered.

A frame is `A0` from the cuff or `B0` from the hub, a length (everything behind it but the sum), a state (its lower
half numbers the frames of one answer), a sequence number, a payload, and the sum of all from the state on. The payload
begins with `A1` and a command: FB challenges, FD admits, FE refuses, 40 tells how many measurements are stored, and 4A
holds them from its fifth byte on, 11 bytes each: year since 2000, month, day, hour, minute, second, systolic less
diastolic, diastolic, pulse, .., and a byte whose highest bit is an irregular pulse.

No frame of a real cuff was at hand, only what a tool that reads it does. 47 hands over and deletes: it is refused.

The hub begins (FA, 16 bytes of its own choice). The cuff's challenge holds a number at 0 (16 bytes) and its device id
at 36; the answer (FC) is the number under XXTEA with a key that is the device id under XXTEA with the maker's key, each
text followed by its length as a word. Every frame of the cuff is acknowledged.
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
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Fact, Transfer
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.xxtea import encrypt

NAME = "bluetooth.ihealth_kn550"
SERVICE = "636f6d2e-6a69-7561-6e2e-646576000000"
COMMANDS = "7265632e-6a69-7561-6e2e-646576000000"
ANSWERS = "7365642e-6a69-7561-6e2e-646576000000"

IDENTIFY, ANSWER, SET_TIME = 0xFA, 0xFC, 0x21
CHALLENGE, ADMITTED, REFUSED, COUNT, RECORDS = 0xFB, 0xFD, 0xFE, 0x40, 0x4A
HARMFUL = frozenset({0x47})
"""Deletes what it hands over: a measurement lost on the way would be lost for ever."""

_FROM_CUFF, _FROM_HUB, _DEVICE = 0xA0, 0xB0, 0xA1
_OVERHEAD_BYTES = 5
_WRITE_BYTES = 20
_MAKERS_KEY = bytes.fromhex("19010796f2231a688b5434628c57eb19")
"""Of this model, the same in every cuff and application."""
_NUMBER_BYTES, _DEVICE_ID_AT, _DEVICE_ID_BYTES = 16, 36, 16
_ALL = bytes((1, 0, 0))
_ACKNOWLEDGEMENT_STATE = 0xF0
_RECORDS_AT = 4
RECORD_BYTES = 11
_IRREGULAR = 0x80
_CENTURY = 2000
_ANSWER_NAMES = {CHALLENGE: "challenge", ADMITTED: "admitted", REFUSED: "refused"}

_MEMBERS = frozenset({Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class KnRecord:
    """One stored measurement: mmHg and beats a minute."""

    taken: datetime
    systolic: int
    diastolic: int
    pulse_bpm: int
    irregular: bool = False

    @classmethod
    def from_bytes(cls, record: bytes) -> "KnRecord":
        """Raises `DecodeError`."""
        if len(record) != RECORD_BYTES:
            raise DecodeError(NAME, f"a record cut off after {len(record)} bytes", record)
        year, month, day, hour, minute, second, above, diastolic, pulse = record[:9]
        try:
            taken = datetime(_CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is said
        except ValueError as error:
            raise DecodeError(NAME, f"no such date: {error}", record) from error
        return cls(taken, diastolic + above, diastolic, pulse, bool(record[10] & _IRREGULAR))

    def to_bytes(self) -> bytes:
        """The record. Raises `EncodeError`."""
        taken = self.taken
        try:
            date = (taken.year - _CENTURY, taken.month, taken.day, taken.hour, taken.minute, taken.second)
            values = (self.systolic - self.diastolic, self.diastolic, self.pulse_bpm, 0, _IRREGULAR * self.irregular)
            return bytes(date + values)
        except ValueError as error:
            raise EncodeError(str(error)) from error

    def decoded(self) -> Decoded:
        """The measurement."""
        quality = (Quality.IRREGULAR_PULSE,) if self.irregular else ()
        members = Members(Modality.SPOT, quality=quality, device_time=self.taken)
        members.add_pressures(float(self.systolic), float(self.diastolic))
        members.add(Metric.PULSE_RATE, float(self.pulse_bpm))
        return members.decoded()


def frame_of(mark: int, payload: bytes, *, state: int = 0, sequence: int = 1) -> bytes:
    """The frame around a payload. Raises `EncodeError`."""
    try:
        body = bytes((mark, len(payload) + 2, state, sequence)) + payload
    except ValueError as error:
        raise EncodeError(str(error)) from error
    return body + bytes((sum8(body[2:]),))


def _size(head: bytes) -> int | None:
    if len(head) < 2:
        return None
    if head[1] < 2:
        raise DecodeError(NAME, f"a length of {head[1]}", head)
    return head[1] + 3


def _problem(frame: bytes) -> str | None:
    return None if sum8(frame[2:-1]) == frame[-1] else "wrong sum of a frame"


def _decode(frame: bytes) -> tuple[Decoded | DecodeError, ...]:
    payload = frame[4:-1]
    if len(payload) < 2 or payload[0] != _DEVICE:
        return (Decoded(facts=(Fact("acknowledged", frame[3]),)),)
    command = payload[1]
    if command == RECORDS:
        return tuple(_records(payload[_RECORDS_AT:])) or (Decoded(),)
    if command == COUNT and len(payload) > 3:
        return (Decoded(facts=(Fact("stored_measurements", payload[3]),)),)
    return (Decoded(facts=(Fact("answer", _ANSWER_NAMES.get(command, f"{command:02x}")),)),)


def _records(content: bytes) -> Iterator[Decoded | DecodeError]:
    for at in range(0, len(content), RECORD_BYTES):
        try:
            yield KnRecord.from_bytes(content[at : at + RECORD_BYTES]).decoded()
        except DecodeError as error:
            yield error


def listen() -> FrameListener:
    """A listener for one connection."""
    return FrameListener(Framing(NAME, bytes((_FROM_CUFF,)), _size, _problem, _decode), ANSWERS)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes, joined again. Raises `DecodeError`, also for a command that deletes."""
    if len(written) < _OVERHEAD_BYTES or written[0] != _FROM_HUB or _size(written) != len(written):
        raise DecodeError(NAME, "no whole frame of a hub", written)
    problem = _problem(written)
    if problem is not None:
        raise DecodeError(NAME, problem, written)
    payload = written[4:-1]
    if len(payload) < 2:
        return Decoded(facts=(Fact("acknowledges", written[3]),))
    if payload[1] in HARMFUL:
        raise DecodeError(NAME, f"command {payload[1]:02x} deletes measurements: no hub sends it", written)
    return Decoded(facts=(Fact("command", payload[1]),))


def encode_command(command: int, payload: bytes = b"", sequence: int = 1) -> bytes:
    """A command of the hub. Raises `EncodeError` for one of `HARMFUL`."""
    if command in HARMFUL:
        raise EncodeError(f"command {command:02x} deletes measurements: it is never sent")
    return frame_of(_FROM_HUB, bytes((_DEVICE, command)) + payload, sequence=sequence)


def acknowledgement(frame: bytes) -> bytes:
    """What the hub answers to a frame of the cuff, or the cuff says it again."""
    return frame_of(_FROM_HUB, bytes((_DEVICE,)), state=0xA0 + (frame[2] & 0x0F), sequence=(frame[3] + 1) & 0xFF)


def answer_to(challenge: bytes) -> bytes:
    """What lets the hub in, of what stands behind FB. Raises `DecodeError` for a challenge that is too short."""
    device_id = challenge[_DEVICE_ID_AT : _DEVICE_ID_AT + _DEVICE_ID_BYTES]
    if len(device_id) < _DEVICE_ID_BYTES:
        raise DecodeError(NAME, f"a challenge of {len(challenge)} bytes", challenge)
    return _sealed(challenge[:_NUMBER_BYTES], _sealed(device_id, _MAKERS_KEY)[: len(_MAKERS_KEY)])


def _sealed(text: bytes, key: bytes) -> bytes:
    return encrypt(text + len(text).to_bytes(4, "little"), key)


class KnConversation(MemoryConversation):
    """Is let in, sets the clock, and asks for all measurements."""

    def __init__(self, _known: Known) -> None:
        super().__init__()
        self._frames = FrameListener(Framing(NAME, bytes((_FROM_CUFF,)), _size, _problem, self._take), ANSWERS)
        self._heard: list[bytes] = []
        self._sequence = 1

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._wait(now)
        # The cuff proves with it that it knows the key; nobody asks it to, so any 16 bytes will do.
        return self._say(IDENTIFY, bytes(range(_NUMBER_BYTES)))

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._frames.feed(characteristic, payload)
        heard, self._heard = self._heard, []
        return [step for frame in heard for step in self._answered(frame, now)]

    def _take(self, frame: bytes) -> tuple[Decoded, ...]:
        self._heard.append(frame)
        return ()

    def _answered(self, frame: bytes, now: Moment) -> Sequence[Step]:
        if frame[2] & _ACKNOWLEDGEMENT_STATE == _ACKNOWLEDGEMENT_STATE:
            return ()
        self._wait(now)
        self._sequence = (frame[3] + 2 * (frame[2] & 0x0F) + 2) & 0xFF
        steps: list[Step] = [Write(acknowledgement(frame), COMMANDS, acknowledged=False)]
        payload = frame[4:-1]
        if len(payload) >= 2 and payload[0] == _DEVICE:
            steps += self._told(payload[1], payload[2:], now)
        return steps

    def _told(self, command: int, rest: bytes, now: Moment) -> Sequence[Step]:
        if command == CHALLENGE:
            try:
                return self._say(ANSWER, answer_to(rest))
            except DecodeError as error:
                return self._given_up(error.reason)
        if command == REFUSED:
            return self._given_up("the cuff does not let the hub in")
        if command == ADMITTED:
            local = now.local
            clock: Sequence[Step] = ()
            if local is not None:
                date = (local.year - _CENTURY, local.month, local.day, local.hour, local.minute, local.second)
                clock = self._say(SET_TIME, bytes(date))
            return (*clock, *self._say(COUNT, _ALL))
        if command == COUNT and len(rest) > 1:
            return self._say(RECORDS, _ALL) if rest[1] else self._done()
        if command == RECORDS:
            return self._say(RECORDS, _ALL) if rest and rest[0] else self._done()
        return ()

    def _say(self, command: int, payload: bytes) -> Sequence[Step]:
        frame = encode_command(command, payload, self._sequence)
        self._sequence = (self._sequence + 2) & 0xFF
        pieces = [frame[at : at + _WRITE_BYTES] for at in range(0, len(frame), _WRITE_BYTES)]
        return [Write(piece, COMMANDS, acknowledged=False) for piece in pieces]


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The answer that holds this one measurement; without any, one that holds none."""
    if characteristic != ANSWERS:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS, quality=frozenset({Quality.IRREGULAR_PULSE}), time=True)
    content = b""
    if first is not None:
        taken = moment_of(first)
        if taken is None:
            raise EncodeError("a record has a time")
        systolic, diastolic, pulse = (
            steps_of(measurements, metric) or 0
            for metric in (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
        )
        irregular = Quality.IRREGULAR_PULSE in first.quality
        content = KnRecord(taken, systolic, diastolic, pulse, irregular).to_bytes()
    return frame_of(_FROM_CUFF, bytes((_DEVICE, RECORDS, 0, 0)) + content)


PROFILE = BleProfile(
    name=NAME,
    label="iHealth KN-550BT blood pressure cuff",
    service_uuid=SERVICE,
    characteristics=(Characteristic(ANSWERS, Transfer.NOTIFY, required=True),),
    listen=listen,
    encode=encode,
    silence_seconds=None,
    commands=(COMMANDS,),
    decode_command=decode_command,
    converse=KnConversation,
)

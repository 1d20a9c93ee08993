"""Contec spirometers SP10: a stream of frames in the notifications of one characteristic.

The first byte is the kind of a frame and alone has bit 7 set; numbers have 14 bits, the lower 7 first. A record (E1) is
44 bytes and ends with the sum of the others, 7 bits wide. The curve of the flow (E2) is passed over.

The layout is known from a public app and from no recorded bytes. The hub's commands that end a transfer by deleting the
records, or that delete them at once, exist nowhere as an encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.bluetooth.memory_reading import MemoryConversation
from bedside_profiles.conversation import Known, Moment, Step, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Special
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    FactValue,
    Transfer,
    sig_uuid,
)
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.streams import NO_FRAME, FrameStream, Outcomes

NAME = "bluetooth.contec_sp10"
SERVICE = sig_uuid(0xFF12)
WRITTEN = sig_uuid(0xFF01)
NOTIFIED = sig_uuid(0xFF02)

_RECORD, _COUNT, _WAVE = 0xE1, 0xE0, 0xE2
_SIZES = {0xF0: 2, 0xF3: 3, 0xF2: 8, 0xE4: 23, _COUNT: 10, _RECORD: 44, _WAVE: 5, 0xE3: 3}
_NO_RECORD = (0x7E, 0x7F)
_ASK, _NEXT, _CURVE, _DELETE = 0x80, 0x91, 0x92, 0x93
_END_AND_KEEP, _END_AND_DELETE = 0x7E, 0x7F
_REPLIES: dict[FactValue | None, tuple[int, ...]] = {0xF3: (0x82,), 0xF2: (0x94,), 0xE4: (0x90,)}
"""What the spirometer waits for after each of its first answers."""
HUB_WITHOUT_TIME_SECONDS = 60.0
"""Between two looks at whether the hub has learnt the time."""

_WAVE_POINT_BYTES = 8
_SECONDS_A_MINUTE = 60

_MEMBERS = frozenset({Metric.FVC, Metric.FEV1, Metric.PEAK_FLOW})


FORCED = 1
"""A forced expiration, among the tests that the device tells apart (2 slow, 3 and 4 of ventilation)."""


@dataclass(frozen=True, slots=True)
class SpirometryRecord:
    """One record. Volumes in hundredths of a litre, the peak flow in such a second; 0 where not measured."""

    number: int
    moment: datetime
    fvc_cl: int
    fev1_cl: int
    peak_flow_cl_per_second: int
    after_drug: bool = False
    fev1_fvc_permille: int = 0
    """As the device says it; 0 where it does not."""
    kind: int = FORCED

    @classmethod
    def from_bytes(cls, frame: bytes) -> "SpirometryRecord":
        """Of a frame that `frame_problem` finds nothing wrong with. Raises `DecodeError`."""
        year, month, day, hour, minute, second = frame[5:11]
        try:
            moment = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone
        except ValueError as error:
            raise DecodeError(NAME, "a date there is not", frame) from error
        return cls(
            _number(frame, 3),
            moment,
            _number(frame, 17),
            _number(frame, 21),
            _number(frame, 29),
            bool(frame[16]),
            _number(frame, 23),
            frame[2],
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        frame = bytearray(_SIZES[_RECORD] - 1)
        frame[0], frame[2], frame[15], frame[16] = _RECORD, self.kind, 1, self.after_drug
        when = self.moment
        frame[5:11] = (when.year - 2000, when.month, when.day, when.hour, when.minute, when.second)
        for place, value in (
            (3, self.number),
            (17, self.fvc_cl),
            (21, self.fev1_cl),
            (23, self.fev1_fvc_permille),
            (29, self.peak_flow_cl_per_second),
        ):
            if not 0 <= value < 1 << 14:
                raise EncodeError("a number of more than 14 bits")
            frame[place : place + 2] = value & 0x7F, value >> 7
        return bytes(frame) + bytes((sum(frame) & 0x7F,))

    def decoded(self) -> Decoded:
        """What it says."""
        members = Members(Modality.SPOT, device_time=self.moment)
        facts = [
            Fact("device_clock", self.moment.isoformat()),
            Fact("record_number", self.number),
            Fact("after_drug", self.after_drug),
        ]
        if self.kind != FORCED:
            # What stands in the same places then is another volume.
            return members.decoded(*facts, Fact("kind", self.kind))
        if self.fev1_fvc_permille:
            facts.append(Fact("fev1_fvc_percent", self.fev1_fvc_permille / 10))
        members.add(Metric.FVC, self.fvc_cl / 100)
        members.add(Metric.FEV1, self.fev1_cl / 100)
        members.add(Metric.PEAK_FLOW, self.peak_flow_cl_per_second * _SECONDS_A_MINUTE / 100)
        return members.decoded(*facts)


def _number(frame: bytes, at: int) -> int:
    return frame[at] | frame[at + 1] << 7


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if any(byte & 0x80 for byte in frame[1:]):
        return "bit 7 is set behind the first byte of a frame"
    if frame[0] == _RECORD and sum(frame[:-1]) & 0x7F != frame[-1]:
        return "wrong sum of a record"
    return None


class Sp10Listener:
    """Finds records in the notifications, however they are cut."""

    def __init__(self) -> None:
        self._wave_bytes = 0
        self._stream = FrameStream(
            NAME, size_of=self._size, problem_of=self._problem, take=self._take, broken=self._end_wave
        )

    def feed(self, characteristic: str, payload: bytes) -> Outcomes:
        """See `profile.Listener`."""
        if characteristic != NOTIFIED:
            return (DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload),)
        return self._stream.feed(payload) if payload else (DecodeError(NAME, "a value without any byte"),)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`."""
        return self._stream.rest()

    @property
    def in_wave(self) -> bool:
        """Whether a curve is under way."""
        return self._wave_bytes > 0

    def _size(self, data: bytes) -> int:
        if self._wave_bytes and not data[0] & 0x80:
            return 1
        return _SIZES.get(data[0], NO_FRAME)

    def _problem(self, frame: bytes) -> str | None:
        return None if len(frame) == 1 else frame_problem(frame)

    def _end_wave(self) -> None:
        self._wave_bytes = 0

    def _take(self, frame: bytes) -> Sequence[Decoded]:
        if len(frame) == 1:
            self._wave_bytes -= 1
            return ()
        self._wave_bytes = _number(frame, 3) * _WAVE_POINT_BYTES if frame[0] == _WAVE else 0
        if frame[0] == _RECORD and frame[1] not in _NO_RECORD:
            return (SpirometryRecord.from_bytes(frame).decoded(),)
        if frame[0] == _COUNT:
            return (Decoded(facts=(Fact("results", _number(frame, 1)),)),)
        return (Decoded(facts=(Fact("answer", frame[0]),)),)


def _command(*frame: int) -> bytes:
    """What a hub writes, with its sum. Raises `EncodeError` for what deletes."""
    if _is_harmful(bytes(frame)):
        raise EncodeError("this deletes records: it is never sent")
    return bytes((*frame, sum(frame) & 0x7F))


def _is_harmful(frame: bytes) -> bool:
    return frame[0] == _DELETE or (frame[0] == _NEXT and frame[1] == _END_AND_DELETE)


def _set_time(moment: datetime) -> bytes:
    ms = moment.microsecond // 1000
    date = (moment.year - 2000 & 0x7F, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return _command(0x83, *date, ms & 0x7F, ms >> 7)


class Sp10Conversation(MemoryConversation):
    """Asks for all records, one after the other with its curve, and ends so that they are kept. The spirometer tells
    nothing before its clock was set, so a hub that does not know the time does not ask."""

    def __init__(self, _known: Known) -> None:
        super().__init__()
        self._listener = Sp10Listener()
        self._has_begun = False
        self._results = 0
        self._heard_results = 0
        self._waits_for_curve = False

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if now.local is None:
            self._wait(now, HUB_WITHOUT_TIME_SECONDS)
            return ()
        self._has_begun = True
        self._wait(now)
        return (Write(_command(_ASK), WRITTEN),)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return super().wake(now) if self._has_begun else self.begin(now)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if not self._has_begun:
            return ()
        self._wait(now)
        steps: list[Step] = []
        for outcome in self._listener.feed(characteristic, payload):
            if isinstance(outcome, Decoded):
                steps += self._told({fact.name: fact.value for fact in outcome.facts}, now)
        if self._waits_for_curve and not self._listener.in_wave and self._listener.rest() is None:
            self._waits_for_curve = False
            steps += self._next()
        return steps

    def _told(self, facts: dict[str, FactValue], now: Moment) -> Sequence[Step]:
        answer = facts.get("answer")
        if answer == 0xF0 and now.local is not None:
            return (Write(_set_time(now.local), WRITTEN),)
        if answer in _REPLIES:
            return (Write(_command(*_REPLIES[answer]), WRITTEN),)
        if isinstance(results := facts.get("results"), int):
            self._results = results
            return (Write(_command(_NEXT, 0, 1), WRITTEN),) if results else self._done()
        if "record_number" in facts:
            self._heard_results += 1
            return (Write(_command(_CURVE, 0), WRITTEN),)
        if answer == _WAVE:
            self._waits_for_curve = True
        return ()

    def _next(self) -> Sequence[Step]:
        if self._heard_results < self._results:
            return (Write(_command(_NEXT, 1, 1), WRITTEN),)
        return self._done(Write(_command(_NEXT, _END_AND_KEEP, 1), WRITTEN))


def decode_command(payload: bytes) -> Decoded:
    """What a hub's frame is. Raises `DecodeError`, also for one that deletes."""
    if len(payload) < 2 or not payload[0] & 0x80:
        raise DecodeError(NAME, "a command begins with bit 7 set", payload)
    if _is_harmful(payload):
        raise DecodeError(NAME, "a command that deletes records: no hub sends it", payload)
    return Decoded(facts=(Fact("command", payload[0]),))


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The record of one test; without measurements, that there are none. Raises `EncodeError`."""
    if characteristic != NOTIFIED:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = shared(measurements, _MEMBERS)
    if first is None:
        return bytes((_COUNT,)) + bytes(_SIZES[_COUNT] - 1)
    if first.device_time is None or first.device_user is not None or first.quality:
        raise EncodeError("a record holds a time, and neither user nor quality")
    fvc, fev1, flow = (number_of(measurements, metric) or 0.0 for metric in (Metric.FVC, Metric.FEV1, Metric.PEAK_FLOW))
    if isinstance(fvc, Special) or isinstance(fev1, Special) or isinstance(flow, Special):
        raise EncodeError("a record holds no infinities")
    return SpirometryRecord(
        1,
        datetime.fromisoformat(first.device_time),
        round(fvc * 100),
        round(fev1 * 100),
        round(flow * 100 / _SECONDS_A_MINUTE),
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Contec SP10 spirometer",
    service_uuid=SERVICE,
    characteristics=(Characteristic(NOTIFIED, Transfer.NOTIFY, required=True),),
    listen=Sp10Listener,
    encode=encode,
    silence_seconds=None,
    names=("spirometer", "sp10", "sp70", "sp80"),
    commands=(WRITTEN,),
    decode_command=decode_command,
    converse=Sp10Conversation,
)

"""Viatom/Lepu LP-BP2W: a cuff that keeps its measurements in a file, which the hub reads piece by piece.

The envelope is `lepu`'s. READ_START names the file and is answered with its size (4 bytes), each READ_DATA with a piece
of it, READ_END ends. `bp2nibp.list` is a head of 10 bytes and records of 37, little-endian: 0 Unix seconds, 4 the
account of the user, 8 irregular pulse (1), 13 systolic, 15 diastolic, 17 mean (which the maker's own software calls
"pulse"), 19 pulse; a record without pressures is an empty slot. What the cuff says while it measures (08) is not
believed: two descriptions of it contradict each other.

Some commands start a measurement on a sleeping person, others erase the cuff (`HARMFUL`): they are refused in both
directions, and nothing here can write them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bedside_profiles.bluetooth.memory_reading import MemoryConversation
from bedside_profiles.conversation import ClockMeasured, Finish, Known, Moment, Read, Step, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener
from bedside_profiles.lepu import FROM_HUB, LepuFrame, clock_of, command_frame, command_of, framing
from bedside_profiles.members import Members, holding, moment_of, steps_of
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Fact, Transfer
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

NAME = "bluetooth.lepu_bp2w"
SERVICE = "14839ac4-7d7e-415c-9a42-167340cf2339"
ANSWERS = "0734594a-a8e7-4b1a-a6b1-cd5243059a57"
COMMANDS = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
MEASUREMENTS_FILE = "bp2nibp.list"

STATE, BATTERY, INFO, SET_TIME = 0x00, 0x30, 0xE1, 0xEC
READ_START, READ_DATA, READ_END = 0xF2, 0xF3, 0xF4
HARMFUL = frozenset({0x04, 0x09, 0x0A, 0x24, 0x25, 0x39, 0xE2, 0xE3})
"""04 and E3 erase the cuff, E2 resets it; the others inflate it, 0A under the name of an echo."""

STATE_SECONDS = 5.0
"""Between two questions for the state, and for the file while the cuff does not answer to it."""
SET_WITHIN_SECONDS = 2.0
IDLE_SECONDS, IDLE_PAUSE_SECONDS = 120.0, 120.0
"""Without a measurement for so long the cuff may sleep; then it is looked for again."""

_HEAD_BYTES, RECORD_BYTES = 10, 37
_STATE_BYTES, _STATE_AT = 40, 39
_BATTERY_BYTES = 4
_LONGEST_FILE_BYTES = 1 << 16
_FILE_NAME_BYTES = 20
_STATES = {3: "idle", 4: "measuring", 5: "result", 15: "measuring", 16: "pause", 17: "result"}

_MEMBERS = frozenset({Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class Bp2Record:
    """One record: mmHg and beats a minute. `unix_seconds` are of the cuff's own clock."""

    unix_seconds: int
    account: int
    irregular: bool
    systolic: int
    diastolic: int
    mean: int
    pulse_bpm: int

    @classmethod
    def from_bytes(cls, record: bytes) -> "Bp2Record":
        """Raises `DecodeError`."""
        if len(record) != RECORD_BYTES:
            raise DecodeError(NAME, f"a record has {RECORD_BYTES} bytes, not {len(record)}", record)
        if record[8] > 1:
            raise DecodeError(NAME, f"a status of {record[8]:02x}", record)
        numbers = [int.from_bytes(record[at : at + 2], "little") for at in (13, 15, 17, 19)]
        seconds, account = int.from_bytes(record[:4], "little"), int.from_bytes(record[4:8], "little")
        return cls(seconds, account, bool(record[8]), *numbers)

    def to_bytes(self) -> bytes:
        """The record. Raises `EncodeError`."""
        try:
            numbers = (self.systolic, self.diastolic, self.mean, self.pulse_bpm)
            return (
                self.unix_seconds.to_bytes(4, "little")
                + self.account.to_bytes(4, "little")
                + bytes((self.irregular, 0, 0, 0, 0))
                + b"".join(number.to_bytes(2, "little") for number in numbers)
                + bytes(16)
            )
        except OverflowError as error:
            raise EncodeError(str(error)) from error

    @property
    def empty(self) -> bool:
        """Whether this is a slot that nothing was written to."""
        return self.systolic == self.diastolic == 0

    def decoded(self) -> Decoded:
        """The measurement."""
        members = Members(
            Modality.SPOT,
            quality=(Quality.IRREGULAR_PULSE,) if self.irregular else (),
            device_time=datetime.fromtimestamp(self.unix_seconds, UTC).replace(tzinfo=None),
            device_user=self.account or None,
        )
        members.add_pressures(float(self.systolic), float(self.diastolic), float(self.mean))
        members.add(Metric.PULSE_RATE, float(self.pulse_bpm))
        return members.decoded()


def _records(file: bytes) -> Iterator[Decoded | DecodeError]:
    for at in range(_HEAD_BYTES, len(file), RECORD_BYTES):
        try:
            record = Bp2Record.from_bytes(file[at : at + RECORD_BYTES])
        except DecodeError as error:
            yield error
            continue
        if not record.empty:
            yield record.decoded()


def _is_measurements_file(file: bytes) -> bool:
    return len(file) >= _HEAD_BYTES and (len(file) - _HEAD_BYTES) % RECORD_BYTES == 0 and not any(file[2:_HEAD_BYTES])


def _info(payload: bytes) -> Decoded:
    serial_bytes = payload[37]
    clock = clock_of(payload[24:31])
    facts = [
        Fact("model", _text(payload[9:17])),
        Fact("hardware", payload[0]),
        Fact("firmware", f"{payload[3]}.{payload[4]}"),
        Fact("serial_number", _text(payload[38 : 38 + serial_bytes])),
    ]
    return Decoded(facts=(*facts, *(() if clock is None else (Fact("clock", clock),))))


def _is_info(payload: bytes) -> bool:
    return len(payload) >= 38 and 0 < payload[37] <= len(payload) - 38


def _state(payload: bytes) -> Decoded:
    state = payload[_STATE_AT]
    account = int.from_bytes(payload[27:31], "little")
    return Decoded(
        facts=(Fact("state", state), Fact("state_name", _STATES.get(state, "unknown")), Fact("account", account))
    )


def _battery(payload: bytes) -> Decoded:
    return Decoded(facts=(Fact("battery_v", int.from_bytes(payload[2:4], "little") / 1000),))


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("ascii", errors="replace")


class Bp2wListener:
    """Joins frames, and the pieces of the file. A value of no characteristic is one frame, or a payload without it."""

    def __init__(self) -> None:
        self._frames = FrameListener(framing(NAME, self._decode), ANSWERS)
        self._announced: int | None = None
        self._file = bytearray()

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        if characteristic:
            return self._frames.feed(characteristic, payload)
        try:
            if payload[:1] != b"\xa5" or len(payload) == RECORD_BYTES:
                return _unframed(payload)
            frame = LepuFrame.from_bytes(NAME, payload)
            return (decode_command(payload),) if frame.direction == FROM_HUB else self._decode(frame)
        except DecodeError as error:
            return (error,)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`."""
        return self._frames.rest()

    def _decode(self, frame: LepuFrame) -> tuple[Decoded | DecodeError, ...]:
        command, payload = frame.command, frame.payload
        if command == STATE and len(payload) == _STATE_BYTES:
            return (_state(payload),)
        if command == BATTERY and len(payload) == _BATTERY_BYTES:
            return (_battery(payload),)
        if command == INFO and _is_info(payload):
            return (_info(payload),)
        if command == READ_START and len(payload) >= 4:
            size = int.from_bytes(payload[:4], "little")
            self._file.clear()
            self._announced = size if 0 < size <= _LONGEST_FILE_BYTES else None
            return (Decoded(facts=(Fact("file_bytes", size),)),)
        if command == READ_DATA and self._announced is not None:
            return self._piece(payload)
        if command == READ_END:
            self._announced = None
        return (Decoded(facts=(Fact("answer_to", command), Fact("length", len(payload)))),)

    def _piece(self, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        self._file += payload
        announced = self._announced or 0
        if len(self._file) < announced:
            return (Decoded(facts=(Fact("file_bytes_read", len(self._file)),)),)
        self._announced = None
        file = bytes(self._file)
        if len(file) > announced:
            return (DecodeError(NAME, f"a file of {len(file)} bytes, where {announced} were announced", file),)
        if not _is_measurements_file(file):
            return (Decoded(facts=(Fact("other_file_bytes", len(file)),)),)
        return tuple(_records(file)) or (Decoded(),)


def _unframed(payload: bytes) -> tuple[Decoded | DecodeError, ...]:
    if len(payload) == RECORD_BYTES:
        record = Bp2Record.from_bytes(payload)
        return (Decoded() if record.empty else record.decoded(),)
    if len(payload) == _STATE_BYTES:
        return (_state(payload),)
    if len(payload) == _BATTERY_BYTES:
        return (_battery(payload),)
    if len(payload) > RECORD_BYTES and _is_measurements_file(payload):
        return tuple(_records(payload)) or (Decoded(),)
    if _is_info(payload):
        return (_info(payload),)
    raise DecodeError(NAME, f"{len(payload)} bytes that are no payload of this cuff", payload)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes. Raises `DecodeError`, also for a command of `HARMFUL`."""
    frame = command_of(NAME, written, HARMFUL)
    facts = [Fact("command", frame.command), Fact("length", len(frame.payload))]
    if frame.command == READ_START:
        facts.append(Fact("file", _text(frame.payload)))
    clock = clock_of(frame.payload) if frame.command == SET_TIME else None
    return Decoded(facts=(*facts, *(() if clock is None else (Fact("clock", clock),))))


def encode_command(command: int, payload: bytes = b"", sequence: int = 0) -> bytes:
    """A command of the hub. Raises `EncodeError` for one of `HARMFUL`."""
    return command_frame(command, payload, HARMFUL, sequence)


def ask_for_file(name: str = MEASUREMENTS_FILE) -> bytes:
    """The command that begins to read a file."""
    return encode_command(READ_START, name.encode("ascii").ljust(_FILE_NAME_BYTES, b"\0"))


class Bp2wConversation(MemoryConversation):
    """Measures and sets the clock, reads the file of measurements, and again after each measurement.

    While it stays connected the cuff is asked for its state, which nobody sees; the file is read only when there may be
    something new in it, for the cuff shows a sign meanwhile. A cuff that measures does not answer to the file: it is
    asked again afterwards.
    """

    def __init__(self, _known: Known) -> None:
        super().__init__()
        self._frames = FrameListener(framing(NAME, self._take), ANSWERS)
        self._answers: list[LepuFrame] = []
        self._announced: int | None = None
        self._has_read = 0
        self._file_is_due = True
        self._clock_is_written = False
        self._offset_seconds: float | None = None
        self._idle_since_seconds = 0.0

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._idle_since_seconds = now.seconds
        self._wait(now, STATE_SECONDS)
        return (Write(encode_command(INFO), COMMANDS), Write(encode_command(STATE), COMMANDS))

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._frames.feed(characteristic, payload)
        answers, self._answers = self._answers, []
        return [step for answer in answers for step in self._answered(answer, now)]

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return self._given_up("the cuff refuses to be asked")

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if self._announced is not None:
            # It was read half; the pieces that are missing do not come.
            self._announced = None
            return (Write(encode_command(READ_END), COMMANDS), *super().wake(now))
        if now.seconds >= self._idle_since_seconds + IDLE_SECONDS:
            return (Finish(IDLE_PAUSE_SECONDS),)
        self._wait(now, STATE_SECONDS)
        return (Write(encode_command(STATE), COMMANDS),)

    def _take(self, frame: LepuFrame) -> tuple[Decoded, ...]:
        self._answers.append(frame)
        return ()

    def _answered(self, answer: LepuFrame, now: Moment) -> Sequence[Step]:
        command, payload = answer.command, answer.payload
        if command == INFO and _is_info(payload) and now.local is not None:
            return self._clock_says(_clock_offset_seconds(payload, now.local), now.local)
        if command == STATE and len(payload) == _STATE_BYTES:
            return self._is_in(_STATES.get(payload[_STATE_AT], ""), now)
        if command == READ_START and len(payload) >= 4:
            size = int.from_bytes(payload[:4], "little")
            self._announced, self._has_read = size, 0
            return self._next_piece(now) if 0 < size <= _LONGEST_FILE_BYTES else self._file_ended(now)
        if command == READ_DATA and self._announced is not None:
            self._has_read += len(payload)
            is_over = self._has_read >= self._announced or not payload
            return self._file_ended(now) if is_over else self._next_piece(now)
        return ()

    def _clock_says(self, offset_seconds: float | None, local: datetime) -> Sequence[Step]:
        if self._clock_is_written:
            is_set = offset_seconds is not None and abs(offset_seconds) <= SET_WITHIN_SECONDS
            return (ClockMeasured(self._offset_seconds, is_set),)
        self._clock_is_written, self._offset_seconds = True, offset_seconds
        clock = local.year.to_bytes(2, "little") + bytes(
            (local.month, local.day, local.hour, local.minute, local.second)
        )
        return (Write(encode_command(SET_TIME, clock), COMMANDS), Write(encode_command(INFO), COMMANDS))

    def _is_in(self, state: str, now: Moment) -> Sequence[Step]:
        if state in ("measuring", "pause"):
            self._file_is_due, self._idle_since_seconds = True, now.seconds
            return ()
        if not self._file_is_due or self._announced is not None:
            return ()
        self._wait(now, STATE_SECONDS)
        return (Write(ask_for_file(), COMMANDS),)

    def _next_piece(self, now: Moment) -> Sequence[Step]:
        self._wait(now)
        return (Write(encode_command(READ_DATA, self._has_read.to_bytes(4, "little")), COMMANDS),)

    def _file_ended(self, now: Moment) -> Sequence[Step]:
        self._announced, self._file_is_due, self._idle_since_seconds = None, False, now.seconds
        self._wait(now, STATE_SECONDS)
        return (Write(encode_command(READ_END), COMMANDS),)


def _clock_offset_seconds(info: bytes, local: datetime) -> float | None:
    said = clock_of(info[24:31])
    return None if said is None else (datetime.fromisoformat(said) - local).total_seconds()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The three answers that hand over a file with this one measurement; without any, an empty file."""
    if characteristic != ANSWERS:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS, quality=frozenset({Quality.IRREGULAR_PULSE}), time=True, user=True)
    file = bytes(_HEAD_BYTES)
    if first is not None:
        taken = moment_of(first)
        if taken is None:
            raise EncodeError("a record has a time")
        systolic, diastolic, mean, pulse = (
            steps_of(measurements, metric) or 0
            for metric in (
                Metric.SYSTOLIC_PRESSURE,
                Metric.DIASTOLIC_PRESSURE,
                Metric.MEAN_PRESSURE,
                Metric.PULSE_RATE,
            )
        )
        seconds = int(taken.replace(tzinfo=UTC).timestamp())
        irregular = Quality.IRREGULAR_PULSE in first.quality
        account = first.device_user or 0
        file += Bp2Record(seconds, account, irregular, systolic, diastolic, mean, pulse).to_bytes()
    return b"".join(
        LepuFrame(command, payload).to_bytes()
        for command, payload in ((READ_START, len(file).to_bytes(4, "little")), (READ_DATA, file), (READ_END, b""))
    )


PROFILE = BleProfile(
    name=NAME,
    label="Viatom/Lepu LP-BP2W blood pressure cuff",
    service_uuid=SERVICE,
    characteristics=(Characteristic(ANSWERS, Transfer.NOTIFY, required=True),),
    listen=Bp2wListener,
    encode=encode,
    silence_seconds=None,
    names=("bp2",),
    commands=(COMMANDS,),
    decode_command=decode_command,
    converse=Bp2wConversation,
)

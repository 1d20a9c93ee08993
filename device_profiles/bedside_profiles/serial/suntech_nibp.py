"""SunTech Advantage blood pressure modules: 9600 baud, 8N1.

The module's frame is 3E, its length, data, and a byte that makes the sum of the frame 0; numbers are little endian. A
frame of 5 bytes is the pressure in the cuff, 4 bytes with 4B tell that a measurement is over, 24 bytes are its result.
A hub's frame begins with 3A. Only those that ask are written here: what starts a measurement or moves the valves
inflates a cuff on somebody's arm, and exists nowhere as an encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.asking import Ask, Now, Script, Scripted, sound_frames
from bedside_profiles.conversation import Conversation, Trouble
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared, steps_of
from bedside_profiles.numbers import sum8
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.streams import NO_FRAME, FrameStream

NAME = "serial.suntech_nibp"
LINE = LineSettings(baud=9600)

_MODULE, _HUB = 0x3E, 0x3A
_CUFF_BYTES, _SHORT_BYTES, _RESULT_BYTES = 5, 4, 24
_LEAST, _MOST = 3, 0x43
_DONE = 0x4B

_ASK, _ASK_PRESSURE, _ASK_RESULT = 0x79, 0x05, 0x03
_COMMANDS = {0x20: "start_measurement", 0x0C: "control_pneumatics", _ASK: "ask"}
_MOVES_AIR = frozenset({0x20, 0x0C})

_ERRORS = {
    0x56: "stopped_by_user",
    0x57: "loose_cuff",
    0x58: "safety_timeout",
    0x59: "overpressure",
    0x5A: "hardware",
}


def summed(frame: bytes) -> bytes:
    """The frame, with the byte behind it that makes its sum 0."""
    return frame + bytes((-sum8(frame) & 0xFF,))


def ask_pressure() -> bytes:
    """The request for the pressure in the cuff."""
    return summed(bytes((_HUB, _ASK, _ASK_PRESSURE, 0)))


def ask_result() -> bytes:
    """The request for the last result."""
    return summed(bytes((_HUB, _ASK, _ASK_RESULT, 0)))


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """A result; pressures in mmHg. An `error` other than 0 means that there is none."""

    systolic: int
    diastolic: int
    mean: int
    pulse_bpm: int
    beats: int = 0
    status: int = 1
    error: int = 0

    @classmethod
    def from_bytes(cls, frame: bytes) -> "ResultRecord":
        """Of 24 bytes that `frame_problem` finds nothing wrong with."""
        systolic, diastolic, mean = (int.from_bytes(frame[at : at + 2], "little") for at in (2, 4, 18))
        return cls(systolic, diastolic, mean, frame[16], frame[6], frame[7], frame[20])

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        pressures = (self.systolic, self.diastolic, self.mean)
        if any(not 0 <= value <= 0xFFFF for value in pressures) or not 0 <= self.pulse_bpm <= 0xFF:
            raise EncodeError("out of the frame's range")
        systolic, diastolic, mean = (value.to_bytes(2, "little") for value in pressures)
        head = bytes((_MODULE, _RESULT_BYTES)) + systolic + diastolic + bytes((self.beats, self.status))
        return summed(head + bytes(8) + bytes((self.pulse_bpm, 0)) + mean + bytes((self.error, 0, 0)))

    def decoded(self) -> Decoded:
        """What it says. A mean of 0 is one that the module did not fill in."""
        contradict_nothing = self.diastolic <= (self.mean or self.diastolic) <= self.systolic != self.diastolic
        members = Members(Modality.SPOT)
        for metric, value in (
            (Metric.SYSTOLIC_PRESSURE, self.systolic),
            (Metric.DIASTOLIC_PRESSURE, self.diastolic),
            (Metric.MEAN_PRESSURE, self.mean),
            (Metric.PULSE_RATE, self.pulse_bpm),
        ):
            if self.error:
                members.withhold(metric, NoReading.INVALID)
            elif value and not contradict_nothing:
                members.withhold(metric, NoReading.ARTIFACT)
            else:
                members.add(metric, float(value))
        facts = [Fact("beats", self.beats), Fact("status", self.status), Fact("error", self.error)]
        if self.error in _ERRORS:
            facts.append(Fact("error_name", _ERRORS[self.error]))
        return members.decoded(*facts)


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`."""
    if data[0] != _MODULE:
        return NO_FRAME
    if len(data) < 2:
        return None
    return data[1] if _LEAST <= data[1] <= _MOST else NO_FRAME


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is. One that lost bytes reaches into the next.

    The sum is weak; but no byte of a result that is followed by a length has the value of a beginning.
    """
    if sum8(frame):
        return "wrong sum of a frame"
    begins = (bytes((_MODULE, size)) for size in (_SHORT_BYTES, _CUFF_BYTES, _RESULT_BYTES))
    return "another frame begins inside" if any(frame.find(begin, 2) > 0 for begin in begins) else None


def read_frame(frame: bytes) -> Decoded:
    """What a sound frame of the module means."""
    if len(frame) == _RESULT_BYTES:
        return ResultRecord.from_bytes(frame).decoded()
    if len(frame) == _CUFF_BYTES:
        members = Members(Modality.CONTINUOUS)
        cuff = int.from_bytes(frame[2:4], "little")
        members.add(Metric.CUFF_PRESSURE, float(cuff), living_is_never_zero=False)
        return members.decoded()
    if len(frame) == _SHORT_BYTES:
        answer = Fact("answer", frame[2])
        return Decoded(facts=(answer, Fact("measurement_done", True)) if frame[2] == _DONE else (answer,))
    return Decoded(facts=(Fact("payload", frame[2:-1].hex()),))


def framer() -> FrameStream:
    """One framer a connection."""
    return FrameStream(
        NAME,
        size_of=frame_size,
        problem_of=frame_problem,
        take=lambda frame: (read_frame(frame),),
        quiet_bytes=500,
    )


def converse() -> Conversation:
    """Ask for a result when a measurement that somebody else began is over. Nothing that moves air is ever said.

    A result carries no time: one from before the line was opened is not asked for.
    """
    return Scripted(sound_frames(NAME, frame_size, frame_problem), _script)


def _script(_now: Now) -> Script:
    while True:
        yield Ask(b"", lambda frame: len(frame) == _SHORT_BYTES and frame[2] == _DONE, None)
        if (yield Ask(ask_result(), lambda frame: len(frame) == _RESULT_BYTES, 3.0)) is None:
            yield Trouble("it has measured, and does not tell the result")


def decode_command(frame: bytes) -> Decoded:
    """What a hub's frame asks for. Raises `DecodeError`."""
    if len(frame) < 3 or frame[0] != _HUB or sum8(frame):
        raise DecodeError(NAME, "a request is 3A, a command, and the sum 0 over all", frame)
    facts = [Fact("command", frame[1])]
    if frame[1] in _COMMANDS:
        facts += [Fact("command_name", _COMMANDS[frame[1]]), Fact("moves_air", frame[1] in _MOVES_AIR)]
    if frame[1] == _ASK and len(frame) > 3:
        facts.append(Fact("asks_for", {_ASK_PRESSURE: "cuff_pressure", _ASK_RESULT: "result"}.get(frame[2], "other")))
    return Decoded(facts=tuple(facts))


def encode(measurements: Sequence[Measurement]) -> bytes:
    """A result or a cuff pressure; without measurements, that a measurement is over. Raises `EncodeError`."""
    result = (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE, Metric.PULSE_RATE)
    first = shared(measurements, frozenset({*result, Metric.CUFF_PRESSURE}))
    if first is None:
        return summed(bytes((_MODULE, _SHORT_BYTES, _DONE)))
    if first.device_time or first.device_user is not None or first.quality:
        raise EncodeError("a frame holds neither time, user nor quality")
    if number_of(measurements, Metric.CUFF_PRESSURE) is not None:
        if len(measurements) > 1:
            raise EncodeError("the pressure in the cuff comes alone")
        cuff = steps_of(measurements, Metric.CUFF_PRESSURE) or 0
        return summed(bytes((_MODULE, _CUFF_BYTES)) + cuff.to_bytes(2, "little"))
    return ResultRecord(*(steps_of(measurements, metric) or 0 for metric in result)).to_bytes()


PROFILE = SerialProfile(
    name=NAME,
    label="SunTech Advantage blood pressure module",
    line=LINE,
    framer=framer,
    encode=encode,
    silence_seconds=None,
    names=("suntech", "advantage"),
    decode_command=decode_command,
    converse=converse,
)

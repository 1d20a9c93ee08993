"""TaiDoc meters (TD-42xx glucose, TD-31xx and 32xx blood pressure, TD-12xx temperature): 19200 baud, 8N1.

A frame is 8 bytes: 51, command, four bytes of data, A5 from the device or A3 from the hub, the sum of the seven. A
stored result is asked for twice, its time (25) and its value (26); the answers do not say which one they belong to, so
that a time counts for the very next value alone. What the value's bytes mean depends on the device: its model (24) is
checked against the kind it is configured as.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bedside_profiles.asking import (
    AWAY_SECONDS,
    NO_ANSWER,
    REST_SECONDS,
    Ask,
    Now,
    Said,
    Script,
    Scripted,
    clock_measured,
    sound_frames,
)
from bedside_profiles.conversation import ClockMeasured, Conversation, Finish, Trouble
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, record_without_time, shared, steps_of
from bedside_profiles.numbers import Number, Special, sum8
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.streams import NO_FRAME, FrameStream, Outcomes

NAME = "serial.taidoc_glucose"
LINE = LineSettings(baud=19200)
FRAME_BYTES = 8

_START, _FROM_DEVICE, _FROM_HUB = 0x51, 0xA5, 0xA3
_CONNECT, _CLOCK, _MODEL, _TIME_OF, _VALUE_OF, _COUNT, _SET_CLOCK = 0x22, 0x23, 0x24, 0x25, 0x26, 0x2B, 0x33
_COMMANDS = {
    _CONNECT: "connect",
    _CLOCK: "tell_clock",
    _MODEL: "tell_model",
    _TIME_OF: "tell_time_of_result",
    _VALUE_OF: "tell_result",
    _COUNT: "tell_count",
    _SET_CLOCK: "set_clock",
}
"""The command that clears the memory (52) is not among them."""

LOWEST_MG_DL, HIGHEST_MG_DL = 20, 600
_CONTROL_SOLUTION = 3
_MEALS = ("none", "before", "after")
_GLUCOSE, _KETONE = 0, 7
_KETONE_PARTS = 30
_LEAST_PULSE = 4
"""In the place of the pulse, less is the code of an error."""
_HUNDREDTHS_FROM = 1000
"""Some thermometers tell tenths, some hundredths; no living body has 100 °C or 10 °C."""


_MOST_CLOCK_ERROR_SECONDS = 120.0
"""The clock tells no seconds, so that a minute may be the time that a frame takes. More is set right."""
_TRIES = 3


class Kind(StrEnum):
    """What the device measures; the value is the first digit of its models."""

    GLUCOSE = "4"
    PRESSURE = "3"
    TEMPERATURE = "1"


@dataclass(frozen=True, slots=True)
class TaiDocFrame:
    """One frame: the command that it is or answers, and four bytes."""

    command: int
    data: bytes = bytes(4)
    from_hub: bool = False

    @classmethod
    def from_bytes(cls, frame: bytes) -> "TaiDocFrame":
        """Of a frame that `frame_problem` finds nothing wrong with."""
        return cls(frame[1], frame[2:6], frame[6] == _FROM_HUB)

    def to_bytes(self) -> bytes:
        """The frame."""
        frame = bytes((_START, self.command)) + self.data + bytes((_FROM_HUB if self.from_hub else _FROM_DEVICE,))
        return frame + bytes((sum8(frame),))


def decode_moment(data: bytes) -> datetime:
    """The wall time of a date word (year from 2000, month, day: 7, 4, 5 bits), minute, hour. Raises ValueError.

    The two highest bits of the minute and the three of the hour hold marks of blood pressure meters.
    """
    word = int.from_bytes(data[:2], "little")
    return datetime(2000 + (word >> 9), word >> 5 & 0x0F, word & 0x1F, data[3] & 0x1F, data[2] & 0x3F)  # noqa: DTZ001


def encode_moment(moment: datetime) -> bytes:
    """The four bytes, to the minute."""
    word = (moment.year - 2000) << 9 | moment.month << 5 | moment.day
    return word.to_bytes(2, "little") + bytes((moment.minute, moment.hour))


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`."""
    return FRAME_BYTES if data[0] == _START else NO_FRAME


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if frame[6] not in (_FROM_DEVICE, _FROM_HUB):
        return "a frame that says neither A3 nor A5"
    return None if sum8(frame[:7]) == frame[7] else "wrong sum of a frame"


class TaiDocFramer:
    """Finds answers, and joins each value with its time."""

    def __init__(self, name: str = NAME, kind: Kind = Kind.GLUCOSE) -> None:
        self._name = name
        self._kind = kind
        self._model = ""
        self._time: datetime | None = None
        self._stream = FrameStream(
            name,
            size_of=frame_size,
            problem_of=frame_problem,
            take=self._take,
            broken=self._forget_time,
            quiet_bytes=200,
        )

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        return self._stream.feed(data)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        return self._stream.rest()

    def _forget_time(self) -> None:
        self._time = None

    def _take(self, raw: bytes) -> Sequence[Decoded]:
        frame = TaiDocFrame.from_bytes(raw)
        moment, self._time = self._time, None
        if frame.from_hub:
            return (_hub_said(self._name, frame),)
        if frame.command == _VALUE_OF:
            if self._model and self._model[0] != self._kind.value:
                raise DecodeError(self._name, f"TD-{self._model} measures something else", raw)
            return (_VALUES[self._kind](frame.data, moment),)
        if frame.command == _TIME_OF:
            self._time = _moment(self._name, raw, frame.data)
            return (Decoded(facts=(Fact("time_of_result", self._time.isoformat()),)),)
        if frame.command in (_CLOCK, _SET_CLOCK):
            return (Decoded(facts=(Fact("device_clock", _moment(self._name, raw, frame.data).isoformat()),)),)
        if frame.command == _MODEL:
            self._model = frame.data[1::-1].hex()
            return (Decoded(facts=(Fact("model", f"TD-{self._model}"),)),)
        if frame.command == _COUNT:
            return (Decoded(facts=(Fact("results", int.from_bytes(frame.data[:2], "little")),)),)
        return (Decoded(facts=(Fact("answer", frame.command), Fact("payload", frame.data.hex()))),)


def _moment(name: str, raw: bytes, data: bytes) -> datetime:
    try:
        return decode_moment(data)
    except ValueError as error:
        raise DecodeError(name, "a date there is not", raw) from error


def _members(moment: datetime | None) -> Members:
    quality = () if moment else (Quality.DEVICE_CLOCK_UNSET,)
    return Members(Modality.SPOT, device_time=moment, quality=quality, record=record_without_time(moment))


def glucose_said(data: bytes, moment: datetime | None) -> Decoded:
    """A stored value of a glucose meter; what it measures beside glucose and ketones is told as a fact alone."""
    value, mark, substance = int.from_bytes(data[:2], "little"), data[3] >> 6, data[3] >> 2 & 0x0F
    members = _members(moment)
    number: Number = float(value)
    if substance == _GLUCOSE and value > HIGHEST_MG_DL:
        number = Special.POSITIVE_INFINITY
    elif substance == _GLUCOSE and 0 < value < LOWEST_MG_DL:
        number = Special.NEGATIVE_INFINITY
    elif substance == _KETONE:
        number = value / _KETONE_PARTS
    if substance not in (_GLUCOSE, _KETONE):
        return members.decoded(Fact("substance", substance), Fact("raw_value", value))
    metric = Metric.GLUCOSE if substance == _GLUCOSE else Metric.KETONE
    if mark == _CONTROL_SOLUTION:
        members.withhold(metric, NoReading.INVALID)
        return members.decoded(Fact("control_solution", True))
    members.add(metric, number)
    return members.decoded(Fact("meal", _MEALS[mark]))


def pressure_said(data: bytes, moment: datetime | None) -> Decoded:
    """A stored value of a cuff. The second byte is the systolic's high byte on some, something else on others."""
    systolic, second, diastolic, pulse = data
    if second <= 1:
        systolic |= second << 8
    members = _members(moment)
    for metric, value in (
        (Metric.SYSTOLIC_PRESSURE, systolic),
        (Metric.DIASTOLIC_PRESSURE, diastolic),
        (Metric.PULSE_RATE, pulse),
    ):
        if not systolic or pulse < _LEAST_PULSE:
            members.withhold(metric, NoReading.NOT_A_NUMBER)
        elif diastolic >= systolic:
            members.withhold(metric, NoReading.ARTIFACT)
        else:
            members.add(metric, float(value))
    return members.decoded(*(() if second <= 1 else (Fact("second_byte", second),)))


def temperature_said(data: bytes, moment: datetime | None) -> Decoded:
    """A stored value of a thermometer."""
    raw = int.from_bytes(data[:2], "little")
    members = _members(moment)
    members.add(Metric.BODY_TEMPERATURE, raw / 100 if raw >= _HUNDREDTHS_FROM else raw / 10)
    return members.decoded()


_VALUES: dict[Kind, Callable[[bytes, datetime | None], Decoded]] = {
    Kind.GLUCOSE: glucose_said,
    Kind.PRESSURE: pressure_said,
    Kind.TEMPERATURE: temperature_said,
}


def _hub_said(name: str, frame: TaiDocFrame) -> Decoded:
    facts = [Fact("command", frame.command)]
    if frame.command in _COMMANDS:
        facts.append(Fact("command_name", _COMMANDS[frame.command]))
    if frame.command == _SET_CLOCK:
        facts.append(Fact("set_clock", _moment(name, frame.to_bytes(), frame.data).isoformat()))
    return Decoded(facts=tuple(facts))


def decode_command(frame: bytes) -> Decoded:
    """What a hub's frame asks for, or a date word, minute and hour without a frame around. Raises `DecodeError`."""
    if len(frame) == 4:
        return Decoded(facts=(Fact("set_clock", _moment(NAME, frame, frame).isoformat()),))
    if len(frame) != FRAME_BYTES or frame[0] != _START or frame[6] != _FROM_HUB or frame_problem(frame) is not None:
        raise DecodeError(NAME, "no frame of a hub", frame)
    return _hub_said(NAME, TaiDocFrame.from_bytes(frame))


def _ask(command: int, data: bytes = bytes(4), tries: int = _TRIES) -> Ask:
    def is_answer(frame: bytes) -> bool:
        return frame[1] == command and frame[6] == _FROM_DEVICE

    return Ask(TaiDocFrame(command, data, from_hub=True).to_bytes(), is_answer, tries=tries)


def converse(name: str = NAME, kind: Kind = Kind.GLUCOSE) -> Conversation:
    """Ask for the model, then for the clock, then for every stored result, oldest first.

    The clock of a glucose meter is measured alone: doses are decided by it, at the meter. Others are set where they are
    wrong. The memory is never cleared.
    """
    return Scripted(sound_frames(name, frame_size, frame_problem), lambda now: _script(kind, now))


def _script(kind: Kind, now: Now) -> Script:
    answer = yield _ask(_MODEL)
    if answer is None:
        yield NO_ANSWER
        yield Finish(AWAY_SECONDS)
        return
    model = TaiDocFrame.from_bytes(answer).data[1::-1].hex()
    if model[0] != kind.value:
        yield Trouble(f"it is a TD-{model}, which measures something else than its profile")
        yield Finish(REST_SECONDS)
        return
    # Before the results: they are dated by it. It is set after them, since their stamps are the old clock's.
    clock = yield _ask(_CLOCK)
    measured = () if clock is None else clock_measured(_shown(clock), now())
    yield from measured
    answer = yield _ask(_COUNT)
    count = 0 if answer is None else int.from_bytes(answer[2:4], "little")
    complete = answer is not None
    for place in reversed(range(count)):
        complete = (yield from _result(place)) and complete
        if not complete:
            break
    if not complete:
        yield Trouble("it stopped answering before all its results were read")
        yield Finish(AWAY_SECONDS)
        return
    if measured and kind is not Kind.GLUCOSE:
        yield from _set_clock(measured[0].offset_seconds, now)
    yield Finish(REST_SECONDS)


def _result(place: int) -> Generator[Said, bytes | None, bool]:
    """The time, then the value. A value is never asked for twice: behind another one's time it would be that one's."""
    data = place.to_bytes(2, "little") + bytes(2)
    for _ in range(_TRIES):
        if (yield _ask(_TIME_OF, data)) is not None and (yield _ask(_VALUE_OF, data, tries=1)) is not None:
            return True
    return False


def _set_clock(ahead: float | None, now: Now) -> Script:
    """Where it is wrong."""
    local = now().local
    if local is None or (ahead is not None and abs(ahead) <= _MOST_CLOCK_ERROR_SECONDS):
        return
    yield _ask(_SET_CLOCK, encode_moment(local))
    answer = yield _ask(_CLOCK)
    shown = None if answer is None else _shown(answer)
    is_set = shown is not None and abs((shown - local).total_seconds()) <= _MOST_CLOCK_ERROR_SECONDS
    yield ClockMeasured(ahead, is_set=is_set)
    if not is_set:
        yield Trouble("its clock stays wrong after it was set")


def _shown(answer: bytes) -> datetime | None:
    try:
        return decode_moment(TaiDocFrame.from_bytes(answer).data)
    except ValueError:
        return None


def _stored(first: Measurement, data: bytes) -> bytes:
    if first.device_time is None or first.device_user is not None or first.quality:
        raise EncodeError("a stored result holds a time, and neither user nor quality")
    time = TaiDocFrame(_TIME_OF, encode_moment(datetime.fromisoformat(first.device_time)))
    return time.to_bytes() + TaiDocFrame(_VALUE_OF, data).to_bytes()


def _no_result() -> bytes:
    return TaiDocFrame(_COUNT).to_bytes()


def encode_glucose(measurements: Sequence[Measurement]) -> bytes:
    """The two answers for one result; without measurements, that there is none. Raises `EncodeError`."""
    first = shared(measurements, frozenset({Metric.GLUCOSE}))
    if first is None:
        return _no_result()
    number = number_of(measurements, Metric.GLUCOSE)
    if number is Special.POSITIVE_INFINITY or number is Special.NEGATIVE_INFINITY:
        value = HIGHEST_MG_DL + 1 if number is Special.POSITIVE_INFINITY else LOWEST_MG_DL - 1
    else:
        value = steps_of(measurements, Metric.GLUCOSE) or 0
    return _stored(first, value.to_bytes(2, "little") + bytes(2))


def encode_pressure(measurements: Sequence[Measurement]) -> bytes:
    """See `encode_glucose`."""
    metrics = (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
    first = shared(measurements, frozenset(metrics))
    if first is None:
        return _no_result()
    systolic, diastolic, pulse = (steps_of(measurements, metric) or 0 for metric in metrics)
    if not (0 < systolic < 0x200 and 0 < diastolic < 0x100 and _LEAST_PULSE <= pulse < 0x100):
        raise EncodeError("a result holds all three")
    return _stored(first, systolic.to_bytes(2, "little") + bytes((diastolic, pulse)))


def encode_temperature(measurements: Sequence[Measurement]) -> bytes:
    """See `encode_glucose`."""
    first = shared(measurements, frozenset({Metric.BODY_TEMPERATURE}))
    if first is None:
        return _no_result()
    celsius = number_of(measurements, Metric.BODY_TEMPERATURE)
    if celsius is None or isinstance(celsius, Special) or not 10 <= celsius < 100:
        raise EncodeError("a result holds 10 to 99.9 °C")
    return _stored(first, round(celsius * 10).to_bytes(2, "little") + bytes(2))


PROFILE = SerialProfile(
    name=NAME,
    label="TaiDoc glucose meter",
    line=LINE,
    framer=TaiDocFramer,
    encode=encode_glucose,
    silence_seconds=None,
    names=("taidoc", "td-42", "glucose"),
    decode_command=decode_command,
    converse=converse,
)
PRESSURE = replace(
    PROFILE,
    name="serial.taidoc_blood_pressure",
    label="TaiDoc blood pressure cuff",
    framer=lambda: TaiDocFramer("serial.taidoc_blood_pressure", Kind.PRESSURE),
    encode=encode_pressure,
    converse=lambda: converse("serial.taidoc_blood_pressure", Kind.PRESSURE),
    names=("taidoc", "td-31", "td-32", "blood pressure"),
)
TEMPERATURE = replace(
    PROFILE,
    name="serial.taidoc_thermometer",
    label="TaiDoc thermometer",
    framer=lambda: TaiDocFramer("serial.taidoc_thermometer", Kind.TEMPERATURE),
    encode=encode_temperature,
    converse=lambda: converse("serial.taidoc_thermometer", Kind.TEMPERATURE),
    names=("taidoc", "td-12", "td-10", "thermometer"),
)

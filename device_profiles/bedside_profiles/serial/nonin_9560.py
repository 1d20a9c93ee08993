"""Nonin spot check oximeters in data format 13 (Onyx II 9560, WristOx2): 9600 baud, 8N1, one frame a measurement.

A frame is 00 02, the format (00 0D), the length of its data, the data, the sum of the data, 03; all numbers are big
endian, the date is binary coded decimal. The device sends what it stored first (`from_memory`), then new measurements.
Later models may append data behind the 14 bytes that are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.asking import Ask, Now, Script, Scripted, sound_frames
from bedside_profiles.conversation import ClockMeasured, Conversation, Trouble, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, shared, steps_of
from bedside_profiles.numbers import Special, decode_bcd, encode_bcd, sum8
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.streams import NO_FRAME, FrameStream, Outcomes

NAME = "serial.nonin_9560"
LINE = LineSettings(baud=9600)

_HEAD = b"\x00\x02\x00\x0d\x00"
_LEAST, _MOST = 14, 64
_START, _END = 0x02, 0x03
_SELECT_FORMAT, _SET_TIME, _TIME = 0x70, 0x72, 0xF2
_ACKNOWLEDGED, _REFUSED = b"\x06", b"\x15"
_ANSWERS = {_ACKNOWLEDGED: "acknowledged", _REFUSED: "refused"}

_SMARTPOINT, _NO_MEASUREMENT, _FROM_MEMORY, _LOW_BATTERY = 0x0200, 0x0100, 0x0010, 0x0001
_RATE_MISSING, _SATURATION_MISSING = 511, 127

_FORMAT = 13
_MOST_CLOCK_ERROR_SECONDS = 30.0

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class SpotRecord:
    """One frame. `spo2` in % and `rate_bpm` are None where the device has none. `moment` is its own wall time."""

    spo2: int | None
    rate_bpm: int | None
    moment: datetime
    smartpoint: bool = True
    no_measurement: bool = False
    from_memory: bool = False
    low_battery: bool = False

    @classmethod
    def from_bytes(cls, frame: bytes) -> "SpotRecord":
        """Of a frame that `frame_problem` finds nothing wrong with. Raises `DecodeError`."""
        data = frame[6:]
        try:
            century, year, month, day, hour, minute, second = (decode_bcd(byte) for byte in data[:7])
            moment = datetime(century * 100 + year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is named
        except ValueError as error:
            raise DecodeError(NAME, f"a date there is not: {error}", frame) from error
        status, rate = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        if rate > _RATE_MISSING or data[12] or data[13] > _SATURATION_MISSING:
            raise DecodeError(NAME, "bits set in which a rate or a saturation has none", frame)
        return cls(
            spo2=None if data[13] == _SATURATION_MISSING else data[13],
            rate_bpm=None if rate == _RATE_MISSING else rate,
            moment=moment,
            smartpoint=bool(status & _SMARTPOINT),
            no_measurement=bool(status & _NO_MEASUREMENT),
            from_memory=bool(status & _FROM_MEMORY),
            low_battery=bool(status & _LOW_BATTERY),
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        spo2 = _SATURATION_MISSING if self.spo2 is None else self.spo2
        rate = _RATE_MISSING if self.rate_bpm is None else self.rate_bpm
        if not (0 <= spo2 <= _SATURATION_MISSING and 0 <= rate <= _RATE_MISSING):
            raise EncodeError("out of the format's range")
        status = (_SMARTPOINT * self.smartpoint) | (_NO_MEASUREMENT * self.no_measurement)
        status |= (_FROM_MEMORY * self.from_memory) | (_LOW_BATTERY * self.low_battery)
        when = self.moment
        parts = (when.year // 100, when.year % 100, when.month, when.day, when.hour, when.minute, when.second, 0)
        data = bytes(encode_bcd(part) for part in parts)
        data += status.to_bytes(2, "big") + rate.to_bytes(2, "big") + bytes((0, spo2))
        return _HEAD + bytes((len(data),)) + data + bytes((sum8(data), _END))

    def decoded(self) -> Decoded:
        """What it says."""
        quality = (Quality.LOW_BATTERY,) if self.low_battery else ()
        members = Members(Modality.SPOT, quality=quality, device_time=self.moment, is_live=not self.from_memory)
        for metric, value in ((Metric.SPO2, self.spo2), (Metric.PULSE_RATE, self.rate_bpm)):
            if self.no_measurement and value is not None:
                members.withhold(metric, NoReading.INVALID)
            else:
                members.add(metric, Special.NAN if value is None else float(value))
        return members.decoded(
            Fact("device_clock", self.moment.isoformat()),
            Fact("from_memory", self.from_memory),
            Fact("smartpoint", self.smartpoint),
        )


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`."""
    if data[0] == _START:
        if len(data) < 3:
            return None if data[1:2] in (b"", bytes((_TIME,))) else NO_FRAME
        return 10 if data[1:3] == bytes((_TIME, 6)) else NO_FRAME
    if not _HEAD.startswith(data[: len(_HEAD)]):
        return NO_FRAME
    if len(data) <= len(_HEAD):
        return None
    return data[len(_HEAD)] + 8 if _LEAST <= data[len(_HEAD)] <= _MOST else NO_FRAME


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if frame[-1] != _END:
        return "no end behind the frame"
    if frame[0] == 0 and sum8(frame[6:-2]) != frame[-2]:
        return "wrong sum of a frame"
    return None


class Df13Framer:
    """Finds measurements, and the device's clock when the hub has asked for it."""

    def __init__(self) -> None:
        self._heard = b""
        self._stream = FrameStream(NAME, size_of=frame_size, problem_of=frame_problem, take=_take, quiet_bytes=200)

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        self._heard = (self._heard + data)[:2]
        return self._stream.feed(data)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`. One byte is an answer if nothing else was heard; among others it may be anything."""
        if self._heard in _ANSWERS:
            return Decoded(facts=(Fact("answer", _ANSWERS[self._heard]),))
        return self._stream.rest()


def _take(frame: bytes) -> Sequence[Decoded]:
    if frame[0] == _START:
        return (Decoded(facts=(Fact("device_clock", _clock(frame).isoformat()),)),)
    return (SpotRecord.from_bytes(frame).decoded(),)


def _clock(frame: bytes) -> datetime:
    year, month, day, hour, minute, second = frame[3:9]
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone
    except ValueError as error:
        raise DecodeError(NAME, f"a date there is not: {error}", frame) from error


def set_time(moment: datetime) -> bytes:
    """The command that sets the device's clock to a wall time of 2000 to 2099. No answer comes."""
    when = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes((_START, _SET_TIME, len(when), *when, _END))


def select_format(number: int) -> bytes:
    """The command that selects a data format (2, 7, 8, 13). It is heard in the first 5 seconds and lasts."""
    return bytes((_START, _SELECT_FORMAT, 2, 2, number, _END))


def ask_time() -> bytes:
    """The request for the device's clock."""
    return bytes((_START, _SET_TIME, 0, _END))


def converse() -> Conversation:
    """Select data format 13, which the profile reads, while the device still hears it; then set a clock that is wrong.

    A device that answers neither speaks all the same: it measures when somebody puts a finger in.
    """
    return Scripted(sound_frames(NAME, _answer_size, _answer_problem), _script)


def _answer_size(data: bytes) -> int | None:
    return 1 if data[:1] in (_ACKNOWLEDGED, _REFUSED) else frame_size(data)


def _answer_problem(frame: bytes) -> str | None:
    return None if len(frame) == 1 else frame_problem(frame)


def _is_clock(frame: bytes) -> bool:
    return frame[0] == _START and len(frame) > 1


def _script(now: Now) -> Script:
    if (yield Ask(select_format(_FORMAT), lambda frame: len(frame) == 1, tries=2)) == _REFUSED:
        yield Trouble("it refuses data format 13: is it another model?")
    told = yield Ask(ask_time(), _is_clock, tries=2)
    local = now().local
    if told is None or local is None:
        return
    ahead = _ahead_seconds(told, local)
    if ahead is not None and abs(ahead) <= _MOST_CLOCK_ERROR_SECONDS:
        yield ClockMeasured(ahead, is_set=False)
        return
    yield Write(set_time(local))
    told = yield Ask(ask_time(), _is_clock, tries=2)
    left = None if told is None else _ahead_seconds(told, local)
    is_set = left is not None and abs(left) <= _MOST_CLOCK_ERROR_SECONDS
    yield ClockMeasured(ahead, is_set=is_set)
    if not is_set:
        yield Trouble("its clock stays wrong after it was set")


def _ahead_seconds(told: bytes, local: datetime) -> float | None:
    try:
        return (_clock(told) - local).total_seconds()
    except DecodeError:
        return None


def decode_command(frame: bytes) -> Decoded:
    """What a hub's frame asks for. Raises `DecodeError`."""
    if len(frame) < 4 or frame[0] != _START or frame[-1] != _END or frame[2] != len(frame) - 4:
        raise DecodeError(NAME, "a command is 02, what, its length, its data, 03", frame)
    if frame[1] == _SET_TIME and len(frame) == 10:
        return Decoded(facts=(Fact("command", "set_time"), Fact("set_clock", _clock(frame).isoformat())))
    if frame[1] == _SET_TIME and len(frame) == 4:
        return Decoded(facts=(Fact("command", "tell_time"),))
    if frame[1] == _SELECT_FORMAT and len(frame) == 6 and frame[3] == 2:
        return Decoded(facts=(Fact("command", "select_format"), Fact("data_format", frame[4])))
    raise DecodeError(NAME, f"no command that is known: {frame[1]:02X}", frame)


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The frame of one spot check; without measurements, that there is none. Raises `EncodeError`."""
    first = shared(measurements, _MEMBERS)
    if first is None:
        return SpotRecord(None, None, datetime(2000, 1, 1), False, no_measurement=True).to_bytes()  # noqa: DTZ001
    if first.device_time is None or first.device_user is not None or set(first.quality) - {Quality.LOW_BATTERY}:
        raise EncodeError("this frame holds a time, no user, and of the qualities a low battery alone")
    return SpotRecord(
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PULSE_RATE),
        datetime.fromisoformat(first.device_time),
        low_battery=bool(first.quality),
    ).to_bytes()


PROFILE = SerialProfile(
    name=NAME,
    label="Nonin spot check oximeter, data format 13",
    line=LINE,
    framer=Df13Framer,
    encode=encode,
    silence_seconds=None,
    names=("nonin", "9560", "df13", "data format 13", "format 13"),
    decode_command=decode_command,
    converse=converse,
)

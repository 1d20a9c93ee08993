"""LifeScan OneTouch UltraEasy and UltraMini glucose meters: 9600 baud, 8N1, the LifeScan binary protocol.

A frame is 02, its length, link control, the message, 03, CRC-16/CCITT-FALSE little endian; both sides send the same
kind. An answer does not say what it answers: its length tells. Records are in mg/dL; the device's clock counts the
seconds of its own wall time.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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
from bedside_profiles.conversation import Conversation, Finish, Trouble, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, record_without_time, shared
from bedside_profiles.numbers import Number, Special, crc16_ccitt_false
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.streams import NO_FRAME, FrameStream

NAME = "serial.onetouch_ultraeasy"
LINE = LineSettings(baud=9600)

ASK_CLOCK, ASK_VERSION, ASK_RECORD = b"\x05\x20\x02\x00\x00\x00\x00", b"\x05\x0d\x02", b"\x05\x1f"
"""Messages of the hub; behind ASK_RECORD stands the record's number, 2 bytes little endian. None deletes anything."""
RECORD_COUNT = 501
"""Asked for this record, the meter answers with how many there are."""

LOWEST_MG_DL, HIGHEST_MG_DL = 20, 600
_HIGH = 0xFFFF

_START, _END = 0x02, 0x03
_AROUND, _LONGEST = 6, 64
_MORE, _DISCONNECT, _ACKNOWLEDGE, _RESERVED = 0x10, 0x08, 0x04, 0xE0
_EXPECTED, _SENT = 0x02, 0x01
"""Sequence bits: of the frame that is expected next, and of this one. Both turn with each message that was taken."""
_ANSWER, _COUNT = b"\x05\x06", b"\x05\x0f"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the device names no zone
_UNITS = {0: "mg/dL", 1: "mmol/L"}


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """One frame: its message, empty in a mere acknowledgement, and its link control byte."""

    message: bytes
    control: int = 0

    @classmethod
    def from_bytes(cls, frame: bytes) -> "LinkFrame":
        """Of a frame that `frame_problem` finds nothing wrong with."""
        return cls(frame[3:-3], frame[2])

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        if len(self.message) > _LONGEST - _AROUND or self.control & _RESERVED:
            raise EncodeError("this does not fit into one frame")
        frame = bytes((_START, len(self.message) + _AROUND, self.control)) + self.message + bytes((_END,))
        return frame + crc16_ccitt_false(frame).to_bytes(2, "little")

    def decoded(self) -> Decoded:
        """What it says. Raises `DecodeError`."""
        body = self.message[2:]
        if self.message.startswith(_ANSWER) and len(body) == 8:
            return record_said(int.from_bytes(body[:4], "little"), int.from_bytes(body[4:], "little"), self.message)
        if self.message.startswith(_ANSWER) and len(body) == 4:
            return Decoded(facts=(_clock_or_unit(int.from_bytes(body, "little")),))
        if self.message.startswith(_COUNT) and len(body) == 2:
            return Decoded(facts=(Fact("results", int.from_bytes(body, "little")),))
        if self.message.startswith(_ANSWER) and len(body) == 9 and body.isalnum():
            return Decoded(facts=(Fact("serial_number", body.decode("ascii")),))
        return Decoded(
            facts=(
                Fact("payload", self.message.hex()),
                Fact("acknowledges", bool(self.control & _ACKNOWLEDGE)),
                Fact("disconnects", bool(self.control & _DISCONNECT)),
                Fact("more_follows", bool(self.control & _MORE)),
            )
        )


def record_said(seconds: int, mg_dl: int, frame: bytes) -> Decoded:
    """A stored result. Raises `DecodeError` for bits in which a glucose value has none."""
    if mg_dl > _HIGH:
        raise DecodeError(NAME, "a record with unknown bits set", frame)
    moment = _EPOCH + timedelta(seconds=seconds)
    members = Members(Modality.SPOT, device_time=moment, record=record_without_time(moment))
    number: Number = float(mg_dl)
    if mg_dl > HIGHEST_MG_DL:
        number = Special.POSITIVE_INFINITY
    elif 0 < mg_dl < LOWEST_MG_DL:
        number = Special.NEGATIVE_INFINITY
    members.add(Metric.GLUCOSE, number)
    return members.decoded(Fact("device_clock", moment.isoformat()))


def _clock_or_unit(value: int) -> Fact:
    """Both answers look alike; a clock does not stand in the first two seconds of 1970."""
    if value in _UNITS:
        return Fact("display_unit", _UNITS[value])
    return Fact("device_clock", (_EPOCH + timedelta(seconds=value)).isoformat())


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`."""
    if data[0] != _START:
        return NO_FRAME
    if len(data) < 2:
        return None
    return data[1] if _AROUND <= data[1] <= _LONGEST else NO_FRAME


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if frame[2] & _RESERVED or frame[-3] != _END:
        return "no link control, or no end behind the message"
    if crc16_ccitt_false(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        return "wrong CRC of a frame"
    return None


def converse() -> Conversation:
    """Begin the link anew, ask for the clock, how many records there are, and for each, oldest first; then end it."""
    return Scripted(sound_frames(NAME, frame_size, frame_problem), _script)


_Answered = Generator[Said, bytes | None, LinkFrame | None]


def _script(now: Now) -> Script:
    hangs_up = LinkFrame(b"", _DISCONNECT).to_bytes()
    if (yield Ask(hangs_up, lambda frame: bool(frame[2] & _DISCONNECT))) is None:
        yield NO_ANSWER
        yield Finish(AWAY_SECONDS)
        return
    clock = yield from _asked(ASK_CLOCK, 0)
    if clock is not None and clock.message.startswith(_ANSWER) and len(clock.message) == len(_ANSWER) + 4:
        seconds = int.from_bytes(clock.message[len(_ANSWER) :], "little")
        yield from clock_measured(_EPOCH + timedelta(seconds=seconds), now())
    answer = yield from _asked(ASK_RECORD + RECORD_COUNT.to_bytes(2, "little"), 1)
    turn = 0
    count = answer is not None and answer.message.startswith(_COUNT) and int.from_bytes(answer.message[2:4], "little")
    complete = answer is not None
    for place in reversed(range(count or 0)):
        complete = (yield from _asked(ASK_RECORD + place.to_bytes(2, "little"), turn)) is not None
        turn ^= 1
        if not complete:
            break
    if not complete:
        yield Trouble("it stopped answering before all its records were read")
    yield Write(hangs_up)
    yield Finish(REST_SECONDS if complete else AWAY_SECONDS)


def _asked(message: bytes, turn: int) -> _Answered:
    """The answer, acknowledged. Asked again with the same sequence bit, a meter that has answered says the same."""

    def is_answer(frame: bytes) -> bool:
        return bool(LinkFrame.from_bytes(frame).message) and frame[2] & _SENT == turn

    frame = yield Ask(LinkFrame(message, turn * (_EXPECTED | _SENT)).to_bytes(), is_answer)
    if frame is None:
        return None
    yield Write(LinkFrame(b"", _ACKNOWLEDGE | (turn ^ 1) * (_EXPECTED | _SENT)).to_bytes())
    return LinkFrame.from_bytes(frame)


def framer() -> FrameStream:
    """One framer a connection."""
    return FrameStream(
        NAME,
        size_of=frame_size,
        problem_of=frame_problem,
        take=lambda frame: (LinkFrame.from_bytes(frame).decoded(),),
        quiet_bytes=200,
    )


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The answer with one record; without measurements, that there are none. Raises `EncodeError`."""
    first = shared(measurements, frozenset({Metric.GLUCOSE}))
    if first is None:
        return LinkFrame(_COUNT + bytes(2)).to_bytes()
    if first.device_time is None or first.device_user is not None or first.quality:
        raise EncodeError("a record holds a time, and neither user nor quality")
    number = number_of(measurements, Metric.GLUCOSE)
    if number is Special.POSITIVE_INFINITY:
        mg_dl = _HIGH
    elif number is Special.NEGATIVE_INFINITY:
        mg_dl = LOWEST_MG_DL - 1
    elif number is None or isinstance(number, Special) or number != int(number):
        raise EncodeError("a record holds a whole number")
    else:
        mg_dl = int(number)
    seconds = int((datetime.fromisoformat(first.device_time) - _EPOCH).total_seconds())
    return LinkFrame(_ANSWER + seconds.to_bytes(4, "little") + mg_dl.to_bytes(4, "little")).to_bytes()


PROFILE = SerialProfile(
    name=NAME,
    label="OneTouch UltraEasy glucose meter",
    line=LINE,
    framer=framer,
    encode=encode,
    silence_seconds=None,
    names=("onetouch", "ultraeasy", "ultramini", "lifescan binary"),
    converse=converse,
)

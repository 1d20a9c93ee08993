"""Bayer (Ascensia) Contour USB glucose meters: records of ASTM E1394 in frames of ASTM E1381.

A frame is 02, its number (0 to 7), text, 03 or 17 when more follows, the sum of all from the number on as two hex
digits, CR LF. The hub answers each with 06, or with 15 to have it again: a frame that comes with the number of the last
one is that one. A record ends with CR and may go on in the next frame. Bytes are the meter's, without the four with
which each USB report begins. A meter on USB does not know that somebody began to read it: one that says nothing is sent
04, whereupon it begins anew with its enquiry.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.asking import AWAY_SECONDS, REST_SECONDS, Ask, Now, Script, Scripted, clock_measured, sound_frames
from bedside_profiles.conversation import Conversation, Finish, Trouble, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, record_without_time, shared
from bedside_profiles.numbers import Number, Special, sum8
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.streams import NO_FRAME, FrameStream, Outcomes

NAME = "serial.bayer_contour"
LINE = LineSettings(baud=9600)
"""There is no line: the meter is a USB HID device, and whatever brings its reports sets no speed."""

ACKNOWLEDGE, ASK_AGAIN = b"\x06", b"\x15"
_WANTS_TO_SEND, HAS_SENT = b"\x05", b"\x04"
_BEGINS_WITHIN_SECONDS = 3.0
"""Less than the five seconds within which a device that was plugged in again is read."""
_BEGINNINGS = 20
"""As often as glucometerutils tries."""
_TRIES = 6
"""As often as the standard has a frame sent again."""

_START, _END, _END_OF_PART = 0x02, 0x03, 0x17
_CONTROL = b"\x04\x05\x06\x15"
_LONGEST_TEXT = 250
_TAIL = 5

LOWEST_MG_DL, HIGHEST_MG_DL = 20, 600
"""Until the heading tells others."""
_MG_DL_PER_MMOL_L = 18.016
_UNITS = {"mg/dL": 1.0, "mmol/L": _MG_DL_PER_MMOL_L}

_BOUNDS = re.compile(r"(?:^|\^)V=(\d{2})(\d{3})(?:\^|$)")
_NUMBER = re.compile(r"\d{1,4}(?:\.\d)?")
_ABOVE, _BELOW, _CONTROL_SOLUTION = ">", "<", "C"


@dataclass(frozen=True, slots=True)
class PartFrame:
    """One frame. `text` is the record or a part of it, its CR included."""

    number: int
    text: str
    more: bool

    @classmethod
    def from_bytes(cls, frame: bytes) -> "PartFrame":
        """Of a frame that `frame_problem` finds nothing wrong with. Raises `DecodeError`."""
        body = frame[2:-_TAIL]
        try:
            return cls(frame[1] - ord("0"), body.decode("ascii"), frame[-_TAIL] == _END_OF_PART)
        except UnicodeDecodeError as error:
            raise DecodeError(NAME, "a record with bytes that are no ASCII", frame) from error

    def to_bytes(self) -> bytes:
        """The frame."""
        checked = f"{self.number}{self.text}".encode() + bytes((_END_OF_PART if self.more else _END,))
        return bytes((_START,)) + checked + f"{sum8(checked):02X}\r\n".encode()


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """A record R: `value` as it stands there, in `unit`; `markers` are its letters (`>`, `<`, C, B, A, …)."""

    place: int
    value: str
    unit: str
    moment: datetime
    markers: tuple[str, ...] = ()
    analyte: str = "Glucose"
    reference: str = "P"

    def to_text(self) -> str:
        """The record, without its CR."""
        markers = "/".join(self.markers)
        moment = f"{self.moment:%Y%m%d%H%M}"
        return f"R|{self.place}|^^^{self.analyte}|{self.value}|{self.unit}^{self.reference}||{markers}||{moment}"

    def decoded(self, bounds: tuple[int, int]) -> Decoded:
        """What it says, to a meter that measures from the first to the second of `bounds`. Raises `DecodeError`."""
        facts = [Fact("device_clock", self.moment.isoformat())]
        if self.markers:
            facts.append(Fact("markers", self.markers))
        members = Members(Modality.SPOT, device_time=self.moment, record=record_without_time(self.moment))
        if self.analyte != "Glucose":
            return members.decoded(*facts, Fact("analyte", self.analyte), Fact("raw_value", self.value))
        if self.unit not in _UNITS or _NUMBER.fullmatch(self.value) is None:
            raise DecodeError(NAME, "a result without a number or in an unknown unit", self.to_text().encode())
        mg_dl = float(self.value) * _UNITS[self.unit]
        if _CONTROL_SOLUTION in self.markers:
            members.withhold(Metric.GLUCOSE, NoReading.INVALID)
        else:
            members.add(Metric.GLUCOSE, self._number(mg_dl, bounds))
        return members.decoded(*facts)

    def _number(self, mg_dl: float, bounds: tuple[int, int]) -> Number:
        lowest, highest = bounds
        if _ABOVE in self.markers or mg_dl > highest:
            return Special.POSITIVE_INFINITY
        if _BELOW in self.markers or 0 < mg_dl < lowest:
            return Special.NEGATIVE_INFINITY
        return mg_dl


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`. ENQ, EOT, ACK and NAK stand alone."""
    if data[0] in _CONTROL:
        return 1
    if data[0] != _START or (len(data) > 1 and data[1] not in b"01234567"):
        return NO_FRAME
    for at in range(2, min(len(data), _LONGEST_TEXT)):
        if data[at] in (_END, _END_OF_PART):
            return at + _TAIL
        if data[at] == _START:
            return NO_FRAME
    return NO_FRAME if len(data) >= _LONGEST_TEXT else None


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if len(frame) == 1:
        return None
    if frame[-2:] != b"\r\n":
        return "no end behind the frame"
    return None if f"{sum8(frame[1:-4]):02X}".encode() == frame[-4:-2] else "wrong sum of a frame"


class ContourFramer:
    """Finds frames, joins the parts of a record, and passes over a frame that came twice."""

    def __init__(self) -> None:
        self._bounds = (LOWEST_MG_DL, HIGHEST_MG_DL)
        self._last: int | None = None
        self._part = ""
        self._stream = FrameStream(
            NAME, size_of=frame_size, problem_of=frame_problem, take=self._take, broken=self._forget, quiet_bytes=500
        )

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        return self._stream.feed(data)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        if self._part:
            return DecodeError(NAME, "a record without its end", self._part.encode())
        return self._stream.rest()

    def _forget(self) -> None:
        """Something was lost: what was begun is not gone on with."""
        self._part = ""

    def _take(self, raw: bytes) -> Sequence[Decoded]:
        if len(raw) == 1:
            if raw[0] in b"\x04\x05":
                self._last, self._part = None, ""
            return ()
        frame = PartFrame.from_bytes(raw)
        if frame.number == self._last:
            return ()
        begun = self._part if self._last is not None and frame.number == (self._last + 1) % 8 else ""
        self._last, self._part = frame.number, ""
        text = begun + frame.text
        if not text.endswith("\r"):
            self._part = text[-_LONGEST_TEXT * 8 :]
            return ()
        decoded = self._record(text.rstrip("\r"))
        numbered = (Fact("frame_number", frame.number), Fact("more_follows", frame.more))
        return (Decoded(decoded.measurements, decoded.withheld, (*decoded.facts, *numbered)),)

    def _record(self, text: str) -> Decoded:
        fields = text.split("|")
        if fields[0] == "R":
            return _result(text, fields).decoded(self._bounds)
        if fields[0] == "H":
            return self._heading(text, fields)
        if fields[0] in ("P", "L", "O", "C", "Q", "M", "S"):
            return Decoded(facts=(Fact("record", fields[0]),))
        raise DecodeError(NAME, "a record of a kind that is not known", text.encode())

    def _heading(self, text: str, fields: Sequence[str]) -> Decoded:
        if len(fields) < 14 or fields[4].count("^") < 2:
            raise DecodeError(NAME, "a heading with too few fields", text.encode())
        model, versions, serial_number, *_ = fields[4].split("^")
        facts = [Fact("model", model), Fact("versions", versions), Fact("serial_number", serial_number)]
        if fields[6].isdecimal():
            facts.append(Fact("results", int(fields[6])))
        if (bounds := _BOUNDS.search(fields[5])) is not None:
            self._bounds = int(bounds[1]), int(bounds[2])
            facts.append(Fact("range_mg_dl", self._bounds))
        facts.append(Fact("device_clock", _moment(text, fields[13]).isoformat()))
        return Decoded(facts=tuple(facts))


def converse() -> Conversation:
    """Let the meter send, acknowledge each frame, and ask again for one that did not come whole, until it has no more.

    It keeps what it has sent.
    """
    return Scripted(sound_frames(NAME, frame_size, frame_problem), _script)


def _script(now: Now) -> Script:
    # One that was sending when the line was opened waits for the answer to its last frame.
    begins = Ask(
        b"",
        lambda frame: frame not in (ACKNOWLEDGE, ASK_AGAIN, HAS_SENT),
        _BEGINS_WITHIN_SECONDS,
        tries=_BEGINNINGS,
        again=HAS_SENT,
    )
    while (first := (yield begins)) is None:
        yield Trouble("it does not begin to send: is it switched on, and shows that it is connected?")
    if len(first) > 1 and (shown := _clock_in(first)) is not None:
        yield from clock_measured(shown, now())
    yield Write(ACKNOWLEDGE)
    while True:
        frame = yield Ask(b"", lambda frame: len(frame) > 1 or frame == HAS_SENT, tries=_TRIES, again=ASK_AGAIN)
        if frame is None:
            yield Trouble("it stopped before it had sent everything")
            yield Finish(AWAY_SECONDS)
            return
        if frame == HAS_SENT:
            yield Finish(REST_SECONDS)
            return
        if (shown := _clock_in(frame)) is not None:
            yield from clock_measured(shown, now())
        yield Write(ACKNOWLEDGE)


def _clock_in(frame: bytes) -> datetime | None:
    """Of the frame of a whole heading."""
    try:
        text = PartFrame.from_bytes(frame).text
        fields = text.rstrip("\r").split("|")
        return _moment(text, fields[13]) if fields[0] == "H" and len(fields) > 13 else None
    except DecodeError:
        return None


def _result(text: str, fields: Sequence[str]) -> ResultRecord:
    if len(fields) < 9 or not fields[1].isdecimal() or not fields[2].startswith("^^^"):
        raise DecodeError(NAME, "a result with too few fields", text.encode())
    unit, _, reference = fields[4].partition("^")
    markers = tuple([mark for mark in fields[6].split("/") if mark])
    moment = _moment(text, fields[8])
    return ResultRecord(int(fields[1]), fields[3], unit, moment, markers, fields[2][3:], reference)


def _moment(text: str, stamp: str) -> datetime:
    """Twelve digits, or fourteen with seconds."""
    if not stamp.isdecimal() or len(stamp) not in (12, 14):
        raise DecodeError(NAME, "a date of neither twelve nor fourteen digits", text.encode())
    try:
        return datetime.strptime(stamp.ljust(14, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - the device names no zone
    except ValueError as error:
        raise DecodeError(NAME, "a date there is not", text.encode()) from error


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The frame of one result; without measurements, that nothing more follows. Raises `EncodeError`."""
    first = shared(measurements, frozenset({Metric.GLUCOSE}))
    if first is None:
        return PartFrame(1, "L|1||N\r", more=False).to_bytes()
    if first.device_time is None or first.device_user is not None or first.quality:
        raise EncodeError("a record holds a time, and neither user nor quality")
    number = number_of(measurements, Metric.GLUCOSE)
    markers: tuple[str, ...] = ()
    if number is Special.POSITIVE_INFINITY:
        number, markers = float(HIGHEST_MG_DL + 1), (_ABOVE,)
    elif number is Special.NEGATIVE_INFINITY:
        number, markers = float(LOWEST_MG_DL - 1), (_BELOW,)
    if number is None or isinstance(number, Special) or number != int(number):
        raise EncodeError("a record holds a whole number")
    record = ResultRecord(1, str(int(number)), "mg/dL", datetime.fromisoformat(first.device_time), markers)
    return b"\x05" + PartFrame(1, record.to_text() + "\r", more=False).to_bytes()


_HID_IDS = frozenset(
    {
        "1a79:6002",  # Contour USB
        "1a79:6200",  # Contour Next Link
        "1a79:6210",  # Contour Next Link 2.4
        "1a79:6300",  # Contour Next Link, mmol/L
        "1a79:7350",  # Contour Next
        "1a79:7410",  # Contour Next USB
        "1a79:7800",  # Contour Next One, and Plus One
        "1a79:7900",  # Contour Next of Ascensia
    }
)
"""As tidepool-org/uploader names them in its driver manifest; glucometerutils knows the first."""

PROFILE = SerialProfile(
    name=NAME,
    label="Bayer Contour USB glucose meter",
    line=LINE,
    framer=ContourFramer,
    encode=encode,
    silence_seconds=None,
    names=("bayer", "contour", "ascensia", "astm"),
    converse=converse,
    hid_ids=_HID_IDS,
)

"""LifeScan OneTouch Ultra2 glucose meter: 9600 baud, 8N1, lines of text, each with the sum of its characters.

A dump is a heading (how many records, the meter's serial number, the unit of its display) and a line a record, newest
first. Records are in mg/dL, whatever the display shows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.asking import AWAY_SECONDS, NO_ANSWER, REST_SECONDS, Ask, Now, Script, Scripted, clock_measured
from bedside_profiles.conversation import Conversation, Finish, Trouble
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, record_without_time, shared
from bedside_profiles.numbers import Number, Special
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.streams import LineStream

NAME = "serial.onetouch_ultra2"
LINE = LineSettings(baud=9600)

ASK_RECORDS, ASK_CLOCK, ASK_SERIAL_NUMBER = b"\x11\rDMP\r", b"\x11\rDMF\r", b"\x11\rDM@\r"

_TRIES = 3

LOWEST_MG_DL, HIGHEST_MG_DL = 20, 600

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_WHEN = r'"([A-Z]{3})","(\d\d)/(\d\d)/(\d\d)","(\d\d):(\d\d):(\d\d)   "'
_CHECKED = re.compile(r"(.*) ([0-9A-F]{4})")
_RECORD = re.compile(rf'P {_WHEN},"([C ]) (\d{{3}}|HIGH|LOW)([? ])","([NBA])","(\d\d)", 00')
_HEADING = re.compile(r'P (\d{3}),"(\w{9})","(MG/DL|MMOL/L) *"')
_CLOCK = re.compile(rf"[FT] {_WHEN}")
_SERIAL_NUMBER = re.compile(r'@ "(\w{9})"')
_VERSION = re.compile(r"\?(.+)")

_MEALS = {"N": "none", "B": "before", "A": "after"}
_RANGE = {"HIGH": Special.POSITIVE_INFINITY, "LOW": Special.NEGATIVE_INFINITY}


@dataclass(frozen=True, slots=True)
class GlucoseRecord:
    """One stored result in mg/dL. `is_control` is a test with control solution, `is_damaged` the meter's own doubt."""

    mg_dl: Number
    moment: datetime
    is_control: bool = False
    is_damaged: bool = False
    meal: str = "N"
    comment: int = 0

    def to_text(self) -> str:
        """The line with its sum, without its end. Raises `EncodeError`."""
        value = next((word for word, special in _RANGE.items() if special is self.mg_dl), None)
        if value is None:
            if isinstance(self.mg_dl, Special) or not 0 <= self.mg_dl <= 999 or self.mg_dl != int(self.mg_dl):
                raise EncodeError("a record holds a whole number of at most 999 mg/dL")
            value = f"{int(self.mg_dl):03d}"
        when = self.moment
        return summed(
            f'P "{_DAYS[when.weekday()]}","{when:%m/%d/%y}","{when:%H:%M:%S}   ",'
            f'"{"C" if self.is_control else " "} {value}{"?" if self.is_damaged else " "}",'
            f'"{self.meal}","{self.comment:02d}", 00'
        )

    def decoded(self) -> Decoded:
        """What it says."""
        members = Members(Modality.SPOT, device_time=self.moment, record=record_without_time(self.moment))
        if self.is_control or self.is_damaged:
            members.withhold(Metric.GLUCOSE, NoReading.INVALID)
        elif not isinstance(self.mg_dl, Special) and self.mg_dl > HIGHEST_MG_DL:
            members.add(Metric.GLUCOSE, Special.POSITIVE_INFINITY)
        elif not isinstance(self.mg_dl, Special) and 0 < self.mg_dl < LOWEST_MG_DL:
            members.add(Metric.GLUCOSE, Special.NEGATIVE_INFINITY)
        else:
            members.add(Metric.GLUCOSE, self.mg_dl)
        return members.decoded(
            Fact("device_clock", self.moment.isoformat()),
            Fact("control_solution", self.is_control),
            Fact("meal", _MEALS[self.meal]),
            Fact("comment", self.comment),
        )


def summed(text: str) -> str:
    """The text with the sum of its characters behind it."""
    return f"{text} {sum(text.encode()) & 0xFFFF:04X}"


def read_line(line: str) -> Decoded:
    """What a line of the meter means. Raises `DecodeError`."""
    checked = _CHECKED.fullmatch(line)
    if checked is None:
        raise DecodeError(NAME, "a line without its sum", line.encode())
    text = checked[1]
    if summed(text) != line:
        raise DecodeError(NAME, "wrong sum of a line", line.encode())
    if (record := _RECORD.fullmatch(text)) is not None:
        *when, control, value, doubt, meal, comment = record.groups()
        return GlucoseRecord(
            _RANGE[value] if value in _RANGE else float(value),
            _moment(line, when),
            control == "C",
            doubt == "?",
            meal,
            int(comment),
        ).decoded()
    if (heading := _HEADING.fullmatch(text)) is not None:
        facts = (("results", int(heading[1])), ("serial_number", heading[2]), ("display_unit", heading[3]))
        return Decoded(facts=tuple([Fact(name, value) for name, value in facts]))
    if (clock := _CLOCK.fullmatch(text)) is not None:
        return Decoded(facts=(Fact("device_clock", _moment(line, clock.groups()).isoformat()),))
    if (serial_number := _SERIAL_NUMBER.fullmatch(text)) is not None:
        return Decoded(facts=(Fact("serial_number", serial_number[1]),))
    if (version := _VERSION.fullmatch(text)) is not None:
        return Decoded(facts=(Fact("version", version[1]),))
    raise DecodeError(NAME, "a line of a kind that is not known", line.encode())


def _moment(line: str, parts: Sequence[str]) -> datetime:
    _, month, day, year, *rest = parts
    hour, minute, second = (int(text) for text in rest)
    try:
        return datetime(2000 + int(year), int(month), int(day), hour, minute, second)  # noqa: DTZ001 - no zone
    except ValueError as error:
        raise DecodeError(NAME, "a date there is not", line.encode()) from error


def converse() -> Conversation:
    """Ask for the clock, then for all records; a dump of which a line is missing is asked for again."""
    return Scripted(_Lines(), _script)


class _Lines:
    """Finds the lines whose sum is right."""

    def __init__(self) -> None:
        self._found: list[bytes] = []
        self._stream = LineStream(NAME, take=self._take)

    def __call__(self, data: bytes) -> Sequence[bytes]:
        self._found = []
        self._stream.feed(data)
        return tuple(self._found)

    def _take(self, line: str) -> None:
        checked = _CHECKED.fullmatch(line)
        if checked is not None and summed(checked[1]) == line:
            self._found.append(checked[1].encode())


def _is_heading(line: bytes) -> bool:
    return _HEADING.fullmatch(line.decode()) is not None


def _is_record(line: bytes) -> bool:
    return _RECORD.fullmatch(line.decode()) is not None


def _clock_in(line: bytes) -> datetime | None:
    parts = _CLOCK.fullmatch(line.decode())
    try:
        return None if parts is None else _moment(line.decode(), parts.groups())
    except DecodeError:
        return None


def _script(now: Now) -> Script:
    clock = yield Ask(ASK_CLOCK, lambda line: _CLOCK.fullmatch(line.decode()) is not None)
    if clock is None:
        yield NO_ANSWER
        yield Finish(AWAY_SECONDS)
        return
    yield from clock_measured(_clock_in(clock), now())
    for _ in range(_TRIES):
        heading = yield Ask(ASK_RECORDS, _is_heading)
        parts = None if heading is None else _HEADING.fullmatch(heading.decode())
        if parts is None:
            break
        left = int(parts[1])
        while left and (yield Ask(b"", _is_record, tries=1)) is not None:
            left -= 1
        if not left:
            yield Finish(REST_SECONDS)
            return
    yield Trouble("it does not tell all the records that it has")
    yield Finish(AWAY_SECONDS)


def framer() -> LineStream:
    """One framer a connection."""
    return LineStream(NAME, take=read_line)


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The line of one record; without measurements, the heading of an empty dump. Raises `EncodeError`."""
    first = shared(measurements, frozenset({Metric.GLUCOSE}))
    if first is None:
        return summed('P 000,"SIMULATED","MG/DL "').encode() + b"\r\n"
    if first.device_time is None or first.device_user is not None or first.quality:
        raise EncodeError("a record holds a time, and neither user nor quality")
    mg_dl = number_of(measurements, Metric.GLUCOSE)
    record = GlucoseRecord(Special.NAN if mg_dl is None else mg_dl, datetime.fromisoformat(first.device_time))
    return record.to_text().encode() + b"\r\n"


PROFILE = SerialProfile(
    name=NAME,
    label="OneTouch Ultra2 glucose meter",
    line=LINE,
    framer=framer,
    encode=encode,
    silence_seconds=None,
    names=("onetouch", "ultra2"),
    converse=converse,
)

"""Nellcor oximeters N-560 and N-600 with their text output: 9600 baud, 8N1, a row each 2 seconds, headings between.

A row is the time, SpO2, pulse and pulse amplitude, a `*` behind a value that has its alarm, and codes for the state. It
carries no checksum, so that a value is the median of three rows in a row (see `streams.MedianOfNeighbours`), which also
passes over the first values after a search, when a pulse of 119 may become one of 92 within four seconds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, shared, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.streams import LineStream, MedianOfNeighbours, Outcomes

NAME = "serial.nellcor_ascii"
LINE = LineSettings(baud=9600)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not the locale's."""

_VALUE = r"\s+(\d{1,3}|---)(\*?)"
_ROW = re.compile(r"(\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d)" + _VALUE * 3 + r"((?:\s+[A-Z]{2})*)")
_HEADING = re.compile(r"N-\d{3}\w*\s+VERSION\b.*|TIME\s+%SpO2\s.*")

_SENSOR_OFF = frozenset({"SD", "SO"})
"""Disconnected; off."""
_NO_PULSE = frozenset({"LP", "LM"})
"""Loss of pulse; loss of pulse with motion."""
_QUALITY = (
    ("MO", Quality.MOTION),
    ("PS", Quality.QUESTIONABLE),
    ("ID", Quality.ARTIFACT),
    ("LB", Quality.LOW_BATTERY),
)

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Numbers are None where it has dashes; `state` are its codes, `alarms` the columns with a `*`."""

    moment: datetime
    spo2: int | None
    pulse_bpm: int | None
    amplitude: int | None
    state: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, line: str) -> "Row":
        """Raises `DecodeError`."""
        match = _ROW.fullmatch(line)
        if match is None:
            raise DecodeError(NAME, "no row of the text output", line.encode())
        day, month, year, hour, minute, second, *columns, state = match.groups()
        try:
            parts = (int(text) for text in (day, hour, minute, second))
            moment = _moment(2000 + int(year), _MONTHS.index(month) + 1, *parts)
        except ValueError as error:
            raise DecodeError(NAME, "a date there is not", line.encode()) from error
        spo2, pulse, amplitude = (None if text == "---" else int(text) for text in columns[::2])
        names = ("spo2", "pulse_rate", "amplitude")
        alarms = tuple([name for name, star in zip(names, columns[1::2], strict=True) if star])
        return cls(moment, spo2, pulse, amplitude, tuple(state.split()), alarms)

    def to_text(self) -> str:
        """The row, without its end."""
        when = self.moment
        text = f"{when.day:02d}-{_MONTHS[when.month - 1]}-{when.year % 100:02d} {when:%H:%M:%S}"
        for name, value, width in (
            ("spo2", self.spo2, 6),
            ("pulse_rate", self.pulse_bpm, 7),
            ("amplitude", self.amplitude, 7),
        ):
            text += f"{'---' if value is None else value:>{width}}" + ("*" if name in self.alarms else " ")
        return (text + "   " + " ".join(self.state)).rstrip()

    def decoded(self) -> Decoded:
        """What it says."""
        members = Members(
            Modality.CONTINUOUS,
            quality=[quality for code, quality in _QUALITY if code in self.state],
            device_time=self.moment,
        )
        for metric, value in ((Metric.SPO2, self.spo2), (Metric.PULSE_RATE, self.pulse_bpm)):
            if _SENSOR_OFF & set(self.state):
                members.withhold(metric, NoReading.SENSOR_OFF)
            elif _NO_PULSE & set(self.state):
                members.withhold(metric, NoReading.NOT_A_NUMBER)
            else:
                members.add(metric, Special.NAN if value is None else float(value))
        facts = [Fact("device_clock", self.moment.isoformat())]
        if self.state:
            facts.append(Fact("state", self.state))
        if self.alarms:
            facts.append(Fact("alarms", self.alarms))
        if self.amplitude is not None:
            facts.append(Fact("pulse_amplitude", self.amplitude))
        return members.decoded(*facts)


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime:
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone


class NellcorFramer:
    """Finds rows, passes over headings, and believes three rows in a row."""

    def __init__(self) -> None:
        self._believed = MedianOfNeighbours()
        self._lines = LineStream(NAME, take=_take, broken=self._believed.broken)

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        outcomes = self._lines.feed(data)
        found = (one if isinstance(one, DecodeError) else self._believed.take(one) for one in outcomes)
        return tuple([one for one in found if one is not None])

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        rest = self._lines.rest()
        return rest if isinstance(rest, Decoded) else self._believed.rest() or rest


def _take(line: str) -> Decoded | None:
    return None if _HEADING.fullmatch(line) else Row.from_text(line).decoded()


def encode(measurements: Sequence[Measurement]) -> bytes:
    """One row that says these measurements; without any, that the sensor is off. Raises `EncodeError`."""
    first = shared(measurements, _MEMBERS)
    if first is None:
        return Row(_moment(2010, 1, 1, 0, 0, 0), None, None, None, ("SO",)).to_text().encode() + b"\r\n"
    if first.device_time is None or first.device_user is not None:
        raise EncodeError("a row holds a time, and no user")
    codes = {quality: code for code, quality in _QUALITY}
    if not set(codes).issuperset(first.quality):
        raise EncodeError(f"a row holds none but {sorted(codes)}")
    row = Row(
        datetime.fromisoformat(first.device_time),
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PULSE_RATE),
        None,
        tuple([codes[quality] for quality in first.quality]),
    )
    return row.to_text().encode() + b"\r\n"


PROFILE = SerialProfile(
    name=NAME,
    label="Nellcor oximeter, text output",
    line=LINE,
    framer=NellcorFramer,
    encode=encode,
    silence_seconds=20.0,
    names=("nellcor", "n-560", "n-600"),
)

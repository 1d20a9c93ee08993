"""Masimo oximeters with the text output ASCII1 (Rad-8, Radical-5 and 7): 9600 baud, 8N1, one line a second.

The same line prints the trend when somebody asks for it at the device; such rows are old and tell their own time.
There is no checksum, so that a value is the median of three lines in a row (see `streams.MedianOfNeighbours`). The
display holds values after the sensor is off, and prints zeros before it has any: neither is a reading.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.streams import LineStream, MedianOfNeighbours, Outcomes

NAME = "serial.masimo_ascii"
LINE = LineSettings(baud=9600)

_NO_SENSOR, _DEFECTIVE, _LOW_PERFUSION, _SEARCHING = 0x001, 0x002, 0x004, 0x008
_INTERFERENCE, _OFF_PATIENT, _AMBIENT_LIGHT, _UNRECOGNIZED, _LOW_IQ, _SET = 0x010, 0x020, 0x040, 0x080, 0x400, 0x800
_SENSOR_OFF = _NO_SENSOR | _DEFECTIVE | _OFF_PATIENT | _UNRECOGNIZED

_QUALITY = (
    (_LOW_PERFUSION, _LOW_PERFUSION, Quality.WEAK_SIGNAL),
    (_INTERFERENCE | _AMBIENT_LIGHT, _INTERFERENCE, Quality.ARTIFACT),
    (_LOW_IQ, _LOW_IQ, Quality.QUESTIONABLE),
)

_LIVE = re.compile(
    r"(\d\d/\d\d/\d\d \d\d:\d\d:\d\d)(?: SN=(\w+))? SPO2=(\d{3}|-+)% BPM=(\d{3}|-+) PI=(\d\d\.\d\d|-+\.-+)%"
    r"((?: [A-Z][A-Z0-9]*=[-+]?[-\d]+(?:\.[-\d]+)?%?)*) ALARM=([0-9A-F]{1,8}) EXC=([0-9A-F]{1,8})"
)
_TREND = re.compile(
    r"(\d\d/\d\d/\d\d \d\d:\d\d:\d\d) SpO2=(\d{3}|-+) PR=(\d{3}|-+) PI=(\d\d\.\d\d|-+\.-+)"
    r" EXC=([0-9A-F]{1,8})(?::([\w, -]*))?"
)
_FURTHER = re.compile(r" ([A-Z][A-Z0-9]*)=(\S+)")

_MEMBERS = frozenset(
    {
        Metric.SPO2,
        Metric.PULSE_RATE,
        Metric.PERFUSION_INDEX,
        Metric.CARBOXYHAEMOGLOBIN,
        Metric.METHAEMOGLOBIN,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line. Numbers are None where the device prints dashes; `co_percent` and `met_percent` also without them.

    `exceptions` is the field EXC, `alarms` the field ALARM, both bit fields; a trend row has no alarms. `further` are
    the fields that are no measurement here (DESAT, PIDELTA, PVI), as they stand there.
    """

    moment: datetime
    spo2: int | None
    pulse_bpm: int | None
    perfusion_percent: float | None
    exceptions: int = _SET
    alarms: int | None = 0
    serial_number: str | None = None
    co_percent: float | None = None
    met_percent: float | None = None
    further: tuple[tuple[str, str], ...] = ()
    is_trend: bool = False

    @classmethod
    def from_text(cls, line: str) -> "Row":
        """Raises `DecodeError`."""
        live, trend = _LIVE.fullmatch(line), _TREND.fullmatch(line)
        if live is not None:
            moment, serial_number, spo2, pulse, perfusion, rest, alarms, exceptions = live.groups()
            fields = dict(_FURTHER.findall(rest))
            return cls(
                _moment(line, moment),
                _whole(spo2),
                _whole(pulse),
                _tenth(perfusion),
                int(exceptions, 16),
                int(alarms, 16),
                serial_number,
                _tenth(fields.pop("SPCO", "-")),
                _tenth(fields.pop("SPMET", "-")),
                tuple(fields.items()),
            )
        if trend is not None:
            moment, spo2, pulse, perfusion, exceptions, _ = trend.groups()
            return cls(
                _moment(line, moment),
                _whole(spo2),
                _whole(pulse),
                _tenth(perfusion),
                int(exceptions, 16),
                alarms=None,
                is_trend=True,
            )
        raise DecodeError(NAME, "neither a line of ASCII1 nor a trend row", line.encode())

    def to_text(self) -> str:
        """The line, without its end."""
        moment = self.moment.strftime("%m/%d/%y %H:%M:%S")
        spo2 = "---" if self.spo2 is None else f"{self.spo2:03d}"
        pulse = "---" if self.pulse_bpm is None else f"{self.pulse_bpm:03d}"
        perfusion = "--.--" if self.perfusion_percent is None else f"{self.perfusion_percent:05.2f}"
        if self.is_trend:
            return f"{moment} SpO2={spo2} PR={pulse} PI={perfusion} EXC={self.exceptions:03X}"
        serial_number = "" if self.serial_number is None else f" SN={self.serial_number}"
        co, met = ("--.-" if value is None else f"{value:04.1f}" for value in (self.co_percent, self.met_percent))
        further = "".join(f" {name}={value}" for name, value in self.further)
        return (
            f"{moment}{serial_number} SPO2={spo2}% BPM={pulse} PI={perfusion}% SPCO={co}% SPMET={met}%{further}"
            f" ALARM={self.alarms or 0:04X} EXC={self.exceptions:06X}"
        )

    def decoded(self) -> Decoded:
        """What it says."""
        members = Members(
            Modality.SPOT if self.is_trend else Modality.CONTINUOUS,
            quality=[quality for mask, _, quality in _QUALITY if self.exceptions & mask],
            device_time=self.moment,
        )
        reason = None
        if self.exceptions & _SENSOR_OFF:
            reason = NoReading.SENSOR_OFF
        elif self.exceptions & _SEARCHING:
            reason = NoReading.NOT_A_NUMBER
        elif self.spo2 == 0:
            reason = NoReading.ZERO
        for metric, value, is_always_told in (
            (Metric.SPO2, self.spo2, True),
            (Metric.PULSE_RATE, self.pulse_bpm, True),
            (Metric.PERFUSION_INDEX, self.perfusion_percent, True),
            (Metric.CARBOXYHAEMOGLOBIN, self.co_percent, False),
            (Metric.METHAEMOGLOBIN, self.met_percent, False),
        ):
            if value is None and not is_always_told:
                continue
            if reason is not None:
                members.withhold(metric, reason)
            else:
                number = Special.NAN if value is None else float(value)
                members.add(metric, number, living_is_never_zero=is_always_told)
        return members.decoded(*self._facts())

    def _facts(self) -> Sequence[Fact]:
        facts = [Fact("device_clock", self.moment.isoformat()), Fact("exception_bits", self.exceptions)]
        if self.alarms is not None:
            facts.append(Fact("alarm_bits", self.alarms))
        if self.serial_number is not None:
            facts.append(Fact("serial_number", self.serial_number))
        facts += [Fact(name.lower(), value) for name, value in self.further if any(sign.isdigit() for sign in value)]
        return facts


def _moment(line: str, text: str) -> datetime:
    month, day, year, hour, minute, second = (int(text[at : at + 2]) for at in range(0, len(text), 3))
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone
    except ValueError as error:
        raise DecodeError(NAME, "a date there is not", line.encode()) from error


def _whole(text: str) -> int | None:
    return None if "-" in text else int(text)


def _tenth(text: str) -> float | None:
    return None if "-" in text else float(text.rstrip("%"))


class MasimoFramer:
    """Finds lines, and believes three in a row."""

    def __init__(self) -> None:
        self._believed = MedianOfNeighbours()
        self._lines = LineStream(NAME, take=lambda line: Row.from_text(line).decoded(), broken=self._believed.broken)

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        outcomes = self._lines.feed(data)
        found = (one if isinstance(one, DecodeError) else self._believed.take(one) for one in outcomes)
        return tuple([one for one in found if one is not None])

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        rest = self._lines.rest()
        return rest if isinstance(rest, Decoded) else self._believed.rest() or rest


def encode(measurements: Sequence[Measurement]) -> bytes:
    """One line of ASCII1 that says these measurements; without any, that the sensor is off. Raises `EncodeError`."""
    first = shared(measurements, _MEMBERS)
    if first is None:
        row = Row(datetime(2010, 1, 1), None, None, None, _SET | _OFF_PATIENT)  # noqa: DTZ001
        return row.to_text().encode() + b"\r\n"
    if first.device_time is None or first.device_user is not None:
        raise EncodeError("a line holds a time, and no user")
    bits = {quality: bit for _, bit, quality in _QUALITY}
    if not set(bits).issuperset(first.quality):
        raise EncodeError(f"a line holds none but {sorted(bits)}")
    perfusion, co, met = (
        number_of(measurements, metric)
        for metric in (Metric.PERFUSION_INDEX, Metric.CARBOXYHAEMOGLOBIN, Metric.METHAEMOGLOBIN)
    )
    if isinstance(perfusion, Special) or isinstance(co, Special) or isinstance(met, Special):
        raise EncodeError("a line holds no infinities")
    row = Row(
        datetime.fromisoformat(first.device_time),
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PULSE_RATE),
        perfusion,
        _SET | sum(bits[quality] for quality in first.quality),
        co_percent=co,
        met_percent=met,
    )
    return row.to_text().encode() + b"\r\n"


PROFILE = SerialProfile(
    name=NAME,
    label="Masimo oximeter, text output ASCII1",
    line=LINE,
    framer=MasimoFramer,
    encode=encode,
    silence_seconds=10.0,
    names=("masimo", "rad-8", "radical", "ascii1"),
)

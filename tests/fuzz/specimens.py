"""What each serial profile is fuzzed with: measurements as its device sends them, and how well its format protects.

The guard says what may be done to the stream so that still nothing wrong may come out:

| guard | what protects a value | what is done |
|---|---|---|
| `protected` | a CRC, or a sum of each of 75 frames | up to four places, anywhere: bytes lost, turned, twice, added |
| `summed` | one sum over the frame | one bit turned, one run lost, a frame twice, noise; then a whole frame |
| `median` | the two or four frames beside it | as protected, with so many whole frames between two places |
| `second` | the other 59 packets of its second | as protected, a tenth of a second apart |
| `trusted` | the transport below | whole frames lost or twice, noise between them |

Two independent faults in one frame, or in two that touch, can cancel each other out in a sum, and then no reader can
tell: that is a limit of those formats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tests.fuzz.choices import Choices
from tests.fuzz.damage import LONGEST_PIECE

from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.profile import SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial import taidoc

Members = tuple[Measurement, ...]


class Guard(StrEnum):
    """See the module."""

    PROTECTED = "protected"
    SUMMED = "summed"
    MEDIAN = "median"
    SECOND = "second"
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True)
class Specimen:
    """`ranges` gives each member's lowest and highest value and its step; `frames` how many sets a case has.

    `longest_loss` is shorter than an answer where a set is two of them: a hub that hears no answer asks again.
    `in_a_row` is how many frames a median is made of.
    """

    profile: SerialProfile
    guard: Guard
    ranges: Mapping[Metric, tuple[int, int, float]]
    frames: int
    has_time: bool = False
    modality: Modality = Modality.CONTINUOUS
    longest_loss: int = LONGEST_PIECE
    in_a_row: int = 3

    @property
    def step(self) -> timedelta:
        """Between two sets: a stream tells each second, a meter's records lie minutes apart."""
        return timedelta(minutes=1) if self.modality is Modality.SPOT else timedelta(seconds=1)

    @property
    def window(self) -> int:
        """From how many sets in a row a value may stem, when so many were lost between as one place can lose."""
        if self.guard is Guard.MEDIAN:
            return self.in_a_row + -(-LONGEST_PIECE // len(self.profile.encode(())))
        return 2 if self.guard is Guard.SECOND else 1

    def spoken(self, choices: Choices) -> tuple[Members, ...]:
        """Sets as one patient has them: where neighbours guard a value, it walks; else it jumps."""
        walks = self.guard in (Guard.MEDIAN, Guard.SECOND)
        begin = {metric: low + choices.below(high - low) for metric, (low, high, _) in self.ranges.items()}
        moment = datetime(2020, 1, 1) + timedelta(minutes=choices.below(1_000_000))  # noqa: DTZ001 - a device's own
        found = []
        for place in range(self.frames):
            time = (moment + place * self.step).isoformat() if self.has_time else None
            members = []
            lowest = 0
            for metric, (low, high, step) in self.ranges.items():
                if metric in _RISING:
                    begin[metric] = lowest = max(low, lowest + 1) + choices.below(high - max(low, lowest + 1))
                elif walks:
                    begin[metric] = min(max(begin[metric] + choices.below(5) - 2, low), high)
                else:
                    begin[metric] = low + choices.below(high - low)
                value = round(begin[metric] * step, 2)
                members.append(Measurement(metric, value, self.modality, device_time=time))
            found.append(tuple(members))
        return tuple(found)

    def encode(self, members: Members) -> bytes:
        """The bytes of one set."""
        return self.profile.encode(members)

    def apart(self, frame_bytes: int) -> int | None:
        """How far damaged places lie apart: frames that agree never hold two damaged ones, whatever is added."""
        return {Guard.MEDIAN: (self.in_a_row + 1) * frame_bytes + LONGEST_PIECE, Guard.SECOND: frame_bytes // 10}.get(
            self.guard
        )


_RISING = (Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE, Metric.SYSTOLIC_PRESSURE)

_OXIMETRY = {Metric.SPO2: (70, 100, 1.0), Metric.PULSE_RATE: (30, 254, 1.0)}
_OXIMETRY_PI = {**_OXIMETRY, Metric.PERFUSION_INDEX: (10, 1999, 0.01)}
_GLUCOSE = {Metric.GLUCOSE: (20, 600, 1.0)}
_PULSE = {Metric.PULSE_RATE: (30, 220, 1.0)}
_PRESSURE = {Metric.DIASTOLIC_PRESSURE: (30, 200, 1.0), Metric.SYSTOLIC_PRESSURE: (60, 300, 1.0), **_PULSE}
_PRESSURE_MEAN = {
    Metric.DIASTOLIC_PRESSURE: (30, 200, 1.0),
    Metric.MEAN_PRESSURE: (40, 250, 1.0),
    Metric.SYSTOLIC_PRESSURE: (60, 300, 1.0),
    **_PULSE,
}


def _named(name: str) -> SerialProfile:
    profile = next(one for one in CATALOGUE if one.name == name)
    assert isinstance(profile, SerialProfile)
    return profile


def _median(
    name: str, ranges: Mapping[Metric, tuple[int, int, float]], *, has_time: bool, in_a_row: int = 3
) -> Specimen:
    return Specimen(_named(name), Guard.MEDIAN, ranges, 12, has_time, in_a_row=in_a_row)


def _second(name: str, ranges: Mapping[Metric, tuple[int, int, float]]) -> Specimen:
    return Specimen(_named(name), Guard.SECOND, ranges, 3)


def _spot(
    name: str,
    ranges: Mapping[Metric, tuple[int, int, float]],
    guard: Guard = Guard.SUMMED,
    *,
    has_time: bool = True,
    longest_loss: int = LONGEST_PIECE,
) -> Specimen:
    return Specimen(_named(name), guard, ranges, 5, has_time, Modality.SPOT, longest_loss)


SPECIMENS: Mapping[str, Specimen] = {
    one.profile.name: one
    for one in (
        _second("serial.nonin_df2", _OXIMETRY),
        _second("serial.nonin_df7", _OXIMETRY),
        _median("serial.nonin_df8", _OXIMETRY, has_time=False, in_a_row=5),
        _median("serial.nonin_df1", _OXIMETRY, has_time=False, in_a_row=5),
        _spot("serial.nonin_9560", _OXIMETRY),
        _second("serial.contec_cms50", _OXIMETRY_PI),
        _second("serial.contec_cms50_5_byte", _OXIMETRY),
        _second("serial.contec_cms50_5_byte_odd", _OXIMETRY),
        _second("serial.contec_cms50_5_byte_4800", _OXIMETRY),
        _median("serial.masimo_ascii", _OXIMETRY_PI, has_time=True),
        _median("serial.nellcor_ascii", _OXIMETRY, has_time=True),
        _spot("serial.onetouch_ultra2", _GLUCOSE),
        _spot("serial.onetouch_ultraeasy", _GLUCOSE, Guard.PROTECTED),
        _spot("serial.taidoc_glucose", _GLUCOSE, longest_loss=taidoc.FRAME_BYTES - 1),
        _spot("serial.taidoc_blood_pressure", _PRESSURE, longest_loss=taidoc.FRAME_BYTES - 1),
        _spot(
            "serial.taidoc_thermometer",
            {Metric.BODY_TEMPERATURE: (340, 430, 0.1)},
            longest_loss=taidoc.FRAME_BYTES - 1,
        ),
        _spot("serial.bayer_contour", _GLUCOSE),
        _spot("serial.suntech_nibp", _PRESSURE_MEAN, has_time=False),
        _spot("serial.phd_oximeter", _OXIMETRY, Guard.TRUSTED),
        _spot(
            "serial.phd_blood_pressure",
            _PRESSURE_MEAN,
            Guard.TRUSTED,
        ),
        _spot(
            "serial.phd_scale",
            {Metric.BODY_WEIGHT: (400, 1500, 0.1), Metric.BODY_MASS_INDEX: (150, 450, 0.1)},
            Guard.TRUSTED,
        ),
    )
}

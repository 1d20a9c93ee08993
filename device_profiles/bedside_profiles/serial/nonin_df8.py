"""Nonin oximeters in data formats 1 and 8 (Xpod, WristOx, Onyx II): 9600 baud, 8N1, one frame a second.

Format 1 is 3 bytes: status, pulse, SpO2. Format 8 adds a second status byte. The first byte alone has bit 7 set; there
is no checksum, so that a value is the median of five frames in a row (see `streams.MedianOfNeighbours`): of twelve
bytes of noise, two in a row look like frames too often for three.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, shared, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import Decoded, EncodeError, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.streams import NO_FRAME, FrameStream, MedianOfNeighbours, Outcomes

NAME = "serial.nonin_df8"
NAME_1 = "serial.nonin_df1"
LINE = LineSettings(baud=9600)

_BYTES, _BYTES_1 = 4, 3
_ALWAYS, _DISCONNECTED, _OUT_OF_TRACK, _LOW, _MARGINAL, _ARTIFACT = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
_ALARM, _LOW_BATTERY = 0x08, 0x01
_RATE_MISSING, _SATURATION_MISSING = 511, 127

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})

_QUALITY = (
    (_ARTIFACT, Quality.ARTIFACT),
    (_OUT_OF_TRACK, Quality.QUESTIONABLE),
    (_LOW, Quality.WEAK_SIGNAL),
)


@dataclass(frozen=True, slots=True)
class SecondRecord:
    """One frame. `spo2` in % and `rate_bpm` are None where the device has none; `status_2` is None in format 1."""

    spo2: int | None
    rate_bpm: int | None
    status: int = 0
    status_2: int | None = 0

    @classmethod
    def from_bytes(cls, frame: bytes) -> "SecondRecord":
        """Of a frame that `frame_problem` finds nothing wrong with."""
        rate = (frame[0] & 0x03) << 7 | frame[1]
        return cls(
            spo2=None if frame[2] == _SATURATION_MISSING else frame[2],
            rate_bpm=None if rate == _RATE_MISSING else rate,
            status=frame[0] & 0x7C,
            status_2=frame[3] if len(frame) == _BYTES else None,
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        spo2 = _SATURATION_MISSING if self.spo2 is None else self.spo2
        rate = _RATE_MISSING if self.rate_bpm is None else self.rate_bpm
        if not (0 <= spo2 <= _SATURATION_MISSING and 0 <= rate <= _RATE_MISSING):
            raise EncodeError("out of the format's range")
        frame = bytes((_ALWAYS | self.status | rate >> 7, rate & 0x7F, spo2))
        return frame if self.status_2 is None else frame + bytes((self.status_2,))

    def decoded(self) -> Decoded:
        """What it says. The display holds its last values for ten seconds after the finger is off: not believed."""
        status_2 = self.status_2 or 0
        quality = [name for bit, name in _QUALITY if self.status & bit]
        if status_2 & _LOW_BATTERY:
            quality.append(Quality.LOW_BATTERY)
        members = Members(Modality.CONTINUOUS, quality=quality)
        for metric, value in ((Metric.SPO2, self.spo2), (Metric.PULSE_RATE, self.rate_bpm)):
            if self.status & _DISCONNECTED or status_2 & _ALARM:
                members.withhold(metric, NoReading.SENSOR_OFF)
            else:
                members.add(metric, Special.NAN if value is None else float(value))
        return members.decoded()


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    return "bit 7 is set behind the first byte of a frame" if any(byte & _ALWAYS for byte in frame[1:]) else None


class Df8Framer:
    """Finds frames of 4 bytes, or of 3 in format 1, and believes five in a row."""

    def __init__(self, name: str = NAME, size: int = _BYTES) -> None:
        self._believed = MedianOfNeighbours(in_a_row=5)
        self._stream = FrameStream(
            name,
            size_of=lambda data: size if data[0] & _ALWAYS else NO_FRAME,
            problem_of=frame_problem,
            take=self._take,
            broken=self._believed.broken,
            quiet_bytes=10 * size,
        )

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        return self._stream.feed(data)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        return self._believed.rest() or self._stream.rest()

    def _take(self, frame: bytes) -> Sequence[Decoded]:
        believed = self._believed.take(SecondRecord.from_bytes(frame).decoded())
        return () if believed is None else (believed,)


def record_of(measurements: Sequence[Measurement], *, format_1: bool) -> SecondRecord:
    """The frame that says these measurements; without any, that the sensor is off. Raises `EncodeError`."""
    status_2 = None if format_1 else 0
    first = shared(measurements, _MEMBERS)
    if first is None:
        return SecondRecord(None, None, _DISCONNECTED, status_2)
    if first.device_time or first.device_user is not None:
        raise EncodeError("these formats hold neither time nor user")
    if status_2 is not None and Quality.LOW_BATTERY in first.quality:
        status_2 = _LOW_BATTERY
    holds = {name: bit for bit, name in _QUALITY}
    rest = [name for name in first.quality if name not in holds and not (name is Quality.LOW_BATTERY and status_2)]
    if rest:
        raise EncodeError(f"this frame does not hold {rest[0]}")
    return SecondRecord(
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PULSE_RATE),
        sum(holds.get(name, 0) for name in first.quality),
        status_2,
    )


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The 4 bytes of one second that say these measurements. Raises `EncodeError`."""
    return record_of(measurements, format_1=False).to_bytes()


def encode_1(measurements: Sequence[Measurement]) -> bytes:
    """As `encode`, in data format 1."""
    return record_of(measurements, format_1=True).to_bytes()


PROFILE = SerialProfile(
    name=NAME,
    label="Nonin oximeter, data format 8",
    line=LINE,
    framer=Df8Framer,
    encode=encode,
    silence_seconds=10.0,
    names=("nonin", "df8", "9560 df8", "data format 8", "format 8"),
)
PROFILE_1 = replace(
    PROFILE,
    name=NAME_1,
    label="Nonin oximeter, data format 1",
    framer=lambda: Df8Framer(NAME_1, _BYTES_1),
    encode=encode_1,
    names=("nonin", "df1", "data format 1", "format 1"),
)

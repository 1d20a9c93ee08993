"""Polar's measurement data service (PMD), beside the heart rate service of an H10: raw samples, as facts.

A frame is a type (0 ECG, 2 acceleration), the time of its last sample (8 bytes, ns since 2000-01-01 of a clock that
starts at 2019-01-01 until somebody sets it), a frame type, and samples, all little-endian: ECG type 0 has 3 signed
bytes of microvolt, 130 a second; acceleration types 0, 1 and 2 have three axes of 1, 2 or 3 signed bytes of milli-g.
Nobody is judged by them here: the heart rate of the strap comes over 0x180D. The electrocardiogram is a waveform.
The strap samples nothing until it is told to (Polar's "Online measurement" document, sections 4 and 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, EncodeError, Fact, Service
from bedside_profiles.waveforms import Segment, Signal

NAME = "bluetooth.polar_pmd"
SERVICE = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL_POINT = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

ECG, ACCELERATION = 0, 2
ECG_RATE_HZ = 130.0

START_ECG = bytes.fromhex("02000001820001010e00")
"""Start the electrocardiogram: 130 samples a second (setting 0) of 14 bits (setting 1)."""

STARTED, ALREADY_STARTED = 0, 6
"""The errors of an answer that are none."""

ANSWER_BYTES = 4
_HEADER_BYTES = 10
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - the device names no zone
_COMPRESSED = 0x80
_SAMPLE_BYTES = {(ECG, 0): 3, (ACCELERATION, 0): 1, (ACCELERATION, 1): 2, (ACCELERATION, 2): 3}
_AXES = {ECG: 1, ACCELERATION: 3}
_FACT_NAMES = {ECG: ("ecg_uv",), ACCELERATION: ("x_mg", "y_mg", "z_mg")}

ANSWER, _FEATURES = 0xF0, 0x0F
_COMMAND_NAMES = {0x01: "get settings", 0x02: "start", 0x03: "stop"}


@dataclass(frozen=True, slots=True)
class PmdFrame:
    """One frame: of each axis its samples, microvolt or milli-g. `timestamp_ns` counts from 2000-01-01."""

    measurement: int
    timestamp_ns: int
    frame_type: int
    axes: tuple[tuple[int, ...], ...]

    @classmethod
    def from_bytes(cls, payload: bytes) -> "PmdFrame":
        """Raises `DecodeError`."""
        if len(payload) < _HEADER_BYTES:
            raise DecodeError(NAME, f"a frame has at least {_HEADER_BYTES} bytes, not {len(payload)}", payload)
        measurement, frame_type, content = payload[0], payload[9], payload[_HEADER_BYTES:]
        if frame_type & _COMPRESSED:
            raise DecodeError(NAME, "compressed samples", payload)
        size = _SAMPLE_BYTES.get((measurement, frame_type))
        if size is None:
            raise DecodeError(NAME, f"no samples of the kind {measurement}, type {frame_type}", payload)
        count = _AXES[measurement]
        if not content or len(content) % (size * count):
            raise DecodeError(NAME, f"{len(content)} bytes are no whole samples", payload)
        samples = [
            int.from_bytes(content[at : at + size], "little", signed=True) for at in range(0, len(content), size)
        ]
        axes = tuple([tuple(samples[axis::count]) for axis in range(count)])
        return cls(measurement, int.from_bytes(payload[1:9], "little"), frame_type, axes)

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        size = _SAMPLE_BYTES.get((self.measurement, self.frame_type))
        if size is None:
            raise EncodeError("samples of no kind that is written here")
        try:
            head = bytes((self.measurement,)) + self.timestamp_ns.to_bytes(8, "little") + bytes((self.frame_type,))
            samples = (sample for together in zip(*self.axes, strict=True) for sample in together)
            return head + b"".join(sample.to_bytes(size, "little", signed=True) for sample in samples)
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error


def decode(characteristic: str, payload: bytes) -> Decoded:
    """A frame of samples, or what passes over the control point. Raises `DecodeError`."""
    if characteristic == CONTROL_POINT:
        return _control(payload)
    if characteristic != DATA:
        raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)
    frame = PmdFrame.from_bytes(payload)
    samples: Sequence[Fact] = [
        Fact(name, axis) for name, axis in zip(_FACT_NAMES[frame.measurement], frame.axes, strict=True)
    ]
    segments: tuple[Segment, ...] = ()
    if frame.measurement == ECG:
        segments = (Segment(Signal.ECG, ECG_RATE_HZ, frame.axes[0], _device_time(frame.timestamp_ns)),)
    return Decoded(facts=(Fact("timestamp_ns", frame.timestamp_ns), *samples), segments=segments)


def _device_time(timestamp_ns: int) -> str:
    """Eight bytes of nanoseconds end in the year 2584: every frame has a time."""
    return (_EPOCH + timedelta(microseconds=timestamp_ns // 1000)).isoformat(timespec="milliseconds")


def _control(payload: bytes) -> Decoded:
    if len(payload) >= ANSWER_BYTES and payload[0] == ANSWER:
        facts = (Fact("answer_to", payload[1]), Fact("measurement", payload[2]), Fact("error", payload[3]))
        return Decoded(facts=facts)
    if len(payload) >= 2 and payload[0] == _FEATURES:
        offered = tuple([bit for bit in range(8) if payload[1] >> bit & 1])
        return Decoded(facts=(Fact("measurements_offered", offered),))
    if len(payload) >= 2 and payload[0] in _COMMAND_NAMES:
        return Decoded(facts=(Fact("command", _COMMAND_NAMES[payload[0]]), Fact("measurement", payload[1])))
    raise DecodeError(NAME, "neither command nor answer", payload)


SERVICE_PROFILE = Service(NAME, "Polar measurement data", SERVICE, (DATA, CONTROL_POINT), decode)

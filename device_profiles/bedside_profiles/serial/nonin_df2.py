"""Nonin serial oximeters in data formats 2 and 7 (OEM III, Xpod and their kin): 9600 baud, 8N1, 75 frames a second.

A frame is 5 bytes: in format 2 01, status, pleth, data, sum of the four; in format 7 status, two bytes of pleth, data,
sum. 25 frames make a packet, whose place tells what each data byte means; three packets a second carry the same
quantities, and one measurement set a second comes out.

The sum of a frame is 8 bits wide and the place of a frame is only counted, so that a stream that lost just the wrong
bytes can still look whole. A set is therefore made of three packets in a row without a broken byte between them, and
its values are their medians, if they agree about as well as a living body does within a second: a rate of 127 and the
next of 128 beats that lost a packet's length between them would otherwise make one of 0 or of 255.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, shared, steps_of
from bedside_profiles.numbers import Special, median_low, sum8
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

NAME = "serial.nonin_df2"
NAME_7 = "serial.nonin_df7"
LINE = LineSettings(baud=9600)

FRAME_BYTES = 5
PACKET_FRAMES = 25
PACKETS_A_SET = 3
FRAMES_A_SECOND = PACKET_FRAMES * PACKETS_A_SET

_START = 0x01
_ALWAYS, _DISCONNECTED, _ARTIFACT, _OUT_OF_TRACK, _ALARM, _RED, _GREEN, _SYNC = (1 << bit for bit in range(7, -1, -1))
_LOW_BATTERY = 0x01

_RATE_MISSING = 511
_SATURATION_MISSING = 127

_RATE_HIGH, _RATE_LOW, _SATURATION, _REVISION, _STATUS_2 = 0, 1, 2, 3, 7
_SATURATIONS = (8, 9, 10, 15, 16)
"""Further averages of the saturation: for a display, over fewer and over more beats."""
_RATES = ((13, 14), (19, 20), (21, 22))

_DISPLAY_REVISION = 48
_NO_PACKET_BYTES = 2 * FRAMES_A_SECOND * FRAME_BYTES
"""Two seconds of bytes in which no packet began: the line speaks something else."""

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})

_WIDEST_SPREAD = {Metric.SPO2: 10, Metric.PULSE_RATE: 30}
"""How far averages over four beats may lie apart within one second; a second of a wilder jump is passed over."""


@dataclass(frozen=True, slots=True)
class Packet:
    """25 frames: averages over four beats, None where the device has none, and what the status bytes said.

    `sensor_off` is set while the display still shows the last good values, for up to ten seconds.
    """

    spo2: int | None
    rate_bpm: int | None
    sensor_off: bool = False
    artifact: bool = False
    out_of_track: bool = False
    weak_signal: bool = False
    low_battery: bool = False

    @classmethod
    def from_frames(cls, frames: Sequence[bytes]) -> "Packet":
        """Of 25 frames that `frame_problem` finds nothing wrong with."""
        data = [frame[3] for frame in frames]
        seen = 0
        weak = False
        for frame in frames:
            seen |= frame[1]
            # Red alone is a weak pulse, both together a fair one, green alone a good one.
            weak = weak or frame[1] & (_RED | _GREEN) == _RED
        rate = (data[_RATE_HIGH] & 0x03) << 7 | data[_RATE_LOW]
        return cls(
            spo2=None if data[_SATURATION] == _SATURATION_MISSING else data[_SATURATION],
            rate_bpm=None if rate == _RATE_MISSING else rate,
            sensor_off=bool(seen & (_ALARM | _DISCONNECTED)),
            artifact=bool(seen & _ARTIFACT),
            out_of_track=bool(seen & _OUT_OF_TRACK),
            weak_signal=weak,
            low_battery=bool(data[_STATUS_2] & _LOW_BATTERY),
        )

    def to_bytes(self, pleth: Sequence[int] = ()) -> bytes:
        """The packet's 125 bytes in format 2. `pleth` gives up to 25 samples of the pulse wave, 0 to 254."""
        spo2 = _SATURATION_MISSING if self.spo2 is None else self.spo2
        rate = _RATE_MISSING if self.rate_bpm is None else self.rate_bpm
        if not (0 <= spo2 <= _SATURATION_MISSING and 0 <= rate <= _RATE_MISSING):
            raise EncodeError("out of the format's range")
        data = [0] * PACKET_FRAMES
        for high, low in ((_RATE_HIGH, _RATE_LOW), *_RATES):
            data[high], data[low] = rate >> 7, rate & 0x7F
        for place in (_SATURATION, *_SATURATIONS):
            data[place] = spo2
        data[_REVISION] = _DISPLAY_REVISION
        data[_STATUS_2] = _LOW_BATTERY if self.low_battery else 0
        status = _ALWAYS | sum(
            bit
            for bit, is_set in (
                (_ALARM, self.sensor_off),
                (_ARTIFACT, self.artifact),
                (_OUT_OF_TRACK, self.out_of_track),
                (_RED, self.weak_signal),
            )
            if is_set
        )
        packet = bytearray()
        for place, datum in enumerate(data):
            sample = pleth[place] if place < len(pleth) else 1
            frame = bytes((_START, status | (_SYNC if place == 0 else 0), sample, datum))
            packet += frame + bytes((sum8(frame),))
        return bytes(packet)


def in_format_7(packets: bytes) -> bytes:
    """Packets of format 2, said in format 7: the same 8 bits of pleth stand at the top of its 16."""
    found = bytearray()
    for at in range(0, len(packets), FRAME_BYTES):
        _, status, sample, datum, _ = packets[at : at + FRAME_BYTES]
        frame = bytes((status, sample, 0, datum))
        found += frame + bytes((sum8(frame),))
    return bytes(found)


def in_format_2(frame: bytes) -> bytes:
    """A frame of format 7, with its status and data where format 2 has them; the pleth's low byte goes."""
    status, sample, _, datum, total = frame
    return bytes((_START, status, sample, datum, total))


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with these 5 bytes as a frame of format 2; None when nothing is."""
    return "a frame begins with 01" if frame[0] != _START else _problem(frame, frame[1])


def frame_problem_7(frame: bytes) -> str | None:
    """What is wrong with these 5 bytes as a frame of format 7; None when nothing is."""
    return _problem(frame, frame[0])


def _problem(frame: bytes, status: int) -> str | None:
    if not status & _ALWAYS:
        return "status bit 7 clear"
    if frame[3] & 0x80:
        return "data bit 7 set"
    if sum8(frame[:4]) != frame[4]:
        return "wrong sum of a frame"
    return None


class Df2Framer:
    """Finds sets in the stream. The rest of a packet that was under way when the line was opened is passed over."""

    def __init__(self, name: str = NAME, *, format_7: bool = False) -> None:
        self._name = name
        self._format_7 = format_7
        self._bytes = bytearray()
        self._frames: list[bytes] = []
        self._packets: list[Packet] = []
        self._in_step = False
        self._passed_over = 0

    def feed(self, data: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Framer`. One error for one break, and one for each two seconds without any packet."""
        self._bytes += data
        outcomes: list[Decoded | DecodeError] = []
        while len(self._bytes) >= FRAME_BYTES:
            frame = bytes(self._bytes[:FRAME_BYTES])
            problem = frame_problem_7(frame) if self._format_7 else frame_problem(frame)
            if problem is None:
                del self._bytes[:FRAME_BYTES]
                self._frame(in_format_2(frame) if self._format_7 else frame, outcomes)
            else:
                del self._bytes[:1]
                self._break(problem, frame, 1, outcomes)
        return tuple(outcomes)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`. Of a set that is not whole, what its whole packets say; else how many frames came."""
        if self._packets:
            return _set_of(self._packets)
        if self._bytes:
            return DecodeError(self._name, f"a frame cut off after {len(self._bytes)} bytes", bytes(self._bytes))
        return Decoded(facts=(Fact("frames", len(self._frames)),)) if self._frames else None

    def _frame(self, frame: bytes, outcomes: list[Decoded | DecodeError]) -> None:
        begins = bool(frame[1] & _SYNC)
        if begins and self._frames:
            self._break(f"a packet of {len(self._frames)} frames", frame, 0, outcomes)
        elif not begins and not self._frames:
            self._break("a packet of more than 25 frames", frame, FRAME_BYTES, outcomes)
            return
        self._in_step = True
        self._passed_over = 0
        self._frames.append(frame)
        if len(self._frames) < PACKET_FRAMES:
            return
        self._packets.append(Packet.from_frames(self._frames))
        self._frames.clear()
        if len(self._packets) == PACKETS_A_SET:
            outcomes.append(_set_of(self._packets))
            self._packets.clear()

    def _break(self, problem: str, frame: bytes, skipped: int, outcomes: list[Decoded | DecodeError]) -> None:
        """Everything since the last whole set is in doubt."""
        self._frames.clear()
        self._packets.clear()
        self._passed_over += skipped
        if self._in_step:
            self._in_step = False
            outcomes.append(DecodeError(self._name, problem, frame))
        elif self._passed_over >= _NO_PACKET_BYTES:
            self._passed_over = 0
            reason = "no packet for two seconds: another format or another speed?"
            outcomes.append(DecodeError(self._name, reason, frame))


def _set_of(packets: Sequence[Packet]) -> Decoded:
    """The measurement set of three packets in a row."""
    quality = []
    if any(packet.artifact for packet in packets):
        quality.append(Quality.ARTIFACT)
    if any(packet.out_of_track for packet in packets):
        quality.append(Quality.QUESTIONABLE)
    if any(packet.weak_signal for packet in packets):
        quality.append(Quality.WEAK_SIGNAL)
    if any(packet.low_battery for packet in packets):
        quality.append(Quality.LOW_BATTERY)
    members = Members(Modality.CONTINUOUS, quality=quality)
    off = any(packet.sensor_off for packet in packets)
    for metric, values in (
        (Metric.SPO2, [packet.spo2 for packet in packets]),
        (Metric.PULSE_RATE, [packet.rate_bpm for packet in packets]),
    ):
        numbers = [value for value in values if value is not None]
        if off:
            members.withhold(metric, NoReading.SENSOR_OFF)
        elif len(numbers) < len(values):
            members.add(metric, Special.NAN)
        elif max(numbers) - min(numbers) > _WIDEST_SPREAD[metric]:
            members.withhold(metric, NoReading.ARTIFACT)
        else:
            members.add(metric, float(median_low(numbers)))
    return members.decoded()


def packet_of(measurements: Sequence[Measurement]) -> Packet:
    """The packet that says these measurements; without any, it says that the sensor is off. Raises `EncodeError`."""
    first = shared(measurements, _MEMBERS)
    if first is None:
        return Packet(None, None, sensor_off=True)
    if first.device_time or first.device_user is not None:
        raise EncodeError("these formats hold neither time nor user")
    holds = {Quality.ARTIFACT, Quality.QUESTIONABLE, Quality.WEAK_SIGNAL, Quality.LOW_BATTERY}
    if not holds.issuperset(first.quality):
        raise EncodeError(f"this frame holds none but {sorted(holds)}")
    return Packet(
        steps_of(measurements, Metric.SPO2),
        steps_of(measurements, Metric.PULSE_RATE),
        artifact=Quality.ARTIFACT in first.quality,
        out_of_track=Quality.QUESTIONABLE in first.quality,
        weak_signal=Quality.WEAK_SIGNAL in first.quality,
        low_battery=Quality.LOW_BATTERY in first.quality,
    )


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The 375 bytes of one second that say these measurements. Raises `EncodeError`."""
    return packet_of(measurements).to_bytes() * PACKETS_A_SET


def encode_7(measurements: Sequence[Measurement]) -> bytes:
    """As `encode`, in data format 7."""
    return in_format_7(encode(measurements))


PROFILE = SerialProfile(
    name=NAME,
    label="Nonin oximeter, data format 2",
    line=LINE,
    framer=Df2Framer,
    encode=encode,
    silence_seconds=10.0,
    names=("nonin", "df2", "data format 2", "format 2"),
)
PROFILE_7 = replace(
    PROFILE,
    name=NAME_7,
    label="Nonin oximeter, data format 7",
    framer=lambda: Df2Framer(NAME_7, format_7=True),
    encode=encode_7,
    names=("nonin", "df7", "data format 7", "format 7"),
)

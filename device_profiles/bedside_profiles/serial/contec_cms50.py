"""Contec oximeters CMS50D+, E and F of version 7: 115200 baud, 8N1, frames of up to 9 bytes, 60 live ones a second.

The first byte is the kind of the frame and alone has bit 7 clear; the second holds the highest bits of those behind it,
which all have bit 7 set themselves. There is no checksum: nothing is made of a single live frame while others follow, a
set is a second of them, and its values are their medians. Stored pairs come without their time, and are believed as far
as the three of one frame agree. One turned bit makes a stored frame of a live one: so two of them in a row are needed,
three behind a break, and where anything was live, what looks stored is no measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bedside_profiles.asking import Ask, Now, Script, Scripted, pause, sound_frames
from bedside_profiles.conversation import Conversation, Trouble, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared, steps_of
from bedside_profiles.numbers import Special, median_low
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.streams import NO_FRAME, FrameStream, Outcomes

NAME = "serial.contec_cms50"
LINE = LineSettings(baud=115200)
FRAMES_A_SECOND = 60
KEEP_ALIVE_SECONDS = 4.0
"""The device stops after five."""

_LIVE, _MODEL, _STORED_WITH_PERFUSION, _FREE, _DISCONNECTS, _STORED, _COMMAND = 0x01, 0x02, 0x09, 0x0C, 0x0D, 0x0F, 0x7D
_SIZES = {_LIVE: 9, _MODEL: 9, _STORED_WITH_PERFUSION: 6, _FREE: 2, _DISCONNECTS: 3, _STORED: 8}

_PROBE_ERROR, _BEEP, _FALLING, _SEARCHING_LONG = 0x80, 0x40, 0x20, 0x10
_SEARCHING = 0x80
_NO_PERFUSION_BIT = 0x10
_NO_PULSE, _NO_SATURATION, _NO_PERFUSION = 0xFF, 0x7F, 0xFFFF

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})

_IN_A_ROW, _IN_A_ROW_AFTER_A_BREAK = 2, 3

_WIDEST_SPREAD = {Metric.SPO2: 5, Metric.PULSE_RATE: 15}
"""How far values may lie from the median of theirs: of a second of live frames, or of the three of a stored frame."""


class Command(IntEnum):
    """What a hub may ask. The command that deletes the memory is not among them, so that nobody can say it."""

    START_LIVE = 0xA1
    STOP_LIVE = 0xA2
    START_STORED = 0xA6
    STOP_STORED = 0xA7
    KEEP_ALIVE = 0xAF
    """Without it, each 5 seconds, the device stops."""


def packed(kind: int, data: bytes) -> bytes:
    """The frame of that kind with these bytes of 8 bits, at most 7."""
    high = 0x80 | sum((byte >> 7) << place for place, byte in enumerate(data))
    return bytes((kind, high)) + bytes(byte | 0x80 for byte in data)


def unpacked(frame: bytes) -> bytes:
    """The bytes of 8 bits behind the kind of a sound frame."""
    return bytes(byte & 0x7F | (frame[1] >> place & 1) << 7 for place, byte in enumerate(frame[2:]))


def command_frame(command: Command) -> bytes:
    """What a hub sends."""
    return packed(_COMMAND, bytes((command,))) + b"\x80" * 6


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """One live frame. `spo2` in %, `pulse_bpm` and `perfusion_percent` are None where the device has no result."""

    spo2: int | None
    pulse_bpm: int | None
    perfusion_percent: float | None = None
    wave: int = 0
    strength: int = 0
    bar: int = 0
    beep: bool = False
    probe_error: bool = False
    falling: bool = False
    searching: bool = False
    searching_long: bool = False

    @classmethod
    def from_bytes(cls, frame: bytes) -> "LiveFrame":
        """Of a frame that `frame_problem` finds nothing wrong with."""
        status, wave, bar, pulse, spo2, low, high = unpacked(frame)
        perfusion = low | high << 8
        has_perfusion = perfusion != _NO_PERFUSION and not bar & _NO_PERFUSION_BIT
        return cls(
            spo2=None if spo2 == _NO_SATURATION else spo2,
            pulse_bpm=None if pulse == _NO_PULSE else pulse,
            perfusion_percent=perfusion / 100 if has_perfusion else None,
            wave=wave & 0x7F,
            strength=status & 0x0F,
            bar=bar & 0x0F,
            beep=bool(status & _BEEP),
            probe_error=bool(status & _PROBE_ERROR),
            falling=bool(status & _FALLING),
            searching=bool(wave & _SEARCHING),
            searching_long=bool(status & _SEARCHING_LONG),
        )

    def to_bytes(self) -> bytes:
        """The frame's 9 bytes. Raises `EncodeError`."""
        spo2 = _NO_SATURATION if self.spo2 is None else self.spo2
        pulse = _NO_PULSE if self.pulse_bpm is None else self.pulse_bpm
        perfusion = _NO_PERFUSION if self.perfusion_percent is None else round(self.perfusion_percent * 100)
        if not (0 <= spo2 <= 0xFF and 0 <= pulse <= 0xFF and 0 <= perfusion <= _NO_PERFUSION and 0 <= self.wave < 0x80):
            raise EncodeError("out of the frame's range")
        if not (0 <= self.strength <= 0x0F and 0 <= self.bar <= 0x0F):
            raise EncodeError("strength and bar graph have four bits")
        status = self.strength | (_BEEP * self.beep) | (_PROBE_ERROR * self.probe_error) | (_FALLING * self.falling)
        status |= _SEARCHING_LONG * self.searching_long
        bar = self.bar | (_NO_PERFUSION_BIT if self.perfusion_percent is None else 0)
        wave = self.wave | (_SEARCHING * self.searching)
        return packed(_LIVE, bytes((status, wave, bar, pulse, spo2, perfusion & 0xFF, perfusion >> 8)))


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`."""
    return _SIZES.get(data[0], NO_FRAME)


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if any(byte < 0x80 for byte in frame[1:]):
        return "a frame cut off: bit 7 is clear behind its first byte"
    return None


class Cms50Framer:
    """Finds a set in each second of live frames, and each stored pair."""

    def __init__(self) -> None:
        self._frames: list[LiveFrame] = []
        self._stored: list[Sequence[Decoded]] = []
        self._wanted = _IN_A_ROW
        self._is_live = False
        self._stream = FrameStream(
            NAME, size_of=frame_size, problem_of=frame_problem, take=self._take, broken=self._broken
        )

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        return self._stream.feed(data)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`: what a second says that is not whole, or a memory of a single frame."""
        if self._frames:
            return set_of(self._frames)
        cut_off = self._stream.rest()
        if cut_off is None and self._stored and self._wanted == _IN_A_ROW:
            (pairs,) = self._stored
            return Decoded(
                tuple([one for pair in pairs for one in pair.measurements]),
                tuple([one for pair in pairs for one in pair.withheld]),
            )
        return cut_off

    def _take(self, frame: bytes) -> Sequence[Decoded]:
        kind = frame[0]
        if kind == _LIVE:
            return self._live(LiveFrame.from_bytes(frame))
        data = unpacked(frame)
        if kind == _STORED:
            return self._believed(stored(tuple([(data[at], data[at + 1], None) for at in (0, 2, 4)])))
        if kind == _STORED_WITH_PERFUSION:
            return self._believed(stored(((data[0], data[1], data[2] | data[3] << 8),)))
        if kind == _MODEL:
            return (Decoded(facts=(Fact("model", _text(frame, data[1:])),)),)
        return (Decoded(facts=(Fact("answer", "free" if kind == _FREE else "disconnects"),)),)

    def _live(self, frame: LiveFrame) -> Sequence[Decoded]:
        self._is_live = True
        self._stored.clear()
        self._frames.append(frame)
        if len(self._frames) < FRAMES_A_SECOND:
            return ()
        found = set_of(self._frames)
        self._frames.clear()
        return (found,)

    def _broken(self) -> None:
        self._stored.clear()
        self._wanted = _IN_A_ROW_AFTER_A_BREAK

    def _believed(self, pairs: Sequence[Decoded]) -> Sequence[Decoded]:
        if self._is_live:
            return ()
        self._stored.append(pairs)
        if len(self._stored) < self._wanted:
            return ()
        self._wanted = 1
        believed = [pair for pairs in self._stored for pair in pairs]
        self._stored.clear()
        return believed


def set_of(frames: Sequence[LiveFrame]) -> Decoded:
    """The measurement set of about a second of live frames; one that says "off" speaks for all of them."""
    reason = None
    if any(frame.probe_error for frame in frames):
        reason = NoReading.SENSOR_OFF
    elif any(frame.searching or frame.searching_long for frame in frames):
        reason = NoReading.NOT_A_NUMBER
    members = Members(Modality.CONTINUOUS)
    for metric, values in (
        (Metric.SPO2, [frame.spo2 for frame in frames]),
        (Metric.PULSE_RATE, [frame.pulse_bpm for frame in frames]),
        (Metric.PERFUSION_INDEX, [frame.perfusion_percent for frame in frames]),
    ):
        numbers = [value for value in values if value is not None]
        if reason is not None:
            members.withhold(metric, reason)
        elif len(numbers) < len(values):
            members.add(metric, Special.NAN)
        elif metric in _WIDEST_SPREAD and _far_apart(metric, numbers):
            members.withhold(metric, NoReading.ARTIFACT)
        else:
            members.add(metric, float(median_low(numbers)))
    return members.decoded(
        Fact("signal_strength", median_low(frame.strength for frame in frames)),
        Fact("pulse_wave", tuple([frame.wave for frame in frames])),
    )


def _far_apart(metric: Metric, numbers: Sequence[float]) -> bool:
    """A tenth of a second's frames may be damaged, or show the step to the next value."""
    middle = median_low(numbers)
    return sum(abs(number - middle) > _WIDEST_SPREAD[metric] for number in numbers) * 10 > len(numbers)


def stored(rows: Sequence[tuple[int, int, int | None]]) -> tuple[Decoded, ...]:
    """Stored SpO2, pulse and perfusion in hundredths, one set a row. All zero is padding; when they were is unknown."""
    middle = {
        Metric.SPO2: median_low(row[0] for row in rows),
        Metric.PULSE_RATE: median_low(row[1] for row in rows),
    }
    found = []
    for spo2, pulse, perfusion in rows:
        members = Members(Modality.SPOT, quality=(Quality.DEVICE_CLOCK_UNSET,))
        for metric, value, missing in (
            (Metric.SPO2, spo2, _NO_SATURATION),
            (Metric.PULSE_RATE, pulse, _NO_PULSE),
        ):
            if value == missing:
                members.add(metric, Special.NAN)
            elif value and abs(value - middle[metric]) > _WIDEST_SPREAD[metric]:
                members.withhold(metric, NoReading.ARTIFACT)
            else:
                members.add(metric, value)
        if perfusion is not None:
            members.add(Metric.PERFUSION_INDEX, Special.NAN if perfusion == _NO_PERFUSION else perfusion / 100)
        found.append(members.decoded())
    return tuple(found)


def _text(frame: bytes, data: bytes) -> str:
    text = data.rstrip(b"\x00 ")
    if not text.isascii() or not text.decode("ascii").isprintable():
        raise DecodeError(NAME, "a model whose name is no text", frame)
    return text.decode("ascii")


def converse() -> Conversation:
    """Have the device begin to tell live values, and keep it at that.

    Its memory is not asked for: what is stored comes without a time, and could only be told as taken now.
    """
    return Scripted(sound_frames(NAME, frame_size, frame_problem), _script)


def _script(_now: Now) -> Script:
    if (yield Ask(command_frame(Command.START_LIVE), lambda frame: frame[0] == _LIVE)) is None:
        yield Trouble("it does not begin to tell live values: is it switched on, with a finger in it?")
    while True:
        yield pause(KEEP_ALIVE_SECONDS)
        yield Write(command_frame(Command.KEEP_ALIVE))


def decode_command(frame: bytes) -> Decoded:
    """What a hub's frame asks for. Raises `DecodeError`."""
    if len(frame) != 9 or frame[0] != _COMMAND or frame_problem(frame) is not None:
        raise DecodeError(NAME, "a command is 7D and 8 bytes with bit 7 set", frame)
    code = unpacked(frame)[0]
    known = (Fact("command_name", Command(code).name.lower()),) if code in tuple(Command) else ()
    return Decoded(facts=(Fact("command", code), *known))


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The 60 frames of one second that say these measurements; without any, that no finger is there."""
    first = shared(measurements, _MEMBERS)
    if first is None:
        return LiveFrame(0, 0, probe_error=True).to_bytes() * FRAMES_A_SECOND
    if first.device_time or first.device_user is not None or first.quality:
        raise EncodeError("a live frame holds neither time, user nor quality")
    spo2, pulse = (steps_of(measurements, metric) for metric in (Metric.SPO2, Metric.PULSE_RATE))
    perfusion = number_of(measurements, Metric.PERFUSION_INDEX)
    if isinstance(perfusion, Special):
        raise EncodeError("a live frame holds no infinities")
    return LiveFrame(spo2, pulse, perfusion, strength=5).to_bytes() * FRAMES_A_SECOND


PROFILE = SerialProfile(
    name=NAME,
    label="Contec CMS50 oximeter, version 7",
    line=LINE,
    framer=Cms50Framer,
    encode=encode,
    silence_seconds=10.0,
    names=("contec", "cms50", "50d", "50e", "50f", "v7", "9-byte"),
    decode_command=decode_command,
    converse=converse,
)

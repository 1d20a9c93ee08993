"""Sanitas SBF70/SBF75 and Beurer BF710 scales: frames on FFE1 that begin with E7, numbers big-endian.

`E7 58 on weight16` comes again and again while somebody stands on the scale (50 g a step; `on` is 0 when it is empty),
and the first one may be left over from before: a weight counts when three in a row agree. `E7 59 count part ..` then
spells what the scale made of it, in parts: from part 2 on, joined, they are the time (Unix seconds), weight (50 g),
impedance (Ohm), fat, water, muscle (0.1 %), a number of the bones, and 0.1 of the body mass index at the end. Zeros
there mean that the scale does not know the person.

The scale goes on only if each frame is answered (`acknowledgement`). BF700 and BF800 begin with F7 and put the weight
elsewhere: they are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bedside_profiles.conversation import Conversation, Known, Moment, Read, Step, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener, Framing
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    NoReading,
    Transfer,
    sig_uuid,
)
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.sanitas_sbf70"
SERVICE = sig_uuid(0xFFE0)
STREAM = sig_uuid(0xFFE1)

_MARK, _OTHER_DIALECT = 0xE7, 0xF7
_WEIGHT, _COMPOSITION, _ACKNOWLEDGEMENT = 0x58, 0x59, 0xF1
_STEPS_PER_KG = 20
_AGREEING = 3
_AGREE_WITHIN_STEPS = 6
"""0.3 kg: how far three weights in a row may lie apart."""
_PART_BYTES = 15
_FIRST_PART_BYTES = 13
_COMPOSITION_BYTES = 22

_MEMBERS = frozenset({Metric.BODY_WEIGHT})


@dataclass(frozen=True, slots=True)
class WeightRecord:
    """One frame of weight, in steps of 50 g; `on` tells whether somebody stands on the scale."""

    on: bool
    steps: int

    @classmethod
    def from_bytes(cls, frame: bytes) -> "WeightRecord":
        """Raises `DecodeError`."""
        if frame[2] > 1:
            raise DecodeError(NAME, f"neither on the scale nor off it: {frame[2]}", frame)
        return cls(bool(frame[2]), int.from_bytes(frame[3:5], "big"))

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        try:
            return bytes((_MARK, _WEIGHT, self.on)) + self.steps.to_bytes(2, "big")
        except OverflowError as error:
            raise EncodeError(str(error)) from error


def acknowledgement(frame: bytes) -> bytes:
    """What the hub answers to a frame of the scale: until then it says the same again."""
    return bytes((_MARK, _ACKNOWLEDGEMENT)) + frame[1:4]


def _size(head: bytes) -> int | None:
    if len(head) < 2:
        return None
    if head[1] in {_WEIGHT, _ACKNOWLEDGEMENT}:
        return 5
    if head[1] != _COMPOSITION:
        raise DecodeError(NAME, f"no frame of the kind {head[1]:02x}", head)
    if len(head) < 4:
        return None
    return _FIRST_PART_BYTES if head[3] == 1 else _PART_BYTES


class SanitasListener(FrameListener):
    """Waits until three weights in a row agree, and joins the parts of a composition."""

    def __init__(self) -> None:
        super().__init__(Framing(NAME, bytes((_MARK,)), _size, lambda _frame: None, self._decode), STREAM)
        self._weights: list[int] = []
        self._told: int | None = None
        self._parts: list[bytes] = []

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        if characteristic == STREAM and self.idle and payload[:1] == bytes((_OTHER_DIALECT,)):
            return (DecodeError(NAME, "the dialect of BF700 and BF800, whose weight stands elsewhere", payload),)
        return super().feed(characteristic, payload)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`. A weight that nothing more came to confirm; none where others contradict it."""
        if self._weights and self._told is None and self._agree():
            return _weight(self._weights[-1])
        return super().rest()

    def _decode(self, frame: bytes) -> tuple[Decoded, ...]:
        if frame[1] == _ACKNOWLEDGEMENT:
            return (Decoded(facts=(Fact("acknowledged", frame[2:].hex()),)),)
        if frame[1] == _WEIGHT:
            return self._weigh(WeightRecord.from_bytes(frame))
        return self._compose(frame)

    def _weigh(self, record: WeightRecord) -> tuple[Decoded, ...]:
        if not record.on or record.steps == 0:
            self._weights.clear()
            self._told = None
            members = Members(Modality.SPOT)
            members.withhold(Metric.BODY_WEIGHT, NoReading.ZERO if record.steps == 0 else NoReading.SENSOR_OFF)
            return (members.decoded(),)
        self._weights = [*self._weights, record.steps][-_AGREEING:]
        if not self._agree():
            self._told = None
            return ()
        if len(self._weights) < _AGREEING or self._told is not None:
            return ()
        self._told = record.steps
        return (_weight(record.steps),)

    def _agree(self) -> bool:
        return max(self._weights) - min(self._weights) <= _AGREE_WITHIN_STEPS

    def _compose(self, frame: bytes) -> tuple[Decoded, ...]:
        count, part = frame[2], frame[3]
        if part == 1:
            self._parts.clear()
            return (Decoded(facts=(Fact("part", part),)),)
        if part != len(self._parts) + 2 or part > count:
            self._parts.clear()
            raise DecodeError(NAME, f"part {part} of {count} out of turn", frame)
        self._parts.append(frame[4:])
        if part < count:
            return (Decoded(facts=(Fact("part", part),)),)
        joined = b"".join(self._parts)
        self._parts.clear()
        if len(joined) != _COMPOSITION_BYTES:
            raise DecodeError(NAME, f"a composition of {len(joined)} bytes", frame)
        return (_composition(joined),)


def _weight(steps: int) -> Decoded:
    members = Members(Modality.SPOT)
    members.add(Metric.BODY_WEIGHT, steps / _STEPS_PER_KG)
    return members.decoded(Fact("stable", True))


def _composition(joined: bytes) -> Decoded:
    seconds = int.from_bytes(joined[:4], "big")
    weight, impedance, fat, water, muscle = (int.from_bytes(joined[at : at + 2], "big") for at in range(4, 14, 2))
    members = Members(
        Modality.SPOT,
        # The scale counts seconds of its own wall time; no zone is meant by it.
        device_time=datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None),
    )
    if impedance == 0:
        for metric in (Metric.IMPEDANCE, Metric.BODY_FAT, Metric.MUSCLE_SHARE, Metric.BODY_MASS_INDEX):
            members.withhold(metric, NoReading.ZERO)
        return members.decoded()
    members.add(Metric.BODY_WEIGHT, weight / _STEPS_PER_KG)
    members.add(Metric.IMPEDANCE, float(impedance))
    members.add(Metric.BODY_FAT, fat / 10)
    members.add(Metric.MUSCLE_SHARE, muscle / 10)
    members.add(Metric.BODY_MASS_INDEX, int.from_bytes(joined[20:22], "big") / 10)
    return members.decoded(
        Fact("body_water_percent", water / 10), Fact("basal_metabolism_kcal", int.from_bytes(joined[16:18], "big"))
    )


class SanitasConversation:
    """Answers each frame; see `Conversation`."""

    wakes_at_seconds = None

    def __init__(self) -> None:
        self._frames = FrameListener(Framing(NAME, bytes((_MARK,)), _size, lambda _frame: None, self._take), STREAM)
        self._heard: list[bytes] = []

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`: the scale speaks first."""
        return ()

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._frames.feed(characteristic, payload)
        heard, self._heard = self._heard, []
        return [Write(acknowledgement(frame), STREAM) for frame in heard]

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`: it says the same again."""
        return ()

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`: never."""
        return ()

    def _take(self, frame: bytes) -> tuple[Decoded, ...]:
        if frame[1] != _ACKNOWLEDGEMENT:
            self._heard.append(frame)
        return ()


def converse(_known: Known) -> Conversation:
    """Answers each frame, or the scale does not go on."""
    return SanitasConversation()


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """Three frames in a row that say this weight; without one, a frame of the empty scale."""
    if characteristic != STREAM:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    if holding(measurements, _MEMBERS) is None:
        return WeightRecord(on=False, steps=0).to_bytes()
    return WeightRecord(True, steps_of(measurements, Metric.BODY_WEIGHT, _STEPS_PER_KG) or 0).to_bytes() * _AGREEING


PROFILE = BleProfile(
    name=NAME,
    label="Sanitas SBF70 or Beurer BF710 scale",
    service_uuid=SERVICE,
    characteristics=(Characteristic(STREAM, Transfer.NOTIFY, required=True),),
    listen=SanitasListener,
    encode=encode,
    silence_seconds=None,
    names=("sanitas", "sbf70", "sbf75", "bf710", "beurer"),
    converse=converse,
)

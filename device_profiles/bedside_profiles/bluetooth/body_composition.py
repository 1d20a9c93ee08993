"""Body composition scales with the Bluetooth SIG Body Composition service (0x181B): frames of 2A9C.

What a scale calculates from the impedance means nothing when the impedance was not measured: somebody stood on it in
socks. Such a frame says so with body fat FFFF, or it is a stub whose body fat is zero and which may still hold a
plausible basal metabolism.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntFlag

from bedside_profiles.cursor import Cursor
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Number, Special, encode_date_time
from bedside_profiles.profile import Decoded, EncodeError, Fact, NoReading, sig_uuid
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.body_composition"
SERVICE = sig_uuid(0x181B)
MEASUREMENT = sig_uuid(0x2A9C)

_IMPERIAL, _TIMESTAMP, _USER, _SEVERAL_PACKETS, _RESERVED = 0x0001, 0x0002, 0x0004, 0x1000, 0xE000
_UNSUCCESSFUL = 0xFFFF
UNKNOWN_USER = 0xFF

_KG_PER_LB = 0.45359237
_CM_PER_INCH = 2.54


class Amount(IntFlag):
    """What a frame may hold beside body fat, by the flag that announces it, in the order of the bytes."""

    BASAL_METABOLISM = 0x0008
    MUSCLE_SHARE = 0x0010
    MUSCLE_MASS = 0x0020
    FAT_FREE_MASS = 0x0040
    SOFT_LEAN_MASS = 0x0080
    BODY_WATER = 0x0100
    IMPEDANCE = 0x0200
    WEIGHT = 0x0400
    HEIGHT = 0x0800


_METRICS = {
    Amount.BASAL_METABOLISM: Metric.BASAL_METABOLISM,
    Amount.MUSCLE_SHARE: Metric.MUSCLE_SHARE,
    Amount.SOFT_LEAN_MASS: Metric.SOFT_LEAN_MASS,
    Amount.BODY_WATER: Metric.BODY_WATER,
    Amount.IMPEDANCE: Metric.IMPEDANCE,
    Amount.WEIGHT: Metric.BODY_WEIGHT,
    Amount.HEIGHT: Metric.BODY_HEIGHT,
}
_FACTS = {Amount.MUSCLE_MASS: "muscle_mass_kg", Amount.FAT_FREE_MASS: "fat_free_mass_kg"}
_MEASURED_DIRECTLY = frozenset({Amount.WEIGHT, Amount.HEIGHT})
"""Known without an impedance."""

_MEMBERS = frozenset({Metric.BODY_FAT, *_METRICS.values()})


def mass_kg(raw: int, imperial: bool, *, coarser: int = 1) -> Number:
    """A mass of 16 bits: steps of 0.005 kg or 0.01 lb, or `coarser` times as much; FFFF is no result."""
    if raw == _UNSUCCESSFUL:
        return Special.NAN
    return raw * coarser / 100 * _KG_PER_LB if imperial else raw * coarser * 5 / 1000


def height_cm(raw: int, imperial: bool) -> Number:
    """A height of 16 bits: steps of 0.001 m or 0.1 inch; FFFF is no result."""
    if raw == _UNSUCCESSFUL:
        return Special.NAN
    return raw / 10 * _CM_PER_INCH if imperial else raw / 10


def steps(number: Number, step: float) -> int:
    """The 16 bits that say `number` in units of `step`. Raises `EncodeError`."""
    if isinstance(number, Special):
        if number is Special.NAN:
            return _UNSUCCESSFUL
        raise EncodeError("a scale has no code for a value above or below its range")
    raw = round(number / step)
    if not 0 <= raw < _UNSUCCESSFUL:
        raise EncodeError(f"{number} does not fit into 16 bits")
    return raw


@dataclass(frozen=True, slots=True)
class BodyRecord:
    """One frame of 2A9C as it stands there: `body_fat` and `amounts` are the raw 16 bits.

    `several_packets`: the measurement is spread over two frames, of which the first has `timestamp` and `user`.
    """

    body_fat: int
    amounts: Mapping[Amount, int] = field(default_factory=dict)
    imperial: bool = False
    timestamp: datetime | None = None
    user: int | None = None
    several_packets: bool = False

    @classmethod
    def from_bytes(cls, payload: bytes) -> "BodyRecord":
        """Raises `DecodeError`, also for a flag that the specification reserves: its layout is not known."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(2, "flags")
        if flags & _RESERVED:
            raise cursor.error("a reserved flag is set")
        body_fat = cursor.unsigned(2, "body fat")
        timestamp = cursor.date_time("timestamp") if flags & _TIMESTAMP else None
        user = cursor.unsigned(1, "user") if flags & _USER else None
        amounts = {one: cursor.unsigned(2, one.name or "") for one in Amount if flags & one}
        cursor.end()
        return cls(body_fat, amounts, bool(flags & _IMPERIAL), timestamp, user, bool(flags & _SEVERAL_PACKETS))

    def to_bytes(self) -> bytes:
        """The frame."""
        flags = (_IMPERIAL if self.imperial else 0) | (_SEVERAL_PACKETS if self.several_packets else 0)
        head = b""
        if self.timestamp is not None:
            flags |= _TIMESTAMP
            head += encode_date_time(self.timestamp)
        if self.user is not None:
            flags |= _USER
            head += bytes((self.user,))
        for one in self.amounts:
            flags |= one
        body = b"".join(self.amounts[one].to_bytes(2, "little") for one in Amount if one in self.amounts)
        return flags.to_bytes(2, "little") + self.body_fat.to_bytes(2, "little") + head + body

    @property
    def continues(self) -> bool:
        """Whether it may be the second frame of two: only the first says when and who."""
        return self.several_packets and self.timestamp is None and self.user is None

    def joined(self, second: "BodyRecord") -> "BodyRecord | None":
        """Both frames as one; None when `second` is not the rest of this one."""
        if not (self.several_packets and second.continues):
            return None
        if (second.body_fat, second.imperial) != (self.body_fat, self.imperial) or set(second.amounts) & set(
            self.amounts
        ):
            return None
        return BodyRecord(
            self.body_fat, {**self.amounts, **second.amounts}, self.imperial, self.timestamp, self.user, True
        )

    def amount(self, one: Amount) -> Number:
        """An amount that the frame holds, in the canonical unit of its metric."""
        raw = self.amounts[one]
        if raw == _UNSUCCESSFUL:
            return Special.NAN
        if one is Amount.BASAL_METABOLISM:
            return float(raw)
        if one in (Amount.MUSCLE_SHARE, Amount.IMPEDANCE):
            return raw / 10
        return height_cm(raw, self.imperial) if one is Amount.HEIGHT else mass_kg(raw, self.imperial)


def decoded(record: BodyRecord) -> Decoded:
    """What a frame, or two that were joined, means."""
    members = Members(
        Modality.SPOT,
        device_time=record.timestamp,
        device_user=None if record.user == UNKNOWN_USER else record.user,
    )
    analysed = record.body_fat not in (0, _UNSUCCESSFUL)
    members.add(Metric.BODY_FAT, Special.NAN if record.body_fat == _UNSUCCESSFUL else record.body_fat / 10)
    facts = []
    for one in Amount:
        if one not in record.amounts:
            continue
        number = record.amount(one)
        if one in _FACTS:
            if analysed and not isinstance(number, Special):
                facts.append(Fact(_FACTS[one], number))
        elif analysed or one in _MEASURED_DIRECTLY or number == 0:
            members.add(_METRICS[one], number)
        else:
            members.withhold(_METRICS[one], NoReading.INVALID)
    return members.decoded(*facts)


def encode(measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; without body fat it holds weight and height alone."""
    first = shared(measurements, _MEMBERS)
    if first is not None and first.quality:
        raise EncodeError("this frame holds no quality")
    fat = number_of(measurements, Metric.BODY_FAT)
    units = {
        Amount.BASAL_METABOLISM: 1.0,
        Amount.MUSCLE_SHARE: 0.1,
        Amount.IMPEDANCE: 0.1,
        Amount.HEIGHT: 0.1,
    }
    amounts = {}
    for one, metric in _METRICS.items():
        number = number_of(measurements, metric)
        if number is None:
            continue
        if fat is None and one not in _MEASURED_DIRECTLY:
            raise EncodeError(f"without body fat there is no {metric}")
        amounts[one] = steps(number, units.get(one, 0.005))
    return BodyRecord(
        _UNSUCCESSFUL if fat is None else steps(fat, 0.1),
        amounts,
        timestamp=None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time),
        user=None if first is None else first.device_user,
    ).to_bytes()

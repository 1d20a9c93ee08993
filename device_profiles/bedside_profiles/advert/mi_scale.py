"""Xiaomi's scales that say the weight openly, in service data: Mi Scale (0x181D), Mi Body Composition Scale 2 (0x181B).

Both tell a state, a date and a weight, little-endian: kg in steps of 1/200, pounds and jin in steps of 1/100. The same
weighing is said again and again, also after the person has stepped off (`removed`); a weight that is not stable yet is
none. The clock stands in 1970 until an app has set it. The second scale adds an impedance in Ohm, once it has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.cursor import Cursor
from bedside_profiles.members import Members, holding, moment_of, record_without_time, steps_of
from bedside_profiles.numbers import encode_date_time
from bedside_profiles.profile import Advert, AdvertProfile, Decoded, EncodeError, Fact, NoReading, sig_uuid
from bedside_profiles.readings import Measurement, Metric, Modality

V1_NAME = "advert.mi_scale"
V2_NAME = "advert.mi_body_composition_scale"

_V1_POUNDS, _V1_JIN, _V1_STABLE, _V1_REMOVED = 0x01, 0x10, 0x20, 0x80
_V2_POUNDS, _V2_KILOGRAMS = 0x01, 0x02
_V2_IMPEDANCE, _V2_STABLE, _V2_JIN, _V2_REMOVED = 0x02, 0x20, 0x40, 0x80

_STEPS_PER_KG = 200
_KG_PER_POUND = 0.45359237
_KG_PER_JIN = 0.5
_V1_MEMBERS = frozenset({Metric.BODY_WEIGHT})
_V2_MEMBERS = frozenset({Metric.BODY_WEIGHT, Metric.IMPEDANCE})


@dataclass(frozen=True, slots=True)
class ScaleRecord:
    """One advertisement. `raw` is the weight in the scale's own steps; `impedance` is None where none was measured."""

    raw: int
    taken: datetime | None
    pounds: bool = False
    jin: bool = False
    stable: bool = True
    removed: bool = False
    impedance: int | None = None

    @classmethod
    def v1_from_bytes(cls, payload: bytes) -> "ScaleRecord":
        """10 bytes of the Mi Scale. Raises `DecodeError`."""
        cursor = Cursor(V1_NAME, payload)
        state = cursor.unsigned(1, "state")
        raw, taken = cursor.unsigned(2, "weight"), cursor.date_time("date")
        cursor.end()
        return cls(
            raw,
            taken,
            pounds=bool(state & _V1_POUNDS),
            jin=bool(state & _V1_JIN),
            stable=bool(state & _V1_STABLE),
            removed=bool(state & _V1_REMOVED),
        )

    @classmethod
    def v2_from_bytes(cls, payload: bytes) -> "ScaleRecord":
        """13 bytes of the Mi Body Composition Scale 2. Raises `DecodeError`."""
        cursor = Cursor(V2_NAME, payload)
        unit, state = cursor.unsigned(1, "unit"), cursor.unsigned(1, "state")
        taken = cursor.date_time("date")
        impedance, raw = cursor.unsigned(2, "impedance"), cursor.unsigned(2, "weight")
        cursor.end()
        return cls(
            raw,
            taken,
            pounds=bool(unit & _V2_POUNDS),
            jin=bool(state & _V2_JIN or unit & _V1_JIN),
            stable=bool(state & _V2_STABLE),
            removed=bool(state & _V2_REMOVED),
            impedance=impedance if state & _V2_IMPEDANCE else None,
        )

    def v1_to_bytes(self) -> bytes:
        """The Mi Scale's 10 bytes. Raises `EncodeError`."""
        state = _V1_POUNDS * self.pounds | _V1_JIN * self.jin | _V1_STABLE * self.stable | _V1_REMOVED * self.removed
        return bytes((state,)) + _two_bytes(self.raw) + encode_date_time(self.taken)

    def v2_to_bytes(self) -> bytes:
        """The Mi Body Composition Scale's 13 bytes. Raises `EncodeError`."""
        unit = _V2_POUNDS if self.pounds else _V2_KILOGRAMS
        state = _V2_JIN * self.jin | _V2_STABLE * self.stable | _V2_REMOVED * self.removed
        state |= _V2_IMPEDANCE if self.impedance is not None else 0
        return (
            bytes((unit, state)) + encode_date_time(self.taken) + _two_bytes(self.impedance or 0) + _two_bytes(self.raw)
        )

    @property
    def weight_kg(self) -> float:
        """The weight, as exact as the scale says it."""
        if self.pounds:
            return self.raw / 100 * _KG_PER_POUND
        return self.raw / 100 * _KG_PER_JIN if self.jin else self.raw / _STEPS_PER_KG

    def decoded(self) -> Decoded:
        """The weighing. A weight that is not stable yet is withheld."""
        members = Members(Modality.SPOT, device_time=self.taken, record=record_without_time(self.taken))
        if self.raw and not self.stable:
            members.withhold(Metric.BODY_WEIGHT, NoReading.INVALID)
        else:
            members.add(Metric.BODY_WEIGHT, self.weight_kg)
        if self.impedance is not None and self.stable and self.raw:
            members.add(Metric.IMPEDANCE, float(self.impedance))
        return members.decoded(Fact("stabilized", self.stable), Fact("removed", self.removed))


def _two_bytes(number: int) -> bytes:
    try:
        return number.to_bytes(2, "little")
    except OverflowError as error:
        raise EncodeError(str(error)) from error


def _record_of(measurements: Sequence[Measurement], allowed: frozenset[Metric]) -> ScaleRecord:
    first = holding(measurements, allowed, time=True)
    return ScaleRecord(
        steps_of(measurements, Metric.BODY_WEIGHT, _STEPS_PER_KG) or 0,
        moment_of(first),
        stable=first is not None,
        removed=first is None,
        impedance=steps_of(measurements, Metric.IMPEDANCE),
    )


def decode_v1(advert: Advert) -> Decoded:
    """Service data of 0x181D. Raises `DecodeError`."""
    return ScaleRecord.v1_from_bytes(advert.payload).decoded()


def encode_v1(measurements: Sequence[Measurement]) -> bytes:
    """The service data that says this weight; without one, that the scale is empty. Raises `EncodeError`."""
    return _record_of(measurements, _V1_MEMBERS).v1_to_bytes()


def decode_v2(advert: Advert) -> Decoded:
    """Service data of 0x181B. Raises `DecodeError`."""
    return ScaleRecord.v2_from_bytes(advert.payload).decoded()


def encode_v2(measurements: Sequence[Measurement]) -> bytes:
    """The service data that says this weight and impedance. Raises `EncodeError`."""
    return _record_of(measurements, _V2_MEMBERS).v2_to_bytes()


PROFILES = (
    AdvertProfile(
        name=V1_NAME,
        label="Xiaomi Mi Scale",
        service_uuid=sig_uuid(0x181D),
        company=None,
        decode=decode_v1,
        encode=encode_v1,
    ),
    AdvertProfile(
        name=V2_NAME,
        label="Xiaomi Mi Body Composition Scale 2",
        service_uuid=sig_uuid(0x181B),
        company=None,
        decode=decode_v2,
        encode=encode_v2,
    ),
)

"""The context of a glucose measurement (2A34): the meal, the exercise, the dose. Nothing in it is measured."""

from dataclasses import dataclass

from bedside_profiles.cursor import Cursor
from bedside_profiles.numbers import Number, Special, encode_sfloat
from bedside_profiles.profile import EncodeError, Fact, sig_uuid

NAME = "bluetooth.glucose_context"
MEASUREMENT_CONTEXT = sig_uuid(0x2A34)

_CARBOHYDRATE, _MEAL, _TESTER, _EXERCISE, _MEDICATION, _IN_LITRES, _HBA1C, _EXTENDED = (1 << bit for bit in range(8))
_KETONE_MEAL = 6
"""Reserved by the standard; i-SENS meters (CareSens) say with it that the measurement is a blood ketone."""


@dataclass(frozen=True, slots=True)
class GlucoseContext:
    """One frame of 2A34 as it stands there; what it does not carry is None.

    `carbohydrate` (kind, kg), `medication` (kind, litres when `in_litres`, else kg); `meal`, `tester`, `health` and
    the kinds are the codes of the specification; `exercise` is (seconds, intensity in per cent).
    """

    sequence: int
    carbohydrate: tuple[int, Number] | None = None
    meal: int | None = None
    tester: int | None = None
    health: int | None = None
    exercise: tuple[int, int] | None = None
    medication: tuple[int, Number] | None = None
    in_litres: bool = False
    hba1c_percent: Number | None = None
    extended: int | None = None

    @classmethod
    def from_bytes(cls, payload: bytes) -> "GlucoseContext":
        """Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        sequence = cursor.unsigned(2, "sequence number")
        extended = cursor.unsigned(1, "extended flags") if flags & _EXTENDED else None
        carbohydrate = exercise = medication = tester = health = None
        if flags & _CARBOHYDRATE:
            carbohydrate = cursor.unsigned(1, "carbohydrate"), cursor.sfloat("carbohydrate")
        meal = cursor.unsigned(1, "meal") if flags & _MEAL else None
        if flags & _TESTER:
            both = cursor.unsigned(1, "tester and health")
            tester, health = both & 0x0F, both >> 4
        if flags & _EXERCISE:
            exercise = cursor.unsigned(2, "exercise duration"), cursor.unsigned(1, "exercise intensity")
        if flags & _MEDICATION:
            medication = cursor.unsigned(1, "medication"), cursor.sfloat("medication")
        hba1c = cursor.sfloat("HbA1c") if flags & _HBA1C else None
        cursor.end()
        return cls(
            sequence,
            carbohydrate,
            meal,
            tester,
            health,
            exercise,
            medication,
            bool(flags & _IN_LITRES),
            hba1c,
            extended,
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        flags = _IN_LITRES if self.in_litres else 0
        try:
            parts = (
                (_EXTENDED, None if self.extended is None else bytes((self.extended,))),
                (_CARBOHYDRATE, _dose(self.carbohydrate)),
                (_MEAL, None if self.meal is None else bytes((self.meal,))),
                (_TESTER, None if self.tester is None else bytes((self.tester | (self.health or 0) << 4,))),
                (_EXERCISE, None if self.exercise is None else _exercise(*self.exercise)),
                (_MEDICATION, _dose(self.medication)),
                (_HBA1C, None if self.hba1c_percent is None else _sfloat(self.hba1c_percent)),
            )
            flags |= sum(flag for flag, part in parts if part is not None)
            return (
                bytes((flags,))
                + self.sequence.to_bytes(2, "little")
                + b"".join(part for _, part in parts if part is not None)
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error

    @property
    def is_ketone(self) -> bool:
        """Whether the measurement that this belongs to is a blood ketone, in tenths of a mmol/L."""
        return self.meal == _KETONE_MEAL

    def facts(self) -> tuple[Fact, ...]:
        """What it says, the sequence number first. Amounts in g, mg or mL."""
        found: list[tuple[str, int | Number | None]] = [("sequence_number", self.sequence), ("meal", self.meal)]
        if self.carbohydrate is not None:
            found += [("carbohydrate", self.carbohydrate[0]), ("carbohydrate_g", _times(self.carbohydrate[1], 10**3))]
        found += [("tester", self.tester), ("health", self.health)]
        if self.exercise is not None:
            found += [("exercise_s", self.exercise[0]), ("exercise_intensity_percent", self.exercise[1])]
        if self.medication is not None:
            kind, amount = self.medication
            unit, per_unit = ("ml", 10**3) if self.in_litres else ("mg", 10**6)
            found += [("medication", kind), (f"medication_{unit}", _times(amount, per_unit))]
        found.append(("hba1c_percent", self.hba1c_percent))
        return tuple(
            [Fact(name, value) for name, value in found if value is not None and not isinstance(value, Special)]
        )


def _times(number: Number, factor: int) -> Number:
    return number if isinstance(number, Special) else round(number * factor, 9)


def _sfloat(number: Number) -> bytes:
    return encode_sfloat(number).to_bytes(2, "little")


def _dose(dose: tuple[int, Number] | None) -> bytes | None:
    return None if dose is None else bytes((dose[0],)) + _sfloat(dose[1])


def _exercise(seconds: int, intensity_percent: int) -> bytes:
    return seconds.to_bytes(2, "little") + bytes((intensity_percent,))

"""Scales with the Bluetooth SIG Weight Scale service (0x181D), the Body Composition service (0x181B), or both.

The weight (2A9D) comes first; what the scale calculated from the impedance (2A9C, `body_composition.py`) follows some
seconds later, in one frame or in two that belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.bluetooth import body_composition, clock_setting, user_control
from bedside_profiles.bluetooth.body_composition import UNKNOWN_USER, BodyRecord, height_cm, mass_kg, steps
from bedside_profiles.bluetooth.user_consent import ConsentConversation
from bedside_profiles.conversation import Conversation, Known, Together
from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Special, encode_date_time
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Transfer, sig_uuid
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.weight_scale"
SERVICE = sig_uuid(0x181D)
MEASUREMENT = sig_uuid(0x2A9D)

_IMPERIAL, _TIMESTAMP, _USER, _INDEX_AND_HEIGHT = 0x01, 0x02, 0x04, 0x08
_COARSE, _RESERVED = 0x60, 0x90
_TIMES_COARSER = 10
"""The Renpho ES-WBE28 sets a reserved flag (5 or 6, by firmware) and counts in 0.05 kg: a tenth of the weight if read
as the standard says. What the other reserved flags would change nobody knows."""

_MEMBERS = frozenset({Metric.BODY_WEIGHT, Metric.BODY_MASS_INDEX, Metric.BODY_HEIGHT})


@dataclass(frozen=True, slots=True)
class WeightRecord:
    """One frame of 2A9D as it stands there: `weight`, `mass_index` and `height` are the raw 16 bits.

    `coarse` is the mark of a scale that counts in ten times the standard's steps.
    """

    weight: int
    imperial: bool = False
    timestamp: datetime | None = None
    user: int | None = None
    mass_index: int | None = None
    height: int | None = None
    coarse: bool = False

    @classmethod
    def from_bytes(cls, payload: bytes) -> "WeightRecord":
        """Raises `DecodeError`."""
        cursor = Cursor(NAME, payload)
        flags = cursor.unsigned(1, "flags")
        if flags & _RESERVED:
            raise cursor.error("a reserved flag is set")
        weight = cursor.unsigned(2, "weight")
        timestamp = cursor.date_time("timestamp") if flags & _TIMESTAMP else None
        user = cursor.unsigned(1, "user") if flags & _USER else None
        mass_index = cursor.unsigned(2, "body mass index") if flags & _INDEX_AND_HEIGHT else None
        height = cursor.unsigned(2, "height") if flags & _INDEX_AND_HEIGHT else None
        cursor.end()
        return cls(weight, bool(flags & _IMPERIAL), timestamp, user, mass_index, height, bool(flags & _COARSE))

    def to_bytes(self) -> bytes:
        """The frame in the standard's steps. Raises `EncodeError`."""
        if self.coarse or (self.mass_index is None) != (self.height is None):
            raise EncodeError("not in the standard's layout")
        flags = _IMPERIAL if self.imperial else 0
        tail = b""
        if self.timestamp is not None:
            flags |= _TIMESTAMP
            tail += encode_date_time(self.timestamp)
        if self.user is not None:
            flags |= _USER
            tail += bytes((self.user,))
        if self.mass_index is not None and self.height is not None:
            flags |= _INDEX_AND_HEIGHT
            tail += self.mass_index.to_bytes(2, "little") + self.height.to_bytes(2, "little")
        return bytes((flags,)) + self.weight.to_bytes(2, "little") + tail


def decoded(record: WeightRecord) -> Decoded:
    """What a frame of 2A9D means. Index and height are zero where the scale does not know the person."""
    members = Members(
        Modality.SPOT,
        device_time=record.timestamp,
        device_user=None if record.user == UNKNOWN_USER else record.user,
    )
    coarser = _TIMES_COARSER if record.coarse else 1
    members.add(Metric.BODY_WEIGHT, mass_kg(record.weight, record.imperial, coarser=coarser))
    if record.mass_index is not None and record.height is not None:
        members.add(Metric.BODY_MASS_INDEX, Special.NAN if record.mass_index == 0xFFFF else record.mass_index / 10)
        members.add(Metric.BODY_HEIGHT, height_cm(record.height, record.imperial))
    return members.decoded()


class ScaleListener:
    """Hears both characteristics, and joins the two frames of one body composition.

    The first of two waits for the second, which is the next value of its characteristic.
    """

    def __init__(self) -> None:
        self._first: BodyRecord | None = None
        self._coarse = False

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        try:
            if characteristic == MEASUREMENT:
                weight = WeightRecord.from_bytes(payload)
                self._coarse = weight.coarse
                return (decoded(weight),)
            if characteristic == body_composition.MEASUREMENT:
                return self._composition(payload)
            if characteristic == user_control.CONTROL_POINT:
                return (user_control.decode(characteristic, payload),)
        except DecodeError as error:
            return (error,)
        return (DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload),)

    def rest(self) -> Decoded | None:
        """See `profile.Listener`: the first of two frames whose second did not come."""
        first, self._first = self._first, None
        return None if first is None else body_composition.decoded(first)

    def _composition(self, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        if self._coarse:
            return (DecodeError(NAME, "a scale that counts in steps of its own: its masses are not known", payload),)
        first, self._first = self._first, None
        try:
            record = BodyRecord.from_bytes(payload)
        except DecodeError as error:
            return (error,) if first is None else (body_composition.decoded(first), error)
        joined = None if first is None else first.joined(record)
        if joined is not None:
            return (body_composition.decoded(joined),)
        before = () if first is None else (body_composition.decoded(first),)
        if record.several_packets:
            self._first = record
            return before
        return (*before, body_composition.decoded(record))


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; a weight that is not among them becomes FFFF, unsuccessful."""
    if characteristic == body_composition.MEASUREMENT:
        return body_composition.encode(measurements)
    if characteristic != MEASUREMENT:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = shared(measurements, _MEMBERS)
    if first is not None and first.quality:
        raise EncodeError("this frame holds no quality")
    weight = number_of(measurements, Metric.BODY_WEIGHT)
    mass_index, height = (number_of(measurements, one) for one in (Metric.BODY_MASS_INDEX, Metric.BODY_HEIGHT))
    both = mass_index is not None or height is not None
    return WeightRecord(
        steps(Special.NAN if weight is None else weight, 0.005),
        timestamp=None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time),
        user=None if first is None else first.device_user,
        mass_index=steps(mass_index or 0.0, 0.1) if both else None,
        height=steps(height or 0.0, 0.1) if both else None,
    ).to_bytes()


def converse(known: Known) -> Conversation:
    """Sets the clock, and gives the consent of the user whose readings are wanted."""
    return Together(clock_setting.set_each_time(known), ConsentConversation(known))


def _profile(name: str, label: str, service: str, required: str) -> BleProfile:
    return BleProfile(
        name=name,
        label=label,
        service_uuid=service,
        characteristics=tuple(
            [
                Characteristic(uuid, Transfer.INDICATE, required=uuid == required)
                for uuid in (MEASUREMENT, body_composition.MEASUREMENT, user_control.CONTROL_POINT)
            ]
        ),
        listen=ScaleListener,
        encode=encode,
        silence_seconds=None,
        converse=converse,
    )


PROFILE = _profile(NAME, "Scale", SERVICE, MEASUREMENT)
BODY_COMPOSITION_PROFILE = _profile(
    body_composition.NAME, "Body composition scale", body_composition.SERVICE, body_composition.MEASUREMENT
)

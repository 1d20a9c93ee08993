"""Personal health devices of ISO/IEEE 11073-20601: oximeters, blood pressure monitors and weighing scales.

An APDU is its kind, a length, data, all big endian; a measurement is an event report in a data APDU (E7 00). Which
quantity an object's number (handle) stands for, the device tells in its configuration; devices of the standard
configurations may leave that out, so that each profile here knows those of its own specialisation. The layer below
(USB, HDP, a serial line with a transport of its own) keeps the bytes whole: an APDU has no checksum.

A confirmed report is answered (`confirmation`), or the device sends it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import (
    Number,
    Special,
    decode_bcd,
    decode_float,
    decode_sfloat,
    encode_bcd,
    encode_float,
    encode_sfloat,
)
from bedside_profiles.profile import Decoded, EncodeError, Fact, LineSettings, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial import personal_health_manager
from bedside_profiles.serial.personal_health_report import (
    CONFIRMED,
    DATA,
    Observation,
    Report,
    apdu_kind,
    configured_objects,
    fixed_report,
    frame_size,
    report_of,
)
from bedside_profiles.streams import FrameStream, Outcomes

NAME = "serial.phd_oximeter"
LINE = LineSettings(baud=115200)

_SFLOAT_BYTES, _FLOAT_BYTES, _TIME_BYTES = 2, 4, 8
_KG_PER_LB = 0.45359237
_MMHG_PER_KPA = 7.50062

_TYPES: Mapping[int, Metric] = MappingProxyType(
    {
        19384: Metric.SPO2,
        18458: Metric.PULSE_RATE,
        18474: Metric.PULSE_RATE,
        57664: Metric.BODY_WEIGHT,
        57680: Metric.BODY_MASS_INDEX,
        57668: Metric.BODY_HEIGHT,
        19292: Metric.BODY_TEMPERATURE,
    }
)
"""MDC codes of quantities that come as one number."""
_PRESSURES = 18948
"""MDC code of a quantity that comes as three: systolic, diastolic, mean."""
_PRESSURE_METRICS = (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE)

_FACTORS: Mapping[int, float] = MappingProxyType(
    {
        544: 1.0,  # percent
        2720: 1.0,  # beats a minute
        3872: 1.0,  # mmHg
        3843: _MMHG_PER_KPA,
        1731: 1.0,  # kg
        1760: _KG_PER_LB,
        1952: 1.0,  # kg/m2
        1297: 1.0,  # cm
        6048: 1.0,  # degrees Celsius
    }
)
"""What a number in that unit (MDC code) is multiplied with. A quantity in any other is withheld."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an object measures: its MDC type, and its unit, None for the one of the standard configuration."""

    type_code: int
    unit_code: int | None = None


_OXIMETER = {1: Quantity(19384), 10: Quantity(18458)}
_BLOOD_PRESSURE = {1: Quantity(_PRESSURES), 2: Quantity(18474)}
_SCALE = {1: Quantity(57664), 2: Quantity(57680)}


class PersonalHealthFramer:
    """Finds APDUs, and reads reports by what the device has configured, or else by `standard`."""

    def __init__(self, name: str, standard: Mapping[int, Quantity], modality: Modality) -> None:
        self._name = name
        self._objects = standard
        self._modality = modality
        self._stream = FrameStream(name, size_of=frame_size, problem_of=lambda _apdu: None, take=self._take)

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        return self._stream.feed(data)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        return self._stream.rest()

    def _take(self, apdu: bytes) -> Sequence[Decoded]:
        kind = apdu_kind(apdu[:2])
        if apdu[:2] != DATA:
            return (Decoded(facts=(Fact("apdu", kind or ""),)),)
        try:
            objects = configured_objects(apdu)
            report = report_of(apdu)
        except ValueError as error:
            raise DecodeError(self._name, str(error), apdu) from error
        if objects is not None:
            self._objects = {handle: Quantity(code, unit) for handle, code, unit in objects}
            return (Decoded(facts=(Fact("configured_objects", tuple(self._objects)),)),)
        if report is None:
            return (Decoded(facts=(Fact("apdu", "data_without_report"),)),)
        return tuple(self._observations(report, apdu))

    def _observations(self, report: Report, apdu: bytes) -> Sequence[Decoded]:
        """The observations of one time are one measurement."""
        facts = [Fact("must_be_answered", report.choice == CONFIRMED), Fact("observations", len(report.observations))]
        groups: dict[tuple[int | None, bytes], list[Observation]] = {}
        for one in report.observations:
            groups.setdefault((one.person, one.time), []).append(one)
        found = [self._group(ones, apdu) for ones in groups.values()]
        if not found:
            return (Decoded(facts=tuple(facts)),)
        first = found[0]
        return (Decoded(first.measurements, first.withheld, (*first.facts, *facts)), *found[1:])

    def _group(self, observations: Sequence[Observation], apdu: bytes) -> Decoded:
        time = observations[0].time
        try:
            moment = None if not time else decode_time(time)
        except ValueError as error:
            raise DecodeError(self._name, f"a date there is not: {error}", apdu) from error
        person = observations[0].person
        members = Members(self._modality, device_time=moment, device_user=person)
        facts = [] if moment is None else [Fact("device_clock", moment.isoformat())]
        for one in observations:
            quantity = self._objects.get(one.handle)
            if quantity is None or (quantity.type_code not in _TYPES and quantity.type_code != _PRESSURES):
                facts.append(Fact(f"object_{one.handle}", one.value.hex()))
                continue
            try:
                self._add(members, quantity, one)
            except ValueError as error:
                raise DecodeError(self._name, str(error), apdu) from error
        return members.decoded(*facts)

    def _add(self, members: Members, quantity: Quantity, one: Observation) -> None:
        if quantity.type_code == _PRESSURES:
            metrics: Sequence[Metric] = _PRESSURE_METRICS
            numbers = compound(one.value)
        else:
            metrics, numbers = (_TYPES[quantity.type_code],), (simple(one.value),)
        if len(numbers) != len(metrics):
            raise ValueError("a quantity with another number of parts")
        factor = 1.0 if quantity.unit_code is None else _FACTORS.get(quantity.unit_code)
        if factor is None:
            for metric in metrics:
                members.withhold(metric, NoReading.INVALID)
            return
        found = [_scaled(number, factor) for number in numbers]
        if quantity.type_code == _PRESSURES:
            members.add_pressures(*found)
        else:
            members.add(metrics[0], found[0])


def _scaled(number: Number, factor: float) -> Number:
    return number if isinstance(number, Special) or factor == 1.0 else round(number * factor, 2)


def simple(value: bytes) -> Number:
    """An SFLOAT or FLOAT, big endian. Raises ValueError for another length."""
    if len(value) == _SFLOAT_BYTES:
        return decode_sfloat(int.from_bytes(value, "big"))
    if len(value) == _FLOAT_BYTES:
        return decode_float(int.from_bytes(value, "big"))
    raise ValueError(f"a number of {len(value)} bytes")


def compound(value: bytes) -> tuple[Number, ...]:
    """SFLOATs or FLOATs behind their count and their length. Raises ValueError."""
    count, length = int.from_bytes(value[:2], "big"), int.from_bytes(value[2:4], "big")
    if len(value) < 4 or not count or length != len(value) - 4 or length % count:
        raise ValueError("a compound value whose lengths contradict each other")
    size = length // count
    return tuple([simple(value[at : at + size]) for at in range(4, len(value), size)])


def decode_time(time: bytes) -> datetime:
    """An absolute time: century, year, month, day, hour, minute, second, hundredth, in BCD. Raises ValueError."""
    century, year, month, day, hour, minute, second, _ = (decode_bcd(byte) for byte in time)
    return datetime(century * 100 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone


def encode_time(moment: datetime) -> bytes:
    """The eight bytes."""
    parts = (moment.year // 100, moment.year % 100, moment.month, moment.day)
    return bytes(encode_bcd(part) for part in (*parts, moment.hour, moment.minute, moment.second, 0))


def _encode(measurements: Sequence[Measurement], standard: Mapping[int, Quantity], *, as_float: bool) -> bytes:
    metrics = {
        metric
        for quantity in standard.values()
        for metric in (_PRESSURE_METRICS if quantity.type_code == _PRESSURES else (_TYPES[quantity.type_code],))
    }
    first = shared(measurements, frozenset(metrics))
    if first is None:
        return fixed_report(1, ())
    if first.quality:
        raise EncodeError("a report holds no quality")
    time = b"" if first.device_time is None else encode_time(datetime.fromisoformat(first.device_time))
    observations = []
    for handle, quantity in standard.items():
        if quantity.type_code == _PRESSURES:
            numbers = [number_of(measurements, metric) for metric in _PRESSURE_METRICS]
            parts = b"".join(_said(Special.NAN if one is None else one, as_float=False) for one in numbers)
            if any(one is not None for one in numbers):
                value = len(numbers).to_bytes(2, "big") + len(parts).to_bytes(2, "big") + parts
                observations.append(Observation(handle, value, time, first.device_user))
        elif (number := number_of(measurements, _TYPES[quantity.type_code])) is not None:
            observations.append(Observation(handle, _said(number, as_float=as_float), time, first.device_user))
    return fixed_report(1, observations)


def _said(number: Number, *, as_float: bool) -> bytes:
    try:
        return encode_float(number).to_bytes(4, "big") if as_float else encode_sfloat(number).to_bytes(2, "big")
    except ValueError as error:
        raise EncodeError(str(error)) from error


OXIMETER = SerialProfile(
    name=NAME,
    label="Oximeter of ISO/IEEE 11073-10404",
    line=LINE,
    framer=lambda: PersonalHealthFramer(NAME, _OXIMETER, Modality.CONTINUOUS),
    encode=lambda measurements: _encode(measurements, _OXIMETER, as_float=False),
    silence_seconds=None,
    names=("11073", "ieee 11073", "oximeter"),
    converse=lambda: personal_health_manager.converse(NAME),
)
BLOOD_PRESSURE = replace(
    OXIMETER,
    name="serial.phd_blood_pressure",
    label="Blood pressure monitor of ISO/IEEE 11073-10407",
    framer=lambda: PersonalHealthFramer("serial.phd_blood_pressure", _BLOOD_PRESSURE, Modality.SPOT),
    encode=lambda measurements: _encode(measurements, _BLOOD_PRESSURE, as_float=False),
    names=("11073", "ieee 11073", "bp monitor", "blood pressure"),
    converse=lambda: personal_health_manager.converse("serial.phd_blood_pressure"),
)
SCALE = replace(
    OXIMETER,
    name="serial.phd_scale",
    label="Weighing scale of ISO/IEEE 11073-10415",
    framer=lambda: PersonalHealthFramer("serial.phd_scale", _SCALE, Modality.SPOT),
    encode=lambda measurements: _encode(measurements, _SCALE, as_float=True),
    names=("11073", "ieee 11073", "scale", "weighing"),
    converse=lambda: personal_health_manager.converse("serial.phd_scale"),
)

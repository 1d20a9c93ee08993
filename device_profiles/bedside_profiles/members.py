"""Sorts the members of one frame into measurements and what is no reading, by rules that hold for every device."""

from collections.abc import Sequence
from datetime import datetime

from bedside_profiles.numbers import Number, Special
from bedside_profiles.profile import Decoded, EncodeError, Fact, NoReading, Withheld
from bedside_profiles.readings import METRICS, Measurement, Metric, Modality, Quality, RangeFlag

FIRST_BELIEVABLE_YEAR = 2010
"""Device clocks start at 1970 or 2000 when their battery was out."""


class Members:
    """One frame's members: they share how and when they were taken and what the device says against them."""

    def __init__(
        self,
        modality: Modality,
        *,
        quality: Sequence[Quality] = (),
        device_time: datetime | None = None,
        device_user: int | None = None,
        record: int | None = None,
        is_live: bool = False,
    ) -> None:
        quality = tuple(quality)
        if device_time is not None and device_time.year < FIRST_BELIEVABLE_YEAR:
            device_time = None
            if Quality.DEVICE_CLOCK_UNSET not in quality:
                quality = (*quality, Quality.DEVICE_CLOCK_UNSET)
        self._modality = modality
        self._quality = quality
        self._device_time = None if device_time is None else device_time.isoformat()
        self._device_user = device_user
        self._record = record
        self._is_live = is_live
        self._measurements: list[Measurement] = []
        self._withheld: list[Withheld] = []

    def add(self, metric: Metric, number: Number, *, living_is_never_zero: bool = True) -> None:
        """A member in the metric's canonical unit. Infinities are readings without a number; NaN is no reading."""
        if number is Special.POSITIVE_INFINITY:
            self._keep(metric, None, RangeFlag.ABOVE)
        elif number is Special.NEGATIVE_INFINITY:
            self._keep(metric, None, RangeFlag.BELOW)
        elif isinstance(number, Special):
            self.withhold(metric, NoReading.NOT_A_NUMBER)
        elif number == 0 and living_is_never_zero:
            self.withhold(metric, NoReading.ZERO)
        elif not METRICS[metric].lowest <= number <= METRICS[metric].highest:
            self.withhold(metric, NoReading.IMPOSSIBLE)
        else:
            self._keep(metric, float(number), None)

    def withhold(self, metric: Metric, reason: NoReading) -> None:
        """A member that is no reading."""
        self._withheld.append(Withheld(metric, reason))

    def add_pressures(self, systolic: Number, diastolic: Number, mean: Number | None = None) -> None:
        """What a cuff says at once, in mmHg; None: this frame tells no mean.

        A systolic one that is not above the diastolic one discredits all; a mean that is not between them, itself.
        """
        pressures = [(Metric.SYSTOLIC_PRESSURE, systolic), (Metric.DIASTOLIC_PRESSURE, diastolic)]
        if mean is not None:
            pressures.append((Metric.MEAN_PRESSURE, mean))
        low, high = _plain(diastolic), _plain(systolic)
        contradict = low is not None and high is not None and 0 < high <= low
        for metric, number in pressures:
            middle = _plain(number) if metric is Metric.MEAN_PRESSURE else None
            outside = middle and ((low is not None and middle < low) or (high is not None and middle > high))
            if contradict or outside:
                self.withhold(metric, NoReading.ARTIFACT)
            else:
                self.add(metric, number)

    def add_oximetry(
        self, spo2: Number, pulse: Number, perfusion: Number | None = None, *, reason: NoReading | None = None
    ) -> None:
        """What an oximeter says at once: %, beats a minute, %. With a `reason`, none of it is a reading.

        A perfusion beside neither of the others is none either: it was measured at something without a pulse.
        """
        before = len(self._measurements)
        for metric, number in ((Metric.SPO2, spo2), (Metric.PULSE_RATE, pulse)):
            if reason is None:
                self.add(metric, number)
            else:
                self.withhold(metric, reason)
        if perfusion is None:
            return
        if reason is None and len(self._measurements) > before:
            self.add(Metric.PERFUSION_INDEX, perfusion)
        else:
            self.withhold(Metric.PERFUSION_INDEX, reason or NoReading.NOT_A_NUMBER)

    def decoded(self, *facts: Fact) -> Decoded:
        """The frame, with what it says beside its members."""
        return Decoded(tuple(self._measurements), tuple(self._withheld), facts)

    def _keep(self, metric: Metric, value: float | None, range_flag: RangeFlag | None) -> None:
        self._measurements.append(
            Measurement(
                metric,
                value,
                self._modality,
                range_flag=range_flag,
                quality=self._quality,
                device_time=self._device_time,
                device_user=self._device_user,
                record=self._record,
                is_live=self._is_live,
            )
        )


def _plain(number: Number) -> float | None:
    return None if isinstance(number, Special) else number


def record_without_time(moment: datetime | None) -> int | None:
    """The number by which a stored result is known again whose clock was not set: the seconds that it showed.

    For a memory that is read again and again: without a time or a number, each reading would look like a new result.
    """
    if moment is None or moment.year >= FIRST_BELIEVABLE_YEAR:
        return None
    return int((moment - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001 - a device's own wall time


def number_of(measurements: Sequence[Measurement], metric: Metric) -> Number | None:
    """What an encoder writes for `metric`; None when it is not among the measurements. For use by encoders."""
    found = [measurement for measurement in measurements if measurement.metric is metric]
    if not found:
        return None
    if len(found) > 1:
        raise EncodeError(f"{metric} is there {len(found)} times")
    if found[0].range_flag is not None:
        above = found[0].range_flag is RangeFlag.ABOVE
        return Special.POSITIVE_INFINITY if above else Special.NEGATIVE_INFINITY
    return found[0].value


def steps_of(measurements: Sequence[Measurement], metric: Metric, per_unit: int = 1) -> int | None:
    """What an encoder writes of `metric` in whole steps, `per_unit` of which make its canonical unit; None without it.

    Raises `EncodeError` for a value between two steps, and for one that has no number.
    """
    number = number_of(measurements, metric)
    if number is None:
        return None
    if isinstance(number, Special):
        raise EncodeError(f"this frame has no word for {number.value}")
    steps = round(number * per_unit)
    if abs(number * per_unit - steps) > 1e-6:
        raise EncodeError(f"this frame holds {metric} in steps of 1/{per_unit}")
    return steps


def holding(
    measurements: Sequence[Measurement],
    allowed: frozenset[Metric],
    *,
    quality: frozenset[Quality] = frozenset(),
    time: bool = False,
    user: bool = False,
) -> Measurement | None:
    """`shared`, after checking that the frame has room for their quality, time and user as well."""
    first = shared(measurements, allowed)
    if first is None:
        return None
    if not quality.issuperset(first.quality):
        raise EncodeError(f"of qualities, this frame holds none but {sorted(quality)}")
    if (first.device_time is not None and not time) or (first.device_user is not None and not user):
        raise EncodeError("this frame has no place for a time, or none for a user")
    return first


def moment_of(first: Measurement | None) -> datetime | None:
    """The device's own time of the members of one frame, for use by encoders."""
    return None if first is None or first.device_time is None else datetime.fromisoformat(first.device_time)


def shared(measurements: Sequence[Measurement], allowed: frozenset[Metric]) -> Measurement | None:
    """The first of them, after checking that one frame can hold them all; None when there are none."""
    for measurement in measurements:
        if measurement.metric not in allowed:
            raise EncodeError(f"this frame does not hold {measurement.metric}")
        first = measurements[0]
        if (measurement.quality, measurement.device_time, measurement.device_user) != (
            first.quality,
            first.device_time,
            first.device_user,
        ):
            raise EncodeError("the members of one frame share quality, time and user")
    return measurements[0] if measurements else None

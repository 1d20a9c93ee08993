"""What one measurement of a simulated device is: the values it takes of the patient, and the time it gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.patients import Vitals

FIRST_MOMENT = datetime(2024, 6, 15, 8, 0)  # noqa: DTZ001 - a device's own wall time
"""Of the device's clock at its first measurement."""

Values = Callable[[Vitals, int], Mapping[Metric, float]]
"""In steps that the device's frames hold, of the measurement with that number."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`every_seconds` stands between two measurements; a spot check's device keeps it and `has_time` with it."""

    values: Values
    modality: Modality
    has_time: bool
    every_seconds: int = 1

    def measured(self, vitals: Vitals, number: int) -> tuple[Measurement, ...]:
        """The measurement set with that number, from 0 on."""
        return self.of(self.values(vitals, number), number)

    def of(self, values: Mapping[Metric, float], number: int) -> tuple[Measurement, ...]:
        """The set with that number and these values."""
        step = timedelta(seconds=1) if self.modality is Modality.CONTINUOUS else timedelta(minutes=1)
        time = (FIRST_MOMENT + number * step).isoformat() if self.has_time else None
        return tuple(Measurement(metric, value, self.modality, device_time=time) for metric, value in values.items())


def oximetry(vitals: Vitals, _number: int) -> Mapping[Metric, float]:
    """Whole percent and beats a minute."""
    return {Metric.SPO2: float(round(vitals.spo2)), Metric.PULSE_RATE: float(round(vitals.pulse_rate))}


def oximetry_with_perfusion(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    """With two decimals of perfusion."""
    return {**oximetry(vitals, number), Metric.PERFUSION_INDEX: round(vitals.perfusion_index, 2)}


def pressure(vitals: Vitals, _number: int) -> Mapping[Metric, float]:
    """Whole mmHg and beats a minute."""
    return {
        Metric.SYSTOLIC_PRESSURE: float(round(vitals.systolic)),
        Metric.DIASTOLIC_PRESSURE: float(round(vitals.diastolic)),
        Metric.PULSE_RATE: float(round(vitals.pulse_rate)),
    }


def pressure_with_mean(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    """With the mean."""
    return {**pressure(vitals, number), Metric.MEAN_PRESSURE: float(round(vitals.mean))}


def glucose(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    """Whole mg/dL, another one each time."""
    return {Metric.GLUCOSE: float(85 + 7 * number % 90)}


def temperature(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    """Tenths of a degree."""
    return {Metric.BODY_TEMPERATURE: round(36.4 + 0.1 * (number % 12), 1)}


def weight(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    """Tenths of a kilogram, with the index."""
    return {
        Metric.BODY_WEIGHT: round(71.0 + 0.1 * (number % 15), 1),
        Metric.BODY_MASS_INDEX: round(23.1 + 0.1 * (number % 5), 1),
    }


def streamed(values: Values, *, has_time: bool = False) -> Kind:
    """What a device says each second."""
    return Kind(values, Modality.CONTINUOUS, has_time)


def checked(values: Values, *, has_time: bool = True) -> Kind:
    """What a device says when somebody measures."""
    return Kind(values, Modality.SPOT, has_time, every_seconds=20)

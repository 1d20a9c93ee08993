"""What a simulated serial device measures of the patient, profile by profile. A profile that is not here cannot be
played."""

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


def _oximetry(vitals: Vitals, _number: int) -> Mapping[Metric, float]:
    return {Metric.SPO2: float(round(vitals.spo2)), Metric.PULSE_RATE: float(round(vitals.pulse_rate))}


def _oximetry_with_perfusion(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {**_oximetry(vitals, number), Metric.PERFUSION_INDEX: round(vitals.perfusion_index, 2)}


def _pressure(vitals: Vitals, _number: int) -> Mapping[Metric, float]:
    return {
        Metric.SYSTOLIC_PRESSURE: float(round(vitals.systolic)),
        Metric.DIASTOLIC_PRESSURE: float(round(vitals.diastolic)),
        Metric.PULSE_RATE: float(round(vitals.pulse_rate)),
    }


def _pressure_with_mean(vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {**_pressure(vitals, number), Metric.MEAN_PRESSURE: float(round(vitals.mean))}


def _glucose(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {Metric.GLUCOSE: float(85 + 7 * number % 90)}


def _temperature(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {Metric.BODY_TEMPERATURE: round(36.4 + 0.1 * (number % 12), 1)}


def _weight(_vitals: Vitals, number: int) -> Mapping[Metric, float]:
    return {
        Metric.BODY_WEIGHT: round(71.0 + 0.1 * (number % 15), 1),
        Metric.BODY_MASS_INDEX: round(23.1 + 0.1 * (number % 5), 1),
    }


def _streamed(values: Values, *, has_time: bool = False) -> Kind:
    return Kind(values, Modality.CONTINUOUS, has_time)


def _checked(values: Values, *, has_time: bool = True) -> Kind:
    return Kind(values, Modality.SPOT, has_time, every_seconds=20)


KINDS: Mapping[str, Kind] = {
    "serial.nonin_df2": _streamed(_oximetry),
    "serial.nonin_df7": _streamed(_oximetry),
    "serial.nonin_df8": _streamed(_oximetry),
    "serial.nonin_df1": _streamed(_oximetry),
    "serial.nonin_9560": _checked(_oximetry),
    "serial.contec_cms50": _streamed(_oximetry_with_perfusion),
    "serial.contec_cms50_5_byte": _streamed(_oximetry),
    "serial.contec_cms50_5_byte_odd": _streamed(_oximetry),
    "serial.contec_cms50_5_byte_4800": _streamed(_oximetry),
    "serial.masimo_ascii": _streamed(_oximetry_with_perfusion, has_time=True),
    "serial.nellcor_ascii": _streamed(_oximetry, has_time=True),
    "serial.onetouch_ultra2": _checked(_glucose),
    "serial.onetouch_ultraeasy": _checked(_glucose),
    "serial.taidoc_glucose": _checked(_glucose),
    "serial.taidoc_blood_pressure": _checked(_pressure),
    "serial.taidoc_thermometer": _checked(_temperature),
    "serial.bayer_contour": _checked(_glucose),
    "serial.suntech_nibp": _checked(_pressure_with_mean, has_time=False),
    "serial.phd_oximeter": _streamed(_oximetry, has_time=True),
    "serial.phd_blood_pressure": _checked(_pressure_with_mean),
    "serial.phd_scale": _checked(_weight),
}

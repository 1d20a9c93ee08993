"""The vital signs of a card and of a page of trends, in the order in which they stand on a bedside monitor. Pure."""

from dataclasses import dataclass

from bedside_profiles.readings import METRICS, Metric

UNITS = {"mm[Hg]": "mmHg", "Cel": "°C"}
"""UCUM codes as people write them, where the two differ."""


@dataclass(frozen=True, slots=True)
class Vital:
    """What is read together as one: the first of `metrics` names the unit.

    `frame` is what a trend shows at least, in that unit: the same place means the same value on every screen, and a
    quiet patient's noise is not blown up. A value that is not `continuous` was taken by itself: no line joins it.
    """

    label: str
    metrics: tuple[Metric, ...]
    frame: tuple[float, float]
    continuous: bool = True

    @property
    def unit(self) -> str:
        """As people write it."""
        return unit(self.metrics[0])


VITALS = (
    Vital("SpO₂", (Metric.SPO2,), (85, 100)),
    Vital("Pulse", (Metric.PULSE_RATE,), (50, 120)),
    Vital("Heart rate", (Metric.HEART_RATE,), (50, 120)),
    Vital(
        "Blood pressure",
        (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE),
        (60, 160),
        continuous=False,
    ),
    Vital("Respiration", (Metric.RESPIRATORY_RATE,), (8, 30)),
    Vital("Temperature", (Metric.BODY_TEMPERATURE,), (35, 40), continuous=False),
    Vital("Glucose", (Metric.GLUCOSE,), (60, 240), continuous=False),
)
"""A battery's level and the like are no vital signs: technicians see them."""

VITAL_OF = {metric: vital for vital in VITALS for metric in vital.metrics}


def unit(metric: Metric) -> str:
    """The metric's unit as people write it."""
    code = METRICS[metric].unit
    return UNITS.get(code, code)

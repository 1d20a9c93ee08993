"""The newest values in words, for a paired telephone. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bedside_agent.signals import sentences
from bedside_agent.signals.sentences import _
from bedside_profiles.readings import METRICS, Metric, Modality, RangeFlag, Reading

VALUE = _("{about}: {value}, at {time}")
ABOVE = _("above what the device can show")
BELOW = _("below what the device can show")
A_MINUTE = _("a minute")

UNITS = {"/min": A_MINUTE, "mm[Hg]": "mmHg", "Cel": "°C"}
"""UCUM as people read it; what is not here stands as it is."""

SHOWN = (
    Metric.SPO2,
    Metric.PULSE_RATE,
    Metric.HEART_RATE,
    Metric.SYSTOLIC_PRESSURE,
    Metric.BODY_TEMPERATURE,
    Metric.RESPIRATORY_RATE,
    Metric.GLUCOSE,
    Metric.BODY_WEIGHT,
)
"""In this order; the diastolic pressure stands with the systolic one."""


@dataclass(frozen=True, slots=True)
class Line:
    """`disown` is the first sequence of a single check that the patient may disown; None for a continuous value."""

    text: str
    disown: int | None = None


def lines(
    newest: Mapping[Metric, Reading],
    say: Callable[[str], str],
    speak: Callable[[str], str],
    local: Callable[[int], datetime],
) -> tuple[Line, ...]:
    """One line a quantity that was measured since the hub was switched on. See `page.page` for the functions."""
    found = []
    for metric in SHOWN:
        reading = newest.get(metric)
        if reading is None:
            continue
        lower = newest.get(Metric.DIASTOLIC_PRESSURE) if metric is Metric.SYSTOLIC_PRESSURE else None
        value = _value(reading, say)
        if lower is not None and lower.taken_at_ms == reading.taken_at_ms and None not in (reading.value, lower.value):
            value = f"{_number(reading)}/{_value(lower, say)}"
        about = sentences.capital(speak(sentences.ABOUT.get(metric, sentences.SOMETHING)))
        text = say(VALUE).format(about=about, value=value, time=f"{local(reading.taken_at_ms):%H:%M}")
        is_check = reading.modality is Modality.SPOT
        found.append(Line(text, first_seq(reading) if is_check else None))
    return tuple(found)


def first_seq(reading: Reading) -> int:
    """The sequence that names the measurement of which the reading is a member."""
    return reading.seq if reading.group is None else reading.group


def _value(reading: Reading, say: Callable[[str], str]) -> str:
    if reading.value is None:
        return say(ABOVE if reading.range_flag is RangeFlag.ABOVE else BELOW)
    unit = METRICS[reading.metric].unit
    return f"{_number(reading)} {say(UNITS.get(unit, unit)) if unit in UNITS else unit}"


def _number(reading: Reading) -> str:
    return f"{reading.value:.{METRICS[reading.metric].decimals}f}"

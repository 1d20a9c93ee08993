"""Values in words for a paired telephone."""

from dataclasses import replace
from datetime import UTC, datetime

from tests.support.clock import NOON_MS
from tests.support.readings import reading

from bedside_agent.homepage.page import words
from bedside_agent.homepage.values import Line, lines
from bedside_agent.signals.sentences import translator
from bedside_profiles.readings import Metric, Modality, RangeFlag, Reading

SPO2 = reading(97.0, seq=1)


def shown(*readings: Reading, language: str = "en") -> tuple[str, ...]:
    return tuple([one.text for one in drawn(*readings, language=language)])


def drawn(*readings: Reading, language: str = "en") -> tuple[Line, ...]:
    newest = {one.metric: one for one in readings}
    return lines(newest, words(language), translator(language), lambda at: datetime.fromtimestamp(at / 1000, UTC))


def of(metric: Metric, value: float | None, **changes: object) -> Reading:
    return replace(SPO2, metric=metric, value=value, **changes)  # type: ignore[arg-type]


def test_a_value_has_its_unit_and_time() -> None:
    time = f"{datetime.fromtimestamp(NOON_MS / 1000, UTC):%H:%M}"
    assert shown(SPO2, of(Metric.PULSE_RATE, 71.6), of(Metric.BODY_TEMPERATURE, 36.6)) == (
        f"Your oxygen level: 97 %, at {time}",
        f"Your pulse: 72 a minute, at {time}",
        f"Your temperature: 36.6 °C, at {time}",
    )


def test_a_blood_pressure_is_one_line() -> None:
    (line,) = shown(of(Metric.SYSTOLIC_PRESSURE, 121.0), of(Metric.DIASTOLIC_PRESSURE, 79.0))
    assert line.startswith("Your blood pressure: 121/79 mmHg, at ")


def test_pressures_of_two_measurements_are_not_put_together() -> None:
    older = of(Metric.DIASTOLIC_PRESSURE, 79.0, taken_at_ms=NOON_MS - 60_000)
    (line,) = shown(of(Metric.SYSTOLIC_PRESSURE, 121.0), older)
    assert line.startswith("Your blood pressure: 121 mmHg, at ")


def test_what_a_device_cannot_show_is_said() -> None:
    (line,) = shown(of(Metric.GLUCOSE, None, range_flag=RangeFlag.ABOVE))
    assert line.startswith("Your blood sugar: above what the device can show, at ")


def test_in_spanish() -> None:
    assert shown(of(Metric.PULSE_RATE, 72.0), language="es")[0].startswith("Su pulso: 72 por minuto, a las ")


def test_a_hub_that_has_measured_nothing_shows_nothing() -> None:
    assert shown() == ()
    assert shown(of(Metric.BATTERY_LEVEL, 80.0)) == ()


def test_a_single_check_can_be_disowned_by_its_first_reading_and_a_stream_cannot() -> None:
    spot = {"modality": Modality.SPOT, "group": 7}
    pressure = of(Metric.SYSTOLIC_PRESSURE, 121.0, seq=7, **spot), of(Metric.DIASTOLIC_PRESSURE, 79.0, seq=8, **spot)
    weight = of(Metric.BODY_WEIGHT, 71.5, seq=12, modality=Modality.SPOT)
    assert [one.disown for one in drawn(SPO2, *pressure, weight)] == [None, 7, 12]

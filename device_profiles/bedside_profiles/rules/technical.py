"""Technical rules: when the patient is not being measured, or soon will not be. Never mixed with the others."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from bedside_profiles.bounds import Between, DeviceId, Name
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Delay

SHORTEST_SILENCE_MS = 10_000
"""Shorter pauses are no silence: some devices speak every few seconds."""

Percent = Annotated[int, Between(0, 100)]

RECOVERED_PERCENT = 5
"""How far above its limit a battery must come back before it is no longer low: a full swing of a reading."""


class TechnicalKind(StrEnum):
    """What can keep the patient from being measured. The value is the alarm's condition."""

    NO_DATA = "no_data"
    """A device that measures continuously is silent."""
    SENSOR_OFF = "sensor_off"
    """The device speaks, its sensor is not on the body."""
    BATTERY_LOW = "battery_low"
    """The device will stop soon."""
    CLOCK_FAULT = "clock_fault"
    """The hub, or a device that dates its own records, does not know the time."""


@dataclass(frozen=True, slots=True)
class TechnicalRule:
    """Fires when the fault has lasted for `delay_ms`; without `device_id` it holds for every device of the plan.

    `metric` narrows `no_data` to one quantity. A battery is low at `low_percent` and below, and at `critical_percent`
    as urgent as `critical_priority`. A device that a rule names must be heard even if it never was.
    """

    rule_id: Name
    version: int
    kind: TechnicalKind
    priority: Priority
    delay_ms: Delay = 0
    device_id: DeviceId | None = None
    metric: Metric | None = None
    low_percent: Percent = 20
    critical_percent: Percent = 5
    critical_priority: Priority = Priority.MEDIUM

    def __post_init__(self) -> None:
        if self.critical_percent > self.low_percent:
            raise ValueError("a battery is critical above the limit of low")
        if self.metric is not None and self.kind is not TechnicalKind.NO_DATA:
            raise ValueError("only missing data are missing of a metric")
        if self.kind is TechnicalKind.NO_DATA and self.delay_ms < SHORTEST_SILENCE_MS:
            raise ValueError("a device may be silent for ten seconds")


def is_low(rule: TechnicalRule, percent: int | None, *, flagged: bool, standing: bool) -> bool:
    """Whether the battery is low: `flagged` is the device's own word, `standing` that it was low before."""
    if flagged:
        return True
    if percent is None:
        return False
    return percent <= rule.low_percent or (standing and percent < rule.low_percent + RECOVERED_PERCENT)


def battery_priority(rule: TechnicalRule, percent: int | None) -> Priority:
    """How urgent a low battery is."""
    critical = percent is not None and percent <= rule.critical_percent
    return rule.critical_priority if critical else rule.priority

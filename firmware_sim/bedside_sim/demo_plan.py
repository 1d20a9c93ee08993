"""The demonstration's care plan, as a technician would hand it over: limits for the simulated patient."""

from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side, ThresholdRule

RULES = (
    ThresholdRule(
        rule_id="spo2-low",
        version=1,
        condition="spo2_low",
        metric=Metric.SPO2,
        side=Side.BELOW,
        limit=90,
        priority=Priority.HIGH,
        onset_delay_ms=5_000,
        clear_limit=92,
        clear_delay_ms=5_000,
        extreme_limit=80,
    ),
    ThresholdRule(
        rule_id="pulse-high",
        version=1,
        condition="pulse_high",
        metric=Metric.PULSE_RATE,
        side=Side.ABOVE,
        limit=130,
        priority=Priority.MEDIUM,
        onset_delay_ms=15_000,
        clear_limit=125,
        clear_delay_ms=5_000,
    ),
    ThresholdRule(
        rule_id="systolic-high",
        version=1,
        condition="systolic_high",
        metric=Metric.SYSTOLIC_PRESSURE,
        side=Side.ABOVE,
        limit=180,
        priority=Priority.HIGH,
        clear_limit=170,
        extreme_limit=200,
        spot_repeat_ms=60_000,
    ),
)
"""Quicker than a real plan's, so that a demonstration shows something within a minute. A clinician sets real ones."""

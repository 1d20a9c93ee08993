"""Builders of readings, alarms, events and care plans: a test names only what it is about."""

from dataclasses import replace
from typing import Any

from tests.support.clock import BOOT, NOON_MS

from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality, Measurement, Metric, Modality, Reading
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side, ThresholdRule
from bedside_profiles.waveforms import Signal
from bedside_profiles.wire.alarm import Alarm, AlarmKind, AlarmState
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.waveform import Waveform

HUB = "hub-0001"
OXIMETER = "oximeter-1"
STRAP = "strap-1"
PATIENT = "22222222-2222-4222-8222-222222222222"
PLAN = "33333333-3333-4333-8333-333333333333"
EPISODE = "44444444-4444-4444-8444-444444444444"
GENERATION = "55555555-5555-4555-8555-555555555555"


def measurement(metric: Metric = Metric.SPO2, value: float | None = 97.0, **changes: Any) -> Measurement:
    """A continuous SpO2 of 97 %."""
    return replace(Measurement(metric, value, Modality.CONTINUOUS), **changes)


def reading(value: float | None = 97.0, *, at: Instant | None = None, **changes: Any) -> Reading:
    """A continuous SpO2 of 97 %, not yet stored."""
    at = at or Instant(NOON_MS, 100_000, BOOT, ClockQuality.SYNCED)
    plain = {
        "seq": 0,
        "device_id": OXIMETER,
        "metric": Metric.SPO2,
        "value": value,
        "modality": Modality.CONTINUOUS,
        "taken_at_ms": at.utc_ms,
        "boot_id": at.boot_id,
        "monotonic_ms": at.monotonic_ms,
        "clock_quality": at.quality,
    }
    return Reading(**{**plain, **changes})


def alarm(**changes: Any) -> Alarm:
    """A raised low SpO2, not yet stored."""
    plain = {
        "seq": 0,
        "episode": EPISODE,
        "condition": "spo2_low",
        "kind": AlarmKind.PHYSIOLOGICAL,
        "priority": Priority.HIGH,
        "state": AlarmState.RAISED,
        "at_ms": NOON_MS,
        "onset_ms": NOON_MS - 10_000,
        "boot_id": BOOT,
        "monotonic_ms": 100_000,
        "clock_quality": ClockQuality.SYNCED,
    }
    return Alarm(**{**plain, **changes})


def event(**changes: Any) -> Event:
    """The agent started, not yet stored."""
    plain = {"seq": 0, "kind": "agent_started", "at_ms": NOON_MS, "boot_id": BOOT, "monotonic_ms": 100_000}
    return Event(**{**plain, **changes})


def waveform(**changes: Any) -> Waveform:
    """Five samples of an electrocardiogram, not yet stored."""
    plain = {
        "seq": 0,
        "device_id": STRAP,
        "signal": Signal.ECG,
        "rate_hz": 130.0,
        "samples": (0, 12, -40, 1200, -300),
        "taken_at_ms": NOON_MS,
        "boot_id": BOOT,
        "monotonic_ms": 100_000,
        "clock_quality": ClockQuality.SYNCED,
    }
    return Waveform(**{**plain, **changes})


def rule(**changes: Any) -> ThresholdRule:
    """SpO2 below 88 % for 10 s, cleared at 90 %, at 75 % at once."""
    plain = ThresholdRule(
        rule_id="spo2-low",
        version=1,
        condition="spo2_low",
        metric=Metric.SPO2,
        side=Side.BELOW,
        limit=88,
        priority=Priority.HIGH,
        onset_delay_ms=10_000,
        clear_limit=90,
        extreme_limit=75,
    )
    return replace(plain, **changes)


def plan(**changes: Any) -> CarePlan:
    """An active plan with one rule and one device, in force since long ago."""
    plain = CarePlan(
        schema=SCHEMA_VERSION,
        plan_id=PLAN,
        version=1,
        hub_id=HUB,
        patient_id=PATIENT,
        issued_at_ms=NOON_MS - 60_000,
        active=True,
        rules=(rule(),),
        devices=(PlannedDevice(OXIMETER, 0),),
        emergency_number="112",
        call_back_number="+49 30 0000000",
    )
    return replace(plain, **changes)

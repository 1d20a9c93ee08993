"""What keeps the patient from being measured: silent devices, sensors off the body, batteries, clocks. Pure.

Sensor-off hides nothing: readings without contact raise no new alarm, and an alarm that was active stays so and makes
the lost contact one of high priority, because patients who collapse lose their sensors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bedside_agent.alarms.mind import Battery, Contact, Finding, Heard, Mind
from bedside_agent.alarms.watching import is_watched
from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality, Metric, Modality, Quality, Reading
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.technical import (
    SHORTEST_SILENCE_MS,
    TechnicalKind,
    TechnicalRule,
    battery_priority,
    is_low,
)
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.careplan import CarePlan

DEFAULT = "default-"
"""How the ids of the rules begin that hold without a plan's word."""

QUIET_MS = 30_000
"""The shortest pause that is written down, so that the silence is counted on after a reboot of the hub."""


def defaults(silence_ms: int) -> tuple[TechnicalRule, ...]:
    """What holds where the plan has no rule of that kind for the device."""
    return (
        TechnicalRule("default-no-data", 1, TechnicalKind.NO_DATA, Priority.MEDIUM, delay_ms=silence_ms),
        TechnicalRule("default-sensor-off", 1, TechnicalKind.SENSOR_OFF, Priority.MEDIUM, delay_ms=120_000),
        TechnicalRule("default-battery-low", 1, TechnicalKind.BATTERY_LOW, Priority.LOW),
        TechnicalRule("default-clock-fault", 1, TechnicalKind.CLOCK_FAULT, Priority.LOW, delay_ms=3_600_000),
    )


def hear(mind: Mind, device_id: str, readings: Sequence[Reading], now: Instant) -> Mind:
    """After one frame of readings that came when they were taken."""
    heard = dict(mind.heard)
    metrics = {one.metric for one in readings if one.modality is Modality.CONTINUOUS}
    for metric in (None, *metrics) if metrics else ():
        heard[device_id, metric] = Heard(device_id, metric, now.monotonic_ms, now.utc_ms)
    flags = frozenset(flag for one in readings for flag in one.quality)
    mind = replace(mind, heard=heard)
    mind = touch(mind, device_id, now, contact=Quality.NO_CONTACT not in flags)
    known = mind.batteries.get(device_id)
    if Quality.LOW_BATTERY in flags or (known is not None and known.flagged):
        battery = Battery(device_id, known.percent if known else None, Quality.LOW_BATTERY in flags)
        mind = replace(mind, batteries={**mind.batteries, device_id: battery})
    clockless = mind.clockless - {device_id} | ({device_id} if Quality.DEVICE_CLOCK_UNSET in flags else set())
    return replace(mind, clockless=clockless)


def without_clock(mind: Mind, device_id: str) -> Mind:
    """After the device said, of readings that nobody can date, that its clock was never set."""
    return replace(mind, clockless=mind.clockless | {device_id})


def touch(mind: Mind, device_id: str, now: Instant, *, contact: bool) -> Mind:
    """After the device said whether its sensor is on the body. A device that says it is off is not silent."""
    contacts = {key: one for key, one in mind.contacts.items() if key != device_id}
    if contact:
        return replace(mind, contacts=contacts) if device_id in mind.contacts else mind
    before = mind.contacts.get(device_id)
    since = (before.off_since_ms, before.off_since_utc_ms) if before else (now.monotonic_ms, now.utc_ms)
    contacts[device_id] = Contact(device_id, *since, said_ms=now.monotonic_ms)
    heard = {
        key: replace(one, at_ms=now.monotonic_ms, at_utc_ms=now.utc_ms, quiet=0) if key[0] == device_id else one
        for key, one in mind.heard.items()
    }
    return replace(mind, contacts=contacts, heard=heard)


def charge(mind: Mind, device_id: str, percent: int) -> Mind:
    """After the device said how full its battery is."""
    known = mind.batteries.get(device_id)
    battery = Battery(device_id, percent, known.flagged if known else False)
    return replace(mind, batteries={**mind.batteries, device_id: battery})


def pass_time(plan: CarePlan, mind: Mind, now: Instant) -> Mind:
    """When time passes: pauses become quiet, and devices that a rule names are expected from now on."""
    heard = {
        key: replace(one, quiet=(max(0, now.monotonic_ms - one.at_ms) // QUIET_MS).bit_length())
        for key, one in mind.heard.items()
    }
    for rule in plan.technical:
        if rule.kind is TechnicalKind.NO_DATA and rule.device_id is not None:
            key = (rule.device_id, rule.metric)
            if key not in heard and is_watched(plan, rule.device_id, now):
                heard[key] = Heard(rule.device_id, rule.metric, now.monotonic_ms, now.utc_ms)
    unsynced = mind.unsynced_since_ms
    if now.quality is ClockQuality.SYNCED:
        unsynced = None
    elif unsynced is None:
        unsynced = now.monotonic_ms
    return replace(mind, heard=heard, unsynced_since_ms=unsynced)


def findings(
    plan: CarePlan, mind: Mind, alarming: frozenset[str], now: Instant, fallback: Sequence[TechnicalRule]
) -> Iterator[Finding]:
    """What is present now. `alarming` are devices on whose word a physiological alarm is active."""
    rules = (*plan.technical, *fallback)
    for heard in mind.heard.values():
        if now.monotonic_ms - heard.at_ms < SHORTEST_SILENCE_MS:
            continue
        rule = _rule(rules, TechnicalKind.NO_DATA, heard.device_id, heard.metric)
        if rule is not None and now.monotonic_ms - heard.at_ms >= rule.delay_ms:
            yield _of_device(rule, heard.device_id, heard.at_utc_ms, now, alarming, heard.metric)
    for contact in mind.contacts.values():
        rule = _rule(rules, TechnicalKind.SENSOR_OFF, contact.device_id)
        lasted_ms = contact.said_ms - contact.off_since_ms
        if rule is not None and (lasted_ms >= rule.delay_ms or contact.device_id in alarming):
            yield _of_device(rule, contact.device_id, contact.off_since_utc_ms, now, alarming)
    for battery in mind.batteries.values():
        rule = _rule(rules, TechnicalKind.BATTERY_LOW, battery.device_id)
        stood = (TechnicalKind.BATTERY_LOW.value, battery.device_id) in mind.standing
        if rule is not None and is_low(rule, battery.percent, flagged=battery.flagged, standing=stood):
            urgent = replace(rule, priority=battery_priority(rule, battery.percent))
            yield _of_device(urgent, battery.device_id, None, now, frozenset())
    for device_id in sorted(mind.clockless):
        rule = _rule(rules, TechnicalKind.CLOCK_FAULT, device_id)
        if rule is not None:
            yield _of_device(rule, device_id, None, now, frozenset())
    rule = _rule(rules, TechnicalKind.CLOCK_FAULT, None)
    since_ms = mind.unsynced_since_ms
    if rule is not None and since_ms is not None and now.monotonic_ms - since_ms >= rule.delay_ms:
        yield Finding(rule.kind.value, AlarmKind.TECHNICAL, rule.priority, rule_id=_named(rule))


def _rule(
    rules: Sequence[TechnicalRule], kind: TechnicalKind, device_id: str | None, metric: Metric | None = None
) -> TechnicalRule | None:
    """The rule for this device: one that names it, else one for every device, the plan's before the default."""
    fitting = [rule for rule in rules if rule.kind is kind and rule.metric is metric]
    named = [rule for rule in fitting if rule.device_id == device_id]
    general = [rule for rule in fitting if rule.device_id is None]
    return next(iter([*named, *general]), None)


def _of_device(
    rule: TechnicalRule,
    device_id: str,
    since_utc_ms: int | None,
    now: Instant,
    alarming: frozenset[str],
    metric: Metric | None = None,
) -> Finding:
    return Finding(
        condition=rule.kind.value if metric is None else f"{rule.kind.value}.{metric.value}",
        kind=AlarmKind.TECHNICAL,
        priority=Priority.HIGH if device_id in alarming else rule.priority,
        onset_ms=None if since_utc_ms is None else max(0, min(since_utc_ms, now.utc_ms)),
        subject=device_id,
        rule_id=_named(rule),
        device_id=device_id,
        metric=metric,
    )


def _named(rule: TechnicalRule) -> str | None:
    """The rule's id, where the plan has it."""
    return None if rule.rule_id.startswith(DEFAULT) else rule.rule_id

"""Planned measurements: done, due, overdue. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from bedside_agent.alarms.mind import Finding, Mind
from bedside_agent.alarms.watching import taken_ms
from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality, Quality, Reading
from bedside_profiles.rules.cadence import CadenceRule, CadenceState, done, tick
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.careplan import CarePlan


def observe(plan: CarePlan, mind: Mind, reading: Reading, now: Instant) -> Mind:
    """After one reading of a watched device, late or not: it was measured when it was taken."""
    if Quality.NO_CONTACT in reading.quality:
        return mind
    served = [rule for rule in plan.cadences if rule.metric is reading.metric]
    if not served:
        return mind
    at_ms = taken_ms(reading, now)
    fresh = {rule.rule_id: done(mind.cadences.get(rule.rule_id), at_ms) for rule in served}
    return replace(mind, cadences={**mind.cadences, **fresh})


def pass_time(plan: CarePlan, mind: Mind, now: Instant) -> tuple[Mind, tuple[CadenceRule, ...]]:
    """When time passes; the measurements of which the patient is to be reminded now."""
    utc_ms = now.utc_ms if now.quality is ClockQuality.SYNCED else None
    cadences, reminders = dict(mind.cadences), list[CadenceRule]()
    for rule in plan.cadences:
        before = cadences.get(rule.rule_id, CadenceState(now.monotonic_ms))
        after, _ = tick(rule, before, now.monotonic_ms, utc_ms)
        cadences[rule.rule_id] = after
        if before.reminded_ms is None and after.reminded_ms is not None:
            reminders.append(rule)
    return replace(mind, cadences=cadences), tuple(reminders)


def findings(plan: CarePlan, mind: Mind) -> Iterator[Finding]:
    """What is overdue now."""
    for rule in plan.cadences:
        state = mind.cadences.get(rule.rule_id)
        if state is not None and state.overdue:
            yield Finding(rule.condition, AlarmKind.TECHNICAL, rule.priority, rule_id=rule.rule_id, metric=rule.metric)

"""The cloud's own run of the rules over stored readings: pure, so that the same readings give the same result.

Thresholds only: rates, planned measurements and technical rules are the hub's alone, which hears also what gives no
reading. Their alarms come as the hub's word.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bedside_cloud.contracts.readings import StoredReading
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import (
    NORMAL,
    Change,
    RuleState,
    Sample,
    ThresholdRule,
    priority_of,
    step,
    tick,
)


@dataclass(frozen=True, slots=True)
class Transition:
    """A rule raised, worsened or cleared. `reading` is None when it was time alone that raised it."""

    rule: ThresholdRule
    change: Change
    at_ms: int
    onset_ms: int
    reading: StoredReading | None
    priority: Priority


def evaluate(
    rules: Iterable[ThresholdRule], states: Mapping[str, RuleState], readings: Iterable[StoredReading]
) -> tuple[dict[str, RuleState], list[Transition]]:
    """States after `readings` (of one patient) in order of their time, and what happened on the way."""
    after = dict(states)
    transitions: list[Transition] = []
    ordered = sorted(readings, key=lambda one: (one.taken_at_ms, one.seq))
    for rule in rules:
        state = after.get(rule.rule_id, NORMAL)
        for reading in ordered:
            if reading.metric is not rule.metric:
                continue
            sample = Sample(reading.taken_at_ms, reading.value, reading.modality, reading.range_flag)
            before, (state, change) = state, step(rule, state, sample)
            if change is not Change.NONE:
                onset = before.since_ms if change is Change.CLEARED else state.since_ms
                at_ms = reading.taken_at_ms
                onset_ms = at_ms if onset is None else onset
                transitions.append(Transition(rule, change, at_ms, onset_ms, reading, priority_of(rule, state)))
        after[rule.rule_id] = state
    transitions.sort(key=lambda one: one.at_ms)
    return after, transitions


def elapse(
    rules: Iterable[ThresholdRule], states: Mapping[str, RuleState], now_ms: int
) -> tuple[dict[str, RuleState], list[Transition]]:
    """States when time has passed without a reading: timers are looked at again before they act."""
    after = dict(states)
    transitions: list[Transition] = []
    for rule in rules:
        state, change = tick(rule, after.get(rule.rule_id, NORMAL), now_ms)
        after[rule.rule_id] = state
        if change is Change.RAISED:
            onset = now_ms if state.since_ms is None else state.since_ms
            transitions.append(Transition(rule, change, now_ms, onset, None, priority_of(rule, state)))
    return after, transitions

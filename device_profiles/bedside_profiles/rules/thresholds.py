"""Threshold rules with onset delay and a separate clear limit.

A continuous signal must stay beyond its limit for the onset delay before it raises; a spot check that is out of
range asks for a repeat and raises when none comes in time; an extreme value raises at once, or worsens an alarm that
is active; only a value back inside the clear limit clears (see `docs/hazards.md`). Times are milliseconds on whichever
time line the caller keeps: monotonic on the hub, `taken_at_ms` in the cloud.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from bedside_profiles.bounds import Between, Name
from bedside_profiles.readings import Metric, Modality, RangeFlag
from bedside_profiles.rules.priority import Priority, higher

Delay = Annotated[int, Between(0, 86_400_000)]


class Side(StrEnum):
    """On which side of the limit the value is out of range."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """`limit` itself is in range: a rule `below` 88 fires at 87.9, not at 88.

    `clear_limit` must be reached again before the alarm clears, and held for `clear_delay_ms`. At or beyond
    `extreme_limit` the rule fires with no delay, and with `extreme_priority` where that is more urgent than
    `priority`. A spot check waits `spot_repeat_ms` for its repeat.
    """

    rule_id: Name
    version: int
    condition: Name
    metric: Metric
    side: Side
    limit: float
    priority: Priority
    onset_delay_ms: Delay = 0
    clear_limit: float | None = None
    clear_delay_ms: Delay = 0
    extreme_limit: float | None = None
    spot_repeat_ms: Delay = 300_000
    extreme_priority: Priority | None = None

    def __post_init__(self) -> None:
        sign = 1 if self.side is Side.ABOVE else -1
        if self.clear_limit is not None and sign * (self.limit - self.clear_limit) < 0:
            raise ValueError("the clear limit lies on the alarm's side of the limit")
        if self.extreme_limit is not None and sign * (self.extreme_limit - self.limit) < 0:
            raise ValueError("the extreme limit lies on the safe side of the limit")


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading as a rule sees it; `value` is None exactly when `range_flag` is set."""

    at_ms: int
    value: float | None
    modality: Modality
    range_flag: RangeFlag | None = None


class Phase(StrEnum):
    """`pending`: out of range, waiting for the onset delay or for the repeat of a spot check."""

    NORMAL = "normal"
    PENDING = "pending"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class RuleState:
    """What must survive a restart. `since_ms` is when the phase's first out-of-range sample was taken.

    `deadline_ms` is when a pending spot check fires without a repeat; `calm_since_ms` is when an active alarm's
    samples came back inside the clear limit; `last_ms` is the newest sample seen. `extreme` is set from the first
    extreme sample until the alarm is over.
    """

    phase: Phase = Phase.NORMAL
    since_ms: int | None = None
    deadline_ms: int | None = None
    calm_since_ms: int | None = None
    last_ms: int | None = None
    extreme: bool = False


class Change(StrEnum):
    """What a step did; `none` changes nothing that anybody must hear of."""

    NONE = "none"
    RAISED = "raised"
    WORSENED = "worsened"
    CLEARED = "cleared"


NORMAL = RuleState()


def is_beyond(rule: ThresholdRule, limit: float, sample: Sample, *, reached: bool = False) -> bool:
    """Whether the sample lies beyond `limit` on the rule's side (`reached`: or exactly on it).

    A reading without a number lies beyond every limit on its own side and beyond none on the other.
    """
    if sample.range_flag is not None:
        return sample.range_flag.value == rule.side.value
    value = sample.value
    assert value is not None  # noqa: S101 - a sample has either a value or a range flag
    if value == limit:
        return reached
    return value > limit if rule.side is Side.ABOVE else value < limit


def priority_of(rule: ThresholdRule, state: RuleState) -> Priority:
    """How urgent the rule's alarm is: an extreme value may be more urgent, and stays so until the alarm is over."""
    if state.extreme and rule.extreme_priority is not None:
        return higher(rule.priority, rule.extreme_priority)
    return rule.priority


def step(rule: ThresholdRule, state: RuleState, sample: Sample) -> tuple[RuleState, Change]:
    """The state after one sample. A sample older than the newest one seen changes nothing."""
    if state.last_ms is not None and sample.at_ms < state.last_ms:
        return state, Change.NONE
    state = replace(state, last_ms=sample.at_ms)
    if is_beyond(rule, rule.limit, sample):
        return _out_of_range(rule, state, sample)
    if state.phase is Phase.ACTIVE:
        return _calming(rule, state, sample)
    return RuleState(last_ms=sample.at_ms), Change.NONE


def _out_of_range(rule: ThresholdRule, state: RuleState, sample: Sample) -> tuple[RuleState, Change]:
    extreme = sample.range_flag is not None or (
        rule.extreme_limit is not None and is_beyond(rule, rule.extreme_limit, sample, reached=True)
    )
    if state.phase is Phase.ACTIVE:
        worse = extreme and not state.extreme
        after = replace(state, calm_since_ms=None, extreme=state.extreme or extreme)
        return after, Change.WORSENED if worse else Change.NONE
    since = state.since_ms if state.phase is Phase.PENDING and state.since_ms is not None else sample.at_ms
    if sample.modality is Modality.SPOT:
        due = state.phase is Phase.PENDING
        deadline = sample.at_ms + rule.spot_repeat_ms
    else:
        due = sample.at_ms - since >= rule.onset_delay_ms
        deadline = None
    if extreme or due:
        return replace(state, phase=Phase.ACTIVE, since_ms=since, deadline_ms=None, extreme=extreme), Change.RAISED
    return replace(state, phase=Phase.PENDING, since_ms=since, deadline_ms=deadline), Change.NONE


def _calming(rule: ThresholdRule, state: RuleState, sample: Sample) -> tuple[RuleState, Change]:
    clear_limit = rule.limit if rule.clear_limit is None else rule.clear_limit
    if is_beyond(rule, clear_limit, sample):
        return replace(state, calm_since_ms=None), Change.NONE
    calm_since = state.calm_since_ms if state.calm_since_ms is not None else sample.at_ms
    if sample.at_ms - calm_since >= rule.clear_delay_ms:
        return RuleState(last_ms=sample.at_ms), Change.CLEARED
    return replace(state, calm_since_ms=calm_since), Change.NONE


def tick(rule: ThresholdRule, state: RuleState, now_ms: int) -> tuple[RuleState, Change]:
    """The state when time passes without a sample: a spot check whose repeat never came fires."""
    if state.phase is Phase.PENDING and state.deadline_ms is not None and now_ms >= state.deadline_ms:
        return replace(state, phase=Phase.ACTIVE, deadline_ms=None), Change.RAISED
    return state, Change.NONE

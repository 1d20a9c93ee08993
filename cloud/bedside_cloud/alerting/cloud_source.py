"""The cloud as an alert's source: what its own run of the rules does to a patient's alerts.

A rule that is active holds its condition to be present; several rules may speak of one condition, and it is gone for
the cloud when the last of them has cleared. The caller holds the patient's lock.
"""

from collections.abc import Mapping, Sequence

from bedside_cloud.alerting import store
from bedside_cloud.alerting.evaluation import Transition
from bedside_cloud.alerting.lifecycle import Raise
from bedside_cloud.alerting.saving import Changed, clear_alert, raise_alert
from bedside_cloud.contracts.alerts import AlertSource
from bedside_cloud.contracts.readings import StoredReading
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Connection
from bedside_profiles.rules.thresholds import Change, Phase, RuleState, Sample, ThresholdRule, is_beyond, priority_of
from bedside_profiles.wire.alarm import AlarmKind

States = dict[str, RuleState]


async def states_in_force(connection: Connection, plan: Plan, at_ms: int) -> tuple[States, Changed]:
    """States of the plan's rules, and what changed because rules left the plan.

    Another version of a rule starts afresh, but an active one stays active until the new version clears it; a rule
    that has left the plan holds its condition no longer.
    """
    kept = await store.rule_states(connection, plan.patient_id)
    rules = {rule.rule_id: rule for rule in plan.rules}
    states: States = {}
    gone: dict[str, str] = {}
    for rule_id, one in kept.items():
        rule, state = rules.get(rule_id), one.state
        if rule is None or one.condition not in ("", rule.condition):
            gone[rule_id] = one.condition
        elif rule.version == one.version:
            states[rule_id] = state
        elif state.phase is Phase.ACTIVE:
            since_ms, last_ms = state.since_ms, state.last_ms
            states[rule_id] = RuleState(Phase.ACTIVE, since_ms, last_ms=last_ms, extreme=state.extreme)
    changed: Changed = []
    if gone:
        await store.forget_rules(connection, plan.patient_id, tuple(gone))
        for condition in sorted(set(gone.values()) - set(held_conditions(plan, states))):
            changed += await _clear(connection, plan, condition, at_ms)
    return states, changed


def held_conditions(plan: Plan, states: Mapping[str, RuleState]) -> dict[str, int]:
    """Conditions that the rules hold to be present, each with the time of the newest sample that was looked at."""
    held: dict[str, int] = {}
    for rule in plan.rules:
        state = states.get(rule.rule_id)
        if state is not None and state.phase is Phase.ACTIVE:
            held[rule.condition] = max(held.get(rule.condition, 0), state.last_ms or 0)
    return held


async def keep(
    connection: Connection,
    plan: Plan,
    before: States,
    after: States,
    transitions: Sequence[Transition],
    readings: Sequence[StoredReading],
    heard_at_ms: int,
) -> Changed:
    """Write the rules' states, and let the patient's alerts follow them."""
    for rule in plan.rules:
        if after[rule.rule_id] != before.get(rule.rule_id):
            state = after[rule.rule_id]
            await store.save_rule_state(connection, plan.patient_id, rule, state)
    held = held_conditions(plan, after)
    changed: Changed = []
    for transition in transitions:
        if transition.change is not Change.CLEARED:
            changed.append(await raise_alert(connection, _raise(plan, transition, heard_at_ms)))
        elif transition.rule.condition not in held:
            changed += await _clear(connection, plan, transition.rule.condition, transition.at_ms)
    raised = {one.rule.rule_id for one in transitions if one.change is not Change.CLEARED}
    for rule in plan.rules:
        if after[rule.rule_id].phase is Phase.ACTIVE and rule.rule_id not in raised:
            changed += await _hold(connection, plan, rule, after[rule.rule_id], readings, heard_at_ms)
    return changed


async def _hold(
    connection: Connection,
    plan: Plan,
    rule: ThresholdRule,
    state: RuleState,
    readings: Sequence[StoredReading],
    heard_at_ms: int,
) -> Changed:
    """Raise again what is still out of range although its alert is over: it was stale when another source cleared."""
    newest = max(
        (one for one in readings if one.metric is rule.metric), key=lambda one: (one.taken_at_ms, one.seq), default=None
    )
    if newest is None or newest.taken_at_ms != state.last_ms:
        return []
    sample = Sample(newest.taken_at_ms, newest.value, newest.modality, newest.range_flag)
    if not is_beyond(rule, rule.limit, sample):
        return []
    present = await store.active_alert(connection, plan.patient_id, rule.condition, test=False)
    word = None if present is None else present.sources.get(AlertSource.CLOUD)
    if word is not None and word.present:
        return []
    onset_ms = newest.taken_at_ms if state.since_ms is None else state.since_ms
    again = Transition(rule, Change.RAISED, newest.taken_at_ms, onset_ms, newest, priority_of(rule, state))
    return [await raise_alert(connection, _raise(plan, again, heard_at_ms))]


async def _clear(connection: Connection, plan: Plan, condition: str, at_ms: int) -> Changed:
    present = await store.active_alert(connection, plan.patient_id, condition, test=False)
    return await clear_alert(connection, present, AlertSource.CLOUD, at_ms)


def _raise(plan: Plan, transition: Transition, heard_at_ms: int) -> Raise:
    rule, reading = transition.rule, transition.reading
    return Raise(
        source=AlertSource.CLOUD,
        patient_id=plan.patient_id,
        hub_id=plan.hub_id,
        condition=rule.condition,
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=transition.priority,
        at_ms=transition.at_ms,
        onset_ms=transition.onset_ms,
        heard_at_ms=heard_at_ms,
        metric=rule.metric,
        side=rule.side,
        value=None if reading is None else reading.value,
        range_flag=None if reading is None else reading.range_flag,
        limit=rule.limit,
        rule_id=rule.rule_id,
        plan_version=plan.version,
    )

"""The one writer of alerts: takes hub alarms, stored readings, elapsed timers and acknowledgements."""

from collections.abc import Sequence

from bedside_cloud.alerting import lifecycle, store
from bedside_cloud.alerting.evaluation import Transition, elapse, evaluate
from bedside_cloud.alerting.lifecycle import AlertRecord, Raise
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.alerts import AcknowledgeRequest, AlertSource
from bedside_cloud.contracts.readings import StoredAlarm, StoredReading
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Connection
from bedside_profiles.rules.thresholds import Change, RuleState
from bedside_profiles.wire.alarm import AlarmKind, AlarmState

Changed = list[AlertRecord]
"""What a transaction changed, in order; told to screens and hubs after the commit."""


async def take_hub_alarm(connection: Connection, said: StoredAlarm, plan: Plan) -> Changed:
    """Raise or clear what a hub said, once, for the patient whom that hub serves by `plan`.

    Whose alarm it is follows from the hub's identity, not from what the alarm claims.
    """
    if not await store.take_alarm(connection, said.hub_id, said.store_id, said.alarm.seq):
        return []
    await store.lock_patient(connection, plan.patient_id)
    alarm = said.alarm
    if alarm.state is AlarmState.CLEARED:
        await store.end_episode(connection, alarm.episode, alarm.at_ms)
        present = await store.active_alert(connection, plan.patient_id, alarm.condition, test=alarm.test)
        if present is None or AlertSource.HUB not in present.sources:
            return []
        return [await _save_cleared(connection, present, AlertSource.HUB, alarm.at_ms)]
    side = next((rule.side for rule in plan.rules if rule.rule_id == alarm.rule_id), None)
    raise_ = Raise(
        source=AlertSource.HUB,
        patient_id=plan.patient_id,
        hub_id=said.hub_id,
        condition=alarm.condition,
        kind=alarm.kind,
        priority=alarm.priority,
        at_ms=alarm.at_ms,
        onset_ms=alarm.onset_ms,
        heard_at_ms=said.heard_at_ms,
        metric=alarm.metric,
        side=side,
        value=alarm.value,
        range_flag=alarm.range_flag,
        limit=alarm.limit,
        rule_id=alarm.rule_id,
        plan_version=alarm.plan_version,
        episode=alarm.episode,
        test=alarm.test,
    )
    changed = [await _save_raised(connection, raise_)]
    ended_at_ms = await store.episode_end(connection, alarm.episode)
    if ended_at_ms is not None:
        changed.append(await _save_cleared(connection, changed[-1], AlertSource.HUB, ended_at_ms))
    return changed


async def take_readings(
    connection: Connection, plan: Plan, readings: Sequence[StoredReading], heard_at_ms: int
) -> Changed:
    """Run the plan's rules over readings of its patient."""
    await store.lock_patient(connection, plan.patient_id)
    states = await _states(connection, plan)
    after, transitions = evaluate(plan.rules, states, readings)
    return await _keep(connection, plan, states, after, transitions, heard_at_ms)


async def take_time(connection: Connection, plan: Plan, now_ms: int) -> Changed:
    """Look at the plan's timers."""
    await store.lock_patient(connection, plan.patient_id)
    states = await _states(connection, plan)
    after, transitions = elapse(plan.rules, states, now_ms)
    return await _keep(connection, plan, states, after, transitions, now_ms)


async def acknowledge(connection: Connection, request: AcknowledgeRequest, now_ms: int) -> tuple[AlertRecord, Changed]:
    """Put a person's name on an alert; RefusedError 404 if there is none. A second time changes nothing."""
    patient_id = await store.patient_of(connection, request.alert_id)
    if patient_id is None:
        raise RefusedError(404, "there is no such alert")
    await store.lock_patient(connection, patient_id)
    present = await store.alert_by_id(connection, request.alert_id)
    if present is None:
        raise RefusedError(404, "there is no such alert")
    record = lifecycle.acknowledged(present, request.person_id, request.person_name, now_ms)
    if record is present:
        return present, []
    await store.save_alert(connection, record, "acknowledged", by_person=request.person_id)
    return record, [record]


async def _states(connection: Connection, plan: Plan) -> dict[str, RuleState]:
    """States of the plan's rules; the state of another version of a rule is not carried over its change."""
    versions = {rule.rule_id: rule.version for rule in plan.rules}
    kept = await store.rule_states(connection, plan.patient_id)
    return {rule_id: state for rule_id, (version, state) in kept.items() if versions.get(rule_id) == version}


async def _keep(
    connection: Connection,
    plan: Plan,
    before: dict[str, RuleState],
    after: dict[str, RuleState],
    transitions: Sequence[Transition],
    heard_at_ms: int,
) -> Changed:
    for rule in plan.rules:
        if after[rule.rule_id] != before.get(rule.rule_id):
            state = after[rule.rule_id]
            await store.save_rule_state(connection, plan.patient_id, rule.rule_id, rule.version, state)
    return [record for transition in transitions for record in await _follow(connection, plan, transition, heard_at_ms)]


async def _follow(connection: Connection, plan: Plan, transition: Transition, heard_at_ms: int) -> Changed:
    rule, reading = transition.rule, transition.reading
    if transition.change is Change.CLEARED:
        present = await store.active_alert(connection, plan.patient_id, rule.condition, test=False)
        if present is None or AlertSource.CLOUD not in present.sources:
            return []
        return [await _save_cleared(connection, present, AlertSource.CLOUD, transition.at_ms)]
    raise_ = Raise(
        source=AlertSource.CLOUD,
        patient_id=plan.patient_id,
        hub_id=plan.hub_id,
        condition=rule.condition,
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=rule.priority,
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
    return [await _save_raised(connection, raise_)]


async def _save_raised(connection: Connection, raise_: Raise) -> AlertRecord:
    present = await store.alert_around(connection, raise_.patient_id, raise_.condition, raise_.at_ms, test=raise_.test)
    record = lifecycle.raised(present, raise_)
    await store.save_alert(connection, record, "raised", source=raise_.source)
    return record


async def _save_cleared(connection: Connection, present: AlertRecord, source: AlertSource, at_ms: int) -> AlertRecord:
    record = lifecycle.cleared(present, source, at_ms)
    await store.save_alert(connection, record, "cleared", source=source)
    return record

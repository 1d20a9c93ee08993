"""The one writer of alerts: takes hub alarms, stored readings, elapsed timers and acknowledgements."""

from collections.abc import Sequence
from dataclasses import replace

from bedside_cloud.alerting import cloud_source, lifecycle, store
from bedside_cloud.alerting.evaluation import elapse, evaluate
from bedside_cloud.alerting.lifecycle import AlertRecord, Raise
from bedside_cloud.alerting.saving import Changed, clear_alert, raise_alert
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.alerts import AcknowledgeRequest, AlertSource
from bedside_cloud.contracts.readings import StoredAlarm, StoredReading
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Connection
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.alarm import Alarm, AlarmKind, AlarmState

CLOCK_TOLERANCE_MS = 5_000
"""How far a hub's clock may be ahead of the broker's before its times are not believed."""

__all__ = ["Changed", "acknowledge", "take_hub_alarm", "take_readings", "take_time"]


async def take_hub_alarm(connection: Connection, said: StoredAlarm, plan: Plan) -> Changed:
    """Raise or clear what a hub said, once, for the patient whom that hub serves by `plan`.

    Whose alarm it is follows from the hub's identity, not from what the alarm claims.
    """
    if not await store.take_alarm(connection, said.hub_id, said.store_id, said.alarm.seq):
        return []
    await store.lock_patient(connection, plan.patient_id)
    alarm = _believable(said.alarm, said.heard_at_ms)
    if alarm.state is AlarmState.CLEARED:
        await store.end_episode(connection, alarm.episode, alarm.at_ms)
        return await _clear_hub(connection, plan, alarm, alarm.at_ms)
    # Only thresholds have a side; a rate's limit is a change, and a technical alarm has neither.
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
        device_id=_subject(alarm),
    )
    changed = [await raise_alert(connection, raise_)]
    ended_at_ms = await store.episode_end(connection, alarm.episode)
    if ended_at_ms is not None:
        changed += await _clear_hub(connection, plan, alarm, ended_at_ms)
    return changed


def _believable(alarm: Alarm, heard_at_ms: int) -> Alarm:
    """The alarm at a time that can be.

    A hub whose clock is ahead, or that does not know the time, speaks of what was the case when it was heard.
    """
    excess_ms = alarm.at_ms - heard_at_ms
    if excess_ms <= CLOCK_TOLERANCE_MS and alarm.clock_quality is not ClockQuality.UNSYNCED:
        return alarm
    return replace(alarm, at_ms=heard_at_ms, onset_ms=max(0, min(alarm.onset_ms - excess_ms, heard_at_ms)))


def _subject(alarm: Alarm) -> str:
    """The device that the alarm is about."""
    return alarm.device_id or "" if alarm.kind is AlarmKind.TECHNICAL else ""


async def _clear_hub(connection: Connection, plan: Plan, alarm: Alarm, at_ms: int) -> Changed:
    present = await store.active_alert(
        connection, plan.patient_id, alarm.condition, test=alarm.test, device_id=_subject(alarm)
    )
    if present is not None and not alarm.test:
        kept = await store.rule_states(connection, plan.patient_id)
        held = cloud_source.held_conditions(plan, {rule_id: one.state for rule_id, one in kept.items()})
        present = lifecycle.heard_again(present, AlertSource.CLOUD, held.get(alarm.condition, 0))
    return await clear_alert(connection, present, AlertSource.HUB, at_ms, alarm.episode)


async def take_readings(
    connection: Connection, plan: Plan, readings: Sequence[StoredReading], heard_at_ms: int
) -> Changed:
    """Run the plan's rules over readings of its patient."""
    await store.lock_patient(connection, plan.patient_id)
    states, changed = await cloud_source.states_in_force(connection, plan, heard_at_ms)
    after, transitions = evaluate(plan.rules, states, readings)
    return changed + await cloud_source.keep(connection, plan, states, after, transitions, readings, heard_at_ms)


async def take_time(connection: Connection, plan: Plan, now_ms: int) -> Changed:
    """Look at the plan's timers."""
    await store.lock_patient(connection, plan.patient_id)
    states, changed = await cloud_source.states_in_force(connection, plan, now_ms)
    after, transitions = elapse(plan.rules, states, now_ms)
    return changed + await cloud_source.keep(connection, plan, states, after, transitions, (), now_ms)


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

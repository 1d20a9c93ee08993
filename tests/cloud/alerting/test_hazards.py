"""What could leave a patient without an alert, or with one that never ends, each as a time line."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, PATIENT, alarm, rule
from tests.support.timeline import PLAN, STORE, Timeline
from tests.support.wire_strategies import messages

import bedside_cloud.alerting
from bedside_cloud.alerting import store, writer
from bedside_cloud.alerting.lifecycle import STALE_AFTER_MS
from bedside_cloud.alerting.plans import NO_PLANS, Plans
from bedside_cloud.contracts.alerts import AlertSource
from bedside_cloud.contracts.readings import StoredAlarm
from bedside_cloud.contracts.registry import PlanSnapshot
from bedside_cloud.database.pool import Database
from bedside_cloud.database.projection import Projection
from bedside_profiles.readings import ClockQuality
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import Alarm, AlarmKind, AlarmState

EARLIER, LATER = str(uuid.uuid4()), str(uuid.uuid4())
STALE_SECONDS = STALE_AFTER_MS / 1000
MILD = rule(rule_id="spo2-lowish", limit=92, clear_limit=94, priority=Priority.MEDIUM)


@pytest.fixture
async def line(database: TestDatabase) -> AsyncIterator[Timeline]:
    folder = Path(bedside_cloud.alerting.__file__).parent / "schema"
    async with Database.open(database.settings("alerting"), (folder,)) as opened:
        yield Timeline(opened, database.superuser_dsn)


async def test_the_late_end_of_an_earlier_occurrence_does_not_end_the_present_one(line: Timeline) -> None:
    await line.hub(10, episode=EARLIER, seq=1)
    await line.hub(30, episode=LATER, seq=3)
    assert await line.hub(20, AlarmState.CLEARED, episode=EARLIER, seq=2) == []
    (alert,) = await line.listed()
    assert alert.active
    (over,) = await line.hub(40, AlarmState.CLEARED, episode=LATER, seq=4)
    assert not over.active


async def test_a_raise_that_a_later_one_has_overtaken_changes_no_value(line: Timeline) -> None:
    await line.hub(30, episode=LATER, seq=3, value=80.0)
    (alert,) = await line.hub(10, episode=EARLIER, seq=1, value=86.0)
    assert (alert.active, alert.value) == (True, 80.0)


async def test_what_the_cloud_sees_going_on_is_not_stale_however_long_it_lasts(line: Timeline) -> None:
    await line.hub(10)
    await line.readings((0, 85), (12, 85))
    await line.readings((STALE_SECONDS + 60, 85))
    (still,) = await line.hub(STALE_SECONDS + 61, AlarmState.CLEARED)
    assert still.active, "the cloud's rule is still active on readings of a second ago"


async def test_what_is_out_of_range_again_after_a_silence_is_raised_again(line: Timeline) -> None:
    (first,) = await line.hub(10)
    await line.readings((0, 85), (12, 85))
    (over,) = await line.hub(STALE_SECONDS + 61, AlarmState.CLEARED)
    assert not over.active, "the cloud heard nothing for longer than a source is believed"
    (again,) = await line.readings((STALE_SECONDS + 120, 85))
    assert again.active
    assert again.alert_id != first.alert_id
    assert await line.readings((STALE_SECONDS + 121, 85)) == [], "once"


async def test_of_two_rules_on_one_condition_the_last_to_clear_ends_the_alert(line: Timeline) -> None:
    both = PLAN.model_copy(update={"rules": (rule(), MILD)})
    await line.readings((0, 85), (12, 85), plan=both)
    assert await line.readings((13, 91), plan=both) == []
    (alert,) = await line.listed()
    assert alert.active, "91 is above the severe rule's clear limit, and still below the mild rule's limit"
    (over,) = await line.readings((14, 95), plan=both)
    assert not over.active


async def test_new_limits_end_an_alert_that_the_old_ones_raised(line: Timeline) -> None:
    await line.readings((0, 85), (12, 85))
    looser = PLAN.model_copy(update={"rules": (rule(version=2, limit=80, clear_limit=82),)})
    (over,) = await line.readings((13, 85), plan=looser)
    assert not over.active


async def test_new_limits_that_are_still_broken_keep_the_alert(line: Timeline) -> None:
    await line.readings((0, 85), (12, 85))
    tighter = PLAN.model_copy(update={"rules": (rule(version=2, limit=90, clear_limit=92),)})
    assert await line.readings((13, 91), plan=tighter) == []
    (alert,) = await line.listed()
    assert alert.active


@pytest.mark.parametrize("rules", [(), (rule(condition="oxygen_low"),)])
async def test_a_rule_that_leaves_the_plan_holds_its_alert_no_longer(line: Timeline, rules: tuple[object, ...]) -> None:
    await line.readings((0, 85), (12, 85))
    (over,) = await line.readings((13, 95), plan=PLAN.model_copy(update={"rules": rules}))
    assert not over.active
    assert {row["condition"] for row in line.rows("rule_states")} <= {"oxygen_low"}


async def test_however_many_alerts_there_are_an_active_one_is_listed(line: Timeline) -> None:
    (active,) = await line.hub(10)
    with psycopg.connect(line._dsn, options="-c search_path=alerting") as connection:
        connection.execute(
            "INSERT INTO alerts (alert_id, patient_id, condition, kind, priority, version, hub_id, onset_at, raised_at,"
            " heard_at, cleared_at, test) SELECT gen_random_uuid(), %s, 'other', 'technical', 'low', 1, %s, at, at, at,"
            " at, false FROM generate_series(now(), now() + '10 min'::interval, '1 s') AS at",
            (PATIENT, HUB),
        )
        connection.execute(
            "INSERT INTO alert_sources SELECT alert_id, 'hub', false, raised_at FROM alerts WHERE condition = 'other'"
        )
    listed = await line.listed()
    assert len(listed) == 500
    assert active.alert_id in {record.alert_id for record in listed}


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(said=messages(Alarm))
async def test_every_alarm_that_the_wire_admits_is_taken(line: Timeline, said: Alarm) -> None:
    async with line.database.transaction() as connection:
        # What outbox and bus do to it.
        stored = StoredAlarm(hub_id=HUB, store_id=STORE, patient_id=None, heard_at_ms=NOON_MS, alarm=said)
        heard = StoredAlarm.model_validate_json(stored.model_dump_json())
        changed = await writer.take_hub_alarm(connection, heard, PLAN)
        if said.state is not AlarmState.CLEARED:
            (record,) = await store.alerts_of(connection, [PATIENT], 0)
            assert changed[-1].alert_id == record.alert_id
        await connection.execute("TRUNCATE alerts, alert_sources, alert_history, taken_alarms, ended_episodes")


async def test_an_alarm_of_a_hub_whose_clock_is_ahead_began_before_it_was_heard(line: Timeline) -> None:
    year = 365 * 86_400.0
    said = StoredAlarm(
        hub_id=HUB,
        store_id=STORE,
        patient_id=None,
        heard_at_ms=NOON_MS,
        alarm=alarm(seq=1, at_ms=NOON_MS + round(year * 1000), onset_ms=NOON_MS + round(year * 1000) - 10_000),
    )
    async with line.database.transaction() as connection:
        (raised,) = await writer.take_hub_alarm(connection, said, PLAN)
    assert (raised.first.at_ms, raised.first.onset_ms) == (NOON_MS, NOON_MS - 10_000)


async def test_an_alarm_of_a_hub_that_does_not_know_the_time_is_of_now(line: Timeline) -> None:
    in_1970 = alarm(seq=1, at_ms=70_000, onset_ms=60_000, clock_quality=ClockQuality.UNSYNCED)
    said = StoredAlarm(hub_id=HUB, store_id=STORE, patient_id=None, heard_at_ms=NOON_MS, alarm=in_1970)
    async with line.database.transaction() as connection:
        (raised,) = await writer.take_hub_alarm(connection, said, PLAN)
    assert (raised.first.at_ms, raised.first.onset_ms) == (NOON_MS, NOON_MS - 10_000)


def plans_of(*plans: object) -> Plans:
    projection = Projection(None, "plans", NO_PLANS, None)  # type: ignore[arg-type]
    projection.current = PlanSnapshot(version=1, plans=plans)  # type: ignore[arg-type]
    return Plans(projection)


def test_a_hub_that_serves_another_patient_now_raises_alarms_of_the_patient_it_served_then() -> None:
    before = PLAN.model_copy(update={"active": False, "version": 5})
    now = PLAN.model_copy(update={"patient_id": "p-2", "plan_id": str(uuid.uuid4()), "version": 6})
    foreign = PLAN.model_copy(update={"patient_id": "p-3", "plan_id": str(uuid.uuid4()), "hub_id": "hub-9"})
    for order in ((before, now, foreign), (foreign, now, before)):
        plans = plans_of(*order)
        assert plans.of_hub(HUB) == now, "the hub's newest plan, whichever patient's comes last"
        assert plans.of_hub(HUB, before.plan_id) == before, "a late alarm is its own patient's"
        assert plans.of_hub(HUB, foreign.plan_id) == now, "a hub cannot speak of another hub's patient"
        assert plans.of_hub(HUB, str(uuid.uuid4())) == now
    assert plans_of(before).of_hub("hub-7") is None


async def test_a_hub_that_goes_silent_holds_what_it_raised(line: Timeline) -> None:
    await line.hub(10)
    assert await line.passes(STALE_SECONDS * 10) == []
    (alert,) = await line.listed()
    assert alert.active
    assert alert.sources[AlertSource.HUB].present


async def test_two_silent_devices_are_two_alerts_and_each_is_over_by_itself(line: Timeline) -> None:
    silent: dict[str, Any] = {"condition": "no_data", "kind": AlarmKind.TECHNICAL, "priority": Priority.MEDIUM}
    await line.hub(10, episode=EARLIER, device_id="oximeter-1", **silent)
    await line.hub(20, episode=LATER, device_id="strap-1", **silent)
    (over,) = await line.hub(30, AlarmState.CLEARED, episode=EARLIER, device_id="oximeter-1", **silent)
    assert (over.active, over.first.device_id) == (False, "oximeter-1")
    active = [alert for alert in await line.listed() if alert.active]
    assert [(alert.first.device_id, alert.first.kind) for alert in active] == [("strap-1", AlarmKind.TECHNICAL)]


async def test_a_technical_alarm_is_an_alert_of_its_own_beside_the_patients(line: Timeline) -> None:
    await line.hub(10, episode=EARLIER, device_id="oximeter-1")
    await line.hub(
        20,
        episode=LATER,
        device_id="oximeter-1",
        condition="sensor_off",
        kind=AlarmKind.TECHNICAL,
    )
    await line.hub(
        30, AlarmState.CLEARED, episode=LATER, device_id="oximeter-1", condition="sensor_off", kind=AlarmKind.TECHNICAL
    )
    active = [alert for alert in await line.listed() if alert.active]
    assert [alert.first.condition for alert in active] == ["spo2_low"], "lost contact that is over has hidden nothing"


async def test_an_alert_that_becomes_more_urgent_waits_for_a_person_again(line: Timeline) -> None:
    (alert,) = await line.hub(10, episode=EARLIER, priority=Priority.MEDIUM)
    await line.acknowledge(alert.alert_id, 20)
    (same,) = await line.hub(30, AlarmState.UPDATED, episode=EARLIER, priority=Priority.MEDIUM)
    assert same.acknowledged_name == "nurse", "a later value alone takes nothing back"
    (worse,) = await line.hub(40, AlarmState.UPDATED, episode=EARLIER, priority=Priority.HIGH)
    assert (worse.alert_id, worse.priority, worse.acknowledged_name) == (alert.alert_id, Priority.HIGH, None)
    again = await line.acknowledge(alert.alert_id, 50, name="physician")
    assert again.acknowledged_name == "physician"
    changes = [row["change"] for row in line.rows("alert_history")]
    assert changes == ["raised", "acknowledged", "raised", "raised", "acknowledged"]


async def test_what_the_cloud_sees_getting_worse_makes_its_alert_more_urgent(line: Timeline) -> None:
    milder = rule(priority=Priority.MEDIUM, extreme_priority=Priority.HIGH)
    plan = PLAN.model_copy(update={"rules": (milder,)})
    await line.readings((0, 85), (12, 85), plan=plan)
    (alert,) = await line.listed()
    assert alert.priority is Priority.MEDIUM
    (worse,) = await line.readings((20, 74), plan=plan)
    assert (worse.alert_id, worse.priority, worse.value) == (alert.alert_id, Priority.HIGH, 74)
    (over,) = await line.readings((30, 95), plan=plan)
    assert not over.active


async def test_an_episode_that_was_over_before_the_hub_knew_is_over_and_stays_listed(line: Timeline) -> None:
    await line.hub(-7200, episode=EARLIER, retrospective=True)
    await line.hub(-3600, AlarmState.CLEARED, episode=EARLIER, retrospective=True)
    (alert,) = await line.listed()
    assert (alert.active, alert.acknowledged_at_ms) == (False, None)

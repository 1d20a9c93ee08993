"""Alerts as time lines: what was said, and what stands in a real database afterwards."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import rule
from tests.support.timeline import PLAN, Timeline

import bedside_cloud.alerting
from bedside_cloud.alerting.lifecycle import STALE_AFTER_MS
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.alerts import AlertSource
from bedside_cloud.database.pool import Database
from bedside_profiles.readings import Modality, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmState


@pytest.fixture
async def line(database: TestDatabase) -> AsyncIterator[Timeline]:
    folder = Path(bedside_cloud.alerting.__file__).parent / "schema"
    async with Database.open(database.settings("alerting"), (folder,)) as opened:
        yield Timeline(opened, database.superuser_dsn)


async def test_hub_and_cloud_raise_one_alert_and_both_must_clear_it(line: Timeline) -> None:
    (raised,) = await line.hub(10, value=85.0)
    (joined,) = await line.readings((0, 85), (12, 84))
    assert joined.alert_id == raised.alert_id
    assert joined.version == 2
    assert set(joined.sources) == {AlertSource.HUB, AlertSource.CLOUD}
    (still,) = await line.hub(40, AlarmState.CLEARED)
    assert still.active, "the cloud still holds the condition to be present"
    (over,) = await line.readings((41, 95))
    assert not over.active
    assert [row["change"] for row in line.rows("alert_history")] == ["raised", "raised", "cleared", "cleared"]


async def test_a_delivery_that_comes_twice_changes_nothing(line: Timeline) -> None:
    await line.hub(10, seq=1)
    await line.hub(20, AlarmState.CLEARED, seq=2)
    assert await line.hub(10, seq=1) == []
    assert await line.hub(20, AlarmState.CLEARED, seq=2) == []
    (alert,) = await line.listed()
    assert not alert.active


async def test_a_raise_that_comes_after_its_clear_is_history(line: Timeline) -> None:
    assert await line.hub(20, AlarmState.CLEARED, seq=2) == []
    raised, cleared = await line.hub(10, seq=1)
    assert raised.active
    assert not cleared.active
    assert cleared.cleared_at_ms == NOON_MS + 20_000


async def test_a_later_occurrence_is_another_alert(line: Timeline) -> None:
    (first,) = await line.hub(10)
    await line.hub(20, AlarmState.CLEARED)
    (second,) = await line.hub(30, episode=str(uuid.uuid4()))
    assert second.alert_id != first.alert_id
    assert len(await line.listed()) == 2


async def test_an_alert_may_become_more_urgent_never_less(line: Timeline) -> None:
    await line.hub(10, priority=Priority.MEDIUM)
    (worse,) = await line.hub(20, AlarmState.UPDATED, priority=Priority.HIGH)
    assert worse.priority is Priority.HIGH
    (same,) = await line.hub(30, AlarmState.UPDATED, priority=Priority.LOW)
    assert same.priority is Priority.HIGH


async def test_an_acknowledgement_names_the_first_person_and_stays(line: Timeline) -> None:
    (raised,) = await line.hub(10)
    taken = await line.acknowledge(raised.alert_id, 60, "nurse")
    again = await line.acknowledge(raised.alert_id, 70, "physician")
    assert (taken.acknowledged_name, again.acknowledged_name) == ("nurse", "nurse")
    assert again.version == taken.version
    (updated,) = await line.hub(80, AlarmState.UPDATED)
    assert updated.acknowledged_name == "nurse"


async def test_a_cleared_alert_that_nobody_took_stays_listed(line: Timeline) -> None:
    (raised,) = await line.hub(10)
    await line.hub(20, AlarmState.CLEARED)
    assert [one.alert_id for one in await line.listed()] == [raised.alert_id]


async def test_an_unknown_alert_cannot_be_acknowledged(line: Timeline) -> None:
    with pytest.raises(RefusedError, match="404"):
        await line.acknowledge(str(uuid.uuid4()))


async def test_a_dip_shorter_than_the_onset_delay_raises_nothing(line: Timeline) -> None:
    assert await line.readings((0, 85), (9, 85), (9.5, 95), (10, 85), (19, 85)) == []


async def test_the_state_of_a_rule_outlives_the_message(line: Timeline) -> None:
    assert await line.readings((0, 85)) == []
    (raised,) = await line.readings((10, 85))
    assert raised.first.onset_ms == NOON_MS


async def test_an_extreme_value_and_one_below_range_fire_at_once(line: Timeline) -> None:
    assert len(await line.readings((0, 75))) == 1
    await line.readings((1, 95))
    assert len(await line.readings((2, None), range_flag=RangeFlag.BELOW)) == 1


async def test_a_spot_check_waits_for_its_repeat_then_fires(line: Timeline) -> None:
    assert await line.readings((0, 85), modality=Modality.SPOT) == []
    assert await line.passes(299) == []
    assert await line.readings((299.5, 95), modality=Modality.SPOT) == []
    assert await line.passes(400) == [], "the repeat was in range"
    await line.readings((500, 85), modality=Modality.SPOT)
    (raised,) = await line.passes(801)
    assert raised.first.onset_ms == NOON_MS + 500_000


async def test_an_episode_already_over_when_it_arrives_is_one_alert_that_is_over(line: Timeline) -> None:
    changed = await line.readings((0, 85), (12, 85), (20, 95))
    assert [one.active for one in changed] == [True, False]
    (alert,) = await line.listed()
    assert not alert.active


async def test_readings_that_come_after_their_alarm_is_over_belong_to_the_same_alert(line: Timeline) -> None:
    (raised,) = await line.hub(12, onset_ms=NOON_MS)
    await line.acknowledge(raised.alert_id, 15)
    await line.hub(30, AlarmState.CLEARED)
    reopened, over = await line.readings((0, 85), (11, 85), (31, 95))
    assert {reopened.alert_id, over.alert_id} == {raised.alert_id}
    assert (reopened.active, over.active) == (True, False)
    assert over.acknowledged_name == "nurse"
    assert over.cleared_at_ms == NOON_MS + 31_000
    assert len(await line.listed()) == 1


async def test_a_silent_hub_holds_an_alert_until_it_is_stale(line: Timeline) -> None:
    await line.hub(10)
    await line.readings((0, 85), (12, 85))
    soon = STALE_AFTER_MS / 1000 - 60
    (held,) = await line.readings((soon, 95))
    assert held.active
    await line.readings((soon + 1, 85), (soon + 12, 85))
    (over,) = await line.readings((soon + 120, 95))
    assert not over.active


async def test_another_version_of_a_rule_starts_afresh(line: Timeline) -> None:
    assert await line.readings((0, 85)) == []
    changed = PLAN.model_copy(update={"rules": (rule(version=2),)})
    assert await line.readings((10, 85), plan=changed) == []
    assert len(await line.readings((20, 85), plan=changed)) == 1

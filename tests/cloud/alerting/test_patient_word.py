"""“I am all right”: told with the alert, and neither cleared, acknowledged nor lowered by it (clinical rules, 4b)."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, PATIENT, alarm

import bedside_cloud.alerting
from bedside_cloud.alerting import store
from bedside_cloud.alerting.lifecycle import AlertRecord
from bedside_cloud.alerting.patient_word import take_word
from bedside_cloud.alerting.store import to_contract
from bedside_cloud.alerting.writer import acknowledge, take_hub_alarm
from bedside_cloud.contracts.alerts import AcknowledgeRequest, Alert
from bedside_cloud.contracts.readings import StoredAlarm
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Database
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind, AlarmState

OTHER_HUB = "hub-0002"
EPISODE = str(uuid.uuid4())


class Ward:
    """Alerts in a real database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.seq = 0

    async def alarm(self, hub_id: str = HUB, **changes: Any) -> None:
        self.seq += 1
        plan = Plan(patient_id=PATIENT, plan_id=str(uuid.uuid4()), version=3, active=True, hub_id=hub_id, rules=())
        said = alarm(**{"seq": self.seq, "episode": EPISODE, **changes})
        stored = StoredAlarm(hub_id=hub_id, store_id="0" * 32, patient_id=PATIENT, heard_at_ms=NOON_MS, alarm=said)
        async with self.database.transaction() as connection:
            await take_hub_alarm(connection, stored, plan)

    async def word(
        self, at_ms: int = NOON_MS + 1000, now_ms: int = NOON_MS + 2000, hub_id: str = HUB
    ) -> list[AlertRecord]:
        async with self.database.transaction() as connection:
            return await take_word(connection, hub_id, at_ms, now_ms)

    async def alerts(self) -> dict[str, Alert]:
        async with self.database.transaction() as connection:
            records = await store.alerts_of(connection, (PATIENT,), 0)
        return {record.first.condition: to_contract(record) for record in records}


@pytest.fixture
async def ward(database: TestDatabase) -> AsyncIterator[Ward]:
    folder = Path(bedside_cloud.alerting.__file__).parent / "schema"
    async with AsyncExitStack() as stack:
        yield Ward(await stack.enter_async_context(Database.open(database.settings("alerting"), (folder,))))


async def test_it_is_told_and_changes_nothing_else(ward: Ward) -> None:
    await ward.alarm()
    before = (await ward.alerts())["spo2_low"]
    (changed,) = await ward.word()
    after = (await ward.alerts())["spo2_low"]
    assert to_contract(changed) == after
    assert after.patient_says_well_at_ms == NOON_MS + 1000
    assert after.version == before.version + 1
    same = {"patient_says_well_at_ms": None, "version": before.version}
    assert after.model_copy(update=same) == before
    assert after.active
    assert after.acknowledged_at_ms is None
    assert after.priority is Priority.HIGH


async def test_the_same_word_again_changes_nothing_and_a_later_one_is_told(ward: Ward) -> None:
    await ward.alarm()
    assert len(await ward.word()) == 1
    assert await ward.word() == []
    assert len(await ward.word(NOON_MS + 1500)) == 1


async def test_a_clock_that_is_ahead_does_not_answer_what_comes_later(ward: Ward) -> None:
    await ward.alarm()
    await ward.word(NOON_MS + 86_400_000)
    assert (await ward.alerts())["spo2_low"].patient_says_well_at_ms == NOON_MS + 2000


async def test_it_answers_only_what_was_there_and_is_there(ward: Ward) -> None:
    await ward.alarm()
    await ward.alarm(condition="pulse_high", onset_ms=NOON_MS, episode=str(uuid.uuid4()))
    over = str(uuid.uuid4())
    await ward.alarm(condition="pulse_low", episode=over)
    await ward.alarm(condition="pulse_low", episode=over, state=AlarmState.CLEARED, at_ms=NOON_MS + 500)
    await ward.alarm(condition="sensor_off", kind=AlarmKind.TECHNICAL, episode=str(uuid.uuid4()))
    assert [record.first.condition for record in await ward.word(NOON_MS - 5000)] == ["spo2_low"]


async def test_another_homes_alerts_are_not_answered(ward: Ward) -> None:
    await ward.alarm(OTHER_HUB)
    assert await ward.word() == []


async def test_an_acknowledgement_stays_and_can_come_after(ward: Ward) -> None:
    await ward.alarm()
    await ward.word()
    alert_id = (await ward.alerts())["spo2_low"].alert_id
    request = AcknowledgeRequest(alert_id=alert_id, person_id=str(uuid.uuid4()), person_name="nurse")
    async with ward.database.transaction() as connection:
        await acknowledge(connection, request, NOON_MS + 3000)
    await ward.word(NOON_MS + 3500, NOON_MS + 4000)
    after = (await ward.alerts())["spo2_low"]
    assert (after.acknowledged_by, after.patient_says_well_at_ms) == ("nurse", NOON_MS + 3500)

"""The service as a process runs it: two replicas at once, and a registry that is not there yet."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.readings import HUB, PATIENT, alarm
from tests.support.services import running_service, settings_of
from tests.support.timeline import PLAN, STORE

from bedside_cloud.alerting.run import main
from bedside_cloud.bus.connection import Bus, Endpoint
from bedside_cloud.contracts import alerts, registry
from bedside_cloud.contracts.alerts import AcknowledgeRequest, Alert, AlertList, AlertsRequest
from bedside_cloud.contracts.delivery import Delivery
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import STORED_ALARM, StoredAlarm
from bedside_cloud.contracts.registry import PlanSnapshot
from bedside_profiles.wire.alarm import Alarm, AlarmState


class Ward:
    """Two replicas of alerting and their neighbours."""

    def __init__(self, stack: AsyncExitStack, broker: TestBroker, database: TestDatabase) -> None:
        self.stack = stack
        self.broker = broker
        self.database = database
        self.buses: dict[str, Bus] = {}

    async def open(self) -> None:
        for name in ("ingest", "gateway", "registry"):
            bus = Bus.open(self.broker.state.bus_settings(name))
            self.buses[name] = await self.stack.enter_async_context(bus)
        for number in (1, 2):
            settings = settings_of("alerting", self.broker, self.database, f"alerting-{number}")
            await self.stack.enter_async_context(running_service(main, settings))

    async def registry_comes_up(self) -> None:
        async def plans(_question: Empty) -> PlanSnapshot:
            return PlanSnapshot(version=1, plans=(PLAN,))

        await self.buses["registry"].serve((Endpoint(registry.PLANS, Empty, plans),))

    async def deliver(self, one: Alarm) -> Delivery:
        said = StoredAlarm(hub_id=HUB, store_id=STORE, patient_id=None, heard_at_ms=NOON_MS, alarm=one)
        return await self.buses["ingest"].deliver(STORED_ALARM, said.model_dump_json().encode())

    async def listed(self) -> tuple[Alert, ...]:
        question = AlertsRequest(patient_ids=(PATIENT,), since_ms=0)
        return (await self.buses["gateway"].request(alerts.LIST, question, AlertList)).alerts

    def history(self) -> list[tuple[str, int]]:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            return connection.execute("SELECT alert_id::text, version FROM alerting.alert_history").fetchall()


@pytest.fixture
async def ward(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Ward]:
    async with AsyncExitStack() as stack:
        ward = Ward(stack, broker, database)
        await ward.open()
        yield ward


def occurrence(first_seq: int, minute: int) -> list[Alarm]:
    """Raised, updated twice, cleared."""
    states = (AlarmState.RAISED, AlarmState.UPDATED, AlarmState.UPDATED, AlarmState.CLEARED)
    episode = str(uuid.uuid4())
    return [
        alarm(seq=first_seq + place, state=state, episode=episode, at_ms=NOON_MS + minute * 60_000 + place * 1000)
        for place, state in enumerate(states)
    ]


async def test_an_alarm_waits_for_a_registry_that_is_not_there_yet(ward: Ward) -> None:
    assert await ward.deliver(alarm(seq=1)) is Delivery.REFUSED
    assert await ward.listed() == ()
    await ward.registry_comes_up()
    assert await ward.deliver(alarm(seq=1)) is Delivery.COMMITTED
    assert [one.active for one in await ward.listed()] == [True]


async def test_two_replicas_at_once_make_one_alert_of_what_comes_many_times(ward: Ward) -> None:
    await ward.registry_comes_up()
    assert await ward.deliver(alarm(seq=1)) is Delivery.COMMITTED
    repeats = [alarm(seq=seq, state=AlarmState.UPDATED, at_ms=NOON_MS + seq) for seq in range(2, 12)]
    outcomes = await asyncio.gather(*(ward.deliver(one) for one in repeats for _ in range(3)))
    assert set(outcomes) == {Delivery.COMMITTED}
    (alert,) = await ward.listed()
    assert alert.version == 11
    assert sorted(ward.history()) == [(alert.alert_id, version) for version in range(1, 12)]


async def test_two_replicas_at_once_bring_every_occurrence_to_its_end(ward: Ward) -> None:
    await ward.registry_comes_up()
    said = [one for place in range(6) for one in occurrence(4 * place + 1, place)]
    outcomes = await asyncio.gather(*(ward.deliver(one) for one in (*reversed(said), *said)))
    assert set(outcomes) == {Delivery.COMMITTED}
    listed = await ward.listed()
    assert listed
    assert not any(alert.active for alert in listed)
    for alert in listed:
        versions = sorted(version for alert_id, version in ward.history() if alert_id == alert.alert_id)
        assert versions == list(range(1, alert.version + 1))


async def test_two_nurses_at_once_leave_the_first_name(ward: Ward) -> None:
    await ward.registry_comes_up()
    await ward.deliver(alarm(seq=1))
    (raised,) = await ward.listed()

    async def acknowledge(name: str) -> Alert:
        request = AcknowledgeRequest(alert_id=raised.alert_id, person_id=str(uuid.uuid4()), person_name=name)
        return await ward.buses["gateway"].request(alerts.ACKNOWLEDGE, request, Alert)

    answers = await asyncio.gather(*(acknowledge(f"nurse-{number}") for number in range(8)))
    assert len({answer.acknowledged_by for answer in answers}) == 1
    assert {answer.version for answer in answers} == {2}

"""A hub that was away when its alarm was acknowledged hears of it when it comes back."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.readings import HUB, PATIENT, alarm, rule

import bedside_cloud.alerting
from bedside_cloud.alerting import returning
from bedside_cloud.alerting.announcing import Announcer
from bedside_cloud.alerting.endpoints import Endpoints
from bedside_cloud.alerting.plans import NO_PLANS, Plans
from bedside_cloud.alerting.returning import Returning
from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.alerts import ACKNOWLEDGE, LIST, AcknowledgeRequest, Alert, AlertList, AlertsRequest
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import STORED_ALARM, StoredAlarm
from bedside_cloud.contracts.registry import Plan, PlanSnapshot
from bedside_cloud.database.pool import Database
from bedside_cloud.database.projection import Projection
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, subject

PLAN = Plan(patient_id=PATIENT, plan_id=str(uuid.uuid4()), version=3, active=True, hub_id=HUB, rules=(rule(),))
SESSIONS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 6)]


class Ward:
    """Alerting with one hub, which hears only while it listens; `now_ms` is the cloud's clock."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS
        self.stack = AsyncExitStack()
        self.heard: asyncio.Queue[AlertNotice] = asyncio.Queue()

    async def start(self, broker: TestBroker, database: TestDatabase) -> None:
        folder = Path(bedside_cloud.alerting.__file__).parent / "schema"
        opened = await self.stack.enter_async_context(Database.open(database.settings("alerting"), (folder,)))
        bus, self.ingest, self.gateway, self.hub = [
            await self.stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("alerting", "ingest", "gateway", broker.hub_player)
        ]

        async def fetch() -> PlanSnapshot:
            return PlanSnapshot(version=1, plans=(PLAN,))

        announcer = Announcer(bus)
        plans = Plans(Projection(opened, "plans", NO_PLANS, fetch))
        await bus.serve(Endpoints(opened, announcer, plans, lambda: self.now_ms).table())
        returning = Returning(opened, announcer, lambda: self.now_ms)
        await bus.subscribe(subject("*", UpLane.STATUS), returning.on_status, queue="alerting")
        await bus.client.flush()

    async def alarm(self, seq: int = 1, condition: str = "spo2_low") -> Alert:
        said = alarm(seq=seq, condition=condition, episode=str(uuid.uuid4()))
        stored = StoredAlarm(hub_id=HUB, store_id="0" * 32, patient_id=PATIENT, heard_at_ms=self.now_ms, alarm=said)
        await self.ingest.request(STORED_ALARM, stored, Empty)
        return next(one for one in await self.alerts() if one.condition == condition)

    async def alerts(self) -> tuple[Alert, ...]:
        request = AlertsRequest(patient_ids=(PATIENT,), since_ms=0)
        return (await self.gateway.request(LIST, request, AlertList)).alerts

    async def acknowledge(self, alert: Alert) -> None:
        request = AcknowledgeRequest(alert_id=alert.alert_id, person_id=str(uuid.uuid4()), person_name="nurse")
        await self.gateway.request(ACKNOWLEDGE, request, Alert)

    async def listen(self) -> None:
        async def on_notice(_subject: str, body: bytes) -> None:
            self.heard.put_nowait(decode(AlertNotice, body))

        await self.hub.subscribe(subject(HUB, DownLane.ALERTS), on_notice)
        await self.hub.client.flush()

    async def come_online(self, session: str, state: HubState = HubState.ONLINE, body: bytes | None = None) -> None:
        status = encode(Status(SCHEMA_VERSION, HUB, state, session))
        await self.hub.publish_bytes(subject(HUB, UpLane.STATUS), status if body is None else body)
        await self.hub.client.flush()

    async def hear(self, seconds: float = 5) -> AlertNotice:
        return await asyncio.wait_for(self.heard.get(), seconds)

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await self.hear(0.5)


@pytest.fixture
async def ward(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Ward]:
    one = Ward()
    async with one.stack:
        await one.start(broker, database)
        yield one


async def test_an_acknowledgement_of_meanwhile_is_told(ward: Ward) -> None:
    alert = await ward.alarm()
    await ward.acknowledge(alert)
    await ward.listen()
    await ward.come_online(SESSIONS[0])
    notice = await ward.hear()
    assert (notice.alert_id, notice.stage, notice.by) == (alert.alert_id, AlertStage.ACKNOWLEDGED, "nurse")
    assert notice.version == (await ward.alerts())[0].version


async def test_each_session_is_told_once(ward: Ward) -> None:
    await ward.alarm()
    await ward.listen()
    for session in (SESSIONS[0], SESSIONS[0], SESSIONS[1]):
        await ward.come_online(session)
    assert [(await ward.hear()).stage for _ in range(2)] == [AlertStage.STORED] * 2
    await ward.hears_nothing()


async def test_what_was_over_long_ago_is_not_told_and_what_is_present_is(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ward.alarm(1, "spo2_low")
    monkeypatch.setattr(returning, "REMEMBERED_MS", -1)
    await ward.listen()
    await ward.come_online(SESSIONS[0])
    assert (await ward.hear()).condition == "spo2_low", "it is present, however long"
    await ward.hears_nothing()


@pytest.mark.parametrize("body", [None, b"", b"\xc1garbage"])
async def test_a_will_and_garbage_tell_nothing(ward: Ward, body: bytes | None) -> None:
    await ward.alarm()
    await ward.listen()
    await ward.come_online(SESSIONS[0], HubState.OFFLINE, body)
    await ward.hears_nothing()
    await ward.come_online(SESSIONS[0])
    await ward.hear()

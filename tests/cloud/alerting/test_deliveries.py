"""What ingest delivers to alerting over a real bus: refused while nothing can be made of it, else committed first."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.readings import HUB, OXIMETER, PATIENT, alarm, rule

import bedside_cloud.alerting
from bedside_cloud.alerting.announcing import Announcer
from bedside_cloud.alerting.endpoints import Endpoints
from bedside_cloud.alerting.plans import NO_PLANS, Plans
from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.alerts import CHANGED, LIST, Alert, AlertList, AlertsRequest
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.readings import (
    STORED_ALARM,
    STORED_READINGS,
    StoredAlarm,
    StoredReading,
    StoredReadings,
)
from bedside_cloud.contracts.registry import FormerPlan, Plan, PlanSnapshot
from bedside_cloud.database.pool import Database
from bedside_cloud.database.projection import Projection
from bedside_profiles.readings import Metric, Modality

PLAN = Plan(patient_id=PATIENT, plan_id=str(uuid.uuid4()), version=3, active=True, hub_id=HUB, rules=(rule(),))
ALARM = StoredAlarm(hub_id=HUB, store_id="0" * 32, patient_id=PATIENT, heard_at_ms=NOON_MS, alarm=alarm(seq=1))
READINGS = StoredReadings(
    hub_id=HUB,
    heard_at_ms=NOON_MS,
    readings=(
        StoredReading(
            patient_id=PATIENT,
            device_id=OXIMETER,
            metric=Metric.SPO2,
            value=70.0,
            modality=Modality.CONTINUOUS,
            taken_at_ms=NOON_MS,
            store_id="0" * 32,
            seq=1,
        ),
    ),
)


class Served:
    """Alerting's endpoints, and the two services that talk to it. `known` is what registry would answer."""

    def __init__(self) -> None:
        self.known: PlanSnapshot | None = None
        self.stack = AsyncExitStack()
        self.changes: asyncio.Queue[Alert] = asyncio.Queue()

    async def fetch(self) -> PlanSnapshot | None:
        return self.known

    async def start(self, broker: TestBroker, database: TestDatabase) -> None:
        folder = Path(bedside_cloud.alerting.__file__).parent / "schema"
        opened = await self.stack.enter_async_context(Database.open(database.settings("alerting"), (folder,)))
        bus = await self.stack.enter_async_context(Bus.open(broker.state.bus_settings("alerting")))
        plans = Plans(Projection(opened, "plans", NO_PLANS, self.fetch))
        await bus.serve(Endpoints(opened, Announcer(bus), plans, lambda: NOON_MS).table())
        self.ingest = await self.stack.enter_async_context(Bus.open(broker.state.bus_settings("ingest")))
        self.gateway = await self.stack.enter_async_context(Bus.open(broker.state.bus_settings("gateway")))

        async def on_change(_subject: str, body: bytes) -> None:
            self.changes.put_nowait(Alert.model_validate_json(body))

        await self.gateway.subscribe(CHANGED, on_change)

    async def deliver(self, subject: str, message: Message) -> None:
        await self.ingest.request(subject, message, Empty)

    async def listed(self) -> tuple[Alert, ...]:
        request = AlertsRequest(patient_ids=(PATIENT,), since_ms=0)
        return (await self.gateway.request(LIST, request, AlertList)).alerts


@pytest.fixture
async def served(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Served]:
    served = Served()
    async with served.stack:
        await served.start(broker, database)
        yield served


async def test_an_alarm_of_a_hub_whose_plan_is_unknown_is_refused_so_that_it_comes_again(served: Served) -> None:
    with pytest.raises(RefusedError, match="503"):
        await served.deliver(STORED_ALARM, ALARM)
    served.known = PlanSnapshot(version=1, plans=())
    with pytest.raises(RefusedError, match="503"):
        await served.deliver(STORED_ALARM, ALARM)
    served.known = PlanSnapshot(version=2, plans=(PLAN,))
    await served.deliver(STORED_ALARM, ALARM)
    (alert,) = await served.listed()
    assert (alert.condition, alert.heard_at_ms) == ("spo2_low", NOON_MS)
    assert (await asyncio.wait_for(served.changes.get(), 10)).alert_id == alert.alert_id


async def test_readings_wait_until_plans_were_heard_of_at_all(served: Served) -> None:
    with pytest.raises(RefusedError, match="503"):
        await served.deliver(STORED_READINGS, READINGS)
    served.known = PlanSnapshot(version=2, plans=(PLAN,))
    await served.deliver(STORED_READINGS, READINGS)
    assert [alert.value for alert in await served.listed()] == [70.0]


async def test_readings_of_a_patient_without_limits_are_taken_and_raise_nothing(served: Served) -> None:
    served.known = PlanSnapshot(version=1, plans=(PLAN.model_copy(update={"active": False}),))
    await served.deliver(STORED_READINGS, READINGS)
    assert await served.listed() == ()


async def test_a_hubs_alarm_is_taken_even_when_the_episode_has_just_ended(served: Served) -> None:
    served.known = PlanSnapshot(version=1, plans=(PLAN.model_copy(update={"active": False}),))
    await served.deliver(STORED_ALARM, ALARM)
    assert len(await served.listed()) == 1


@pytest.mark.parametrize("named", [True, False], ids=["by its plan", "without a plan"])
async def test_a_late_alarm_of_a_hub_that_was_replaced_is_of_whom_it_served(served: Served, named: bool) -> None:
    others, former = str(uuid.uuid4()), str(uuid.uuid4())
    present = PLAN.model_copy(update={"hub_id": "hub-0002"})
    plans = (present, PLAN.model_copy(update={"patient_id": others, "hub_id": "hub-0003", "plan_id": others}))
    earlier = FormerPlan(plan_id=others, hub_id=HUB, patient_id=others)
    last = FormerPlan(plan_id=former, hub_id=HUB, patient_id=PATIENT)
    served.known = PlanSnapshot(version=1, plans=plans, former=(earlier, last))
    said = alarm(seq=1, plan_id=former) if named else alarm(seq=1)
    await served.deliver(STORED_ALARM, ALARM.model_copy(update={"alarm": said}))
    assert [alert.patient_id for alert in await served.listed()] == [PATIENT]


async def test_whose_alarm_it_is_follows_from_the_hub_not_from_the_claim(served: Served) -> None:
    served.known = PlanSnapshot(version=1, plans=(PLAN,))
    stranger = str(uuid.uuid4())
    claimed = ALARM.model_copy(update={"patient_id": stranger, "alarm": alarm(seq=1, patient_id=stranger)})
    await served.deliver(STORED_ALARM, claimed)
    assert [alert.patient_id for alert in await served.listed()] == [PATIENT]


async def test_a_malformed_delivery_is_refused_with_the_place_of_the_fault(served: Served) -> None:
    with pytest.raises(RefusedError, match="400 malformed request: store_id"):
        await served.ingest.request_bytes(STORED_ALARM, b'{"hub_id": "hub-1"}')
    with pytest.raises(RefusedError, match="400"):
        await served.ingest.request_bytes(STORED_ALARM, b"\xff\x00 not json")

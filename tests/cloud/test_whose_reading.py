"""Whose reading is it, from a cuff on a real link to what a clinician is alerted to.

The cuff is simulated and speaks over a virtual radio to the hub's own code; plans come signed from registry; broker,
database, ingest and alerting are real. Two patients: one lives with the hub that hears the cuff, the other has a hub of
their own. All that must not alarm would alarm at once, if a rule heard it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.clock import SyncedClock
from tests.support.collecting_hub import CollectingHub, collecting_hub
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.readings import HUB, rule
from tests.support.services import running_service, settings_of
from tests.support.virtual_radio import CUFF

from bedside_agent.collect.devices import DeviceEntry
from bedside_cloud.alerting.run import main as alerting
from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts import alerts, registry_administration
from bedside_cloud.contracts.alerts import AlertList, AlertsRequest
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import (
    LATEST,
    QUARANTINE,
    QUARANTINE_CONFIRM,
    UNASSIGNED,
    ConfirmRequest,
    Decided,
    LatestAnswer,
    LatestRequest,
    QuarantineAnswer,
    QuarantineReason,
    QuarantineRequest,
    UnassignedAnswer,
)
from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.contracts.registry_administration import (
    AssignRequest,
    Done,
    EpisodeRequest,
    LimitsRequest,
    PatientAnswer,
    PatientRequest,
    PlaceRequest,
    ReleaseRequest,
)
from bedside_cloud.engines.certificates.authority import certificate_der
from bedside_cloud.ingest.run import main as ingest
from bedside_cloud.registry.run import main as registry
from bedside_profiles.bluetooth import blood_pressure
from bedside_profiles.readings import Measurement, Metric, Modality, Reading
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.topics import DownLane, UpLane, subject
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

CUFF_ID, OTHER_HUB = "cuff-1", "hub-0002"
PERSON = "99999999-9999-4999-8999-999999999999"
WELL, HIGH = 120.0, 230.0
CRISIS = rule(
    rule_id="systolic-high",
    condition="systolic_high",
    metric=Metric.SYSTOLIC_PRESSURE,
    side=Side.ABOVE,
    limit=180,
    clear_limit=170,
    extreme_limit=220,
    onset_delay_ms=0,
)
PATIENCE_SECONDS = 30.0
NEVER_SET = "2000-01-01T00:00:00"


def ago(**length: float) -> datetime:
    return datetime.now(UTC) - timedelta(**length)


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@dataclass
class World:
    """Cloud, hub, cuff, and who asks."""

    database: TestDatabase
    operator: Bus
    gateway: Bus
    hubs: Bus
    hub: CollectingHub
    cuff: BloodPressureCuff
    plans: "asyncio.Queue[SignedDocument]"
    sent: dict[UpLane, int] = field(default_factory=dict)

    async def patient(self, mrn: str, hub_id: str | None) -> str:
        """In care, with one limit, served by this hub."""
        who = PatientRequest(name=f"Test Person {mrn}", birth_date="1950-12-31", mrn=mrn)
        patient_id = (await self.operator.request(registry_administration.PATIENT_ADD, who, PatientAnswer)).patient_id
        await self.done(registry_administration.LIMITS_SET, LimitsRequest(patient_id=patient_id, rules=(CRISIS,)))
        if hub_id is not None:
            await self.done(registry_administration.HUB_PLACE, PlaceRequest(hub_id=hub_id, patient_id=patient_id))
        await self.episode(patient_id, EpisodeState.ACTIVE)
        return patient_id

    async def episode(self, patient_id: str, state: EpisodeState) -> None:
        await self.done(registry_administration.EPISODE_SET, EpisodeRequest(patient_id=patient_id, state=state))

    async def assign(self, patient_id: str, since: datetime, user: int | None = None) -> None:
        request = AssignRequest(device_id=CUFF_ID, patient_id=patient_id, from_ms=ms(since), user=user)
        await self.done(registry_administration.DEVICE_ASSIGN, request)

    async def release(self, until: datetime) -> None:
        request = ReleaseRequest(device_id=CUFF_ID, until_ms=ms(until))
        await self.done(registry_administration.DEVICE_RELEASE, request)

    async def done(self, what: str, request: Any) -> None:
        assert (await self.operator.request(what, request, Done)).changed

    async def in_force(self, wanted: Callable[[CarePlan], bool]) -> None:
        """The hub follows the plan that is meant, and ingest knows the assignments that registry knows."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.hub.keeper.plan is None or not wanted(self.hub.keeper.plan):
                document = await self.plans.get()
                if decode(CarePlan, document.body).hub_id == HUB:
                    await self.hub.keeper.offer(document)
        versions = (
            "SELECT (SELECT (body ->> 'version')::bigint FROM ingest.projections WHERE name = 'assignments')"
            " = (SELECT version FROM registry.snapshot_version)"
        )
        await self.until(lambda: self.ask(versions) == [(True,)], "the assignments")

    async def record(self, systolic: float, *, user: int | None = None, at: datetime | str | None = None) -> None:
        """The cuff tells one record."""
        if isinstance(at, datetime):
            at = at.astimezone().replace(tzinfo=None, microsecond=0).isoformat()
        members = [
            Measurement(metric, value, Modality.SPOT, device_time=at, device_user=user)
            for metric, value in ((Metric.SYSTOLIC_PRESSURE, systolic), (Metric.DIASTOLIC_PRESSURE, systolic - 50))
        ]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.cuff.say(blood_pressure.MEASUREMENT, members) is None:
                await asyncio.sleep(0.02)

    async def deliver(self) -> None:
        """All that the hub has gathered is in the cloud, and whom it concerns have been told."""
        self.hub.keeper.tick()
        await self.hub.intake.stored()
        for shelf in self.hub.store.shelves():
            if shelf.lane not in (UpLane.READINGS, UpLane.ALARMS) or shelf.last < shelf.first:
                continue
            items = await self.hub.store.fetch(shelf, (shelf.first, shelf.last), 10_000)
            batch = Batch(
                header_for(HUB, shelf.store_id, shelf.lane, [shelf.first, shelf.last]),
                readings=tuple(item for item in items if isinstance(item, Reading)),
                alarms=tuple(item for item in items if isinstance(item, Alarm)),
            )
            await self.hubs.publish_bytes(subject(HUB, shelf.lane), encode_batch(batch))
            self.sent[shelf.lane] = len(items)
        await self.until(self._all_there, "what was sent")
        await self.told()

    def _all_there(self) -> bool:
        return all(self.ask(f"SELECT count(*) FROM ingest.{lane.value}") == [(n,)] for lane, n in self.sent.items())  # noqa: S608 - a lane's name

    async def told(self) -> None:
        await self.until(lambda: self.ask("SELECT count(*) FROM ingest.outbox") == [(0,)], "deliveries")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"{what} did not come"
            await asyncio.sleep(0.05)

    def ask(self, statement: str) -> list[Any]:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            return connection.execute(statement.encode()).fetchall()

    def owners(self) -> dict[float, str | None]:
        """Whose each systolic pressure is."""
        rows = self.ask("SELECT value, patient_id::text FROM ingest.readings WHERE metric = 'systolic_pressure'")
        others = self.ask(
            "SELECT value + 50, patient_id::text FROM ingest.readings WHERE metric <> 'systolic_pressure'"
        )
        assert sorted(rows, key=str) == sorted(others, key=str), "a measurement stays together"
        return dict(rows)

    def hub_alarms(self) -> list[str]:
        return [
            str(row[0]) for row in self.ask("SELECT condition FROM ingest.alarms WHERE body ->> 'kind' <> 'technical'")
        ]

    async def alerted(self, *patient_ids: str) -> set[str]:
        """Of these, who has a physiological alert, active or over."""
        question = AlertsRequest(patient_ids=patient_ids, since_ms=0)
        found = (await self.gateway.request(alerts.LIST, question, AlertList)).alerts
        return {one.patient_id for one in found if one.condition == CRISIS.condition}

    async def latest(self, patient_id: str) -> float | None:
        answer = await self.gateway.request(LATEST, LatestRequest(patient_ids=(patient_id,)), LatestAnswer)
        return next((one.value for one in answer.readings if one.metric is Metric.SYSTOLIC_PRESSURE), None)

    async def quarantined(self) -> QuarantineAnswer:
        return await self.operator.request(QUARANTINE, QuarantineRequest(), QuarantineAnswer)

    async def reasons(self) -> list[tuple[int | None, QuarantineReason]]:
        found = [(one.user, one.reason) for one in (await self.quarantined()).measurements]
        return sorted(found, key=str)


@pytest.fixture
async def world(broker: TestBroker, database: TestDatabase, tmp_path: Path) -> AsyncIterator[World]:
    air = Air()
    root = certificate_der(broker.state.certificates.root())
    async with AsyncExitStack() as stack:
        for name, main in (("registry", registry), ("ingest", ingest), ("alerting", alerting)):
            await stack.enter_async_context(running_service(main, settings_of(name, broker, database)))
        operator, gateway, hubs = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", "gateway", broker.hub_player)
        ]
        plans: asyncio.Queue[SignedDocument] = asyncio.Queue()

        async def on_plan(_where: str, body: bytes) -> None:
            plans.put_nowait(decode(SignedDocument, body))

        await hubs.subscribe(subject("*", DownLane.CAREPLAN), on_plan)
        await hubs.client.flush()
        journal = stack.enter_context(closing(Journal(tmp_path / "journal")))
        cuff = BloodPressureCuff(air, journal, device_id=CUFF_ID, address=CUFF, every_seconds=1)
        await cuff.start()
        stack.push_async_callback(cuff.stop)
        entry = DeviceEntry(CUFF_ID, blood_pressure.NAME, address=CUFF)
        hub = await stack.enter_async_context(
            collecting_hub(tmp_path / "buffer.db", air, entry, root=root, clock=SyncedClock())
        )
        yield World(database, operator, gateway, hubs, hub, cuff, plans)


def in_slots(*slots: int | None) -> Callable[[CarePlan], bool]:
    """The first is the patient's, the rest are others'."""

    def holds(plan: CarePlan) -> bool:
        own = [device.user for device in plan.devices]
        return plan.active and own == [*slots[:1]] and [device.user for device in plan.others] == [*slots[1:]]

    return holds


def none_of(owners: dict[float, str | None], values: Iterable[float]) -> bool:
    return all(owners[value] is None for value in values)


async def test_two_spouses_share_a_cuff_and_each_record_is_its_owners(world: World) -> None:
    anna, bert = await world.patient("A", HUB), await world.patient("B", OTHER_HUB)
    await world.assign(anna, ago(days=1), user=1)
    await world.assign(bert, ago(days=1), user=2)
    await world.in_force(in_slots(1, 2))
    await world.record(WELL, user=1)
    await world.record(HIGH, user=2)
    await world.record(HIGH + 1, user=3)
    await world.record(HIGH + 2)
    await world.deliver()
    assert world.owners() == {WELL: anna, HIGH: bert, HIGH + 1: None, HIGH + 2: None}
    assert await world.reasons() == [(3, QuarantineReason.USER_UNKNOWN), (None, QuarantineReason.USER_MISSING)]
    assert world.hub_alarms() == [], "the hub's rules heard its own patient alone"
    assert await world.alerted(anna, bert) == {bert}
    assert (await world.latest(anna), await world.latest(bert)) == (WELL, HIGH)
    # The same value in her own slot alarms at home and in the cloud.
    await world.record(HIGH + 3, user=1)
    await world.deliver()
    assert world.hub_alarms() == [CRISIS.condition]
    assert await world.alerted(anna, bert) == {anna, bert}


async def test_a_re_issued_cuff_gives_nobody_the_last_patients_memory(world: World) -> None:
    former, present = await world.patient("A", OTHER_HUB), await world.patient("B", HUB)
    await world.assign(former, ago(days=10))
    await world.release(ago(days=5))
    await world.episode(former, EpisodeState.ENDED)
    await world.assign(present, ago(days=1))
    await world.in_force(in_slots(None))
    await world.record(HIGH, at=ago(days=12))
    await world.record(HIGH + 1, at=ago(days=7))
    await world.record(HIGH + 2, at=ago(days=3))
    await world.record(HIGH + 3, at=NEVER_SET)
    await world.record(WELL, at=ago(hours=1))
    await world.deliver()
    owners = world.owners()
    assert (owners[WELL], owners[HIGH + 1]) == (present, former)
    assert none_of(owners, (HIGH, HIGH + 2, HIGH + 3))
    assert await world.reasons() == [(None, QuarantineReason.UNDATED_OR_TEST)]
    assert world.hub_alarms() == []
    assert await world.alerted(former, present) == set()
    assert await world.latest(present) == WELL
    # An assignment that begins later, or earlier, gives the undated one to nobody.
    await world.release(ago(minutes=1))
    await world.assign(former, ago(seconds=30))
    await world.in_force(lambda plan: plan.devices == ())
    assert world.owners() == owners


async def test_a_device_that_nobody_assigned_waits_and_is_attached_from_its_date(world: World) -> None:
    patient_id = await world.patient("A", HUB)
    await world.in_force(lambda plan: plan.active)
    await world.record(HIGH, at=ago(days=3))
    await world.record(WELL, at=ago(hours=1))
    await world.record(HIGH + 1, at=NEVER_SET)
    await world.deliver()
    assert none_of(world.owners(), (HIGH, WELL, HIGH + 1))
    (waiting,) = (await world.gateway.request(UNASSIGNED, Empty(), UnassignedAnswer)).devices
    assert (waiting.device_id, waiting.readings) == (CUFF_ID, 4), "what is in quarantine waits for a person instead"
    await world.assign(patient_id, ago(days=1))
    await world.in_force(in_slots(None))
    await world.until(lambda: world.owners()[WELL] == patient_id, "the attachment")
    assert none_of(world.owners(), (HIGH, HIGH + 1))
    assert (world.hub_alarms(), await world.alerted(patient_id)) == ([], set())


async def test_what_is_measured_during_a_test_reaches_no_patient_until_a_person_says_so(world: World) -> None:
    patient_id = await world.patient("A", HUB)
    await world.assign(patient_id, ago(days=1))
    await world.in_force(in_slots(None))
    with world.hub.intake.quarantining(CUFF_ID, lasting_seconds=0):
        await world.record(HIGH, at=ago(minutes=3))
    await asyncio.sleep(0)  # its end
    await world.record(WELL, at=ago(minutes=1))
    await world.deliver()
    assert world.owners() == {HIGH: None, WELL: patient_id}
    assert (world.hub_alarms(), await world.alerted(patient_id)) == ([], set())
    (measurement,) = (await world.quarantined()).measurements
    assert measurement.metrics == (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE)
    confirm = ConfirmRequest(
        hub_id=measurement.hub_id,
        store_id=measurement.store_id,
        first_seq=measurement.first_seq,
        patient_id=patient_id,
        person_id=PERSON,
    )
    assert (await world.operator.request(QUARANTINE_CONFIRM, confirm, Decided)).readings == 2
    await world.told()
    assert world.owners() == {HIGH: patient_id, WELL: patient_id}
    assert await world.latest(patient_id) == WELL, "it is two minutes older"
    assert await world.alerted(patient_id) == set(), "and so it is for the rules: the newer value was in range"

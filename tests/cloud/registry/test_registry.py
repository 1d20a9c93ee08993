"""Registry on a real broker and database; a hub is played by a bus user that may do what a hub may."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import registry, registry_administration
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import STORED_EVENT, StoredEvent
from bedside_cloud.contracts.registry import (
    AssignmentSnapshot,
    EpisodeState,
    HubList,
    PatientList,
    PatientsRequest,
    PlanSnapshot,
)
from bedside_cloud.contracts.registry_administration import (
    AssignRequest,
    DeviceRoll,
    Done,
    EpisodeRequest,
    LimitsRequest,
    PatientAnswer,
    PatientRequest,
    PatientRoll,
    PlaceRequest,
    ReleaseRequest,
    TeamRequest,
)
from bedside_cloud.engines.certificates.authority import certificate_der, common_name
from bedside_cloud.engines.certificates.signing import is_signed_by
from bedside_cloud.registry.run import main
from bedside_profiles.readings import Metric
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.rates import Direction, RateRule
from bedside_profiles.rules.technical import TechnicalKind, TechnicalRule
from bedside_profiles.rules.thresholds import Side, ThresholdRule
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice
from bedside_profiles.wire.command import Outcome, Reply
from bedside_profiles.wire.events import Event, EventField
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument, signing_input
from bedside_profiles.wire.status import DeviceStatus, HubState, LinkState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, subject

HUB, OTHER_HUB, OXIMETER = "hub-1", "hub-2", "oximeter-1"
RULE = ThresholdRule(
    rule_id="spo2-low",
    version=1,
    condition="spo2_low",
    metric=Metric.SPO2,
    side=Side.BELOW,
    limit=90,
    priority=Priority.HIGH,
    onset_delay_ms=10_000,
    clear_limit=92,
)
PERSON = str(uuid.uuid4())
PATIENT = PatientRequest(name="Test Person One", birth_date="1950-12-31", mrn="MRN-1")


@dataclass(slots=True)
class Office:
    """The tech's questions, the gateway's, and what hubs hear and say."""

    operator: Bus
    gateway: Bus
    ingest: Bus
    hubs: Bus
    plans: "asyncio.Queue[tuple[str, SignedDocument]]"

    async def done(self, what: str, request: object) -> bool:
        return (await self.operator.request(what, request, Done)).changed  # type: ignore[arg-type]

    async def patient(self, request: PatientRequest = PATIENT) -> str:
        return (await self.operator.request(registry_administration.PATIENT_ADD, request, PatientAnswer)).patient_id

    async def serve(self, patient_id: str, hub_id: str = HUB) -> None:
        """Limits, device, hub, then the episode: the last step makes the plan active."""
        limits = LimitsRequest(patient_id=patient_id, rules=(RULE,), emergency_number="112")
        assert await self.done(registry_administration.LIMITS_SET, limits)
        assign = AssignRequest(device_id=OXIMETER, patient_id=patient_id, from_ms=1_000)
        assert await self.done(registry_administration.DEVICE_ASSIGN, assign)
        assert await self.done(registry_administration.HUB_PLACE, PlaceRequest(hub_id=hub_id, patient_id=patient_id))
        active = EpisodeRequest(patient_id=patient_id, state=EpisodeState.ACTIVE)
        assert await self.done(registry_administration.EPISODE_SET, active)

    async def next_plan(self, hub_id: str = HUB) -> CarePlan:
        while True:
            where, document = await asyncio.wait_for(self.plans.get(), 10)
            if where == subject(hub_id, DownLane.CAREPLAN):
                return decode(CarePlan, document.body)

    async def plan_where(self, version: int, hub_id: str = HUB) -> CarePlan:
        while True:
            plan = await self.next_plan(hub_id)
            if plan.version == version:
                return plan

    async def newest_plans(self) -> PlanSnapshot:
        return await self.gateway.request(registry.PLANS, Empty(), PlanSnapshot)

    async def say(self, status: Status) -> None:
        await self.hubs.publish_bytes(subject(status.hub_id, UpLane.STATUS), encode(status))

    async def reply(self, plan: CarePlan, outcome: Outcome) -> None:
        reply = Reply(SCHEMA_VERSION, plan.hub_id, plan.plan_id, outcome, plan.version)
        await self.hubs.publish_bytes(subject(plan.hub_id, UpLane.REPLIES), encode(reply))

    async def hub(self, hub_id: str = HUB) -> registry.Hub | None:
        found = (await self.gateway.request(registry.HUBS, Empty(), HubList)).hubs
        return next((hub for hub in found if hub.hub_id == hub_id), None)

    async def hub_where(self, **wanted: object) -> registry.Hub:
        """The hub once it is as wanted."""
        async with asyncio.timeout(5):
            while True:
                hub = await self.hub()
                if hub is not None and all(getattr(hub, name) == value for name, value in wanted.items()):
                    return hub


def online(**changes: object) -> Status:
    plain = Status(SCHEMA_VERSION, HUB, HubState.ONLINE, "11111111-1111-4111-8111-111111111111")
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def office(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_service(main, settings_of("registry", broker, database)))
        operator, gateway, ingest, hubs = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", "gateway", "ingest", broker.hub_player)
        ]
        plans: asyncio.Queue[tuple[str, SignedDocument]] = asyncio.Queue()

        async def on_plan(where: str, body: bytes) -> None:
            plans.put_nowait((where, decode(SignedDocument, body)))

        await hubs.subscribe(subject("*", DownLane.CAREPLAN), on_plan)
        await hubs.client.flush()
        yield Office(operator, gateway, ingest, hubs, plans)


async def test_a_plan_reaches_its_hub_signed_by_the_registry(office: Office, broker: TestBroker) -> None:
    await office.serve(await office.patient())
    issuing = broker.state.certificates.leaf("registry")[1][1]
    while True:
        where, document = await asyncio.wait_for(office.plans.get(), 5)
        plan = decode(CarePlan, document.body)
        if plan.active:
            break
    leaf = broker.state.certificates.leaf("registry")[0].certificate
    assert where == subject(HUB, DownLane.CAREPLAN)
    assert document.certificates == (certificate_der(leaf), certificate_der(issuing))
    assert common_name(leaf) == "registry"
    assert is_signed_by(leaf, signing_input(DocumentKind.CARE_PLAN, document.body), document.signature)
    assert plan.rules == (RULE,)
    assert [(device.device_id, device.from_ms) for device in plan.devices] == [(OXIMETER, 1_000)]
    assert plan.emergency_number == "112"


async def test_snapshots_say_who_is_measured_by_what_and_name_nobody(office: Office) -> None:
    patient_id = await office.patient()
    await office.serve(patient_id)
    plans = await office.newest_plans()
    assert [(plan.patient_id, plan.active, plan.hub_id, plan.rules) for plan in plans.plans] == [
        (patient_id, True, HUB, (RULE,))
    ]
    assignments = await office.ingest.request(registry.ASSIGNMENTS, Empty(), AssignmentSnapshot)
    assert [(one.device_id, one.patient_id, one.from_ms, one.until_ms) for one in assignments.assignments] == [
        (OXIMETER, patient_id, 1_000, None)
    ]
    assert "Test Person" not in plans.model_dump_json() + assignments.model_dump_json()


async def test_a_clinician_sees_the_patients_in_their_care_alone(office: Office) -> None:
    patient_id = await office.patient()
    await office.patient(PatientRequest(name="Test Person Two", birth_date="1960-01-01", mrn="MRN-2"))
    await office.serve(patient_id)
    mine = PatientsRequest(person_id=PERSON)
    assert not (await office.gateway.request(registry.PATIENTS, mine, PatientList)).patients
    team = TeamRequest(patient_id=patient_id, person_id=PERSON)
    assert await office.done(registry_administration.TEAM_ADD, team)
    assert not await office.done(registry_administration.TEAM_ADD, team)
    (patient,) = (await office.gateway.request(registry.PATIENTS, mine, PatientList)).patients
    assert (patient.name, patient.birth_date, patient.mrn) == (PATIENT.name, PATIENT.birth_date, PATIENT.mrn)
    assert (patient.episode_state, patient.hub_ids) == (EpisodeState.ACTIVE, (HUB,))
    with pytest.raises(RefusedError):
        await office.gateway.request(registry.PATIENTS, PatientsRequest(person_id="'; --"), PatientList)


async def test_only_an_active_episode_has_an_active_plan(office: Office) -> None:
    patient_id = await office.patient()
    await office.serve(patient_id)
    for state, active in (
        (EpisodeState.PAUSED, False),
        (EpisodeState.ACTIVE, True),
        (EpisodeState.ENDED, False),
        (EpisodeState.PLANNED, False),
    ):
        change = EpisodeRequest(patient_id=patient_id, state=state)
        assert await office.done(registry_administration.EPISODE_SET, change)
        assert not await office.done(registry_administration.EPISODE_SET, change)
        assert (await office.newest_plans()).plans[0].active is active
    with pytest.raises(RefusedError) as refused:
        await office.done(
            registry_administration.EPISODE_SET, EpisodeRequest(patient_id=patient_id, state=EpisodeState.PAUSED)
        )
    assert refused.value.code == 409


async def test_a_plan_is_sent_until_it_is_answered(office: Office) -> None:
    await office.serve(await office.patient())
    await office.say(online())
    plan = (await office.newest_plans()).plans[0]
    # At the change, at the hub's birth, and again because nobody answered.
    for _ in range(3):
        await office.plan_where(plan.version)
    await office.reply(await office.plan_where(plan.version), Outcome.APPLIED)
    await office.say(online(plan_id=plan.plan_id, plan_version=plan.version, agent_version="1"))
    await office.hub_where(agent_version="1")
    while not office.plans.empty():
        office.plans.get_nowait()
    # Longer than the pause between two sendings.
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(office.plans.get(), 6)


async def test_a_hub_that_runs_an_older_plan_is_sent_the_newest_at_once(office: Office) -> None:
    patient_id = await office.patient()
    await office.serve(patient_id)
    newest = (await office.newest_plans()).plans[0]
    await office.reply(await office.plan_where(newest.version), Outcome.APPLIED)
    await office.say(online(plan_id=newest.plan_id, plan_version=1))
    assert (await office.plan_where(newest.version)).active


async def test_a_hub_that_runs_a_plan_from_before_a_restore_is_overtaken(office: Office) -> None:
    await office.serve(await office.patient())
    plan = (await office.newest_plans()).plans[0]
    await office.say(online(plan_id=plan.plan_id, plan_version=70))
    overtaking = await office.plan_where(71)
    assert (overtaking.active, overtaking.rules) == (True, (RULE,))


async def test_a_hub_that_is_taken_away_gets_an_inactive_plan(office: Office) -> None:
    patient_id = await office.patient()
    await office.serve(patient_id)
    before = (await office.newest_plans()).plans[0]
    place = PlaceRequest(hub_id=OTHER_HUB, patient_id=patient_id)
    assert await office.done(registry_administration.HUB_PLACE, place)
    assert not await office.done(registry_administration.HUB_PLACE, place)
    withdrawn = await office.plan_where(before.version + 1)
    assert not withdrawn.active
    assert (await office.plan_where(1, OTHER_HUB)).active
    plans = (await office.newest_plans()).plans
    assert [(plan.hub_id, plan.active) for plan in plans] == [(OTHER_HUB, True)]


async def test_a_device_measures_one_patient_at_a_time(office: Office) -> None:
    first = await office.patient()
    second = await office.patient(PatientRequest(name="Test Person Two", birth_date="1960-01-01", mrn="MRN-2"))
    assign = AssignRequest(device_id=OXIMETER, patient_id=first, from_ms=1_000)
    assert await office.done(registry_administration.DEVICE_ASSIGN, assign)
    assert not await office.done(registry_administration.DEVICE_ASSIGN, assign)
    other = AssignRequest(device_id=OXIMETER, patient_id=second, from_ms=5_000)
    with pytest.raises(RefusedError) as refused:
        await office.done(registry_administration.DEVICE_ASSIGN, other)
    assert refused.value.code == 409
    release = ReleaseRequest(device_id=OXIMETER, until_ms=6_000)
    assert await office.done(registry_administration.DEVICE_RELEASE, release)
    assert not await office.done(registry_administration.DEVICE_RELEASE, release)
    with pytest.raises(RefusedError):
        await office.done(registry_administration.DEVICE_ASSIGN, other)
    later = AssignRequest(device_id=OXIMETER, patient_id=second, from_ms=6_000)
    assert await office.done(registry_administration.DEVICE_ASSIGN, later)


async def test_two_people_share_a_device_and_each_ones_plan_tells_of_the_other(office: Office) -> None:
    first = await office.patient()
    second = await office.patient(PatientRequest(name="Test Person Two", birth_date="1960-01-01", mrn="MRN-2"))
    await office.serve(first)
    assert (await office.plan_where(2)).others == ()
    spouse = AssignRequest(device_id=OXIMETER, patient_id=second, from_ms=5_000, user=2)
    assert await office.done(registry_administration.DEVICE_ASSIGN, spouse)
    assert not await office.done(registry_administration.DEVICE_ASSIGN, spouse)
    shared = await office.plan_where(3)
    assert shared.devices == (PlannedDevice(OXIMETER, 1_000),)
    assert shared.others == (PlannedDevice(OXIMETER, 5_000, user=2),)
    snapshot = await office.ingest.request(registry.ASSIGNMENTS, Empty(), AssignmentSnapshot)
    assert [(one.patient_id, one.user) for one in snapshot.assignments] == [(first, None), (second, 2)]
    roll = await office.operator.request(registry_administration.DEVICES, Empty(), DeviceRoll)
    assert {(one.device_id, one.patient_id, one.user) for one in roll.devices} == {
        (OXIMETER, first, None),
        (OXIMETER, second, 2),
    }
    for user in (None, 0, 1, 2):
        third = await office.patient(PatientRequest(name="Test Person Three", birth_date="1960-01-01", mrn="MRN-3"))
        with pytest.raises(RefusedError) as refused:
            await office.done(
                registry_administration.DEVICE_ASSIGN, AssignRequest(device_id=OXIMETER, patient_id=third, user=user)
            )
        assert refused.value.code == 409
    with pytest.raises(RefusedError, match="several people"):
        await office.done(registry_administration.DEVICE_RELEASE, ReleaseRequest(device_id=OXIMETER, until_ms=9_000))
    release = ReleaseRequest(device_id=OXIMETER, until_ms=9_000, patient_id=second)
    assert await office.done(registry_administration.DEVICE_RELEASE, release)
    assert not await office.done(registry_administration.DEVICE_RELEASE, release)
    alone = await office.plan_where(4)
    assert alone.devices == (PlannedDevice(OXIMETER, 1_000),)
    assert alone.others == (PlannedDevice(OXIMETER, 5_000, 9_000, 2),), "records of that time may still come"


async def test_a_slot_that_a_plan_cannot_name_is_refused(office: Office) -> None:
    patient_id = await office.patient()
    for user in (-1, 65_536):
        assign = AssignRequest(device_id=OXIMETER, patient_id=patient_id, user=user)
        with pytest.raises(RefusedError) as refused:
            await office.done(registry_administration.DEVICE_ASSIGN, assign)
        assert refused.value.code == 400


async def test_people_are_assigned_to_one_device_at_one_time_from_all_sides(office: Office) -> None:
    people = [
        await office.patient(PatientRequest(name="Test Person", birth_date="1960-01-01", mrn=f"MRN-{number}"))
        for number in range(8)
    ]
    wanted = [AssignRequest(device_id=OXIMETER, patient_id=who, user=slot) for slot, who in enumerate(people)]
    assert all(
        await asyncio.gather(*(office.done(registry_administration.DEVICE_ASSIGN, request) for request in wanted))
    )
    snapshot = await office.ingest.request(registry.ASSIGNMENTS, Empty(), AssignmentSnapshot)
    assert {one.user: one.patient_id for one in snapshot.assignments} == dict(enumerate(people))


async def test_a_hub_is_online_from_its_birth_to_its_own_will(office: Office) -> None:
    await office.say(online(agent_version="1.2", devices=(DeviceStatus(OXIMETER, "plx", LinkState.CONNECTED),)))
    hub = await office.hub_where(online=True)
    assert (hub.agent_version, hub.state) == ("1.2", "free")
    stale = replace(online(), state=HubState.OFFLINE, session="22222222-2222-4222-8222-222222222222")
    await office.say(stale)
    await office.say(online(agent_version="1.3"))
    assert (await office.hub_where(agent_version="1.3")).online
    await office.say(replace(online(), state=HubState.OFFLINE))
    await office.hub_where(online=False)
    (device,) = (await office.operator.request(registry_administration.DEVICES, Empty(), DeviceRoll)).devices
    assert (device.device_id, device.hub_id, device.profile) == (OXIMETER, HUB, "plx")


async def test_garbage_on_the_hub_s_lanes_disturbs_nobody(office: Office) -> None:
    for lane in (UpLane.STATUS, UpLane.REPLIES):
        for body in (b"", b"\xff" * 10, encode(online())[:-3]):
            await office.hubs.publish_bytes(subject(HUB, lane), body)
    await office.say(online())
    assert (await office.hub_where(online=True)).hub_id == HUB


async def test_a_reported_device_is_listed_and_the_same_event_counts_once(office: Office) -> None:
    event = Event(1, "device_added", 5, "boot", 7, OXIMETER, (EventField("profile", "plx"),))
    stored = StoredEvent(hub_id=HUB, store_id="0" * 32, event=event)
    for _ in range(2):
        await office.ingest.request(STORED_EVENT, stored, Empty)
    (device,) = (await office.operator.request(registry_administration.DEVICES, Empty(), DeviceRoll)).devices
    assert (device.device_id, device.hub_id, device.profile, device.patient_id) == (OXIMETER, HUB, "plx", None)


@pytest.mark.parametrize(
    "wrong",
    [
        PatientRequest(name="", birth_date="1950-12-31", mrn="1"),
        PatientRequest(name="Test", birth_date="31.12.1950", mrn="1"),
        PatientRequest(name="Test", birth_date="2950-12-31", mrn="1"),
        PatientRequest(name="Test", birth_date="1950-12-31", mrn=" "),
    ],
)
async def test_a_patient_has_a_name_a_birth_date_and_a_number(office: Office, wrong: PatientRequest) -> None:
    with pytest.raises(RefusedError) as refused:
        await office.patient(wrong)
    assert refused.value.code == 400


async def test_the_same_record_number_is_the_same_patient(office: Office) -> None:
    first = await office.patient()
    assert await office.patient(PATIENT.model_copy(update={"name": "Corrected Name"})) == first
    roll = (await office.operator.request(registry_administration.PATIENTS_ALL, Empty(), PatientRoll)).patients
    assert [(patient.name, patient.episode_state) for patient in roll] == [("Corrected Name", None)]


async def test_rules_of_every_kind_reach_the_hub(office: Office) -> None:
    patient_id = await office.patient()
    await office.serve(patient_id)
    rate = RateRule("gain", 1, "weight_gain", Metric.BODY_WEIGHT, Direction.RISE, 2.0, 259_200_000, Priority.MEDIUM, 1)
    cadence = CadenceRule("weight", 1, "weight_overdue", Metric.BODY_WEIGHT, Priority.LOW, at_minutes=(480,))
    silence = TechnicalRule("silent", 1, TechnicalKind.NO_DATA, Priority.MEDIUM, 60_000, OXIMETER)
    wanted = LimitsRequest(
        patient_id=patient_id, rules=(RULE,), rates=(rate,), cadences=(cadence,), technical=(silence,)
    )
    before = (await office.newest_plans()).plans[0].version
    assert await office.done(registry_administration.LIMITS_SET, wanted)
    assert not await office.done(registry_administration.LIMITS_SET, wanted), "it was so already"
    plan = await office.plan_where(before + 1)
    assert (plan.rules, plan.rates, plan.cadences, plan.technical) == ((RULE,), (rate,), (cadence,), (silence,))
    assert plan.needs == ("rates", "cadences", "technical")
    assert plan.not_understood() == ()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((RULE, RULE), "stands twice"),
        ((replace(RULE, onset_delay_ms=365 * 86_400_000),), "onset_delay_ms"),
        ((replace(RULE, limit=float("nan"), clear_limit=None),), "limit"),
        ((replace(RULE, rule_id="Has Spaces"),), "rule_id"),
    ],
)
async def test_rules_that_no_hub_would_follow_are_not_signed(
    office: Office, rules: tuple[ThresholdRule, ...], said: str
) -> None:
    patient_id = await office.patient()
    with pytest.raises(RefusedError, match=said):
        await office.done(registry_administration.LIMITS_SET, LimitsRequest(patient_id=patient_id, rules=rules))

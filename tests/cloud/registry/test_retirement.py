"""Hubs that go out of service, seen from registry: with a real identity, broker and database beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.cloud.registry.test_registry import HUB, OTHER_HUB, OXIMETER, Office, online
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import registry, registry_administration
from bedside_cloud.contracts.identity import EST_ENROL, CertificatesOnly, EnrolRequest
from bedside_cloud.contracts.identity_administration import (
    CLAIM_CREATE,
    HUB_ACCESS,
    HUB_ACCESS_SET,
    Access,
    ClaimAnswer,
    ClaimRequest,
    HubAccessAnswer,
    HubAccessList,
    HubAccessRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import STORED_EVENT, StoredEvent
from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.contracts.registry_administration import (
    DeviceRoll,
    PlaceRequest,
    RenameRequest,
    Retired,
    RetireRequest,
)
from bedside_cloud.engines.audit import deeds
from bedside_cloud.engines.certificates import authority
from bedside_cloud.identity import run as identity
from bedside_cloud.registry import run as registry_run
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.status import DeviceStatus, LinkState
from bedside_profiles.wire.topics import DownLane, subject

WIPED = StoredEvent(
    hub_id=HUB, store_id="0" * 32, event=Event(seq=1, kind="wiped", at_ms=1, boot_id="0", monotonic_ms=1)
)
SEES_IT = (DeviceStatus(OXIMETER, "plx", LinkState.CONNECTED),)


@dataclass
class Fleet(Office):
    """An office with identity beside it, both of which can be stopped."""

    broker: TestBroker
    database: TestDatabase
    registry: AsyncExitStack
    identity: AsyncExitStack

    async def start(self, name: str) -> None:
        stack, main = {"registry": (self.registry, registry_run.main), "identity": (self.identity, identity.main)}[name]
        await stack.enter_async_context(running_service(main, settings_of(name, self.broker, self.database)))

    async def enrol(self, hub_id: str) -> None:
        claim = (await self.operator.request(CLAIM_CREATE, ClaimRequest(hub_id=hub_id), ClaimAnswer)).claim
        csr = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .sign(authority.new_key(), hashes.SHA256())
        )
        request = EnrolRequest(hub_id=hub_id, claim=claim, csr_der=csr.public_bytes(serialization.Encoding.DER))
        await self.gateway.request(EST_ENROL, request, CertificatesOnly)

    async def access(self, hub_id: str = HUB) -> Access:
        entries = (await self.operator.request(HUB_ACCESS, Empty(), HubAccessList)).hubs
        return next(entry.access for entry in entries if entry.hub_id == hub_id)

    async def set_access(self, access: Access) -> None:
        await self.operator.request(HUB_ACCESS_SET, HubAccessRequest(hub_id=HUB, access=access), HubAccessAnswer)

    async def retire(self, new: str | None = None, hub_id: str = HUB) -> Retired:
        request = RetireRequest(hub_id=hub_id, new_hub_id=new)
        return await self.operator.request(registry_administration.HUB_RETIRE, request, Retired)

    async def place(self, patient_id: str | None, hub_id: str = HUB) -> bool:
        return await self.done(registry_administration.HUB_PLACE, PlaceRequest(hub_id=hub_id, patient_id=patient_id))

    async def device_hub(self) -> str | None:
        roll = await self.operator.request(registry_administration.DEVICES, Empty(), DeviceRoll)
        return next(one.hub_id for one in roll.devices if one.device_id == OXIMETER)


@pytest.fixture
async def fleet(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        operator, gateway, ingest, hubs = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", "gateway", "ingest", broker.hub_player)
        ]
        plans: asyncio.Queue[tuple[str, SignedDocument]] = asyncio.Queue()

        async def on_plan(where: str, body: bytes) -> None:
            plans.put_nowait((where, decode(SignedDocument, body)))

        await hubs.subscribe(subject("*", DownLane.CAREPLAN), on_plan)
        await hubs.client.flush()
        services = [await stack.enter_async_context(AsyncExitStack()) for _ in range(2)]
        fleet = Fleet(operator, gateway, ingest, hubs, plans, broker, database, *services)
        for name in ("identity", "registry"):
            await fleet.start(name)
        for hub_id in (HUB, OTHER_HUB):
            await fleet.enrol(hub_id)
        yield fleet


async def test_a_replaced_hub_hears_that_it_serves_nobody_and_takes_nothing_back(fleet: Fleet) -> None:
    patient_id = await fleet.patient()
    await fleet.serve(patient_id)
    await fleet.say(online(devices=SEES_IT, waiting=5))
    assert (await fleet.hub_where(waiting=5)).waiting_at_ms is not None
    done = await fleet.retire(OTHER_HUB)
    assert (done.changed, done.patient_id, done.device_ids) == (True, patient_id, (OXIMETER,))
    assert (await fleet.hub_where(state="retired")).waiting is None, "what it said before counts no more"
    last = (await fleet.newest_plans()).plans
    assert [(plan.hub_id, plan.active) for plan in last] == [(OTHER_HUB, True)]
    assert await fleet.device_hub() == OTHER_HUB

    # It comes late, still under its old plan, and sees the device that another one reads now.
    while not fleet.plans.empty():
        fleet.plans.get_nowait()
    await fleet.say(online(devices=SEES_IT, waiting=3, session="22222222-2222-4222-8222-222222222222"))
    withdrawn = await fleet.next_plan()
    assert (withdrawn.active, withdrawn.patient_id) == (False, patient_id)
    assert (await fleet.hub_where(waiting=3)).replaced_by == OTHER_HUB
    assert await fleet.device_hub() == OTHER_HUB
    # It runs a plan of after the backup that was restored: what it is sent is none of the patient's affairs.
    ahead = {"plan_id": withdrawn.plan_id, "plan_version": 99, "session": "33333333-3333-4333-8333-333333333333"}
    await fleet.say(online(**ahead))
    assert not (await fleet.plan_where(100)).active
    last = (await fleet.newest_plans()).plans
    assert [(plan.hub_id, plan.active) for plan in last] == [(OTHER_HUB, True)]


async def test_snapshots_tell_of_the_retirement_and_of_whom_the_hub_served(fleet: Fleet) -> None:
    patient_id = await fleet.patient()
    await fleet.serve(patient_id)
    (former,) = (await fleet.newest_plans()).plans
    done = await fleet.retire(OTHER_HUB)
    assert not (await fleet.retire(OTHER_HUB)).changed
    snapshot = await fleet.ingest.request(registry.ASSIGNMENTS, Empty(), AssignmentSnapshot)
    assert [(out.hub_id, out.from_ms, out.until_ms) for out in snapshot.retirements] == [(HUB, done.at_ms, None)]
    assert [(one.device_id, one.until_ms) for one in snapshot.assignments] == [(OXIMETER, None)]
    told = (await fleet.newest_plans()).former
    assert [(one.plan_id, one.hub_id, one.patient_id) for one in told] == [(former.plan_id, HUB, patient_id)]
    recorded = [(one.actor, one.deed) for one in deeds(fleet.database.superuser_dsn) if one.subject == HUB]
    assert recorded.count(("operator", "hub_replaced")) == 1


async def test_a_retired_hub_serves_nobody_until_it_has_enrolled_again(fleet: Fleet) -> None:
    patient_id = await fleet.patient()
    await fleet.retire()
    with pytest.raises(RefusedError, match="is retired"):
        await fleet.place(patient_id)
    await fleet.set_access(Access.RETIRED)
    await fleet.identity.aclose()
    with pytest.raises(RefusedError, match="Try again later"):
        await fleet.place(patient_id)
    # The word that it has enrolled is lost: nobody is there to hear it.
    await fleet.start("identity")
    await fleet.registry.aclose()
    await asyncio.sleep(1.1)  # enrolments are dated in whole seconds
    await fleet.enrol(HUB)
    await fleet.start("registry")
    assert (await fleet.hub_where(state="retired")).retired_at_ms is not None
    assert await fleet.place(patient_id)
    assert (await fleet.hub_where(state="placed")).retired_at_ms is None
    await fleet.retire()
    await fleet.set_access(Access.RETIRED)
    await fleet.enrol(HUB)
    await fleet.hub_where(state="free")


async def test_that_a_hub_is_wiped_is_kept_until_identity_has_taken_it(fleet: Fleet) -> None:
    await fleet.retire()
    await fleet.set_access(Access.RETIRED)
    await fleet.identity.aclose()
    with pytest.raises(RefusedError, match="503"):
        await fleet.ingest.request(STORED_EVENT, WIPED, Empty)
    with psycopg.connect(fleet.database.superuser_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM registry.hub_events").fetchone() == (0,)
    await fleet.start("identity")
    for _ in range(2):
        await fleet.ingest.request(STORED_EVENT, WIPED, Empty)
    assert await fleet.access() is Access.WIPED
    # Much later the same word comes once more, and the hub is another one's by then: it is not heard again.
    await fleet.enrol(HUB)
    await fleet.ingest.request(STORED_EVENT, WIPED, Empty)
    assert await fleet.access() is Access.ACTIVE


async def test_what_cannot_be_is_refused_and_changes_nothing(fleet: Fleet) -> None:
    another = registry_administration.PatientRequest(name="Test Person Two", birth_date="1960-01-01", mrn="MRN-2")
    first, second = await fleet.patient(), await fleet.patient(another)
    await fleet.place(first)
    await fleet.place(second, OTHER_HUB)
    for request, reason in (
        (RetireRequest(hub_id=HUB, new_hub_id=OTHER_HUB), "serves another patient"),
        (RetireRequest(hub_id=HUB, new_hub_id=HUB), "cannot replace itself"),
        (RetireRequest(hub_id=HUB, new_hub_id="hub-99"), "There is no hub hub-99"),
        (RetireRequest(hub_id="hub-99"), "There is no hub hub-99"),
        (RetireRequest(hub_id=HUB, at_ms=4_000_000_000_000), "in the future"),
        (RetireRequest(hub_id=HUB, at_ms=1), "Name no earlier moment"),
    ):
        with pytest.raises(RefusedError, match=reason):
            await fleet.operator.request(registry_administration.HUB_RETIRE, request, Retired)
    assert (await fleet.hub_where(state="placed")).retired_at_ms is None
    for label in ("x" * 65, "a\nb", "a\0b"):
        with pytest.raises(RefusedError, match="signs that can be printed"):
            await fleet.done(registry_administration.HUB_RENAME, RenameRequest(hub_id=HUB, label=label))
    await fleet.retire(hub_id=OTHER_HUB)
    with pytest.raises(RefusedError, match="is retired itself"):
        await fleet.retire(OTHER_HUB)

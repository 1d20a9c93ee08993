"""Which hub is let in, and what it may do there: real broker, real MQTT clients, real identity."""

import asyncio
import queue
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from tests.support.database import TestDatabase
from tests.support.nats import HubCertificate, HubClient, TestBroker, hub_certificate
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity import EST_CA, EST_ENROL, CertificatesOnly, EnrolRequest
from bedside_cloud.contracts.identity_administration import (
    CHANGED,
    CLAIM_CREATE,
    HUB_ACCESS,
    HUB_ACCESS_SET,
    HUB_ENROLLED,
    Access,
    ClaimAnswer,
    ClaimRequest,
    HubAccessAnswer,
    HubAccessList,
    HubAccessRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import PrivateKey
from bedside_cloud.identity.callout import Denied, Granted, Question
from bedside_cloud.identity.doorkeeper import Doorkeeper
from bedside_cloud.identity.run import main
from bedside_cloud.identity.snapshot import read_snapshot
from bedside_profiles.wire.topics import DownLane, UpLane, subject, topic

QUIET_SECONDS = 0.5
"""How long nothing must arrive. The broker answers in milliseconds."""


@dataclass(slots=True)
class House:
    """The cloud as a hub and a tech see it."""

    broker: TestBroker
    database: TestDatabase
    operator: Bus
    folder: Path
    registry: Bus
    ingest: Bus
    gateway: Bus
    clients: list[HubClient] = field(default_factory=list)

    async def claim(self, hub_id: str) -> str:
        return (await self.operator.request(CLAIM_CREATE, ClaimRequest(hub_id=hub_id), ClaimAnswer)).claim

    async def enrol(self, hub_id: str, claim: str, key: PrivateKey) -> list[x509.Certificate]:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hub_id)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        request = EnrolRequest(hub_id=hub_id, claim=claim, csr_der=csr.public_bytes(serialization.Encoding.DER))
        answer = await self.gateway.request(EST_ENROL, request, CertificatesOnly)
        return pkcs7.load_der_pkcs7_certificates(answer.pkcs7_der)

    async def enrolled(self, hub_id: str) -> HubCertificate:
        key = authority.new_key()
        certificates = await self.enrol(hub_id, await self.claim(hub_id), key)
        leaf = next(one for one in certificates if authority.common_name(one) == hub_id)
        others = [one for one in certificates if one is not leaf]
        files = HubCertificate(self.folder / f"{hub_id}.pem", self.folder / f"{hub_id}.key")
        files.certificate_file.write_bytes(authority.certificate_pem(leaf, *others))
        files.key_file.write_bytes(authority.key_pem(key))
        return files

    def client(self, client_id: str, certificate: HubCertificate | None, will_topic: str | None = None) -> HubClient:
        state = self.broker.state
        client = HubClient(state.place.ports.hubs, state.certificates.ca_file, client_id, certificate, will_topic)
        self.clients.append(client)
        return client

    async def connected(self, hub_id: str) -> HubClient:
        client = self.client(hub_id, await self.enrolled(hub_id))
        assert await asyncio.to_thread(client.connect)
        return client

    async def heard(self, bus: Bus, what: str) -> "asyncio.Queue[tuple[str, bytes]]":
        """A queue of what is published on a subject from now on."""
        arrived: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

        async def on_message(where: str, body: bytes) -> None:
            arrived.put_nowait((where, body))

        await bus.subscribe(what, on_message)
        await bus.client.flush()
        return arrived


@pytest.fixture
async def house(broker: TestBroker, database: TestDatabase, tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            settings = settings_of("identity", broker, database, f"identity-{number}")
            await stack.enter_async_context(running_service(main, settings))
        users = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", "registry", "ingest", "gateway")
        ]
        house = House(broker, database, users[0], tmp_path, users[1], users[2], users[3])
        yield house
        for client in house.clients:
            client.close()


async def test_an_enrolled_hub_speaks_and_listens_on_its_own_lanes(house: House) -> None:
    statuses = await house.heard(house.registry, subject("*", UpLane.STATUS))
    hub = await house.connected("hub-1")
    for lane in DownLane:
        assert await asyncio.to_thread(hub.subscribe, topic("hub-1", lane))
    hub.publish(topic("hub-1", UpLane.STATUS), b"here")
    assert await asyncio.wait_for(statuses.get(), 5) == (subject("hub-1", UpLane.STATUS), b"here")
    await house.registry.publish_bytes(subject("hub-1", DownLane.CAREPLAN), b"plan")
    received = await asyncio.to_thread(hub.messages.get, timeout=5)
    assert received == (topic("hub-1", DownLane.CAREPLAN), b"plan")


async def test_another_hub_s_lanes_are_refused(house: House) -> None:
    statuses = await house.heard(house.registry, subject("*", UpLane.STATUS))
    hub = await house.connected("hub-1")
    for elsewhere in (topic("hub-2", DownLane.CAREPLAN), "bedside/v1/hubs/+/careplan", "#", "$SYS/#"):
        assert not await asyncio.to_thread(hub.subscribe, elsewhere)
    hub.publish(topic("hub-2", UpLane.STATUS), b"forged")
    hub.publish(topic("hub-1", UpLane.STATUS), b"own")
    assert await asyncio.wait_for(statuses.get(), 5) == (subject("hub-1", UpLane.STATUS), b"own")
    assert statuses.empty()


async def test_a_hub_cannot_write_its_own_receipt(house: House) -> None:
    hub = await house.connected("hub-1")
    assert await asyncio.to_thread(hub.subscribe, topic("hub-1", DownLane.RECEIPTS))
    hub.publish(topic("hub-1", DownLane.RECEIPTS), b"forged")
    await house.ingest.publish_bytes(subject("hub-1", DownLane.RECEIPTS), b"real")
    assert (await asyncio.to_thread(hub.messages.get, timeout=5))[1] == b"real"
    with pytest.raises(queue.Empty):
        await asyncio.to_thread(hub.messages.get, timeout=QUIET_SECONDS)


async def test_a_will_on_a_foreign_topic_is_not_published(house: House) -> None:
    statuses = await house.heard(house.registry, subject("*", UpLane.STATUS))
    for will_topic in (topic("hub-2", UpLane.STATUS), topic("hub-1", UpLane.STATUS)):
        hub = house.client("hub-1", await house.enrolled("hub-1"), will_topic)
        assert await asyncio.to_thread(hub.connect)
        hub.break_off()
        await asyncio.to_thread(hub.disconnected.get, timeout=5)
    assert await asyncio.wait_for(statuses.get(), 5) == (subject("hub-1", UpLane.STATUS), b"will")
    assert statuses.empty()


async def test_a_foreign_client_id_is_refused_and_kicks_nobody_off(house: House) -> None:
    victim = await house.connected("hub-1")
    other = await house.enrolled("hub-2")
    intruder = house.client("hub-1", other)
    assert not await asyncio.to_thread(intruder.connect)
    assert await asyncio.to_thread(victim.subscribe, topic("hub-1", DownLane.RECEIPTS))
    assert victim.disconnected.empty()


async def test_a_renewing_hub_may_connect_beside_itself_but_do_nothing(house: House) -> None:
    certificate = await house.enrolled("hub-1")
    live, proof = house.client("hub-1", certificate), house.client("hub-1~renewal", certificate)
    assert await asyncio.to_thread(live.connect)
    assert await asyncio.to_thread(proof.connect)
    assert not await asyncio.to_thread(proof.subscribe, topic("hub-1", DownLane.CAREPLAN))
    assert live.disconnected.empty()


async def test_no_certificate_an_expired_one_and_a_stranger_s_are_refused(house: House, tmp_path: Path) -> None:
    await house.enrolled("hub-1")
    now = datetime.now(UTC)
    expired = hub_certificate(
        house.broker.state, tmp_path / "old", "hub-1", issued_at=now - timedelta(days=31), life=timedelta(days=30)
    )
    root = authority.make_root(now)
    issuing, key = authority.make_issuing(root, now), authority.new_key()
    forged = HubCertificate(tmp_path / "forged.pem", tmp_path / "forged.key")
    leaf = authority.issue_hub(issuing, "hub-1", key.public_key(), now)
    forged.certificate_file.write_bytes(authority.certificate_pem(leaf, issuing.certificate))
    forged.key_file.write_bytes(authority.key_pem(key))
    for certificate in (None, expired, forged):
        assert not await asyncio.to_thread(house.client("hub-1", certificate).connect)


async def test_a_certificate_that_is_not_a_hub_s_or_of_a_hub_that_never_enrolled_is_refused(
    house: House, tmp_path: Path
) -> None:
    files = house.broker.state.certificates
    service = HubCertificate(files.certificate_file("registry"), files.key_file("registry"))
    assert not await asyncio.to_thread(house.client("registry", service).connect)
    stranger = hub_certificate(house.broker.state, tmp_path / "stranger", "hub-9")
    assert not await asyncio.to_thread(house.client("hub-9", stranger).connect)


async def test_a_revoked_hub_is_cut_at_once_and_stays_out_until_it_enrols_again(house: House) -> None:
    certificate = await house.enrolled("hub-1")
    hub = house.client("hub-1", certificate)
    assert await asyncio.to_thread(hub.connect)
    request = HubAccessRequest(hub_id="hub-1", access=Access.REVOKED)
    await house.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
    await asyncio.to_thread(hub.disconnected.get, timeout=1)
    for _ in range(4):  # either replica may answer
        assert not await asyncio.to_thread(house.client("hub-1", certificate).connect)
    again = HubAccessRequest(hub_id="hub-1", access=Access.ACTIVE)
    with pytest.raises(RefusedError, match="enrol again"):
        await house.operator.request(HUB_ACCESS_SET, again, HubAccessAnswer)
    await house.connected("hub-1")


async def test_what_was_answered_holds_at_every_replica(house: House) -> None:
    certificate = await house.enrolled("hub-1")
    for _ in range(20):
        for access, let_in in ((Access.SUSPENDED, False), (Access.ACTIVE, True)):
            request = HubAccessRequest(hub_id="hub-1", access=access)
            answer = await house.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
            assert answer.everywhere
            client = house.client("hub-1", certificate)
            assert await asyncio.to_thread(client.connect) is let_in
            client.close()


async def test_a_hub_that_is_being_let_in_when_it_is_revoked_does_not_get_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = await house.enrolled("hub-1")
    decision = Doorkeeper.decision

    async def late_decision(keeper: Doorkeeper, question: Question) -> Granted | Denied:
        decided = await decision(keeper, question)
        await asyncio.sleep(0.5)
        return decided

    monkeypatch.setattr(Doorkeeper, "decision", late_decision)
    hub = house.client("hub-1", certificate)
    connecting = asyncio.create_task(asyncio.to_thread(hub.connect))
    await asyncio.sleep(0.2)
    request = HubAccessRequest(hub_id="hub-1", access=Access.REVOKED)
    await house.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
    assert not await connecting


async def test_a_replica_that_does_not_confirm_is_told_of(house: House) -> None:
    await house.enrolled("hub-1")
    async with Bus.open(house.broker.state.bus_settings("identity")) as hung:

        async def on_changed(_subject: str, _body: bytes) -> None:
            """It hears, and does nothing."""

        await hung.subscribe(CHANGED, on_changed)
        await hung.client.flush()
        request = HubAccessRequest(hub_id="hub-1", access=Access.SUSPENDED)
        answer = await house.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
        assert (answer.hub.access, answer.everywhere) == (Access.SUSPENDED, False)
    answer = await house.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
    assert answer.everywhere


async def test_a_suspended_hub_may_come_back(house: House) -> None:
    certificate = await house.enrolled("hub-1")
    for access, let_in in ((Access.SUSPENDED, False), (Access.ACTIVE, True)):
        request = HubAccessRequest(hub_id="hub-1", access=access)
        await house.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
        assert await asyncio.to_thread(house.client("hub-1", certificate).connect) is let_in


async def test_the_database_is_not_needed_to_let_a_known_hub_in(house: House) -> None:
    certificate = await house.enrolled("hub-1")
    folders = [settings_of("identity", house.broker, house.database, f"identity-{number}").folder for number in (1, 2)]
    async with asyncio.timeout(5):
        while not all("hub-1" in read_snapshot(folder / "snapshot.json").hubs for folder in folders):
            await asyncio.sleep(0.01)
    with house.database.away():
        for _ in range(4):  # either replica may answer
            client = house.client("hub-1", certificate)
            assert await asyncio.to_thread(client.connect)
            client.close()


async def test_a_claim_is_good_once_for_one_hub_until_it_expires(house: House) -> None:
    claim, key = await house.claim("hub-1"), authority.new_key()
    with pytest.raises(RefusedError) as refused:
        await house.enrol("hub-2", claim, key)
    assert refused.value.code == 401
    await house.enrol("hub-1", claim.lower().replace("-", " "), key)
    with pytest.raises(RefusedError) as refused:
        await house.enrol("hub-1", claim, key)
    assert refused.value.code == 401
    late = await house.claim("hub-3")
    with psycopg.connect(house.database.superuser_dsn) as connection:
        connection.execute("UPDATE identity.claims SET expires_at = now() WHERE hub_id = 'hub-3'")
        stored = connection.execute("SELECT claim_sha256 FROM identity.claims").fetchall()
    with pytest.raises(RefusedError):
        await house.enrol("hub-3", late, key)
    assert all(late.encode() not in row[0] for row in stored)


async def test_a_claim_used_by_two_at_once_enrols_one(house: House) -> None:
    claim = await house.claim("hub-1")
    results = await asyncio.gather(
        *(house.enrol("hub-1", claim, authority.new_key()) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, list) for result in results) == 1
    assert all(isinstance(result, list | RefusedError) for result in results)


async def test_enrolment_is_announced_and_the_chain_ends_at_the_root(house: House) -> None:
    announced = await house.heard(house.registry, HUB_ENROLLED)
    await house.enrolled("hub-1")
    assert b"hub-1" in (await asyncio.wait_for(announced.get(), 5))[1]
    answer = await house.gateway.request(EST_CA, Empty(), CertificatesOnly)
    assert house.broker.state.certificates.root() in pkcs7.load_der_pkcs7_certificates(answer.pkcs7_der)


async def test_ten_megabytes_in_one_message_cut_the_sender_and_nobody_else(house: House) -> None:
    statuses = await house.heard(house.registry, subject("*", UpLane.STATUS))
    neighbour, hub = await house.connected("hub-2"), await house.connected("hub-1")
    hub.publish(topic("hub-1", UpLane.STATUS), bytes(10_000_000))
    await asyncio.to_thread(hub.disconnected.get, timeout=10)
    neighbour.publish(topic("hub-2", UpLane.STATUS), b"fine")
    assert (await asyncio.wait_for(statuses.get(), 5))[1] == b"fine"
    assert statuses.empty()
    async with asyncio.timeout(5):
        counted = {"hub-1": 0}
        while counted["hub-1"] == 0:
            listed = await house.operator.request(HUB_ACCESS, Empty(), HubAccessList)
            counted = {entry.hub_id: entry.oversized for entry in listed.hubs}
    assert counted == {"hub-1": 1, "hub-2": 0}

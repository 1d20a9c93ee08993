"""What a hub may do in each of its states: curl and openssl before the real enrolment listener, broker and database."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from tests.support.database import TestDatabase
from tests.support.desk import EST, HUB, Desk, open_desk
from tests.support.nats import HubClient, TestBroker

import bedside_cloud.identity
from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity_administration import HUB_WIPED, MAY_BECOME, Access, HubWiped, IncidentKind
from bedside_cloud.contracts.message import Empty
from bedside_cloud.database.pool import Database
from bedside_cloud.identity.access import why_not
from bedside_profiles.wire.topics import DownLane, UpLane, subject, topic

SCHEMA = Path(bedside_cloud.identity.__file__).parent / "schema"
WAYS = {
    Access.ACTIVE: (),
    Access.SUSPENDED: (Access.SUSPENDED,),
    Access.RETIRED: (Access.RETIRED,),
    Access.REVOKED: (Access.REVOKED,),
    Access.WIPED: (Access.RETIRED, Access.WIPED),
}


@pytest.fixture
async def desk(
    broker: TestBroker, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with open_desk(broker, database, tmp_path, monkeypatch) as opened:
        yield opened


async def enrol(desk: Desk, claim: str, name: str, *, serial: str = "") -> int:
    """The status of an enrolment with a request for a new key."""
    return (await desk.curl(EST + "/simpleenroll", "--user", f"{HUB}:{claim}", body=desk.request(name, serial=serial)))[
        0
    ]


@dataclass(frozen=True)
class May:
    """A row of the table in docs/operations.md; the numbers are what the enrolment listener answers."""

    connect: bool
    renew: int
    enrol_with_an_old_claim: int
    enrol_with_a_new_claim: int
    revoked_certificates: bool = False


@pytest.mark.parametrize(
    ("state", "may"),
    [
        (Access.ACTIVE, May(True, 200, 200, 200)),
        (Access.SUSPENDED, May(False, 403, 403, 403)),
        (Access.RETIRED, May(True, 200, 401, 200)),
        (Access.REVOKED, May(False, 403, 401, 200, revoked_certificates=True)),
        (Access.WIPED, May(False, 403, 401, 200, revoked_certificates=True)),
    ],
    ids=lambda value: value.value if isinstance(value, Access) else "",
)
async def test_what_a_hub_may_do(desk: Desk, state: Access, may: May) -> None:
    first = await desk.enrolled("first")
    old_claim = await desk.claim()
    live = HubClient(desk.broker.state.place.ports.hubs, desk.ca, HUB, first)
    assert await asyncio.to_thread(live.connect)
    for step in WAYS[state]:
        await desk.access(step)
    if may.connect:
        assert live.disconnected.empty(), "it is not disturbed"
    else:
        await asyncio.to_thread(live.disconnected.get, timeout=1)
    live.close()

    for _ in range(4):  # either replica may answer
        assert await desk.let_in(first) is may.connect
        assert await desk.let_in(first, f"{HUB}~renewal") is may.connect
    if may.connect:
        await speaks_and_listens(desk, HubClient(desk.broker.state.place.ports.hubs, desk.ca, HUB, first))
    assert (await desk.renew(first, "renewed"))[0] == may.renew
    status, body = await desk.curl("/crl/issuing.crl")
    assert status == 200
    serial = x509.load_pem_x509_certificate(first.certificate_file.read_bytes()).serial_number
    is_listed = x509.load_der_x509_crl(body).get_revoked_certificate_by_serial_number(serial) is not None
    assert is_listed is may.revoked_certificates
    assert await enrol(desk, old_claim, "by-old-claim") == may.enrol_with_an_old_claim
    assert await enrol(desk, await desk.claim(), "by-new-claim") == may.enrol_with_a_new_claim
    told = [deed for actor, deed in desk.deeds() if actor == "operator" and deed.startswith("hub_")]
    assert told == [f"hub_{step.value}" for step in WAYS[state]]


async def speaks_and_listens(desk: Desk, hub: HubClient) -> None:
    """What it says arrives, and it hears what it is told. That readings and alarms arrive is tried with ingest."""
    async with Bus.open(desk.broker.state.bus_settings("registry")) as registry:
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def on_message(where: str, _body: bytes) -> None:
            heard.put_nowait(where)

        for lane in (UpLane.STATUS, UpLane.REPLIES):
            await registry.subscribe(subject("*", lane), on_message)
        await registry.client.flush()
        assert await asyncio.to_thread(hub.connect)
        for down in DownLane:  # an agent gives up a connection on which one of them is refused
            assert await asyncio.to_thread(hub.subscribe, topic(HUB, down))
        for lane in (UpLane.STATUS, UpLane.REPLIES):
            hub.publish(topic(HUB, lane), b"here")
            assert await asyncio.wait_for(heard.get(), 5) == subject(HUB, lane)
        hub.close()


@pytest.mark.parametrize("present", Access)
async def test_only_the_steps_of_the_map_are_taken(desk: Desk, present: Access) -> None:
    await desk.enrolled()
    for step in WAYS[present]:
        await desk.access(step)
    for wanted in Access:
        if wanted is not present and wanted not in MAY_BECOME[present]:
            with pytest.raises(RefusedError, match=f"is {present.value} and cannot become {wanted.value}") as refused:
                await desk.access(wanted)
            assert (refused.value.code, refused.value.reason) == (409, why_not(HUB, present, wanted))
    before = desk.deeds()
    if present is not Access.REVOKED:
        await desk.access(present)
        assert desk.deeds() == before, "asked for again, it is confirmed and not told again"


async def test_the_id_of_a_wiped_hub_goes_to_another_computer_only_by_a_claim_that_names_it(desk: Desk) -> None:
    assert await enrol(desk, await desk.claim(), "first", serial="1000") == 200
    await desk.access(Access.RETIRED)
    await desk.access(Access.WIPED)
    claim = await desk.claim()
    assert await enrol(desk, claim, "another", serial="2000") == 409
    assert await enrol(desk, claim, "nameless") == 409
    assert await desk.incidents() == [IncidentKind.ANOTHER_COMPUTER]
    assert await enrol(desk, claim, "same", serial="1000") == 200, "the claim was not used up by the others"
    await desk.access(Access.RETIRED)
    named = await desk.claim(serial="2000")
    assert await enrol(desk, named, "third", serial="2000") == 200


async def test_a_hub_s_own_word_shuts_out_only_a_hub_that_is_out_of_service(desk: Desk) -> None:
    certificate = await desk.enrolled()
    async with Bus.open(desk.broker.state.bus_settings("registry")) as registry:
        for hub_id in (HUB, "hub-unknown"):
            await registry.request(HUB_WIPED, HubWiped(hub_id=hub_id), Empty)
        assert await desk.incidents() == [IncidentKind.WIPED_IN_SERVICE]
        assert await desk.let_in(certificate)
        await desk.access(Access.RETIRED)
        for _ in range(2):
            await registry.request(HUB_WIPED, HubWiped(hub_id=HUB), Empty)
    assert not await desk.let_in(certificate)
    assert [one for one in desk.deeds() if one[1] in ("hub_wiped", "certificate_revoked")] == [
        *((HUB, "hub_wiped"), (HUB, "certificate_revoked"))
    ]


async def test_hubs_of_before_keep_their_state_and_a_revoked_one_s_old_labels_die(
    database: TestDatabase, tmp_path: Path
) -> None:
    before = tmp_path / "identity" / "schema"
    before.mkdir(parents=True)
    for file in sorted(SCHEMA.glob("000[1-3]_*.sql")):
        shutil.copy(file, before)
    async with Database.open(database.settings("identity"), (before,)):
        pass
    with psycopg.connect(database.superuser_dsn) as connection:
        for hub_id, access in (("hub-1", "active"), ("hub-2", "revoked")):
            connection.execute(
                "INSERT INTO identity.hubs (hub_id, access, enrolled_at, refuse_issued_before, adopted_issued_at,"
                " changed_at) VALUES (%s, %s, now(), now(), now(), now())",
                (hub_id, access),
            )
    async with Database.open(database.settings("identity"), (SCHEMA,)):
        pass
    with psycopg.connect(database.superuser_dsn) as connection:
        rows = connection.execute(
            "SELECT hub_id, access, refuse_claims_until = refuse_issued_before FROM identity.hubs ORDER BY hub_id"
        ).fetchall()
    assert rows == [("hub-1", "active", None), ("hub-2", "revoked", True)]

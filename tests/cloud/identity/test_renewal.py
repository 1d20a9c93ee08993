"""A hub's certificate from its claim to its renewals: a real agent before the real cloud, whose clock is moved."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.database import TestDatabase
from tests.support.desk import DAY, HUB, Desk, open_desk
from tests.support.nats import HubCertificate, TestBroker
from tests.support.services import running_service, settings_of

from bedside_agent.uplink.identity import Identity
from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.identity_administration import IncidentKind
from bedside_cloud.engines.certificates import authority
from bedside_cloud.ingest import run as ingest
from bedside_cloud.registry import run as registry
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import UpLane, subject

EAGER = "from bedside_agent.uplink import renewal; renewal.LOOK_SECONDS = 0.2; " + PROGRAM
"""The agent, which looks more often than each minute whether its certificate is due."""


@pytest.fixture
async def desk(
    broker: TestBroker, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with open_desk(broker, database, tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
async def timed(desk: Desk) -> AsyncIterator[Desk]:
    """With the services from which a hub learns the time: no kernel here knows it."""
    async with AsyncExitStack() as stack:
        for service, main in (("registry", registry.main), ("ingest", ingest.main)):
            settings = settings_of(service, desk.broker, desk.database)
            await stack.enter_async_context(running_service(main, settings))
        yield desk


async def enrolled(desk: Desk, state: Path, *, ago: timedelta) -> HubCertificate:
    """The hub's first certificate, which it got so long ago; a copy of it, as a copied SD card has it."""
    desk.clock[0] = -ago
    ports, ca = desk.broker.state.place.ports, authority.fingerprint(desk.broker.state.certificates.root())
    claim = f"bedside:1?est={desk.url}&broker=127.0.0.1:{ports.hubs}&hub={HUB}&claim={await desk.claim()}&ca={ca}"
    command = (sys.executable, "-c", PROGRAM, "init", "--claim", claim, "--state", str(state))
    result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    with (state / "hub.toml").open("a") as settings:
        settings.write('sound_command = "dd of=/dev/null status=none"\nreconnect_spread_seconds = 1\n')
    desk.clock[0] = timedelta()
    identity, copy = Identity(state / "identity"), HubCertificate(state / "copy.pem", state / "copy.key")
    copy.certificate_file.write_bytes(identity.chain.read_bytes())
    copy.key_file.write_bytes(identity.key.read_bytes())
    return copy


@pytest.mark.parametrize("days", [25, 90])
async def test_a_hub_renews_by_itself_before_its_certificate_ends_and_long_after(
    timed: Desk, tmp_path: Path, days: int
) -> None:
    desk = timed
    state = tmp_path / "state"
    copy = await enrolled(desk, state, ago=days * DAY)
    identity = Identity(state / "identity")
    first_ends_ms = identity.validity_ms()[1]
    key = identity.key.read_bytes()
    async with agent(state, EAGER):
        await until(state, lambda report: report["certificate_ends_ms"] > first_ends_ms)
        await until(state, lambda report: report["connected_since_ms"] is not None)
        assert identity.key.read_bytes() != key
        assert not (state / "identity" / "key.pem").exists(), "the old key is gone"
        # Its copy is of no use from now on, and whoever comes with it is told to the technician.
        await desk.until_refused(copy)
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(told, desk, "certificate_renewed"):
                await asyncio.sleep(0.1)
    if days < 30:
        assert await desk.incidents() == [IncidentKind.REPLACED_CERTIFICATE]
    assert [deed for _, deed in desk.deeds()][:3] == ["claim_made", "hub_enrolled", "certificate_renewed"]


def told(desk: Desk, kind: str) -> bool:
    """Whether the cloud has stored such an event of the hub."""
    with psycopg.connect(desk.database.superuser_dsn) as connection:
        return connection.execute("SELECT 1 FROM ingest.events WHERE kind = %s", (kind,)).fetchone() is not None


async def test_a_hub_that_is_not_renewed_says_so_and_goes_on(timed: Desk, tmp_path: Path) -> None:
    desk, state = timed, tmp_path / "state"
    await enrolled(desk, state, ago=25 * DAY)
    with psycopg.connect(desk.database.superuser_dsn) as connection:
        connection.execute("UPDATE identity.certificates SET revoked_at = now(), revoked_for = 'superseded'")
    async with agent(state, EAGER):
        report = await until(state, lambda report: report["renewal_error"] is not None)
        assert "refused the hub's certificate" in report["renewal_error"]
        assert "certificate_ends" in report["faults"]
    assert Identity(state / "identity").is_enrolled()


async def test_two_computers_that_speak_as_one_hub_are_told_to_the_technician(timed: Desk) -> None:
    """A copied SD card whose owners take turns: no computer comes back to a boot that another one had followed."""
    desk = timed
    async with Bus.open(desk.broker.state.bus_settings(desk.broker.hub_player)) as hubs:

        async def say(boot: str, state: HubState = HubState.ONLINE) -> None:
            status = Status(SCHEMA_VERSION, HUB, state, str(uuid.uuid4()), boot_id=boot)
            await hubs.publish_bytes(subject(HUB, UpLane.STATUS), encode(status))

        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        for boot in (first, first, second, second):
            await say(boot)
        # The will of the connection before comes late, and says nothing.
        await say(first, HubState.OFFLINE)
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(spoke_last, desk, second):
                await asyncio.sleep(0.05)
        assert await desk.incidents() == []
        await say(first)
        async with asyncio.timeout(10):
            while await desk.incidents() != [IncidentKind.TWO_AT_ONCE]:
                await asyncio.sleep(0.05)


def spoke_last(desk: Desk, boot: str) -> bool:
    """Whether registry has heard that boot last."""
    with psycopg.connect(desk.database.superuser_dsn) as connection:
        return connection.execute("SELECT boot_id FROM registry.hubs").fetchone() == (boot,)

"""The broker with the generated configuration: each service may do what the map says, and nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from tests.support.nats import HubClient, TestBroker, hub_certificate, running_broker

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.engines.broker import loopback_of
from bedside_cloud.engines.keys import new_user_seed

NAMES = tuple(entry.name for entry in SERVICES)


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


async def connected(broker: TestBroker, user: str, errors: asyncio.Queue[str]) -> AsyncIterator[Client]:
    async with Bus.open(broker.state.bus_settings(user)) as bus:

        async def on_error(error: Exception) -> None:
            errors.put_nowait(str(error))

        bus.client._error_cb = on_error
        yield bus.client


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "subject",
    [
        "bedside.v1.hubs.hub-1.readings",
        "bedside.v1.hubs.hub-1.alarms",
        "$SYS.REQ.USER.AUTH",
        "$JS.API.STREAM.DELETE.READINGS",
        "elsewhere",
    ],
)
async def test_what_nobody_may_say_is_refused(shared_broker: TestBroker, name: str, subject: str) -> None:
    errors: asyncio.Queue[str] = asyncio.Queue()
    async for client in connected(shared_broker, name, errors):
        await client.publish(subject, b"x")
        await client.flush()
        assert "permissions violation" in (await asyncio.wait_for(errors.get(), 5)).lower()


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("alerting", "bedside.v1.hubs.hub-1.receipts"),
        ("gateway", "bedside.v1.hubs.hub-1.careplan"),
        ("ingest", "bedside.v1.hubs.hub-1.careplan"),
        ("ingest", "registry.patients.list"),
        ("alerting", "registry.patients.list"),
        ("gateway", "identity.people.add"),
        ("gateway", "registry.patients.all"),
        ("alerting", "identity.claims.create"),
        ("gateway", "ingest.stored.alarm"),
        ("registry", "alerting.acknowledge"),
    ],
)
async def test_an_edge_that_is_not_in_the_map_is_refused(shared_broker: TestBroker, name: str, subject: str) -> None:
    errors: asyncio.Queue[str] = asyncio.Queue()
    async for client in connected(shared_broker, name, errors):
        await client.publish(subject, b"x")
        await client.flush()
        assert "permissions violation" in (await asyncio.wait_for(errors.get(), 5)).lower()


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("gateway", "bedside.v1.hubs.*.readings"),
        ("alerting", "_INBOX.registry.>"),
        ("operator", "registry.changed"),
        ("registry", "$SYS.REQ.USER.AUTH"),
        ("gateway", ">"),
    ],
)
async def test_nobody_listens_to_what_is_not_theirs(shared_broker: TestBroker, name: str, subject: str) -> None:
    errors: asyncio.Queue[str] = asyncio.Queue()
    async for client in connected(shared_broker, name, errors):
        await client.subscribe(subject)
        await client.flush()
        assert "permissions violation" in (await asyncio.wait_for(errors.get(), 5)).lower()


async def test_a_key_that_is_not_in_the_map_is_not_let_in(shared_broker: TestBroker, tmp_path: Path) -> None:
    seed_file = tmp_path / "stranger.seed"
    seed_file.write_text(new_user_seed())
    assert not await _is_let_in(shared_broker, nkeys_seed=str(seed_file))


async def test_without_a_key_nobody_is_let_in(shared_broker: TestBroker) -> None:
    assert not await _is_let_in(shared_broker)


async def test_the_map_s_keys_are_let_in(shared_broker: TestBroker) -> None:
    assert await _is_let_in(shared_broker, nkeys_seed=str(shared_broker.state.seed_file("ingest")))


async def _is_let_in(broker: TestBroker, **credentials: str) -> bool:
    """The client library returns without an error when it was cut instead of greeted; so ask it."""
    context = ssl.create_default_context(cafile=str(broker.state.certificates.ca_file))

    async def ignore(_error: Exception) -> None:
        return None

    client = await nats.connect(
        broker.state.bus_settings("ingest").url,
        tls=context,
        allow_reconnect=False,
        connect_timeout=5,
        error_cb=ignore,
        **credentials,
    )
    connected = client.is_connected
    await client.close()
    return connected


def test_a_hub_is_refused_while_identity_is_away(shared_broker: TestBroker, tmp_path: Path) -> None:
    certificate = hub_certificate(shared_broker.state, tmp_path, "hub-1")
    port, ca_file = shared_broker.state.place.ports.hubs, shared_broker.state.certificates.ca_file
    hub = HubClient(port, ca_file, "hub-1", certificate)
    assert not hub.connect()
    hub.close()


def test_streams_are_encrypted_and_secrets_are_not_for_others(shared_broker: TestBroker) -> None:
    broker = shared_broker.state.broker
    assert broker.configuration_file.stat().st_mode & 0o777 == 0o600
    assert "AES-GCM" in shared_broker.log_file.read_text()
    assert "***" in repr(shared_broker.state.broker_secrets)


def test_a_listener_on_all_addresses_is_reached_by_loopback() -> None:
    assert loopback_of("0.0.0.0") == "127.0.0.1"
    assert loopback_of("192.0.2.7") == "192.0.2.7"

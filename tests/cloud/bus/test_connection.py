"""A service's connection against a real broker: what it does when something on the way is wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.nats import TestBroker

from bedside_cloud.bus.actor import OPERATOR, PERSON, present_actor
from bedside_cloud.bus.connection import Bus, Endpoint
from bedside_cloud.bus.errors import EndedError, NotPermittedError, RefusedError, UnansweredError
from bedside_cloud.contracts import alerts, identity, registry
from bedside_cloud.contracts.delivery import Delivery
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.registry_administration import HUB_RENAME, RenameRequest
from bedside_cloud.engines.keys import new_user_seed


@pytest.fixture
async def registry_bus(broker: TestBroker) -> AsyncIterator[Bus]:
    async with Bus.open(broker.state.bus_settings("registry")) as bus:
        yield bus


@pytest.fixture
async def gateway_bus(broker: TestBroker) -> AsyncIterator[Bus]:
    async with Bus.open(replace(broker.state.bus_settings("gateway"), request_timeout_seconds=1.0)) as bus:
        yield bus


async def echo(_question: Empty) -> Empty:
    return Empty()


async def test_a_refused_login_is_a_sentence_not_a_silence(broker: TestBroker, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.seed"
    stranger.write_text(new_user_seed())
    settings = replace(broker.state.bus_settings("gateway"), seed_file=stranger)
    with pytest.raises(EndedError, match="The broker ended the connection of gateway: authorization failed"):
        async with Bus.open(settings):
            pytest.fail("it was let in")


async def test_a_login_refused_after_a_restart_ends_the_block(broker: TestBroker) -> None:
    async def live_through_it() -> None:
        async with asyncio.timeout(20), Bus.open(broker.state.bus_settings("gateway")):
            broker.stop()
            broker.state._secrets["bus.gateway"] = new_user_seed()
            broker.start()
            await asyncio.Event().wait()

    with pytest.raises(EndedError, match="authorization failed"):
        await live_through_it()


async def test_leaving_the_block_by_cancellation_stays_a_cancellation(broker: TestBroker) -> None:
    inside = asyncio.Event()

    async def stay() -> None:
        async with Bus.open(broker.state.bus_settings("gateway")):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_listening_outside_the_map_fails_at_once(gateway_bus: Bus) -> None:
    async def ignore(_subject: str, _body: bytes) -> None:
        return None

    with pytest.raises(NotPermittedError, match=r"does not let gateway listen to registry\.changes\.secret"):
        await gateway_bus.subscribe("registry.changes.secret", ignore)


async def test_serving_outside_the_map_fails_at_once(gateway_bus: Bus) -> None:
    with pytest.raises(NotPermittedError, match=r"does not let gateway listen to"):
        await gateway_bus.serve((Endpoint(identity.KEYS, Empty, echo),))


async def test_a_message_that_cannot_be_handled_does_not_end_the_listening(
    registry_bus: Bus, gateway_bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()

    async def handler(_subject: str, body: bytes) -> None:
        version = registry.Changed.model_validate_json(body).version
        if version == 2:
            raise KeyError("unexpected")
        heard.put_nowait(version)

    await gateway_bus.subscribe(registry.CHANGED, handler)
    with caplog.at_level(logging.ERROR, "bedside_cloud"):
        await registry_bus.publish_bytes(registry.CHANGED, b"not JSON")
        for version in (1, 2, 3):
            await registry_bus.publish(registry.CHANGED, registry.Changed(version=version))
        assert [await asyncio.wait_for(heard.get(), 10) for _ in range(2)] == [1, 3]
    assert [record.message for record in caplog.records] == [f"message_failed subscription={registry.CHANGED}"] * 2


async def test_an_endpoint_that_fails_answers_at_once_and_serves_on(registry_bus: Bus, gateway_bus: Bus) -> None:
    failing = True

    async def handler(_question: Empty) -> Empty:
        if failing:
            raise LookupError("unexpected")
        return Empty()

    await registry_bus.serve((Endpoint(registry.HUBS, Empty, handler),))
    with pytest.raises(RefusedError, match="500 internal error"):
        await gateway_bus.request(registry.HUBS, Empty(), Empty)
    failing = False
    assert await gateway_bus.request(registry.HUBS, Empty(), Empty) == Empty()


async def test_what_is_not_asked_of_the_map_goes_unanswered(registry_bus: Bus, gateway_bus: Bus) -> None:
    await registry_bus.serve((Endpoint(registry.ASSIGNMENTS, Empty, echo),))
    with pytest.raises(UnansweredError):
        await gateway_bus.request(registry.ASSIGNMENTS, Empty(), Empty)


async def test_subscriptions_and_endpoints_outlive_the_broker(
    broker: TestBroker, registry_bus: Bus, gateway_bus: Bus
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(_subject: str, body: bytes) -> None:
        heard.put_nowait(body)

    await gateway_bus.subscribe(registry.CHANGED, handler)
    await registry_bus.serve((Endpoint(registry.HUBS, Empty, echo),))
    broker.stop(kill=True)
    assert await gateway_bus.request_if_answered(registry.HUBS, Empty(), Empty) is None
    broker.start()
    for bus in (registry_bus, gateway_bus):
        await asyncio.wait_for(bus.link.reconnected.wait(), 10)
        await bus.link.check_permitted()
    await registry_bus.publish(registry.CHANGED, registry.Changed(version=7))
    assert b"7" in await asyncio.wait_for(heard.get(), 10)
    assert await gateway_bus.request(registry.HUBS, Empty(), Empty) == Empty()


async def test_two_replicas_share_a_queue(broker: TestBroker, registry_bus: Bus) -> None:
    heard: list[int] = []
    both = asyncio.Event()

    async def listen(bus: Bus, place: int) -> None:
        async def handler(_subject: str, _body: bytes) -> None:
            heard.append(place)
            if len(heard) == 40:
                both.set()

        await bus.subscribe(registry.CHANGED, handler, queue="replicas")

    settings = broker.state.bus_settings("alerting")
    async with Bus.open(settings) as one, Bus.open(settings) as two:
        await listen(one, 1)
        await listen(two, 2)
        for version in range(40):
            await registry_bus.publish(registry.CHANGED, registry.Changed(version=version))
        await asyncio.wait_for(both.wait(), 10)
    assert set(heard) == {1, 2}
    assert len(heard) == 40, "each message went to one of them"


async def test_an_endpoint_knows_who_asks(registry_bus: Bus, gateway_bus: Bus) -> None:
    asked: list[str] = []

    async def handler(_question: RenameRequest) -> Empty:
        asked.append(present_actor())
        return Empty()

    await registry_bus.serve((Endpoint(HUB_RENAME, RenameRequest, handler),))
    question = RenameRequest(hub_id="hub-1", label="by the window")
    for name in ("tech.one", "operator", "Zoë | two\r\nBedside-Actor: three", None):
        await gateway_bus.request(HUB_RENAME, question, Empty, actor=name)
    named = ["tech.one", "operator", "Zoë / two\r\nBedside-Actor: three"]
    assert asked == [*(PERSON + name for name in named), OPERATOR]


async def test_deliver_says_whether_the_consumer_committed(broker: TestBroker, gateway_bus: Bus) -> None:
    async with Bus.open(broker.state.bus_settings("alerting")) as alerting:
        assert await gateway_bus.deliver(alerts.LIST, b"{}") is Delivery.UNANSWERED, "nobody is there"

        async def refuse(_question: Empty) -> Empty:
            raise RefusedError(503, "not now")

        await alerting.serve((Endpoint(alerts.LIST, Empty, refuse), Endpoint(alerts.ACKNOWLEDGE, Empty, echo)))
        assert await gateway_bus.deliver(alerts.LIST, b"{}") is Delivery.REFUSED
        assert await gateway_bus.deliver(alerts.ACKNOWLEDGE, b"{}") is Delivery.COMMITTED

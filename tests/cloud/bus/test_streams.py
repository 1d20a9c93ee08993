"""Consumers of the lanes against a real broker: each message settled, whatever fails on the way."""

import asyncio
import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.support.nats import TestBroker

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.streams import SLOWEST_AGAIN_SECONDS, Arrived, StreamSettings, Unsettled, again_seconds, consume
from bedside_profiles.wire.topics import UpLane, subject

ALARMS = StreamSettings(
    name="ALARMS", subjects=(subject("*", UpLane.ALARMS),), durable="ingest", ack_wait_seconds=1.0, most_at_once=8
)
LANE = subject("hub-1", UpLane.ALARMS)
RECOVERY_SECONDS = 2.0
"""What a lost stream may cost; a hub sends an alarm again after 10 s."""


class Work:
    """Settles what comes, unless `trouble` raises something first."""

    def __init__(self, trouble: Callable[[list[bytes]], None] = lambda bodies: None) -> None:
        self.trouble = trouble
        self.settled: Counter[bytes] = Counter()
        self.seen = 0
        self.came = asyncio.Event()

    async def __call__(self, messages: Sequence[Arrived]) -> None:
        bodies = [message.body for message in messages]
        self.seen += len(bodies)
        self.came.set()
        self.trouble(bodies)
        self.settled.update(bodies)

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.came.clear()
                if not condition():
                    await asyncio.wait_for(self.came.wait(), seconds)


@pytest.fixture
async def hub(broker: TestBroker) -> AsyncIterator[Bus]:
    async with Bus.open(broker.state.bus_settings(broker.hub_player)) as bus:
        yield bus


@asynccontextmanager
async def consuming(broker: TestBroker, *works: Work) -> AsyncIterator[None]:
    """One replica a work, each on a connection of its own; the stream is there when the block begins."""
    async with Bus.open(broker.state.bus_settings("ingest")) as watch:
        tasks = [asyncio.create_task(_replica(broker, work)) for work in works]
        try:
            await stream_is_there(watch)
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(error) for error in ended} == {asyncio.CancelledError}, "no consumer ended by itself"


async def _replica(broker: TestBroker, work: Work) -> None:
    async with Bus.open(broker.state.bus_settings("ingest")) as bus:
        await consume(bus, ALARMS, work)


async def stream_is_there(bus: Bus) -> None:
    """Until the broker knows the consumer."""
    async with asyncio.timeout(10):
        while b'"config"' not in await bus.request_bytes("$JS.API.CONSUMER.INFO.ALARMS.ingest", b""):
            await asyncio.sleep(0.02)


async def unsettled_messages(bus: Bus) -> int:
    """How many the stream still holds."""
    answer = json.loads(await bus.request_bytes("$JS.API.STREAM.INFO.ALARMS", b""))
    return int(answer["state"]["messages"])


async def emptied(bus: Bus, *, but: int = 0) -> None:
    async with asyncio.timeout(10):
        while await unsettled_messages(bus) != but:
            await asyncio.sleep(0.02)


def bodies(*numbers: int) -> Counter[bytes]:
    return Counter(b"%d" % number for number in numbers)


async def test_what_is_settled_comes_once_and_is_forgotten(broker: TestBroker, hub: Bus) -> None:
    work = Work()
    async with consuming(broker, work), Bus.open(broker.state.bus_settings("ingest")) as watch:
        for number in range(50):
            await hub.publish_bytes(LANE, b"%d" % number)
        await work.until(lambda: work.settled == bodies(*range(50)))
        await emptied(watch)
    assert work.seen == 50


async def test_it_says_whose_it_is_and_when_the_broker_received_it(broker: TestBroker, hub: Bus) -> None:
    arrived: asyncio.Queue[Arrived] = asyncio.Queue()

    class Keep(Work):
        async def __call__(self, messages: Sequence[Arrived]) -> None:
            for message in messages:
                arrived.put_nowait(message)

    async with consuming(broker, Keep()):
        before = time.time() * 1000
        await hub.publish_bytes(LANE, b"1")
        message = await asyncio.wait_for(arrived.get(), 10)
    assert message.subject == LANE
    assert before - 1 <= message.received_at_ms <= time.time() * 1000 + 1


async def test_what_could_not_be_settled_comes_again(broker: TestBroker, hub: Bus) -> None:
    tries = itertools.count()

    def away_twice(_bodies: list[bytes]) -> None:
        if next(tries) < 2:
            raise Unsettled("the database is away")

    work = Work(away_twice)
    async with consuming(broker, work):
        await hub.publish_bytes(LANE, b"1")
        await work.until(lambda: work.settled == bodies(1))
    assert work.seen == 3


async def test_an_unexpected_error_singles_out_its_message_and_loses_none(
    broker: TestBroker, hub: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    mended = False

    def poisoned(held: list[bytes]) -> None:
        if b"3" in held and not mended:
            raise ZeroDivisionError

    work = Work(poisoned)
    with caplog.at_level(logging.ERROR, "bedside_cloud"):
        async with consuming(broker, work), Bus.open(broker.state.bus_settings("ingest")) as watch:
            for number in range(8):
                await hub.publish_bytes(LANE, b"%d" % number)
            await work.until(lambda: work.settled == bodies(0, 1, 2, 4, 5, 6, 7))
            await hub.publish_bytes(LANE, b"8")
            await work.until(lambda: work.settled[b"8"] == 1)
            await emptied(watch, but=1)
            mended = True
            await work.until(lambda: work.settled[b"3"] == 1)
            await emptied(watch)
    assert {record.getMessage().split()[0] for record in caplog.records} == {"work_failed"}


def test_a_message_that_nobody_can_bear_comes_ever_more_rarely() -> None:
    assert [again_seconds(deliveries) for deliveries in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert again_seconds(10_000) == SLOWEST_AGAIN_SECONDS


async def test_two_replicas_share_the_messages(broker: TestBroker, hub: Bus) -> None:
    one, two = Work(), Work()
    async with consuming(broker, one, two):
        for number in range(200):
            await hub.publish_bytes(LANE, b"%d" % number)
        async with asyncio.timeout(10):
            while (one.settled + two.settled).total() < 200:
                await asyncio.sleep(0.01)
    assert one.settled + two.settled == bodies(*range(200))
    assert one.seen
    assert two.seen


async def test_what_a_replica_held_when_it_died_goes_to_another(broker: TestBroker, hub: Bus) -> None:
    hung = asyncio.Event()

    class Hang(Work):
        async def __call__(self, messages: Sequence[Arrived]) -> None:
            hung.set()
            await asyncio.Event().wait()

    async with consuming(broker, Hang()):
        await hub.publish_bytes(LANE, b"1")
        await asyncio.wait_for(hung.wait(), 10)
    work = Work()
    async with consuming(broker, work):
        await work.until(lambda: work.settled == bodies(1))


@pytest.mark.parametrize("victim", ["CONSUMER.DELETE.ALARMS.ingest", "STREAM.DELETE.ALARMS"])
async def test_what_is_deleted_under_a_consumer_is_made_again_soon(broker: TestBroker, hub: Bus, victim: str) -> None:
    work = Work()
    async with consuming(broker, work), Bus.open(broker.state.bus_settings("janitor")) as janitor:
        await hub.publish_bytes(LANE, b"1")
        await work.until(lambda: work.settled == bodies(1))
        await janitor.request_bytes(f"$JS.API.{victim}", b"")
        assert await seconds_until_heard(hub, work) < RECOVERY_SECONDS


async def test_a_broker_that_lost_its_store_is_consumed_again_soon(broker: TestBroker, hub: Bus) -> None:
    work = Work()
    async with consuming(broker, work):
        await hub.publish_bytes(LANE, b"1")
        await work.until(lambda: work.settled == bodies(1))
        hub.link.reconnected.clear()
        broker.stop(kill=True)
        broker.forget()
        broker.start()
        await asyncio.wait_for(hub.link.reconnected.wait(), 10)
        assert await seconds_until_heard(hub, work) < RECOVERY_SECONDS


async def seconds_until_heard(hub: Bus, work: Work) -> float:
    """How long a hub has to say something until it is heard; what nobody keeps is lost, so it says it again."""
    begun = time.monotonic()
    before = work.settled.total()
    async with asyncio.timeout(20):
        while work.settled.total() == before:
            await hub.publish_bytes(LANE, b"again")
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def test_another_version_s_stream_is_changed_to_ours(broker: TestBroker, hub: Bus) -> None:
    async with Bus.open(broker.state.bus_settings("ingest")) as bus:
        older = replace(ALARMS, subjects=(subject("*", UpLane.EVENTS),), most_bytes=1_000_000)
        task = asyncio.create_task(consume(bus, older, Work()))
        await stream_is_there(bus)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    work = Work()
    async with consuming(broker, work):
        assert await seconds_until_heard(hub, work) < RECOVERY_SECONDS

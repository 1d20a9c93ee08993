"""The outbox against a real PostgreSQL: at least once, in order of its key, whatever happens on the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from tests.support.database import TestDatabase

from bedside_cloud.contracts.delivery import Delivery
from bedside_cloud.database.migrations import NewerSchemaError
from bedside_cloud.database.outbox import Due, OutboxSettings, Relay, enqueue, retry_seconds
from bedside_cloud.database.pool import Database

QUICK = OutboxSettings(
    lease_seconds=0.4,
    sweep_seconds=0.05,
    slowest_retry_seconds=0.1,
    slowest_urgent_retry_seconds=0.1,
    most_refusals=4,
)


class Consumer:
    """Answers deliveries as it is told to, and remembers what it committed."""

    def __init__(self) -> None:
        self.committed: list[bytes] = []
        self.refuse: set[bytes] = set()
        self.miss: set[bytes] = set()
        self.hold: set[bytes] = set()
        self.released = asyncio.Event()
        self.heard_of: Counter[bytes] = Counter()
        self.heard = asyncio.Event()

    async def deliver(self, _subject: str, body: bytes) -> Delivery:
        self.heard.set()
        self.heard_of[body] += 1
        if body in self.hold:
            await self.released.wait()
        if body in self.refuse:
            return Delivery.REFUSED
        if body in self.miss:
            return Delivery.UNANSWERED
        self.committed.append(body)
        return Delivery.COMMITTED


@pytest.fixture
async def opened(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.settings("ingest"), ()) as opened:
        yield opened


@asynccontextmanager
async def relaying(database: Database, consumer: Consumer, settings: OutboxSettings = QUICK) -> AsyncIterator[Relay]:
    relay = Relay(database, consumer.deliver, settings)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)


async def put(database: Database, *bodies: bytes, key: str = "hub-1", urgent: bool = False) -> None:
    async with database.transaction() as connection:
        await enqueue(connection, *(Due("subject", key, body, urgent) for body in bodies))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def waiting(database: Database) -> int:
    async with database.transaction() as connection:
        row = await (await connection.execute("SELECT count(*) FROM outbox")).fetchone()
    assert row is not None
    return int(row[0])


async def test_what_is_committed_is_delivered_in_order_and_then_gone(opened: Database) -> None:
    consumer = Consumer()
    async with relaying(opened, consumer) as relay:
        await put(opened, *(b"%d" % number for number in range(20)))
        relay.kick()
        async with asyncio.timeout(30):
            while await waiting(opened):
                await asyncio.sleep(0.01)
    assert consumer.committed == [b"%d" % number for number in range(20)]


async def test_what_is_rolled_back_is_never_delivered(opened: Database) -> None:
    async def fail() -> None:
        async with opened.transaction() as connection:
            await enqueue(connection, Due("subject", "hub-1", b"never"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await waiting(opened) == 0


async def test_a_refused_row_comes_again_and_holds_up_only_its_own_key(opened: Database) -> None:
    consumer = Consumer()
    consumer.refuse = {b"a1"}
    await put(opened, b"a1", b"a2", key="a")
    await put(opened, b"b1", b"b2", key="b")
    async with relaying(opened, consumer):
        await until(lambda: consumer.committed == [b"b1", b"b2"])
        consumer.refuse = set()
        await until(lambda: len(consumer.committed) == 4)
    assert consumer.committed[2:] == [b"a1", b"a2"]


async def test_rows_of_a_relay_that_died_are_taken_over(opened: Database) -> None:
    hung = asyncio.Event()

    async def never(_subject: str, _body: bytes) -> Delivery:
        hung.set()
        await asyncio.Event().wait()
        return Delivery.COMMITTED

    await put(opened, b"1")
    task = asyncio.create_task(Relay(opened, never, QUICK).run())
    await hung.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    consumer = Consumer()
    async with relaying(opened, consumer):
        await until(lambda: consumer.committed == [b"1"])


async def test_two_relays_deliver_each_row_while_its_lease_holds_once(opened: Database) -> None:
    consumer = Consumer()
    await put(opened, *(b"%d" % number for number in range(30)))
    async with relaying(opened, consumer), relaying(opened, consumer):
        await until(lambda: len(consumer.committed) >= 30)
    assert sorted(consumer.committed, key=int) == [b"%d" % number for number in range(30)]


async def test_a_row_that_nobody_can_take_stands_aside_and_still_comes_again(opened: Database) -> None:
    consumer = Consumer()
    consumer.refuse = {b"poison"}
    await put(opened, b"poison", b"behind it", key="a")
    async with relaying(opened, consumer):
        await until(lambda: consumer.committed == [b"behind it"])
        assert consumer.heard_of[b"poison"] >= QUICK.most_refusals
        consumer.refuse = set()
        await until(lambda: consumer.committed == [b"behind it", b"poison"])


async def test_the_order_is_kept_however_long_nobody_answers(opened: Database) -> None:
    consumer = Consumer()
    consumer.miss = {b"1"}
    await put(opened, b"1", b"2")
    async with relaying(opened, consumer):
        await until(lambda: consumer.heard_of[b"1"] > 2 * QUICK.most_refusals)
        assert consumer.committed == []
        consumer.miss = set()
        await until(lambda: consumer.committed == [b"1", b"2"])


async def test_a_slow_delivery_holds_up_its_own_key_alone(opened: Database) -> None:
    consumer = Consumer()
    consumer.hold = {b"slow"}
    settings = replace(QUICK, lease_seconds=60)
    await put(opened, b"slow", b"behind it", key="a")
    async with relaying(opened, consumer, settings) as relay:
        await until(lambda: consumer.heard_of[b"slow"] == 1)
        await put(opened, b"1", b"2", key="b")
        relay.kick()
        await until(lambda: consumer.committed == [b"1", b"2"])
        consumer.released.set()
        await until(lambda: consumer.committed == [b"1", b"2", b"slow", b"behind it"])


async def test_urgent_rows_pass_a_full_house(opened: Database) -> None:
    consumer = Consumer()
    ordinary = [b"%d" % number for number in range(5)]
    consumer.hold = set(ordinary)
    settings = replace(QUICK, lease_seconds=60, most_at_once=3, most_ordinary_at_once=2)
    for place, body in enumerate(ordinary):
        await put(opened, body, key=f"key-{place}")
    async with relaying(opened, consumer, settings) as relay:
        await until(lambda: len(consumer.heard_of) == 2)
        await put(opened, b"alarm", key="alarms", urgent=True)
        relay.kick()
        await until(lambda: consumer.committed == [b"alarm"])
        assert len(consumer.heard_of) == 3
        consumer.released.set()
        await until(lambda: len(consumer.committed) == 6)


async def test_a_database_that_goes_away_only_delays(opened: Database, database: TestDatabase) -> None:
    consumer = Consumer()
    consumer.hold = {b"1"}
    await put(opened, b"1", b"2")
    async with relaying(opened, consumer):
        await until(lambda: consumer.heard_of[b"1"] == 1)
        with database.away():
            consumer.released.set()
            await until(lambda: consumer.committed == [b"1"])
        await until(lambda: b"2" in consumer.committed)
        async with asyncio.timeout(10):
            while await waiting(opened):
                await asyncio.sleep(0.01)


async def test_a_delivery_that_fails_unexpectedly_comes_again(
    opened: Database, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = Consumer()
    failing = True

    async def deliver(subject: str, body: bytes) -> Delivery:
        if failing:
            consumer.heard.set()
            raise ArithmeticError
        return await consumer.deliver(subject, body)

    await put(opened, b"1")
    task = asyncio.create_task(Relay(opened, deliver, QUICK).run())
    await consumer.heard.wait()
    failing = False
    await until(lambda: consumer.committed == [b"1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "delivery_failed" in caplog.text


def test_the_pause_doubles_up_to_its_cap() -> None:
    assert [retry_seconds(attempts, 5.0) for attempts in (1, 2, 3, 7, 1000)] == [0.1, 0.2, 0.4, 5.0, 5.0]


async def test_a_newer_database_is_refused_with_a_sentence(database: TestDatabase) -> None:
    async with Database.open(database.settings("ingest"), ()):
        pass
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("UPDATE ingest.schema_version SET version = 999")
    with pytest.raises(NewerSchemaError, match="Install the newer version again"):
        async with Database.open(database.settings("ingest"), ()):
            pass

"""The outbox against a real PostgreSQL: at least once, in order of its key, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from tests.support.database import TestDatabase

from bedside_cloud.database.migrations import NewerSchemaError
from bedside_cloud.database.outbox import OutboxSettings, Relay, enqueue, retry_seconds
from bedside_cloud.database.pool import Database

QUICK = OutboxSettings(lease_seconds=0.4, sweep_seconds=0.05, slowest_retry_seconds=0.1)


class Consumer:
    """Answers deliveries as it is told to, and remembers what it committed."""

    def __init__(self) -> None:
        self.committed: list[bytes] = []
        self.refuse: set[bytes] = set()
        self.heard = asyncio.Event()

    async def deliver(self, _subject: str, body: bytes) -> bool:
        self.heard.set()
        if body in self.refuse:
            return False
        self.committed.append(body)
        return True


@pytest.fixture
async def opened(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.settings("ingest"), ()) as opened:
        yield opened


@asynccontextmanager
async def relaying(database: Database, consumer: Consumer) -> AsyncIterator[Relay]:
    relay = Relay(database, consumer.deliver, QUICK)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def put(database: Database, *bodies: bytes, key: str = "hub-1") -> None:
    async with database.transaction() as connection:
        for body in bodies:
            await enqueue(connection, "subject", key, body)


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
            await enqueue(connection, "subject", "hub-1", b"never")
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

    async def never(_subject: str, _body: bytes) -> bool:
        hung.set()
        await asyncio.Event().wait()
        return True

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

"""Ingest as a service, with everything against it: what was sent is stored once, and its hub is told."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import psycopg
import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.readings import HUB, OXIMETER, PATIENT, alarm, reading
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus, Endpoint
from bedside_cloud.contracts import registry
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import LIVE, STORED_ALARM, StoredAlarm, StoredReadings
from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot
from bedside_cloud.ingest.rows import Rows
from bedside_cloud.ingest.run import main
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import DownLane, UpLane, parse_topic, subject

STORE = "0123456789abcdef0123456789abcdef"
ASSIGNED = AssignmentSnapshot(
    version=1, assignments=(Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=NOON_MS - 10**9),)
)


class Cloud:
    """Replicas of ingest, the neighbours that they talk to, and the hubs."""

    def __init__(self, broker: TestBroker, database: TestDatabase, stack: AsyncExitStack) -> None:
        self.broker = broker
        self.database = database
        self.stack = stack
        self.settled: dict[tuple[str, UpLane], set[int]] = defaultdict(set)
        self.undecodable: dict[str, str] = {}
        self.alarms: list[StoredAlarm] = []
        self.live: list[StoredReadings] = []
        self.changed = asyncio.Event()

    async def open(self, replicas: int) -> None:
        registry_bus, alerting, gateway, self.hubs = [
            await self.stack.enter_async_context(Bus.open(self.broker.state.bus_settings(name)))
            for name in ("registry", "alerting", "gateway", self.broker.hub_player)
        ]

        async def assignments(_question: Empty) -> AssignmentSnapshot:
            return ASSIGNED

        async def take_alarm(said: StoredAlarm) -> Empty:
            self.alarms.append(said)
            self.changed.set()
            return Empty()

        async def on_live(_subject: str, body: bytes) -> None:
            self.live.append(StoredReadings.model_validate_json(body))
            self.changed.set()

        await registry_bus.serve((Endpoint(registry.ASSIGNMENTS, Empty, assignments),))
        await alerting.serve((Endpoint(STORED_ALARM, StoredAlarm, take_alarm),))
        await gateway.subscribe(LIVE, on_live)
        await self.hubs.subscribe(subject("*", DownLane.RECEIPTS), self._on_receipt)
        for number in range(1, replicas + 1):
            settings = settings_of("ingest", self.broker, self.database, f"ingest-{number}")
            await self.stack.enter_async_context(running_service(main, settings))

    async def _on_receipt(self, where: str, body: bytes) -> None:
        receipt = decode(Receipt, body)
        for first, last in receipt.stored:
            self.settled[parse_topic(where)[0], receipt.lane] |= set(range(first, last + 1))
        self.undecodable |= {one.sha256: one.reason for one in receipt.undecodable}
        self.changed.set()

    async def say(self, batch: Batch) -> None:
        header = batch.header
        await self.hubs.publish_bytes(subject(header.hub_id, header.lane), encode_batch(batch))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.changed.clear()
                if not condition():
                    await self.changed.wait()

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database.superuser_dsn, options="-c search_path=ingest") as connection:
            return connection.execute(statement.encode()).fetchall()


@pytest.fixture
async def one_replica(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Cloud]:
    async with AsyncExitStack() as stack:
        cloud = Cloud(broker, database, stack)
        await cloud.open(1)
        yield cloud


@pytest.fixture
async def two_replicas(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Cloud]:
    async with AsyncExitStack() as stack:
        cloud = Cloud(broker, database, stack)
        await cloud.open(2)
        yield cloud


def readings(first: int, number: int, hub_id: str = HUB) -> Batch:
    sequences = range(first, first + number)
    rows = tuple(reading(float(90 + seq % 10), seq=seq, taken_at_ms=NOON_MS + seq * 10) for seq in sequences)
    return Batch(header_for(hub_id, STORE, UpLane.READINGS, sequences), rows)


def alarms(first: int, number: int) -> Batch:
    sequences = range(first, first + number)
    return Batch(header_for(HUB, STORE, UpLane.ALARMS, sequences), alarms=tuple(alarm(seq=seq) for seq in sequences))


async def test_a_lane_in_thousands_of_pieces_is_told_whole(one_replica: Cloud) -> None:
    cloud = one_replica
    for first in range(1, 5200, 200):
        sequences = range(first, first + 200, 2)
        rows = tuple(reading(seq=seq, taken_at_ms=NOON_MS + seq) for seq in sequences)
        await cloud.say(Batch(header_for(HUB, STORE, UpLane.READINGS, sequences), rows))
    odd = set(range(1, 5200, 2))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.READINGS] == odd)
    cloud.settled.clear()
    await cloud.say(Batch(header_for(HUB, STORE, UpLane.READINGS, [1]), (reading(seq=1, taken_at_ms=NOON_MS + 1),)))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.READINGS] == odd)


async def test_two_replicas_on_one_hub_store_each_reading_once(two_replicas: Cloud) -> None:
    cloud = two_replicas
    for first in range(1, 2000, 25):
        # Every batch twice, half of it also in the next one, as a hub sends that got no receipt in time.
        for _ in range(2):
            await cloud.say(readings(first, 50))
    everything = set(range(1, 2026))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.READINGS] == everything)
    assert {row[0] for row in cloud.rows("SELECT seq FROM readings")} == everything
    assert cloud.rows("SELECT count(*) FROM readings") == [(len(everything),)]
    assert cloud.rows("SELECT count(*) FROM conflicts") == [(0,)]
    await cloud.until(lambda: sum(len(said.readings) for said in cloud.live) == len(everything))


async def test_a_database_that_goes_away_in_the_middle_costs_nothing_but_time(one_replica: Cloud) -> None:
    cloud = one_replica
    for first in range(1, 400, 10):
        await cloud.say(readings(first, 10))
    await cloud.say(alarms(1, 3))
    with cloud.database.away():
        for first in range(401, 800, 10):
            await cloud.say(readings(first, 10))
        await cloud.say(alarms(4, 3))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.READINGS] == set(range(1, 801)))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.ALARMS] == set(range(1, 7)))
    assert cloud.rows("SELECT count(*), count(DISTINCT seq) FROM readings") == [(800, 800)]
    await cloud.until(lambda: {said.alarm.seq for said in cloud.alarms} == set(range(1, 7)))


async def test_a_batch_that_cannot_be_stored_is_kept_with_its_reason_and_delays_nobody(
    one_replica: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No value that the wire admits is known to be refused by the database; so the test makes one."""
    cloud = one_replica

    def refuse(to_row: Callable[..., object]) -> Callable[..., object]:
        def broken(self: Rows, key: object, items: list[object], heard_at_ms: int) -> object:
            if any(getattr(one, "value", None) == 13.0 for one in items):
                raise OverflowError("planted")
            return to_row(self, key, items, heard_at_ms)

        return broken

    monkeypatch.setattr(Rows, "add", refuse(Rows.add))
    bad = Batch(header_for(HUB, STORE, UpLane.READINGS, [100]), (reading(13.0, seq=100),))
    await cloud.say(readings(1, 10))
    await cloud.say(bad)
    await cloud.say(readings(11, 10))
    await cloud.say(alarms(1, 1))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.READINGS] == set(range(1, 21)))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.ALARMS] == {1})
    await cloud.until(lambda: bool(cloud.undecodable))
    ((reason, body),) = cloud.rows("SELECT reason, body FROM dead_letters")
    assert list(cloud.undecodable.values()) == [reason] == ["it could not be stored: OverflowError"]
    assert body == encode_batch(bad)


async def test_a_thousand_hubs_at_once_are_each_told(two_replicas: Cloud) -> None:
    cloud = two_replicas
    hubs = [f"hub-{number}" for number in range(1000)]
    for hub_id in hubs:
        await cloud.say(readings(1, 5, hub_id))
    await cloud.until(lambda: len(cloud.settled) == 1000)
    assert all(cloud.settled[hub_id, UpLane.READINGS] == {1, 2, 3, 4, 5} for hub_id in hubs)
    assert cloud.rows("SELECT count(*) FROM readings") == [(5000,)]


async def test_a_clock_that_is_years_ahead_shadows_nothing(one_replica: Cloud) -> None:
    cloud = one_replica
    moments = [(seq, seq * 1000) for seq in (1, 2, 3)]
    ahead = [reading(seq=seq, taken_at_ms=4 * 10**12 + passed, monotonic_ms=passed) for seq, passed in moments]
    await cloud.say(Batch(header_for(HUB, STORE, UpLane.READINGS, [1, 2, 3]), tuple(ahead)))
    await cloud.until(lambda: cloud.settled[HUB, UpLane.READINGS] == {1, 2, 3})
    rows = cloud.rows(
        "SELECT taken_at <= now() + '1 s', extract(epoch FROM taken_at - lag(taken_at) OVER (ORDER BY seq)),"
        " (extract(epoch FROM stated_at) * 1000)::bigint FROM readings ORDER BY seq"
    )
    assert [row[0] for row in rows] == [True] * 3
    assert [row[1] and float(str(row[1])) for row in rows] == [None, 1.0, 1.0], "the distance between them stands"
    assert [row[2] for row in rows] == [one.taken_at_ms for one in ahead], "and what the hub said is kept"
    await cloud.until(lambda: bool(cloud.live))

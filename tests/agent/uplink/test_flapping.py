"""A day of a link that comes for half a minute and goes for a minute and a half, and loses one message in twenty.

Store, sender and link are the agent's own; the time is the test's. What arrived, in the order and as often as it
arrived, then goes through the cloud's own ingest into a real database.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import looptime
import psycopg
import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, alarm, event, reading
from tests.support.storing_cloud import StoringCloud
from tests.support.virtual_link import Network, virtual_hub

import bedside_cloud.ingest
from bedside_agent.buffer.store import Store
from bedside_cloud.bus.streams import Arrived
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.assignments import NOBODY, Assignments
from bedside_cloud.ingest.store import store_batches
from bedside_cloud.ingest.worker import sort_out
from bedside_profiles.wire.topics import UpLane, subject

HOUR = 3600.0
EVERY_SECONDS = 30.0
AT_ONCE = 64
"""Messages that ingest fetches together."""

Key = tuple[str, UpLane]


@dataclass
class Made:
    """What the hub committed: sequences and values in the order in which they were made."""

    items: dict[Key, list[tuple[int, float | None]]] = field(default_factory=lambda: defaultdict(list))

    def count(self, lane: UpLane) -> int:
        return sum(len(made) for (_, of_lane), made in self.items.items() if of_lane is lane)


async def produce(store: Store, made: Made, hours: float) -> None:
    """Four readings every half minute, an alarm every half hour, an event every hour."""
    loop = asyncio.get_running_loop()
    until = loop.time() + hours * HOUR
    turn = 0
    while loop.time() < until:
        turn += 1
        value = 90.0 + turn % 10
        readings, committed = store.append_readings([reading(value / part) for part in (1, 2, 4, 8)])
        made.items[store.store_id, UpLane.READINGS] += [(one.seq, one.value) for one in readings]
        if turn % 60 == 0:
            raised, _ = store.append_alarm(alarm())
            made.items[store.store_id, UpLane.ALARMS].append((raised.seq, None))
        if turn % 120 == 0:
            noted, _ = store.append_event(event())
            made.items[store.store_id, UpLane.EVENTS].append((noted.seq, None))
        await committed
        await asyncio.sleep(EVERY_SECONDS)


async def drained(store: Store, hours: float) -> None:
    async with asyncio.timeout(hours * HOUR):
        while any(store.waiting().values()):
            await asyncio.sleep(10)


async def a_day(path: Path, network: Network, made: Made) -> None:
    """Eight hours without any network, sixteen of a flapping one; the hub is started anew every eight hours."""
    network.down()
    async with virtual_hub(path, network) as (store, _):
        await produce(store, made, 8)
    assert network.heard == []
    flapping = asyncio.create_task(network.flap(30, 90))
    for _ in range(2):
        async with virtual_hub(path, network) as (store, _):
            await produce(store, made, 8)
            await drained(store, 1)
    flapping.cancel()


async def through_ingest(database: TestDatabase, heard: Sequence[tuple[UpLane, bytes]]) -> int:
    """Everything that was heard, as the cloud's own ingest takes it; how many items had other content than before."""
    schema = Path(bedside_cloud.ingest.__file__).parent / "schema"
    messages = [Arrived(subject(HUB, lane), body, NOON_MS) for lane, body in heard if lane in MEASURED]
    conflicts = 0
    async with Database.open(database.settings("ingest"), (schema,)) as opened:
        for start in range(0, len(messages), AT_ONCE):
            lanes, refused = sort_out(messages[start : start + AT_ONCE])
            assert refused == []
            async with opened.transaction() as connection:
                stored = await store_batches(connection, lanes, Assignments(NOBODY))
            conflicts += sum(one.conflicts + one.dead_letters for one in stored)
    return conflicts


MEASURED = (UpLane.READINGS, UpLane.ALARMS, UpLane.EVENTS)


def rows(database: TestDatabase, lane: UpLane) -> dict[str, list[tuple[int, float | None]]]:
    """Sequence and value of each stored item, by store, in the order of their sequences."""
    value = "value" if lane is UpLane.READINGS else "NULL"
    found: dict[str, list[tuple[int, float | None]]] = defaultdict(list)
    with psycopg.connect(database.superuser_dsn) as connection:
        statement = f"SELECT store_id, seq, {value} FROM ingest.{lane.value} ORDER BY store_id, seq"  # noqa: S608
        for store_id, seq, number in connection.execute(statement):
            found[store_id].append((seq, number))
    return dict(found)


@pytest.mark.usefixtures("at_once")
def test_after_a_day_of_flapping_the_cloud_has_what_was_made_once_and_in_order(
    tmp_path: Path, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, made = Network(StoringCloud(HUB), loss=0.05), Made()
    monkeypatch.setattr("bedside_agent.uplink.link.connected", network.connected)
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(a_day(tmp_path / "buffer.db", network, made))
    assert made.count(UpLane.READINGS) > 0.95 * 4 * 24 * HOUR / EVERY_SECONDS
    assert network.connections > 300
    assert network.lost > 100
    assert asyncio.run(through_ingest(database, network.heard)) == 0
    for lane in MEASURED:
        of_lane = {store_id: items for (store_id, one), items in made.items.items() if one is lane}
        assert rows(database, lane) == of_lane
    assert len(rows(database, UpLane.READINGS)) == 3, "the hub was started three times"
    carried = sum(len(batch.readings) for batch in network.cloud.batches)
    assert made.count(UpLane.READINGS) < carried < 1.5 * made.count(UpLane.READINGS), "what was lost was sent again"

"""What leaves a hub that does not know the time: alarms almost at once, readings when they can be timed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import GENERATION, HUB, alarm, reading

from bedside_agent.buffer.store import Store
from bedside_agent.timekeeping.timekeeper import BOOTS, TimeKeeper
from bedside_agent.uplink.sender import TIME_PATIENCE_MS, Limits, Sender
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.batch import Batch, decode_batch
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import UpLane


class Hub:
    """Wakes up in 1970 with a reading and an alarm in its store, and has just connected."""

    def __init__(self, store: Store, kernel: ManualClock) -> None:
        self.kernel = kernel
        self.times = TimeKeeper(kernel, store.state.get(BOOTS), None, store.put_state, lambda kind, fields: None)
        self.sender = Sender(store, self.times, HUB, Limits())
        self.sender.connected()

    async def send(self) -> list[Batch]:
        bodies: list[bytes] = []
        await self.sender.send_what_fits(lambda lane, body, acknowledged: bodies.append(body))
        return [decode_batch(body) for body in bodies]


@asynccontextmanager
async def hub_in_1970(directory: Path) -> AsyncIterator[Hub]:
    kernel = ManualClock(0, ClockQuality.UNSYNCED)
    store = await Store.open(directory / "buffer.db", kernel, commit_window_ms=1)
    try:
        now = kernel.now()
        _, committed = store.append_readings([reading(at=now)])
        draft = alarm(at_ms=now.utc_ms, onset_ms=now.utc_ms, monotonic_ms=now.monotonic_ms, clock_quality=now.quality)
        await store.append_alarm(draft)[1]
        await committed
        yield Hub(store, kernel)
    finally:
        await store.close()


async def test_items_wait_for_the_time_and_leave_with_it(tmp_path: Path) -> None:
    async with hub_in_1970(tmp_path) as hub:
        assert await hub.send() == []
        hub.kernel.advance(seconds=0.2)
        hub.times.hear_cloud(hub.kernel.now().monotonic_ms - 200, NOON_MS)
        alarms, readings = await hub.send()
        assert alarms.alarms[0].at_ms == NOON_MS + 100 - 200
        assert readings.readings[0].taken_at_ms == NOON_MS + 100 - 200
        assert readings.readings[0].clock_quality is ClockQuality.RESOLVED


async def test_nothing_waits_long_for_a_time_that_nobody_says(tmp_path: Path) -> None:
    async with hub_in_1970(tmp_path) as hub:
        hub.kernel.advance(seconds=TIME_PATIENCE_MS[UpLane.ALARMS] / 1000)
        (alarms,) = await hub.send()
        assert alarms.header.lane is UpLane.ALARMS
        hub.sender.receive(Receipt(SCHEMA_VERSION, HUB, GENERATION, UpLane.ALARMS, alarms.header.store_id, ((1, 1),)))
        hub.kernel.advance(seconds=(TIME_PATIENCE_MS[UpLane.READINGS] - TIME_PATIENCE_MS[UpLane.ALARMS]) / 1000)
        (readings,) = await hub.send()
        assert readings.readings[0].clock_quality is ClockQuality.UNSYNCED

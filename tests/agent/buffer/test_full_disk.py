"""A disk that is really full: alarms are kept and sent, what goes is counted, and nothing is unaccounted for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.readings import GENERATION, HUB, alarm, event, reading, waveform
from tests.support.small_disk import fill_up, small_disk
from tests.support.storing_cloud import Mailbag, StoringCloud

from bedside_agent.buffer.ranges import count, intersect, normalise, of_sequences
from bedside_agent.buffer.store import Store
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.readings import Metric, Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, GapReason
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

MEGABYTES = 20
ROOM = 6 * 2**20
AT_ONCE = 400
LIMITS = Limits(batch_bytes=64 * 1024, window_bytes=512 * 1024)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, MEGABYTES) as place:
        yield place


@asynccontextmanager
async def opened(disk: Path, clock: ManualClock) -> AsyncIterator[Store]:
    store = await Store.open(disk / "state" / "buffer.db", clock, commit_window_ms=1)
    try:
        yield store
    finally:
        await store.close()


class Cloud:
    """Everything that one or several openings of the store delivered."""

    def __init__(self, generation: str = GENERATION) -> None:
        self.cloud = StoringCloud(HUB, generation)

    async def drain(self, store: Store, clock: ManualClock) -> None:
        sender = Sender(store, clock, HUB, LIMITS)
        mail = Mailbag()
        while any(store.waiting().values()):
            await sender.send_what_fits(mail.publish)
            for lane, body in mail.empty():
                for receipt in self.cloud.hear(lane, body):
                    sender.receive(receipt)

    async def after_restore(self, store: Store, clock: ManualClock) -> None:
        """What this cloud gets, of which the hub has not heard yet."""
        assert store.apply_receipt(self.cloud.receipt("e" * 32, UpLane.READINGS))
        await self.drain(store, clock)

    def account(self, store_id: str, lane: UpLane) -> tuple[set[int], tuple[tuple[int, int], ...], int]:
        """Sequences delivered, ranges that gaps cover, and how many items the gaps say they stand for."""
        batches = [one for one in self.cloud.batches if (one.header.store_id, one.header.lane) == (store_id, lane)]
        items: list[Reading | Alarm | Event | Waveform] = []
        for one in batches:
            items += (*one.readings, *one.alarms, *one.events, *one.waveforms)
        delivered = {item.seq for item in items}
        gaps = {(gap.first_seq, gap.last_seq): gap.count for one in batches for gap in one.gaps}
        return delivered, normalise(gaps), sum(gaps.values())


def many(clock: ManualClock, number: int = AT_ONCE) -> list[Reading]:
    """40 seconds of several devices, with all that a reading can carry."""
    now = clock.advance(seconds=40)
    return [
        reading(
            90 + place % 100 / 10,
            at=now,
            metric=(Metric.SPO2, Metric.PULSE_RATE)[place % 2],
            device_id=f"oximeter-{place % 4}",
            device_time="2026-01-02T03:04:05",
        )
        for place in range(number)
    ]


async def produce(store: Store, clock: ManualClock, readings: int) -> int:
    for _ in range(readings // AT_ONCE):
        _, committed = store.append_readings(many(clock))
        await committed
    return readings // AT_ONCE * AT_ONCE


async def test_far_more_than_the_disk_holds_is_delivered_or_counted(disk: Path) -> None:
    clock, cloud = ManualClock(), Cloud()
    fill_up(disk, leave_bytes=ROOM)
    alarms = 0
    async with opened(disk, clock) as store:
        produced = 0
        for _ in range(8):
            produced += await produce(store, clock, 20_000)
            await asyncio.wait_for(store.append_alarm(alarm())[1], 10)
            await store.append_event(event())[1]
            alarms += 1
        assert store.failing is None
        await cloud.drain(store, clock)
        delivered, gaps, counted = cloud.account(store.store_id, UpLane.READINGS)
        assert cloud.account(store.store_id, UpLane.ALARMS)[:2] == (set(range(1, alarms + 1)), ())
    assert produced * 40 > ROOM, "more than there is room for"
    assert gaps
    assert intersect(of_sequences(delivered), gaps) == ()
    assert normalise((*of_sequences(delivered), *gaps)) == ((1, produced),)
    assert len(delivered) + counted == produced
    assert count(gaps) == counted
    # The oldest are thinned and not gone: something of every part of the time is left.
    parts = [sum(1 for seq in delivered if seq // 20_000 == part) for part in range(8)]
    assert all(parts)
    assert parts[-1] > parts[0]


async def test_an_alarm_is_kept_and_sent_while_another_program_fills_the_disk(disk: Path) -> None:
    clock, cloud = ManualClock(), Cloud()
    async with opened(disk, clock) as store:
        produced = await produce(store, clock, 4_000)
        fill_up(disk)
        for _ in range(20):
            await asyncio.wait_for(store.append_alarm(alarm())[1], 5)
            produced += await produce(store, clock, 2_000)
        await cloud.drain(store, clock)
        assert cloud.account(store.store_id, UpLane.ALARMS)[:2] == (set(range(1, 21)), ())
        delivered, gaps, counted = cloud.account(store.store_id, UpLane.READINGS)
        assert len(delivered) + counted == produced
        assert normalise((*of_sequences(delivered), *gaps)) == ((1, produced),)


@pytest.mark.parametrize("restarts", [0, 1])
async def test_what_a_full_disk_took_of_the_stored_is_counted_when_the_cloud_loses_it(
    disk: Path, restarts: int
) -> None:
    """The cloud has everything, the hub lets some of it go, the cloud's database goes back to before it."""
    clock, cloud, restored = ManualClock(), Cloud(), Cloud("66666666-6666-4666-8666-666666666666")
    fill_up(disk, leave_bytes=ROOM)
    async with opened(disk, clock) as store:
        born = store.store_id
        produced = await produce(store, clock, 16_000)
        await store.append_alarm(alarm())[1]
        await cloud.drain(store, clock)
        assert cloud.account(born, UpLane.READINGS)[1] == (), "all of it was stored"
        produced += await produce(store, clock, 40_000)
        if not restarts:
            await restored.after_restore(store, clock)
    if restarts:
        async with opened(disk, clock) as store:
            await restored.after_restore(store, clock)
    delivered, gaps, counted = restored.account(born, UpLane.READINGS)
    reasons = {gap.reason for batch in restored.cloud.batches for gap in batch.gaps}
    assert GapReason.LET_GO in reasons, "some of what was stored went"
    assert intersect(of_sequences(delivered), gaps) == ()
    assert normalise((*of_sequences(delivered), *gaps)) == ((1, produced),)
    assert len(delivered) + counted == produced
    assert restored.account(born, UpLane.ALARMS) == ({1}, (), 0)


async def test_a_hub_starts_on_a_full_disk_and_keeps_alarms(disk: Path) -> None:
    clock, cloud = ManualClock(), Cloud()
    async with opened(disk, clock) as store:
        produced = await produce(store, clock, 20_000)
        first = store.store_id
    stranger = fill_up(disk)
    for _ in range(3):
        async with opened(disk, clock) as store:
            await asyncio.wait_for(store.append_alarm(alarm())[1], 5)
    async with opened(disk, clock) as store:
        stranger.unlink()
        await store.append_event(event())[1]
        await cloud.drain(store, clock)
        assert cloud.cloud.count(UpLane.ALARMS) == 3
        delivered, gaps, counted = cloud.account(first, UpLane.READINGS)
        assert normalise((*of_sequences(delivered), *gaps)) == ((1, produced),)
        assert len(delivered) + counted == produced


async def test_what_the_cloud_holds_goes_first_and_leaves_no_gap(disk: Path) -> None:
    clock, cloud = ManualClock(), Cloud()
    produced = 0
    fill_up(disk, leave_bytes=ROOM)
    async with opened(disk, clock) as store:
        for _ in range(5):
            produced += await produce(store, clock, 20_000)
            await cloud.drain(store, clock)
        delivered, gaps, _ = cloud.account(store.store_id, UpLane.READINGS)
    assert gaps == ()
    assert len(delivered) == produced


async def test_waveforms_go_before_any_reading_is_thinned(disk: Path) -> None:
    clock, cloud = ManualClock(), Cloud()
    fill_up(disk, leave_bytes=ROOM)
    pieces, samples = 0, tuple([place * 37 % 400 for place in range(800)])
    async with opened(disk, clock) as store:
        readings = await produce(store, clock, 20_000)
        for _ in range(60):
            for _ in range(100):
                committed = store.append_waveform(waveform(samples=samples))
            pieces += 100
            await committed
        await asyncio.wait_for(store.append_alarm(alarm())[1], 10)
        await cloud.drain(store, clock)
        delivered, gaps, counted = cloud.account(store.store_id, UpLane.WAVEFORMS)
        assert cloud.account(store.store_id, UpLane.READINGS) == (set(range(1, readings + 1)), (), 0)
        assert cloud.account(store.store_id, UpLane.ALARMS)[:2] == ({1}, ())
    assert pieces * len(samples) > ROOM / 2, "more than there is room for"
    assert gaps
    assert min(delivered) > gaps[0][1], "the oldest went"
    assert normalise((*of_sequences(delivered), *gaps)) == ((1, pieces),)
    assert len(delivered) + counted == pieces

"""What leaves, in which order, how much of it, and what happens without a receipt. Real store, wire in the middle."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import GENERATION, HUB, alarm, event, reading, waveform
from tests.support.storing_cloud import Mailbag, StoringCloud

from bedside_agent.buffer.contents import Damaged, Item
from bedside_agent.buffer.ranges import Range
from bedside_agent.buffer.shelf import Shelf
from bedside_agent.buffer.store import Store
from bedside_agent.uplink.pacing import FIRST_WINDOW_BYTES
from bedside_agent.uplink.sender import MOST_ROWS, Limits, Sender
from bedside_profiles.readings import Metric
from bedside_profiles.wire.alarm import AlarmInput
from bedside_profiles.wire.batch import Batch, decode_batch
from bedside_profiles.wire.events import Gap, GapReason
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.receipt import Receipt, UndecodableBody
from bedside_profiles.wire.topics import SEQUENCED, UpLane

LIMITS = Limits(batch_bytes=1024, window_bytes=2048, receipt_timeout_ms=10_000)


class Hub:
    """A store, a sender, and what left it."""

    def __init__(self, store: Store, clock: ManualClock, limits: Limits) -> None:
        self.store = store
        self.clock = clock
        self.sender = Sender(store, clock, HUB, limits)
        self.bodies: list[bytes] = []

    def publish(self, lane: UpLane, body: bytes, acknowledged: Callable[[], None]) -> None:
        self.bodies.append(body)
        acknowledged()

    async def send(self) -> list[Batch]:
        before = len(self.bodies)
        await self.sender.send_what_fits(self.publish)
        batches = [decode_batch(body) for body in self.bodies[before:]]
        assert all(not batch.rejected for batch in batches)
        return batches

    async def fill(self, count: int) -> None:
        for _ in range(count):
            _, committed = self.store.append_readings([reading()])
        await committed

    async def deliver(self, cloud: StoringCloud, *, most: int = 200) -> None:
        """Send and hand receipts back until nothing waits."""
        for _ in range(most):
            before = len(self.bodies)
            await self.send()
            for body in self.bodies[before:]:
                lane = decode_batch(body).header.lane
                for receipt in cloud.hear(lane, body):
                    self.sender.receive(receipt)
            if not any(self.store.waiting().values()):
                return
        raise AssertionError(self.store.waiting())


@asynccontextmanager
async def hub(directory: Path, limits: Limits = LIMITS) -> AsyncIterator[Hub]:
    clock = ManualClock()
    store = await Store.open(directory / "buffer.db", clock, commit_window_ms=1)
    try:
        yield Hub(store, clock, limits)
    finally:
        await store.close()


def seqs(batch: Batch) -> list[int]:
    return [one.seq for one in batch.readings]


def receipt(store_id: str, lane: UpLane, *stored: tuple[int, int]) -> Receipt:
    return Receipt(SCHEMA_VERSION, HUB, GENERATION, lane, store_id, stored)


async def test_alarms_go_first_then_live_readings_then_events_then_the_backlog_then_waveforms(tmp_path: Path) -> None:
    async with hub(tmp_path) as old:
        await old.fill(2)
        born = old.store.store_id
    async with hub(tmp_path) as one:
        await one.fill(3)
        one.sender._begin_live()
        await one.store.append_waveform(waveform())
        await one.fill(2)
        await one.store.append_event(event())[1]
        await one.store.append_alarm(alarm())[1]
        sent = [(batch.header.lane, batch.header.store_id == born, seqs(batch)) for batch in await one.send()]
        assert sent == [
            (UpLane.ALARMS, False, []),
            (UpLane.READINGS, False, [4, 5]),
            (UpLane.EVENTS, False, []),
            (UpLane.READINGS, True, [1, 2]),
            (UpLane.READINGS, False, [1, 2, 3]),
            (UpLane.WAVEFORMS, False, []),
        ]


async def test_the_window_bounds_what_is_under_way_but_never_an_alarm(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(2000)
        batches = await one.send()
        assert all(len(body) <= LIMITS.batch_bytes for body in one.bodies)
        assert sum(map(len, one.bodies)) < LIMITS.window_bytes + LIMITS.batch_bytes
        assert await one.send() == [], "the window is full"
        await one.store.append_alarm(alarm())[1]
        (overtaking,) = await one.send()
        assert overtaking.header.lane is UpLane.ALARMS
        one.sender.receive(receipt(one.store.store_id, UpLane.READINGS, (1, seqs(batches[0])[-1])))
        (following,) = await one.send()
        assert seqs(following)[0] == seqs(batches[-1])[-1] + 1


async def test_without_a_receipt_it_is_sent_again_and_readings_ever_more_patiently(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(3)
        await one.store.append_alarm(alarm())[1]
        assert len(await one.send()) == 2
        one.clock.advance(seconds=9.9)
        assert await one.send() == []
        one.clock.advance(seconds=0.1)
        assert [batch.header.lane for batch in await one.send()] == [UpLane.ALARMS, UpLane.READINGS]
        one.clock.advance(seconds=10)
        assert [batch.header.lane for batch in await one.send()] == [UpLane.ALARMS]
        one.clock.advance(seconds=10)
        assert [batch.header.lane for batch in await one.send()] == [UpLane.ALARMS, UpLane.READINGS]


async def test_part_of_a_batch_is_settled_and_only_the_rest_is_sent_again(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(5)
        await one.send()
        one.sender.receive(receipt(one.store.store_id, UpLane.READINGS, (2, 3)))
        one.clock.advance(seconds=10)
        assert [seqs(batch) for batch in await one.send()] == [[1], [4, 5]]


async def test_receipts_out_of_order_and_for_strangers_change_nothing_else(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(5)
        await one.send()
        for late in (((1, 5),), ((1, 2),), ()):
            one.sender.receive(receipt(one.store.store_id, UpLane.READINGS, *late))
        one.sender.receive(receipt("f" * 32, UpLane.READINGS, (1, 99)))
        assert one.sender.under_way() == 0
        await one.fill(1)
        assert [seqs(batch) for batch in await one.send()] == [[6]]


async def test_another_generation_sends_everything_again_that_its_receipts_do_not_name(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(6)
        first = StoringCloud(HUB)
        await one.deliver(first)
        restored = StoringCloud(HUB, generation="66666666-6666-4666-8666-666666666666")
        key = (one.store.store_id, UpLane.READINGS)
        restored.held[key] = {1, 2, 5}
        assert one.sender.receive(restored.receipt(*key))
        assert [seqs(batch) for batch in await one.send()] == [[3, 4], [6]]


async def test_an_unreadable_item_is_singled_out_and_goes_as_a_gap(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(40)
        cloud = StoringCloud(HUB, cannot_read=lambda batch: 13 in seqs(batch))
        await one.deliver(cloud)
        assert cloud.held[one.store.store_id, UpLane.READINGS] == set(range(1, 41))
        gaps = [gap for batch in cloud.batches for gap in batch.gaps]
        assert [(gap.first_seq, gap.last_seq, gap.count, gap.reason) for gap in gaps] == [
            (13, 13, 1, GapReason.REJECTED_BY_STORE)
        ]


async def test_an_unknown_undecodable_body_changes_nothing(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(3)
        await one.send()
        unread = (UndecodableBody("0" * 64, "cannot be read"),)
        one.sender.receive(Receipt(SCHEMA_VERSION, HUB, GENERATION, UpLane.READINGS, undecodable=unread))
        assert one.sender.under_way() == 3
        assert await one.send() == []


async def test_a_damaged_row_goes_as_a_gap(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        for _ in range(3):
            await one.fill(1)
        one.store._database.file.execute("UPDATE readings SET payload = x'00' WHERE item % 8 = 2")
        (batch,) = await one.send()
        assert seqs(batch) == [1, 3]
        assert [(gap.first_seq, gap.reason) for gap in batch.gaps] == [(2, GapReason.STORE_CORRUPT)]


async def test_an_item_too_large_for_any_batch_goes_as_a_gap_and_stops_nobody(tmp_path: Path) -> None:
    huge = tuple(AlarmInput(Metric.SPO2, 80.0, NOON_MS + place) for place in range(10_000))
    async with hub(tmp_path) as one:
        await one.store.append_alarm(alarm())[1]
        await one.store.append_alarm(replace(alarm(), inputs=huge))[1]
        await one.store.append_alarm(alarm())[1]
        cloud = StoringCloud(HUB)
        await one.deliver(cloud)
        assert cloud.held[one.store.store_id, UpLane.ALARMS] == {1, 2, 3}
        assert sum(len(batch.gaps) for batch in cloud.batches) == 1


async def test_rows_that_were_let_go_stall_nothing_and_are_told_as_a_gap(tmp_path: Path) -> None:
    async with hub(tmp_path) as one:
        await one.fill(3)
        await one.fill(2)
        await one.deliver(StoringCloud(HUB))
        assert one.store._database.delete(1, UpLane.READINGS, (1, 3), ((1, 3),)) == ((1, 3),)
        restored = StoringCloud(HUB, "66666666-6666-4666-8666-666666666666")
        assert one.sender.receive(restored.receipt("e" * 32, UpLane.READINGS))
        await one.deliver(restored)
        assert [seqs(batch) for batch in restored.batches] == [[4, 5]]
        assert [batch.gaps for batch in restored.batches] == [(Gap(1, 3, 3, GapReason.LET_GO),)]


async def test_every_item_of_every_lane_arrives_once_from_several_stores(tmp_path: Path) -> None:
    cloud = StoringCloud(HUB)
    for _ in range(3):
        async with hub(tmp_path) as one:
            await one.fill(300)
            await one.store.append_alarm(alarm())[1]
            await one.store.append_event(event())[1]
            await one.store.append_waveform(waveform())
    async with hub(tmp_path) as one:
        await one.deliver(cloud)
    assert {lane: cloud.count(lane) for lane in SEQUENCED} == {
        UpLane.READINGS: 900,
        UpLane.ALARMS: 3,
        UpLane.EVENTS: 3,
        UpLane.WAVEFORMS: 3,
    }
    everything = [(batch.header.store_id, seq) for batch in cloud.batches for seq in seqs(batch)]
    assert len(everything) == len(set(everything)) == 900


async def test_what_the_broker_has_not_acknowledged_fills_the_link_and_is_not_sent_twice(tmp_path: Path) -> None:
    async with hub(tmp_path, Limits(batch_bytes=16 * 1024, window_bytes=1024 * 1024)) as one:
        await one.fill(3000)
        mail = Mailbag()
        await one.sender.send_what_fits(mail.publish)
        on_link = sum(len(body) for _, body in mail.carried())
        assert on_link < FIRST_WINDOW_BYTES + 16 * 1024
        one.clock.advance(seconds=3600)
        await one.sender.send_what_fits(mail.publish)
        assert mail.carried() == [], "it is on its way: a second copy would only come after it"
        await one.store.append_alarm(alarm())[1]
        await one.sender.send_what_fits(mail.publish)
        assert [lane for lane, _ in mail.carried()] == [UpLane.ALARMS], "nothing holds an alarm back"


async def test_a_metered_link_carries_what_it_may_and_every_alarm(tmp_path: Path) -> None:
    limits = Limits(batch_bytes=16 * 1024, window_bytes=1024 * 1024, bytes_per_second=2_000)
    async with hub(tmp_path, limits) as one:
        await one.fill(4000)
        cloud, mail, sent = StoringCloud(HUB), Mailbag(), 0
        for _ in range(60):
            one.clock.advance(seconds=1)
            await one.store.append_alarm(alarm())[1]
            await one.sender.send_what_fits(mail.publish)
            for lane, body in mail.empty():
                sent += len(body) if lane is UpLane.READINGS else 0
                for receipt in cloud.hear(lane, body):
                    one.sender.receive(receipt)
        assert 0.9 * 60 * 2_000 <= sent <= 62 * 2_000
        assert cloud.count(UpLane.ALARMS) == 60


async def test_no_more_is_read_for_a_batch_than_it_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub(tmp_path, Limits(batch_bytes=16 * 1024, window_bytes=1024 * 1024)) as one:
        await one.fill(5000)
        asked: list[int] = []
        fetch = one.store.fetch

        async def counted(shelf: Shelf, wanted: Range, rows: int) -> tuple[Item | Damaged, ...]:
            asked.append(rows)
            return await fetch(shelf, wanted, rows)

        monkeypatch.setattr(one.store, "fetch", counted)
        await one.deliver(StoringCloud(HUB))
        assert max(asked) <= MOST_ROWS
        assert sum(asked) < 2 * 5000

"""Backups, restores, restarts, deletions in any order: each item is stored once, or counted as lost."""

import copy
import random
import uuid
from collections import defaultdict
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.readings import HUB, alarm, event, reading
from tests.support.storing_cloud import Mailbag, StoringCloud

from bedside_agent.buffer.store import Store
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.wire.batch import Batch, decode_batch
from bedside_profiles.wire.events import Gap
from bedside_profiles.wire.topics import UpLane

HISTORIES = 24
STEPS = 60
LIMITS = Limits(batch_bytes=1024, window_bytes=4096, receipt_timeout_ms=10_000)
MOST_LATER = 5
"""Jumps of three days: a month later the hub forgets what an emptied store had."""

Key = tuple[str, UpLane]


class Restorable(StoringCloud):
    """A cloud whose database can be put back. What it holds are `held` (settled), `stored` and `lost`."""

    def begin(self) -> None:
        self.stored: dict[Key, set[int]] = defaultdict(set)
        self.lost: dict[Key, set[int]] = defaultdict(set)

    def take(self, lane: UpLane, body: bytes) -> Batch:
        """As ingest: the first of an identity stays, and of a gap counts what is not there."""
        batch = decode_batch(body)
        key = (batch.header.store_id, lane)
        here = {one.seq for items in (batch.readings, batch.alarms, batch.events) for one in items}
        there = self.stored[key]
        there |= here
        for gap in batch.gaps:
            self.lost[key] |= set(range(gap.first_seq, gap.last_seq + 1)) - there
        return batch

    def backup(self) -> object:
        return copy.deepcopy((self.held, self.stored, self.lost))

    def restore(self, backup: object) -> None:
        self.held, self.stored, self.lost = copy.deepcopy(backup)  # type: ignore[misc]
        self.generation = str(uuid.uuid4())


class History:
    """One hub, one cloud, and what must be true of them at the end."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.cloud = Restorable(HUB, str(uuid.uuid4()))
        self.cloud.begin()
        self.backups = [self.cloud.backup()]
        self.produced: dict[Key, int] = defaultdict(int)
        self.let_go: dict[Key, set[int]] = defaultdict(set)
        self.later = 0
        self.store: Store
        self.sender: Sender

    async def open(self) -> None:
        self.store = await Store.open(self.path, self.clock, commit_window_ms=1)
        self.sender = Sender(self.store, self.clock, HUB, LIMITS)

    async def restart(self) -> None:
        await self.store.close()
        await self.open()

    async def measure(self) -> None:
        for _ in range(self.chance.randint(1, 3)):
            drafts = [reading() for _ in range(self.chance.randint(1, 9))]
            await self.store.append_readings(drafts)[1]
            self.produced[self.store.store_id, UpLane.READINGS] += len(drafts)
        if self.chance.random() < 0.5:
            await self.store.append_alarm(alarm())[1]
            self.produced[self.store.store_id, UpLane.ALARMS] += 1
        if self.chance.random() < 0.5:
            await self.store.append_event(event())[1]
            self.produced[self.store.store_id, UpLane.EVENTS] += 1

    async def send(self, receipts: float = 0.8) -> None:
        """What fits into the window, over a new connection; some receipts are lost."""
        self.sender.connected()
        mail = Mailbag()
        await self.sender.send_what_fits(mail.publish)
        for lane, body in mail.empty():
            self.cloud.take(lane, body)
            for receipt in self.cloud.hear(lane, body):
                if self.chance.random() < receipts:
                    self.sender.receive(receipt)

    async def fill_disk(self) -> None:
        """The disk is full: for a step, what the cloud holds goes, as the hub believes; else readings are thinned."""
        before = {key: self._there(key) for key in list(self.produced)}
        await self.store._writer._make_room()
        self._note_gone(before)

    async def wait_days(self) -> None:
        if self.later < MOST_LATER:
            self.later += 1
            self.clock.advance(hours=73)
        before = {key: self._there(key) for key in list(self.produced)}
        await self.store.retain()
        self._note_gone(before)

    async def backup(self) -> None:
        self.backups.append(self.cloud.backup())

    async def restore(self) -> None:
        self.cloud.restore(self.chance.choice(self.backups))

    def _there(self, key: Key) -> set[int]:
        for number, store_id, _ in self.store._database.file.run("stores").fetchall():
            if store_id == key[0]:
                rows = self.store._database.stretch(number, key[1], 1, 100_000)
                items = [item for row in rows if row.bundle is not None for item in row.bundle.items]
                return {item.seq for item in items if not isinstance(item, Gap)}
        return set()

    def _note_gone(self, before: dict[Key, set[int]]) -> None:
        for key, there in before.items():
            self.let_go[key] |= there - self._there(key)


@pytest.mark.parametrize("part", range(4))
async def test_each_item_is_stored_once_or_counted_as_lost(tmp_path: Path, part: int) -> None:
    restores = lost = 0
    for seed in range(part, HISTORIES, 4):
        history = History(tmp_path / str(seed) / "buffer.db", seed)
        steps = (
            *[history.measure] * 6,
            *[history.send] * 6,
            *(history.fill_disk, history.wait_days, history.restart, history.backup, history.restore),
        )
        await history.open()
        for _ in range(STEPS):
            step = history.chance.choice(steps)
            restores += step == history.restore
            await step()
        cloud = history.cloud
        # A status is answered with all that the cloud has, and says which database it is.
        for key in [*cloud.held, ("e" * 32, UpLane.READINGS)]:
            history.sender.receive(cloud.receipt(*key))
        while any(history.store.waiting().values()):
            await history.send(receipts=1)
        for key, count in history.produced.items():
            stored, told = cloud.stored[key], cloud.lost[key] - cloud.stored[key]
            assert stored | told == set(range(1, count + 1)), (seed, key)
            assert told <= history.let_go[key], (seed, key)
            lost += len(told)
        await history.store.close()
    assert restores > 10
    assert lost, "some histories lost what was let go"

"""A disk that turns read-only, hangs or cannot be read: alarms are sent, and stored later as the same alarms."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.absent import absent
from tests.support.clock import ManualClock
from tests.support.readings import HUB, alarm, event, reading
from tests.support.small_disk import small_disk
from tests.support.storing_cloud import StoringCloud

from bedside_agent.buffer import pending
from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.ranges import normalise, of_sequences
from bedside_agent.buffer.store import Store
from bedside_agent.errors import DamagedStoreError, StoreError
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.readings import Reading
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.topics import UpLane

MEGABYTES = 20


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of a real hub, a hundredth as long."""
    monkeypatch.setattr("bedside_agent.buffer.store.OVERDUE_SECONDS", 0.01)
    monkeypatch.setattr("bedside_agent.buffer.writer.OVERDUE_SECONDS", 0.01)
    monkeypatch.setattr("bedside_agent.buffer.writer.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("bedside_agent.buffer.store.READ_RETRY_SECONDS", 0.01)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path, ManualClock(), commit_window_ms=1)
    try:
        yield store
    finally:
        await store.close()


class Cloud:
    """What one hub's stores sent, sent again whenever there is something to send."""

    def __init__(self, store: Store) -> None:
        self.cloud = StoringCloud(HUB)
        self._store = store
        self._changed = asyncio.Event()
        self._sender = Sender(store, ManualClock(), HUB, Limits())
        store.committed = self._changed.set

    async def until_sent(self, lane: UpLane, number: int) -> None:
        """Send until so many of the lane have arrived."""
        bodies: list[tuple[UpLane, bytes]] = []

        def publish(lane: UpLane, body: bytes, acknowledged: Callable[[], None]) -> None:
            bodies.append((lane, body))
            acknowledged()

        async with asyncio.timeout(20):
            while self.cloud.count(lane) < number:
                self._changed.clear()
                await self._sender.send_what_fits(publish)
                if not bodies:
                    await self._changed.wait()
                for sent in bodies:
                    for receipt in self.cloud.hear(*sent):
                        self._sender.receive(receipt)
                bodies.clear()

    def alarms(self) -> list[object]:
        return [one for batch in self.cloud.batches for one in batch.alarms]

    def kinds(self) -> list[str]:
        return [one.kind for batch in self.cloud.batches for one in batch.events]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, MEGABYTES) as place:
        yield place


def turn_read_only(disk: Path) -> None:
    """As ext4 does by itself after an I/O error: whoever writes is refused from now on."""
    done = subprocess.run(["mount", "-o", "remount,abort", str(disk)], capture_output=True, check=False)
    if done.returncode:
        absent("a disk that turns read-only", "a kernel and a file system that know remount,abort")


def mount_again(disk: Path) -> None:
    subprocess.run(["umount", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk.with_name("disk.img")), str(disk)], check=True)


class Hanging:
    """The real commit, which does not come back before it is let go."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self._commit = store._database.commit
        self._works = threading.Event()
        monkeypatch.setattr(store._database, "commit", self._hang)

    def let_go(self) -> None:
        self._works.set()

    def _hang(self, group: Group) -> None:
        # Not for ever: a test that fails must end.
        self._works.wait(30)
        self._commit(group)


def is_working(store: Store) -> bool:
    return store.failing is None


async def test_an_alarm_on_a_read_only_disk_is_sent_and_the_hub_says_so(disk: Path) -> None:
    async with opened(disk / "state" / "buffer.db") as store:
        cloud = Cloud(store)
        await store.append_alarm(alarm())[1]
        await cloud.until_sent(UpLane.ALARMS, 1)
        while store.waiting()[UpLane.EVENTS] or not is_working(store):
            # A busy machine's disk may have been late once, which the store said then.
            await cloud.until_sent(UpLane.EVENTS, len(cloud.kinds()) + 1)
        before = len(cloud.kinds())
        turn_read_only(disk)
        second, kept = store.append_alarm(alarm(condition="pulse_high"))
        third, _ = store.append_alarm(alarm(condition="battery_low"))
        await cloud.until_sent(UpLane.ALARMS, 3)
        assert cloud.alarms()[1:] == [second, third]
        assert (second.seq, third.seq) == (2, 3)
        assert not kept.done()
        await cloud.until_sent(UpLane.EVENTS, before + 1)
        assert cloud.kinds()[before:] == ["store_failing"]
        assert store.failing is not None
        assert "could not be written" in store.failing.what
        store.append_readings([reading()])
        store.append_event(event())
        await cloud.until_sent(UpLane.EVENTS, before + 2)
        born = store.store_id
    # The next start on a disk that works: nothing else gets the identities of what was sent and never stored.
    mount_again(disk)
    async with opened(disk / "state" / "buffer.db") as store:
        assert store.store_id != born
        cloud = Cloud(store)
        again, _ = store.append_alarm(alarm(condition="other"))
        await cloud.until_sent(UpLane.ALARMS, 2)
        sent = {(batch.header.store_id, one.seq) for batch in cloud.cloud.batches for one in batch.alarms}
        # The first was stored; what its receipt said was not, so it comes once more.
        assert sent == {(born, 1), (store.store_id, again.seq)}


async def test_what_was_sent_from_memory_is_stored_later_under_the_same_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "buffer.db") as store:
        disk = Hanging(store, monkeypatch)
        cloud = Cloud(store)
        _, readings_kept = store.append_readings([reading()])
        await asyncio.sleep(0)
        raised = [store.append_alarm(alarm(at_ms=alarm().at_ms + place)) for place in range(3)]
        # The database's thread hangs in a commit, and a read of the sender waits behind it.
        asking = asyncio.create_task(store.fetch(store.shelves()[0], (1, 9), 9))
        await cloud.until_sent(UpLane.ALARMS, 3)
        assert await asking == ()
        assert cloud.alarms() == [one for one, _ in raised]
        await cloud.until_sent(UpLane.EVENTS, 1)
        assert cloud.kinds() == ["store_failing"]
        assert not is_working(store)
        disk.let_go()
        await asyncio.gather(readings_kept, *(kept for _, kept in raised))
        await cloud.until_sent(UpLane.EVENTS, 2)
        assert cloud.kinds() == ["store_failing", "store_works_again"]
        assert is_working(store)
        shelf = store.shelves()[0]
        assert await store.fetch(shelf, (1, 9), 9) == tuple(one for one, _ in raised)
        assert store.waiting()[UpLane.ALARMS] == 0
        assert len(cloud.alarms()) == 3, "what the cloud holds is not sent again"


async def test_an_alarm_that_is_stored_in_time_is_sent_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "buffer.db") as store:
        cloud = Cloud(store)
        for _ in range(20):
            await store.append_alarm(alarm())[1]
        await cloud.until_sent(UpLane.ALARMS, 20)
        assert len(cloud.alarms()) == 20


async def test_the_rules_hear_every_reading_while_the_disk_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "MOST_PENDING", 200)
    async with opened(tmp_path / "buffer.db") as store:
        disk = Hanging(store, monkeypatch)
        clock, appended, last = ManualClock(), 0, None
        async with asyncio.timeout(20):
            for place in range(3_000):
                clock.advance(seconds=1)
                _, last = store.append_readings([reading(90 + place % 9, at=clock.now())])
                appended += 1
                await store.room()
        disk.let_go()
        assert last is not None
        await last
        (shelf,) = [one for one in store.shelves() if (one.store_id, one.lane) == (store.store_id, UpLane.READINGS)]
        items = await store.fetch(shelf, (1, appended), appended)
        gaps = [one for one in items if isinstance(one, Gap)]
        assert gaps
        assert len(items) < 1_000
        readings = of_sequences(one.seq for one in items if isinstance(one, Reading))
        assert normalise((*readings, *((gap.first_seq, gap.last_seq) for gap in gaps))) == ((1, appended),)


async def test_a_sector_that_cannot_be_read_ends_in_a_salvage_and_not_in_a_standstill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "buffer.db") as store:
        await store.append_readings([reading()])[1]
        shelf = next(one for one in store.shelves() if one.last)

        def fail(*_: object) -> None:
            raise StoreError("disk I/O error")

        monkeypatch.setattr(store._database, "fetch", fail)
        for _ in range(9):
            assert await store.fetch(shelf, (1, 1), 9) == ()
        with pytest.raises(DamagedStoreError):
            await store.fetch(shelf, (1, 1), 9)
    async with opened(tmp_path / "buffer.db") as store:
        await store.salvaged()
        assert store.waiting()[UpLane.READINGS] == 1
        told = [one async for one in _events(store)]
        assert "store_corrupt" in [one.kind for one in told]


async def _events(store: Store) -> AsyncIterator[Event]:
    await store.append_event(event())[1]
    shelf = next(one for one in store.shelves() if (one.store_id, one.lane) == (store.store_id, UpLane.EVENTS))
    for one in await store.fetch(shelf, (1, shelf.last), 9):
        assert isinstance(one, Event)
        yield one

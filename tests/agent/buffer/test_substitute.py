"""A hub that starts on a disk that it cannot write: it works in memory, and loses nothing of what either has."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.readings import HUB, alarm, event, reading
from tests.support.small_disk import fill_up, small_disk
from tests.support.storing_cloud import StoringCloud

from bedside_agent.buffer import substitute
from bedside_agent.buffer.ranges import of_sequences
from bedside_agent.buffer.store import Store
from bedside_agent.buffer.substitute import buffer_in_use
from bedside_agent.buffer.wrapping import CREDENTIAL
from bedside_agent.errors import DiskRefusesError, StoreBusyError
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.wire.topics import UpLane

MEGABYTES = 20
Sent = dict[str, tuple[tuple[int, int], ...]]
"""Store → the sequences of one lane that the cloud has of it."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, MEGABYTES) as place:
        yield place


@pytest.fixture
def path(disk: Path) -> Path:
    return disk / "state" / "buffer.db"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


def used_bytes(memory: Path) -> int:
    """What stores in memory take of it, the reserve left out."""
    return sum(one.lstat().st_size for one in memory.rglob("*.db*") if one.is_file() and one.suffix != ".reserve")


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@asynccontextmanager
async def opened(path: Path, memory: Path | None) -> AsyncIterator[Store]:
    store = await Store.open(path, ManualClock(), commit_window_ms=1, memory=memory)
    try:
        yield store
    finally:
        await store.close()


async def make(store: Store, *, readings: int = 3, alarms: int = 1) -> None:
    """Commit these; the last one is on the disk, or in memory, when this returns."""
    for place in range(readings):
        store.append_readings([reading(90.0 + place % 9)])
    for _ in range(alarms):
        store.append_alarm(alarm())
    await store.append_event(event())[1]


class Cloud:
    """Holds what one hub sent, over all its starts."""

    def __init__(self) -> None:
        self.cloud = StoringCloud(HUB)

    async def drain(self, store: Store, until: Callable[[], bool] = lambda: True) -> None:
        """Take everything that waits, also what is salvaged meanwhile."""
        sender = Sender(store, ManualClock(), HUB, Limits())
        bodies: list[tuple[UpLane, bytes]] = []

        def publish(lane: UpLane, body: bytes, acknowledged: Callable[[], None]) -> None:
            bodies.append((lane, body))
            acknowledged()

        async with asyncio.timeout(30):
            while any(store.waiting().values()) or not until():
                await sender.send_what_fits(publish)
                for sent in bodies:
                    for receipt in self.cloud.hear(*sent):
                        sender.receive(receipt)
                bodies.clear()
                await asyncio.sleep(0.005)

    def has(self, lane: UpLane) -> Sent:
        return {store_id: of_sequences(held) for (store_id, of), held in self.cloud.held.items() if of is lane}


async def test_what_the_disk_holds_and_what_comes_are_sent_from_memory(disk: Path, path: Path, memory: Path) -> None:
    async with opened(path, memory) as store:
        await store.put_state({"plan": b"signed"})
        await make(store, readings=500, alarms=3)
        first = store.store_id
    remount(disk, "ro")
    cloud = Cloud()
    async with opened(path, memory) as store:
        assert store.state["plan"] == b"signed"
        assert store.trouble is not None
        await make(store, readings=200, alarms=2)
        second = store.store_id
        assert buffer_in_use(path, memory) != path
        await store.salvaged()
        await cloud.drain(store)
    assert cloud.has(UpLane.READINGS) == {first: ((1, 500),), second: ((1, 200),)}
    assert cloud.has(UpLane.ALARMS) == {first: ((1, 3),), second: ((1, 2),)}
    kinds = {one.kind for batch in cloud.cloud.batches for one in batch.events}
    assert {"store_failing", "store_salvaged"} <= kinds


@pytest.mark.parametrize("still_read_only", [False, True])
async def test_memory_outlives_the_agent_and_goes_to_the_disk_when_it_can_be_written(
    disk: Path, path: Path, memory: Path, still_read_only: bool
) -> None:
    async with opened(path, memory) as store:
        await store.put_state({"plan": b"first", "kept": b"1"})
        await make(store)
    remount(disk, "ro")
    stores = [store.store_id]
    for _ in range(2 if still_read_only else 1):
        async with opened(path, memory) as store:
            await store.put_state({"plan": b"second", "mind": b"alarming"})
            await make(store, readings=50)
            stores.append(store.store_id)
    remount(disk, "rw")
    cloud = Cloud()
    async with opened(path, memory) as store:
        assert store.trouble is None
        assert (store.state["plan"], store.state["mind"], store.state["kept"]) == (b"second", b"alarming", b"1")
        await make(store)
        stores.append(store.store_id)
        await store.salvaged()
        await cloud.drain(store)
    counts = [3, *([50] * (len(stores) - 2)), 3]
    assert cloud.has(UpLane.READINGS) == {one: ((1, made),) for one, made in zip(stores, counts, strict=True)}
    assert cloud.has(UpLane.ALARMS) == dict.fromkeys(stores, ((1, 1),))
    assert used_bytes(memory) == 0, "memory is dear"
    async with opened(path, None) as store:
        assert store.state["plan"] == b"second"


async def test_a_disk_that_changes_its_mind_costs_nothing(disk: Path, path: Path, memory: Path) -> None:
    cloud = Cloud()
    stores: list[str] = []
    for how in ("rw", "ro", "rw", "ro", "ro", "rw"):
        remount(disk, how)
        async with opened(path, memory) as store:
            assert (store.trouble is None) == (how == "rw")
            assert store.state.get("start", b"0") == str(len(stores)).encode()
            await store.put_state({"start": str(len(stores) + 1).encode()})
            await make(store, readings=20)
            stores.append(store.store_id)
    async with opened(path, memory) as store:
        await store.salvaged()
        await cloud.drain(store)
    assert cloud.has(UpLane.READINGS) == dict.fromkeys(stores, ((1, 20),))
    assert cloud.has(UpLane.ALARMS) == dict.fromkeys(stores, ((1, 1),))


async def test_a_cut_while_memory_is_taken_over_loses_neither_items_nor_values(
    disk: Path, path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path, memory) as store:
        await store.put_state({"plan": b"first"})
    remount(disk, "ro")
    async with opened(path, memory) as store:
        await store.put_state({"plan": b"second"})
        await make(store)
        born = store.store_id
    remount(disk, "rw")

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place in ("bedside_agent.buffer.substitute._mark", "bedside_agent.buffer.substitute.Database"):
        with monkeypatch.context() as patch:
            patch.setattr(place, cut)
            with pytest.raises(KeyboardInterrupt):
                substitute.opened(path, "e" * 32, memory)
    cloud = Cloud()
    async with opened(path, memory) as store:
        assert store.state["plan"] == b"second"
        await store.salvaged()
        await cloud.drain(store)
    assert cloud.has(UpLane.READINGS)[born] == ((1, 3),)


async def test_a_credential_that_comes_while_the_disk_cannot_be_written_makes_no_key_in_memory(
    disk: Path, path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What such a key had sealed, nobody could open after memory is gone."""
    async with opened(path, memory) as store:
        await make(store)
    remount(disk, "ro")
    await asyncio.to_thread((tmp_path / CREDENTIAL).write_text, "c" * 64)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    async with opened(path, memory) as store:
        await make(store, readings=7)
        born = store.store_id
    remount(disk, "rw")
    cloud = Cloud()
    async with opened(path, memory) as store:
        await store.salvaged()
        await cloud.drain(store)
    assert cloud.has(UpLane.READINGS)[born] == ((1, 7),)


async def test_a_backlog_on_the_disk_flows_through_memory_as_it_is_received(
    disk: Path, path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.buffer.store.MOST_WAITING_IN_MEMORY", 1_000)
    monkeypatch.setattr("bedside_agent.buffer.store.READ_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("bedside_agent.buffer.rescue.STEP_PAGES", 4)
    async with opened(path, memory) as store:
        await make(store, readings=8_000)
        first = store.store_id
    remount(disk, "ro")
    cloud = Cloud()
    async with opened(path, memory) as store:
        await asyncio.sleep(0.5)
        assert sum(store.waiting().values()) < 3_000
        salvaged = asyncio.create_task(store.salvaged())
        await cloud.drain(store, salvaged.done)
    assert cloud.has(UpLane.READINGS)[first] == ((1, 8_000),)


async def test_memory_is_bounded_and_what_goes_is_counted(
    disk: Path, path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_bytes = 3 * 2**20
    monkeypatch.setattr(substitute, "MOST_BYTES", most_bytes)
    path.parent.mkdir()
    remount(disk, "ro")
    cloud = Cloud()
    async with opened(path, memory) as store:
        for _ in range(60):
            for _ in range(500):
                store.append_readings([reading()])
            await make(store, readings=0)
        assert used_bytes(memory) <= most_bytes
        await cloud.drain(store)
        assert cloud.has(UpLane.READINGS) == {store.store_id: ((1, 30_000),)}
        assert cloud.has(UpLane.ALARMS) == {store.store_id: ((1, 60),)}
        assert sum(gap.count for batch in cloud.cloud.batches for gap in batch.gaps) > 0


async def test_a_disk_without_room_for_a_new_store_is_no_reason_not_to_start(
    disk: Path, path: Path, memory: Path
) -> None:
    path.parent.mkdir()
    fill_up(disk)
    async with opened(path, memory) as store:
        await make(store)
        assert store.trouble is not None


async def test_an_agent_that_runs_is_found_though_its_disk_turned_read_only(
    disk: Path, path: Path, memory: Path
) -> None:
    async with opened(path, memory):
        # As ext4 does it after an error: who has files open for writing keeps them.
        remount(disk, "abort")
        with pytest.raises(StoreBusyError):
            await Store.open(path, ManualClock(), memory=memory)


async def test_without_a_place_in_memory_it_is_said_what_is_wrong(disk: Path, path: Path, memory: Path) -> None:
    async with opened(path, None) as store:
        await make(store)
    remount(disk, "ro")
    with pytest.raises(DiskRefusesError, match="cannot be written"):
        await Store.open(path, ManualClock())
    await asyncio.to_thread(memory.touch)
    with pytest.raises(DiskRefusesError, match="cannot be written"):
        await Store.open(path, ManualClock(), memory=memory)


def test_each_state_directory_has_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(substitute.MEMORY_VARIABLE, str(tmp_path))
    places = {substitute.memory_for(tmp_path / name) for name in ("one", "two")}
    assert len(places) == 2
    assert {place.parent for place in places} == {tmp_path}
    os.symlink(tmp_path / "one", tmp_path / "same")
    assert substitute.memory_for(tmp_path / "same") in places

"""Four simulated devices, the agent's whole collecting side, real radio and serial code: what went out came in."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.shelf import Row, Shelf
from tests.support.virtual_radio import until

from bedside_agent.clock import Instant
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind
from bedside_agent.collect.station import Station
from bedside_agent.radio.choice import open_central
from bedside_agent.serial.lines import open_line
from bedside_profiles.readings import Measurement
from bedside_profiles.wire.status import LinkState
from bedside_sim.faults import Flapping
from bedside_sim.journal import Journal, read_journal
from bedside_sim.patients import Scenario
from bedside_sim.world import World, WorldSettings


def by_device(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {device: [row for row in rows if row[0] == device] for device in {row[0] for row in rows}}


def emitted(path: Path) -> dict[str, list[Row]]:
    return by_device([(entry.device_id, entry.metric, entry.value, entry.modality) for entry in read_journal(path)])


@asynccontextmanager
async def world_of(tmp_path: Path, flapping: Flapping | None = None) -> AsyncIterator[World]:
    """Ticks of a tenth of a second, a cuff in every third, a serial stream in pieces."""
    journal = Journal(tmp_path / "journal")
    settings = WorldSettings(
        seed=7,
        scenario=Scenario.DESATURATION,
        pty=tmp_path / "line",
        cuff_every_seconds=3,
        tick_seconds=0.1,
        split=True,
        flapping=flapping,
    )
    world = await World.open(settings, journal, hci_port=0)
    running = asyncio.create_task(world.run())
    try:
        yield world
    finally:
        running.cancel()
        await asyncio.wait({running})
        await world.close()
        journal.close()


@asynccontextmanager
async def station_in(world: World, shelf: Shelf, notices: list[Notice]) -> AsyncIterator[Station]:
    central = await open_central(f"bumble:tcp-client:127.0.0.1:{world.hci_port}", jitter=random.Random(1))
    station = Station(
        [DeviceEntry(**entry) for entry in world.entries()],
        central=central,
        open_port=open_line,
        sink=shelf,
        clock=ManualClock(),
        report=notices.append,
        jitter=random.Random(1),
    )
    running = asyncio.create_task(station.run())
    try:
        yield station
    finally:
        running.cancel()
        await asyncio.wait({running})
        await central.close()


def all_connected(station: Station) -> bool:
    return all(status.link is LinkState.CONNECTED for status in station.statuses())


def at_least(path: Path, frames: int) -> bool:
    found = emitted(path)
    return len(found) == 4 and all(len(rows) >= frames for rows in found.values())


async def test_what_was_emitted_is_what_was_taken(tmp_path: Path) -> None:
    shelf, notices = Shelf(), list[Notice]()
    async with world_of(tmp_path) as world, station_in(world, shelf, notices) as station:
        await until(lambda: all_connected(station) and at_least(tmp_path / "journal", 8))
        assert all(status.last_reading_ms is not None for status in station.statuses())
        await world.pause()
        await until(lambda: by_device(shelf.rows) == emitted(tmp_path / "journal"))
    assert by_device(shelf.rows) == emitted(tmp_path / "journal")
    assert [notice.kind for notice in notices] == [NoticeKind.DEVICE_CONNECTED] * 4


async def test_losses_of_every_kind_between_ticks_lose_nothing(tmp_path: Path) -> None:
    shelf, notices = Shelf(), list[Notice]()
    async with world_of(tmp_path) as world, station_in(world, shelf, notices) as station:
        await until(lambda: all_connected(station) and at_least(tmp_path / "journal", 4))
        for device_id in world.devices:
            await world.vanish(device_id)
        await until(lambda: not any(status.link is LinkState.CONNECTED for status in station.statuses()))
        for device_id in world.devices:
            await world.reappear(device_id)
        await until(lambda: all_connected(station))
        await world.drop("sim-strap")
        await until(lambda: not all_connected(station))
        await until(lambda: all_connected(station))
        await world.pause()
        world.pull_adapter()
        await until(lambda: not all_connected(station))
        world.resume()
        await until(lambda: all_connected(station))
        before = len(shelf.rows)
        await until(lambda: len(shelf.rows) > before + 20)
        await world.pause()
        await until(lambda: by_device(shelf.rows) == emitted(tmp_path / "journal"))
    assert {notice.kind for notice in notices} == {NoticeKind.DEVICE_CONNECTED, NoticeKind.DEVICE_LOST}


async def test_links_that_come_and_go_lose_nothing(tmp_path: Path) -> None:
    shelf, notices = Shelf(), list[Notice]()
    flapping = Flapping(up_seconds=20, down_seconds=3)
    async with world_of(tmp_path, flapping) as world, station_in(world, shelf, notices) as station:
        await until(lambda: world.second > 46)
        await until(lambda: world.second % 23 == 10)
        await world.pause()
        await until(lambda: by_device(shelf.rows) == emitted(tmp_path / "journal"))
        assert len(station.statuses()) == 4
    lost = [notice for notice in notices if notice.kind is NoticeKind.DEVICE_LOST]
    assert len(lost) >= 4
    assert len(shelf.rows) > 50


async def test_an_agent_that_starts_again_between_ticks_misses_nothing(tmp_path: Path) -> None:
    shelf, notices = Shelf(), list[Notice]()
    async with world_of(tmp_path) as world:
        for life in range(1, 4):
            async with station_in(world, shelf, notices) as station:
                world.resume()
                await until(lambda: all_connected(station))
                await until(lambda life=life: at_least(tmp_path / "journal", 4 * life))  # type: ignore[misc]
                await world.pause()
                await until(lambda: by_device(shelf.rows) == emitted(tmp_path / "journal"))


async def test_a_station_refuses_an_entry_with_problems() -> None:
    with pytest.raises(ValueError, match="there is no profile"):
        Station(
            [DeviceEntry("a", "bluetooth.toaster")],
            central=None,
            open_port=open_line,
            sink=Shelf(),
            clock=ManualClock(),
            report=lambda _: None,
            jitter=random.Random(1),
        )


async def test_a_broken_sink_ends_the_station(tmp_path: Path) -> None:
    class Broken(Shelf):
        async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
            raise OSError("disk gone")

    async with world_of(tmp_path) as world:
        with pytest.raises(ExceptionGroup) as group:
            await asyncio.wait_for(
                Station(
                    [DeviceEntry(**entry) for entry in world.entries() if "port" in entry],
                    central=None,
                    open_port=open_line,
                    sink=Broken(),
                    clock=ManualClock(),
                    report=lambda _: None,
                    jitter=random.Random(1),
                ).run(),
                10,
            )
        assert group.group_contains(OSError, match="disk gone")

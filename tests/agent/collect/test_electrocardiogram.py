"""A strap's electrocardiogram, over the virtual radio into the buffer: every sample, and only where it is wanted."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.clock import ManualClock
from tests.support.collecting_hub import collecting_hub
from tests.support.virtual_radio import CUFF as STRAP
from tests.support.virtual_radio import until

from bedside_agent.buffer.store import Store
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.bluetooth import polar_h10
from bedside_profiles.readings import Metric
from bedside_profiles.waveforms import Signal
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform
from bedside_sim.devices.device import Moment
from bedside_sim.devices.heart_rate_strap import HeartRateStrap
from bedside_sim.devices.polar_h10 import FRAME_SAMPLES, PolarH10
from bedside_sim.journal import Journal
from bedside_sim.patients import Scenario, vitals
from bedside_sim.radio import Air
from bedside_sim.world import World, WorldSettings


def entry(waveform: str | None) -> DeviceEntry:
    return DeviceEntry("strap", polar_h10.NAME, address=STRAP, waveform=waveform)


TICK_SECONDS = 0.1


async def _ticks(strap: PolarH10) -> None:
    for second in itertools.count():
        async with strap.busy:
            await strap.second(vitals(1, Scenario.STABLE, second), Moment(second, TICK_SECONDS))
        await asyncio.sleep(0.2 * TICK_SECONDS)


@asynccontextmanager
async def strap_in(air: Air, tmp_path: Path) -> AsyncIterator[PolarH10]:
    journal = Journal(tmp_path / "journal")
    strap = PolarH10(air, journal, device_id="strap", address=STRAP)
    await strap.start()
    ticking = asyncio.create_task(_ticks(strap))
    try:
        yield strap
    finally:
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
        await strap.stop()
        journal.close()


async def kept_waveforms(path: Path) -> list[Waveform]:
    store = await Store.open(path, ManualClock(), commit_window_ms=1)
    try:
        found: list[Waveform] = []
        for shelf in store.shelves():
            if shelf.lane is UpLane.WAVEFORMS and shelf.last:
                items = await store.fetch(shelf, (1, shelf.last), 10_000)
                found += [one for one in items if isinstance(one, Waveform)]
        return found
    finally:
        await store.close()


async def test_every_sample_is_kept_over_a_lost_link_too(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with strap_in(air, tmp_path) as strap:
        async with collecting_hub(store, air, entry("on")):
            await until(lambda: len(strap.sampled) >= 200)
            await strap.drop()
            there = len(strap.sampled)
            await until(lambda: len(strap.sampled) >= there + 200)
            async with strap.busy:
                await strap.stop()
            await asyncio.sleep(0.3)
        said = list(strap.sampled)
    pieces = await kept_waveforms(store)
    assert [sample for one in pieces for sample in one.samples] == said
    assert {(one.device_id, one.signal, one.rate_hz) for one in pieces} == {("strap", Signal.ECG, 130.0)}
    assert max(said) > 800, "an R wave is about a millivolt"
    assert all(one.device_time is not None and one.device_time.startswith("2019-") for one in pieces)


async def test_a_paused_world_says_none_of_it_and_goes_on_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    world = await World.open(WorldSettings(1, tick_seconds=TICK_SECONDS), journal)
    strap = world.devices["sim-strap"]
    assert isinstance(strap, PolarH10)
    ticking = asyncio.create_task(world.run())
    device = DeviceEntry("strap", polar_h10.NAME, address=strap.address, waveform="on")
    async with collecting_hub(tmp_path / "buffer.db", world.air, device):
        await until(lambda: len(strap.sampled) >= 200)
        await world.pause()
        there = len(strap.sampled)
        await asyncio.sleep(4 * FRAME_SAMPLES / 130)
        assert len(strap.sampled) == there
        world.resume()
        await until(lambda: len(strap.sampled) >= there + 200)
    ticking.cancel()
    await world.close()
    journal.close()


async def test_it_is_left_alone_where_nobody_wants_it(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with strap_in(air, tmp_path) as strap, collecting_hub(store, air, entry(None)) as hub:
        async with asyncio.timeout(5):
            while await strap.emit({Metric.HEART_RATE: 60.0}, spot=False) is None:
                await asyncio.sleep(0.01)
        await until(lambda: hub.station.statuses()[0].last_reading_ms is not None)
        assert strap.sampled == []
    assert await kept_waveforms(store) == []


async def test_a_strap_that_has_none_is_named_and_read_all_the_same(tmp_path: Path) -> None:
    air, journal = Air(), Journal(tmp_path / "journal")
    strap = HeartRateStrap(air, journal, device_id="strap", address=STRAP)
    await strap.start()
    async with collecting_hub(tmp_path / "buffer.db", air, entry("on")) as hub:
        await until(lambda: bool(hub.told(NoticeKind.DEVICE_TROUBLE)))
        assert "H10" in hub.told(NoticeKind.DEVICE_TROUBLE)[0]["reason"]
        async with asyncio.timeout(5):
            while await strap.emit({Metric.HEART_RATE: 60.0}, spot=False) is None:
                await asyncio.sleep(0.01)
        await until(lambda: hub.station.statuses()[0].last_reading_ms is not None)
    await strap.stop()
    journal.close()

"""The collecting half of a hub: real radio code on a virtual link, the real intake, and a real store on the disk."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.support import certificates
from tests.support.clock import MachineClock
from tests.support.readings import HUB
from tests.support.virtual_radio import in_process_central

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind
from bedside_agent.collect.station import Station
from bedside_agent.intake import Intake
from bedside_agent.serial.lines import open_line
from bedside_profiles.readings import Reading
from bedside_profiles.wire.topics import UpLane
from bedside_sim.radio import Air

CA = certificates.Authority()


@dataclass
class CollectingHub:
    """One life of it."""

    store: Store
    station: Station
    intake: Intake
    keeper: AlarmKeeper
    notices: list[Notice] = field(default_factory=list)

    def told(self, kind: NoticeKind) -> list[dict[str, str]]:
        """The fields of what was reported of that kind."""
        return [notice.fields for notice in self.notices if notice.kind is kind]


@asynccontextmanager
async def collecting_hub(
    path: Path,
    air: Air,
    *entries: DeviceEntry,
    local_time: Callable[[], datetime | None] = datetime.now,
    root: bytes = CA.root.der,
    clock: MachineClock | None = None,
) -> AsyncIterator[CollectingHub]:
    """A hub that reads these devices into the store at `path`, until it is stopped in good order.

    It follows plans that stand on the certificate `root` (DER).
    """
    clock = clock or MachineClock()
    store = await Store.open(path, clock, commit_window_ms=20)
    notices: list[Notice] = []
    keeper = AlarmKeeper(store, clock, Authority(HUB, root), silence_ms=600_000)
    intake = Intake(store, keeper)
    async with in_process_central(air) as central:
        station = Station(
            entries,
            central=central,
            open_port=open_line,
            sink=intake,
            clock=clock,
            report=notices.append,
            jitter=random.Random(1),
            local_time=local_time,
        )
        running = asyncio.create_task(station.run())
        try:
            yield CollectingHub(store, station, intake, keeper, notices)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await store.close()


async def kept(path: Path) -> list[Reading]:
    """Every reading that stands in a store whose hub is gone, in order."""
    store = await Store.open(path, MachineClock())
    try:
        found: list[Reading] = []
        for shelf in store.shelves():
            if shelf.lane is UpLane.READINGS and shelf.last >= shelf.first:
                items = await store.fetch(shelf, (shelf.first, shelf.last), 1_000_000)
                found += [item for item in items if isinstance(item, Reading)]
        return found
    finally:
        await store.close()


def values(readings: Sequence[Reading]) -> list[float | None]:
    """What was measured, in the order of the store."""
    return [one.value for one in readings]

"""A simulated serial device, the hub's whole collecting side, and a real store: what went out and what was kept."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tests.support import certificates
from tests.support.clock import MachineClock
from tests.support.readings import HUB
from tests.support.virtual_radio import until

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Instant
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind
from bedside_agent.collect.station import Station
from bedside_agent.intake import Intake
from bedside_agent.serial.lines import open_line
from bedside_agent.serial.port import PortOpener
from bedside_profiles.readings import ClockQuality, Reading
from bedside_profiles.wire.topics import UpLane
from bedside_sim.devices.serial_device import SerialDevice
from bedside_sim.devices.serial_sets import KINDS
from bedside_sim.faults import LineFaults
from bedside_sim.journal import Journal, read_journal
from bedside_sim.patients import Scenario, vitals

CA = certificates.Authority()
DEVICE = "serial-1"
Row = tuple[str, float | None]
"""Metric and value."""


class _Clock(MachineClock):
    """This machine's clock, which knows the time or does not."""

    def __init__(self, quality: ClockQuality) -> None:
        super().__init__()
        self._quality = quality

    def now(self) -> Instant:
        return replace(super().now(), quality=self._quality)


@dataclass
class SerialRoom:
    """`device` is measured with `measure`; `told` is its journal and `kept` what lies on the hub's disk."""

    folder: Path
    profile_name: str
    device: SerialDevice
    faults: LineFaults
    store: Store
    notices: list[Notice] = field(default_factory=list)
    measured: int = 0
    measured_rows: list[Row] = field(default_factory=list)

    async def measure(self) -> None:
        """The patient's next measurement set."""
        values = KINDS[self.profile_name].values(vitals(7, Scenario.STABLE, self.measured), self.measured)
        async with self.device.busy:
            await self.device.emit(values, spot=False)
        self.measured += 1
        self.measured_rows += [(metric.value, value) for metric, value in values.items()]

    async def measure_until_told(self, rows: int) -> None:
        """Measure until so many measurements went out."""
        async with asyncio.timeout(20):
            while len(self.told()) < rows:
                await self.measure()
                await asyncio.sleep(0.02)

    def told(self) -> list[Row]:
        """What went out to somebody who listened, in order."""
        return [(entry.metric, entry.value) for entry in read_journal(self.folder / "journal")]

    async def kept(self) -> list[Row]:
        """What lies on the disk, in order."""
        return [(one.metric.value, one.value) for one in await self.readings()]

    async def readings(self) -> list[Reading]:
        """The same, whole."""
        shelf = next(one for one in self.store.shelves() if one.lane is UpLane.READINGS)
        items = await self.store.fetch(shelf, (1, max(shelf.last, 1)), 10_000) if shelf.last else ()
        return [one for one in items if isinstance(one, Reading)]

    async def all_kept(self) -> None:
        """Wait until all that was told lies on the disk, and nothing else."""
        async with asyncio.timeout(20):
            while await self.kept() != self.told():
                await asyncio.sleep(0.02)

    def said(self, kind: NoticeKind) -> list[str]:
        """The reasons of all notices of that kind."""
        return [one.fields.get("reason", "") for one in self.notices if one.kind is kind]


@asynccontextmanager
async def serial_room(
    folder: Path,
    profile_name: str,
    *,
    taken_for: str | None = None,
    memory: int = 0,
    knows_time: bool = False,
    open_port: PortOpener = open_line,
) -> AsyncIterator[SerialRoom]:
    """The device, with `memory` results in it if it keeps any, and then a hub that reads it."""
    journal = Journal(folder / "journal")
    faults = LineFaults(random.Random(3))
    device = SerialDevice(profile_name, folder / "line", journal, device_id=DEVICE, faults=faults, taken_for=taken_for)
    clock = _Clock(ClockQuality.SYNCED if knows_time else ClockQuality.UNSYNCED)
    store = await Store.open(folder / "buffer.db", clock, commit_window_ms=1)
    room = SerialRoom(folder, profile_name, device, faults, store)
    keeper = AlarmKeeper(store, clock, Authority(HUB, CA.root.der), silence_ms=600_000)
    await device.start()
    for _ in range(memory):
        await room.measure()
    station = Station(
        [DeviceEntry(DEVICE, device.profile_name, port=str(folder / "line"))],
        central=None,
        open_port=open_port,
        sink=Intake(store, keeper),
        clock=clock,
        report=room.notices.append,
        jitter=random.Random(1),
        local_time=(lambda: datetime.now()) if knows_time else lambda: None,  # noqa: DTZ005 - where the patient lives
    )
    running = asyncio.create_task(station.run())
    try:
        yield room
    finally:
        running.cancel()
        await asyncio.wait({running})
        await device.stop()
        await store.close()
        journal.close()


async def heard_from(room: SerialRoom, reason: str) -> None:
    """Wait for a trouble that names `reason`."""
    await until(lambda: any(reason in one for one in room.said(NoticeKind.DEVICE_TROUBLE)), 20)

"""Every device of the catalogue that a hub finds in the air, from the simulator's bytes to the hub's disk.

One link is lost in the middle of each.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.collecting_hub import CollectingHub, collecting_hub
from tests.support.virtual_radio import until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.bluetooth import lepu_bp2w, memory_reading
from bedside_profiles.catalogue import ADVERTS, CATALOGUE
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric, Modality, Reading
from bedside_profiles.wire.topics import UpLane
from bedside_sim.devices.advertiser import Advertiser
from bedside_sim.devices.glucose_meter import GlucoseMeter
from bedside_sim.devices.glucose_sensor import GlucoseSensor
from bedside_sim.devices.radio_device import RadioDevice
from bedside_sim.devices.radio_sets import KINDS, NOT_PLAYED
from bedside_sim.devices.vendor_device import VendorDevice
from bedside_sim.journal import Entry, Journal, read_journal
from bedside_sim.patients import Scenario, vitals
from bedside_sim.radio import Air

FOUND_IN_THE_AIR = tuple(one.name for one in (*CATALOGUE, *ADVERTS) if not hasattr(one, "framer"))
ADDRESS = "F0:BE:D5:1D:00:21"
SETS = 3
"""Before the link is lost, and as many after it."""

Values = Mapping[Metric, float]
Row = tuple[str, float | None, str, str | None]
"""Metric, value, modality, the device's own time."""


@dataclass
class Room:
    """`measured` is what the patient's device measured and had the occasion to tell, set by set.

    `times` are those that it gave them, unless it has a clock of its own that only it knows.
    """

    device: RadioDevice
    hub: CollectingHub
    journal: Path
    measured: list[Values] = field(default_factory=list)
    times: list[str | None] = field(default_factory=list)
    attempts: int = 0
    number: int = 0

    def next(self) -> Values:
        """What the device measures next: no two sets in a row are the same."""
        while True:
            patient = vitals(7, Scenario.DESATURATION, 2 * self.number)
            values = KINDS[self.device.profile_name].kind.values(patient, self.number)
            self.number += 1
            if not self.measured or values != self.measured[-1]:
                return values

    async def measure(self) -> None:
        """One more set, until it has gone out or is in its memory."""
        values = self.next()
        async with asyncio.timeout(20):
            while True:
                before = len(self.told())
                async with self.device.busy:
                    stamp = await self.device.measure(values)
                if KINDS[self.device.profile_name].keeps or stamp is not None or await self.is_asked(before):
                    self.measured.append(values)
                    if isinstance(self.device.player, VendorDevice | Advertiser):
                        kind = KINDS[self.device.profile_name].kind
                        self.times.append(kind.of(values, self.attempts)[0].device_time)
                    self.attempts += 1
                    return
                self.attempts += 1
                await asyncio.sleep(0.02)

    async def is_asked(self, before: int) -> bool:
        """Whether a device that waits for a question has told its values."""
        try:
            await until(lambda: len(self.told()) > before, 1.2)
        except TimeoutError:
            return False
        return True

    def told(self) -> list[Row]:
        """What went out to somebody who listened, in order."""
        return [row_of(entry) for entry in read_journal(self.journal)]

    async def kept(self) -> list[Row]:
        """What lies on the disk, in order."""
        store = self.hub.store
        shelf = next(one for one in store.shelves() if one.lane is UpLane.READINGS)
        items = await store.fetch(shelf, (1, shelf.last), 10_000) if shelf.last else ()
        return [row_of(one) for one in items if isinstance(one, Reading)]

    async def kept_sets(self) -> list[Values]:
        """The same set by set, one that is repeated at once only the first time."""
        rows, size = await self.kept(), len(self.measured[0])
        sets = [{Metric(row[0]): row[1] or 0.0 for row in rows[at : at + size]} for at in range(0, len(rows), size)]
        return [one for place, one in enumerate(sets) if place == 0 or one != sets[place - 1]]

    async def all_kept(self) -> None:
        """Wait until all that was measured lies on the disk, and nothing else."""
        async with asyncio.timeout(20):
            while await self.kept_sets() != self.measured:
                await asyncio.sleep(0.02)


def row_of(one: Entry | Reading) -> Row:
    return (str(one.metric), one.value, str(one.modality), one.device_time)


@asynccontextmanager
async def room(folder: Path, name: str, *, memory: int) -> AsyncIterator[Room]:
    """The device, with `memory` sets in it if it keeps any, and then a hub that reads it."""
    air, journal = Air(), Journal(folder / "journal")
    device = RadioDevice(name, air, journal, device_id="device", address=ADDRESS)
    await device.start()
    entry = DeviceEntry("device", name, **device.whereabouts)
    hub = collecting_hub(folder / "buffer.db", air, entry)
    made = Room(device, None, folder / "journal")  # type: ignore[arg-type] # it comes once the memory is full
    for _ in range(memory):
        await made.measure()
    if isinstance(device.player, GlucoseMeter | GlucoseSensor):
        device.player.keeper.faults.cut_after = memory - 1
    try:
        async with hub as made.hub:
            yield made
    finally:
        await device.stop()
        journal.close()


async def lose_the_link(there: Room) -> None:
    """In the middle of what a device that keeps its results is being asked, or between two sets."""
    player = there.device.player
    if isinstance(player, Advertiser):
        player.vanish()
        await there.measure()
        player.reappear()
        await there.all_kept()
        return
    if isinstance(player, VendorDevice) and KINDS[player.profile_name].keeps:
        async with asyncio.timeout(20):
            while not there.hub.told(NoticeKind.DEVICE_LOST):
                # Where that fell on the hub's last word, it had all it asked for and lost nothing.
                player.ends_the_link = True
                await until(lambda: not player.ends_the_link)
                await until(lambda: not player.connected)
        return
    if not isinstance(player, GlucoseMeter | GlucoseSensor):
        async with player.busy:
            await player.drop()
    await until(lambda: bool(there.hub.told(NoticeKind.DEVICE_LOST)))


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_what_was_measured_lies_on_the_disk_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_reading, "DONE_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(lepu_bp2w, "STATE_SECONDS", 0.1)
    keeps, kind = KINDS[name].keeps, KINDS[name].kind
    async with room(tmp_path, name, memory=SETS if keeps else 0) as there:
        if not keeps:
            for _ in range(SETS):
                await there.measure()
                await there.all_kept()
        await lose_the_link(there)
        for _ in range(SETS):
            await there.measure()
            await there.all_kept()
        assert there.hub.told(NoticeKind.DEVICE_TROUBLE) == []
        assert there.hub.told(NoticeKind.FRAMES_REFUSED) == []
        if not isinstance(there.device.player, Advertiser):
            assert len(there.hub.told(NoticeKind.DEVICE_CONNECTED)) >= 2
        kept = await there.kept()
        if not (name.startswith("advert.") and kind.modality is Modality.CONTINUOUS):
            # An advertised stream is taken again and again, as long as it is said.
            assert kept == there.told()
        assert {row[2] for row in kept} == {kind.modality}
        assert all((row[3] is not None) == kind.has_time for row in kept)
        if there.times and kind.has_time:
            assert list(dict.fromkeys(row[3] for row in kept)) == there.times


def test_every_profile_is_played_or_said_not_to_be() -> None:
    assert set(FOUND_IN_THE_AIR) == set(KINDS) | set(NOT_PLAYED)
    assert not set(KINDS) & set(NOT_PLAYED)
    assert set(NOT_PLAYED) == {"bluetooth.omron_hem"}


@pytest.mark.parametrize("name", sorted(NOT_PLAYED))
def test_what_is_not_played_measures_nothing(name: str) -> None:
    profile = next(one for one in CATALOGUE if one.name == name)
    assert isinstance(profile, BleProfile)
    with pytest.raises(Exception, match="not known"):
        profile.encode(profile.characteristics[0].uuid, ())

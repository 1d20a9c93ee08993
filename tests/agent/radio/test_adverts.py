"""Devices that only advertise: simulated on the virtual link, heard over both backends, taken once."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.shelf import Shelf
from tests.support.virtual_radio import until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind
from bedside_agent.collect.station import Station
from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.serial.lines import open_line
from bedside_profiles.advert import mi_scale, mibeacon_scale
from bedside_profiles.catalogue import ADVERTS
from bedside_profiles.profile import AdvertProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.advertiser import Advertiser
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

OURS, STRANGER = "F0:BE:D5:1D:00:11", "F0:BE:D5:1D:00:99"
SCALE_V1 = next(profile for profile in ADVERTS if profile.name == mi_scale.V1_NAME)


def weighing(kilograms: float, at: str | None = "2026-03-01T07:00:00") -> Measurement:
    return Measurement(Metric.BODY_WEIGHT, kilograms, Modality.SPOT, device_time=at)


def measured_by(profile: AdvertProfile) -> list[Measurement]:
    if profile.name == "advert.polar_heart_rate":
        return [Measurement(Metric.HEART_RATE, 71.0, Modality.CONTINUOUS)]
    return [weighing(81.5, None if profile.name == mibeacon_scale.NAME else "2026-03-01T07:00:00")]


@asynccontextmanager
async def device(
    air: Air, tmp_path: Path, profile: AdvertProfile = SCALE_V1, address: str = STRANGER
) -> AsyncIterator[Advertiser]:
    key = mibeacon_scale.SIMULATED_KEY if profile.needs_bind_key else None
    at = mibeacon_scale.SIMULATED_ADDRESS if profile.needs_bind_key else address
    with closing(Journal(tmp_path / at)) as journal:
        advertiser = Advertiser(air, profile, journal, device_id="scale", address=at, bind_key=key)
        await advertiser.start()
        yield advertiser
        await advertiser.stop()


@asynccontextmanager
async def station_of(
    central: BleakCentral, entries: Sequence[DeviceEntry], notices: list[Notice]
) -> AsyncIterator[tuple[Station, Shelf]]:
    shelf = Shelf()
    station = Station(
        entries,
        central=central,
        open_port=open_line,
        sink=shelf,
        clock=ManualClock(),
        report=notices.append,
        jitter=random.Random(1),
    )
    running = asyncio.create_task(station.run())
    try:
        yield station, shelf
    finally:
        running.cancel()
        await asyncio.wait({running})


@pytest.mark.parametrize("profile", ADVERTS, ids=lambda profile: profile.name)
async def test_what_it_says_is_taken_once(
    central: BleakCentral, air: Air, tmp_path: Path, profile: AdvertProfile
) -> None:
    notices: list[Notice] = []
    async with (
        device(air, tmp_path, profile) as scale,
        station_of(central, [DeviceEntry("scale", profile.name, **scale.whereabouts)], notices) as (station, shelf),
    ):
        said = measured_by(profile)
        await scale.say(said)
        await until(lambda: bool(shelf.rows))
        assert [(one.metric, one.value, one.modality) for one in shelf.measurements[: len(said)]] == [
            (one.metric, one.value, one.modality) for one in said
        ]
        await until(lambda: station.statuses()[0].link is LinkState.CONNECTED)
        await asyncio.sleep(1.5)  # it repeats itself all the while
        if said[0].modality is Modality.SPOT:
            assert len(shelf.measurements) == len(said)
    assert [notice.kind for notice in notices] == [NoticeKind.DEVICE_CONNECTED]


@pytest.mark.parametrize("year", ["2026", "1970"], ids=["clock set", "clock never set"])
async def test_the_same_weighing_in_other_words_is_taken_once_and_the_next_one_too(
    central: BleakCentral, air: Air, tmp_path: Path, year: str
) -> None:
    async with (
        device(air, tmp_path) as scale,
        station_of(central, [DeviceEntry("scale", SCALE_V1.name, **scale.whereabouts)], []) as (_, shelf),
    ):
        first = mi_scale.ScaleRecord(16300, datetime.fromisoformat(f"{year}-03-01T07:00:00"), stable=True).v1_to_bytes()
        stepped_off = bytes((first[0] | 0x80,)) + first[1:]
        for payload in (first, stepped_off, first):
            await scale.repeat(payload)
            await asyncio.sleep(0.3)
        await until(lambda: bool(shelf.measurements))
        await scale.repeat(
            mi_scale.ScaleRecord(16300, datetime.fromisoformat(f"{year}-03-01T07:05:00"), stable=True).v1_to_bytes()
        )
        await until(lambda: len(shelf.measurements) == 2)
        assert [one.value for one in shelf.measurements] == [81.5, 81.5]
        times = [one.device_time for one in shelf.measurements]
        assert times == (["2026-03-01T07:00:00", "2026-03-01T07:05:00"] if year == "2026" else [None, None])
        await asyncio.sleep(0.3)
        assert len(shelf.measurements) == 2


async def test_a_scale_that_nobody_added_is_never_read(central: BleakCentral, air: Air, tmp_path: Path) -> None:
    async with (
        device(air, tmp_path) as stranger,
        device(air, tmp_path, address=OURS) as ours,
        station_of(central, [DeviceEntry("scale", SCALE_V1.name, **ours.whereabouts)], []) as (_, shelf),
    ):
        await stranger.say([weighing(120.0)])
        await ours.say([weighing(60.0)])
        await until(lambda: bool(shelf.measurements))
        assert [one.value for one in shelf.measurements] == [60.0]


async def test_devices_come_and_go_while_the_others_are_read(central: BleakCentral, air: Air, tmp_path: Path) -> None:
    entries = [DeviceEntry("first", SCALE_V1.name, OURS), DeviceEntry("second", SCALE_V1.name, STRANGER)]
    async with (
        device(air, tmp_path, address=OURS) as first,
        device(air, tmp_path, address=STRANGER) as second,
        station_of(central, entries[:1], []) as (station, shelf),
    ):
        await first.say([weighing(60.0)])
        await until(lambda: len(shelf.measurements) == 1)
        await second.say([weighing(90.0)])
        await station.change(entries)
        await until(lambda: [row[0] for row in shelf.rows] == ["first", "second"])
        await station.change(entries[1:])
        assert [status.device_id for status in station.statuses()] == ["second"]
        await first.say([weighing(61.0, "2026-03-01T08:00:00")])
        await second.say([weighing(91.0, "2026-03-01T08:00:00")])
        await until(lambda: len(shelf.rows) == 3)
        assert [row[0] for row in shelf.rows] == ["first", "second", "second"]

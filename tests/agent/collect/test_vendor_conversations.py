"""Makers' devices that speak only when they are spoken to, over a real link into a real store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from tests.support.collecting_hub import CollectingHub, collecting_hub, kept, values
from tests.support.virtual_radio import CUFF, until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.bluetooth import (
    contec_cms50d_bt,
    contec_sp10,
    ihealth_kn550,
    lepu_bp2w,
    memory_reading,
    microlife_bp3gy1,
    nonin_3230,
    o2ring,
    o2ring_s,
    pc60fw,
    sanitas_sbf70,
)
from bedside_profiles.bluetooth.contec_sp10 import SpirometryRecord
from bedside_profiles.bluetooth.ihealth_kn550 import KnRecord
from bedside_profiles.bluetooth.microlife_bp3gy1 import MicrolifeRecord
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric
from bedside_sim.devices.vendor_device import Script, VendorDevice
from bedside_sim.devices.vendor_scripts import (
    Bp2wMemory,
    KeptAlive,
    KnMemory,
    MicrolifeMemory,
    Polled,
    Sp10Memory,
    Speaks,
    bp2_record,
)
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

VALUES = {Metric.SPO2: 96.0, Metric.PULSE_RATE: 63.0}


def day(number: int) -> datetime:
    return datetime(2026, 3, number, 7, 30)  # noqa: DTZ001 - devices know no zone


@asynccontextmanager
async def device_in(
    air: Air, tmp_path: Path, profile: BleProfile, script: Script, silent_after: int | None = None
) -> AsyncIterator[VendorDevice]:
    journal = Journal(tmp_path / "journal")
    made = VendorDevice(
        air, journal, profile, script, device_id="device", name="Device", address=CUFF, silent_after=silent_after
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        journal.close()


def entry(profile: BleProfile) -> DeviceEntry:
    return DeviceEntry("device", profile.name, address=CUFF)


def done(hub: CollectingHub, times: int = 1) -> bool:
    return len(hub.told(NoticeKind.DEVICE_DONE)) >= times


@pytest.mark.parametrize("profile", [pc60fw.PROFILE, nonin_3230.PROFILE])
async def test_who_speaks_by_himself_is_heard(tmp_path: Path, profile: BleProfile) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with device_in(air, tmp_path, profile, Speaks(profile)) as made, collecting_hub(store, air, entry(profile)):
        async with asyncio.timeout(5):
            while await made.emit(VALUES, spot=False) is None:
                await asyncio.sleep(0.01)
    assert values(await kept(store)) == [96.0, 63.0]


async def test_a_contec_is_started_and_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, air, store = contec_cms50d_bt.PROFILE, Air(), tmp_path / "buffer.db"
    async with device_in(air, tmp_path, profile, KeptAlive()) as made, collecting_hub(store, air, entry(profile)):
        spoken = 0
        async with asyncio.timeout(20):
            while len(made.commands) < 3 or spoken < 7:
                spoken += await made.emit(VALUES, spot=False) is not None
                await asyncio.sleep(0.5)
        assert made.commands[:3] == [contec_cms50d_bt.START] + [contec_cms50d_bt.KEEP_ALIVE] * 2
    assert len(await kept(store)) == 2 * spoken


def _live(command: bytes) -> bool:
    return o2ring_s.decode_command(command).facts[0].value == o2ring_s.LIVE


@pytest.mark.parametrize(
    ("profile", "script"),
    [
        (
            o2ring.PROFILE,
            Polled(o2ring.PROFILE, lambda command: command == o2ring.encode_command(o2ring.READ_VALUES)[0]),
        ),
        (o2ring_s.PROFILE, Polled(o2ring_s.PROFILE, _live)),
    ],
)
async def test_a_ring_is_asked_every_second(tmp_path: Path, profile: BleProfile, script: Script) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with device_in(air, tmp_path, profile, script) as made:
        await made.emit(VALUES, spot=False)
        async with collecting_hub(store, air, entry(profile)) as hub:
            await until(lambda: len(made.commands) >= 4)
            await until(lambda: hub.station.statuses()[0].last_reading_ms is not None)
    readings = await kept(store)
    assert {(one.metric, one.value) for one in readings} >= set(VALUES.items())
    assert len([one for one in readings if one.metric is Metric.SPO2]) >= 2


def pressures(readings: Sequence[tuple[datetime, int, int]]) -> list[float | None]:
    return [float(number) for _, *both in readings for number in both]


MEMORY = [(day(1), 121, 79), (day(2), 133, 84), (day(3), 118, 77)]


async def test_a_microlife_is_given_the_time_and_asked_for_its_memory(tmp_path: Path) -> None:
    profile, air, store = microlife_bp3gy1.PROFILE, Air(), tmp_path / "buffer.db"
    script = MicrolifeMemory([MicrolifeRecord(high, low, 66, when) for when, high, low in MEMORY])
    async with device_in(air, tmp_path, profile, script) as made:
        for _ in range(2):
            async with collecting_hub(store, air, entry(profile)) as hub:
                await until(lambda hub=hub: done(hub))  # type: ignore[misc]
        assert made.commands[-1] == microlife_bp3gy1.disconnect()
    assert script.settings == 2
    assert [one.value for one in await kept(store) if one.metric is not Metric.PULSE_RATE] == pressures(MEMORY)


async def test_a_cuffs_file_is_read_in_pieces_and_again_after_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lepu_bp2w, "STATE_SECONDS", 0.1)
    profile, air, store = lepu_bp2w.PROFILE, Air(), tmp_path / "buffer.db"
    script = Bp2wMemory([bp2_record(*one) for one in MEMORY], ahead_seconds=-78)
    async with device_in(air, tmp_path, profile, script) as made, collecting_hub(store, air, entry(profile)) as hub:

        def files_read() -> int:
            return made.commands.count(lepu_bp2w.encode_command(lepu_bp2w.READ_END))

        await until(lambda: files_read() == 1)
        script.is_measuring = True
        await until(lambda: made.commands[-2:] == [lepu_bp2w.encode_command(lepu_bp2w.STATE)] * 2)
        script.records.append(bp2_record(day(4), 140, 88))
        script.is_measuring = False
        await until(lambda: files_read() == 2)
        (clock,) = hub.told(NoticeKind.DEVICE_CLOCK)
        assert clock["set"] == "yes"
        assert abs(script.ahead_seconds) < 2
        assert hub.told(NoticeKind.DEVICE_TROUBLE) == []
    wanted = {Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE}
    assert [one.value for one in await kept(store) if one.metric in wanted] == pressures([*MEMORY, (day(4), 140, 88)])


async def test_an_ihealth_cuff_lets_the_hub_in_and_every_frame_is_acknowledged(tmp_path: Path) -> None:
    profile, air, store = ihealth_kn550.PROFILE, Air(), tmp_path / "buffer.db"
    script = KnMemory([KnRecord(when, high, low, 66) for when, high, low in MEMORY])
    async with device_in(air, tmp_path, profile, script), collecting_hub(store, air, entry(profile)) as hub:
        await until(lambda: done(hub))
        assert script.is_let_in
        # Challenge, admission, the count, and two frames of records.
        assert script.acknowledged == 5
    assert [one.value for one in await kept(store) if one.metric is not Metric.PULSE_RATE] == pressures(MEMORY)


async def test_an_ihealth_cuff_that_refuses_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, air = ihealth_kn550.PROFILE, Air()
    script = KnMemory([])
    monkeypatch.setattr(script, "_answer", lambda command, rest: bytes((ihealth_kn550.REFUSED,)))
    async with (
        device_in(air, tmp_path, profile, script),
        collecting_hub(tmp_path / "buffer.db", air, entry(profile)) as hub,
    ):
        await until(lambda: bool(hub.told(NoticeKind.DEVICE_TROUBLE)))
        assert hub.told(NoticeKind.DEVICE_TROUBLE) == [{"reason": "the cuff does not let the hub in"}]


async def test_a_spirometers_records_are_told_one_by_one_and_stay_where_they_are(tmp_path: Path) -> None:
    profile, air, store = contec_sp10.PROFILE, Air(), tmp_path / "buffer.db"
    script = Sp10Memory([SpirometryRecord(place, day(place), 400 + place, 300, 700) for place in (1, 2, 3)])
    async with device_in(air, tmp_path, profile, script), collecting_hub(store, air, entry(profile)) as hub:
        await until(lambda: done(hub))
    assert script.ended is not None
    assert script.ended[1] == 0x7E
    assert [one.value for one in await kept(store) if one.metric is Metric.FVC] == [4.01, 4.02, 4.03]


async def test_a_spirometer_is_not_asked_by_a_hub_that_does_not_know_the_time(tmp_path: Path) -> None:
    profile, air = contec_sp10.PROFILE, Air()
    script = Sp10Memory([])
    async with (
        device_in(air, tmp_path, profile, script) as made,
        collecting_hub(tmp_path / "buffer.db", air, entry(profile), local_time=lambda: None) as hub,
    ):
        await until(lambda: hub.station.statuses()[0].battery_percent == 80)
        assert made.commands == []


async def test_a_device_that_falls_asleep_in_the_middle_is_asked_again_and_nothing_is_kept_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_reading, "TROUBLED_PAUSE_SECONDS", 0.1)
    profile, air, store = contec_sp10.PROFILE, Air(), tmp_path / "buffer.db"
    script = Sp10Memory([SpirometryRecord(place, day(place), 400 + place, 300, 700) for place in (1, 2, 3)])
    async with device_in(air, tmp_path, profile, script, silent_after=8) as made:
        async with collecting_hub(store, air, entry(profile)) as hub:
            await until(lambda: len(made.commands) == 8)
            await until(lambda: bool(hub.told(NoticeKind.DEVICE_LOST) or hub.told(NoticeKind.DEVICE_TROUBLE)))
        made.awake()
        async with collecting_hub(store, air, entry(profile)) as hub:
            await until(lambda: script.ended is not None)
            await until(lambda: done(hub))
    assert [one.value for one in await kept(store) if one.metric is Metric.FVC] == [4.01, 4.02, 4.03]


async def test_a_scale_that_waits_for_an_answer_to_each_frame_gets_it(tmp_path: Path) -> None:
    profile, air, store = sanitas_sbf70.PROFILE, Air(), tmp_path / "buffer.db"
    async with (
        device_in(air, tmp_path, profile, Speaks(profile)) as made,
        collecting_hub(store, air, entry(profile)),
    ):
        async with asyncio.timeout(5):
            while await made.emit({Metric.BODY_WEIGHT: 71.5}, spot=True) is None:
                await asyncio.sleep(0.01)
        await until(lambda: len(made.commands) == 3)
        assert {command[:3] for command in made.commands} == {bytes.fromhex("e7f158")}
    assert values(await kept(store)) == [71.5]

"""What only BlueZ does: it dies, hangs, switches its adapter off, forgets devices and keeps links of the dead.

bleak and its BlueZ backend are the real ones, unchanged; org.bluez is simulated, on a bus of each test's own.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bleak import BleakScanner
from tests.support.bluez.adapter import SCAN_PERIOD_SECONDS
from tests.support.bluez.bus import ask_bluez, private_bus, require_dbus, set_powered
from tests.support.bluez.daemon import Daemon
from tests.support.bluez.radio import bluez_central, killable_bluez
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import CUFF, OXIMETER, until

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.central import (
    CallTimedOutError,
    Central,
    ConnectFailedError,
    DeviceNotFoundError,
    Link,
    LinkLostError,
    RadioUnavailableError,
    Target,
)
from bedside_agent.radio.session import RadioSession, Timing
from bedside_profiles.bluetooth import blood_pressure, heart_rate, pulse_oximeter
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.radio import AdapterServer, Air

DEVICE_PATH = "/org/bluez/hci0/dev_F0_BE_D5_1D_00_01"
MODEL_NUMBER = "00002a24-0000-1000-8000-00805f9b34fb"
VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
PRESSURE = {Metric.SYSTOLIC_PRESSURE: 120.0, Metric.DIASTOLIC_PRESSURE: 80.0}
ADDRESSED = Target(pulse_oximeter.SERVICE, address=OXIMETER)
RECONNECT_SECONDS = 30.0
"""A process starts meanwhile, and the session's pauses grow while it does."""

TIMING = Timing(find_seconds=60, connect_seconds=5, call_seconds=5, disconnect_seconds=2)


async def connected(central: Central, lost: list[str] | None = None) -> Link:
    found = await central.find(ADDRESSED, timeout_seconds=5)
    return await central.connect(found, lambda: (lost if lost is not None else []).append("lost"), timeout_seconds=5)


@asynccontextmanager
async def running(
    central: Central, profile: BleProfile, address: str
) -> AsyncIterator[tuple[RadioSession, Recorder, Told]]:
    ear, told = Recorder(), Told()
    target = Target(profile.service_uuid, address=address)
    session = RadioSession(target, profile, central, ear, told, jitter=random.Random(1), timing=TIMING)
    task = asyncio.create_task(session.run())
    try:
        yield session, ear, told
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_two_reads_at_once_are_both_answered(air: Air, oximeter: PulseOximeter) -> None:
    """BlueZ refuses the second with InProgress, and bleak asks again."""
    async with bluez_central(air) as (central, _):
        link = await connected(central)
        reads = [link.read(MODEL_NUMBER, timeout_seconds=5) for _ in range(2)]
        assert await asyncio.gather(*reads) == [b"bluetooth.pulse_oximeter"] * 2


async def test_the_adapter_is_switched_off_and_on(air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff) -> None:
    async with bluez_central(air) as (central, _):
        lost: list[str] = []
        cuff.vanish()
        link = await connected(central, lost)
        search = asyncio.create_task(
            central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=60),
        )
        await until(lambda: central._scanner is not None)
        await set_powered(False)
        with pytest.raises(RadioUnavailableError, match="switched off"):
            await search
        await until(lambda: bool(lost))
        with pytest.raises(LinkLostError):
            await link.read(MODEL_NUMBER, timeout_seconds=5)
        for _ in range(2):
            with pytest.raises(RadioUnavailableError, match="No powered"):
                await central.find(ADDRESSED, timeout_seconds=5)
        with pytest.raises(RadioUnavailableError):
            await central.scan(seconds=0.1)
        await set_powered(True)
        again = await connected(central)
        assert await again.read(MODEL_NUMBER, timeout_seconds=5) == b"bluetooth.pulse_oximeter"
        assert lost == ["lost"]


async def test_searches_that_begin_again_at_once_do_not_keep_a_dead_scan(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    """BlueZ ends all scans with the adapter, and bleak's goes on without hearing anybody."""
    oximeter.vanish()
    cuff.vanish()
    async with bluez_central(air) as (central, _):

        async def persistently(target: Target) -> str:
            with contextlib.suppress(RadioUnavailableError):
                return (await central.find(target, timeout_seconds=60)).address
            while True:  # at once: the other one has not even heard of it yet
                try:
                    return (await central.find(target, timeout_seconds=60)).address
                except RadioUnavailableError:
                    await asyncio.sleep(0.01)

        targets = (ADDRESSED, Target(blood_pressure.SERVICE, address=CUFF))
        searches = [asyncio.create_task(persistently(target)) for target in targets]
        await until(lambda: central._scanner is not None)
        await set_powered(False)
        await set_powered(True)
        oximeter.reappear()
        cuff.reappear()
        async with asyncio.timeout(10):
            assert await asyncio.gather(*searches) == [OXIMETER, CUFF]


async def test_a_device_comes_back_at_once_while_another_is_searched_for(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    """BlueZ tells of an advertiser once in ten seconds, and the first time may fall into the session's pause."""
    cuff.vanish()
    async with (
        bluez_central(air) as (central, _),
        running(central, blood_pressure.PROFILE, CUFF),
        running(central, pulse_oximeter.PROFILE, OXIMETER) as (session, ear, _),
    ):
        for loss in range(3):
            await until(lambda: session.link is LinkState.CONNECTED, SCAN_PERIOD_SECONDS / 2)
            await oximeter.emit(VALUES, spot=False)
            await until(lambda loss=loss: len(ear.heard) == loss + 1)  # type: ignore[misc]
            await oximeter.drop()
            await until(lambda: session.link is LinkState.LOST)
        await until(lambda: session.link is LinkState.CONNECTED, SCAN_PERIOD_SECONDS / 2)


async def test_the_adapter_is_pulled_out_and_plugged_in(air: Air, oximeter: PulseOximeter) -> None:
    async with bluez_central(air) as (central, server):
        lost: list[str] = []
        await connected(central, lost)
        server.pull()
        await until(lambda: bool(lost))

        async def found() -> bool:
            try:
                return (await central.find(ADDRESSED, timeout_seconds=5)).address == OXIMETER
            except RadioUnavailableError:
                await asyncio.sleep(0.05)
                return False

        async with asyncio.timeout(10):
            while not await found():
                pass
        await connected(central)
        assert lost == ["lost"]


async def test_a_device_that_bluez_was_told_to_forget_is_lost(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    async with bluez_central(air) as (central, _):
        lost: list[str] = []
        link = await connected(central, lost)
        others: list[str] = []
        found = await central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=5)
        await central.connect(found, lambda: others.append("lost"), timeout_seconds=5)
        await ask_bluez("/org/bluez/hci0", "org.bluez.Adapter1", "RemoveDevice", "o", [DEVICE_PATH])
        with pytest.raises(LinkLostError):
            await link.read(MODEL_NUMBER, timeout_seconds=5)
        await until(lambda: bool(lost))
        await connected(central)
        assert others == []


async def test_a_device_that_bluez_forgot_meanwhile_does_not_connect(air: Air, oximeter: PulseOximeter) -> None:
    async with bluez_central(air, temporary_seconds=0.1) as (central, _):
        found = await central.find(ADDRESSED, timeout_seconds=5)
        oximeter.vanish()
        await asyncio.sleep(0.3)
        with pytest.raises(ConnectFailedError):
            await central.connect(found, lambda: None, timeout_seconds=5)
        oximeter.reappear()
        await connected(central)


async def test_a_link_that_a_dead_program_left_behind_is_taken_over(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    """BlueZ keeps it, so the device does not advertise: who only listened would never find it again."""
    async with bluez_central(air) as (central, _):
        await central.scan(seconds=0.3)
        await ask_bluez(DEVICE_PATH, "org.bluez.Device1", "Connect")
        assert oximeter.connected
        await until_resolved()
        lost: list[str] = []
        link = await connected(central, lost)
        heard: list[bytes] = []
        await link.subscribe(pulse_oximeter.CONTINUOUS, heard.append, timeout_seconds=5)
        await oximeter.emit(VALUES, spot=False)
        await until(lambda: len(heard) == 1)
        oximeter.vanish()
        await until(lambda: bool(lost))
        with pytest.raises(DeviceNotFoundError):
            await central.find(ADDRESSED, timeout_seconds=0.2)


async def test_links_that_end_leave_no_connection_to_the_bus_behind(air: Air, oximeter: PulseOximeter) -> None:
    """bleak opens one a link; the system bus refuses a user the 257th."""

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with bluez_central(air) as (central, _):
        counted = []
        for _ in range(4):
            lost: list[str] = []
            link = await connected(central, lost)
            await oximeter.drop()
            await until(lambda lost=lost: bool(lost))  # type: ignore[misc]
            await link.disconnect(timeout_seconds=5)
            counted.append(open_files())
        assert len(set(counted)) == 1


async def until_resolved() -> None:
    """The services of the device that somebody else connected are on the bus."""
    asked = (DEVICE_PATH, "org.freedesktop.DBus.Properties", "Get", "ss", ["org.bluez.Device1", "ServicesResolved"])
    async with asyncio.timeout(5):
        while not (await ask_bluez(*asked)).value:
            pass


async def test_a_bus_that_ends_is_told_to_every_link(air: Air, oximeter: PulseOximeter) -> None:
    require_dbus()
    server = await AdapterServer.start(air, 0)
    lost: list[str] = []
    with private_bus():
        daemon = await Daemon.start(server.port)
        central = BleakCentral()
        await connected(central, lost)
    await until(lambda: bool(lost))
    with pytest.raises(RadioUnavailableError):
        await central.find(ADDRESSED, timeout_seconds=5)
    await central.close()
    await daemon.stop()
    await server.stop()
    assert lost == ["lost"]


@pytest.mark.parametrize("speaks", ["all the time", "now and then"])
async def test_a_session_outlives_bluetoothd(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff, speaks: str
) -> None:
    """bleak goes on saying "connected". One of the devices would be noticed by its silence, the other never."""
    streams = speaks == "all the time"
    profile, address = (pulse_oximeter.PROFILE, OXIMETER) if streams else (blood_pressure.PROFILE, CUFF)

    async def say() -> None:
        said = await (oximeter.emit(VALUES, spot=False) if streams else cuff.emit(PRESSURE, spot=True))
        assert said is not None

    central = BleakCentral()
    async with killable_bluez(air) as bluez, running(central, profile, address) as (session, ear, told):
        for killed in range(2):
            await until(lambda: session.link is LinkState.CONNECTED, RECONNECT_SECONDS)
            await say()
            await until(lambda killed=killed: len(ear.heard) == killed + 1)  # type: ignore[misc]
            await bluez.kill()
            await until(lambda: session.link is LinkState.LOST)
            await bluez.start()
        await until(lambda: session.link is LinkState.CONNECTED, RECONNECT_SECONDS)
        await say()
        await until(lambda: len(ear.heard) == 3)
        assert told.said == ["connected", "lost: the connection ended"] * 2 + ["connected"]
    await central.close()


async def test_a_search_under_way_outlives_bluetoothd(air: Air, oximeter: PulseOximeter) -> None:
    oximeter.vanish()
    central = BleakCentral()
    async with killable_bluez(air) as bluez:
        async with running(central, pulse_oximeter.PROFILE, OXIMETER) as (session, _, _):
            await until(lambda: central._scanner is not None)
            await bluez.kill()
            await bluez.start()
            oximeter.reappear()
            await until(lambda: session.link is LinkState.CONNECTED, RECONNECT_SECONDS)
        await central.close()


async def test_a_bluetoothd_that_hangs_holds_nobody_up(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.radio.bleak_central.SCAN_START_SECONDS", 0.3)
    central = BleakCentral()
    async with killable_bluez(air) as bluez:
        link = await connected(central)
        found = await central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=5)
        bluez.hang()
        with pytest.raises(CallTimedOutError):
            await link.read(MODEL_NUMBER, timeout_seconds=0.2)
        with pytest.raises(CallTimedOutError):
            await link.subscribe(pulse_oximeter.CONTINUOUS, lambda _: None, timeout_seconds=0.2)
        with pytest.raises(CallTimedOutError):
            await link.disconnect(timeout_seconds=0.2)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectFailedError):
                await central.connect(found, lambda: None, timeout_seconds=0.2)
        with pytest.raises(CallTimedOutError):
            await central.scan(seconds=0.1)
        with pytest.raises(CallTimedOutError):
            await central.find(ADDRESSED, timeout_seconds=0.2)
        bluez.go_on()
        monkeypatch.undo()
        again = await connected(central)
        assert await again.read(MODEL_NUMBER, timeout_seconds=5) == b"bluetooth.pulse_oximeter"
        await central.close()


async def test_the_discovery_filter_leaves_others_out(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    """Of the simulated BlueZ: bleak itself filters once more, so that it is asked what was on the bus."""
    async with bluez_central(air):
        seen: set[str] = set()
        async with BleakScanner(lambda device, _: seen.add(device.address), service_uuids=[heart_rate.SERVICE]):
            await asyncio.sleep(0.3)
        assert seen == set()
        async with BleakScanner(lambda device, _: seen.add(device.address), service_uuids=[blood_pressure.SERVICE]):
            await asyncio.sleep(0.3)
        assert seen == {CUFF}

"""Two adapters: a device goes to the one that hears it best, and to the other when that one dies."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from tests.support.bluez.daemon import Daemon
from tests.support.bluez.radio import system_bus
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import CUFF, OXIMETER, until

from bedside_agent.radio.central import ConnectFailedError, DeviceNotFoundError, Found, RadioUnavailableError, Target
from bedside_agent.radio.choice import open_central, radios_problem
from bedside_agent.radio.patience import Wait
from bedside_agent.radio.radios import Radios
from bedside_agent.radio.session import RadioSession, Timing
from bedside_agent.radio.slots import Slots
from bedside_profiles.bluetooth import blood_pressure, pulse_oximeter
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.radio import AdapterServer, Air

VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
ADDRESSED = Target(pulse_oximeter.SERVICE, address=OXIMETER)
TIMING = Timing(find_seconds=3, connect_seconds=5, call_seconds=5, disconnect_seconds=2)

Kill = Callable[[int], None]


@asynccontextmanager
async def two_bumble(air: Air, far: int) -> AsyncIterator[tuple[Radios, Kill]]:
    """As two USB dongles are, but over TCP. The adapter at the place `far` hears everybody weakly."""
    servers = [await AdapterServer.start(air, 0, hears_dbm=-80 if place == far else -50) for place in range(2)]
    settings = [f"bumble:tcp-client:127.0.0.1:{server.port}" for server in servers]
    central = await open_central(settings, jitter=random.Random(1))
    stopping: list[asyncio.Task[None]] = []
    try:
        yield central, lambda place: stopping.append(asyncio.create_task(servers[place].stop()))
    finally:
        await central.close()
        await asyncio.gather(*stopping, *(server.stop() for server in servers))


@asynccontextmanager
async def two_bluez(air: Air, far: int) -> AsyncIterator[tuple[Radios, Kill]]:
    """As a Pi with a dongle: hci0 and hci1 of one bluetoothd."""
    servers = [await AdapterServer.start(air, 0, hears_dbm=-80 if place == far else -50) for place in range(2)]
    stopping: list[asyncio.Task[None]] = []
    async with system_bus():
        daemon = await Daemon.start(*(server.port for server in servers))
        central = await open_central(["bluez:hci0", "bluez:hci1"], jitter=random.Random(1))
        try:
            yield central, lambda place: stopping.append(asyncio.create_task(servers[place].stop()))
        finally:
            await central.close()
            await daemon.stop()
    await asyncio.gather(*stopping, *(server.stop() for server in servers))


KINDS = pytest.mark.parametrize("two", [two_bumble, two_bluez])
Two = Callable[[Air, int], AbstractAsyncContextManager[tuple[Radios, Kill]]]


@KINDS
@pytest.mark.parametrize("far", [0, 1])
async def test_a_device_goes_to_the_adapter_that_hears_it_best(
    two: Two, air: Air, oximeter: PulseOximeter, far: int
) -> None:
    async with two(air, far) as (central, _):
        found = await central.find(ADDRESSED, timeout_seconds=5)
        assert found.adapter == central.adapters[1 - far].name
        assert [one.adapter for one in await central.scan(seconds=0.5)] == [central.adapters[1 - far].name]
        link = await central.connect(found, lambda: None, timeout_seconds=5)
        assert link.address == OXIMETER


@KINDS
async def test_the_devices_of_an_adapter_that_dies_move_to_the_other(
    two: Two, air: Air, oximeter: PulseOximeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.radio.session.decide", lambda *_: Wait(0.1))
    async with two(air, 1) as (central, kill):
        ear, told, slots = Recorder(), Told(), Slots(1)
        session = RadioSession(
            ADDRESSED,
            pulse_oximeter.PROFILE,
            central,
            ear,
            told,
            jitter=random.Random(1),
            timing=TIMING,
            slots=slots,
        )
        task = asyncio.create_task(session.run())
        await until(lambda: session.link is LinkState.CONNECTED)
        assert await oximeter.emit(VALUES, spot=False) is not None
        assert [slots.held(adapter.name) for adapter in central.adapters] == [1, 0]
        kill(0)
        await until(lambda: session.link is LinkState.LOST)
        await until(lambda: session.link is LinkState.CONNECTED, 20)
        assert await oximeter.emit(VALUES, spot=False) is not None
        await until(lambda: len(ear.heard) == 2)
        assert [slots.held(adapter.name) for adapter in central.adapters] == [0, 1]
        task.cancel()
        await asyncio.wait({task})


@KINDS
async def test_a_bond_counts_for_more_than_a_strong_signal(two: Two, air: Air, oximeter: PulseOximeter) -> None:
    async with two(air, 1) as (central, _):

        async def bonded(found: Found) -> bool:
            return True

        central.adapters[1].is_bonded = bonded  # type: ignore[method-assign]
        assert (await central.find(ADDRESSED, timeout_seconds=5)).adapter == central.adapters[1].name


async def test_a_device_that_only_one_adapter_hears_is_found_by_it(
    air: Air, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    async with two_bumble(air, 0) as (central, kill):
        kill(1)
        found = await central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=5)
        assert found.adapter == central.adapters[0].name
        with pytest.raises(DeviceNotFoundError):
            await central.find(Target(blood_pressure.SERVICE, address="F0:00:00:00:00:01"), timeout_seconds=0.3)
        with pytest.raises(ConnectFailedError):
            await central.connect(Found(CUFF, None, (), -40, adapter="bluez:hci7"), lambda: None, timeout_seconds=1)
        kill(0)
        with pytest.raises((RadioUnavailableError, DeviceNotFoundError)):
            await central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=0.5)


@pytest.mark.parametrize(
    ("settings", "is_wrong"),
    [
        (["bluez"], False),
        (["bluez:hci0", "bluez:hci1"], False),
        (["bluez", "bumble:usb:0"], False),
        ([], True),
        (["bluez", "bluez"], True),
        (["bluez", "bluez:hci1"], True),
        (["bluez:hci0", "usb:0"], True),
    ],
)
def test_which_radios_go_together(settings: list[str], is_wrong: bool) -> None:
    assert (radios_problem(settings) is not None) == is_wrong

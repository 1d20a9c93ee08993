"""The hub with Debian's own kernel and bluetoothd, in a virtual machine; the devices are simulated, on Bumble's air.

One boot serves all tests. They run in their order, and each leaves every device as it found it: connected and read.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.certificates import Authority
from tests.support.vm.machine import STATE, agent_program
from tests.support.vm.ward import Ward, journal_of, speaking, ward

from bedside_agent.collect.devices import NEVER, DeviceEntry
from bedside_profiles.readings import Metric
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.heart_rate_strap import HeartRateStrap
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.radio import ADAPTER_ADDRESS, Air

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.mosquitto, pytest.mark.vm]

PROJECT = Path(__file__).parents[3]
OXIMETER, CUFF, STRAP, RECLUSE, STRANGER = (f"F0:BE:D5:1D:00:0{number}" for number in range(1, 6))
PASSKEY = 73519
PRESSURE = {Metric.SYSTOLIC_PRESSURE: 121.0, Metric.DIASTOLIC_PRESSURE: 79.0}


@dataclass(frozen=True)
class Home:
    """The oximeter asks for no bond, the cuff for one with a passkey, strap and recluse for one without.

    The recluse may not be paired.
    """

    ward: Ward
    oximeter: PulseOximeter
    cuff: BloodPressureCuff
    strap: HeartRateStrap
    recluse: HeartRateStrap


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    folder = tmp_path_factory.mktemp("small-machine")
    air, journal = Air(), journal_of(folder)
    oximeter = PulseOximeter(air, journal, device_id="oximeter", address=OXIMETER)
    cuff = BloodPressureCuff(air, journal, device_id="cuff", address=CUFF, every_seconds=60)
    strap = HeartRateStrap(air, journal, device_id="strap", address=STRAP)
    recluse = HeartRateStrap(air, journal, device_id="recluse", address=RECLUSE)
    stranger = PulseOximeter(air, journal, device_id="stranger", address=STRANGER)
    cuff.secure(passkey=PASSKEY)
    strap.secure()
    recluse.secure()
    entries = (
        DeviceEntry("oximeter", "bluetooth.pulse_oximeter", address=OXIMETER),
        DeviceEntry("cuff", "bluetooth.blood_pressure", address=CUFF, passkey=f"{PASSKEY:06}"),
        DeviceEntry("strap", "bluetooth.heart_rate", address=STRAP),
        DeviceEntry("recluse", "bluetooth.heart_rate", address=RECLUSE, pairing=NEVER),
    )
    async with AsyncExitStack() as stack:
        stack.callback(journal.close)
        for device in (oximeter, cuff, strap, recluse, stranger):
            await device.start()
            stack.push_async_callback(device.stop)
        booted = await stack.enter_async_context(ward(folder, air, entries, folder / "journal", Authority()))
        await stack.enter_async_context(speaking(oximeter, saturation))
        await stack.enter_async_context(speaking(strap, rate))
        yield Home(booted, oximeter, cuff, strap, recluse)


def saturation(second: int) -> dict[Metric, float]:
    return {Metric.SPO2: 90.0 + second % 10, Metric.PULSE_RATE: 50.0 + second % 100}


def rate(second: int) -> dict[Metric, float]:
    return {Metric.HEART_RATE: 60.0 + second % 90}


async def read_on(ward: Ward, device: Peripheral, more: int = 6) -> None:
    """Until the device has said so many values more."""
    before = len(ward.said(device))
    await ward.until(lambda: len(ward.said(device)) >= before + more, f"{device.device_id} is heard again")


async def bond(ward: Ward, device: Peripheral) -> str:
    """What bluetoothd keeps of it."""
    return await ward.machine.run(f"cat /var/lib/bluetooth/{ADAPTER_ADDRESS}/{device.address}/info")


async def test_what_an_oximeter_says_is_stored_value_for_value(home: Home) -> None:
    await read_on(home.ward, home.oximeter, 20)
    async with home.oximeter.busy:
        await home.ward.until_told(home.oximeter, at_least=20)
    await home.ward.until_events(home.oximeter, ["device_connected"])


async def test_a_link_that_the_device_dropped_is_made_again_and_nothing_is_stored_twice(home: Home) -> None:
    await home.ward.until(lambda: home.ward.events(home.oximeter)[-1:] == ["device_connected"], "it is told")
    before = len(home.ward.events(home.oximeter))
    for _ in range(2):
        async with home.oximeter.busy:
            await home.ward.until_told(home.oximeter)
            await home.oximeter.drop()
        await read_on(home.ward, home.oximeter)
    async with home.oximeter.busy:
        await home.ward.until_told(home.oximeter)
    await home.ward.until_events(home.oximeter, ["device_lost", "device_connected"] * 2, after=before)


async def test_a_device_with_a_passkey_is_bonded_once_and_its_bond_is_used_again(home: Home) -> None:
    """Through the agent's own pairing agent: bluetoothd asks it for the passkey on the system bus."""
    await home.ward.say(home.cuff, PRESSURE, spot=True)
    await home.ward.until_told(home.cuff)
    for section in ("LongTermKey]", "Authenticated=3"):
        assert section in await bond(home.ward, home.cuff)
    async with home.cuff.busy:
        await home.cuff.drop()
    await home.ward.say(home.cuff, PRESSURE, spot=True)
    await home.ward.until_told(home.cuff)
    assert (home.cuff.pairing.attempts, home.cuff.pairing.asked_for) == (1, 1)
    await home.ward.until_events(home.cuff, ["device_paired", "device_connected", "device_lost", "device_connected"])


async def test_a_device_without_a_passkey_is_bonded_once_and_its_bond_is_used_again(home: Home) -> None:
    async with home.strap.busy:
        await home.ward.until_told(home.strap)
        await home.strap.drop()
    await read_on(home.ward, home.strap)
    async with home.strap.busy:
        await home.ward.until_told(home.strap)
    assert "LongTermKey]" in await bond(home.ward, home.strap)
    assert home.strap.pairing.attempts == 1
    await home.ward.until_events(home.strap, ["device_paired", "device_connected", "device_lost", "device_connected"])


async def test_a_device_that_may_not_be_paired_gets_no_bond_and_says_why(home: Home) -> None:
    """The kernel begins to pair with it by itself; the hub's pairing agent is asked, and refuses."""
    await home.ward.until(lambda: home.recluse.pairing.attempts > 0, "the kernel tries")
    code, said = await home.ward.machine.try_(f"{agent_program()} device test recluse --seconds 60 --state {STATE}")
    assert code != 0
    assert "refused with ATT error 0x05" in said
    assert "LongTermKey]" not in await bond(home.ward, home.recluse)
    assert home.ward.events(home.recluse) == []


async def test_a_technician_sees_the_devices_around(home: Home) -> None:
    """Those that the agent reads do not advertise."""
    found = json.loads(await home.ward.machine.agent("device", "scan", "--seconds", "6", "--json"))
    assert STRANGER in json.dumps(found)


async def test_bluetoothd_is_killed_and_started_again(home: Home) -> None:
    ward, devices = home.ward, (home.oximeter, home.cuff, home.strap)
    await read_on(ward, home.oximeter)
    await read_on(ward, home.strap)
    await ward.say(home.cuff, PRESSURE, spot=True)
    before = {device.device_id: len(ward.events(device)) for device in devices}
    async with home.oximeter.busy, home.strap.busy:
        await ward.until_told(home.oximeter)
        await ward.until_told(home.strap)
        await ward.machine.kill_bluetoothd()

        def all_are_lost() -> bool:
            return all("device_lost" in ward.events(device)[before[device.device_id] :] for device in devices)

        await ward.until(all_are_lost, "the hub notices")
        await ward.machine.start_bluetoothd()
        # The kernel keeps them for two seconds: what a device says meanwhile, nobody hears.
        await ward.until(lambda: not any(device.connected for device in devices), "the links of the dead end")
    await read_on(ward, home.oximeter)
    await read_on(ward, home.strap)
    await ward.say(home.cuff, PRESSURE, spot=True)
    for device in devices:
        async with device.busy:
            await ward.until_told(device)
    assert (home.cuff.pairing.attempts, home.strap.pairing.attempts) == (1, 1)


async def test_a_device_that_forgot_its_bond_is_paired_anew_by_a_technician(home: Home) -> None:
    """Before BlueZ 5.82 nobody says why its links end, so that the hub leaves its half of the bond alone."""
    ward, strap = home.ward, home.strap
    await read_on(ward, strap)
    attempts = strap.pairing.attempts
    async with strap.busy:
        await ward.until_told(strap)
        await strap.forget_bonds()
        await strap.drop()
        await ward.until(lambda: ward.events(strap)[-1] != "device_connected", "the strap is lost")
        assert "LongTermKey]" in await bond(ward, strap)
        await ward.machine.agent("device", "repair", "strap", "--json")
    await read_on(ward, strap)
    async with strap.busy:
        await ward.until_told(strap)
    assert strap.pairing.attempts == attempts + 1
    await ward.until(lambda: ward.events(strap)[-2:] == ["device_paired", "device_connected"], "it is told")


async def test_the_agent_stops_cleanly(home: Home) -> None:
    await home.ward.machine.stop_agent()
    assert not home.oximeter.connected
    assert "Traceback" not in home.ward.machine.console.read_text()


async def test_a_contour_meter_is_read_through_the_kernels_hidraw_node(home: Home) -> None:
    where = f"cd {PROJECT} && PYTHONPATH={PROJECT}"
    said = await home.ward.machine.run(f"{where} {sys.executable} -m tests.support.vm.uhid_meter 8", 180)
    found = json.loads(said[said.index("{") :])
    assert found["heard"] == found["memory"] == [100.0 + number for number in range(8)]
    assert (found["usb_id"], found["harm"]) == ("1a79:6002:7390H2471234", 0)
    assert found["node"].startswith("hidraw")

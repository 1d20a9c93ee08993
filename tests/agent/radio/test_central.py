"""bleak, unchanged, over a virtual adapter: what our words for it promise."""

import asyncio
import logging
import random
import socket
from pathlib import Path

import pytest
from bleak import BleakScanner
from bumble.core import UUID
from bumble.gatt import Characteristic, Service
from tests.support.virtual_radio import CUFF, OXIMETER, PATIENCE_SECONDS, in_process_central, tcp_central, until

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.central import (
    AccessRefusedError,
    CharacteristicMissingError,
    ConnectFailedError,
    DeviceNotFoundError,
    Found,
    Link,
    LinkLostError,
    RadioUnavailableError,
    Target,
)
from bedside_agent.radio.choice import open_central, radio_problem
from bedside_profiles.bluetooth import blood_pressure, heart_rate, pulse_oximeter
from bedside_profiles.readings import Metric
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import AdapterServer, Air

MODEL_NUMBER = "00002a24-0000-1000-8000-00805f9b34fb"
VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
ADDRESSED = Target(pulse_oximeter.SERVICE, address=OXIMETER)


async def connected(central: BleakCentral, lost: list[str] | None = None) -> Link:
    found = await central.find(ADDRESSED, timeout_seconds=5)
    return await central.connect(found, lambda: (lost if lost is not None else []).append("lost"), timeout_seconds=5)


async def test_scan_lists_who_advertises_with_services_and_name(
    central: BleakCentral, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    found = await central.scan(seconds=0.3)
    assert {(device.address, device.name, device.service_uuids) for device in found} == {
        (OXIMETER, "Sim Oximeter", (pulse_oximeter.SERVICE,)),
        (CUFF, "Sim Cuff", (blood_pressure.SERVICE,)),
    }


async def test_find_by_service_and_name(
    central: BleakCentral, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    target = Target(blood_pressure.SERVICE, advertised_name="Sim Cuff")
    assert (await central.find(target, timeout_seconds=5)).address == CUFF


async def test_a_device_that_is_taken_is_not_found_by_its_name_again(
    central: BleakCentral, oximeter: PulseOximeter
) -> None:
    """Another of the same name is meant, which is away. The first is being connected at first, then connected."""
    found = await central.find(ADDRESSED, timeout_seconds=5)
    connecting = asyncio.create_task(central.connect(found, lambda: None, timeout_seconds=5))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(DeviceNotFoundError):
            await central.find(Target(pulse_oximeter.SERVICE, advertised_name="Sim Oximeter"), timeout_seconds=0.3)
    await connecting


async def test_two_who_search_share_one_scanner(
    central: BleakCentral, oximeter: PulseOximeter, cuff: BloodPressureCuff
) -> None:
    first, second = await asyncio.gather(
        central.find(ADDRESSED, timeout_seconds=5),
        central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=5),
    )
    assert (first.address, second.address) == (OXIMETER, CUFF)


async def test_who_is_away_is_not_found(central: BleakCentral, oximeter: PulseOximeter) -> None:
    oximeter.vanish()
    with pytest.raises(DeviceNotFoundError):
        await central.find(ADDRESSED, timeout_seconds=0.2)


async def test_notifications_arrive_in_order(central: BleakCentral, oximeter: PulseOximeter) -> None:
    link = await connected(central)
    heard: list[bytes] = []
    await link.subscribe(pulse_oximeter.CONTINUOUS, heard.append, timeout_seconds=5)
    for rate in range(60, 160):
        assert await oximeter.emit({**VALUES, Metric.PULSE_RATE: float(rate)}, spot=False)
    await until(lambda: len(heard) == 100)
    decoded = [pulse_oximeter.decode(pulse_oximeter.CONTINUOUS, payload).measurements[1].value for payload in heard]
    assert decoded == [float(rate) for rate in range(60, 160)]


async def test_an_indication_is_heard(central: BleakCentral, oximeter: PulseOximeter) -> None:
    link = await connected(central)
    heard: list[bytes] = []
    await link.subscribe(pulse_oximeter.SPOT_CHECK, heard.append, timeout_seconds=5)
    assert await oximeter.emit(VALUES, spot=True) is not None
    await until(lambda: len(heard) == 1)


async def test_over_bumble_an_indication_is_heard_before_it_is_confirmed(air: Air, oximeter: PulseOximeter) -> None:
    async with in_process_central(air) as central:
        link = await connected(central)
        heard: list[bytes] = []
        await link.subscribe(pulse_oximeter.SPOT_CHECK, heard.append, timeout_seconds=5)
        assert await oximeter.emit(VALUES, spot=True) is not None
        assert len(heard) == 1


async def test_nothing_is_emitted_to_nobody(central: BleakCentral, oximeter: PulseOximeter) -> None:
    await connected(central)
    assert await oximeter.emit(VALUES, spot=False) is None
    assert await oximeter.emit(VALUES, spot=True) is None


async def test_read_and_what_cannot_be_read(central: BleakCentral, oximeter: PulseOximeter) -> None:
    link = await connected(central)
    assert await link.read(MODEL_NUMBER, timeout_seconds=5) == b"bluetooth.pulse_oximeter"
    assert link.offers(pulse_oximeter.SPOT_CHECK)
    assert not link.offers(heart_rate.MEASUREMENT)
    with pytest.raises(CharacteristicMissingError):
        await link.read(heart_rate.MEASUREMENT, timeout_seconds=5)


async def test_what_needs_a_bond_is_refused_with_its_reason(central: BleakCentral, air: Air, tmp_path: Path) -> None:
    secret = Characteristic(
        UUID("6E400002-B5A3-F393-E0A9-E50E24DCCA9E"),
        Characteristic.Properties.READ | Characteristic.Properties.WRITE,
        Characteristic.Permissions.READ_REQUIRES_ENCRYPTION | Characteristic.Permissions.WRITE_REQUIRES_ENCRYPTION,
        b"secret",
    )
    journal = Journal(tmp_path / "journal")
    device = Peripheral(
        air,
        pulse_oximeter.PROFILE,
        journal,
        device_id="bonding",
        name="Bonding",
        address=OXIMETER,
        further_services=[Service(UUID("6E400001-B5A3-F393-E0A9-E50E24DCCA9E"), [secret])],
    )
    await device.start()
    link = await connected(central)
    with pytest.raises(AccessRefusedError) as refused:
        await link.read(str(secret.uuid).lower(), timeout_seconds=5)
    assert refused.value.needs_pairing
    with pytest.raises(AccessRefusedError):
        await link.write(str(secret.uuid).lower(), b"x", timeout_seconds=5)
    await device.stop()
    journal.close()


async def test_link_loss_while_idle(central: BleakCentral, oximeter: PulseOximeter) -> None:
    lost: list[str] = []
    link = await connected(central, lost)
    oximeter.vanish()
    await until(lambda: bool(lost))
    with pytest.raises(LinkLostError):
        await link.read(MODEL_NUMBER, timeout_seconds=5)
    with pytest.raises(LinkLostError):
        link.offers(MODEL_NUMBER)
    await link.disconnect(timeout_seconds=5)
    assert lost == ["lost"]


async def test_link_loss_in_the_middle_of_a_call(central: BleakCentral, oximeter: PulseOximeter) -> None:
    link = await connected(central)
    reading = asyncio.create_task(link.read(MODEL_NUMBER, timeout_seconds=5))
    await asyncio.sleep(0)
    oximeter.vanish()
    with pytest.raises(LinkLostError):
        await reading


async def test_an_asked_for_end_is_not_told_as_a_loss(central: BleakCentral, oximeter: PulseOximeter) -> None:
    lost: list[str] = []
    link = await connected(central, lost)
    await link.disconnect(timeout_seconds=5)
    await until(lambda: not oximeter.connected)
    assert lost == []


async def test_an_attempt_that_took_too_long_does_not_block_the_next(
    central: BleakCentral, oximeter: PulseOximeter
) -> None:
    found = await central.find(ADDRESSED, timeout_seconds=5)
    oximeter.vanish()
    with pytest.raises(ConnectFailedError):
        await central.connect(found, lambda: None, timeout_seconds=0.2)
    oximeter.reappear()
    link = await central.connect(found, lambda: None, timeout_seconds=5)
    assert link.address == OXIMETER


async def test_a_cancelled_attempt_does_not_block_the_next(central: BleakCentral, oximeter: PulseOximeter) -> None:
    found = await central.find(ADDRESSED, timeout_seconds=5)
    oximeter.vanish()
    attempt = asyncio.create_task(central.connect(found, lambda: None, timeout_seconds=5))
    await asyncio.sleep(0.05)
    attempt.cancel()
    await asyncio.wait({attempt})
    oximeter.reappear()
    await central.connect(found, lambda: None, timeout_seconds=5)


async def test_an_attempt_cancelled_twice_does_not_block_the_next(
    central: BleakCentral, oximeter: PulseOximeter
) -> None:
    found = await central.find(ADDRESSED, timeout_seconds=5)
    for pauses in range(6):
        oximeter.vanish()
        attempt = asyncio.create_task(central.connect(found, lambda: None, timeout_seconds=5))
        await asyncio.sleep(0.02)
        attempt.cancel()
        for _ in range(pauses):
            await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait({attempt})
        oximeter.reappear()
        link = await central.connect(found, lambda: None, timeout_seconds=5)
        await link.disconnect(timeout_seconds=5)


async def test_who_was_never_heard_cannot_be_connected(central: BleakCentral) -> None:
    with pytest.raises(ConnectFailedError):
        await central.connect(Found("F0:00:00:00:00:09", None, (), -40), lambda: None, timeout_seconds=1)


async def test_the_hci_transport_is_lost_and_comes_back(air: Air, oximeter: PulseOximeter) -> None:
    async with tcp_central(air) as (central, server, radio):
        lost: list[str] = []
        link = await connected(central, lost)
        reading = asyncio.create_task(link.read(MODEL_NUMBER, timeout_seconds=5))
        await asyncio.sleep(0)
        server.pull()
        with pytest.raises((RadioUnavailableError, LinkLostError)):
            await reading
        await until(lambda: bool(lost))
        await until(lambda: not oximeter.connected)
        with pytest.raises(RadioUnavailableError):
            await central.find(ADDRESSED, timeout_seconds=5)
        await radio.ready()
        again = await connected(central)
        assert await again.read(MODEL_NUMBER, timeout_seconds=5) == b"bluetooth.pulse_oximeter"
        assert lost == ["lost"]


async def test_a_search_goes_on_when_the_transport_comes_back_under_it(air: Air, oximeter: PulseOximeter) -> None:
    async with tcp_central(air) as (central, server, radio):
        oximeter.vanish()
        search = asyncio.create_task(central.find(ADDRESSED, timeout_seconds=10))
        await asyncio.sleep(0.05)
        server.pull()
        await asyncio.sleep(0.05)
        await radio.ready()
        oximeter.reappear()
        assert (await search).address == OXIMETER


@pytest.mark.parametrize("setting", ["", "hci0", "bumble:", "BlueZ", "bluez:", "bluez:1", "bluez:hci"])
async def test_a_radio_setting_that_means_nothing(setting: str) -> None:
    assert radio_problem(setting) is not None
    with pytest.raises(ValueError, match="say bluez"):
        await open_central([setting], jitter=random.Random(1))


async def test_a_radio_that_is_not_there_yet_is_waited_for(air: Air, oximeter: PulseOximeter) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    central = await open_central([f"bumble:tcp-client:127.0.0.1:{port}"], jitter=random.Random(1))
    with pytest.raises(RadioUnavailableError):
        await central.find(ADDRESSED, timeout_seconds=5)
    server = await AdapterServer.start(air, port)

    async def found() -> bool:
        try:
            return (await central.find(ADDRESSED, timeout_seconds=5)).address == OXIMETER
        except RadioUnavailableError:
            await asyncio.sleep(0.05)
            return False

    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await found():
            pass
    await central.close()
    await server.stop()


async def test_a_machine_without_bluez_has_no_radio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/no-bus")
    central = await open_central(["bluez"], jitter=random.Random(1))
    with pytest.raises(RadioUnavailableError):
        await central.find(ADDRESSED, timeout_seconds=5)
    with pytest.raises(RadioUnavailableError):
        await central.scan(seconds=0.1)
    await central.close()


async def test_a_scanner_that_hears_nobody_is_started_anew(
    central: BleakCentral, oximeter: PulseOximeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    oximeter.vanish()
    starts: list[int] = []
    start = BleakScanner.start

    async def counted(scanner: BleakScanner) -> None:
        starts.append(1)
        await start(scanner)

    monkeypatch.setattr(BleakScanner, "start", counted)
    patient = asyncio.create_task(central.find(ADDRESSED, timeout_seconds=10))
    await until(lambda: len(starts) == 1)
    with pytest.raises(DeviceNotFoundError):
        await central.find(Target(blood_pressure.SERVICE, address=CUFF), timeout_seconds=0.1)
    assert len(starts) == 2
    oximeter.reappear()
    assert (await patient).address == OXIMETER


async def test_what_was_agreed_for_a_connection_is_shown_to_a_technician(
    central: BleakCentral, oximeter: PulseOximeter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bedside_agent")
    await connected(central)
    (record,) = [one for one in caplog.records if one.getMessage() == "radio.connected"]
    assert vars(record)["address"] == OXIMETER
    assert vars(record)["mtu_bytes"] == 517

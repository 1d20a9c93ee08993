"""What a hub's settings say of a device's bond is what the device gets."""

import asyncio
from pathlib import Path

from tests.support.collecting_hub import collecting_hub
from tests.support.virtual_radio import OXIMETER, secured, until

from bedside_agent.collect.devices import NEVER, DeviceEntry
from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.bluetooth import pulse_oximeter
from bedside_profiles.readings import Metric
from bedside_sim.radio import Air

PASSKEY = 73519


async def test_the_passkey_of_the_settings_makes_the_bond(tmp_path: Path) -> None:
    air = Air()
    entry = DeviceEntry("oximeter", pulse_oximeter.PROFILE.name, address=OXIMETER, passkey=f"{PASSKEY:06}")
    async with (
        secured(air, tmp_path, PASSKEY) as device,
        collecting_hub(tmp_path / "buffer.db", air, entry) as hub,
    ):
        async with asyncio.timeout(10):
            while await device.emit({Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}, spot=False) is None:
                await asyncio.sleep(0.01)
        assert len(hub.told(NoticeKind.DEVICE_PAIRED)) == 1
        assert (device.pairing.attempts, device.pairing.asked_for) == (1, 1)


async def test_a_device_that_is_never_to_be_paired_is_not(tmp_path: Path) -> None:
    air, connections = Air(), list[None]()
    entry = DeviceEntry("oximeter", pulse_oximeter.PROFILE.name, address=OXIMETER, pairing=NEVER)
    async with secured(air, tmp_path) as device:
        device.when_connected(lambda: connections.append(None))
        async with collecting_hub(tmp_path / "buffer.db", air, entry) as hub:
            # It is asked again after it has refused: by then it would have been paired.
            await until(lambda: len(connections) >= 2, 30)
            assert hub.told(NoticeKind.DEVICE_PAIRED) == []
        assert device.pairing.attempts == 0

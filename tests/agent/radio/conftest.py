"""The air, two devices in it, and the radio over each of the two backends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.bluez.radio import bluez_central
from tests.support.virtual_radio import CUFF, OXIMETER, in_process_central

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import Air


@pytest.fixture
async def air() -> Air:
    return Air()


@pytest.fixture
async def oximeter(air: Air, tmp_path: Path) -> AsyncIterator[PulseOximeter]:
    journal = Journal(tmp_path / "journal")
    device = PulseOximeter(air, journal, device_id="oximeter", address=OXIMETER)
    await device.start()
    yield device
    await device.stop()
    journal.close()


@pytest.fixture
async def cuff(air: Air, tmp_path: Path) -> AsyncIterator[BloodPressureCuff]:
    journal = Journal(tmp_path / "cuff")
    device = BloodPressureCuff(air, journal, device_id="cuff", address=CUFF, every_seconds=10)
    await device.start()
    yield device
    await device.stop()
    journal.close()


@pytest.fixture(params=["bumble", "bluez"])
async def central(request: pytest.FixtureRequest, air: Air) -> AsyncIterator[BleakCentral]:
    """Both backends keep the same promises, and each keeps the other honest."""
    if request.param == "bluez":
        async with bluez_central(air) as (opened, _):
            yield opened
    else:
        async with in_process_central(air) as opened:
            yield opened

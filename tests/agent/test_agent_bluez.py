"""The agent as a Pi has it: its own process, `radio = "bluez"`, bleak's own backend; org.bluez is simulated."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.agent.test_agent_process import CA
from tests.support.agent_process import WAIT_SECONDS, agent, until
from tests.support.bluez.radio import killable_bluez
from tests.support.mosquitto import free_port
from tests.support.readings import HUB

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import add_device, first_text
from bedside_profiles.readings import Metric
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal, read_journal
from bedside_sim.radio import Air

ADDRESS = "F0:BE:D5:1D:00:01"
NEEDLESS = {"typer", "click", "rich", "httpx", "fastapi", "starlette", "uvicorn", "jinja2", "bumble", "email.policy"}
"""What commands, an enrolment, the cloud or a radio of its own need, and an agent that runs does not."""

VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}


@pytest.fixture
async def air() -> Air:
    return Air()


@pytest.fixture
async def oximeter(air: Air, tmp_path: Path) -> AsyncIterator[PulseOximeter]:
    journal = Journal(tmp_path / "journal")
    device = PulseOximeter(air, journal, device_id="oximeter", address=ADDRESS)
    await device.start()
    yield device
    await device.stop()
    journal.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A hub with one oximeter, and no network."""
    folder = tmp_path / "state"
    CA.write(folder / "identity", CA.leaf(HUB))
    quiet = 'sound_command = "dd of=/dev/null status=none"\n'
    (folder / "hub.toml").write_text(first_text(HUB, "localhost", free_port(), "bluez") + quiet)
    add_device(folder, DeviceEntry("oximeter", "bluetooth.pulse_oximeter", address=ADDRESS))
    return folder


async def say(oximeter: PulseOximeter) -> None:
    """One frame, as soon as somebody listens."""
    async with asyncio.timeout(WAIT_SECONDS):
        while await oximeter.emit(VALUES, spot=False) is None:
            await asyncio.sleep(0.02)


async def test_what_the_device_says_is_stored_over_kills_of_agent_and_bluetoothd(
    air: Air, oximeter: PulseOximeter, state: Path, tmp_path: Path
) -> None:
    """After its own death the agent finds a device that does not advertise: BlueZ has kept it connected."""

    def emitted() -> int:
        return len(list(read_journal(tmp_path / "journal")))

    async def until_stored() -> None:
        await until(state, lambda report: report["waiting"]["readings"] == emitted())

    def held() -> bool:
        return oximeter.connected

    async with killable_bluez(air) as bluez:
        async with agent(state) as process:
            await say(oximeter)
            await until_stored()
            process.kill()
            await process.wait()
        assert held()
        async with agent(state, PYTHONPROFILEIMPORTTIME="1") as process:
            await say(oximeter)
            await until_stored()
            await bluez.kill()
            await until(state, lambda report: report["devices"][0]["link"] == "lost")
            await bluez.start()
            await say(oximeter)
            await until_stored()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == 0
        assert not held()
    assert emitted() == 6
    log = (state / "agent.log").read_text()
    assert "Traceback" not in log
    assert not loaded(log) & NEEDLESS


def loaded(log: str) -> set[str]:
    """The modules that Python told of while it imported them."""
    modules = set(re.findall(r"^import time: .*\| +([\w.]+)$", log, re.MULTILINE))
    assert {"bedside_agent.service", "dbus_fast", "bleak", "aiomqtt"} <= modules
    return modules

"""`bedside-agent device …` beside a running agent: bleak's own BlueZ backend, real processes, a simulated household."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.agent.test_agent_process import CA, keep_plan
from tests.support.agent_process import agent, until
from tests.support.bluez.radio import killable_bluez
from tests.support.mosquitto import free_port
from tests.support.readings import HUB, plan, rule
from tests.support.strangers import Stranger

from bedside_agent.settings import first_text, load
from bedside_profiles.readings import Metric
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.careplan import PlannedDevice
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

OURS, UNKNOWN = "F0:BE:D5:1D:00:01", "F0:BE:D5:1D:00:77"
FITNESS_MACHINE = "00001826-0000-1000-8000-00805f9b34fb"
WELL = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
LOW = {Metric.SPO2: 80.0, Metric.PULSE_RATE: 61.0}
PROGRAM = "from bedside_agent.main import main; main()"
WATCHED = plan(
    rules=(rule(metric=Metric.SPO2, side=Side.BELOW, limit=88, onset_delay_ms=0),),
    devices=(PlannedDevice("oximeter", 0),),
)


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    """An oximeter and a device that no hub knows, and bluetoothd on a private bus."""
    air = Air()
    async with killable_bluez(air):
        yield air


@pytest.fixture
async def oximeter(air: Air, tmp_path: Path) -> AsyncIterator[PulseOximeter]:
    with closing(Journal(tmp_path / "journal")) as journal:
        device = PulseOximeter(air, journal, device_id="oximeter", address=OURS)
        await device.start()
        yield device
        await device.stop()


@pytest.fixture
async def stranger(air: Air) -> AsyncIterator[Stranger]:
    stranger = Stranger(air, UNKNOWN, "Treadmill", FITNESS_MACHINE)
    await stranger.start()
    yield stranger
    await stranger.stop()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A hub without devices, and without a network."""
    folder = tmp_path / "state"
    CA.write(folder / "identity", CA.leaf(HUB))
    quiet = '# our own remark\nsound_command = "dd of=/dev/null status=none"\n'
    (folder / "hub.toml").write_text(first_text(HUB, "localhost", free_port(), "bluez") + quiet)
    return folder


async def typed(state: Path, *words: str) -> tuple[int, str, str]:
    """Exit code and what was printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, *words, "--state", str(state)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(), err.decode()


async def asked(state: Path, *words: str) -> Any:
    code, out, err = await typed(state, *words, "--json")
    assert out, err
    return {**json.loads(out), "code": code} if out.startswith("{") else json.loads(out)


@pytest.mark.usefixtures("oximeter", "stranger")
@pytest.mark.parametrize("running", [True, False])
async def test_a_scan_tells_known_from_unknown_with_and_without_an_agent(state: Path, running: bool) -> None:
    if running:
        async with agent(state):
            found = await asked(state, "device", "scan", "--seconds", "3")
            _, table, _ = await typed(state, "device", "scan", "--seconds", "3")
    else:
        found = await asked(state, "device", "scan", "--seconds", "3")
        _, table, _ = await typed(state, "device", "scan", "--seconds", "3")
    by_address = {one["address"]: one for one in found if one["transport"] == "bluetooth"}
    assert by_address[OURS]["profiles"] == ["bluetooth.pulse_oximeter"]
    assert by_address[OURS]["device_id"] is None
    assert (by_address[UNKNOWN]["profiles"], by_address[UNKNOWN]["service_uuids"]) == ([], [FITNESS_MACHINE])
    assert "unknown, ignored; services: 0x1826" in table
    assert "2 heard, 1 of a kind that the hub knows" in table


@pytest.mark.usefixtures("stranger")
async def test_a_device_is_added_tested_and_removed_without_a_restart(
    state: Path, oximeter: PulseOximeter, tmp_path: Path
) -> None:
    await keep_plan(state, WATCHED)
    async with agent(state):
        added = await asked(state, "device", "add", "oximeter", "--address", OURS, "--seconds", "50")
        assert added == {
            "device_id": "oximeter",
            "profile": "bluetooth.pulse_oximeter",
            "added": True,
            "link": "connected",
            "code": 0,
        }
        again = await asked(state, "device", "add", "oximeter", "--seconds", "50")
        assert (again["added"], again["link"]) == (False, "connected")
        (listed,) = await asked(state, "device", "list")
        assert (listed["device_id"], listed["address"], listed["link"]) == ("oximeter", OURS, "connected")
        assert "Pulse oximeter" in (await typed(state, "device", "show", "oximeter"))[1]

        testing = asyncio.create_task(asked(state, "device", "test", "oximeter", "--seconds", "60"))
        while not testing.done():
            await oximeter.emit(WELL, spot=False)
            await asyncio.sleep(0.2)
        tested = await testing
        assert (tested["ok"], tested["code"]) == (True, 0)
        assert {one["metric"]: one["value"] for one in tested["readings"]}["spo2"] == 97.0

        # The technician's finger may still be in it for half a minute.
        await oximeter.emit(LOW, spot=False)
        await asyncio.sleep(2)
        assert (await until(state, lambda report: True))["alarms"] == []
        async with asyncio.timeout(60):
            while (await until(state, lambda report: True))["alarms"] == []:
                await oximeter.emit(LOW, spot=False)
                await asyncio.sleep(0.5)

        code, said, _ = await typed(state, "device", "remove", "oximeter")
        assert (code, said) == (0, "Device oximeter is removed.\n")
        await until(state, lambda report: report["devices"] == [])
        async with asyncio.timeout(10):
            while oximeter.connected:
                await asyncio.sleep(0.05)
        assert (await asked(state, "device", "remove", "oximeter"))["removed"] is False
    assert load(state).device == ()
    assert "# our own remark" in (state / "hub.toml").read_text()
    attributions = await kept_attributions(state)
    assert "quarantined" in attributions
    assert attributions[-1] == "assigned"


async def kept_attributions(state: Path) -> list[str]:
    """Of the readings in the buffer, oldest first."""
    _, shown, _ = await typed(state, "buffer", "export", "--format", "jsonl", "--lane", "readings")
    return [one["details"].get("attribution") for one in map(json.loads, shown.splitlines())]


@pytest.mark.usefixtures("air")
async def test_a_device_that_gives_nothing_is_diagnosed_in_words(state: Path) -> None:
    async with agent(state):
        add = ("device", "add", "oximeter", "--profile", "bluetooth.pulse_oximeter", "--address", OURS)
        added = await asked(state, *add, "--seconds", "1")
        assert (added["added"], added["link"]) == (True, "searching")
        code, said, _ = await typed(state, "device", "test", "oximeter", "--seconds", "2")
    assert code == 1
    assert "No reading. It was not heard" in said
    assert "Try: " in said


@pytest.mark.usefixtures("stranger")
async def test_what_cannot_be_added_is_explained(state: Path) -> None:
    code, _, said = await typed(state, "device", "add", "treadmill", "--address", UNKNOWN, "--seconds", "3")
    assert (code, load(state).device) == (1, ())
    assert f"{UNKNOWN} is unknown, ignored; services: 0x1826" in said
    code, _, said = await typed(state, "device", "add", "x", "--address", "F0:BE:D5:1D:00:55", "--seconds", "2")
    assert code == 1
    assert "no such device was heard" in said
    code, _, said = await typed(state, "device", "add", "x", "--port", "/dev/ttyUSB0")
    assert code == 1
    assert "serial.nonin_df2" in said
    code, _, said = await typed(state, "device", "test", "nobody")
    assert code == 1
    assert "there is no device nobody" in said


@pytest.mark.usefixtures("oximeter", "stranger")
async def test_the_one_known_device_that_is_there_needs_no_address(state: Path) -> None:
    added = await asked(state, "device", "add", "oximeter", "--seconds", "5")
    assert (added["added"], added["profile"], added["link"]) == (True, "bluetooth.pulse_oximeter", None)
    assert [entry.address for entry in load(state).device] == [OURS]


@pytest.mark.usefixtures("air")
async def test_a_device_that_forgot_its_bond_is_paired_anew(state: Path, air: Air, tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:
        oximeter = PulseOximeter(air, journal, device_id="oximeter", address=OURS)
        oximeter.secure()
        await oximeter.start()
        async with agent(state):
            added = await asked(state, "device", "add", "oximeter", "--address", OURS, "--seconds", "50")
            assert (added["link"], oximeter.pairing.attempts) == ("connected", 1)
            await oximeter.forget_bonds()
            repaired = await asked(state, "device", "repair", "oximeter", "--seconds", "60")
            assert (repaired["ok"], repaired["paired"], oximeter.pairing.attempts) == (True, True, 2)
            oximeter.pairing.is_willing = False
            await oximeter.forget_bonds()
            code, said, _ = await typed(state, "device", "repair", "oximeter", "--seconds", "5")
            assert (code, "Not paired." in said, "Try: " in said) == (1, True, True)
        await oximeter.stop()


async def test_a_meter_on_usb_is_added_without_its_profile(state: Path) -> None:
    code, _, said = await typed(state, "device", "add", "meter", "--usb-id", "1A79:7410:AB12", "--seconds", "0")
    assert code == 0, said
    (entry,) = [one for one in load(state).device if one.device_id == "meter"]
    assert (entry.profile, entry.usb_id) == ("serial.bayer_contour", "1A79:7410:AB12")
    code, _, said = await typed(state, "device", "add", "other", "--usb-id", "0403:6001", "--seconds", "0")
    assert code == 1
    assert "needs its --profile" in said

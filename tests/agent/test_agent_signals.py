"""The running agent and the patient's ears: from the sensor's line to what the loudspeaker plays."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.test_agent_process import keep_plan, prepare
from tests.support.agent_process import agent, until
from tests.support.loudspeaker import Loudspeaker
from tests.support.mosquitto import free_port
from tests.support.ptys import serial_line, speak

from bedside_agent.signals.wave import BURSTS, wav
from bedside_profiles.rules.priority import Priority
from bedside_sim.pty import SerialLine

HIGH = wav(BURSTS[Priority.HIGH])


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with serial_line(tmp_path / "nonin") as made:
        yield made


@pytest.fixture
def loudspeaker(tmp_path: Path) -> Loudspeaker:
    return Loudspeaker(tmp_path / "loudspeaker")


async def hub(tmp_path: Path, loudspeaker: Loudspeaker) -> Path:
    state = tmp_path / "state"
    prepare(state, free_port(), tmp_path / "nonin")
    settings = state / "hub.toml"
    without = [line for line in settings.read_text().splitlines() if not line.startswith("sound_command")]
    settings.write_text(f'sound_command = "{loudspeaker.bin / "aplay"}"\n' + "\n".join(without))
    await keep_plan(state)
    return state


async def heard(loudspeaker: Loudspeaker, times: int) -> None:
    async with asyncio.timeout(30):
        while loudspeaker.played.count(HIGH) < times:
            await asyncio.sleep(0.05)


async def test_an_alarm_is_heard_at_home_without_any_network(
    tmp_path: Path, line: SerialLine, loudspeaker: Loudspeaker
) -> None:
    state = await hub(tmp_path, loudspeaker)
    async with agent(state) as process:
        await speak(line, 80, 4)
        await until(state, lambda report: report["alarms"] == ["spo2_low"])
        await heard(loudspeaker, 1)
        quiet = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from bedside_agent.cli import main; main()", "quiet", "--state", str(state))
        )
        assert await quiet.wait() == 0
        report = await until(state, lambda report: report["waiting"]["events"] >= 2)
        assert report["alarms"] == ["spo2_low"], "quiet, and not over"
        process.terminate()
        assert await process.wait() == 0


async def test_no_working_sound_is_an_alarm(tmp_path: Path, line: SerialLine, loudspeaker: Loudspeaker) -> None:
    loudspeaker.unplug()
    state = await hub(tmp_path, loudspeaker)
    async with agent(state):
        report = await until(state, lambda report: report["alarms"] == ["cannot_alert_patient"])
        assert report["faults"] == ["cannot_alert_patient"]
        assert "audio open error" in report["signals_broken"]["sound"]
        await until(state, lambda report: report["waiting"]["alarms"] == 1)

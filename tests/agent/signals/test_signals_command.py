"""`bedside-agent signals test` as a process: programs that write down what they get, and a directory tree as a lamp."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.loudspeaker import Loudspeaker
from tests.support.readings import HUB

from bedside_agent.buffer.substitute import memory_for
from bedside_agent.health import REPORT, Report, answering
from bedside_agent.settings import first_text
from bedside_agent.signals.wave import BURSTS, GOT_IT, wav
from bedside_profiles.rules.priority import Priority

QUICK = (
    "import bedside_agent.signals_command as command; command.LOOK_SECONDS = command.LISTEN_SECONDS = 1.5;"
    " from bedside_agent.main import main; main()"
)


@pytest.fixture
def loudspeaker(tmp_path: Path) -> Loudspeaker:
    return Loudspeaker(tmp_path / "loudspeaker")


def run(state: Path, loudspeaker: Loudspeaker, *arguments: str) -> "subprocess.CompletedProcess[str]":
    state.mkdir(exist_ok=True)
    if not (state / "hub.toml").exists():
        (state / "hub.toml").write_text(first_text(HUB, "localhost", 1, "bluez"))
    return subprocess.run(
        [sys.executable, "-c", QUICK, "signals", "test", *arguments, "--state", str(state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": str(loudspeaker.bin)},
    )


def test_an_alarm_is_heard_once_and_says_that_it_is_a_test(tmp_path: Path, loudspeaker: Loudspeaker) -> None:
    result = run(tmp_path / "state", loudspeaker)
    assert result.returncode == 0, result.stderr + result.stdout
    assert "says that it is a test" in result.stdout
    assert loudspeaker.played == [wav(BURSTS[Priority.HIGH])]
    assert any("This is a test" in said for said in loudspeaker.said)


def test_a_reminder_is_another_sound_in_the_hub_s_language(tmp_path: Path, loudspeaker: Loudspeaker) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "hub.toml").write_text('language = "es"\n' + first_text(HUB, "localhost", 1, "bluez"))
    assert run(state, loudspeaker, "reminder").returncode == 0
    assert loudspeaker.played == [wav(BURSTS[Priority.INFO])]
    assert any("Es hora de medir" in said for said in loudspeaker.said)


def test_that_a_check_is_kept_sounds_like_no_alarm(tmp_path: Path, loudspeaker: Loudspeaker) -> None:
    assert run(tmp_path / "state", loudspeaker, "got-it").returncode == 0
    assert loudspeaker.played == [wav(GOT_IT)]
    assert GOT_IT not in BURSTS.values()
    assert loudspeaker.said == []


async def test_it_is_not_given_beside_an_alarm(tmp_path: Path, loudspeaker: Loudspeaker) -> None:
    state = tmp_path / "state"
    state.mkdir()

    async def report(_question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
        yield {"alarms": ["spo2_low"]}

    async with answering(state, memory_for(state), {REPORT: report}):
        result = await asyncio.to_thread(run, state, loudspeaker)
    assert (result.returncode, "alarms now: spo2_low" in result.stderr) == (1, True), result.stderr
    assert loudspeaker.played == []


def test_what_does_not_work_is_said_and_is_a_failure(tmp_path: Path, loudspeaker: Loudspeaker) -> None:
    loudspeaker.unplug()
    result = run(tmp_path / "state", loudspeaker, "alarm", "--json")
    assert result.returncode == 1
    assert "audio open error" in json.loads(result.stdout)["troubles"]["sound"]


def test_a_hub_without_a_lamp_says_how_to_have_one(tmp_path: Path, loudspeaker: Loudspeaker) -> None:
    result = run(tmp_path / "state", loudspeaker, "lamp")
    assert result.returncode == 1
    assert "has no lamp" in result.stderr
    assert "/sys/class/leds" in result.stderr

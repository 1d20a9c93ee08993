"""A hub that is set up where there is no network enrols by itself once it has one."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.agent_process import PROGRAM, WAIT_SECONDS, agent, until
from tests.support.est_server import est_server
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.readings import HUB

from bedside_agent import trust
from bedside_agent.uplink.claim import claim_text, make_claim, parse_claim
from bedside_agent.uplink.identity import Identity

CA = certificates.Authority()
CODE = "K7Q2-XY9"
EAGER = "from bedside_agent.uplink import pending; pending.FIRST_PAUSE_SECONDS = 0.2; " + PROGRAM


def ran(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-c", PROGRAM, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def claim_of(est_port: int, broker_port: int) -> str:
    ca = trust.fingerprint(CA.root.der)
    return f"bedside:1?est=https://localhost:{est_port}&broker=localhost:{broker_port}&hub={HUB}&claim={CODE}&ca={ca}"


def test_a_claim_is_written_as_it_is_read() -> None:
    for broker in ("localhost:8883", "[fd00::1]:8883"):
        claim = make_claim("https://[fd00::2]:443", broker, HUB, CODE, "ab" * 32)
        assert parse_claim(claim_text(claim)) == claim


@pytest.mark.mosquitto
async def test_the_network_comes_later_and_nobody_else(tmp_path: Path) -> None:
    require_mosquitto()
    broker, state, est_port = Mosquitto(tmp_path / "broker", CA), tmp_path / "state", free_port()
    text = claim_of(est_port, broker.port)
    first = await asyncio.to_thread(ran, "init", "--claim", text, "--state", str(state))
    assert first.returncode == 0, first.stderr
    assert "enrols by itself once it can" in first.stdout
    assert CODE not in first.stdout
    assert (state / "claim").stat().st_mode & 0o777 == 0o600
    assert not Identity(state / "identity").is_enrolled()
    with (state / "hub.toml").open("a") as settings:
        settings.write('sound_command = "dd of=/dev/null status=none"\n')
    broker.start()
    try:
        with (state / "agent.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", EAGER, "run", "--state", str(state)), stdout=log, stderr=log
            )
        await asyncio.sleep(1)
        with est_server(CA, {HUB: CODE}, tmp_path / "est", port=est_port):
            await until(state, lambda report: report["connected_since_ms"] is not None)
        assert not (state / "claim").exists(), "it is used up"
        process.terminate()
        assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == 0
        async with agent(state):
            await until(state, lambda report: report["connected_since_ms"] is not None)
    finally:
        broker.stop()


async def test_a_hub_that_waits_for_its_network_stops_when_it_is_told(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert (await asyncio.to_thread(ran, "init", "--claim", claim_of(1, 2), "--state", str(state))).returncode == 0
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EAGER, "run", "--state", str(state)), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), WAIT_SECONDS)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == 0
    assert (state / "claim").exists()


async def test_a_claim_that_is_refused_is_put_away_and_says_so(tmp_path: Path) -> None:
    state, est_port = tmp_path / "state", free_port()
    text = claim_of(est_port, 2)
    assert (await asyncio.to_thread(ran, "init", "--claim", text, "--state", str(state))).returncode == 0
    with est_server(CA, {}, tmp_path / "est", port=est_port):
        failed = await asyncio.to_thread(ran, "run", "--state", str(state))
    assert failed.returncode == 1
    assert "refused the claim" in failed.stderr
    assert "fleet claim new" in failed.stderr
    assert not (state / "claim").exists()

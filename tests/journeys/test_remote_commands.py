"""A tech has a hub do something from elsewhere: the command line, the whole cloud, and the real agent."""

import asyncio
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import bedside_cloud
from tests.support.household import RunningHousehold, household

from bedside_agent.opening import IDENTITY
from bedside_agent.uplink.identity import Identity
from bedside_sim.household import HUB_ID

__all__ = ["household"]

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]


async def told(household: RunningHousehold, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(bedside_cloud, "fleet", "command", *arguments, state=household.cloud_state)


def certificate(household: RunningHousehold) -> bytes:
    return Identity(household.hub_state / IDENTITY).certificate.read_bytes()


async def test_a_status_is_reported(household: RunningHousehold) -> None:
    result = await told(household, "give", HUB_ID, "report_status")
    assert (result.returncode, result.stdout) == (0, "The hub has done it.\n"), result.stderr


async def test_a_bundle_comes_back_and_holds_nothing_of_the_patient(
    household: RunningHousehold, tmp_path: Path
) -> None:
    output = tmp_path / "hub.tar.gz"
    result = await told(household, "give", HUB_ID, "collect_bundle", "--output", str(output), "--wait", "120")
    assert result.returncode == 0, result.stderr + result.stdout
    assert output.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(output.read_bytes())) as tar:
        files = {Path(one.name).name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}
    assert {"doctor.json", "status.json", "hub.toml", "buffer.json"} <= set(files)
    everything = b"".join(files.values())
    assert household.patient_id.encode() not in everything
    again = await told(household, "give", HUB_ID, "collect_bundle", "--output", str(output))
    assert again.returncode == 1
    assert "is there already" in again.stderr


async def test_a_key_is_rotated_while_readings_go_on(household: RunningHousehold) -> None:
    before = certificate(household)
    result = await told(household, "give", HUB_ID, "rotate_key", "--wait", "60", "--json")
    assert result.returncode == 0, result.stderr + result.stdout
    said: dict[str, Any] = json.loads(result.stdout)
    assert said["state"] == "applied"
    assert certificate(household) != before
    status = await told(household, "give", HUB_ID, "report_status")
    assert status.returncode == 0, "and the hub is let in with the new one"


async def test_an_agent_that_nobody_would_start_again_refuses_a_restart(household: RunningHousehold) -> None:
    result = await told(household, "give", HUB_ID, "restart")
    assert result.returncode == 1
    assert "not started by systemd" in result.stdout


async def test_the_list_tells_what_became_of_each(household: RunningHousehold) -> None:
    result = await told(household, "list", HUB_ID, "--json")
    commands = json.loads(result.stdout)["commands"]
    assert [(one["kind"], one["state"]) for one in commands][::-1] == [
        ("report_status", "applied"),
        ("collect_bundle", "applied"),
        ("rotate_key", "applied"),
        ("report_status", "applied"),
        ("restart", "refused"),
    ]
    shown = (await told(household, "list")).stdout
    assert "rotate_key" in shown
    wrong = await told(household, "give", "hub-nobody-knows", "restart")
    assert "no hub hub-nobody-knows" in wrong.stderr

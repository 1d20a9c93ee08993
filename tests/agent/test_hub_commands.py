"""What leaves a hub: a support archive without its patient, and everything, when it is wiped."""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.test_agent_process import NONIN, PLAN, keep_plan, prepare
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.mosquitto import free_port
from tests.support.ptys import serial_line, speak
from tests.support.readings import HUB, PATIENT

from bedside_agent import support_bundle
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import add_device
from bedside_sim.pty import SerialLine

SECRETS = ("073519", "2468", "Planted Person's cuff", "00112233445566778899aabbccddeeff")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with serial_line(tmp_path / "nonin") as made:
        yield made


def ran(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-c", PROGRAM, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


async def alarming_hub(state: Path, port: Path) -> None:
    """A hub whose files hold a patient: a plan, devices with secrets, and what a running one measures."""
    await asyncio.to_thread(prepare, state, free_port(), port)
    add_device(state, DeviceEntry("cuff", "bluetooth.blood_pressure", advertised_name=SECRETS[2], passkey=SECRETS[0]))
    scale = DeviceEntry(
        "scale", "bluetooth.weight_scale", address="F0:BE:D5:1D:00:09", user_index="1", consent_code=SECRETS[1]
    )
    add_device(state, scale)
    add_device(state, DeviceEntry("s400", "advert.mibeacon_scale", address="F0:BE:D5:1D:00:0A", bind_key=SECRETS[3]))
    await keep_plan(state)


async def test_a_bundle_holds_what_support_needs_and_nothing_of_the_patient(tmp_path: Path, line: SerialLine) -> None:
    state, output = tmp_path / "state", tmp_path / "bundle.tar.gz"
    await alarming_hub(state, tmp_path / "nonin")
    async with agent(state):
        await speak(line, 83, 3, pulse=127)
        await until(state, lambda report: bool(report["alarms"]))
        made = await asyncio.to_thread(ran, "bundle", "--state", str(state), "--output", str(output), "--json")
    assert made.returncode == 0, made.stderr
    assert output.stat().st_mode & 0o777 == 0o600
    with tarfile.open(output) as tar:
        files = {one.name.partition("/")[2]: _read(tar, one) for one in tar.getmembers()}
    assert set(json.loads(made.stdout)["members"]) == set(files)
    assert {"doctor.json", "machine.json", "status.json", "hub.toml", "buffer.json"} <= set(files)
    everything = b"\n".join(files.values()).decode()
    keys = (state / "buffer.key").read_text().split()[1], (state / "identity" / "key.pem").read_text().splitlines()[1]
    planted = [PATIENT, PLAN.plan_id, PLAN.emergency_number + '"', PLAN.call_back_number, "spo2", *SECRETS, *keys]
    assert [word for word in planted if word in everything] == []
    status = json.loads(files["status.json"])
    assert (status["hub_id"], status["waiting"]["alarms"]) == (HUB, 1)
    assert NONIN in {one["device_id"] for one in status["devices"]}
    assert json.loads(files["buffer.json"])["lanes"]["readings"]["stored"] == 6
    assert "(left out)" in files["hub.toml"].decode()


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert isinstance(file, io.BufferedReader)
    return file.read()


def test_a_bundle_of_a_hub_that_does_not_run_or_never_did(tmp_path: Path) -> None:
    made = ran("bundle", "--state", str(tmp_path), "--output", str(tmp_path / "b.tar.gz"))
    assert made.returncode == 0, made.stderr
    again = ran("bundle", "--state", str(tmp_path), "--output", str(tmp_path / "b.tar.gz"))
    assert again.returncode == 1
    assert "cannot be written" in again.stderr


def test_programs_that_are_not_there_or_fail_are_left_out() -> None:
    assert support_bundle.said_by(("no-such-program",)) is None
    assert support_bundle.said_by(("false",)) is None
    assert support_bundle.said_by(("echo", "x")) == b"x\n"


async def test_a_wipe_destroys_everything_and_the_keys_first(tmp_path: Path, line: SerialLine) -> None:
    state = tmp_path / "state"
    await alarming_hub(state, tmp_path / "nonin")
    async with agent(state):
        await speak(line, 97, 3)
        await until(state, lambda report: report["waiting"]["readings"] > 0)
        running = await asyncio.to_thread(ran, "wipe", "--confirm", HUB, "--lose", "--state", str(state))
        assert (running.returncode, "the agent runs" in running.stderr) == (1, True)
    before = sorted(state.rglob("*"))
    other = ran("wipe", "--confirm", "hub-9", "--lose", "--state", str(state))
    assert (other.returncode, HUB in other.stderr) == (1, True)
    unsent = ran("wipe", "--confirm", HUB, "--state", str(state))
    assert (unsent.returncode, "not in the cloud yet" in unsent.stderr) == (1, True)
    assert sorted(state.rglob("*")) == before, "nothing was touched"
    # Whoever holds a key file open sees it overwritten: the card's sectors, as far as a program can reach them.
    with (state / "buffer.key").open("rb") as keys, (state / "identity" / "key.pem").open("rb") as key:
        texts = keys.read(), key.read()
        done = ran("wipe", "--confirm", HUB, "--lose", "--state", str(state), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"] > 5
        assert json.loads(done.stdout)["cloud_told"] is False, "nobody is there to hear it"
        for file, text in zip((keys, key), texts, strict=True):
            file.seek(0)
            assert file.read() != text
    assert list(state.iterdir()) == []
    assert ran("wipe", "--confirm", HUB, "--state", str(state)).returncode == 0, "again is fine"

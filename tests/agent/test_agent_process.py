"""The agent as it is started on a hub: its own process, a serial line, a real broker, and nothing at all."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.agent_process import WAIT_SECONDS, agent, until
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.ptys import serial_line, speak
from tests.support.readings import HUB, plan, rule
from tests.support.small_disk import small_disk
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent import health
from bedside_agent.alarms import keeper
from bedside_agent.buffer.store import Store
from bedside_agent.buffer.substitute import MEMORY_VARIABLE
from bedside_agent.clock import SystemClock
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import add_device, first_text
from bedside_profiles.readings import Metric
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmState
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.status import HubState
from bedside_profiles.wire.topics import DownLane, UpLane
from bedside_sim.pty import SerialLine

CA = certificates.Authority()
REGISTRY = CA.signer()
NONIN = "nonin-1"
PLAN = plan(
    rules=(rule(metric=Metric.SPO2, side=Side.BELOW, limit=88, onset_delay_ms=0),),
    devices=(PlannedDevice(NONIN, 0),),
)


def prepare(state: Path, broker_port: int, line: Path) -> None:
    CA.write(state / "identity", CA.leaf(HUB))
    quiet = 'sound_command = "dd of=/dev/null status=none"\n'
    (state / "hub.toml").write_text(first_text(HUB, "localhost", broker_port, "bluez") + quiet)
    add_device(state, DeviceEntry(NONIN, "serial.nonin_df2", port=str(line)))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with serial_line(tmp_path / "nonin") as made:
        yield made


@pytest.mark.mosquitto
async def test_from_the_line_to_the_cloud_and_back(tmp_path: Path, line: SerialLine) -> None:
    require_mosquitto()
    broker = Mosquitto(tmp_path / "broker", CA)
    broker.start()
    state = tmp_path / "state"
    prepare(state, broker.port, tmp_path / "nonin")
    cloud = StoringCloud(HUB)
    try:
        async with at_broker(cloud, broker.port, CA, tmp_path / "cloud") as peer, agent(state) as process:
            await cloud.until(lambda: bool(cloud.statuses))
            await peer.down(DownLane.CAREPLAN, encode(REGISTRY.sign(PLAN)))
            await cloud.until(lambda: bool(cloud.replies))
            await speak(line, 97, 4)
            await speak(line, 80, 4)
            await cloud.until(lambda: cloud.count(UpLane.ALARMS) == 1)
            await until(state, lambda report: not any(report["waiting"].values()))
            (raised,) = [alarm for batch in cloud.batches for alarm in batch.alarms]
            assert (raised.state, raised.device_id, raised.value) == (AlarmState.RAISED, NONIN, 80)
            named = {one.seq for one in raised.inputs}
            sent = {one.seq: one for batch in cloud.batches for one in batch.readings}
            assert named <= set(sent)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == 0
            await cloud.until(lambda: cloud.statuses[-1].state is HubState.OFFLINE)
    finally:
        broker.stop()


async def test_without_a_network_readings_are_kept_and_alarms_raised_over_kills(
    tmp_path: Path, line: SerialLine
) -> None:
    state = tmp_path / "state"
    prepare(state, free_port(), tmp_path / "nonin")
    await keep_plan(state)
    kept = 0
    for value in (97, 80):
        async with agent(state) as process:
            await speak(line, value, 4)
            report = await until(state, lambda report, kept=kept: report["waiting"]["readings"] > kept)  # type: ignore[misc]
            assert report["connected_since_ms"] is None
            assert report["last_error"]
            kept = report["waiting"]["readings"]
            if value == 80:
                report = await until(state, lambda report: report["alarms"] == ["spo2_low"])
                assert (await until(state, lambda report: report["waiting"]["alarms"] == 1))["plan"]["version"] == 1
            process.kill()
    async with agent(state) as process:
        report = await until(state, lambda report: report["running"])
        assert report["waiting"]["readings"] >= kept
        assert report["waiting"]["alarms"] == 1
        assert report["alarms"] == ["spo2_low"], "an alarm outlives the agent"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_SECONDS) == 0
    assert not (state / health.SOCKET).exists()
    log = (state / "agent.log").read_text()
    assert "Traceback" not in log
    assert "value" not in log


async def test_a_hub_that_starts_on_a_read_only_disk_measures_and_alarms(
    tmp_path: Path, line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, str(tmp_path / "memory"))
    with small_disk(tmp_path, 20) as disk:
        state = disk / "state"
        prepare(state, free_port(), tmp_path / "nonin")
        await keep_plan(state)
        async with agent(state) as process:
            kept = await spoken(state, line, 97)
            process.kill()
        remount(disk, "ro")
        log = tmp_path / "read-only.log"
        for _ in range(2):
            async with agent(state, log=log) as process:
                # Also what was committed before the disk failed waits, and the plan is in force.
                await until(state, lambda report, kept=kept: report["waiting"]["readings"] >= kept)  # type: ignore[misc]
                kept = await spoken(state, line, 80)
                report = await until(state, lambda report: report["alarms"] == ["spo2_low", "store_failing"])
                assert "cannot be written" in report["store_error"]
                await until(state, lambda report: report["faults"] == ["store_failing"])
                process.kill()
        remount(disk, "rw")
        async with agent(state) as process:
            report = await until(state, lambda report: report["alarms"] == ["spo2_low"])
            assert report["store_error"] is None
            await until(state, lambda report: report["waiting"]["readings"] >= kept)
            process.kill()


async def spoken(state: Path, line: SerialLine, spo2: int) -> int:
    """The oximeter speaks; how many readings wait once the first of it is kept."""
    before = (await until(state, lambda report: True))["waiting"]["readings"]
    await speak(line, spo2, 4)
    waiting = (await until(state, lambda report: report["waiting"]["readings"] > before))["waiting"]
    return int(waiting["readings"])


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


async def keep_plan(state: Path, kept: CarePlan = PLAN) -> None:
    """What an earlier connection left behind."""
    store = await Store.open(state / "buffer.db", SystemClock())
    await store.put_state({keeper.PLAN: encode(REGISTRY.sign(kept))})
    await store.close()


async def test_an_agent_whose_certificate_is_damaged_still_says_how_it_is(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    prepare(state, free_port(), tmp_path / "nonin")
    async with agent(state):
        assert (await until(state, lambda report: True))["certificate_ends_ms"] is not None
        (state / "identity" / "certificate.pem").write_text("torn")
        report = await until(state, lambda report: report["certificate_ends_ms"] is None)
        assert report["hub_id"] == HUB


async def test_a_second_agent_on_the_same_state_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    prepare(state, free_port(), tmp_path / "nonin")
    async with agent(state):
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from bedside_agent.cli import main; main()", "run", "--state", str(state)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(second.communicate(), WAIT_SECONDS)
        assert second.returncode == 1
        assert b"the buffer is in use" in said
        assert b"Traceback" not in said
        await until(state, lambda report: True)


async def test_the_service_manager_hears_of_start_life_and_stop(tmp_path: Path, line: SerialLine) -> None:
    """Without a broker: what a hub tells systemd must not depend on the cloud."""
    prepare(tmp_path, free_port(), tmp_path / "nonin")
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(WAIT_SECONDS)
        async with agent(tmp_path, NOTIFY_SOCKET=str(address), WATCHDOG_USEC="300000") as process:
            said = [(await asyncio.to_thread(manager.recv, 4096)).decode() for _ in range(4)]
            assert said[0] == "READY=1"
            assert all(word.startswith("WATCHDOG=1\nSTATUS=not connected, ") for word in said[1:])
            process.send_signal(signal.SIGTERM)
            await process.wait()
            while said[-1] != "STOPPING=1":
                said.append((await asyncio.to_thread(manager.recv, 4096)).decode())
        assert process.returncode == 0


def test_the_service_loads_nothing_that_only_the_command_line_needs() -> None:
    loaded = "import sys, bedside_agent.service; print(*{name.partition('.')[0] for name in sys.modules})"
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"typer", "rich", "click", "httpx", "bumble", "statistics"} & set(modules)

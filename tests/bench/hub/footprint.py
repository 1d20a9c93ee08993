"""What the agent takes of a small computer with 20 devices and 50 readings a second: memory and processor time.

The agent is a process of its own that reads twenty oximeters through bleak's BlueZ backend, as on a Raspberry Pi, and
sends to a broker that is answered with receipts. Devices, radio and the simulated bluetoothd are another process, bus,
broker and cloud further ones: what is measured is the agent alone.
"""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.hub.footprint_devices import DEVICES, READINGS_PER_SECOND
from tests.support.bluez.bus import private_bus
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto
from tests.support.readings import HUB
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import add_device, first_text
from bedside_profiles.wire.topics import UpLane

UNIT = Path(__file__).parents[3] / "systemd" / "bedside-agent.service"
CONNECT_SECONDS = 60.0
SHORT_SECONDS, LONG_SECONDS = 30, 3600
SETTLE_SECONDS, LONG_SETTLE_SECONDS = 5, 600
"""Before the time that is measured: pages, heaps and free lists are filled once; `rss_warm_up_mb` tells with what."""

PEER, PEER_MB = "ThingsBoard IoT Gateway 3.8.3, 117 MB", 117
MOST_PERCENT = 15
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


async def measure(*, long: bool) -> list[Figure]:
    """Memory at the end, its growth over the time, and the share of one core."""
    seconds, settle_seconds = (LONG_SECONDS, LONG_SETTLE_SECONDS) if long else (SHORT_SECONDS, SETTLE_SECONDS)
    with tempfile.TemporaryDirectory(prefix="bedside-bench-", dir=Path(__file__).parent) as folder, private_bus():
        authority, cloud = Authority(), StoringCloud(HUB)
        broker = Mosquitto(Path(folder) / "broker", authority)
        broker.start()
        try:
            async with (
                at_broker(cloud, broker.port, authority, Path(folder) / "cloud"),
                _devices(Path(folder) / "journal") as addresses,
                _agent(Path(folder) / "hub", authority, broker.port, addresses) as pid,
            ):
                await _until_all_speak(cloud)
                first_mb = _rss_mb(pid)
                await asyncio.sleep(settle_seconds)
                stored, began = cloud.count(UpLane.READINGS), time.monotonic()
                rss_mb, cpu = _rss_mb(pid), _cpu_seconds(pid)
                await asyncio.sleep(seconds / 2)
                halfway_mb = _rss_mb(pid)
                await asyncio.sleep(seconds / 2)
                took = time.monotonic() - began
                rate = (cloud.count(UpLane.READINGS) - stored) / took
                percent = round(100 * (_cpu_seconds(pid) - cpu) / took, 1)
                after_mb = _rss_mb(pid)
        finally:
            broker.stop()
    return [
        Figure("rss_mb", after_mb, "MB", PEER, round(after_mb / PEER_MB, 3)),
        Figure("rss_warm_up_mb", round(rss_mb - first_mb, 1), f"MB in the {settle_seconds} s before"),
        Figure("rss_growth_mb", round(after_mb - rss_mb, 1), "MB"),
        Figure("rss_growth_late_mb", round(after_mb - halfway_mb, 1), "MB in the second half"),
        Figure("cpu_percent", percent, "% of a core", "the bound of 15", round(percent / MOST_PERCENT, 3)),
        Figure("readings_per_s", round(rate, 1), "1/s", f"the wanted {READINGS_PER_SECOND}", round(rate / 50, 3)),
    ]


async def _until_all_speak(cloud: StoringCloud) -> None:
    async with asyncio.timeout(CONNECT_SECONDS):
        while len({one.device_id for batch in cloud.batches for one in batch.readings}) < DEVICES:
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _devices(journal: Path) -> AsyncIterator[dict[str, str]]:
    """Device id → address, once bluetoothd is on the bus."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.hub.footprint_devices", str(journal), stdout=PIPE
    )
    assert child.stdout is not None
    try:
        yield json.loads(await child.stdout.readline())
    finally:
        child.kill()
        await child.wait()


@asynccontextmanager
async def _agent(state: Path, authority: Authority, broker_port: int, addresses: dict[str, str]) -> AsyncIterator[int]:
    authority.write(state / "identity", authority.leaf(HUB))
    slots = f"connection_slots = {DEVICES}\n"
    quiet = 'sound_command = "dd of=/dev/null status=none"\n'
    (state / "hub.toml").write_text(first_text(HUB, "localhost", broker_port, "bluez") + quiet + slots)
    for device_id, address in addresses.items():
        add_device(state, DeviceEntry(device_id, "bluetooth.pulse_oximeter", address=address))
    run = "from bedside_agent.main import main; main()"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", run, "run", "--state", str(state)),
        stderr=(state / "log").open("ab"),
        env={**os.environ, **_units_environment()},
    )
    try:
        yield child.pid
    finally:
        child.terminate()
        await child.wait()


def _units_environment() -> dict[str, str]:
    """What the hub's service has in its environment: the allocator's settings are part of what is measured."""
    (line,) = re.findall(r"(?m)^Environment=(.*)$", UNIT.read_text())
    return dict(setting.split("=", 1) for setting in line.split())


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

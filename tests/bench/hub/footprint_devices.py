"""A child process with twenty simulated oximeters, their air, the adapter and a bluetoothd on the system bus.

`python -m tests.bench.hub.footprint_devices JOURNAL`: prints the devices' addresses as one JSON line when all is there,
then lets each say three values a tick until it is ended.
"""

import asyncio
import json
import sys
from pathlib import Path

from tests.support.bluez.daemon import Daemon

from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import AdapterServer, Air
from bedside_sim.world import World, WorldSettings

DEVICES = 20
READINGS_PER_SECOND = 50
TICK_SECONDS = 3 * DEVICES / READINGS_PER_SECOND


async def run(journal_path: Path) -> None:
    air, journal = Air(), Journal(journal_path)
    devices = [
        PulseOximeter(air, journal, device_id=f"oximeter-{one}", address=f"C0:00:00:00:00:{one:02X}")
        for one in range(DEVICES)
    ]
    for device in devices:
        await device.start()
    adapter = await AdapterServer.start(air, 0)
    await Daemon.start(adapter.port)
    sys.stdout.write(json.dumps({device.device_id: device.address for device in devices}) + "\n")
    sys.stdout.flush()
    await World(WorldSettings(1, tick_seconds=TICK_SECONDS), air, devices).run()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))

"""What a technician asks of devices, over the virtual link."""

import asyncio
import random
from contextlib import closing, nullcontext
from pathlib import Path

from tests.support.clock import ManualClock
from tests.support.shelf import Shelf
from tests.support.virtual_radio import OXIMETER, in_process_central, until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.station import Station
from bedside_agent.collect.watch import Watch
from bedside_agent.operations import DeviceOperations
from bedside_agent.serial.lines import open_line
from bedside_profiles.bluetooth import pulse_oximeter
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import Air


async def test_a_repair_that_fails_says_why_also_when_the_device_has_just_said_something(tmp_path: Path) -> None:
    air, entries = Air(), (DeviceEntry("oximeter", pulse_oximeter.NAME, address=OXIMETER),)
    watch = Watch(Shelf(), lambda _notice: None)
    with closing(Journal(tmp_path / "journal")) as journal:
        oximeter = PulseOximeter(air, journal, device_id="oximeter", address=OXIMETER)
        await oximeter.start()
        async with in_process_central(air) as central:
            station = Station(
                entries,
                central=central,
                open_port=open_line,
                sink=watch,
                clock=ManualClock(),
                report=watch.note,
                jitter=random.Random(1),
            )
            running = asyncio.create_task(station.run())
            await until(lambda: station.statuses()[0].link is LinkState.CONNECTED)
            operations = DeviceOperations(station, watch, central, lambda: entries, lambda _device: nullcontext())
            reports = operations.repair({"device_id": "oximeter", "seconds": 2})
            first = asyncio.ensure_future(anext(reports))
            await asyncio.sleep(0)
            oximeter.vanish()
            said = (Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS),)
            await watch.take("oximeter", said, ManualClock().now())
            last = [await first, *[report async for report in reports]][-1]
            assert last["ok"] is False
            assert last["problem"]
            assert last["fix"]
            running.cancel()
            await asyncio.wait({running})
        await oximeter.stop()

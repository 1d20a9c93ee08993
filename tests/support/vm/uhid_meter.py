"""Inside the small machine: a simulated Contour meter as a HID device of the kernel's, read by the hub's own code.

`python -m tests.support.vm.uhid_meter COUNT` prints JSON: the `usb_id` under which the meter was found, its `node`, the
values in its `memory`, those that were `heard`, and how often the hub said what the meter does not know (`harm`).
"""

import asyncio
import json
import os
import random
import struct
import sys

from tests.support.sessions import Recorder, Told, now_without_wall_time

from bedside_agent.serial.hid_reports import REPORT_BYTES, content_of, reports_of
from bedside_agent.serial.lines import open_line
from bedside_agent.serial.session import SerialSession
from bedside_agent.serial.usb import adapters, at_usb_id
from bedside_profiles.profile import Decoded
from bedside_profiles.readings import Metric
from bedside_profiles.serial import bayer_contour
from bedside_sim.devices.serial_sets import KINDS
from bedside_sim.devices.serial_sides import side_of

# Of <linux/uhid.h>.
CREATE2, INPUT2, OUTPUT = 11, 12, 6
USB_BUS = 3
SERIAL_NUMBER = "7390H2471234"
DESCRIPTOR = bytes.fromhex("0600ff0901a1010901150026ff007508954081020902750895409102c0")
"""A vendor's page, one report of 64 bytes each way, without numbers."""

EVENT_BYTES = 4380


class Meter:
    """The meter's side of /dev/uhid."""

    def __init__(self, results: int) -> None:
        self.side = side_of(bayer_contour.PROFILE)
        self.memory: list[float] = []
        for number in range(results):
            values = {Metric.GLUCOSE: 100.0 + number}
            self.side.measured(KINDS[bayer_contour.NAME].of(values, number), float(number))
            self.memory.append(100.0 + number)
        self._uhid = os.open("/dev/uhid", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        names = struct.pack("<128s64s64s", b"Sim Contour", b"sim/input0", SERIAL_NUMBER.encode())
        numbers = struct.pack("<HHIIII", len(DESCRIPTOR), USB_BUS, 0x1A79, 0x6002, 0, 0)
        self._write(CREATE2, names + numbers + DESCRIPTOR.ljust(4096, b"\0"))
        asyncio.get_running_loop().add_reader(self._uhid, self._hear)

    def _write(self, kind: int, content: bytes) -> None:
        os.write(self._uhid, struct.pack("<I", kind) + content)

    def _say(self, data: bytes) -> None:
        for report in reports_of(data):
            self._write(INPUT2, struct.pack("<H", len(report)) + report)

    def _hear(self) -> None:
        event = os.read(self._uhid, EVENT_BYTES)
        (kind,) = struct.unpack_from("<I", event)
        # It does not know that its node was opened: only what is written to it makes it begin.
        if kind == OUTPUT:
            (size,) = struct.unpack_from("<H", event, 4 + 4096)
            report = event[4 : 4 + size]
            self._say(self.side.hear(content_of(report[size - REPORT_BYTES :]), 0.0))


async def main(results: int) -> None:
    meter = Meter(results)
    async with asyncio.timeout(60):
        while not (found := [one for one in adapters() if one.serial_number == SERIAL_NUMBER]):
            await asyncio.sleep(0.1)
        ear = Recorder()
        session = SerialSession(
            at_usb_id(str(found[0])),
            bayer_contour.PROFILE,
            open_line,
            ear,
            Told(),
            moment=now_without_wall_time,
            jitter=random.Random(1),
        )
        running = asyncio.create_task(session.run())
        heard: list[float | None] = []
        while len(heard) < results:
            await asyncio.sleep(0.1)
            framer = bayer_contour.PROFILE.framer()
            outcomes = [one for payload, _ in ear.heard for one in framer.feed(payload)]
            heard = [m.value for one in outcomes if isinstance(one, Decoded) for m in one.measurements]
        running.cancel()
        await asyncio.wait({running})
    said = {"usb_id": str(found[0]), "node": found[0].name, "memory": meter.memory, "heard": heard}
    sys.stdout.write(json.dumps({**said, "harm": meter.side.harm}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""The agent's real radio code over a virtual adapter: in this process, or through HCI over TCP."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bumble.transport.common import AsyncPipeSink, BaseSource, Transport

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.bumble_central import BumbleRadio, transport_opener
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import AdapterServer, Air, VirtualController

OXIMETER, CUFF = "F0:BE:D5:1D:00:01", "F0:BE:D5:1D:00:02"

PATIENCE_SECONDS = 10.0
"""A limit for what takes milliseconds: only a broken test waits so long."""


class _PluggedIn(BaseSource):
    """A controller in this process as the source of a transport."""

    def __init__(self, air: Air) -> None:
        super().__init__()
        self.controller = VirtualController("adapter", link=air)

    def set_packet_sink(self, sink: object) -> None:
        self.controller.set_packet_sink(sink)  # type: ignore[arg-type]

    def close(self) -> None:
        self.controller.host = None
        if self.controller in self.controller.link.controllers:
            air = self.controller.link
            assert isinstance(air, Air)
            air.take_away(self.controller)


@asynccontextmanager
async def in_process_central(air: Air, keys: Path | None = None) -> AsyncIterator[BleakCentral]:
    """bleak over Bumble with the adapter on `air`, and the file for the keys of its bonds."""

    async def plug_in() -> Transport:
        source = _PluggedIn(air)
        return Transport(source, AsyncPipeSink(source.controller))

    radio = BumbleRadio(plug_in, jitter=random.Random(1), keys=keys)
    central = BleakCentral(radio)
    await asyncio.wait_for(radio.ready(), PATIENCE_SECONDS)
    try:
        yield central
    finally:
        await central.close()


@asynccontextmanager
async def tcp_central(air: Air) -> AsyncIterator[tuple[BleakCentral, AdapterServer, BumbleRadio]]:
    """bleak over Bumble with the adapter behind HCI over TCP, as between two processes."""
    server = await AdapterServer.start(air, 0)
    radio = BumbleRadio(transport_opener(f"tcp-client:127.0.0.1:{server.port}"), jitter=random.Random(1))
    central = BleakCentral(radio)
    await asyncio.wait_for(radio.ready(), PATIENCE_SECONDS)
    try:
        yield central, server, radio
    finally:
        await central.close()
        await server.stop()


@asynccontextmanager
async def secured(air: Air, folder: Path, passkey: int | None = None) -> AsyncIterator[PulseOximeter]:
    """An oximeter at `OXIMETER` that hands over nothing without a bond, made with the passkey or without."""
    journal = Journal(folder / "secured")
    device = PulseOximeter(air, journal, device_id="oximeter", address=OXIMETER)
    device.secure(passkey=passkey)
    await device.start()
    try:
        yield device
    finally:
        await device.stop()
        journal.close()


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Let the event loop work until `condition` holds; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)

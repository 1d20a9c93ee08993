"""bleak's own BlueZ backend with the simulated bluetoothd: in this process, or as a process that can be killed."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbus_fast import BusType
from dbus_fast.aio import MessageBus
from tests.support.bluez.bus import private_bus, require_dbus
from tests.support.bluez.daemon import TEMPORARY_SECONDS, Daemon

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_sim.radio import AdapterServer, Air

START_SECONDS = 20.0


@asynccontextmanager
async def bluez_central(
    air: Air, *, temporary_seconds: float = TEMPORARY_SECONDS
) -> AsyncIterator[tuple[BleakCentral, AdapterServer]]:
    """A central as a Pi has it. Its bluetoothd lives in this process, and its adapter is on `air`."""
    require_dbus()
    server = await AdapterServer.start(air, 0)
    async with system_bus():
        daemon = await Daemon.start(server.port, temporary_seconds=temporary_seconds)
        central = BleakCentral()
        try:
            yield central, server
        finally:
            await central.close()
            await daemon.stop()
    await server.stop()


@asynccontextmanager
async def faulty_bluez(air: Air) -> AsyncIterator[tuple[BleakCentral, Daemon]]:
    """A central as a Pi has it, and the bluetoothd whose adapter can be made to fail."""
    require_dbus()
    server = await AdapterServer.start(air, 0)
    async with system_bus():
        daemon = await Daemon.start(server.port)
        central = BleakCentral(name="bluez")
        try:
            yield central, daemon
        finally:
            await central.close()
            await daemon.stop()
    await server.stop()


@asynccontextmanager
async def killable_bluez(air: Air) -> AsyncIterator["BluezProcess"]:
    """A bluetoothd of its own on a bus of its own; `DBUS_SYSTEM_BUS_ADDRESS` names it meanwhile."""
    require_dbus()
    server = await AdapterServer.start(air, 0)
    async with system_bus():
        bluez = BluezProcess(server.port)
        await bluez.start()
        try:
            yield bluez
        finally:
            await bluez.kill()
    await server.stop()


class BluezProcess:
    """The simulated bluetoothd as a child process."""

    def __init__(self, hci_port: int) -> None:
        self._hci_port = hci_port
        self._process: Process | None = None

    async def start(self) -> None:
        """Return when it is on the bus."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.bluez.daemon", str(self._hci_port), stdout=PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            assert await self._process.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        """SIGKILL: nobody is told of anything. Nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.communicate()

    def hang(self) -> None:
        """It stays on the bus and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


@asynccontextmanager
async def system_bus() -> AsyncIterator[None]:
    """A private bus, and afterwards bleak's own connection to it, which bleak keeps for ever, has seen it end."""
    with private_bus():
        witness = await MessageBus(bus_type=BusType.SYSTEM).connect()
        yield
    with contextlib.suppress(EOFError, OSError):
        await witness.wait_for_disconnect()  # type: ignore[no-untyped-call]
    for _ in range(5):
        await asyncio.sleep(0)

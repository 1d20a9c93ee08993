"""A bluetoothd for machines without Bluetooth: org.bluez on the system bus, over a virtual adapter's HCI.

bleak's BlueZ backend works with it unchanged. What is not here: passive scans, AcquireNotify, and that BlueZ pairs by
itself when a device refuses an operation for want of a bond. Bonds live as long as the process.
`python -m tests.support.bluez.daemon HCI_PORT` is one as a process of its own; it says `ready` on a line, and lives
until it is killed.
"""

import asyncio
import contextlib
import sys

from bumble import hci
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.keys import MemoryKeyStore
from bumble.transport import open_transport
from bumble.transport.common import Transport
from dbus_fast import BusType, DBusError, Message, MessageType, NameFlag, RequestNameReply
from dbus_fast.aio import MessageBus
from tests.support.bluez.adapter import HostAdapter
from tests.support.bluez.agents import MANAGER_PATH, AgentManager
from tests.support.bluez.gatt import CALLER

OWN_ADDRESS = "C0:BE:D5:1D:E0:02"
TEMPORARY_SECONDS = 30.0
REOPEN_SECONDS = 0.05


class Daemon:
    """Make it with `start`; it owns `org.bluez` until `stop`. There may be one on a bus."""

    def __init__(self, bus: MessageBus, hci_port: int, temporary_seconds: float) -> None:
        self._bus = bus
        self._hci_port = hci_port
        self._temporary_seconds = temporary_seconds
        self._adapter: HostAdapter | None = None
        self._agents = AgentManager(bus)
        self._keys = MemoryKeyStore()
        self._up = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()
        self._keeping = asyncio.create_task(self._keep_adapter())

    @classmethod
    async def start(cls, hci_port: int, *, temporary_seconds: float = TEMPORARY_SECONDS) -> "Daemon":
        """It is on the bus with its adapter powered on. The adapter is HCI over TCP on this machine."""
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        daemon = cls(bus, hci_port, temporary_seconds)
        bus.export(MANAGER_PATH, daemon._agents)
        bus.add_message_handler(daemon._before)
        await daemon._up.wait()
        await bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''"],
            )
        )
        reply = await bus.request_name("org.bluez", NameFlag.DO_NOT_QUEUE)
        assert reply is RequestNameReply.PRIMARY_OWNER, "somebody else is org.bluez on this bus"
        return daemon

    @property
    def adapter(self) -> HostAdapter:
        """The adapter that is plugged in."""
        assert self._adapter is not None
        return self._adapter

    async def stop(self) -> None:
        """Leave the bus and the adapter as a process does that ends."""
        self._bus.disconnect()
        with contextlib.suppress(EOFError):  # the bus may have ended first
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        if self._leaving:
            await asyncio.wait(self._leaving)
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    def _before(self, message: Message) -> None:
        """Who calls, and whether what is called exists; who has left the bus."""
        if message.message_type is MessageType.METHOD_CALL and message.sender is not None:
            CALLER.set(message.sender)
            known = self._adapter.exported if self._adapter is not None else set()
            if (message.path or "").startswith("/org/bluez/") and message.path not in known:
                raise DBusError("org.freedesktop.DBus.Error.UnknownObject", f"{message.path} does not exist")
        elif message.member == "NameOwnerChanged" and self._adapter is not None and not message.body[2]:
            self._agents.forget(message.body[0])
            task = asyncio.create_task(self._adapter.forget_program(message.body[0]))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _keep_adapter(self) -> None:
        """Plugged in, unplugged and plugged in again: its objects come and go with the transport."""
        while True:
            with contextlib.suppress(OSError):
                transport = await open_transport(f"tcp-client:127.0.0.1:{self._hci_port}")
                try:
                    await self._serve(transport)
                finally:
                    await transport.close()
            await asyncio.sleep(REOPEN_SECONDS)

    async def _serve(self, transport: Transport) -> None:
        host = Host(transport.source, transport.sink)
        radio = Device(config=DeviceConfiguration(name="hci0", address=hci.Address(OWN_ADDRESS)), host=host)
        radio.keystore = self._keys
        await radio.power_on()
        adapter = HostAdapter(self._bus, radio, self._agents, temporary_seconds=self._temporary_seconds)
        adapter.export(adapter.path, adapter)
        self._adapter = adapter
        self._up.set()
        try:
            await transport.source.terminated
        finally:
            self._adapter = None
            adapter.unplugged()


async def run(hci_port: int) -> None:
    """A process's whole life."""
    await Daemon.start(hci_port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))

"""A bluetoothd for machines without Bluetooth: org.bluez on the system bus, over a virtual adapter's HCI.

bleak's BlueZ backend works with it unchanged. What is not here: passive scans, AcquireNotify, and that BlueZ pairs by
itself when a device refuses an operation for want of a bond. Bonds live as long as the process.
`python -m tests.support.bluez.daemon HCI_PORT` is one as a process of its own; it says `ready` on a line, and lives
until it is killed.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence

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

OWN_ADDRESSES = ("C0:BE:D5:1D:E0:02", "C0:BE:D5:1D:E0:03")
TEMPORARY_SECONDS = 30.0
REOPEN_SECONDS = 0.05


class Daemon:
    """Make it with `start`; it owns `org.bluez` until `stop`. There may be one on a bus."""

    def __init__(self, bus: MessageBus, hci_ports: Sequence[int], temporary_seconds: float) -> None:
        self._bus = bus
        self._temporary_seconds = temporary_seconds
        self._adapters: dict[str, HostAdapter] = {}
        self._agents = AgentManager(bus)
        self._keys = MemoryKeyStore()
        self._up = {f"hci{place}": asyncio.Event() for place in range(len(hci_ports))}
        self._leaving: set[asyncio.Task[None]] = set()
        self._keeping = [
            asyncio.create_task(self._keep_adapter(f"hci{place}", port, OWN_ADDRESSES[place]))
            for place, port in enumerate(hci_ports)
        ]

    @classmethod
    async def start(cls, *hci_ports: int, temporary_seconds: float = TEMPORARY_SECONDS) -> "Daemon":
        """It is on the bus with its adapters powered on: hci0 and so on, each HCI over TCP on this machine."""
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        daemon = cls(bus, hci_ports, temporary_seconds)
        bus.export(MANAGER_PATH, daemon._agents)
        bus.add_message_handler(daemon._before)
        for up in daemon._up.values():
            await up.wait()
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
        """The first adapter, which is plugged in."""
        return self._adapters["hci0"]

    async def stop(self) -> None:
        """Leave the bus and the adapter as a process does that ends."""
        self._bus.disconnect()
        with contextlib.suppress(EOFError):  # the bus may have ended first
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        if self._leaving:
            await asyncio.wait(self._leaving)
        for keeping in self._keeping:
            keeping.cancel()
        await asyncio.wait(self._keeping)

    def _before(self, message: Message) -> None:
        """Who calls, and whether what is called exists; who has left the bus."""
        if message.message_type is MessageType.METHOD_CALL and message.sender is not None:
            CALLER.set(message.sender)
            known = {path for adapter in self._adapters.values() for path in adapter.exported}
            if (message.path or "").startswith("/org/bluez/") and message.path not in known:
                raise DBusError("org.freedesktop.DBus.Error.UnknownObject", f"{message.path} does not exist")
        elif message.member == "NameOwnerChanged" and not message.body[2]:
            self._agents.forget(message.body[0])
            for adapter in self._adapters.values():
                task = asyncio.create_task(adapter.forget_program(message.body[0]))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def _keep_adapter(self, name: str, hci_port: int, address: str) -> None:
        """Plugged in, unplugged and plugged in again: its objects come and go with the transport."""
        while True:
            with contextlib.suppress(OSError):
                transport = await open_transport(f"tcp-client:127.0.0.1:{hci_port}")
                try:
                    await self._serve(transport, name, address)
                finally:
                    await transport.close()
            await asyncio.sleep(REOPEN_SECONDS)

    async def _serve(self, transport: Transport, name: str, address: str) -> None:
        host = Host(transport.source, transport.sink)
        radio = Device(config=DeviceConfiguration(name=name, address=hci.Address(address)), host=host)
        radio.keystore = self._keys
        await radio.power_on()
        adapter = HostAdapter(
            self._bus, radio, self._agents, path=f"/org/bluez/{name}", temporary_seconds=self._temporary_seconds
        )
        adapter.export(adapter.path, adapter)
        self._adapters[name] = adapter
        self._up[name].set()
        try:
            await transport.source.terminated
        finally:
            del self._adapters[name]
            adapter.unplugged()


async def run(hci_port: int) -> None:
    """A process's whole life."""
    await Daemon.start(hci_port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))

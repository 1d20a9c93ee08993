"""What bleak does not tell of BlueZ: that it left the bus, that its adapter went off, that it forgot a device.

bleak goes on saying "connected" after bluetoothd has died, and a scan that was running then stays silent for ever. It
also does not look for devices that BlueZ kept connected when the program that connected them died: such a device does
not advertise, and nobody would find it. So the bus is asked directly.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from dbus_fast import AuthError, BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

ANSWER_SECONDS = 5.0

_BLUEZ = "org.bluez"
_DEVICE, _ADAPTER = "org.bluez.Device1", "org.bluez.Adapter1"
_OBJECTS, _PROPERTIES = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"

_RULES = (
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_BLUEZ}'",
    f"type='signal',sender='{_BLUEZ}',interface='{_OBJECTS}',member='InterfacesRemoved'",
    # Only the adapter's: the devices' properties change with every advertisement.
    f"type='signal',sender='{_BLUEZ}',interface='{_PROPERTIES}',member='PropertiesChanged',arg0='{_ADAPTER}'",
)


class BluezWatch:
    """`on_gone` is told a reason, and the address of the one device that is concerned; None when all are.

    `adapter` is the name of the one that is watched, such as `hci1`; None for all that there are.
    """

    def __init__(self, on_gone: Callable[[str, str | None], None], adapter: str | None = None) -> None:
        self._on_gone = on_gone
        self._root = "/org/bluez/" if adapter is None else f"/org/bluez/{adapter}"
        self._bus: MessageBus | None = None
        self._ending: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()

    async def begin(self) -> None:
        """Watch from now on, if it does not already. Raises OSError, EOFError or TimeoutError without a bus.

        A bus that ends is told as all being gone; then this must be called again.
        """
        async with self._beginning:
            if self._bus is not None:
                return
            bus = MessageBus(bus_type=BusType.SYSTEM)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await bus.connect()
                    bus.add_message_handler(self._hear)
                    for rule in _RULES:
                        await _call(bus, "AddMatch", "s", [rule])
            except AuthError as error:
                bus.disconnect()
                raise ConnectionError(f"the system bus refuses this program: {error}") from error
            except BaseException:
                # What was opened for the attempt is given back by this alone, connected or not.
                bus.disconnect()
                raise
            self._bus = bus
            self._ending = asyncio.create_task(self._until_ended(bus))

    async def connected(self) -> frozenset[str]:
        """The addresses that BlueZ itself says are connected now. Raises as `begin`."""
        if self._bus is None:
            return frozenset()
        async with asyncio.timeout(ANSWER_SECONDS):
            objects = await self._objects(self._bus)
        devices = [interfaces[_DEVICE] for interfaces in objects.values() if _DEVICE in interfaces]
        return frozenset(device["Address"].value for device in devices if device["Connected"].value)

    async def power_cycle(self) -> None:
        """Switch the adapter off and on, without a limit of time. Raises as `begin`, and when BlueZ refuses."""
        if self._bus is None:
            return
        adapters = [path for path, interfaces in (await self._objects(self._bus)).items() if _ADAPTER in interfaces]
        if not adapters:
            raise ConnectionError("there is no adapter")
        for path in adapters:
            for on in (False, True):
                body = [_ADAPTER, "Powered", Variant("b", on)]
                await _call(self._bus, "Set", "ssv", body, destination=_BLUEZ, path=path, interface=_PROPERTIES)

    async def _objects(self, bus: MessageBus) -> dict[str, Any]:
        """BlueZ's objects that belong to the adapter, by their paths."""
        (objects,) = await _call(bus, "GetManagedObjects", destination=_BLUEZ, path="/", interface=_OBJECTS)
        return {path: interfaces for path, interfaces in objects.items() if self._is_mine(path)}

    def _is_mine(self, path: str) -> bool:
        return f"{path}/".startswith(self._root if self._root.endswith("/") else f"{self._root}/")

    async def close(self) -> None:
        """Watch no more; nothing is told of it."""
        bus, self._bus = self._bus, None
        if bus is not None and self._ending is not None:
            bus.disconnect()
            await asyncio.wait({self._ending})

    async def _until_ended(self, bus: MessageBus) -> None:
        # How it ended does not matter: without a bus nothing is known of any device.
        with contextlib.suppress(OSError, EOFError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        if self._bus is bus:
            self._bus = None
            self._on_gone("the system bus ended", None)

    def _hear(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged":
            name, before, _ = message.body
            if name == _BLUEZ and before:
                self._on_gone("bluetoothd left the bus", None)
        elif message.member == "InterfacesRemoved":
            path, interfaces = message.body
            if not self._is_mine(path):
                return
            if _ADAPTER in interfaces:
                self._on_gone("the adapter was removed", None)
            elif _DEVICE in interfaces:
                self._on_gone("bluetoothd forgot the device", _address(path))
        elif message.member == "PropertiesChanged":
            interface, changed, _ = message.body
            if not self._is_mine(message.path or ""):
                return
            if interface == _ADAPTER and "Powered" in changed and not changed["Powered"].value:
                self._on_gone("the adapter was switched off", None)


async def _call(
    bus: MessageBus,
    member: str,
    signature: str = "",
    body: list[Any] | None = None,
    *,
    destination: str = "org.freedesktop.DBus",
    path: str = "/org/freedesktop/DBus",
    interface: str = "org.freedesktop.DBus",
) -> list[Any]:
    reply = await bus.call(
        Message(
            destination=destination, path=path, interface=interface, member=member, signature=signature, body=body or []
        )
    )
    if reply.message_type is MessageType.ERROR:
        raise ConnectionError(f"{member}: {reply.error_name}")
    return reply.body


def _address(path: str) -> str:
    """`/org/bluez/hci0/dev_F0_BE_D5_1D_00_01` → `F0:BE:D5:1D:00:01`."""
    return path.rpartition("/dev_")[2].replace("_", ":")

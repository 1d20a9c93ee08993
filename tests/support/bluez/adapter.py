"""BlueZ's adapter: Adapter1, discovery for whoever asks, and the devices that were heard."""

import asyncio
from typing import Any

from bumble import hci
from bumble.device import Advertisement, Connection, Device
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig
from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusDict, DBusObjectPath, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property
from tests.support.bluez.agents import AgentManager
from tests.support.bluez.device import RemoteDevice
from tests.support.bluez.gatt import CALLER, READ, Strings
from tests.support.bluez.refusals import in_progress, not_ready, refusal

SCAN_PERIOD_SECONDS = 10.24
"""A device is told of once in so long, as the kernel's filter of duplicates has it, unless they are asked for."""


class HostAdapter(ServiceInterface):
    """See BlueZ's doc/org.bluez.Adapter.rst.

    `temporary_seconds`: a device that is neither connected nor heard for so long is removed from the bus.
    """

    def __init__(
        self, bus: MessageBus, radio: Device, agents: AgentManager, *, path: str, temporary_seconds: float
    ) -> None:
        super().__init__("org.bluez.Adapter1")
        self.path = path
        self.exported: set[str] = set()
        self._bus = bus
        self._radio = radio
        self._agents = agents
        self._temporary_seconds = temporary_seconds
        self._on = True
        self._here = True
        self.is_wedged = False
        """It refuses every scan and connection with InProgress, until it is switched off and on."""
        self.is_deaf = False
        """It scans and hears nobody, until it is switched off and on."""
        self.is_broken = False
        """Switching it off and on does not help either of them."""
        self.switched = 0
        self._searching: set[str] = set()
        self._filters: dict[str, dict[str, Any]] = {}
        self._told_at: dict[str, float] = {}
        self._devices: dict[str, RemoteDevice] = {}
        self._forgetting: dict[str, asyncio.TimerHandle] = {}
        self._connecting = asyncio.Lock()
        radio.on(radio.EVENT_ADVERTISEMENT, self._on_advertisement)

    @property
    def powered(self) -> bool:
        """Whether it may be used."""
        return self._on

    @property
    def busy(self) -> bool:
        """Whether a connection is refused with InProgress."""
        return self.is_wedged

    @property
    def keys(self) -> KeyStore:
        """The keys of all bonds."""
        assert self._radio.keystore is not None
        return self._radio.keystore

    def configuration(self, device_path: str, caller: str | None) -> PairingConfig | None:
        """How to pair with a device; None when nobody can be asked."""
        return self._agents.configuration(device_path, caller)

    async def connect(self, address: hci.Address) -> Connection:
        """Connect without a limit of time; when cancelled, the attempt is taken back."""
        async with self._connecting:
            task = asyncio.ensure_future(self._radio.connect(address, timeout=None))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await self._take_back(task)
                raise
            finally:
                # The kernel stops its scan for an attempt, and the filter of duplicates begins anew.
                self._told_at.clear()

    def export(self, path: str, interface: ServiceInterface) -> None:
        """Put an object on the bus."""
        self.exported.add(path)
        self._bus.export(path, interface)

    def unexport(self, path: str) -> None:
        """Take an object from the bus."""
        self.exported.discard(path)
        self._bus.unexport(path)

    async def forget_program(self, caller: str) -> None:
        """The program is gone from the bus: it searches no more and listens no more."""
        self._searching.discard(caller)
        self._filters.pop(caller, None)
        await self._scan_while_wanted()
        for device in list(self._devices.values()):
            await device.forget(caller)

    def unplugged(self) -> None:
        """There is no radio any more: all links have ended, and nothing is left on the bus."""
        self._here = False
        for path in list(self._devices):
            self._remove(path).lost()
        self.unexport(self.path)

    @dbus_method(name="StartDiscovery")
    async def start_discovery(self) -> None:
        if not self._on:
            raise not_ready()
        caller = CALLER.get()
        if self.is_wedged or caller in self._searching:
            raise in_progress()
        self._searching.add(caller)
        self._told_at.clear()
        await self._scan_while_wanted()
        self.emit_properties_changed({"Discovering": True})

    @dbus_method(name="StopDiscovery")
    async def stop_discovery(self) -> None:
        if not self._on:
            raise not_ready()
        if CALLER.get() not in self._searching:
            raise refusal("Failed", "No discovery started")
        self._searching.discard(CALLER.get())
        await self._scan_while_wanted()
        self.emit_properties_changed({"Discovering": bool(self._searching)})

    @dbus_method(name="SetDiscoveryFilter")
    def set_discovery_filter(self, wanted: DBusDict) -> None:
        self._filters[CALLER.get()] = {name: value.value for name, value in wanted.items()}

    @dbus_method(name="RemoveDevice")
    async def remove_device(self, path: DBusObjectPath) -> None:
        if path not in self._devices:
            raise refusal("DoesNotExist", "Does Not Exist")
        device = self._remove(path)
        await device.forget_bond()
        await device.release()

    async def _scan_while_wanted(self) -> None:
        wanted = self._on and self._here and bool(self._searching)
        if wanted and not self._radio.is_scanning:
            await self._radio.start_scanning(active=True, filter_duplicates=False)
        elif not wanted and self._radio.is_scanning and self._here:
            await self._radio.stop_scanning()

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        if not self._on or not self._searching or self.is_deaf:
            return
        path = f"{self.path}/dev_{advertisement.address.to_string(False).replace(':', '_')}"
        now = asyncio.get_running_loop().time()
        self._forget_later(path)
        if now < self._told_at.get(path, float("-inf")) + SCAN_PERIOD_SECONDS and not self._duplicates_wanted():
            return
        device = self._devices.get(path)
        if device is not None:
            device.hear(advertisement)
        elif self._is_wanted(candidate := RemoteDevice(self, path, advertisement)):
            self._devices[path] = candidate
            self._recalling = asyncio.create_task(candidate.recall())
            self.export(path, candidate)
        else:
            return
        self._told_at[path] = now

    def _is_wanted(self, device: RemoteDevice) -> bool:
        wanted = [set(self._filters.get(caller, {}).get("UUIDs", [])) for caller in self._searching]
        return any(not uuids or uuids & set(device.uuids) for uuids in wanted)

    def _duplicates_wanted(self) -> bool:
        return any(self._filters.get(caller, {}).get("DuplicateData", True) for caller in self._searching)

    def _forget_later(self, path: str) -> None:
        if path in self._forgetting:
            self._forgetting[path].cancel()
        loop = asyncio.get_running_loop()
        self._forgetting[path] = loop.call_later(self._temporary_seconds, self._forget_if_idle, path)

    def _forget_if_idle(self, path: str) -> None:
        device = self._devices.get(path)
        if device is not None and device.is_idle:
            self._remove(path)
        elif device is not None:
            self._forget_later(path)

    def _remove(self, path: str) -> RemoteDevice:
        """Off the bus before its link ends: nobody is told that it is not connected any more."""
        self._told_at.pop(path, None)
        self._forgetting.pop(path).cancel()
        self.unexport(path)
        return self._devices.pop(path)

    async def _take_back(self, task: asyncio.Task[Connection]) -> None:
        """An attempt left pending in the controller would refuse every later one."""
        if not self._here:
            task.cancel()
            return
        await self._radio.cancel_connection()  # type: ignore[no-untyped-call]
        await asyncio.wait({task})
        if task.exception() is None:
            await task.result().disconnect()

    async def _switch(self, on: bool) -> None:
        self._on = on
        self.switched += 1
        if not self.is_broken:
            self.is_wedged = self.is_deaf = False
        if not on:
            self._searching.clear()
            await self._scan_while_wanted()
            for device in list(self._devices.values()):
                await device.release()
                device.lost()
            self.emit_properties_changed({"Discovering": False})
        self.emit_properties_changed({"Powered": on})

    @dbus_property(READ, name="Address")
    def address(self) -> DBusStr:
        return str(self._radio.random_address.to_string(False))

    @dbus_property(PropertyAccess.READWRITE, name="Powered")
    async def powered_now(self) -> DBusBool:
        return self._on

    @powered_now.setter
    async def set_powered(self, on: DBusBool) -> None:
        await self._switch(on)

    @dbus_property(READ, name="Discovering")
    def discovering(self) -> DBusBool:
        return bool(self._searching)

    @dbus_property(READ, name="Roles")
    def roles(self) -> Strings:
        return ["central", "peripheral"]

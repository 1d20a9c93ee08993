"""A simulated org.freedesktop.NetworkManager: one Wi-Fi card and the air around it, with the parts that the hub uses.

Its members are held to NetworkManager's own descriptions (`tests/agent/wifi/test_real_network_manager.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from dbus_fast import BusType, DBusError, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

NAME = "org.freedesktop.NetworkManager"
ROOT, SETTINGS = "/org/freedesktop/NetworkManager", "/org/freedesktop/NetworkManager/Settings"
DEVICE = f"{ROOT}/Devices/1"

Profile = Annotated[dict[str, dict[str, Variant]], DBusSignature("a{sa{sv}}")]
Options = Annotated[dict[str, Variant], DBusSignature("a{sv}")]
Paths = Annotated[list[str], DBusSignature("ao")]
Bytes = Annotated[bytes, DBusSignature("ay")]
Int64 = Annotated[int, DBusSignature("x")]
Byte = Annotated[int, DBusSignature("y")]


@dataclass(slots=True)
class Router:
    """A network in the air."""

    ssid: bytes
    password: str | None
    strength: int = 70
    gives_addresses: bool = True
    answers: bool = True


class Device(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{NAME}.Device")
        self.state = 30

    @dbus_property(access=PropertyAccess.READ, name="DeviceType")
    def device_type(self) -> DBusUInt32:
        return 2

    @dbus_property(access=PropertyAccess.READ, name="State")
    def present_state(self) -> DBusUInt32:
        return self.state

    @dbus_signal(name="StateChanged")
    def state_changed(self, new: int, old: int, reason: int) -> "Annotated[list[int], DBusSignature('uuu')]":
        return [new, old, reason]

    def become(self, state: int, reason: int = 0) -> None:
        old, self.state = self.state, state
        self.state_changed(state, old, reason)


class Wireless(ServiceInterface):
    def __init__(self, air: "Air") -> None:
        super().__init__(f"{NAME}.Device.Wireless")
        self._air = air
        self._scans = 0

    @dbus_property(access=PropertyAccess.READ, name="LastScan")
    def last_scan(self) -> Int64:
        return self._scans

    @dbus_method(name="RequestScan")
    def request_scan(self, _options: Options) -> None:
        if self._air.hotspot is not None:
            raise DBusError(f"{NAME}.Device.NotAllowed", "Scanning not allowed while in access point mode")
        self._scans += 1
        self._air.hear()

    @dbus_method(name="GetAllAccessPoints")
    def get_all_access_points(self) -> Paths:
        return [f"{ROOT}/AccessPoint/{place}" for place in range(len(self._air.heard))]


class AccessPoint(ServiceInterface):
    def __init__(self, router: Router) -> None:
        super().__init__(f"{NAME}.AccessPoint")
        self._router = router

    @dbus_property(access=PropertyAccess.READ, name="Ssid")
    def ssid(self) -> Bytes:
        return self._router.ssid

    @dbus_property(access=PropertyAccess.READ, name="Strength")
    def strength(self) -> Byte:
        return self._router.strength

    @dbus_property(access=PropertyAccess.READ, name="Mode")
    def mode(self) -> DBusUInt32:
        return 2

    @dbus_property(access=PropertyAccess.READ, name="Flags")
    def flags(self) -> DBusUInt32:
        return 0 if self._router.password is None else 1

    @dbus_property(access=PropertyAccess.READ, name="WpaFlags")
    def wpa_flags(self) -> DBusUInt32:
        return 0

    @dbus_property(access=PropertyAccess.READ, name="RsnFlags")
    def rsn_flags(self) -> DBusUInt32:
        return 0 if self._router.password is None else 0x188


class Active(ServiceInterface):
    def __init__(self, profile: dict[str, dict[str, Variant]]) -> None:
        super().__init__(f"{NAME}.Connection.Active")
        self._profile = profile
        self.state = 1

    @dbus_property(access=PropertyAccess.READ, name="Uuid")
    def uuid(self) -> DBusStr:
        return str(self._profile["connection"]["uuid"].value)

    @dbus_property(access=PropertyAccess.READ, name="Type")
    def kind(self) -> DBusStr:
        return str(self._profile["connection"]["type"].value)

    @dbus_property(access=PropertyAccess.READ, name="State")
    def present_state(self) -> DBusUInt32:
        return self.state


class Saved(ServiceInterface):
    """A profile; `is_on_disk` once it was saved."""

    def __init__(self, air: "Air", path: str, profile: dict[str, dict[str, Variant]], *, is_on_disk: bool) -> None:
        super().__init__(f"{NAME}.Settings.Connection")
        self._air = air
        self.path = path
        self.profile = profile
        self.is_on_disk = is_on_disk

    @dbus_method(name="GetSettings")
    def get_settings(self) -> Profile:
        # Secrets are not told, as the real one does not.
        return {
            name: {key: value for key, value in group.items() if key != "psk"} for name, group in self.profile.items()
        }

    @dbus_method(name="Save")
    def save(self) -> None:
        self.is_on_disk = True

    @dbus_method(name="Delete")
    def delete(self) -> None:
        self._air.forget(self)


class SettingsService(ServiceInterface):
    def __init__(self, air: "Air") -> None:
        super().__init__(f"{NAME}.Settings")
        self._air = air

    @dbus_method(name="ListConnections")
    def list_connections(self) -> Paths:
        return [one.path for one in self._air.saved]

    @dbus_method(name="AddConnection")
    def add_connection(self, connection: Profile) -> DBusObjectPath:
        return self._air.keep(connection, is_on_disk=True).path


class Manager(ServiceInterface):
    def __init__(self, air: "Air") -> None:
        super().__init__(NAME)
        self._air = air

    @dbus_property(access=PropertyAccess.READ, name="ActiveConnections")
    def active_connections(self) -> Paths:
        return [] if self._air.active is None else [self._air.active[0]]

    @dbus_method(name="GetDevices")
    def get_devices(self) -> Paths:
        return [DEVICE]

    @dbus_method(name="AddAndActivateConnection2")
    def add_and_activate(
        self, connection: Profile, _device: DBusObjectPath, _object: DBusObjectPath, options: Options
    ) -> "Annotated[list[Any], DBusSignature('ooa{sv}')]":
        saved = self._air.keep(connection, is_on_disk=options["persist"].value == "disk")
        return [saved.path, self._air.activate(saved), {}]


class Air:
    """What is on the air, and what the simulated NetworkManager does there."""

    def __init__(self, bus: MessageBus, *routers: Router) -> None:
        self._bus = bus
        self.routers = [*routers]
        self.heard: list[AccessPoint] = []
        self.saved: list[Saved] = []
        self.active: tuple[str, Active, Saved] | None = None
        self.device = Device()
        self.passwords: list[str] = []
        """Every password that it was given for a network to join."""

        self._number = 0
        self._work: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        self._bus.export(ROOT, Manager(self))
        self._bus.export(SETTINGS, SettingsService(self))
        self._bus.export(DEVICE, self.device)
        self._bus.export(DEVICE, Wireless(self))

    @property
    def hotspot(self) -> Saved | None:
        """The hub's own network, while it is up."""
        if self.active is None or self.active[1].state != 2:
            return None
        saved = self.active[2]
        return saved if saved.profile["802-11-wireless"]["mode"].value == "ap" else None

    def hear(self) -> None:
        for place in range(len(self.heard)):
            self._bus.unexport(f"{ROOT}/AccessPoint/{place}")
        self.heard = [AccessPoint(one) for one in self.routers]
        for place, one in enumerate(self.heard):
            self._bus.export(f"{ROOT}/AccessPoint/{place}", one)

    def keep(self, profile: dict[str, dict[str, Variant]], *, is_on_disk: bool) -> Saved:
        self._number += 1
        saved = Saved(self, f"{SETTINGS}/{self._number}", profile, is_on_disk=is_on_disk)
        self.saved.append(saved)
        self._bus.export(saved.path, saved)
        return saved

    def forget(self, saved: Saved) -> None:
        self.saved.remove(saved)
        self._bus.unexport(saved.path)
        if self.active is not None and self.active[2] is saved:
            self._bus.unexport(self.active[0])
            self.active = None
            self.device.become(30)

    def activate(self, saved: Saved) -> str:
        if self.active is not None:
            self._bus.unexport(self.active[0])
        path, active = f"{ROOT}/ActiveConnection/{self._number}", Active(saved.profile)
        self._bus.export(path, active)
        self.active = (path, active, saved)
        task = asyncio.create_task(self._join(saved, active))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return path

    async def _join(self, saved: Saved, active: Active) -> None:
        """The states of a real device on its way, as NetworkManager's `nm-device.c` names them."""
        # The answer to the call goes out before the device moves.
        await asyncio.sleep(0.05)
        wireless = saved.profile["802-11-wireless"]
        for state in (40, 50):
            self.device.become(state)
        if wireless["mode"].value != "ap":
            given = saved.profile.get("802-11-wireless-security", {}).get("psk")
            if given is not None:
                self.passwords.append(given.value)
            router = next((one for one in self.routers if one.ssid == bytes(wireless["ssid"].value)), None)
            if router is None:
                self._fail(53)
                return
            if not router.answers:
                return
            self.device.become(60)
            if router.password != (given.value if given else None):
                self._fail(7)
                return
            self.device.become(50)
            self.device.become(70)
            if not router.gives_addresses:
                self._fail(5)
                return
        active.state = 2
        self.device.become(100)

    def _fail(self, reason: int) -> None:
        if self.active is not None:
            self._bus.unexport(self.active[0])
            self.active = None
        self.device.become(120, reason)
        self.device.become(30)


@asynccontextmanager
async def simulated_manager(*routers: Router) -> AsyncIterator[Air]:
    """A NetworkManager on the present system bus, as long as the block runs."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    air = Air(bus, *routers)
    air.begin()
    await bus.request_name(NAME)
    try:
        yield air
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

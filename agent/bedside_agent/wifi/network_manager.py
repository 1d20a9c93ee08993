"""NetworkManager over D-Bus: what is heard, what is saved, the hub's own network, and joining the home's.

The home's password goes to NetworkManager and stays there (0600, root's). It is in no text that this module makes.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dbus_fast import Variant

from bedside_agent.wifi.bus import BusError, Service, on_system_bus, plain
from bedside_agent.wifi.label import Label
from bedside_agent.wifi.profiles import (
    HOTSPOT_ID,
    HOTSPOT_UUID,
    NETWORK_TYPES,
    Attempt,
    home,
    hotspot,
    is_saved_network,
    networks_of,
)
from bedside_agent.wifi.setting_up import Choice, Facts, Network, Trouble

NAME = "org.freedesktop.NetworkManager"
UNIT = "NetworkManager"
_ROOT, _SETTINGS_PATH = "/org/freedesktop/NetworkManager", "/org/freedesktop/NetworkManager/Settings"
_SETTINGS, _SAVED = f"{NAME}.Settings", f"{NAME}.Settings.Connection"
_DEVICE, _WIRELESS, _POINT = f"{NAME}.Device", f"{NAME}.Device.Wireless", f"{NAME}.AccessPoint"
_ACTIVE = f"{NAME}.Connection.Active"
_WIFI_DEVICE, _ACTIVATED = 2, 2
"""NMDeviceType, NMActiveConnectionState."""
_UNAVAILABLE = 20
"""NMDeviceState: without firmware, or blocked; below it, not managed."""
_NO_OBJECT = "/"

ASK_SECONDS = 3.0
SCAN_SECONDS = 12.0
OPEN_SECONDS = 30.0
TRY_SECONDS = 60.0


class NetworkManager:
    """The running one. BusError where it refuses, AbsentError where there is none."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def facts(self) -> Facts:
        """How the networks are now."""
        active = await self._active()
        return Facts(
            is_online=any(
                one["State"] == _ACTIVATED and one["Type"] in NETWORK_TYPES and one["Uuid"] != HOTSPOT_UUID
                for _, one in active
            ),
            is_configured=bool(await self.saved()),
            has_wifi=await self._wifi() is not None,
            has_hotspot=any(one["Uuid"] == HOTSPOT_UUID and one["State"] == _ACTIVATED for _, one in active),
        )

    async def saved(self) -> list[str]:
        """The names of the Wi-Fi networks that are kept for joining."""
        return [
            str(settings["connection"]["id"])
            for _, settings in await self._profiles()
            if is_saved_network(settings) and settings["connection"]["uuid"] != HOTSPOT_UUID
        ]

    async def networks(self, *, scan_seconds: float = SCAN_SECONDS) -> tuple[Network, ...]:
        """Listen anew, and say what is heard; what was heard before where the card does not listen now."""
        device = await self._device()
        before = (await self._service.properties(device, _WIRELESS))["LastScan"]
        if await self._listens(device):
            end = time.monotonic() + scan_seconds
            while time.monotonic() < end:
                if (await self._service.properties(device, _WIRELESS))["LastScan"] != before:
                    break
                await asyncio.sleep(0.2)
        (paths,) = await self._service.call(device, _WIRELESS, "GetAllAccessPoints")
        points = []
        for path in paths:
            # One that is heard no more has no properties.
            with contextlib.suppress(BusError):
                points.append(await self._service.properties(path, _POINT))
        return networks_of(points)

    async def _listens(self, device: str) -> bool:
        """Whether the card listens anew. One whose hotspot was just closed cannot yet; one that has just listened will
        not, and has a fresh list."""
        end = time.monotonic() + ASK_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(BusError):
                await self._service.call(device, _WIRELESS, "RequestScan", "a{sv}", {})
                return True
            await asyncio.sleep(0.3)
        return False

    async def open_hotspot(self, label: Label, *, limit_seconds: float = OPEN_SECONDS) -> None:
        """Open the hub's own network; it is nowhere on the disk. BusError when it does not come up in time."""
        await self.close_hotspot()
        device = await self._device()
        attempt = Attempt()
        async with self._following(device, attempt):
            await self._activate(hotspot(label), device)
            await _until_over(attempt, limit_seconds)
        if not attempt.is_joined:
            await self.close_hotspot()
            raise BusError(
                "the hub's own network does not come up",
                cause="the Wi-Fi card cannot open one, or dnsmasq-base is not installed",
                fix="journalctl -u NetworkManager",
            )

    async def close_hotspot(self) -> None:
        """Close the hub's own network and forget it; also one that an agent before has left."""
        for path, settings in await self._profiles():
            if settings["connection"]["uuid"] == HOTSPOT_UUID or settings["connection"]["id"] == HOTSPOT_ID:
                await self._service.call(path, _SAVED, "Delete")

    async def join(self, choice: Choice, *, limit_seconds: float = TRY_SECONDS) -> Trouble | None:
        """Join it, and keep it only if that worked: None. Else what is wrong, and nothing is kept."""
        device = await self._device()
        attempt = Attempt()
        async with self._following(device, attempt):
            try:
                profile = await self._activate(home(choice), device)
            except BusError as error:
                if error.name.endswith(".UnknownConnection") or ".InvalidProperty" in error.name:
                    return Trouble.REFUSED
                raise
            try:
                await _until_over(attempt, limit_seconds)
                if attempt.is_joined:
                    await self._service.call(profile, _SAVED, "Save")
                    return None
            finally:
                if not attempt.is_joined:
                    # NetworkManager itself forgets one that was never on the disk when its device goes.
                    with contextlib.suppress(BusError):
                        await self._service.call(profile, _SAVED, "Delete")
        return attempt.trouble or attempt.late()

    async def add(self, choice: Choice) -> None:
        """Keep a network for later, whether it is in range or not."""
        await self._service.call(_SETTINGS_PATH, _SETTINGS, "AddConnection", "a{sa{sv}}", home(choice))

    async def forget(self, name: str) -> bool:
        """Forget the saved networks of that name; False where there is none."""
        found = [
            path
            for path, settings in await self._profiles()
            if is_saved_network(settings) and settings["connection"]["id"] == name
        ]
        for path in found:
            await self._service.call(path, _SAVED, "Delete")
        return bool(found)

    async def _activate(self, profile: dict[str, dict[str, Variant]], device: str) -> str:
        """In memory alone: nothing of an attempt outlives a power cut."""
        answer = await self._service.call(
            _ROOT,
            NAME,
            "AddAndActivateConnection2",
            "a{sa{sv}}ooa{sv}",
            profile,
            device,
            _NO_OBJECT,
            {"persist": Variant("s", "memory")},
        )
        return str(answer[0])

    @asynccontextmanager
    async def _following(self, device: str, attempt: Attempt) -> AsyncIterator[None]:
        def hear(path: str, body: list[Any]) -> None:
            if path == device:
                new_state, _, reason = body
                attempt.hear(new_state, reason)

        async with self._service.hearing(_DEVICE, "StateChanged", hear):
            yield

    async def _device(self) -> str:
        device = await self._wifi()
        if device is None:
            raise BusError("this computer has no Wi-Fi that NetworkManager drives", fix="nmcli device; rfkill list")
        return device

    async def _wifi(self) -> str | None:
        """The first Wi-Fi card that may be used; None while there is none, or it is blocked."""
        (paths,) = await self._service.call(_ROOT, NAME, "GetDevices")
        for path in paths:
            device = await self._service.properties(path, _DEVICE)
            if device["DeviceType"] == _WIFI_DEVICE and device["State"] > _UNAVAILABLE:
                return str(path)
        return None

    async def _profiles(self) -> list[tuple[str, dict[str, Any]]]:
        (paths,) = await self._service.call(_SETTINGS_PATH, _SETTINGS, "ListConnections")
        found = []
        for path in paths:
            (settings,) = await self._service.call(path, _SAVED, "GetSettings")
            found.append((path, plain(settings)))
        return found

    async def _active(self) -> list[tuple[str, dict[str, Any]]]:
        paths = (await self._service.properties(_ROOT, NAME))["ActiveConnections"]
        found = []
        for path in paths:
            # One may have gone since.
            with contextlib.suppress(BusError):
                found.append((path, await self._service.properties(path, _ACTIVE)))
        return found


@asynccontextmanager
async def network_manager() -> AsyncIterator[NetworkManager]:
    """The one of this computer, over a connection that lasts as long as the block."""
    async with on_system_bus(NAME, UNIT) as service:
        yield NetworkManager(service)


async def _until_over(attempt: Attempt, limit_seconds: float) -> None:
    end = time.monotonic() + limit_seconds
    while not attempt.is_over and time.monotonic() < end:
        await asyncio.sleep(0.1)

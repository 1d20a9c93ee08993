"""The page's name in the home's network: `bedside.local`, answered by Avahi (RFC 6762, RFC 6763).

Every address of this computer is published under the name, and the page as a service. Where another hub has the name
already, Avahi says so (RFC 6762, section 9), and this one becomes `bedside-2.local`.
"""

import asyncio
import fcntl
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedside_agent.homepage.address import NAME
from bedside_agent.wifi.bus import AbsentError, BusError, Service, on_system_bus

AVAHI, UNIT = "org.freedesktop.Avahi", "avahi-daemon"
_SERVER, _GROUP = f"{AVAHI}.Server", f"{AVAHI}.EntryGroup"
_ROOT = "/"
_IPV4, _ANY = 0, -1
"""AVAHI_PROTO_INET; AVAHI_IF_UNSPEC and AVAHI_PROTO_UNSPEC."""
_NO_REVERSE = 16
"""AVAHI_PUBLISH_NO_REVERSE: what an address is called stays the computer's own name."""
_ESTABLISHED, _COLLISION, _FAILURE = 2, 3, 4
"""AvahiEntryGroupState."""
_SIOCGIFADDR = 0x8915
SERVICE_TYPE = "_http._tcp"

LOOK_SECONDS = 10.0
REST_SECONDS = 60.0
SETTLE_SECONDS = 10.0
"""Avahi probes for three quarters of a second (RFC 6762, section 8.1)."""

log = logging.getLogger(__name__)

Addresses = tuple[tuple[int, str], ...]
"""Interface's number and IPv4 address."""


@dataclass(frozen=True, slots=True)
class Published:
    """Under which name, and which addresses."""

    name: str
    addresses: Addresses


def own_addresses() -> Addresses:
    """The first IPv4 address of every interface that is not the loopback (netdevice(7))."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for number, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not address.startswith("127."):
                found.append((number, address))
    return (*found,)


class PageName:
    """Publishes the page while it runs. `port` is asked anew each time: None while no page is shown."""

    def __init__(
        self,
        port: Callable[[], int | None],
        *,
        addresses: Callable[[], Addresses] = own_addresses,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._port = port
        self._look = addresses
        self._look_seconds = look_seconds
        self._published: Published | None = None
        self._said = ""

    @property
    def name(self) -> str | None:
        """The name that is this hub's now; None while Avahi answers for none."""
        return self._published.name if self._published else None

    @property
    def addresses(self) -> Addresses:
        """What Avahi answers with now."""
        return self._published.addresses if self._published else ()

    async def run(self) -> None:
        """For ever. A computer without Avahi is asked now and then."""
        while True:
            try:
                async with on_system_bus(AVAHI, UNIT) as service:
                    await self._keep_published(service)
            except BusError as error:
                if str(error) != self._said:
                    self._said = str(error)
                    log.warning("mdns.waits", extra={"reason": self._said})
            except Exception as fault:  # a name in the home is worth no reading
                log.error("mdns.broken", extra={"reason": type(fault).__name__})
            finally:
                self._published = None
            await asyncio.sleep(REST_SECONDS)

    async def _keep_published(self, service: Service) -> None:
        (group,) = await service.call(_ROOT, _SERVER, "EntryGroupNew")
        states: asyncio.Queue[int] = asyncio.Queue()

        def hear(path: str, body: list[Any]) -> None:
            if path == group:
                states.put_nowait(body[0])

        async with service.hearing(_GROUP, "StateChanged", hear):
            port = None
            while True:
                addresses = self._look()
                if self._port() != port or self._published is None or addresses != self._published.addresses:
                    port = self._port()
                    await self._publish(service, group, states, addresses, port)
                await self._until_changed(service, states)

    async def _until_changed(self, service: Service, states: "asyncio.Queue[int]") -> None:
        """Wait for a while, or for the loss of the name to another hub."""
        try:
            async with asyncio.timeout(self._look_seconds):
                while await states.get() != _COLLISION:
                    pass
        except TimeoutError:
            # Avahi itself may have gone: then this raises.
            await service.call(_ROOT, _SERVER, "GetState")
        else:
            self._published = None

    async def _publish(
        self, service: Service, group: str, states: "asyncio.Queue[int]", addresses: Addresses, port: int | None
    ) -> None:
        """Until a name is free. Begun anew with the first one, because the hub that had it may have gone."""
        self._published = None
        label, suffix = NAME.split(".", 1)
        while True:
            await service.call(group, _GROUP, "Reset")
            if port is None or not addresses:
                return
            name = f"{label}.{suffix}"
            while not states.empty():
                states.get_nowait()
            try:
                for number, address in addresses:
                    await service.call(group, _GROUP, "AddAddress", "iiuss", number, _IPV4, _NO_REVERSE, name, address)
                    await service.call(
                        *(group, _GROUP, "AddService", "iiussssqaay"),
                        *(number, _ANY, 0, label, SERVICE_TYPE, suffix, name, port, [b"path=/"]),
                    )
                await service.call(group, _GROUP, "Commit")
                is_ours = await _is_established(states)
            except BusError as error:
                if not error.name.endswith("CollisionError"):
                    raise
                is_ours = False
            if is_ours:
                self._published = Published(name, addresses)
                log.info("mdns.published", extra={"page": name, "port": port})
                return
            (label,) = await service.call(_ROOT, _SERVER, "GetAlternativeHostName", "s", label)


async def _is_established(states: "asyncio.Queue[int]") -> bool:
    """Whether the name is free; BusError when Avahi does not say."""
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                state = await states.get()
                if state == _FAILURE:
                    raise AbsentError(f"{UNIT} cannot publish the page", fix=f"journalctl -u {UNIT}")
                if state in (_ESTABLISHED, _COLLISION):
                    return state == _ESTABLISHED
    except TimeoutError as cause:
        raise AbsentError(f"{UNIT} does not publish the page", fix=f"systemctl restart {UNIT}") from cause

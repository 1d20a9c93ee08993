"""Calls on the system bus, with errors that say what to do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dbus_fast import AuthError, BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from bedside_agent.errors import AgentError

ANSWER_SECONDS = 10.0
PROPERTIES = "org.freedesktop.DBus.Properties"
_DBUS, _DBUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
_ABSENT = frozenset({f"{_DBUS}.Error.ServiceUnknown", f"{_DBUS}.Error.NameHasNoOwner", f"{_DBUS}.Error.NoReply"})
_FORBIDDEN = frozenset(
    {f"{_DBUS}.Error.AccessDenied", "org.freedesktop.NetworkManager.PermissionDenied"}
    | {f"org.freedesktop.NetworkManager.{one}.PermissionDenied" for one in ("Settings", "AgentManager")}
)


class BusError(AgentError):
    """A service of the computer did not do what it was asked; `name` is the error's on the bus, or empty."""

    def __init__(self, what: str, *, name: str = "", cause: str = "", fix: str = "") -> None:
        super().__init__(what, cause=cause, fix=fix)
        self.name = name


class AbsentError(BusError):
    """The service does not run here."""


class Service:
    """One service on a connection: methods, properties, signals."""

    def __init__(self, bus: MessageBus, name: str, unit: str) -> None:
        self._bus = bus
        self._name = name
        self._unit = unit

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        """What the method answers. BusError names the method, and never what it was given."""
        message = Message(
            destination=self._name,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reply = await self._bus.call(message)
        except (OSError, EOFError, TimeoutError) as cause:
            raise AbsentError(
                f"{self._unit} does not answer {member}", fix=f"systemctl restart {self._unit}"
            ) from cause
        if reply.message_type is not MessageType.ERROR:
            return reply.body
        error = reply.error_name or ""
        if error in _ABSENT:
            raise AbsentError(f"{self._unit} does not run", name=error, fix=f"systemctl enable --now {self._unit}")
        if error in _FORBIDDEN:
            raise BusError(
                f"{self._unit} does not let this user do {member}",
                name=error,
                cause="the rules that systemd/install brings are not there",
                fix="run systemd/install again, or this command with sudo",
            )
        raise BusError(
            f"{self._unit} refuses {member}: {error.rpartition('.')[2]}", name=error, fix=f"journalctl -u {self._unit}"
        )

    async def properties(self, path: str, interface: str) -> dict[str, Any]:
        """All properties of an interface, without their D-Bus wrapping."""
        (values,) = await self.call(path, PROPERTIES, "GetAll", "s", interface)
        return {name: plain(value) for name, value in values.items()}

    @asynccontextmanager
    async def hearing(self, interface: str, member: str, hear: Callable[[str, list[Any]], None]) -> AsyncIterator[None]:
        """While the block runs, `hear` gets path and body of each such signal of this service."""
        rule = f"type='signal',sender='{self._name}',interface='{interface}',member='{member}'"

        def handle(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL and (message.interface, message.member) == (
                interface,
                member,
            ):
                hear(message.path or "", message.body)

        self._bus.add_message_handler(handle)
        try:
            await self._match("AddMatch", rule)
            yield
        finally:
            self._bus.remove_message_handler(handle)
            if self._bus.connected:
                await self._match("RemoveMatch", rule)

    async def _match(self, member: str, rule: str) -> None:
        await Service(self._bus, _DBUS, "dbus").call(_DBUS_PATH, _DBUS, member, "s", rule)


@asynccontextmanager
async def on_system_bus(name: str, unit: str) -> AsyncIterator[Service]:
    """The service of that name, over a connection that lasts as long as the block. AbsentError without a bus."""
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await bus.connect()
        except (OSError, EOFError, TimeoutError, AuthError) as cause:
            raise AbsentError("the system bus does not answer", fix="systemctl status dbus") from cause
        yield Service(bus, name, unit)
    finally:
        bus.disconnect()


def plain(value: Any) -> Any:
    """A value without D-Bus's variants, at any depth."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value

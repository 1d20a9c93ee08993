"""Bonds with BlueZ: pairing with an agent of this program's own, which bleak has not.

BlueZ asks its agent for a passkey, or whether to pair at all. Without one it refuses, and a read of a protected
characteristic was seen to hang for minutes. The agent is also BlueZ's default one: BlueZ pairs by itself when a device
refuses an operation for want of a bond, and asks then. It says yes for devices that may pair, as long as they are
connected or being so.

What its agent can do (show, type in) decides how BlueZ pairs, with all devices alike and at any moment of a connection.
"""

import asyncio
import contextlib
from typing import Any

from bleak.backends.device import BLEDevice
from dbus_fast import AuthError, BusType, DBusError, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusStr, DBusUInt16, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

from bedside_agent.radio.central import NO_PAIRING, Denial, Pairing, PairingFailedError, RadioUnavailableError

AGENT_PATH = "/org/bedside/agent"
ANSWER_SECONDS = 5.0
REASON_SECONDS = 0.3
"""BlueZ says why a link ended beside saying that it did, and on another connection of the bus."""

_BLUEZ = "org.bluez"
_DEVICE, _ADAPTER, _AGENTS = "org.bluez.Device1", "org.bluez.Adapter1", "org.bluez.AgentManager1"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_GONE = frozenset(
    {
        "org.freedesktop.DBus.Error.UnknownObject",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NoReply",
        "org.bluez.Error.NotReady",
    }
)
_RULES = (
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_BLUEZ}'",
    # Since BlueZ 5.82. Before that nobody is told why a link ended, and a forgotten bond looks like a bad link.
    f"type='signal',sender='{_BLUEZ}',interface='{_DEVICE}',member='Disconnected'",
)


class PairingAgent(ServiceInterface):
    """See BlueZ's doc/org.bluez.Agent.rst. `pairings` are the devices that may pair now, by their paths.

    `denied` gets the paths of those that may not and were to be paired all the same, `unknown` of those whose passkey
    nobody said.
    """

    def __init__(self, pairings: dict[str, Pairing], denied: set[str], unknown: set[str]) -> None:
        super().__init__("org.bluez.Agent1")
        self._pairings = pairings
        self._denied = denied
        self._unknown = unknown

    @dbus_method(name="Release")
    def release(self) -> None:
        """BlueZ wants it no more."""

    @dbus_method(name="RequestPinCode")
    def request_pin_code(self, _device: DBusObjectPath) -> DBusStr:
        """Classic Bluetooth alone asks for it."""
        raise _rejected("no device here has a PIN code")

    @dbus_method(name="RequestPasskey")
    async def request_passkey(self, device: DBusObjectPath) -> DBusUInt32:
        """The six digits that the device shows."""
        return await self._passkey(device)

    @dbus_method(name="DisplayPasskey")
    def display_passkey(self, _device: DBusObjectPath, _passkey: DBusUInt32, _entered: DBusUInt16) -> None:
        """Nobody stands before a hub to read it; pairing then fails in time."""

    @dbus_method(name="RequestConfirmation")
    async def request_confirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:
        """Both show a number, and are the same only if no stranger stands between them."""
        if await self._passkey(device) != passkey:
            raise _rejected("the device shows another passkey")

    @dbus_method(name="RequestAuthorization")
    def request_authorization(self, device: DBusObjectPath) -> None:
        """Pairing without a passkey."""
        if self._allowed(device).passkey is not None:
            raise _rejected("this device may not pair without its passkey")

    @dbus_method(name="AuthorizeService")
    def authorize_service(self, _device: DBusObjectPath, _uuid: DBusStr) -> None:
        """A device wants to use this hub: never."""
        raise _rejected("this hub offers nothing")

    @dbus_method(name="Cancel")
    def cancel(self) -> None:
        """Nobody waits for the answer any more."""

    async def _passkey(self, device: str) -> int:
        ask = self._allowed(device).passkey
        passkey = None if ask is None else await ask()
        if passkey is None:
            self._unknown.add(device)
            raise _rejected(Denial.PASSKEY_UNKNOWN.value)
        return passkey

    def _allowed(self, device: str) -> Pairing:
        pairing = self._pairings.get(device, NO_PAIRING)
        if not pairing.is_allowed:
            self._denied.add(device)
            raise _rejected(Denial.MAY_NOT_PAIR.value)
        return pairing


def _rejected(words: str) -> DBusError:
    return DBusError("org.bluez.Error.Rejected", words)


class BluezBonds:
    """See `bleak_link.Bonds`. It has a connection to the bus of its own, opened for the first device."""

    def __init__(self) -> None:
        self._pairings: dict[str, Pairing] = {}
        self._shows_passkey: set[str] = set()
        """The paths of those that may be asking for their passkey: they have one and no bond yet."""
        self._refused: dict[str, asyncio.Event] = {}
        self._denied: set[str] = set()
        self._unknown: set[str] = set()
        self._bus: MessageBus | None = None
        self._registered: str | None = None
        self._registering = asyncio.Lock()

    async def expect(self, device: BLEDevice, pairing: Pairing) -> None:
        """See `Bonds`."""
        path = _path(device)
        self._refused[path] = asyncio.Event()
        self.over(device)
        if pairing.is_allowed:
            self._pairings[path] = pairing
        # A device that needs no bond must not suffer from an agent that cannot be registered. For one that may have
        # none there is an agent too: another program's might say yes.
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                if pairing.passkey is not None and not await self.is_bonded(device):
                    self._shows_passkey.add(path)
                await self._register()

    def over(self, device: BLEDevice) -> None:
        """See `Bonds`."""
        self._pairings.pop(_path(device), None)
        for paths in (self._shows_passkey, self._denied, self._unknown):
            paths.discard(_path(device))

    async def is_bonded(self, device: BLEDevice) -> bool:
        """See `Bonds`."""
        body = await self._call(_path(device), _PROPERTIES, "GetAll", "s", [_DEVICE])
        # `Bonded` is there since BlueZ 5.65; `Paired` also holds for a key that was not kept.
        return bool(body[0].get("Bonded", body[0].get("Paired")).value)

    async def pair(self, device: BLEDevice) -> None:
        """See `Bonds`."""
        path = _path(device)
        pairing = self._pairings.get(path, NO_PAIRING)
        if not pairing.is_allowed:
            raise PairingFailedError("pair: not allowed with this device")
        try:
            await self._register()
            await self._call(path, _DEVICE, "Pair")
        except _RefusedError as error:
            if error.name in _GONE:
                raise RadioUnavailableError(f"pair: {error.name}") from error
            if error.name != "org.bluez.Error.AlreadyExists":
                raise PairingFailedError(f"pair: {error}") from error

    async def forget(self, device: BLEDevice) -> None:
        """See `Bonds`. BlueZ forgets the device with its bond, and ends its connection."""
        path = _path(device)
        with contextlib.suppress(_RefusedError):  # BlueZ has forgotten it already
            await self._call(path.rpartition("/")[0], _ADAPTER, "RemoveDevice", "o", [path])

    async def was_refused(self, device: BLEDevice) -> bool:
        """See `Bonds`."""
        refused = self._refused.get(_path(device))
        if refused is None or self._bus is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REASON_SECONDS):
                await refused.wait()
        return refused.is_set()

    def denial(self, device: BLEDevice) -> Denial | None:
        """See `Bonds`: BlueZ does not answer the operation any more for which it was to pair."""
        if _path(device) in self._denied:
            return Denial.MAY_NOT_PAIR
        return Denial.PASSKEY_UNKNOWN if _path(device) in self._unknown else None

    async def close(self) -> None:
        """See `Bonds`."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            with contextlib.suppress(OSError, EOFError):
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def _opened(self) -> MessageBus:
        if self._bus is not None and self._bus.connected:
            return self._bus
        self._registered = None
        bus = MessageBus(bus_type=BusType.SYSTEM)
        try:
            await bus.connect()
            bus.add_message_handler(self._hear)
            bus.export(AGENT_PATH, PairingAgent(self._pairings, self._denied, self._unknown))
            self._bus = bus
            for rule in _RULES:
                await _answer(bus, _message("org.freedesktop.DBus", "/org/freedesktop/DBus", None, "AddMatch", rule))
        except AuthError as error:
            bus.disconnect()
            raise ConnectionError(f"the system bus refuses this program: {error}") from error
        except BaseException:
            bus.disconnect()
            raise
        return bus

    async def _register(self) -> None:
        """Be BlueZ's agent with what it must be able to do now; BlueZ forgets its agents when it starts anew.

        As long as one device may show a passkey, the others are paired by an agent that could type one in: with those
        that have neither keys nor a display that is the same.
        """
        async with self._registering:
            capability = "KeyboardDisplay" if self._shows_passkey else "NoInputNoOutput"
            bus = await self._opened()
            if self._registered == capability:
                return
            manager = (_BLUEZ, "/org/bluez", _AGENTS)
            with contextlib.suppress(_RefusedError):  # it is not registered
                await _answer(bus, _message(*manager, "UnregisterAgent", AGENT_PATH, "o"))
            await _answer(bus, _message(*manager, "RegisterAgent", [AGENT_PATH, capability], "os"))
            await _answer(bus, _message(*manager, "RequestDefaultAgent", AGENT_PATH, "o"))
            self._registered = capability

    async def _call(self, path: str, interface: str, member: str, signature: str = "", body: Any = None) -> list[Any]:
        async with self._registering:
            bus = await self._opened()
        return await _answer(bus, _message(_BLUEZ, path, interface, member, body or [], signature))

    def _hear(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged" and message.body[0] == _BLUEZ:
            self._registered = None
        elif message.member == "Disconnected" and message.interface == _DEVICE:
            refused = self._refused.get(message.path or "")
            if refused is not None and message.body[0] == "org.bluez.Reason.Authentication":
                refused.set()


class _RefusedError(ConnectionError):
    """BlueZ answered with an error."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name}: {words}")
        self.name = name


def _message(
    destination: str, path: str, interface: str | None, member: str, body: Any, signature: str = "s"
) -> Message:
    return Message(
        destination=destination,
        path=path,
        interface=interface or destination,
        member=member,
        signature=signature,
        body=body if isinstance(body, list) else [body],
    )


async def _answer(bus: MessageBus, message: Message) -> list[Any]:
    reply = await bus.call(message)
    if reply.message_type is MessageType.ERROR:
        raise _RefusedError(reply.error_name or "", str(reply.body[0]) if reply.body else "")
    return reply.body


def _path(device: BLEDevice) -> str:
    path: str = device.details["path"]
    return path

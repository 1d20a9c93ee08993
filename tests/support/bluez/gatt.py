"""A connected device's services on the bus: GattService1, GattCharacteristic1, GattDescriptor1."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from bleak.assigned_numbers import gatt_char_props_to_strs
from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic
from bumble.gatt_client import CharacteristicProxy, DescriptorProxy, ServiceProxy
from dbus_fast import DBusError, PropertyAccess
from dbus_fast.annotations import (
    DBusBool,
    DBusBytes,
    DBusDict,
    DBusObjectPath,
    DBusSignature,
    DBusStr,
    DBusUInt16,
)
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property
from tests.support.bluez.refusals import from_the_air, in_progress, not_connected, refusal

CALLER: ContextVar[str] = ContextVar("caller")
"""The unique bus name of the program whose call is being answered."""

READ = PropertyAccess.READ
Strings = Annotated[list[str], DBusSignature("as")]

Secure = Callable[[], Awaitable[bool | None]]
"""Pair because a device asks for it; whether that was done. None: there is a bond already, which it does not count."""

_ASK_FOR_A_BOND = frozenset({ErrorCode.INSUFFICIENT_AUTHENTICATION, ErrorCode.INSUFFICIENT_ENCRYPTION})

_T = TypeVar("_T")


def uuid_text(uuid: UUID) -> str:
    """The 128-bit lower-case form, as BlueZ has it."""
    return uuid.to_hex_str("-").lower() if len(uuid.to_bytes()) == 16 else _widened(uuid)


def _widened(uuid: UUID) -> str:
    return f"{int.from_bytes(uuid.to_bytes(), 'little'):08x}-0000-1000-8000-00805f9b34fb"


async def _answered(work: Awaitable[_T]) -> _T:
    """What the device answers. Bumble cancels what is under way when the link ends."""
    try:
        return await work
    except asyncio.CancelledError:
        raise not_connected() from None
    except BaseBumbleError as error:
        raise from_the_air(error) from error


async def _end_of(connection: Connection) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(_reason: int) -> None:
        if not ended.done():
            ended.set_result(None)

    connection.on(connection.EVENT_DISCONNECTION, end)
    try:
        await ended
    finally:
        connection.remove_listener(connection.EVENT_DISCONNECTION, end)


class GattService(ServiceInterface):
    """See BlueZ's doc/org.bluez.GattService.rst."""

    def __init__(self, device_path: str, service: ServiceProxy) -> None:
        super().__init__("org.bluez.GattService1")
        self._device_path = device_path
        self._service = service

    @dbus_property(READ, name="UUID")
    def uuid(self) -> DBusStr:
        return uuid_text(self._service.uuid)

    @dbus_property(READ, name="Device")
    def device(self) -> DBusObjectPath:
        return self._device_path

    @dbus_property(READ, name="Primary")
    def primary(self) -> DBusBool:
        return True


class GattCharacteristic(ServiceInterface):
    """See BlueZ's doc/org.bluez.GattCharacteristic.rst; AcquireNotify and AcquireWrite are not offered."""

    def __init__(
        self,
        service_path: str,
        connection: Connection,
        characteristic: CharacteristicProxy[bytes],
        secure: Secure,
    ) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._service_path = service_path
        self._connection = connection
        self._characteristic = characteristic
        self._secure = secure
        self._value = b""
        self._subscribers: set[str] = set()
        self._busy = False

    @dbus_method(name="ReadValue")
    async def read_value(self, _options: DBusDict) -> DBusBytes:
        return await self._alone(lambda: self._characteristic.read_value())

    @dbus_method(name="WriteValue")
    async def write_value(self, value: DBusBytes, options: DBusDict) -> None:
        kind = options.get("type")
        with_response = kind is None or kind.value != "command"
        await self._alone(lambda: self._characteristic.write_value(bytes(value), with_response))

    @dbus_method(name="StartNotify")
    async def start_notify(self) -> None:
        if not self._characteristic.properties & (
            Characteristic.Properties.NOTIFY | Characteristic.Properties.INDICATE
        ):
            raise refusal("NotSupported", "Operation is not supported")
        caller = CALLER.get()
        if caller in self._subscribers:
            return
        self._subscribers.add(caller)
        if len(self._subscribers) == 1:
            try:
                await self._permitted(lambda: self._characteristic.subscribe(self._on_value))
            except DBusError:
                self._subscribers.discard(caller)
                self._characteristic.client.notification_subscribers.pop(self._characteristic.handle, None)
                self._characteristic.client.indication_subscribers.pop(self._characteristic.handle, None)
                raise
            self.emit_properties_changed({"Notifying": True})

    @dbus_method(name="StopNotify")
    async def stop_notify(self) -> None:
        if CALLER.get() not in self._subscribers:
            raise refusal("Failed", "No notify session started")
        await _answered(self._unsubscribe(CALLER.get()))

    async def forget(self, caller: str) -> None:
        """The program is gone from the bus."""
        if caller in self._subscribers:
            with contextlib.suppress(BaseBumbleError, asyncio.CancelledError):
                await self._unsubscribe(caller)

    async def _unsubscribe(self, caller: str) -> None:
        self._subscribers.discard(caller)
        if not self._subscribers:
            await self._characteristic.unsubscribe(self._on_value)
            self.emit_properties_changed({"Notifying": False})

    async def _alone(self, work: Callable[[], Awaitable[_T]]) -> _T:
        if self._busy:
            raise in_progress()
        self._busy = True
        try:
            return await self._permitted(work)
        finally:
            self._busy = False

    async def _permitted(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """What the device answers, once more after pairing if it asks for that: BlueZ and the kernel do so unasked.

        When that fails, they leave the question unanswered for as long as the link stands (seen with 5.66).
        """
        try:
            return await _answered(work())
        except DBusError as refused:
            cause = refused.__cause__
            if not isinstance(cause, ATT_Error) or cause.error_code not in _ASK_FOR_A_BOND:
                raise
            done = await self._secure()
            if done is None:
                raise
        if not done:
            await _end_of(self._connection)
            raise not_connected()
        return await _answered(work())

    def _on_value(self, value: Any) -> None:
        self._value = bytes(value)
        self.emit_properties_changed({"Value": self._value})

    @dbus_property(READ, name="UUID")
    def uuid(self) -> DBusStr:
        return uuid_text(self._characteristic.uuid)

    @dbus_property(READ, name="Service")
    def service(self) -> DBusObjectPath:
        return self._service_path

    @dbus_property(READ, name="Value")
    def value(self) -> DBusBytes:
        return self._value

    @dbus_property(READ, name="Notifying")
    def notifying(self) -> DBusBool:
        return bool(self._subscribers)

    @dbus_property(READ, name="Flags")
    def flags(self) -> Strings:
        return list(gatt_char_props_to_strs(int(self._characteristic.properties)))

    @dbus_property(READ, name="MTU")
    def mtu(self) -> DBusUInt16:
        return int(self._connection.att_mtu)


class GattDescriptor(ServiceInterface):
    """See BlueZ's doc/org.bluez.GattDescriptor.rst."""

    def __init__(self, characteristic_path: str, descriptor: DescriptorProxy) -> None:
        super().__init__("org.bluez.GattDescriptor1")
        self._characteristic_path = characteristic_path
        self._descriptor = descriptor

    @dbus_method(name="ReadValue")
    async def read_value(self, _options: DBusDict) -> DBusBytes:
        return await _answered(self._descriptor.read_value())

    @dbus_property(READ, name="UUID")
    def uuid(self) -> DBusStr:
        return uuid_text(self._descriptor.type)

    @dbus_property(READ, name="Characteristic")
    def characteristic(self) -> DBusObjectPath:
        return self._characteristic_path

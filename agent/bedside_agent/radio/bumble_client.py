"""One connection of the radio that Bumble drives, as bleak asks for it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError
from bleak.uuids import normalize_uuid_str
from bumble import core, hci
from bumble.device import Connection, Device, Peer

from bedside_agent.radio.central import KeyRefusedError, PairingFailedError

MTU = 517
_KEY_REFUSED = frozenset({hci.HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR, hci.HCI_ErrorCode.AUTHENTICATION_FAILURE_ERROR})

_T = TypeVar("_T")


class Radio(Protocol):
    """What a connection needs of the radio it is made with."""

    known: dict[str, hci.Address]

    @property
    def device(self) -> Device: ...

    async def answer(self, work: Coroutine[Any, Any, _T], ended: asyncio.Future[None] | None = None) -> _T: ...

    async def connect(self, address: hci.Address, client: "BumbleClient") -> Connection: ...

    def forget(self, client: "BumbleClient") -> None: ...


def uuid_text(uuid: core.UUID) -> str:
    """The 128 bit form in lower case, as bleak has it."""
    return normalize_uuid_str(uuid.to_hex_str("-").lower())


class BumbleClient(BaseBleakClient):
    """Its `radio` is set in a subclass: bleak makes clients by their class alone."""

    radio: "Radio"

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **_kwargs: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        self._name = address_or_ble_device.name if isinstance(address_or_ble_device, BLEDevice) else None
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._ended: asyncio.Future[None] | None = None
        self._subscribers: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        return self._name or self.address.replace(":", "-")

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def mtu_size(self) -> int:
        return int(self._connection.att_mtu) if self._connection is not None else 23

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        address = self.radio.known.get(self.address)
        if address is None:
            raise BleakDeviceNotFoundError(self.address, f"{self.address} was never heard")
        async with asyncio.timeout(float(kwargs.get("timeout", self._timeout))):
            connection = await self.radio.connect(address, self)
            self._connection = connection
            self._ended = asyncio.get_running_loop().create_future()
            connection.once(connection.EVENT_DISCONNECTION, lambda _reason: self.ended())
            try:
                self._peer = Peer(connection)
                await self._encrypt(connection)
                await self._answer(self._peer.request_mtu(MTU))
                if pair:
                    await self.pair()
                await self._discover(self._peer)
            except BaseException:
                with contextlib.suppress(BleakError):
                    await self.disconnect()
                raise

    async def disconnect(self) -> None:
        if self._connection is not None:
            await self.radio.answer(self._connection.disconnect(), self._ended)

    def ended(self) -> None:
        """The connection is over, for whatever reason; the callback is called once."""
        if self._connection is None:
            return
        self._connection = self._peer = self.services = None
        self._subscribers.clear()
        self.radio.forget(self)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:
        """Raises `PairingFailedError` when the device refuses."""
        if self._connection is None:
            raise BleakError("Not connected")
        try:
            await self._answer(self._connection.pair())
        except BleakError as error:
            if isinstance(error.__cause__, core.ProtocolError):
                raise PairingFailedError(f"pair: the device says {error.__cause__.error_name}") from error
            raise

    async def unpair(self) -> None:
        """bleak asks for it; here bonds are removed by `bumble_bonds` alone."""
        raise NotImplementedError

    async def _encrypt(self, connection: Connection) -> None:
        """With a device that has a bond. Raises `KeyRefusedError` when it does not know the key."""
        keys = self.radio.device.keystore
        if keys is None or await keys.get(str(connection.peer_address)) is None:
            return
        try:
            await self._answer(connection.encrypt())
        except BleakError as error:
            cause = error.__cause__
            if isinstance(cause, hci.HCI_Error) and cause.error_code in _KEY_REFUSED:
                raise KeyRefusedError("the device does not know the key of its bond with this hub") from error
            raise

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return bytearray(await self._answer(self._gatt.read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return bytearray(await self._answer(self._gatt.read_value(descriptor.handle)))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        await self._answer(self._gatt.write_value(characteristic.handle, bytes(data), response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        await self._answer(self._gatt.write_value(descriptor.handle, bytes(data), True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        if characteristic.handle in self._subscribers:
            raise BleakError("notifications are already started")

        def subscriber(value: bytes) -> None:
            callback(bytearray(value))

        self._subscribers[characteristic.handle] = subscriber
        try:
            await self._answer(characteristic.obj.subscribe(subscriber))
        except BaseException:
            # Refused for want of a bond, it is asked for again after pairing.
            self._subscribers.pop(characteristic.handle, None)
            raise

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        subscriber = self._subscribers.pop(characteristic.handle, None)
        if subscriber is not None:
            await self._answer(characteristic.obj.unsubscribe(subscriber))

    @property
    def _gatt(self) -> Any:
        if self._peer is None:
            raise BleakError("Not connected")
        return self._peer.gatt_client

    async def _answer(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._connection is None:
            work.close()
            raise BleakError("Not connected")
        return await self.radio.answer(work, self._ended)

    async def _discover(self, peer: Peer) -> None:
        found = BleakGATTServiceCollection()
        for service in await self._answer(peer.discover_services()):
            known = BleakGATTService(service, service.handle, uuid_text(service.uuid))
            found.add_service(known)
            for characteristic in await self._answer(service.discover_characteristics()):
                listed = BleakGATTCharacteristic(
                    characteristic,
                    characteristic.handle,
                    uuid_text(characteristic.uuid),
                    list(gatt_char_props_to_strs(int(characteristic.properties))),
                    lambda: self.mtu_size - 3,
                    known,
                )
                found.add_characteristic(listed)
                for descriptor in await self._answer(characteristic.discover_descriptors()):
                    found.add_descriptor(
                        BleakGATTDescriptor(descriptor, descriptor.handle, uuid_text(descriptor.type), listed)
                    )
        self.services = found
